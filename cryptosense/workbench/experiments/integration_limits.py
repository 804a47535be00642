"""Limits across instances, as scenarios: by user, by address, overloaded, across windows, and waited out."""

import asyncio
import itertools

from cryptosense.workbench.client import Caller
from cryptosense.workbench.experiments.scenario import Scenario, Stage, needs_addresses, needs_limit
from cryptosense.workbench.history import Operation

_AT_ONCE = 26
_TRIES = 3
_MARGIN_S = 0.05
_KEPT = "avalanche-2"
"""A coin that no other story reads."""


async def _by_user(stage: Stage, phase: str) -> None:
    """One user, 1.3 times the limit, as many at once as fit on the machine, round robin."""
    client = await stage.account(phase, "user")
    await _burst(stage, [client], "api", int(stage.limit("api").max * 1.3))


async def _by_address(stage: Stage, phase: str) -> None:
    """Addresses that are not signed in, one after the other, each with twice the limit at once."""
    for name in ("here", "there", "yonder", "beyond"):
        await _burst(stage, [stage.guest(phase, name)], "auth", 2 * stage.limit("auth").max)


async def _overload(stage: Stage, phase: str) -> None:
    """One client at 1.5 times the limit, evenly, for a little more than two windows, whatever it is told."""
    client, limit = await stage.account(phase, "user"), stage.limit("strict")
    gap = limit.window_s / (1.5 * limit.max)
    started, under_way = asyncio.get_running_loop().time(), set[asyncio.Task[object]]()
    for number in range(int(2.2 * limit.window_s / gap)):
        await asyncio.sleep(max(0.0, started + number * gap - asyncio.get_running_loop().time()))
        under_way.add(asyncio.create_task(_probe(client, "strict")))
    await asyncio.gather(*under_way)


async def _across_windows(stage: Stage, phase: str) -> None:
    """Clients, one after the other, until one has come on both sides of its window's end: a busy machine is late."""
    for number in range(_TRIES):
        if await _around_the_end(stage, await stage.account(phase, f"user{number}")):
            return


async def _around_the_end(stage: Stage, client: Caller) -> bool:
    """Opens a window, spends it shortly before its end and asks for a whole one after it; whether that was in time."""
    limit, clock = stage.limit("strict"), asyncio.get_running_loop().time
    begun = clock()
    await _probe(client, "strict")
    opened = clock()
    await asyncio.sleep(max(0.0, opened + 0.6 * limit.window_s - clock()))
    spending = clock()
    await _burst(stage, [client], "strict", limit.max - 1)
    if clock() > begun + limit.window_s - _MARGIN_S:
        return False
    await asyncio.sleep(max(0.0, opened + 1.1 * limit.window_s - clock()))
    await _burst(stage, [client], "strict", limit.max)
    return clock() < spending + limit.window_s - _MARGIN_S


async def _wait_as_told(stage: Stage, phase: str) -> None:
    """A client that fills its window, asks again half a window later, and then does as it is told."""
    client, limit = await stage.account(phase, "user"), stage.limit("strict")
    await _burst(stage, [client], "strict", limit.max)
    await asyncio.sleep(0.55 * limit.window_s)
    for _ in range(2):
        denial = await _until_denied(client, "strict", at_most=2 * limit.max)
        told = None if denial is None else denial.got.get("retry_after")
        if denial is None or not isinstance(told, int) or told > 2 * limit.window_s:
            return
        await asyncio.sleep(told)
        await client.probe("strict", sent={"after": denial.id})


async def _denied_drop(stage: Stage, phase: str) -> None:
    """A client over its limit asks for a list to be dropped; then everybody reads it."""
    client, limit = await stage.account(phase, "user"), stage.limit("strict")
    await client.fetch_csrf()
    reader = stage.guest(phase, "reader")
    await reader.read_tokens(_KEPT, instance=stage.urls[0])
    await _burst(stage, [client], "strict", limit.max)
    await _until_denied(client, "strict", at_most=limit.max)
    await client.invalidate_tokens(_KEPT)
    for url in stage.urls:
        await reader.read_tokens(_KEPT, instance=url)


async def _until_denied(client: Caller, policy: str, *, at_most: int) -> Operation | None:
    """The first denial; more than one request is needed only where the machine was so slow that slots freed."""
    for _ in range(at_most):
        operation = (await client.probe(policy)).operation
        if operation.status == 429:
            return operation
    return None


async def _burst(stage: Stage, clients: list[Caller], policy: str, wanted: int) -> list[Operation]:
    """`wanted` probes over all instances in turn, as many at a time as fit on the machine, and these in one moment."""
    urls, callers, done = itertools.cycle(stage.urls), itertools.cycle(clients), list[Operation]()
    for start in range(0, wanted, _AT_ONCE):
        together = min(_AT_ONCE, wanted - start)
        await stage.wire.burst(together)
        gate = stage.wire.gate(together)
        asked = (next(callers).probe(policy, instance=next(urls), gate=gate) for _ in range(together))
        done += [reply.operation for reply in await asyncio.gather(*asked)]
    return done


async def _probe(client: Caller, policy: str) -> object:
    return await client.probe(policy)


def _invalidates_under_it(stage: Stage) -> str | None:
    """The one request whose work, done or not, shows must be one that the strict limit counts."""
    limit, route = stage.limit("strict"), stage.wire.target.profile.cache.invalidate
    if route is not None and (limit.method, limit.path) == (route.method, route.path):
        return None
    return "whether a denied request does its work shows only where [limits.strict] has the path of [cache] invalidate"


LIMIT_SCENARIOS = (
    Scenario("limit by user", _by_user, (needs_limit("api"),)),
    Scenario("limit by address", _by_address, (needs_limit("auth"), needs_addresses)),
    Scenario("limit overload", _overload, (needs_limit("strict", waited_out=True),)),
    Scenario("limit across windows", _across_windows, (needs_limit("strict", waited_out=True),)),
    Scenario(
        "limit before work",
        _denied_drop,
        (
            needs_limit("strict"),
            _invalidates_under_it,
        ),
    ),
    Scenario("limit waited out", _wait_as_told, (needs_limit("strict", waited_out=True),)),
)
