"""The experiment `failover`: what it claims about failures of Redis, and that a real run comes out right."""

import asyncio
import time

import pytest

from cryptosense.workbench.experiments.failover import EXPERIMENT
from cryptosense.workbench.experiments.failover_lanes import store_answers


def test_an_unknown_failure_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ValueError, match="sentinel-kill"):
        EXPERIMENT.parameters(scenarios=("meteorite",))


def test_each_chosen_failure_has_its_claims_and_no_other_has():
    claims = EXPERIMENT.claims(EXPERIMENT.parameters(scenarios=("freeze",)))
    assert {claim.id.partition("-")[0] for claim in claims} == {"freeze"}
    assert len(claims) == 9


@pytest.mark.end_to_end
async def test_a_killed_and_restarted_server_is_felt_as_honest_refusals_only(conducted):
    small = {"instances": 2, "sessions": 3, "before_s": 1.0, "limit": 12, "window_s": 2.0}
    judged = await conducted(EXPERIMENT, **small, scenarios=("kill-restart",))
    assert judged.violated() == set()
    timings = {
        "kill-restart-no-hang",
        "kill-restart-serves-again",
        "kill-restart-hands-back",
        "kill-restart-well-again",
    }
    assert set(judged.not_holding()) <= timings
    assert {chart.name for chart in judged.charts} == {"timeline_standalone-aof", "recovery", "lost_writes"}
    assert "server killed" in judged.charts[0].alt


@pytest.mark.end_to_end
@pytest.mark.full
async def test_after_a_planned_failover_a_write_counts_only_where_it_stays(conducted):
    small = {"instances": 2, "sessions": 3, "before_s": 1.0, "limit": 12, "window_s": 2.0}
    judged = await conducted(EXPERIMENT, **small, scenarios=("sentinel-demote",))
    assert judged.violated() == set()
    fault = next(span for span in judged.history.spans() if span.labels.get("phase") == "sentinel-demote")
    answers = judged.history.observations("store.answers", phase="sentinel-demote")
    after = [item.value for item in answers if item.at > fault.ended_at + 0.5]
    assert after, "it was asked"
    assert set(after) == {1.0}, "the new primary takes writes"
    replays = judged.history.operations("csrf.post", phase="sentinel-demote")
    assert any(op.sent.get("replay") and op.invoked_at > fault.ended_at for op in replays), "tokens rotate there"


class Telling:
    """A store whose primary says this of its replication."""

    def __init__(self, **replication):
        self.replication = replication

    async def info(self, section):
        assert section == "replication"
        return self.replication


class Silent:
    """A frozen server, as a client sees it that ends by itself and not when it is cancelled."""

    async def info(self, section):
        try:
            await asyncio.sleep(3)
        except asyncio.CancelledError:
            await asyncio.sleep(3)
        raise OSError(f"no {section}")


class Dead:
    async def info(self, section):
        raise OSError(f"no {section}")


@pytest.mark.parametrize(
    ("store", "takes_writes"),
    [
        (Telling(role="master"), True),
        (Telling(role="master", min_slaves_good_slaves="1"), True),
        (Telling(role="master", min_slaves_good_slaves="0"), False),
        (Telling(role="slave"), False),
        (Silent(), False),
        (Dead(), False),
    ],
)
async def test_a_store_answers_when_its_primary_takes_writes(store, takes_writes):
    started = time.monotonic()
    assert await store_answers(store) is takes_writes
    assert time.monotonic() - started < 1.5, "a store that says nothing holds up no later reading"
