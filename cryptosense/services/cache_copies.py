"""The bodies that this process has seen, by key and version, so that a confirmation is enough to serve them again."""

from dataclasses import dataclass

from cachetools import LRUCache

from cryptosense.clock import Clock
from cryptosense.services.cache_answer import Cached, Outcome, last_good, served
from cryptosense.state.contracts import CacheKey, Entry

_OVERHEAD_BYTES = 500  # what a copy costs beside its body


@dataclass(slots=True)
class _Copy:
    entry: Entry
    answer: Cached
    confirmed_at: float
    fresh_until: float


class Copies:
    """Copies within `local_bytes`, least recently used out first."""

    def __init__(self, clock: Clock, local_bytes: int) -> None:
        self._clock = clock
        self._copies: LRUCache[CacheKey, _Copy] = LRUCache(
            maxsize=max(1, local_bytes), getsizeof=lambda copy: _size(copy.entry)
        )

    def version(self, key: CacheKey) -> str | None:
        """The version that a confirmation may be asked for."""
        copy = self._copies.get(key)
        return None if copy is None else copy.entry.version

    def keep(self, key: CacheKey, entry: Entry) -> None:
        """Remembers what the state has just given or taken."""
        now = self._clock.monotonic()
        copy = _Copy(entry, served(entry), now, now + entry.fresh_ms / 1000)
        if _size(entry) <= self._copies.maxsize:
            self._copies[key] = copy

    def confirmed(self, key: CacheKey, version: str | None, fresh_ms: int) -> Entry | None:
        """The copy, now that the state has said it is still `version`; None where it is gone or another by now."""
        copy = self._copies.get(key)
        if copy is None or copy.entry.version != version:
            return None
        copy.confirmed_at = self._clock.monotonic()
        copy.fresh_until = copy.confirmed_at + fresh_ms / 1000
        return copy.entry._replace(fresh_ms=fresh_ms)

    def answer(self, key: CacheKey, entry: Entry) -> Cached:
        """The answer of a fresh entry, without building it again for every hit."""
        copy = self._copies.get(key)
        if copy is None or copy.entry.version != entry.version or copy.answer.outcome is not Outcome.HIT:
            return served(entry)
        return copy.answer

    def trusted(self, key: CacheKey, trust_ms: int) -> Cached | None:
        """A fresh copy that was confirmed at most `trust_ms` ago."""
        if trust_ms <= 0:
            return None
        try:
            copy = self._copies[key]  # `get` would look twice
        except KeyError:
            return None
        now = self._clock.monotonic()
        if now >= copy.fresh_until or now - copy.confirmed_at > trust_ms / 1000:
            return None
        return copy.answer if copy.answer.outcome is Outcome.HIT else None

    def last_good(self, key: CacheKey, stale_ms: int) -> Cached | None:
        """What may be served while neither the state nor the upstream answers: not beyond its stale age."""
        copy = self._copies.get(key)
        if copy is None or last_good(copy.entry) is None:
            return None
        if self._clock.monotonic() >= copy.fresh_until + stale_ms / 1000:
            return None
        return served(copy.entry, failing=True)

    @property
    def size(self) -> int:
        """Bytes held, overhead included."""
        return int(self._copies.currsize)

    def drop(self, key: CacheKey) -> None:
        self._copies.pop(key, None)


def _size(entry: Entry) -> int:
    """What a copy takes, unpacked body included: gzip ends with that body's length (RFC 1952, ISIZE)."""
    unpacked = int.from_bytes(entry.body[-4:], "little") if entry.encoding == "gzip" else 0
    return len(entry.body) + unpacked + _OVERHEAD_BYTES
