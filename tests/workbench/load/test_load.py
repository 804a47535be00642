"""Loads against a bare service: who is counted, how, and what a generator says of itself."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from cryptosense.errors import UsageError, WorkbenchError
from cryptosense.workbench.history import Outcome, Recorder, load_history
from cryptosense.workbench.load import Ask, ClosedLoop, LoadClient, LoadPlan, OpenLoop, arrivals, drive
from cryptosense.workbench.load.headroom import Headroom
from cryptosense.workbench.topology.ports import free_port
from cryptosense.workbench.topology.process import ManagedProcess, start_together

SERVICE = Path(__file__).parent / "service.py"


class BareService(ManagedProcess):
    def __init__(self, folder):
        self.port = free_port()
        super().__init__("bare", [sys.executable, str(SERVICE), "--port", str(self.port)], folder=folder)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def answers(self):
        return "ready" in self.output()


@pytest.fixture
async def service(tmp_path):
    async with BareService(tmp_path) as service:
        await service.start()
        yield service


def plan_for(url, *asks, shape=None, seconds=20.0, **options):
    asks = asks or (Ask("bare.read", "/"),)
    clients = options.pop("clients", (LoadClient("c0"),))
    return LoadPlan("steady", (url,), clients, asks, shape or ClosedLoop(2, requests_each=5), seconds, **options)


async def carried_out(plan, tmp_path, progress=None):
    with Recorder(tmp_path / "history.jsonl.gz") as recorder:
        report = await drive(plan, folder=tmp_path, recorder=recorder, progress=progress)
    return report, load_history(tmp_path / "history.jsonl.gz")


async def test_a_closed_loop_sends_what_each_sender_has_to_send(service, tmp_path):
    shown = []

    class Progress:
        def advance(self, operations):
            shown.append(operations)

    clients = [LoadClient(f"c{index}") for index in range(4)]
    plan = plan_for(service.url, clients=clients, shape=ClosedLoop(4, requests_each=10), processes=2)
    report, history = await carried_out(plan, tmp_path, Progress())
    operations = history.operations("bare")
    assert len(operations) == report.requests == sum(shown) == 40
    assert {actor: sum(op.actor == actor for op in operations) for actor in ("c0", "c3")} == {"c0": 10, "c3": 10}
    assert {op.outcome for op in operations} == {Outcome.OK}
    assert {op.phase for op in operations} == {"steady"}
    assert operations[0].got == {"x_cache": "hit", "remaining": 41}
    assert operations[0].intended_at is None
    assert all(0 <= op.invoked_at <= op.completed_at for op in operations)
    assert len({op.id for op in operations}) == 40
    assert len(history.observations("generator.busy", phase="steady")) == 2
    assert history.observations("load.latency_ms", quantile="0.99")[0].value == pytest.approx(
        report.latency[0.99] * 1000
    )


async def test_an_open_loop_keeps_its_schedule_and_counts_latency_from_the_intended_time(service, tmp_path):
    plan = plan_for(service.url, Ask("bare.slow", "/slow"), shape=OpenLoop(100), seconds=1.0)
    due = [arrival.at for arrival in arrivals(plan, plan.shape)]
    report, history = await carried_out(plan, tmp_path)
    operations = sorted(history.operations(), key=lambda op: op.intended_at)
    assert len(operations) == len(due) == report.requests
    begun = operations[0].intended_at - due[0]
    assert [op.intended_at - begun for op in operations] == pytest.approx(due)
    early = 0.002  # uvloop rounds to milliseconds: a request may leave, and so be answered, that much before its time
    assert all(op.intended_at - early <= op.invoked_at for op in operations)
    assert all(op.latency >= 0.1 - early for op in operations)
    assert report.latency[0.5] >= 0.1 - early


def test_a_schedule_is_the_same_for_the_same_seed_and_ends_with_the_plan():
    plan = plan_for("http://x", Ask("a", "/", weight=3), Ask("b", "/"), shape=OpenLoop(500), seconds=4.0)
    first, again = list(arrivals(plan, plan.shape)), list(arrivals(plan, plan.shape))
    assert first == again
    assert first[-1].at < 4.0
    assert len(first) == pytest.approx(2000, rel=0.1)
    assert sum(arrival.ask == 0 for arrival in first) / len(first) == pytest.approx(0.75, abs=0.05)
    bounded = plan_for("http://x", shape=OpenLoop(500, "even"), seconds=4.0, max_requests=10)
    even = [0.002 * number for number in range(1, 11)]
    assert [arrival.at for arrival in arrivals(bounded, bounded.shape)] == pytest.approx(even)


async def test_what_never_arrived_failed_what_was_not_answered_is_unknown_and_a_refusal_keeps_its_code(
    service, tmp_path
):
    asks = (Ask("bare.limited", "/limited"), Ask("bare.hang", "/hang"))
    plan = plan_for(service.url, *asks, shape=ClosedLoop(8, requests_each=2), timeout_s=3)
    _, history = await carried_out(plan, tmp_path)
    for operation in history.operations("bare.limited"):
        assert (operation.outcome, operation.status) == (Outcome.FAILED, 429)
        assert operation.got == {"code": "RATE_LIMIT_EXCEEDED", "retry_after": 7}
    assert {op.outcome for op in history.operations("bare.hang")} == {Outcome.UNKNOWN}
    assert history.operations("bare.limited")
    assert history.operations("bare.hang")
    nobody = plan_for(f"http://127.0.0.1:{free_port()}", shape=ClosedLoop(1, requests_each=1))
    _, history = await carried_out(nobody, tmp_path)
    (operation,) = history.operations()
    assert (operation.outcome, operation.status) == (Outcome.FAILED, None)


async def test_a_refusals_code_is_found_where_the_deployment_puts_it_and_told_in_our_words(service, tmp_path):
    asks = (Ask("bare.own", "/own-words"), Ask("bare.limited", "/limited"))
    own = {"code_field": "problem.word", "codes": {"busy": "STATE_UNAVAILABLE"}, "keep": {"retry_after": "X-Wait"}}
    _, history = await carried_out(plan_for(service.url, *asks, **own), tmp_path)
    assert {str(op.got) for op in history.operations("bare.own")} == {
        str({"retry_after": 3, "code": "STATE_UNAVAILABLE"})
    }
    assert all(op.got.get("code") is None for op in history.operations("bare.limited"))
    assert history.operations("bare.limited")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
async def test_each_client_has_the_address_that_it_was_given(service, tmp_path):
    clients = [LoadClient("a", address="127.9.8.7"), LoadClient("b", address="127.9.8.9")]
    plan = plan_for(service.url, clients=clients, keep={"length": "Content-Length"})
    _, history = await carried_out(plan, tmp_path)
    assert len(history.operations()) == 10
    assert {op.got["length"] for op in history.operations()} == {len('{"peer": "127.9.8.7"}')}


async def test_a_csrf_post_presents_the_token_follows_the_successor_and_never_repeats_a_body(service, tmp_path):
    clients = [LoadClient("a", token="first", headers={"Authorization": "Bearer secret-bearer"})]
    ask = Ask("csrf.post", "/post", method="POST", body={"name": "{nonce}"}, csrf=True, sent={"policy": "api"})
    plan = plan_for(service.url, ask, clients=clients, shape=ClosedLoop(1, requests_each=3))
    _, history = await carried_out(plan, tmp_path)
    first, second, third = history.operations("csrf.post")
    assert first.status == 201
    assert first.sent["policy"] == "api"
    assert second.sent["token"] == first.got["successor"]
    assert third.sent["token"] == second.got["successor"]
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"secret-bearer" not in everything
    assert not list(tmp_path.rglob("plan.json"))


def wait_for(log, text, seconds=30):
    until = time.monotonic() + seconds
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)


async def test_a_cancelled_load_stops_and_keeps_what_it_did(service, tmp_path):
    plan = plan_for(service.url, Ask("bare.slow", "/slow"), shape=ClosedLoop(4), seconds=600)
    with Recorder(tmp_path / "history.jsonl.gz") as recorder:
        running = asyncio.create_task(drive(plan, folder=tmp_path, recorder=recorder))
        log = tmp_path / "load" / "steady" / "generator-0.log"
        await asyncio.to_thread(wait_for, log, "done 1")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    operations = load_history(tmp_path / "history.jsonl.gz").operations()
    assert sum(op.outcome is Outcome.OK for op in operations) >= 10
    assert 0 < sum(op.outcome is Outcome.UNKNOWN for op in operations) <= 4


async def test_a_generator_that_dies_is_told_and_what_the_others_did_is_kept(service, tmp_path, monkeypatch):
    plan = plan_for(service.url, Ask("bare.slow", "/slow"), shape=ClosedLoop(2), seconds=3, processes=2)

    async def kill_one(generators):
        await start_together(generators)
        await generators[1].kill()

    monkeypatch.setattr("cryptosense.workbench.load.driving.start_together", kill_one)
    with Recorder(tmp_path / "history.jsonl.gz") as recorder, pytest.raises(WorkbenchError, match="generator-1"):
        await drive(plan, folder=tmp_path, recorder=recorder)
    assert load_history(tmp_path / "history.jsonl.gz").operations()


def test_a_busy_late_or_starved_generator_says_so():
    quiet, late = Headroom(lags=[0.001] * 100), Headroom(lags=[0.001] * 5 + [0.2] * 95)
    for headroom in (quiet, late):
        headroom._began, headroom._ended = (0.0, 0.0), (10.0, 1.0)
    assert quiet.summary(100, peak_kib=1)["busy"] == 0.1
    assert quiet.summary(100, peak_kib=1)["cpu_us"] == 10_000
    assert late.summary(100, peak_kib=1)["busy"] == 0.95
    starved = Headroom(ticks=[0.2] * 99 + [0.0])
    starved._ended = (10.0, 1.0)
    assert starved.summary(1, peak_kib=1)["busy"] == 0.99


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"seconds": 0}, "last"),
        ({"seconds": 1e9}, "last"),
        ({"max_requests": 0}, "send"),
        ({"shape": ClosedLoop(0)}, "concurrency"),
        ({"shape": OpenLoop(0)}, "rate"),
        ({"clients": []}, "clients"),
        ({"processes": 0}, "processes"),
    ],
)
def test_a_load_without_bounds_or_sense_is_refused(change, complaint):
    with pytest.raises(UsageError, match=complaint):
        plan_for("http://x", **change).check()


@pytest.mark.parametrize("shape", [ClosedLoop(3, requests_each=2), OpenLoop(5.5, "even")])
def test_a_plan_reads_back_as_it_was_written(shape):
    plan = plan_for("http://x", Ask("a", "/a", "POST", {"n": "{nonce}"}, csrf=True), shape=shape)
    assert LoadPlan.from_json(plan.to_json()) == plan
