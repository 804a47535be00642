"""What holds for every `CacheState`."""

import asyncio
from typing import Literal

from cryptosense.state.conformance.subject import LONG_MS, PAST_MS, SHORT_MS, Chapter, Subject, expect, fresh, token
from cryptosense.state.contracts import CacheKey, CacheState, Entry, EntryKind, Lease, Unchanged
from cryptosense.state.keys import label

_chapter = Chapter("cache")
_check = _chapter.check


def _key() -> CacheKey:
    return CacheKey(fresh("space"), fresh("name"))


async def _lease(cache: CacheState, key: CacheKey, *tags: str) -> Lease:
    _, lease = await cache.read_or_lease(key, fence=token(), lease_ms=LONG_MS, tags=tags)
    if lease is None:
        raise AssertionError("a missing entry is leased to the first who asks")
    return lease


async def _put(cache: CacheState, key: CacheKey, body: bytes = b"body", *tags: str) -> str | None:
    lease = await _lease(cache, key, *tags)
    return await cache.store(lease, EntryKind.VALUE, body, fresh_ms=LONG_MS, stale_ms=LONG_MS, tags=tags)


@_check()
async def what_was_stored_is_read(subject: Subject) -> None:
    cache = subject.state.cache
    written: tuple[tuple[EntryKind, bytes, Literal["identity", "gzip"]], ...] = (
        (EntryKind.VALUE, b"\x00\r\n{}" * 999, "identity"),
        (EntryKind.VALUE, b"\x1f\x8b", "gzip"),
        (EntryKind.NULL, b"", "identity"),
        (EntryKind.NEGATIVE, b"why", "identity"),
    )
    for kind, body, encoding in written:
        key = _key()
        expect(await cache.read(key) is None, "nothing at first")
        lease = await _lease(cache, key)
        version = await cache.store(lease, kind, body, encoding=encoding, fresh_ms=LONG_MS, stale_ms=SHORT_MS)
        found = await cache.read(key)
        expect(isinstance(found, Entry), "there is an entry")
        if isinstance(found, Entry):
            expect((found.kind, found.body, found.encoding) == (kind, body, encoding), "as it was stored")
            expect(found.version == version, "its version is the one that storing told")
            expect(0 < found.fresh_ms <= LONG_MS, f"fresh for what is left of its time, not {found.fresh_ms}")


@_check()
async def a_known_version_is_only_confirmed(subject: Subject) -> None:
    cache, key = subject.state.cache, _key()
    version = await _put(cache, key)
    expect(isinstance(await cache.read(key, known=version), Unchanged), "unchanged")
    expect(isinstance(await cache.read(key, known=token()), Entry), "another version is sent whole")


@_check()
async def one_of_many_concurrent_readers_gets_the_lease(subject: Subject) -> None:
    cache, key = subject.state.cache, _key()
    answers = await asyncio.gather(*(cache.read_or_lease(key, fence=token(), lease_ms=LONG_MS) for _ in range(30)))
    expect(sum(lease is not None for _, lease in answers) == 1, "one lease")
    expect(all(entry is None for entry, _ in answers), "and no entry")


@_check()
async def a_fresh_entry_is_not_leased(subject: Subject) -> None:
    cache, key = subject.state.cache, _key()
    await _put(cache, key)
    entry, lease = await cache.read_or_lease(key, fence=token(), lease_ms=LONG_MS)
    expect(entry is not None and lease is None, "a hit")


@_check()
async def a_stale_entry_is_given_with_a_lease_to_one(subject: Subject) -> None:
    cache, key = subject.state.cache, _key()
    lease = await _lease(cache, key)
    await cache.store(lease, EntryKind.VALUE, b"old", fresh_ms=SHORT_MS, stale_ms=LONG_MS)
    await subject.pass_time(PAST_MS)
    answers = await asyncio.gather(*(cache.read_or_lease(key, fence=token(), lease_ms=LONG_MS) for _ in range(10)))
    expect(all(entry is not None and entry.fresh_ms <= 0 for entry, _ in answers), "all get the stale entry")
    expect(sum(granted is not None for _, granted in answers) == 1, "one may fetch")


@_check()
async def an_entry_is_gone_after_its_stale_age(subject: Subject) -> None:
    cache, key = subject.state.cache, _key()
    lease = await _lease(cache, key)
    await cache.store(lease, EntryKind.VALUE, b"old", fresh_ms=SHORT_MS, stale_ms=SHORT_MS)
    await subject.pass_time(PAST_MS)
    expect(await cache.read(key) is None, "gone")


@_check()
async def a_lease_expires_and_its_late_holder_cannot_store(subject: Subject) -> None:
    cache, key = subject.state.cache, _key()
    _, dead = await cache.read_or_lease(key, fence=token(), lease_ms=SHORT_MS)
    await subject.pass_time(PAST_MS)
    live = await _lease(cache, key)
    late = dead and await cache.store(dead, EntryKind.VALUE, b"late", fresh_ms=LONG_MS, stale_ms=0)
    expect(dead is not None and late is None, "the late one is fenced off")
    expect(await cache.store(live, EntryKind.VALUE, b"new", fresh_ms=LONG_MS, stale_ms=0), "the new holder stores")
    found = await cache.read(key)
    expect(isinstance(found, Entry) and found.body == b"new", "the new value stands")


@_check()
async def a_lease_is_good_for_one_store(subject: Subject) -> None:
    cache, key = subject.state.cache, _key()
    lease = await _lease(cache, key)
    expect(await cache.store(lease, EntryKind.VALUE, b"1", fresh_ms=LONG_MS, stale_ms=0), "the first time")
    expect(await cache.store(lease, EntryKind.VALUE, b"2", fresh_ms=LONG_MS, stale_ms=0) is None, "not the second")


@_check()
async def a_released_lease_goes_to_the_next(subject: Subject) -> None:
    cache, key = subject.state.cache, _key()
    lease = await _lease(cache, key)
    await cache.release(Lease(key, token()))
    _, other = await cache.read_or_lease(key, fence=token(), lease_ms=LONG_MS)
    expect(other is None, "somebody else's release changes nothing")
    await cache.release(lease)
    await _lease(cache, key)


@_check()
async def what_was_fetched_before_an_invalidation_is_never_stored_after_it(subject: Subject) -> None:
    cache = subject.state.cache
    for way in ("key", "tag", "space"):
        key, tag = _key(), fresh("tag")
        lease = await _lease(cache, key, tag)
        if way == "key":
            await cache.invalidate(key)
        elif way == "tag":
            await cache.invalidate_tags(key.space, [tag])
        else:
            await cache.invalidate_space(key.space)
        late = await cache.store(lease, EntryKind.VALUE, b"old", fresh_ms=LONG_MS, stale_ms=LONG_MS, tags=[tag])
        expect(late is None and await cache.read(key) is None, f"invalidation by {way} voids the fetch under way")
        expect(await _put(cache, key, b"new", tag) is not None, f"and the next fetch stores (by {way})")


@_check()
async def invalidating_drops_the_named_entries_and_tells_their_number(subject: Subject) -> None:
    cache, one, two, kept = subject.state.cache, _key(), _key(), _key()
    for key in (one, two, kept):
        await _put(cache, key)
    expect(await cache.invalidate(one, two, _key()) == 2, "two were there")
    expect(await cache.invalidate() == 0, "none were named")
    expect(await cache.read(one) is None and await cache.read(two) is None, "dropped")
    expect(await cache.read(kept) is not None, "the third is kept")


@_check()
async def a_tag_drops_every_entry_under_it_and_no_other(subject: Subject) -> None:
    cache, space, coin, other = subject.state.cache, fresh("space"), fresh("coin"), fresh("coin")
    both, single, apart = (CacheKey(space, fresh("list")) for _ in range(3))
    await _put(cache, both, b"1", coin, other)
    await _put(cache, single, b"2", coin)
    await _put(cache, apart, b"3", other)
    expect(await cache.invalidate_tags(space, [coin]) == 2, "two lists hold the coin")
    expect(await cache.read(both) is None and await cache.read(single) is None, "dropped")
    expect(await cache.read(apart) is not None, "the list without it is kept")
    expect(await cache.invalidate_tags(space, [coin]) == 0, "nothing is left under it")
    expect(await cache.invalidate_tags(space, []) == 0, "no tag, nothing dropped")


@_check()
async def a_pattern_drops_what_matches_within_its_space(subject: Subject) -> None:
    cache, space, elsewhere = subject.state.cache, fresh("space"), fresh("space")
    names = ("btc:day", "btc:week", "eth:day", "b*c:day", "btc")
    for name in names:
        await _put(cache, CacheKey(space, name))
    await _put(cache, CacheKey(elsewhere, "btc:day"))

    async def left() -> set[str]:
        return {name for name in names if await cache.read(CacheKey(space, name)) is not None}

    expect(await cache.invalidate_space(space, "b\\*c*") == 1, "an escaped star is a star")
    expect(await left() == {"btc:day", "btc:week", "eth:day", "btc"}, "only the one with the star went")
    expect(await cache.invalidate_space(space, "btc:*") == 2, "two match")
    expect(await left() == {"eth:day", "btc"}, "the rest is kept")
    expect(await cache.invalidate_space(space, "?t[a-h]*") == 2, "single characters and ranges match")
    expect(await cache.read(CacheKey(elsewhere, "btc:day")) is not None, "the other space is untouched")
    expect(await cache.invalidate_space(elsewhere) == 1, "without a pattern all goes")


@_check()
async def who_waits_is_woken_by_the_store(subject: Subject) -> None:
    cache, key = subject.state.cache, _key()
    lease = await _lease(cache, key)
    waiting = [asyncio.create_task(cache.wait(key, timeout_ms=LONG_MS)) for _ in range(3)]
    await asyncio.sleep(0.05)
    await cache.store(lease, EntryKind.VALUE, b"body", fresh_ms=LONG_MS, stale_ms=0)
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)


@_check()
async def who_waits_is_woken_by_a_release_or_an_invalidation(subject: Subject) -> None:
    cache = subject.state.cache
    for way in ("release", "invalidate"):
        key = _key()
        lease = await _lease(cache, key)
        waiting = asyncio.create_task(cache.wait(key, timeout_ms=LONG_MS))
        await asyncio.sleep(0.05)
        await (cache.release(lease) if way == "release" else cache.invalidate(key))
        async with asyncio.timeout(10):
            await waiting


@_check()
async def nobody_waits_where_nobody_fetches_or_longer_than_asked(subject: Subject) -> None:
    cache, key = subject.state.cache, _key()
    async with asyncio.timeout(10):
        await cache.wait(key, timeout_ms=LONG_MS)
        await _lease(cache, key)
        await cache.wait(key, timeout_ms=SHORT_MS)


@_check()
async def spaces_and_names_that_look_alike_are_different(subject: Subject) -> None:
    cache, space = subject.state.cache, fresh("space")
    keys = [CacheKey(space, name) for name in ("a", "A", "a ", "a%20", "a:b", "a}:e:b", "*", "")]
    for key in keys:
        await _put(cache, key, key.name.encode() or b"empty")
    for key in keys:
        found = await cache.read(key)
        expect(isinstance(found, Entry) and found.body == (key.name.encode() or b"empty"), f"{key.name!r} has its own")


@_check()
async def live_tells_the_entries(subject: Subject) -> None:
    cache, here, gone = subject.state.cache, _key(), _key()
    await _put(cache, here)
    await _put(cache, gone)
    await cache.invalidate(gone)
    told = {name async for name in cache.live()}
    expect(label(here.space, here.name) in told, "the entry is told")
    expect(label(gone.space, gone.name) not in told, "the dropped one is not")


CHECKS = tuple(_chapter.checks)
