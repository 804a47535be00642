"""Cached answers: one fetch per expiry across all instances, and never a value from before an invalidation.

A call asks the state, which answers with a fresh entry, with a lease (fetch it and store it) or with neither (somebody
else is fetching: wait). Calls of one process share: those that arrive in one turn of the event loop share one question,
those that arrive during a fetch or a wait share its result. Sharing never crosses an invalidation: a question is shared
only before it is sent, and a fetch only if the state still took its value after the caller had arrived.

This process keeps copies of bodies, and has each confirmed by version before it serves it.
"""

import asyncio
import contextvars
import logging
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from cryptosense.clock import Clock
from cryptosense.errors import StateCorrupt, StateError, UpstreamError
from cryptosense.services.breaker import Breaker
from cryptosense.services.cache_answer import (
    Cached,
    Freshness,
    Outcome,
    encode,
    failed,
    keep_through_failure,
    retry_ms,
    served,
    stale_left_ms,
)
from cryptosense.services.cache_copies import Copies
from cryptosense.services.cache_entries import Entries, Wanted, nothing
from cryptosense.services.direct_fetch import DirectFetches, Fetch, fetch_within
from cryptosense.services.shared_task import SharedTask
from cryptosense.state.contracts import CacheKey, CacheState, Entry, EntryKind, Lease

__all__ = ["Cache", "Cached", "Fetch", "Freshness", "Outcome"]

_log = logging.getLogger(__name__)

_WAIT_SLICE_MS = 500  # a wake-up that was missed costs at most this
_JOINS = 4

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Filled:
    """A fill's result; `current` says that no invalidation came between its fetch and its store."""

    answer: Cached
    current: bool = True


@dataclass(frozen=True, slots=True)
class _Filling:
    task: asyncio.Task[_Filled]


_Found = Cached | tuple[_Filling, bool]  # an answer; or who fills, and whether that began with this lookup


class _OutOfReach(Exception):
    """The state cannot be asked now."""


class Cache:
    """Answers by key.

    Args:
        state: entries and leases that all instances share.
        clock: of this process, for its own copies only.
        breaker: whether the state is worth asking; none asks always.
        upstream_concurrency: fetches at a time while the state is out of reach.
        local_bytes: how much this process keeps as copies, least recently used out first.
    """

    def __init__(
        self,
        state: CacheState,
        clock: Clock,
        *,
        breaker: Breaker | None = None,
        upstream_concurrency: int = 4,
        local_bytes: int = 64 << 20,
    ) -> None:
        self._state = state
        self._clock = clock
        self._breaker = breaker
        self._copies = Copies(clock, local_bytes)
        self._entries = Entries(state, self._copies)
        self._direct = DirectFetches(upstream_concurrency)
        self._lookups: dict[CacheKey, SharedTask[_Found]] = {}
        self._fills: dict[CacheKey, _Filling] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.counts: Counter[tuple[str, str]] = Counter()

    async def cached(self, key: CacheKey, fetch: Fetch, freshness: Freshness, *, tags: Sequence[str] = ()) -> Cached:
        """The answer for `key`, fetched by `fetch` where there is no fresh one.

        `fetch` returns JSON-like data, JSON as bytes, or None for "there is nothing". It may run although this call
        was cancelled, for the others that wait, and for at most `freshness.fetch_timeout_ms`.

        Raises:
            UpstreamError: the fetch failed, nothing stale is left, and `freshness.negative_ms` is 0.
            Exception: whatever else `fetch` raises.
        """
        answer = self._copies.trusted(key, freshness.trust_ms)
        if answer is None:
            answer = await self._answer(Wanted(key, fetch, freshness, tuple(tags)))
        self.counts[key.space.partition(":")[0], answer.outcome] += 1
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("cache %s", answer.outcome.value, extra={"event": "cache", "space": key.space, "key": key.name})
        return answer

    async def get(self, key: CacheKey) -> Cached | None:
        """The fresh entry, if there is one; never fetches.

        Raises:
            StateError: the state cannot be asked.
        """
        entry = await self._entries.read(key)
        return served(entry) if entry is not None and entry.fresh_ms > 0 else None

    async def fresh_for_ms(self, key: CacheKey) -> int:
        """What is left of the entry's freshness; 0 where there is none.

        Raises:
            StateError: the state cannot be asked.
        """
        entry = await self._entries.read(key)
        return 0 if entry is None else max(0, entry.fresh_ms)

    async def put(self, key: CacheKey, value: object, freshness: Freshness, *, tags: Sequence[str] = ()) -> bool:
        """Replaces whatever is there, fetches under way included; False where somebody came between.

        Raises:
            StateError: the state cannot be asked.
        """
        wanted = Wanted(key, nothing, freshness, tuple(tags))
        await self.invalidate(key)
        _, lease = await self._entries.read_or_lease(wanted)
        if lease is None:
            return False
        return await self._entries.store(wanted, lease, *await encode(value)) is not None

    async def invalidate(self, *keys: CacheKey) -> int:
        """Drops entries; fetches under way will not be stored. The number of entries dropped.

        Raises:
            StateError: it may not have happened.
        """
        for key in keys:
            self._forget(key)
        return await self._state.invalidate(*keys)

    async def invalidate_tags(self, space: str, tags: Sequence[str]) -> int:
        """Drops every key of `space` under any of the tags; the number of entries dropped."""
        return await self._state.invalidate_tags(space, tags)

    async def invalidate_space(self, space: str, pattern: str = "*") -> int:
        """Drops the keys of `space` that match the glob; the number of entries dropped."""
        return await self._state.invalidate_space(space, pattern)

    async def aclose(self) -> None:
        """Ends fetches under way and gives their leases back."""
        tasks = [*self._tasks, *self._direct.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # One call ---------------------------------------------------------------------------------------------------------

    async def _answer(self, wanted: Wanted) -> Cached:
        for _ in range(_JOINS):
            filling, began_after_this_call = self._fills.get(wanted.key), False
            if filling is None:
                try:
                    found = await self._lookup(wanted).outcome()
                except _OutOfReach:
                    return await self._past_the_cache(wanted)
                if isinstance(found, Cached):
                    return found
                filling, began_after_this_call = found
            filled = await asyncio.shield(filling.task)
            if filled.current or began_after_this_call:
                return filled.answer
        return await self._past_the_cache(wanted)

    def _lookup(self, wanted: Wanted) -> SharedTask[_Found]:
        """The question to the state, shared by the calls of this turn of the event loop."""
        lookup = self._lookups.get(wanted.key)
        if lookup is None:
            lookup = SharedTask(self._start(self._look(wanted), contextvars.copy_context()))
            self._lookups[wanted.key] = lookup
        return lookup

    async def _look(self, wanted: Wanted) -> "_Found":
        # From here on the question is on its way: whoever arrives later must ask again.
        del self._lookups[wanted.key]
        if self._breaker is not None and not self._breaker.allows():
            raise _OutOfReach
        started = self._clock.monotonic()
        try:
            entry, lease = await self._entry_or_lease(wanted)
        except StateError as error:
            self._note_failure(error, started)
            raise _OutOfReach from None
        if self._breaker is not None:
            self._breaker.succeeded()
        if entry is not None and entry.fresh_ms > 0:
            return self._copies.answer(wanted.key, entry)
        return self._fill(wanted, entry, lease)

    async def _entry_or_lease(self, wanted: Wanted) -> tuple[Entry | None, Lease | None]:
        """One round trip on a hit and on a cold miss, two on an expiry of what this process has a copy of."""
        try:
            if self._copies.version(wanted.key) is not None:
                entry = await self._entries.read(wanted.key)
                if entry is not None and entry.fresh_ms > 0:
                    return entry, None
            return await self._entries.read_or_lease(wanted)
        except StateCorrupt as error:
            _log.warning(
                "a cache entry does not parse; it is dropped", extra={"event": "cache_corrupt", "key": error.key}
            )
        await self.invalidate(wanted.key)
        return await self._entries.read_or_lease(wanted)

    # Filling ----------------------------------------------------------------------------------------------------------

    def _fill(self, wanted: Wanted, stale: Entry | None, lease: Lease | None) -> tuple[_Filling, bool]:
        """Starts to fetch (with the lease) or to wait (without), detached from the call and its deadline.

        Without the lease one that is under way is joined; the second part of the answer is False then.
        """
        current = self._fills.get(wanted.key)
        if lease is None and current is not None:
            return current, False
        work = self._wait(wanted, stale) if lease is None else self._lead(wanted, stale, lease)
        filling = _Filling(self._start(work, contextvars.Context()))
        self._fills[wanted.key] = filling
        filling.task.add_done_callback(lambda _: self._leave(wanted.key, filling))
        return filling, True

    def _leave(self, key: CacheKey, filling: _Filling) -> None:
        if self._fills.get(key) is filling:
            del self._fills[key]

    def _close(self, key: CacheKey) -> _Filling | None:
        """Lets nobody join the filling that is running now; the filling, if it was still open."""
        filling = self._fills.get(key)
        if filling is None or filling.task is not asyncio.current_task():
            return None
        return self._fills.pop(key)

    async def _lead(self, wanted: Wanted, stale: Entry | None, lease: Lease) -> _Filled:
        """Fetches and stores. Closed to newcomers before the store is sent: they may come after an invalidation."""
        try:
            value = await fetch_within(wanted.fetch, wanted.freshness.fetch_timeout_ms)
            kind, body, encoding = await encode(value)
        except UpstreamError as error:
            return await self._settle_failure(wanted, stale, lease, error)
        except BaseException:
            self._close(wanted.key)
            await self._release(lease)
            raise
        self._close(wanted.key)
        answer = Cached(Outcome.MISS, kind, body, encoding)
        started = self._clock.monotonic()
        try:
            version = await self._entries.store(wanted, lease, kind, body, encoding)
        except StateError as error:
            self._note_failure(error, started)
            return _Filled(answer)
        return _Filled(answer, current=version is not None)

    async def _wait(self, wanted: Wanted, stale: Entry | None) -> _Filled:
        """Waits for whoever holds the lease; takes it over when it is given back or runs out."""
        patience_ms = wanted.lease_ms
        gives_up = self._clock.monotonic() + patience_ms / 1000
        for _ in range(4 * (patience_ms // _WAIT_SLICE_MS)):
            if self._clock.monotonic() >= gives_up:
                break
            started = self._clock.monotonic()
            try:
                await self._state.wait(wanted.key, timeout_ms=_WAIT_SLICE_MS)
                own = self._close(wanted.key)  # nobody may join an answer that is on its way
                entry, lease = await self._entries.read_or_lease(wanted)
            except StateError as error:
                self._note_failure(error, started)
                break
            stale = entry or stale
            if entry is not None and entry.fresh_ms > 0:
                answer = self._copies.answer(wanted.key, entry)
                return _Filled(replace(answer, outcome=Outcome.MISS) if answer.outcome is Outcome.HIT else answer)
            if own is not None:
                self._fills.setdefault(wanted.key, own)
            if lease is not None:
                return await self._lead(wanted, entry, lease)
        if stale is not None and stale_left_ms(stale, wanted.freshness) > 0:
            return _Filled(served(stale, failing=True))
        self._close(wanted.key)
        return _Filled(await self._past_the_cache(wanted))

    async def _settle_failure(self, wanted: Wanted, stale: Entry | None, lease: Lease, error: UpstreamError) -> _Filled:
        """The last good value while there is one; a short memory of the failure, so that not everyone tries."""
        self._close(wanted.key)
        pause_ms = retry_ms(error, wanted.freshness)
        left_ms = 0 if stale is None else stale_left_ms(stale, wanted.freshness)
        _log.warning(
            "a fetch failed: %s",
            error,
            extra={"event": "fetch_failed", "space": wanted.key.space, "stale": left_ms > 0},
        )
        if wanted.freshness.negative_ms == 0:
            await self._release(lease)
            if stale is None or left_ms <= 0:
                raise error
            return _Filled(served(stale, failing=True))
        try:
            if stale is None or left_ms <= 0:
                await self._state.store(lease, EntryKind.NEGATIVE, b"", fresh_ms=pause_ms, stale_ms=0, tags=wanted.tags)
                return _Filled(failed(Outcome.MISS, pause_ms))
            left_after_ms = max(0, left_ms - pause_ms)
            await self._state.store(
                lease,
                EntryKind.NEGATIVE,
                keep_through_failure(stale, left_after_ms),
                encoding=stale.encoding,
                fresh_ms=min(pause_ms, left_ms),
                stale_ms=left_after_ms,
                tags=wanted.tags,
            )
        except StateError as lost:
            self._note_failure(lost, self._clock.monotonic())
        if stale is None or left_ms <= 0:
            return _Filled(failed(Outcome.MISS, pause_ms))
        return _Filled(served(stale, failing=True))

    async def _past_the_cache(self, wanted: Wanted) -> Cached:
        """Fetches without the state: few at a time, one at a time per key."""
        try:
            kind, body, encoding = await encode(
                await self._direct.fetch(wanted.key, wanted.fetch, wanted.freshness.fetch_timeout_ms)
            )
        except UpstreamError as error:
            copy = self._copies.last_good(wanted.key, wanted.freshness.stale_ms)
            if copy is not None:
                return copy
            if wanted.freshness.negative_ms == 0:
                raise
            return failed(Outcome.BYPASS, retry_ms(error, wanted.freshness))
        return Cached(Outcome.BYPASS, kind, body, encoding)

    # The rest ---------------------------------------------------------------------------------------------------------

    async def _release(self, lease: Lease) -> None:
        try:
            await self._state.release(lease)
        except StateError as error:
            self._note_failure(error, self._clock.monotonic())

    def _note_failure(self, error: StateError, started: float) -> None:
        if isinstance(error, StateCorrupt):
            _log.warning("a cache key holds something foreign", extra={"event": "cache_corrupt", "key": error.key})
        elif self._breaker is not None:
            self._breaker.failed(started)

    def _forget(self, key: CacheKey) -> None:
        self._copies.drop(key)
        self._fills.pop(key, None)

    def _start(self, work: Coroutine[Any, Any, _T], context: contextvars.Context) -> "asyncio.Task[_T]":
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its callers have it, or all of them went away
