"""The experiment `integration`: what it claims, and that a real run of it comes out as it should."""

import asyncio
from types import SimpleNamespace

import pytest

from cryptosense.workbench.claims.claim import judge
from cryptosense.workbench.experiments import integration
from cryptosense.workbench.experiments.integration import EXPERIMENT
from cryptosense.workbench.history import Event, History, Observation, Operation, Outcome, Recorder, Span, SpanKind
from cryptosense.workbench.verdicts import Verdict


def test_a_restart_that_broke_off_acquits_nobody_of_what_it_did_to_sessions():
    claims = {claim.id: claim for claim in EXPERIMENT.claims(EXPERIMENT.parameters())}
    asked = [
        Operation(number, kind, "restart/s0", "http://a", number, number + 0.1, Outcome.OK, 201, "restart")
        for number, kind in enumerate(("auth.register", "csrf.post", "session.use"))
    ]
    restarting = Span(SpanKind.PHASE, "one instance restarts", 0.5, 3.0)
    broke_off = Observation("skipped", 3.0, 1.0, {"phase": "restart", "reason": "the command failed"})

    def verdicts(*events: Event) -> list[Verdict]:
        history = History(0.0, events)
        return [judge(claims[name], history).finding.verdict for name in ("restart-sessions", "restart-others")]

    assert verdicts(*asked, restarting) == [Verdict.UNDECIDED, Verdict.HOLDS]
    assert verdicts(*asked, restarting, broke_off) == [Verdict.UNDECIDED, Verdict.UNDECIDED]
    lost = Operation(9, "session.use", "restart/s0", "http://a", 9.0, 9.1, Outcome.FAILED, 401, "restart")
    assert verdicts(*asked, lost, restarting, broke_off) == [Verdict.UNDECIDED, Verdict.VIOLATED]


@pytest.mark.parametrize(
    ("started_at", "ended_at", "verdict"),
    [
        (0.5, 2.5, Verdict.HOLDS),
        (0.5, 1.9, Verdict.UNDECIDED),  # no session was used meanwhile
        (1.05, 2.5, Verdict.UNDECIDED),  # the post was begun before
        (3.0, 4.0, Verdict.UNDECIDED),
    ],
)
def test_a_restart_during_which_the_others_were_not_asked_acquits_nobody(started_at, ended_at, verdict):
    claims = {claim.id: claim for claim in EXPERIMENT.claims(EXPERIMENT.parameters())}

    def judged(status: int) -> Verdict:
        asked = [
            Operation(number, kind, "restart/s0", "http://a", number, number + 0.1, Outcome.OK, status, "restart")
            for number, kind in enumerate(("csrf.fetch", "csrf.post", "session.use"))
        ]
        history = History(0.0, (*asked, Span(SpanKind.PHASE, "one instance restarts", started_at, ended_at)))
        return judge(claims["restart-others"], history).finding.verdict

    assert judged(200) is verdict
    assert judged(403) is Verdict.VIOLATED


class StarvedServer:
    """Reads a request only after a while; counts upstream calls, and how many there had been at the signal."""

    name = url = "starved"

    def __init__(self) -> None:
        self.calls = 0
        self.calls_at_signal: int | None = None

    async def calls_for(self, coins):
        assert coins == ("chainlink",)
        return self.calls

    async def read_tokens(self, *coins, instance):
        await asyncio.sleep(0.3)
        self.calls += 1
        await asyncio.sleep(0.1)

    async def health(self, *, instance): ...

    async def terminate(self, *, timeout):
        self.calls_at_signal = self.calls
        return 0

    async def restart(self): ...


async def test_an_instance_is_told_to_stop_once_its_fetch_has_reached_the_upstream_however_long_that_takes(tmp_path):
    server = StarvedServer()
    with Recorder(tmp_path / "history.jsonl.gz") as recorder:
        lab, deployment = SimpleNamespace(recorder=recorder), SimpleNamespace(upstream=server)
        stage = SimpleNamespace(lab=lab, deployment=deployment, guest=lambda phase, name: server)
        await integration._end_and_start(stage, server)
    assert server.calls_at_signal == 1


@pytest.mark.parametrize(
    ("phase", "verdict"),
    [("csrf follow", Verdict.VIOLATED), ("outage", Verdict.HOLDS), ("lost replies", Verdict.HOLDS)],
)
def test_an_honest_503_is_excused_where_the_store_is_away_and_nowhere_else(phase, verdict):
    claims = {claim.id: claim for claim in EXPERIMENT.claims(EXPERIMENT.parameters())}
    got = {"code": "STATE_UNAVAILABLE", "retry_after": 1}
    asked = Operation(1, "csrf.post", "s0", "http://a", 1.0, 1.1, Outcome.FAILED, 503, phase, got=got)
    assert judge(claims["no-server-error"], History(0.0, (asked,))).finding.verdict is verdict


@pytest.mark.end_to_end
async def test_every_promise_holds_across_instances_and_a_restart(conducted):
    judged = await conducted(EXPERIMENT, instances=2, window_s=4.0)
    assert judged.not_holding() == {}
    assert "holds" in judged.charts[0].alt


@pytest.mark.end_to_end
async def test_stories_that_were_left_out_say_so(conducted):
    judged = await conducted(EXPERIMENT, instances=2, stories="csrf", service="csrf-1")
    assert {"csrf-follow", "csrf-successor"} <= judged.violated()
    left_out = judged.not_holding()
    assert "stories is csrf" in left_out["limit-overload"]
    assert "stories is csrf" in left_out["restart-tokens"]


def test_what_looks_into_one_server_is_not_claimed_of_many():
    single, many = (
        {claim.id for claim in EXPERIMENT.claims(EXPERIMENT.parameters(topology=topology))}
        for topology in ("standalone", "cluster")
    )
    assert many < single
    assert {"store-driver", "outage-stop"} <= single - many
