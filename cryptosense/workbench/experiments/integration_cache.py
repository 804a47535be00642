"""Caches across instances, as scenarios. They are played in turn, so that each finds its upstream unhurried."""

import asyncio
import itertools
from urllib.parse import quote

from cryptosense.workbench.client import Caller, Gate
from cryptosense.workbench.deployment import Capability
from cryptosense.workbench.experiments.scenario import PORTFOLIOS, Scenario, Stage, needs_contract, needs_route
from cryptosense.workbench.readings import Reading, counted_phase, upstream_calls
from cryptosense.workbench.target import Route

UPSTREAM_MS = (250, 300)
"""Latency of the simulated upstream: long enough to invalidate in the midst of a fetch."""

_INVALIDATE = needs_route("invalidation", lambda stage: stage.wire.target.profile.cache.invalidate)
_PORTFOLIOS = needs_contract("a portfolio by its id", *PORTFOLIOS)
_SPELLINGS = needs_contract("which spellings of a list are the same", "cache.tokens")
_INSIGHTS = needs_contract("where predictions and risks are", *PORTFOLIOS)
_CROWD = 24
_INTO_THE_FETCH_S = (0.12, 0.12)
"""When to invalidate: our fetches have begun by then, and take twice as long."""
_INTO_ANY_FETCH_S = (0.12, 0.03)
"""The same where nobody says how long a fetch takes; whether it was still under way, the claim sees."""


async def _stampede(stage: Stage, phase: str) -> None:
    """A crowd on all instances that misses one list together."""
    reader = stage.guest(phase, "crowd")
    ids = _coins(stage)[0]
    urls = itertools.cycle(stage.urls)
    async with counted_phase(stage.lab.recorder, phase, *_calls(stage, ids)):
        await stage.wire.burst(_CROWD)
        gate = stage.wire.gate(_CROWD)
        await asyncio.gather(*(_read(reader, ids, next(urls), gate=gate) for _ in range(_CROWD)))


async def _hits(stage: Stage, phase: str) -> None:
    """One list, read on one instance and then on all, with what that costs upstream."""
    reader = stage.guest(phase, "reader")
    ids = _coins(stage)[1]
    async with counted_phase(stage.lab.recorder, phase, *_calls(stage, ids)):
        for url in (stage.urls[0], *stage.urls, *stage.urls):
            await _read(reader, ids, url)


async def _spellings(stage: Stage, phase: str) -> None:
    """One list in several spellings, on all instances."""
    reader = stage.guest(phase, "reader")
    first, second = _coins(stage)[2], _coins(stage)[3]
    subject = ",".join(sorted({first, second}))
    urls = itertools.cycle(stage.urls)
    for ids in (f"{first},{second}", f"{second},{first}", f" {first.upper()} ,{second},{first}", f"{second}, {first}"):
        await _read(reader, ids, next(urls), subject=subject)


async def _dropped(stage: Stage, phase: str) -> None:
    """Lists with a coin that is then invalidated on another instance, read again on all."""
    stage.lab.recorder.observe("upstream.latency_s", UPSTREAM_MS[0] / 1000 if _ours(stage) else 0.0, phase=phase)
    editor = await stage.account(phase, "editor")
    await editor.fetch_csrf()
    reader = stage.guest(phase, "reader")
    coin, other = _coins(stage)[4], _coins(stage)[5]
    for ids in (coin, f"{coin},{other}"):
        await _read(reader, ids, stage.urls[0])
    await editor.invalidate_tokens(coin, instance=stage.urls[-1])
    for ids in (coin, f"{coin},{other}"):
        await asyncio.gather(*(_read(reader, ids, url) for url in stage.urls))


async def _raced(stage: Stage, phase: str) -> None:
    """An invalidation while the fetch is under way: what was fetched before it must not be served after it."""
    stage.lab.recorder.observe("upstream.latency_s", UPSTREAM_MS[0] / 1000 if _ours(stage) else 0.0, phase=phase)
    editor = await stage.account(phase, "editor")
    await editor.fetch_csrf()
    reader = stage.guest(phase, "reader")
    for coin, delay_s in zip(_coins(stage)[6:8], _INTO_THE_FETCH_S if _ours(stage) else _INTO_ANY_FETCH_S, strict=True):
        fetching = asyncio.create_task(_read(reader, coin, stage.urls[0]))
        await asyncio.sleep(delay_s)
        await editor.invalidate_tokens(coin, instance=stage.urls[-1])
        await fetching
        for url in stage.urls:
            await _read(reader, coin, url)


async def _portfolios(stage: Stage, phase: str) -> None:
    """One writer whose every change is read on every instance."""
    owner = await stage.account(phase, "owner")
    await owner.fetch_csrf()
    made = await owner.write_portfolio(1, instance=stage.urls[0])
    identity = made.body["portfolio"]["id"] if isinstance(made.body, dict) and "portfolio" in made.body else None
    for seq in range(2, 6):
        for url in stage.urls:
            await owner.read_portfolios(instance=url)
        await owner.write_portfolio(seq, identity, instance=stage.urls[seq % len(stage.urls)])
        await asyncio.gather(*(owner.read_portfolios(instance=url) for url in stage.urls))


async def _insights(stage: Stage, phase: str) -> None:
    """Prediction and risk, on every instance."""
    client = await stage.account(phase, "reader")
    for url in stage.urls:
        for what in ("predictions", "risk"):
            await client.ask("insights.read", Route(path=f"/api/v1/{what}/bitcoin"), instance=url)


async def _read(reader: Caller, ids: str, url: str, *, subject: str | None = None, gate: Gate | None = None) -> None:
    route = reader.profile.cache.tokens
    await reader.ask(
        "tokens.read",
        Route(method=route.method, path=route.path.replace("{ids}", quote(ids, safe=","))),
        bearer=False,
        instance=url,
        sent={"ids": ids, **({"subject": subject} if subject else {})},
        gate=gate,
    )


def _coins(stage: Stage) -> tuple[str, ...]:
    """Eight coins for eight stories; a foreign target's own, again from the start where it names fewer."""
    if _ours(stage):
        return ("solana", "cardano", "dogecoin", "tron", "stellar", "litecoin", "monero", "cosmos")
    return tuple(itertools.islice(itertools.cycle(stage.wire.target.profile.cache.ids), 8))


def _ours(stage: Stage) -> bool:
    return not stage.wire.target.foreign


def _calls(stage: Stage, ids: str) -> list[Reading]:
    """What reads the upstream's count of the list; nothing where it tells none."""
    counted = Capability.UPSTREAM_COUNT in stage.deployment.capabilities
    return [upstream_calls(stage.lab.recorder, stage.deployment, (ids,))] if counted else []


CACHE_SCENARIOS = (
    Scenario("cache stampede", _stampede),
    Scenario("cache hits", _hits),
    Scenario("cache spellings", _spellings, (_SPELLINGS,)),
    Scenario("cache dropped", _dropped, (_INVALIDATE,)),
    Scenario("cache raced", _raced, (_INVALIDATE,)),
)
OTHER_READS = (
    Scenario("portfolios", _portfolios, (_PORTFOLIOS,)),
    Scenario("insights", _insights, (_INSIGHTS,)),
)
