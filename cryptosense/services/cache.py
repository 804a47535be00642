"""Cached answers as bytes: one fetch per expiry across all instances."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from cryptosense.clock import Clock
from cryptosense.services.breaker import Breaker
from cryptosense.state.contracts import CacheKey, CacheState, EntryKind


class Outcome(StrEnum):
    HIT = "hit"
    STALE = "stale"
    MISS = "miss"
    NEGATIVE = "negative"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True)
class Freshness:
    fresh_ms: int
    stale_ms: int = 0
    negative_ms: int = 0  # 0: a failed fetch raises and nothing is remembered
    fetch_timeout_ms: int = 10_000
    jitter: float = 0.1  # a TTL is lengthened by up to this share, never shortened


@dataclass(frozen=True, slots=True)
class Cached:
    outcome: Outcome
    kind: EntryKind  # VALUE; NULL: the upstream said there is nothing (404); NEGATIVE: it failed (503, body empty)
    body: bytes  # JSON as on the wire, in `encoding`
    encoding: Literal["identity", "gzip"]
    retry_after_s: int | None = None  # for NEGATIVE

    def plain(self) -> bytes: ...  # identity body
    def value(self) -> Any: ...  # decoded


class Cache:
    counts: Counter[tuple[str, str]]  # (space's part before ":", outcome)

    def __init__(
        self,
        state: CacheState,
        clock: Clock,
        *,
        breaker: Breaker | None = None,
        upstream_concurrency: int = 4,
        local_bytes: int = 64 << 20,
    ) -> None: ...
    async def cached(
        self, key: CacheKey, fetch: Callable[[], Awaitable[object]], freshness: Freshness, *, tags: Sequence[str] = ()
    ) -> Cached: ...
    async def get(self, key: CacheKey) -> Cached | None: ...
    async def put(self, key: CacheKey, value: object, freshness: Freshness, *, tags: Sequence[str] = ()) -> bool: ...
    async def invalidate(self, *keys: CacheKey) -> int: ...
    async def invalidate_tags(self, space: str, tags: Sequence[str]) -> int: ...
    async def invalidate_space(self, space: str, pattern: str = "*") -> int: ...
    async def aclose(self) -> None: ...  # ends fetches under way
