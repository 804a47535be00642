"""What of a deployment can be tested, found out with a handful of single requests."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from cryptosense.workbench.client.answers import dig
from cryptosense.workbench.deployment import Capability
from cryptosense.workbench.experiments.failover_scenarios import SCENARIOS
from cryptosense.workbench.target import Account, Route, Target, reveal
from cryptosense.workbench.targets.foreign import ANSWER_TIMEOUT_S, ForeignDeployment

ASKED_LIMITS = ("api", "auth", "strict")
"""The limits that the experiments ask about: a signed-in user's, an address's at sign-in, a tight one of a user."""

ASKED_FAULTS = ("outage", *(name for name, scenario in SCENARIOS.items() if not scenario.control))
"""The faults that experiments inflict by an owner's commands: `integration` the first, `failover` the others."""

_FAULTS = ", ".join(ASKED_FAULTS)


@dataclass(frozen=True, slots=True)
class Testable:
    """`provide` says what is missing where `yes` is False, and is a remark where it is True."""

    topic: str
    yes: bool
    provide: str = ""


async def check_target(target: Target) -> list[Testable]:
    """Asks each address for its health, signs in with one ready account where there is one, and judges the rest.

    Where no address says anything about its health, there is nothing more to say.

    Creates nothing. An address that does not answer, or an account that is refused, is found here and not under load.
    """
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S) as client:
        answers = [await _answers(client, url, target.profile.health.health) for url in target.urls]
        if not any(answer.yes for answer in answers):
            return answers
        bearer, accounts = await _sign_in(client, target)
        found = [*answers, accounts]
        if bearer is not None:
            found.append(await _csrf(client, target, bearer))
    return [*found, *_limits(target), *_by_capability(target), *_hooks(target)]


async def _answers(client: httpx.AsyncClient, url: str, route: Route) -> Testable:
    topic = f"health at {url}"
    try:
        answer = await client.request(route.method, url.rstrip("/") + route.path)
    except httpx.HTTPError as error:
        return Testable(topic, False, f"it does not answer ({error or type(error).__name__}); check the address")
    if answer.status_code not in {200, 503}:
        return Testable(topic, False, f"{route.path} answers {answer.status_code}; name the route in [health] health")
    return Testable(topic, True, f"answers {answer.status_code}")


async def _sign_in(client: httpx.AsyncClient, target: Target) -> tuple[str | None, Testable]:
    profile = target.profile
    if not profile.accounts:
        if profile.auth.register_route is None:
            return None, Testable("sessions", False, "provide [[accounts]], or [auth] register_route")
        return None, Testable("sessions", True, "accounts will be registered, within the ceiling")
    try:
        bearer = await _bearer(client, target, profile.accounts[0])
    except (httpx.HTTPError, KeyError, ValueError, TypeError) as error:
        return None, Testable("sessions", False, f"the first of [[accounts]] cannot sign in: {error}")
    return bearer, Testable("sessions", True, f"{len(profile.accounts)} ready accounts")


async def _bearer(client: httpx.AsyncClient, target: Target, account: Account) -> str:
    if account.bearer is not None:
        return reveal(account.bearer)
    auth = target.profile.auth
    if auth.login is None or account.email is None or account.password is None:
        raise ValueError("it needs a bearer, or email and password and [auth] login")
    body = {auth.email_field: reveal(account.email), auth.password_field: reveal(account.password)}
    url = target.urls[0].rstrip("/") + auth.login.path
    answer = (await client.request(auth.login.method, url, json=body)).raise_for_status()
    return _text_at(answer.json(), auth.bearer_field)


async def _csrf(client: httpx.AsyncClient, target: Target, bearer: str) -> Testable:
    csrf = target.profile.csrf
    url = target.urls[0].rstrip("/") + csrf.fetch.path
    try:
        answer = await client.request(csrf.fetch.method, url, headers={"Authorization": f"Bearer {bearer}"})
        token = _text_at(answer.raise_for_status().json(), csrf.field)
    except (httpx.HTTPError, KeyError, ValueError, TypeError) as error:
        return Testable("CSRF tokens", False, f"no token at {csrf.fetch.path} in {csrf.field!r} ({error}); see [csrf]")
    if csrf.successor == "none":
        return Testable("CSRF tokens", True, "with a fetch before every request, as no successor is delivered")
    return Testable("CSRF tokens", True, f"a token of {len(token)} characters, successor in the {csrf.successor}")


def _limits(target: Target) -> Iterator[Testable]:
    for name, limit in target.profile.limits.items():
        if name not in ASKED_LIMITS:
            yield Testable(f"limit {name}", False, f"nothing asks about it; name it one of {', '.join(ASKED_LIMITS)}")
            continue
        declared = f"{limit.max} in {limit.window_s:g} s at {limit.method} {limit.path}; declared, not tried"
        yield Testable(f"limit {name}", True, declared)
    if not target.profile.limits:
        yield Testable("rate limits", False, "provide [limits.NAME] with max, window_s, method and path")


def _by_capability(target: Target) -> Iterator[Testable]:
    granted = ForeignDeployment(target).capabilities
    needs: tuple[tuple[str, Capability, str], ...] = (
        ("calls that reach the upstream", Capability.UPSTREAM_COUNT, "provide [upstream] calls_url"),
        ("a slow upstream", Capability.UPSTREAM_CONTROL, "provide [upstream] slow_command and heal_command"),
        ("faults", Capability.FAULTS, f"provide [hooks.fault] and [hooks.heal], both with names of {_FAULTS}"),
        ("a restart", Capability.RESTART, "provide [hooks] restart"),
        ("many client addresses", Capability.ADDRESSES, "only a deployment on this machine's loopback sees many"),
    )
    for topic, capability, provide in needs:
        yield Testable(topic, capability in granted, "" if capability in granted else provide)
    rollback = target.profile.hooks.rollback
    yield Testable("a rollback", rollback is not None, "" if rollback else "provide [hooks] rollback")


def _hooks(target: Target) -> Iterator[Testable]:
    """The faults that are named: each needs a command and a cure, and an experiment that asks for it."""
    hooks = target.profile.hooks
    for name in sorted({*hooks.fault, *hooks.heal}):
        topic = f"fault {name}"
        missing = [part for part, given in (("fault", hooks.fault), ("heal", hooks.heal)) if name not in given]
        if name not in ASKED_FAULTS:
            yield Testable(topic, False, f"nothing asks for it; name it one of {_FAULTS}")
        elif missing:
            yield Testable(topic, False, f"provide [hooks.{missing[0]}] {name}")
        else:
            yield Testable(topic, True, "its commands are not tried here")


def _text_at(document: Any, path: str) -> str:
    """The text at a dotted path.

    Raises:
        KeyError: there is none.
    """
    found = dig(document, path)
    if not isinstance(found, str):
        raise KeyError(path)
    return found
