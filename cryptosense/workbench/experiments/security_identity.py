"""Attacks on who somebody is: addresses that are made up, tokens that are another's or used already, forged bearers."""

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping

from cryptosense.workbench.client import Caller
from cryptosense.workbench.deployment import Capability
from cryptosense.workbench.experiments.scenario import (
    PORTFOLIOS,
    Play,
    Scenario,
    Stage,
    needs_addresses,
    needs_contract,
    needs_limit,
    needs_route,
)
from cryptosense.workbench.faults import FAULTS, inflicted
from cryptosense.workbench.target import Route

PROXY = "127.88.0.1"
"""The one address that the deployment is told to trust as a proxy (`TRUSTED_PROXIES`)."""

_FORWARDING = ("X-Forwarded-For", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP")
_LOGIN = needs_route("login", lambda stage: stage.wire.target.profile.auth.login)
_CROWD, _ROUNDS = 20, 6
_SLOWED_MS = "25"


def _ours(stage: Stage) -> str | None:
    return "TRUSTED_PROXIES cannot be set on a deployment that is not ours" if stage.wire.target.foreign else None


def _skewed(stage: Stage) -> str | None:
    return "the clocks of instances that are not ours cannot be set" if stage.wire.target.foreign else None


async def _spoofed(stage: Stage, phase: str) -> None:
    """One address that says each time that it is another."""
    attacker = stage.guest(phase, "attacker")
    for number in range(3 * stage.limit("auth").max):
        address = f"198.51.100.{number + 1}"
        headers = dict.fromkeys(_FORWARDING, address) | {"Forwarded": f"for={address}"}
        await attacker.probe("auth", headers=headers, sent={"claimed_address": address})


async def _victim(stage: Stage, phase: str) -> None:
    """An attacker who names the victim's address, then the victim, who should have lost nothing."""
    victim, attacker = stage.guest(phase, "victim"), stage.guest(phase, "attacker")
    for _ in range(2 * stage.limit("auth").max):
        await attacker.probe("auth", headers={"X-Forwarded-For": victim.address or ""})
    victim.phase = f"{phase} spared"
    for _ in range(stage.limit("auth").max):
        await victim.probe("auth")


def _through_proxy(forwarded: Callable[[int], str], *, budgets: Callable[[int], str] | None = None) -> Play:
    """Probes that come through the trusted proxy, each with the `X-Forwarded-For` for its number."""

    async def play(stage: Stage, phase: str) -> None:
        attempts = 3 * stage.limit("auth").max
        for number in range(attempts):
            name = budgets(number) if budgets else "client"
            proxied = stage.wire.caller(f"{phase}/{name}", phase=phase, address=PROXY)
            await proxied.probe("auth", headers={"X-Forwarded-For": forwarded(number)})

    return play


@contextlib.asynccontextmanager
async def _slow_store(stage: Stage) -> AsyncIterator[None]:
    """What is decided in two steps is overtaken between them, and surely so where each step takes a while."""
    if stage.deployment.store is None or Capability.FAULTS not in stage.deployment.capabilities:
        yield
        return
    async with inflicted(FAULTS["slow"](stage.deployment, (_SLOWED_MS,)), stage.lab.recorder):
        yield


async def _replayed(stage: Stage, phase: str) -> None:
    """One token in many requests at once over all instances, several times over; then each once more."""
    async with _slow_store(stage):
        await _replay(stage, phase)


async def _replay(stage: Stage, phase: str) -> None:
    client = await stage.account(phase, "s0")
    await client.fetch_csrf()
    spent = []
    for _ in range(_ROUNDS):
        token, urls = client.token, itertools.cycle(stage.urls)
        spent.append(token)
        await stage.wire.burst(_CROWD)
        gate = stage.wire.gate(_CROWD)
        await asyncio.gather(*(client.post_csrf(token=token, instance=next(urls), gate=gate) for _ in range(_CROWD)))
        await client.fetch_csrf()
    for token in spent:
        await client.post_csrf(token=token, keep=False)


async def _another_session(stage: Stage, phase: str) -> None:
    """The token of one session presented by another session of the same user."""
    mine = await stage.account(phase, "phone")
    other = mine.device(f"{phase}/laptop")
    await other.login()
    await _present(stage, mine, other)


async def _another_user(stage: Stage, phase: str) -> None:
    """The token of one user presented by another user."""
    await _present(stage, await stage.account(phase, "alice"), await stage.account(phase, "mallory"))


async def _present(stage: Stage, owner: Caller, thief: Caller) -> None:
    await owner.fetch_csrf()
    await thief.fetch_csrf()
    for url in stage.urls:
        await thief.post_csrf(token=owner.token, keep=False, kind="attack", instance=url)


async def _forged_bearers(stage: Stage, phase: str) -> None:
    """Bearers without a signature, with another's, cut short, of the wrong shape, and too long."""
    client = await stage.account(phase, "alice")
    good = client.credentials.bearer or ""
    head, _, rest = good.partition(".")
    body, _, signature = rest.partition(".")
    unsigned = _encoded({"alg": "none", "typ": "JWT"})
    other = _encoded({"sub": "1", "sid": "0" * 32, "iat": 1_700_000_000, "exp": 4_000_000_000})
    forged = [
        f"{unsigned}.{body}.",
        f"{unsigned}.{other}.",
        f"{head}.{other}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.{signature[::-1]}",
        good[: len(good) // 2],
        "x" * 6_000,
        "null",
    ]
    for bearer in forged:
        headers = {"Authorization": f"Bearer {bearer}"}
        await client.ask("attack", client.profile.cache.portfolios, headers=headers)


async def _others_portfolio(stage: Stage, phase: str) -> None:
    """A portfolio read, changed and removed by somebody whose it is not."""
    owner, thief = await stage.account(phase, "owner"), await stage.account(phase, "thief")
    await owner.fetch_csrf()
    await thief.fetch_csrf()
    made = await owner.write_portfolio(1)
    if not isinstance(made.body, dict) or "portfolio" not in made.body:
        return
    route = f"{owner.profile.cache.portfolios.path}/{made.body['portfolio']['id']}"
    await thief.ask("attack", Route(path=route))
    for method, change in (("PUT", {"name": "taken", "holdings": []}), ("DELETE", None)):
        await thief.post_csrf(route=Route(method=method, path=route), json=change, kind="attack")
    owner.phase = f"{phase} spared"
    await owner.ask("portfolios.read", Route(path=route))


async def _clocks(stage: Stage, phase: str) -> None:
    """A limit spent on instances whose clocks are apart by more than its window."""
    client, limit = await stage.account(phase, "user"), stage.limit("strict")
    for _ in range(3):
        await asyncio.gather(*(client.probe("strict") for _ in range(limit.max)))


def _encoded(part: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


_PROXIED = (_ours, needs_addresses, needs_limit("auth"))
IDENTITY_ATTACKS = (
    Scenario("spoofed address", _spoofed, (needs_limit("auth"),)),
    Scenario("victim named", _victim, (needs_limit("auth"), needs_addresses)),
    Scenario("spoofed through proxy", _through_proxy(lambda number: f"198.51.100.{number + 1}, 203.0.113.9"), _PROXIED),
    Scenario("IPv6 rotation", _through_proxy(lambda number: f"2001:db8:7:7::{number + 1:x}"), _PROXIED),
    Scenario(
        "IPv6 neighbours",
        _through_proxy(lambda number: f"2001:db8:7:{8 + number:x}::1", budgets=lambda number: f"net-{number}"),
        _PROXIED,
    ),
    Scenario(
        "IPv4 in IPv6",
        _through_proxy(lambda number: "203.0.113.44" if number % 2 else "::ffff:203.0.113.44"),
        _PROXIED,
    ),
    Scenario("token replay", _replayed),
    Scenario("another session's token", _another_session, (_LOGIN,)),
    Scenario("another user's token", _another_user),
    Scenario("forged bearers", _forged_bearers),
    Scenario(
        "another's portfolio",
        _others_portfolio,
        (needs_contract("a portfolio by its id", *PORTFOLIOS),),
    ),
    Scenario("clocks apart", _clocks, (needs_limit("strict"), _skewed)),
)
