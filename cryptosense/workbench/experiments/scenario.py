"""Scenarios: short stories told to a deployment at the same time, each with clients, budgets and a phase of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.client import Caller, Wire
from cryptosense.workbench.deployment import Capability, Deployment
from cryptosense.workbench.experiment import Lab
from cryptosense.workbench.target import LimitProfile, TargetProfile
from cryptosense.workbench.targets.ceilings import CeilingReached
from cryptosense.workbench.targets.hooks import HookFailed

LONGEST_WINDOW_S = 30.0
"""A limit with a longer window is not waited out within a run."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario plays on."""

    lab: Lab
    deployment: Deployment
    wire: Wire

    @property
    def urls(self) -> tuple[str, ...]:
        return self.wire.target.urls

    def limit(self, policy: str) -> LimitProfile:
        return self.wire.target.profile.limits[policy]

    async def account(self, phase: str, name: str) -> Caller:
        """A signed-in client of this scenario's own."""
        return await self.wire.account(f"{phase}/{name}", phase=phase)

    def guest(self, phase: str, name: str) -> Caller:
        """A client of this scenario's own that is not signed in, at an address of its own."""
        return self.wire.caller(f"{phase}/{name}", phase=phase)


Play = Callable[[Stage, str], Awaitable[None]]
Turn = Callable[[], Awaitable[None]]
Need = Callable[[Stage], str | None]
"""Why the scenario cannot be played here, and what to provide; None where it can."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`name` is the phase of its operations, and `also` are further ones that it opens."""

    name: str
    play: Play
    needs: Sequence[Need] = ()
    also: Sequence[str] = ()

    def leave_out(self, wire: Wire, reason: str) -> None:
        """Writes down why its claims cannot be judged."""
        for phase in (self.name, *self.also):
            wire.skip(phase, reason)


async def play_together(stage: Stage, scenarios: Sequence[Scenario]) -> None:
    """Plays all at the same time. One that cannot be played, or gets no account, is left out with the reason."""
    async with asyncio.TaskGroup() as group:
        for scenario in scenarios:
            group.create_task(_play(stage, scenario))


async def play_in_turn(stage: Stage, scenarios: Sequence[Scenario]) -> None:
    """Plays one after the other, for those that would be in each other's way."""
    for scenario in scenarios:
        await _play(stage, scenario)


async def _play(stage: Stage, scenario: Scenario) -> None:
    reason = next((why for need in scenario.needs if (why := need(stage)) is not None), None)
    if reason is None:
        stage.wire.declare(scenario.name)
        try:
            await scenario.play(stage, scenario.name)
        except (CouldNotStart, CeilingReached, HookFailed) as error:
            reason = str(error)
    if reason is not None:
        scenario.leave_out(stage.wire, reason)


def needs_route(name: str, present: Callable[[Stage], object]) -> Need:
    """The target profile must name the route."""

    def need(stage: Stage) -> str | None:
        return None if present(stage) else f"the target profile names no route for {name}"

    return need


def needs_contract(what: str, *keys: str) -> Need:
    """What no key of the profile describes is asked only of deployments that keep to the wire contract around it.

    `keys` are `section.key` of the profile, which must stand at their defaults.
    """

    def need(stage: Stage) -> str | None:
        differing = [key for key in keys if not as_contracted(stage.wire.target.profile, key)]
        if not differing:
            return None
        section, _, key = differing[0].partition(".")
        return f"{what} is known only of the wire contract, from which this deployment differs in [{section}] {key}"

    return need


def keeps_to_contract(stage: Stage, *keys: str) -> bool:
    """Whether the profile says nothing else than the wire contract of these keys."""
    return all(as_contracted(stage.wire.target.profile, key) for key in keys)


PORTFOLIOS = ("csrf.protected", "csrf.protected_body", "csrf.remove", "cache.portfolios")
"""The keys that say where the contract's portfolios are."""


def as_contracted(profile: TargetProfile, key: str) -> bool:
    """Whether the key, `section.key`, stands at the wire contract's value."""
    section, _, name = key.partition(".")
    found, contract = (getattr(getattr(one, section), name) for one in (profile, TargetProfile()))
    return bool(found == contract)


def needs_limit(policy: str, *, waited_out: bool = False) -> Need:
    """The limit must be declared, and where it is waited out its window must be short."""

    def need(stage: Stage) -> str | None:
        limit = stage.wire.target.profile.limits.get(policy)
        if limit is None:
            return f"the limit {policy} is not declared: add [limits.{policy}] to the target profile"
        if waited_out and limit.window_s > LONGEST_WINDOW_S:
            return (
                f"the window of {policy} is {limit.window_s:g} s, and this takes several windows: "
                f"set one of at most {LONGEST_WINDOW_S:g} s for the run"
            )
        return None

    return need


def needs_grace(stage: Stage) -> str | None:
    """A replaced token must be declared to stay good for a while."""
    if stage.wire.target.profile.csrf.grace_s > 0:
        return None
    return "no grace is declared ([csrf] grace_s = 0): two tabs that act at the same time are not promised to pass"


def needs_same_site(stage: Stage) -> str | None:
    """The deployment must claim to refuse the requests of other sites' pages."""
    if stage.wire.target.profile.csrf.other_sites == "refused":
        return None
    return "the target profile says that other sites' pages are not told apart ([csrf] other_sites)"


def needs(capability: Capability, provide: str) -> Need:
    """The deployment must grant the capability."""

    def need(stage: Stage) -> str | None:
        return None if capability in stage.deployment.capabilities else provide

    return need


def needs_addresses(stage: Stage) -> str | None:
    """Clients must be able to have addresses of their own."""
    if stage.wire.own_addresses:
        return None
    return "all requests come from one address here; run on Linux against a deployment on loopback"


@contextlib.asynccontextmanager
async def repeated(turns: Iterable[Turn], *, every_s: float) -> AsyncIterator[None]:
    """Each turn is taken again and again, side by side with the others, until the block ends; none is left half done.

    `every_s` is the pause between the end of a turn and the next beginning.
    """
    over = asyncio.Event()

    async def go_on(turn: Turn) -> None:
        while not over.is_set():
            await turn()
            await asyncio.sleep(every_s)

    async with asyncio.TaskGroup() as group:
        for turn in turns:
            group.create_task(go_on(turn))
        try:
            yield
        finally:
            over.set()
