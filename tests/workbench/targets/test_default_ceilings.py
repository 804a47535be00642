"""A sound stranger behind a load balancer, judged as its owner would do it first: no ceiling changed, one command."""

import asyncio
import json
import subprocess
import sys

import pytest

from cryptosense.workbench.history import load_history
from cryptosense.workbench.targets.ceilings import Ceilings
from cryptosense.workbench.verdicts import Verdict

pytestmark = [pytest.mark.full, pytest.mark.end_to_end, pytest.mark.timeout(400)]


@pytest.mark.usefixtures("nginx")
@pytest.mark.parametrize("name", ["load", "before_after", "integration", "cache_speedup", "security"])
async def test_a_sound_stranger_is_guilty_of_nothing_and_sent_no_more_than_was_printed(tmp_path, running_shop, name):
    async with running_shop(tmp_path, instances=2, balanced=True) as shop:
        calls = f'\n[upstream]\ncalls_url = "{shop.instances[0]}/upstream-calls"\n'
        (tmp_path / "target.toml").write_text(shop.description + calls)
        command = [sys.executable, "-m", "cryptosense", "validate", name, "--target", shop.balancer, "--yes"]
        command += ["--target-profile", str(tmp_path / "target.toml"), "--out", str(tmp_path / "reports")]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=350)
    (run,) = (path.parent for path in (tmp_path / "reports").glob("2*/results.json"))
    (judged,) = json.loads((run / "results.json").read_text())["experiments"]
    verdicts = {claim["id"]: Verdict(claim["verdict"]) for claim in judged["claims"]}
    reasons = {claim["id"]: claim["reason"] for claim in judged["claims"]}
    assert {claim: reasons[claim] for claim, verdict in verdicts.items() if verdict is Verdict.VIOLATED} == {}
    assert done.returncode in {0, 3}, done.stdout + done.stderr
    assert Verdict.HOLDS in verdicts.values()
    assert [claim for claim, verdict in verdicts.items() if verdict is Verdict.UNDECIDED and not reasons[claim]] == []
    assert f"{shop.balancer} will be sent {Ceilings().sentence()}" in done.stdout
    assert _most_in_a_second(run / name) <= Ceilings().rate + 1, "one may be called a little after it had its place"


@pytest.mark.usefixtures("granted")
async def test_load_from_one_address_convicts_nobody_for_what_that_address_had_asked_before(
    tmp_path, running_shop, conduct, monkeypatch
):
    for module in ("experiments.load_conduct", "client.wire"):
        monkeypatch.setattr(f"cryptosense.workbench.{module}.addresses_available", lambda _urls: False)
    async with running_shop(tmp_path) as shop:
        claims = await conduct("load", shop.target(), tmp_path)
    assert {name: claim.reason for name, claim in claims.items() if claim.verdict is Verdict.VIOLATED} == {}
    for name in ("one-address-never-above", "one-address-no-wrong-denial", "overload-no-wrong-denial"):
        assert claims[name].verdict is Verdict.HOLDS, claims[name].reason
    assert "told apart" in claims["crowd-served"].reason


def _most_in_a_second(folder):
    """The most requests that were called within any one second."""
    called = sorted(operation.invoked_at for operation in load_history(folder / "history.jsonl.gz").operations())
    return max(sum(begun <= other < begun + 1.0 for other in called[place:]) for place, begun in enumerate(called))
