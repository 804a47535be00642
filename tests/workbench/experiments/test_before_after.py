"""The experiment `before_after`: what it claims, and that a real run of it comes out as it should."""

import pytest

from cryptosense.workbench.claims.claim import judge
from cryptosense.workbench.experiments.before_after import EXPERIMENT
from cryptosense.workbench.history import History, Observation, Operation, Outcome
from cryptosense.workbench.verdicts import Verdict

CLAIMS = {claim.id: claim for claim in EXPERIMENT.claims(EXPERIMENT.parameters())}


def asked(*statuses, kind="csrf.post", phase="redis-2 csrf", actor="redis-2/s0"):
    away = {"code": "STATE_UNAVAILABLE", "retry_after": 1}
    return tuple(
        Operation(
            number,
            kind,
            actor,
            "http://a",
            number,
            number + 0.1,
            Outcome.UNKNOWN if status is None else Outcome.OK if status < 400 else Outcome.FAILED,
            status,
            phase,
            got=away if status == 503 else {},
        )
        for number, status in enumerate(statuses, start=1)
    )


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ((201, 403, 429, 201), Verdict.HOLDS),
        ((201, 503, 503, 503), Verdict.VIOLATED),
        ((201, 500), Verdict.VIOLATED),
        ((201, None), Verdict.VIOLATED),
        ((), Verdict.UNDECIDED),
    ],
)
def test_a_service_that_serves_few_of_those_who_ask_is_convicted_however_honest_it_is(statuses, verdict):
    assert judge(CLAIMS["redis-2-served"], History(0.0, asked(*statuses))).finding.verdict is verdict
    others = asked(*statuses, phase="redis-3 csrf", actor="redis-3/s0")
    assert judge(CLAIMS["redis-2-served"], History(0.0, others)).finding.verdict is Verdict.UNDECIDED


def test_who_was_not_served_on_a_busy_machine_convicts_nobody():
    events = (*asked(201, 503, None), Observation("machine.foreign_cpu", 5.0, 0.9, {}))
    assert judge(CLAIMS["redis-2-served"], History(0.0, events)).finding.verdict is Verdict.UNDECIDED


@pytest.mark.end_to_end
async def test_memories_fail_as_foretold_and_shared_state_does_not(conducted):
    judged = await conducted(EXPERIMENT, instances=2, sessions=2, posts=10, limit=5, lists=1)
    assert judged.not_holding() == {}
    controls = {item.claim.id for item in judged.judgements if item.claim.control}
    assert judged.violated() == controls == {"memory-2-csrf", "memory-2-limit", "memory-2-fetches", "memory-2-hits"}
    rate = next(item.finding for item in judged.judgements if item.claim.id == "memory-2-rate")
    assert rate.observed == 50.0
    assert "50 % at 2" in judged.charts[0].alt
