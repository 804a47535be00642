"""Entries of the state, checked and remembered as they pass."""

import random
import secrets
from typing import NamedTuple

from cryptosense.errors import StateCorrupt, UpstreamUnavailable
from cryptosense.services.cache_answer import Encoding, Freshness, check
from cryptosense.services.cache_copies import Copies
from cryptosense.services.direct_fetch import Fetch
from cryptosense.state.contracts import CacheKey, CacheState, Entry, EntryKind, Lease, Unchanged

_LEASE_MARGIN_MS = 1_500  # what compressing and storing may take after the longest fetch


class Wanted(NamedTuple):
    """One key and everything needed to fill it."""

    key: CacheKey
    fetch: Fetch
    freshness: Freshness
    tags: tuple[str, ...]

    @property
    def lease_ms(self) -> int:
        """The lease outlives the longest fetch."""
        return self.freshness.fetch_timeout_ms + _LEASE_MARGIN_MS


class Entries:
    """Reads and stores; every method raises what the state raises, and `StateCorrupt` for what does not parse."""

    def __init__(self, state: CacheState, copies: Copies) -> None:
        self._state = state
        self._copies = copies

    async def read(self, key: CacheKey) -> Entry | None:
        """The entry; a copy of this process that the state confirms moves no body."""
        version = self._copies.version(key)
        found = await self._state.read(key, known=version)
        if isinstance(found, Unchanged):
            entry = self._copies.confirmed(key, version, found.fresh_ms)
            # Pushed out while it was being confirmed: ask for the whole of it.
            found = entry if entry is not None else await self._state.read(key)
        return None if found is None or isinstance(found, Unchanged) else self._keep(key, found)

    async def read_or_lease(self, wanted: Wanted) -> tuple[Entry | None, Lease | None]:
        """The entry, and the lease where there is no fresh one and nobody else has it."""
        entry, lease = await self._state.read_or_lease(
            wanted.key, fence=secrets.token_hex(8), lease_ms=wanted.lease_ms, tags=wanted.tags
        )
        return (None if entry is None else self._keep(wanted.key, entry)), lease

    async def store(self, wanted: Wanted, lease: Lease, kind: EntryKind, body: bytes, encoding: Encoding) -> str | None:
        """The version under which it was stored, its freshness lengthened at random; None where the lease was void."""
        fresh_ms = round(wanted.freshness.fresh_ms * (1 + random.uniform(0, wanted.freshness.jitter)))
        version = await self._state.store(
            lease,
            kind,
            body,
            encoding=encoding,
            fresh_ms=fresh_ms,
            stale_ms=wanted.freshness.stale_ms,
            tags=wanted.tags,
        )
        if version is not None:
            self._copies.keep(wanted.key, Entry(kind, body, encoding, version, fresh_ms))
        return version

    def _keep(self, key: CacheKey, entry: Entry) -> Entry:
        if self._copies.version(key) != entry.version:
            try:
                check(entry)
            except ValueError as error:
                raise StateCorrupt(str(error), key=f"{key.space}/{key.name}") from None
            self._copies.keep(key, entry)
        return entry


async def nothing() -> object:
    """The fetch of a value that was put and has nowhere to be fetched from.

    Raises:
        UpstreamUnavailable: always.
    """
    raise UpstreamUnavailable("a value that was put has nothing to fetch it from")
