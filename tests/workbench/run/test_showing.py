"""What the user sees: progress, tables, the terminal."""

import json
import os
import signal
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cryptosense.workbench.progress import ProgressLog, ProgressReader
from cryptosense.workbench.results import ClaimResult, ExperimentResult, RunResults
from cryptosense.workbench.run.stopping import StopRequest
from cryptosense.workbench.run.terminal import LiveWatcher, PlainWatcher, print_results, watcher_for
from cryptosense.workbench.verdict_table import claims_table, outcome_lines, tally
from cryptosense.workbench.verdicts import Verdict


def claim(name: str, verdict: Verdict, **changed: Any) -> ClaimResult:
    given = {
        "id": name, "statement": f"{name} <is> so", "source": ("CSRF-1",), "expected": 0, "observed": 1234.5678,
        "unit": "ms", "samples": 1200, "interval": (1.0, 2.0), "verdict": verdict, "reason": "because",
        "evidence": (3, 4), "control": False, "advisory": False,
    }  # fmt: skip
    return ClaimResult(**{**given, **changed})


CLAIMS = (
    claim("a-holds", Verdict.HOLDS),
    claim("b-control", Verdict.VIOLATED, control=True),
    claim("c-advisory", Verdict.UNDECIDED, advisory=True),
    claim("d-undecided", Verdict.UNDECIDED),
    claim("e-violated", Verdict.VIOLATED),
)


def experiment(**changed: Any) -> ExperimentResult:
    given = {
        "name": "soak", "verdict": Verdict.VIOLATED, "seconds": 3.2, "parameters": {}, "notebook": "n", "report": "r",
        "claims": CLAIMS,
    }  # fmt: skip
    return ExperimentResult(**{**given, **changed})


def printed(**changed: Any) -> str:
    one = experiment(**changed)
    results = RunResults(
        run_id="1", started_at="", finished_at="", profile="quick", verdict=one.verdict, target={}, environment={},
        experiments=(one,), interrupted="interrupted" in one.reason,
    )  # fmt: skip
    out = StringIO()
    print_results(Console(file=out, width=200), results, Path("/runs/1"))
    return out.getvalue()


def test_progress_passes_from_one_process_to_another_line_by_line(tmp_path: Path):
    path = tmp_path / "progress.jsonl"
    reader = ProgressReader(path)
    assert reader.read() == []
    with ProgressLog(path) as log:
        log.phase("warming", expected_seconds=10)
        log.fault("frozen primary")
        log.fault("slow replies")
        for _ in range(1000):
            log.advance(3)
        reader.read()
        assert reader.status.phase == "warming"
        assert reader.status.faults == ["frozen primary", "slow replies"]
        # A thousand operations are not a thousand lines.
        assert len(path.read_text().splitlines()) < 50
        log.fault(None)
    reader.read()
    assert reader.status.operations == 3000
    assert reader.status.faults == []
    assert reader.status.sentence(reader.status.phase_since + 4) == "warming (4 s of about 10 s) · 3,000 operations"


def test_a_half_written_progress_line_waits_for_its_end(tmp_path: Path):
    path = tmp_path / "progress.jsonl"
    reader = ProgressReader(path)
    line = json.dumps({"at": 1.0, "operations": 7, "phase": "a"}) + "\n"
    path.write_text(line + line[:10])
    assert len(reader.read()) == 1
    path.write_text(line + line)
    assert len(reader.read()) == 1


def test_the_table_shows_what_counts_against_the_run_first_and_escapes_what_it_shows():
    html = claims_table(CLAIMS)._repr_html_()
    order = [html.index(f"<b>{name}") for name in ("e-violated", "d-undecided", "a-holds", "b-control", "c-advisory")]
    assert order == sorted(order)
    assert "a-holds &lt;is&gt; so" in html
    assert "1,235 ms (1 to 2)" in html
    assert "Operations 3, 4." in html
    assert "b-control</b> · control" in html


def test_the_outcome_holds_no_figure_that_could_differ_between_runs():
    text = repr(outcome_lines("soak", Verdict.VIOLATED, CLAIMS))
    assert text.splitlines()[:3] == [
        "soak: VIOLATED",
        "HOLDS      a-holds",
        "VIOLATED   b-control  (control: VIOLATED is expected)",
    ]
    assert not any(character.isdigit() for character in text)


def test_controls_count_as_held_when_convicted_and_advisory_claims_apart():
    assert tally(CLAIMS) == "2 of 4 as expected, 1 not, 1 undecided, 1 not proved here"


def test_the_summary_names_what_is_not_as_it_should_be_and_only_that():
    text = printed()
    assert "e-violated: e-violated <is> so (expected 0 ms, observed 1,235 ms (1 to 2)). because" in text
    assert "d-undecided" in text
    for fine in ("a-holds", "b-control", "c-advisory"):
        assert fine not in text
    assert text.rstrip().endswith("Report: /runs/1/index.html")


def test_an_acquitted_control_is_named_as_such():
    acquitted = claim("b-control", Verdict.HOLDS, control=True)
    assert "a control that should have been convicted" in printed(claims=(acquitted,))


def test_one_reason_for_everything_is_said_once():
    text = printed(
        verdict=Verdict.UNDECIDED,
        reason="interrupted: stopped by the user",
        claims=(claim("a", Verdict.UNDECIDED), claim("b", Verdict.UNDECIDED)),
    )
    assert text.count("interrupted: stopped by the user") == 1
    assert "this run is partial" in text


def test_many_claims_that_one_reason_leaves_open_share_a_line():
    open_claims = tuple(claim(f"open-{number}", Verdict.UNDECIDED, observed=None) for number in range(5))
    text = printed(verdict=Verdict.UNDECIDED, claims=open_claims)
    assert "soak · 5 claims: because (open-0, open-1, open-2, open-3, open-4)" in text
    assert text.count("because") == 1


@pytest.mark.parametrize("kind", [PlainWatcher, LiveWatcher])
def test_both_watchers_show_phase_fault_and_verdict(kind: type[Any], tmp_path: Path):
    out = StringIO()
    watcher = kind(Console(file=out, force_terminal=kind is LiveWatcher, width=160, height=40))
    reader = ProgressReader(tmp_path / "progress.jsonl")
    with ProgressLog(tmp_path / "progress.jsonl") as log:
        log.phase("electing")
        log.fault("killed primary")
    execution = SimpleNamespace(chosen=SimpleNamespace(name="soak"), progress=reader, seconds=3.0)
    watcher.begun(tmp_path, ["soak"])
    watcher.started(execution)
    reader.read(lambda: watcher.progressed(execution))
    watcher.changed([execution])
    if kind is LiveWatcher:
        watcher._live.refresh()
    watcher.finished(experiment())
    shown = out.getvalue()
    assert "electing" in shown
    assert "fault: killed primary" in shown


def test_a_pipe_is_told_every_phase_and_fault_also_those_that_were_over_before_anybody_looked(tmp_path: Path):
    out = StringIO()
    watcher, reader = PlainWatcher(Console(file=out, width=160)), ProgressReader(tmp_path / "progress.jsonl")
    execution = SimpleNamespace(chosen=SimpleNamespace(name="soak"), progress=reader, seconds=3.0)
    with ProgressLog(tmp_path / "progress.jsonl") as log:
        log.phase("stepping")
        log.advance(7)
        log.fault("killed primary")
        log.fault(None)
        log.phase("judging")
    for _ in range(2):  # what was told is not told again
        reader.read(lambda: watcher.progressed(execution))
        watcher.changed([execution])
    assert out.getvalue().splitlines() == [
        "soak: stepping (3 s, 0 operations)",
        "soak: stepping · fault: killed primary (3 s, 7 operations)",
        "soak: stepping (3 s, 7 operations)",
        "soak: judging (3 s, 7 operations)",
    ]


def test_a_pipe_gets_plain_lines_and_a_terminal_the_live_table():
    assert isinstance(watcher_for(Console(file=StringIO())), PlainWatcher)
    assert isinstance(watcher_for(Console(file=StringIO(), force_terminal=True)), LiveWatcher)


def test_signals_are_requests_the_second_one_urgent_and_the_old_handlers_come_back(capfd: pytest.CaptureFixture[str]):
    stop = StopRequest()
    before = signal.getsignal(signal.SIGTERM)
    with stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.requested, stop.at_once, stop.reason) == (True, False, "stopped by SIGTERM")
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.at_once, stop.reason) == (True, "stopped by SIGTERM")
    assert signal.getsignal(signal.SIGTERM) is before
    assert "faults are healed" in capfd.readouterr().err


def test_while_the_report_is_written_a_second_ctrl_c_leaves_without_it():
    stop = StopRequest(nothing_to_heal=True)
    with stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
