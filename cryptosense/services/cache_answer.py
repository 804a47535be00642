"""What a cached answer is: how long it is good, how it came about, and its bytes as they go on the wire."""

import asyncio
import gzip
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, cast

import orjson

from cryptosense.errors import CryptoSenseError, UpstreamUnavailable
from cryptosense.state.contracts import Entry, EntryKind

Encoding = Literal["identity", "gzip"]

_COMPRESS_FROM = 1024  # below this a gzip header eats the gain
_OFF_LOOP_FROM = 32 * 1024  # above this compressing would hold up the event loop
_GZIP_LEVEL = 5
_KEPT = struct.Struct(">q?")  # stale milliseconds left when the entry turns stale, and whether the kept value is a null


class Outcome(StrEnum):
    """How an answer came about; what `X-Cache` says."""

    HIT = "hit"
    STALE = "stale"  # the last good value, while the upstream fails
    MISS = "miss"  # fetched for this call, or for another that this one waited for
    NEGATIVE = "negative"  # the fetch failed a moment ago and is not tried again yet
    BYPASS = "bypass"  # the cache is out of reach; fetched without it


@dataclass(frozen=True, slots=True)
class Freshness:
    """How long a value is good.

    `fresh_ms`: served as it is. `stale_ms`: how much longer it is kept for when the upstream fails. `negative_ms`: how
    long a failed fetch is remembered; 0 lets the failure itself reach the caller and remembers nothing.
    `jitter`: the share of `fresh_ms` by which it is lengthened at random, so that keys stored together do not expire
    together; it never shortens. `trust_ms`: how long this process serves its own copy without asking whether it was
    invalidated; 0 asks every time.
    """

    fresh_ms: int
    stale_ms: int = 0
    negative_ms: int = 0
    fetch_timeout_ms: int = 10_000
    jitter: float = 0.1
    trust_ms: int = 0


@dataclass(frozen=True, slots=True)
class Cached:
    """One answer.

    `kind`: a VALUE; NULL, where the upstream said that there is nothing; NEGATIVE, where the fetch failed and `body` is
    empty. `body` is JSON as it goes on the wire, in `encoding`. `retry_after_s`: for NEGATIVE, whole seconds until a
    fetch is tried again.

    An answer that is kept is unpacked once, however often it is asked for without its coding.
    """

    outcome: Outcome
    kind: EntryKind
    body: bytes
    encoding: Encoding
    retry_after_s: int | None = None
    _unpacked: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def plain(self) -> bytes:
        """The body without its content coding."""
        if self.encoding == "identity":
            return self.body
        unpacked = self._unpacked
        if unpacked is None:
            unpacked = gzip.decompress(self.body)
            object.__setattr__(self, "_unpacked", unpacked)
        return unpacked

    def required(self) -> Any:
        """The decoded JSON, for callers that need it to go on.

        Raises:
            UpstreamUnavailable: the fetch failed.
        """
        if self.kind is EntryKind.NEGATIVE:
            raise UpstreamUnavailable("the upstream failed a moment ago")
        return self.value()

    def value(self) -> Any:
        """The decoded JSON; a new object for every call, so a caller may change it."""
        return None if self.kind is not EntryKind.VALUE else orjson.loads(self.plain())


async def encode(value: object) -> tuple[EntryKind, bytes, Encoding]:
    """A fetched value as it is stored: JSON (bytes are taken to be JSON already), compressed where it pays.

    Raises:
        TypeError: the value is not JSON.
    """
    if value is None:
        return EntryKind.NULL, b"null", "identity"
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    if len(body) < _COMPRESS_FROM:
        return EntryKind.VALUE, body, "identity"
    if len(body) < _OFF_LOOP_FROM:
        return EntryKind.VALUE, gzip.compress(body, _GZIP_LEVEL, mtime=0), "gzip"
    return EntryKind.VALUE, await asyncio.to_thread(gzip.compress, body, _GZIP_LEVEL, mtime=0), "gzip"


def keep_through_failure(entry: Entry, stale_left_ms: int) -> bytes:
    """The body of a negative entry that goes on serving the last good value."""
    kind, body = last_good(entry) or (EntryKind.NULL, b"null")
    return _KEPT.pack(stale_left_ms, kind is EntryKind.NULL) + body


def last_good(entry: Entry) -> tuple[EntryKind, bytes] | None:
    """The last good value that an entry carries: itself, or what a negative one kept."""
    if entry.kind is not EntryKind.NEGATIVE:
        return entry.kind, entry.body
    if not entry.body:
        return None
    _, is_null = _KEPT.unpack_from(entry.body)
    return (EntryKind.NULL if is_null else EntryKind.VALUE), entry.body[_KEPT.size :]


def stale_left_ms(entry: Entry, freshness: Freshness) -> int:
    """For how much longer the last good value may be served, counted over any number of failures in between."""
    if entry.kind is not EntryKind.NEGATIVE:
        return freshness.stale_ms + min(0, entry.fresh_ms)
    if not entry.body:
        return 0
    return cast("int", _KEPT.unpack_from(entry.body)[0]) + min(0, entry.fresh_ms)


def check(entry: Entry) -> None:
    """Refuses an entry that this program would not have written; done once for every version that arrives.

    Raises:
        ValueError: it does not parse.
    """
    try:
        good = last_good(entry)
        if good is None:
            return
        if entry.encoding == "gzip":
            gzip.decompress(good[1])  # verifies the checksum
        else:
            orjson.loads(good[1])
    except (ValueError, EOFError, OSError, struct.error) as error:
        raise ValueError(f"not an entry of this program: {error}") from None


def served(entry: Entry, *, failing: bool = False) -> Cached:
    """The answer that an entry gives: while it is fresh, or (`failing`) as a last good value past that."""
    good = last_good(entry)
    if good is None:
        return failed(Outcome.NEGATIVE, entry.fresh_ms)
    kept = failing or entry.kind is EntryKind.NEGATIVE
    return Cached(Outcome.STALE if kept else Outcome.HIT, good[0], good[1], entry.encoding)


def failed(outcome: Outcome, retry_ms: int) -> Cached:
    """The answer where there is nothing to serve because the fetch failed."""
    return Cached(outcome, EntryKind.NEGATIVE, b"", "identity", retry_after_s=max(1, -(-retry_ms // 1000)))


def retry_ms(error: CryptoSenseError, freshness: Freshness, *, at_most_ms: int = 60_000) -> int:
    """How long a failed fetch is not tried again; what the provider asks for, within reason."""
    asked_s: float = getattr(error, "retry_after", 0.0)
    return max(freshness.negative_ms, min(round(asked_s * 1000), at_most_ms))
