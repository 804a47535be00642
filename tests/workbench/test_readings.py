"""Readings of counters and of the machine, each on something that can be made to misbehave."""

import asyncio
from pathlib import Path

from aiohttp import web

from cryptosense.workbench.claims.counts import increase
from cryptosense.workbench.history import Recorder, SpanKind, load_history
from cryptosense.workbench.readings import counted_phase, sample_of, service_counter, watched_machine
from cryptosense.workbench.target import Target

PAGE = """# HELP cryptosense_database_queries_total Queries
# TYPE cryptosense_database_queries_total counter
cryptosense_database_queries_total{kind="read"} 12.0
cryptosense_database_queries_total{kind="write"} 3.0
cryptosense_database_queries_created 1.7e9
"""


def test_a_metric_is_summed_over_its_labels_and_not_mixed_with_its_namesakes() -> None:
    assert sample_of(PAGE, "cryptosense_database_queries_total") == 15
    assert sample_of(PAGE, "cryptosense_database_queries") is None


async def test_a_counter_that_grows_within_a_phase_is_counted_from_its_two_readings(tmp_path: Path) -> None:
    asked = 0

    async def page(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(text=f"cryptosense_database_queries_total {asked * 10}\n")

    application = web.Application()
    application.add_routes([web.get("/metrics", page)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        target = Target(urls=(f"http://127.0.0.1:{port}",))
        with Recorder(tmp_path / "history.jsonl.gz") as recorder:
            read = service_counter(recorder, target, "cryptosense_database_queries_total", "database.queries")
            async with counted_phase(recorder, "mixed", read):
                pass
    finally:
        await runner.cleanup()
    history = load_history(tmp_path / "history.jsonl.gz")
    assert increase(history, "database.queries", history.spans(SpanKind.PHASE)[0]) == 10


async def test_a_deployment_that_answers_no_metrics_leaves_no_reading(tmp_path: Path) -> None:
    with Recorder(tmp_path / "history.jsonl.gz") as recorder:
        await service_counter(recorder, Target(urls=("http://127.0.0.1:9",)), "any", "database.queries")()
    assert load_history(tmp_path / "history.jsonl.gz").events == ()


async def test_the_machine_is_read_as_a_share_while_the_block_runs_and_not_after(tmp_path: Path) -> None:
    read = asyncio.Event()

    class Telling(Recorder):
        def observe(self, name: str, value: float, **labels: str) -> None:
            super().observe(name, value, **labels)
            read.set()

    with Telling(tmp_path / "history.jsonl.gz") as recorder:
        async with watched_machine(recorder, every_s=0.02), asyncio.timeout(20):
            await read.wait()
        ended = recorder.now()
        await asyncio.sleep(0.2)
    readings = load_history(tmp_path / "history.jsonl.gz").observations("machine.foreign_cpu")
    assert readings
    assert all(0 <= reading.value <= 1 for reading in readings)
    assert readings[-1].at <= ended
