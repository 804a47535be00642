"""What a backend must be able to do, one small contract per kind of state.

Values are made by the services (tokens, ids, digests) and handed in, so that two backends can be given the same ones.
Time is the backend's own: Redis asks `TIME` inside the script, memory asks an injected `Clock`. Durations are whole
milliseconds. Every method is atomic and, on Redis, one round trip.

Every method may raise `StateUnavailable` (not applied) or `OutcomeUnknown` (may have been applied); what lies at a key
and is not ours raises `StateCorrupt`.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol


class RotationOutcome(StrEnum):
    """What became of a presented token."""

    ROTATED = "rotated"  # the current token was presented; the successor is current now
    GRACE = "grace"  # a token replaced within the grace was presented; the current one stays
    MISMATCH = "mismatch"
    ABSENT = "absent"  # the session has no token


@dataclass(frozen=True, slots=True)
class Rotation:
    """The answer to a presented token; `token` is the one to use from now on, None when it was refused."""

    outcome: RotationOutcome
    token: str | None

    @property
    def accepted(self) -> bool:
        return self.token is not None


class CsrfState(Protocol):
    """One current token per session, and the tokens it replaced within the grace."""

    async def current(self, session: str, candidate: str, *, ttl_ms: int) -> str:
        """The session's token; `candidate` becomes it where the session has none. Does not rotate.

        Tokens that are handed in here and below, `presented` ones excepted, are 1 to 128 of `A-Z a-z 0-9 _ -`.
        """
        ...

    async def peek(self, session: str) -> str | None:
        """The session's token, or None; writes nothing."""
        ...

    async def compare_and_rotate(
        self, session: str, presented: str, successor: str, *, ttl_ms: int, grace_ms: int
    ) -> Rotation:
        """Accepts the current token once and makes `successor` current; accepts replaced ones within the grace.

        A token replaced at time t is accepted while now - t < `grace_ms`; the last 32 of them are kept. With `grace_ms`
        0 exactly one of any number of concurrent calls with one token is accepted. `presented` may be anything.
        """
        ...

    async def replace(self, session: str, successor: str, *, ttl_ms: int) -> None:
        """Makes `successor` current and ends every grace at once."""
        ...

    async def revoke(self, session: str) -> None:
        """Leaves the session without a token, and ends every grace."""
        ...

    async def sweep_orphans(self) -> int:
        """Removes records that have no expiry (nothing here writes such) and returns their number."""
        ...

    def live(self) -> AsyncIterator[str]:
        """The sessions that have a token."""
        ...


class Algorithm(StrEnum):
    """How a window is kept. Only `LOG` never admits more than the limit in any window; the others take less memory."""

    LOG = "log"  # exact; up to `limit` timestamps per client
    COUNTER = "counter"  # two weighted counters
    GCRA = "gcra"  # one timestamp


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit` admissions in any window of `window_ms`; both at least 1.

    A window that ends at time t holds what was admitted in (t - window, t]: an admission frees its slot exactly
    `window_ms` later.
    """

    limit: int
    window_ms: int
    algorithm: Algorithm = Algorithm.LOG

    def __post_init__(self) -> None:
        if self.limit < 1 or self.window_ms < 1:
            raise ValueError(f"a quota needs a limit and a window of at least 1, not {self.limit} and {self.window_ms}")


class Admission(NamedTuple):
    """One decision.

    `remaining`: admissions left at this moment. `reset_ms`: until quota next increases; after a denial, until the next
    slot frees (0 when the whole quota is free). `replayed`: this decision id had been admitted before and was not
    counted again.
    """

    admitted: bool
    remaining: int
    reset_ms: int
    replayed: bool = False


class WindowState(Protocol):
    """Admissions per client in a sliding window; a denied request leaves no trace."""

    async def admit(self, client: str, quota: Quota, decision: str) -> Admission:
        """Admits `client` if its window has room.

        `decision` is an id of 8 to 16 ASCII characters, drawn by the service for one request. With `Algorithm.LOG`
        a repeated id within the window is admitted again without counting (of a limit above 1024, among the 1024 newest
        admissions); the other algorithms keep no ids, so a caller must not repeat a decision whose outcome is unknown.
        """
        ...

    async def peek(self, client: str, quota: Quota) -> Admission:
        """What `admit` with a new decision id would answer now; leaves no trace."""
        ...

    async def forget(self, client: str) -> None:
        """Drops the client's records of every algorithm, so that it starts anew."""
        ...

    def live(self) -> AsyncIterator[str]:
        """The clients that have a counter."""
        ...


class CacheKey(NamedTuple):
    """`space` groups keys that one script may touch together (one shard of a cluster); `name` is unique within it.

    Both may hold any text: escaping is the backend's.
    """

    space: str
    name: str


class EntryKind(StrEnum):
    """What an entry says: a value, or why there is none."""

    VALUE = "value"
    NULL = "null"  # the upstream said that there is nothing
    NEGATIVE = "negative"  # the fetch failed; short-lived, keeps callers from trying again at once


class Entry(NamedTuple):
    """A cached value as stored.

    `body` is bytes as they go on the wire, `encoding` their content coding (`identity` or `gzip`). `version` names
    this very write. `fresh_ms` is what is left of its freshness, 0 or less once it is stale and only good while the
    upstream fails.
    """

    kind: EntryKind
    body: bytes
    encoding: Literal["identity", "gzip"]
    version: str
    fresh_ms: int


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The entry is still the version that the caller knows."""

    fresh_ms: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to fetch a key and to store what was fetched; void once it expired or the key was invalidated.

    `fence` is drawn by the service, unlike any before it: 1 to 32 of `A-Z a-z 0-9 _ -`. It becomes the entry's version.
    """

    key: CacheKey
    fence: str


class CacheState(Protocol):
    """Entries with a fresh and a stale age, leases that fence writers, and tags that drop many keys at once."""

    async def read(self, key: CacheKey, *, known: str | None = None) -> Entry | Unchanged | None:
        """The entry, or `Unchanged` where its version is `known`; None for nothing, or for what does not parse."""
        ...

    async def read_or_lease(
        self, key: CacheKey, *, fence: str, lease_ms: int, tags: Sequence[str] = ()
    ) -> tuple[Entry | None, Lease | None]:
        """The entry, and a lease where it is missing or stale and nobody holds one.

        The lease registers the key under `tags`, so an invalidation by tag voids fetches under way.
        """
        ...

    async def store(
        self,
        lease: Lease,
        kind: EntryKind,
        body: bytes,
        *,
        encoding: Literal["identity", "gzip"] = "identity",
        fresh_ms: int,
        stale_ms: int,
        tags: Sequence[str] = (),
    ) -> str | None:
        """Stores and gives the lease back; the new version, or None where the lease was void. Wakes waiters."""
        ...

    async def release(self, lease: Lease) -> None:
        """Gives the lease back without storing. Wakes waiters."""
        ...

    async def wait(self, key: CacheKey, *, timeout_ms: int) -> None:
        """Returns when the lease has ended, in whatever way, or at the timeout; spurious returns are allowed.

        It takes nothing from the request's deadline: that counts what the backend takes, not the upstream.
        """
        ...

    async def invalidate(self, *keys: CacheKey) -> int:
        """Drops entries and voids leases; the number of entries dropped."""
        ...

    async def invalidate_tags(self, space: str, tags: Sequence[str]) -> int:
        """Drops every entry and voids every lease under any of the tags, without a scan."""
        ...

    async def invalidate_space(self, space: str, pattern: str = "*") -> int:
        """Drops what matches the glob `pattern` within `space`: UNLINK in batches, on every shard.

        It voids every lease of the space, matching or not; the entries that it did not drop stay good.
        """
        ...

    def live(self) -> AsyncIterator[str]:
        """The entries, as `space/name`."""
        ...


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A signed-in session. `refresh_digest` is a digest of the one refresh token that is good now."""

    user: str
    session: str
    refresh_digest: str
    opened_at_ms: int


class RefreshOutcome(StrEnum):
    """What became of a presented refresh token."""

    ROTATED = "rotated"  # it was the current one; the successor is current now
    REUSED = "reused"  # a refresh token that had been replaced: the session is ended
    ABSENT = "absent"


class SessionState(Protocol):
    """Sessions by user and id, with an index per user."""

    async def open(self, record: SessionRecord, *, ttl_ms: int) -> None:
        """Keeps the session for `ttl_ms`."""
        ...

    async def find(self, user: str, session: str) -> SessionRecord | None:
        """The session; None where there is none, or no more."""
        ...

    async def rotate_refresh(
        self, user: str, session: str, presented_digest: str, successor_digest: str, *, ttl_ms: int
    ) -> RefreshOutcome:
        """Compare and replace in one step; a digest that is not the current one ends the session."""
        ...

    async def close(self, user: str, session: str) -> bool:
        """Ends one session; whether there was one."""
        ...

    async def close_all(self, user: str, *, keep: str | None = None) -> int:
        """Ends the user's sessions except `keep`; their number."""
        ...

    def live(self) -> AsyncIterator[str]:
        """The sessions, as `user/session`."""
        ...


class LeaderState(Protocol):
    """One holder at a time per task name, for background work that must run on one instance."""

    async def lead(self, task: str, holder: str, *, ttl_ms: int) -> bool:
        """Takes or renews the lead; whether `holder` has it now."""
        ...

    async def resign(self, task: str, holder: str) -> None:
        """Gives up the lead, where `holder` has it."""
        ...


@dataclass(frozen=True, slots=True)
class StateSet:
    """One backend's implementations of every contract."""

    csrf: CsrfState
    windows: WindowState
    cache: CacheState
    sessions: SessionState
    leaders: LeaderState
