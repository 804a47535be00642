"""What do users feel when Redis fails?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from cryptosense.workbench.claims.claim import Claim, Judgement
from cryptosense.workbench.claims.fallback import (
    admissions_within_insurance,
    fallback_is_told,
    hands_back_within,
)
from cryptosense.workbench.claims.recovery import (
    answers_within,
    felt_by_nobody,
    no_unexplained_false_accept,
    only_honest_refusals,
    well_again,
    writes_accounted_for,
    writes_again_within,
)
from cryptosense.workbench.experiment import Charge, Chart, Doubt, Lab
from cryptosense.workbench.experiments.failover_parameters import FailoverParameters
from cryptosense.workbench.experiments.failover_scenarios import SCENARIOS, Scenario
from cryptosense.workbench.experiments.promise import told_to_the_end
from cryptosense.workbench.history import History

_ALL_KINDS = ("csrf", "limit", "tokens", "session")
_REPLICATION_S = 2.0
"""How long before the fault a write may have been acknowledged and yet be lost: `min-replicas-max-lag`."""


class Failover:
    """Implements `experiment.Experiment`."""

    name: ClassVar[str] = "failover"
    order: ClassVar[int] = 50
    doubt: ClassVar[Doubt] = Doubt(
        question="What do users feel when Redis fails, and what is lost?",
        method=(
            "Sessions that rotate their CSRF token and replay each used one, a client over its limit, readers of "
            "cached and of private data, all at once, while real servers are killed, frozen, restarted and emptied of "
            "their scripts. Every acknowledged write is followed to what its session holds afterwards."
        ),
        changes_our_mind=(
            "A used token that passes although no counted lost write explains it, an answer of 500 or above that is "
            "no honest 503, more admissions than limit and declared insurance, a request that hangs, or an instance "
            "that does not serve again in time."
        ),
    )
    parameters: ClassVar[type[Any]] = FailoverParameters
    full: ClassVar[Mapping[str, Any]] = {"scenarios": tuple(SCENARIOS), "sessions": 10, "before_s": 4.0, "after_s": 8.0}

    charges: ClassVar[Mapping[str, Charge]] = {
        "CONN-1": Charge(("freeze-no-hang",), {"scenarios": ("freeze",), "instances": 2, "hold_factor": 4.0}),
        "CONN-2": Charge(
            ("kill-restart-hands-back",), {"scenarios": ("kill-restart",), "instances": 2, "after_s": 13.0}
        ),
        "RATE-7": Charge(
            ("freeze-insured",), {"scenarios": ("freeze",), "instances": 2, "limit": 12, "hold_factor": 1.5}
        ),
    }
    """Each trial short, and its flaw plain on a busy machine too."""

    async def conduct(self, parameters: FailoverParameters, lab: Lab) -> None:
        from cryptosense.workbench.experiments.failover_conduct import conduct_failover  # noqa: PLC0415 (heavy)

        await conduct_failover(parameters, lab)

    def claims(self, parameters: FailoverParameters) -> Sequence[Claim]:
        return [
            replace(claim, check=told_to_the_end(claim.check, scenario.phase))
            for scenario in parameters.chosen
            for claim in _claims(parameters, scenario)
        ]

    def charts(
        self, parameters: FailoverParameters, history: History, judgements: Sequence[Judgement]
    ) -> Sequence[Chart]:
        from cryptosense.workbench.experiments.failover_charts import failover_charts  # noqa: PLC0415 (heavy)

        return failover_charts(parameters, history, judgements)


def _claims(given: FailoverParameters, scenario: Scenario) -> Iterator[Claim]:
    phase, when = scenario.phase, scenario.label
    restarted = scenario.fault == "kill" and scenario.hold_s is not None  # else another server takes over
    if scenario.control:
        yield Claim(
            f"{phase}-writes",
            f"{when}: no acknowledged write is lost.",
            ("improvement:token-persistence",),
            writes_accounted_for(phase=phase, at_most=0),
            control=True,
        )
        return
    may_lose, insurance = scenario.may_lose, 0 if scenario.felt == "by nobody" else given.insurance
    yield Claim(
        f"{phase}-writes",
        f"{when}: every acknowledged write is accounted for, "
        + ("and none is lost." if may_lose == 0 else "and none is lost that had time to be replicated."),
        ("improvement:token-persistence",) if restarted else ("CSRF-2",),
        writes_accounted_for(phase=phase, at_most=may_lose, window_s=_REPLICATION_S),
    )
    yield Claim(
        f"{phase}-no-false-accept",
        f"{when}: a used CSRF token passes only where a counted lost write explains it.",
        ("CSRF-2", "CSRF-5"),
        no_unexplained_false_accept(phase=phase, window_s=_REPLICATION_S),
    )
    yield Claim(
        f"{phase}-honest",
        f"{when}: nothing of 500 or above is answered save a 503 that names itself and says when to come again.",
        ("CSRF-5", "RATE-7"),
        only_honest_refusals(*_ALL_KINDS, phase=phase),
    )
    if scenario.felt == "by nobody":
        yield Claim(
            f"{phase}-unfelt",
            f"{when}: nobody is refused for it, not even by an honest 503, or left without an answer.",
            ("CONN-2",),
            felt_by_nobody(*_ALL_KINDS, phase=phase),
        )
    yield Claim(
        f"{phase}-no-hang",
        f"{when}: no request waits for the store beyond its budget.",
        ("CONN-1",),
        answers_within(*_ALL_KINDS, phase=phase, bound_s=2.0),
    )
    since_cure = scenario.felt == "by services"
    moment = "the cure" if since_cure else "the store's answering"
    yield Claim(
        f"{phase}-serves-again",
        f"{when}: every instance writes again within 2 s of {moment}.",
        ("CONN-2",),
        writes_again_within("csrf.post", phase=phase, bound_s=2.0, since_store_answers=True, since_cure=since_cure),
    )
    if scenario.felt == "by all":
        yield Claim(
            f"{phase}-fallback-told",
            f"{when}: while the store is away, every instance's readiness says that a fallback decides.",
            ("RATE-7",),
            fallback_is_told(phase=phase),
        )
    # A planned failover may be over before any readiness was asked, and then nothing has been handed back.
    if scenario.felt != "by nobody" and scenario.fault != "demote":
        yield Claim(
            f"{phase}-hands-back",
            f"{when}: fallbacks hand back to the store within 2 s of {moment}.",
            ("CONN-2", "RATE-7"),
            hands_back_within(phase=phase, bound_s=2.0, since_cure=since_cure),
        )
    if scenario.again_s is not None:
        yield Claim(
            f"{phase}-recovery",
            f"{when}: every instance writes again within {scenario.again_s:g} s of the fault.",
            ("CONN-2",),
            writes_again_within("csrf.post", phase=phase, bound_s=scenario.again_s, since_store_answers=False),
            advisory=_ELECTION,
        )
    yield Claim(
        f"{phase}-insured",
        f"{when}: no window admits more than the limit{_beyond_the_limit(insurance, may_lose)}.",
        ("RATE-7", "RATE-1"),
        admissions_within_insurance(
            "limit.probe",
            phase=phase,
            actor="hot",
            limit=given.limit,
            window_s=given.window_s,
            insurance=insurance,
            may_forget=may_lose is None,
        ),
    )
    yield Claim(
        f"{phase}-well-again",
        f"{when}: from 2 s after the cure nothing fails any more.",
        ("CONN-2", "checklist:testing-5") if restarted else ("CONN-2",),
        well_again(*_ALL_KINDS, phase=phase),
    )


def _beyond_the_limit(insurance: int, may_lose: int | None) -> str:
    if insurance == 0:
        return ", since nobody is without the store"
    forgotten = ", save for admissions that a store forgot which lost acknowledged writes" if may_lose is None else ""
    return f" and, in the outage, the declared insurance{forgotten}"


_ELECTION = (
    "Most of this time is the sentinels' vote, which waits at random and may have to be repeated; what the service "
    "adds to it is judged by the claim that begins with the store's answering"
)
EXPERIMENT = Failover()
