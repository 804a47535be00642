"""CSRF and sessions across instances, as scenarios."""

import asyncio
import itertools

from cryptosense.workbench.experiments.scenario import (
    PORTFOLIOS,
    Scenario,
    Stage,
    keeps_to_contract,
    needs_contract,
    needs_grace,
    needs_limit,
    needs_route,
)
from cryptosense.workbench.target import Route

_LOGOUT = needs_route("logout", lambda stage: stage.wire.target.profile.auth.logout)
_LOGIN = needs_route("login", lambda stage: stage.wire.target.profile.auth.login)
_REFRESH = needs_route("refresh", lambda stage: stage.wire.target.profile.auth.refresh)
_CHANGING = (
    ("PUT", f"/api/v1/portfolios/{'0' * 32}"),
    ("DELETE", f"/api/v1/portfolios/{'0' * 32}"),
    ("POST", "/api/v1/tokens/invalidate"),
    ("POST", "/api/v1/csrf-token/rotate"),
    ("POST", "/api/v1/auth/password"),
    ("POST", "/api/v1/auth/logout"),
)
"""Every route that changes something for the signed-in, beside the one that is asked all the time."""
_CROWD = 20
_FETCH_LIMITED = needs_contract("that asking for the token counts against the limit api", "csrf.fetch")
_TRADED_ONCE = needs_contract("that a refresh token is good once", "auth.refresh")
_ROUTES = ("csrf.fetch", *PORTFOLIOS, "cache.invalidate", "auth.logout")
"""Where these stand as in the wire contract, its other changing routes are where it says."""


async def _follow(stage: Stage, phase: str) -> None:
    """Two clients that fetch once and follow the successors round robin, also out of requests that end in a 4xx."""
    clients = [await stage.account(phase, f"s{number}") for number in range(2)]

    async def follow(start: int) -> None:
        client = clients[start]
        await client.fetch_csrf()
        for number in range(12):
            if number % 4 == 2:
                await client.post_csrf(route=client.profile.csrf.protected, json={"name": 7, "holdings": "none"})
            elif number % 4 == 3 and keeps_to_contract(stage, *PORTFOLIOS):
                missing = f"{client.profile.cache.portfolios.path}/{'0' * 32}"
                await client.post_csrf(route=Route(method="DELETE", path=missing))
            else:
                await client.post_csrf()

    await asyncio.gather(follow(0), follow(1))


async def _tabs(stage: Stage, phase: str) -> None:
    """Three tabs of one session that change things at the same time, each with the newest token it was given."""
    first = await stage.account(phase, "s0")
    await first.fetch_csrf()
    tabs = [first, first.tab(), first.tab()]

    async def work(turn: int) -> None:
        for _ in range(4):
            await tabs[turn].post_csrf()

    await asyncio.gather(*(work(turn) for turn in range(len(tabs))))
    for tab in tabs:
        await tab.post_csrf()


async def _replay(stage: Stage, phase: str) -> None:
    """One token in twenty requests at once, over all instances, again and again; then a rotation ends every grace."""
    client = await stage.account(phase, "s0")
    await client.fetch_csrf()
    token, urls = client.token, itertools.cycle(stage.urls)
    for _ in range(3):
        token = client.token
        await stage.wire.burst(_CROWD)
        gate = stage.wire.gate(_CROWD)
        await asyncio.gather(*(client.post_csrf(token=token, instance=next(urls), gate=gate) for _ in range(_CROWD)))
    before = client.token
    if keeps_to_contract(stage, *_ROUTES):
        await client.rotate_csrf()
        for old in (token, before):
            await client.post_csrf(token=old, keep=False)
        await client.post_csrf()


async def _fetch(stage: Stage, phase: str) -> None:
    """The token asked for on every instance, twice."""
    client = await stage.account(phase, "s0")
    for url in stage.urls * 2:
        await client.fetch_csrf(instance=url)


async def _fetch_too_often(stage: Stage, phase: str) -> None:
    """The token asked for more often than the limit allows, on all instances."""
    client, limit = await stage.account(phase, "s0"), stage.limit("api")
    urls, gate = itertools.cycle(stage.urls), asyncio.Semaphore(_CROWD)

    async def one(url: str) -> None:
        async with gate:
            await client.fetch_csrf(instance=url)

    await asyncio.gather(*(one(next(urls)) for _ in range(limit.max + 5)))


async def _without(stage: Stage, phase: str) -> None:
    """Protected requests without a token, and with one that nobody was given, on every instance and every route."""
    client = await stage.account(phase, "s0")
    await client.fetch_csrf()
    held, client.token = client.token, None
    for url in stage.urls:
        await client.post_csrf(instance=url, sent={"story": "missing"})
        await client.post_csrf(token="0" * 64, keep=False, instance=url, sent={"story": "made up"})
    for method, path in _CHANGING if keeps_to_contract(stage, *_ROUTES) else ():
        await client.post_csrf(route=Route(method=method, path=path), json={}, sent={"story": "missing"})
    client.token = held


async def _sessions(stage: Stage, phase: str) -> None:
    """A session that is used on every instance, refreshed on another than it was opened on, and used again."""
    client = await stage.account(phase, "s0")
    for url in stage.urls:
        await client.use_session(instance=url)
    if stage.wire.target.profile.auth.refresh is not None and client.credentials.refresh:
        for url in stage.urls:
            await client.refresh(instance=url)
            await client.use_session(instance=url)


async def _logout(stage: Stage, phase: str) -> None:
    """A session that is ended on one instance and tried with everything it had on every instance."""
    client = await stage.account(phase, "s0")
    await client.fetch_csrf()
    await client.post_csrf()
    await client.fetch_csrf()  # where no successor was delivered, the logout must not fail for that
    await client.logout(instance=stage.urls[0])
    for url in stage.urls:
        await client.use_session(instance=url)
        await client.post_csrf(instance=url, keep=False)
    if client.credentials.refresh:
        await client.refresh(instance=stage.urls[-1])


async def _devices(stage: Stage, phase: str) -> None:
    """Two sessions of one account that both change things: neither may lock the other out."""
    phone = await stage.account(phase, "phone")
    laptop = phone.device(f"{phase}/laptop")
    await laptop.login()
    for device in (phone, laptop):
        await device.fetch_csrf()
    for _ in range(3):
        await phone.post_csrf()
        await laptop.post_csrf()


async def _spent_refresh(stage: Stage, phase: str) -> None:
    """A refresh token that was traded on one instance and is presented again on another."""
    client = await stage.account(phase, "s0")
    spent = client.credentials.refresh
    await client.refresh(instance=stage.urls[0])
    for url in stage.urls[1:] or stage.urls:
        await client.refresh(token=spent, instance=url)


CSRF_SCENARIOS = (
    Scenario("csrf follow", _follow),
    Scenario("csrf tabs", _tabs, (needs_grace,)),
    Scenario("csrf replay", _replay),
    Scenario("csrf fetch", _fetch),
    Scenario("csrf fetch limit", _fetch_too_often, (needs_limit("api"), _FETCH_LIMITED)),
    Scenario("csrf without", _without),
    Scenario("csrf devices", _devices, (_LOGIN,)),
    Scenario("sessions", _sessions),
    Scenario("logout", _logout, (_LOGOUT,)),
    Scenario("refresh", _spent_refresh, (_REFRESH, _TRADED_ONCE)),
)
