"""Runs made by hand for the tests of the report: a holding, a violated, an undecided and an interrupted one.

Folder, history, notebook and charts are made by the product's own writers; only the figures are invented.
"""

from pathlib import Path
from typing import Literal

import nbformat
import numpy as np

from cryptosense.workbench import charts, measures
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.history import Operation, Outcome, Recorder, Span, SpanKind
from cryptosense.workbench.plan_lists import CHECKLIST, IMPROVEMENTS
from cryptosense.workbench.results import (
    RESULTS,
    VERDICTS,
    ChartResult,
    ClaimResult,
    ExperimentResult,
    ExperimentVerdicts,
    RunResults,
    verdict_of_claims,
    verdict_of_run,
)
from cryptosense.workbench.verdicts import Verdict

Kind = Literal["holding", "violated", "undecided", "interrupted"]


def claim(claim_id: str, statement: str, **changes: object) -> ClaimResult:
    """A claim that holds on 270 samples, unless changed."""
    told: dict[str, object] = {
        "id": claim_id,
        "statement": statement,
        "source": ("CSRF-1",),
        "expected": 0,
        "observed": 0.0,
        "unit": "share of posts refused",
        "samples": 270,
        "interval": (0.0, 0.0136),
        "verdict": Verdict.HOLDS,
        "reason": "270 posts on 3 instances, none refused",
        "evidence": (),
        "control": False,
        "advisory": False,
    }
    return ClaimResult.model_validate(told | changes)


def make_run(folder: Path, kind: Kind = "holding") -> Path:
    """A whole run folder of that kind; no report is written yet."""
    folder.mkdir(parents=True)
    experiments = [
        _experiment(folder, "before_after", _before_after(), [_instances()]),
        _experiment(folder, "integration", _integration(kind), [_matrix(kind)]),
        _experiment(folder, "failover", _failover(kind), [_timeline(), _waterfall()]),
    ]
    if kind == "interrupted":
        experiments[2] = _cut_off(folder, experiments[2])
    results = RunResults(
        run_id=folder.name,
        started_at="2026-11-23T05:00:00+00:00",
        finished_at="2026-11-23T05:03:10+00:00",
        profile="quick",
        verdict=verdict_of_run(experiments),
        interrupted=kind == "interrupted",
        target={"kind": "reference", "store": "embedded"},
        environment={"python": "3.11.7", "cores": 2, "server": {"kind": "embedded valkey", "version": "9.1.2"}},
        experiments=tuple(experiments),
    )
    results.write(folder / RESULTS)
    return folder


def _before_after() -> list[ClaimResult]:
    refused = "One in three posts or fewer is refused because it met another instance"
    return [
        claim("redis-3-csrf", "No post is refused because it met another instance", source=("CSRF-1",)),
        claim(
            "memory-3-csrf",
            refused,
            observed=0.667,
            interval=(0.607, 0.723),
            verdict=Verdict.VIOLATED,
            reason="180 of 270 posts met an instance that had never seen their token",
            evidence=(1, 2),
            control=True,
        ),
        claim(
            "redis-3-fetches",
            "Three instances together make no more upstream calls than one",
            source=("CACHE-2", "improvement:upstream-calls"),
            expected="at most 2",
            observed=1.94,
            interval=None,
            unit="calls/min",
            reason="3 instances, 12 lifetimes, 12 calls",
        ),
        claim(
            "memory-3-fetches",
            "Three instances in memory together make no more upstream calls than one",
            source=("CACHE-2",),
            expected="at most 2",
            observed=5.8,
            interval=None,
            unit="calls/min",
            verdict=Verdict.VIOLATED,
            reason="each of 3 instances fetched for itself",
            control=True,
        ),
    ]


def _integration(kind: Kind) -> list[ClaimResult]:
    named = [*CHECKLIST[:20], *IMPROVEMENTS[3:]]
    claims = [
        claim(f"promise-{place}", f"{item.text}, on every instance", source=(item.id,), expected="all", observed="all")
        for place, item in enumerate(named, start=1)
    ]
    if kind == "violated":
        claims[3] = claim(
            "one-token-once",
            "Of any number of parallel posts with one token, exactly one is accepted when there is no grace",
            source=("CSRF-2", CHECKLIST[9].id),
            expected=1,
            observed=2,
            interval=None,
            unit="accepted posts",
            samples=64,
            verdict=Verdict.VIOLATED,
            reason="operations 3 and 4 spent the same token on two instances: compare and rotate are two steps",
            evidence=(3, 4),
        )
    return claims


def _failover(kind: Kind) -> list[ClaimResult]:
    recovery = claim(
        "recovers-in-time",
        "Writes work again within 2 s of the server's answering",
        source=("CONN-2", CHECKLIST[24].id, CHECKLIST[0].id),
        expected="at most 2",
        observed=1.42,
        interval=(1.31, 1.6),
        unit="s",
        samples=12,
        reason="12 kills, the slowest took 1.6 s",
    )
    if kind == "undecided":
        noisy = "the machine stalled for 1.8 s during the fault, so the recovery time says nothing about the service"
        recovery = recovery.model_copy(update={"verdict": Verdict.UNDECIDED, "reason": noisy, "observed": None})
    return [
        recovery,
        claim(
            "everysec-window",
            "No more than a second of writes is lost when the machine loses power",
            source=("improvement:token-persistence",),
            verdict=Verdict.UNDECIDED,
            observed=None,
            samples=0,
            interval=None,
            advisory=True,
            reason="A killed process loses nothing, because the page cache survives it. No power was cut",
        ),
    ]


def _cut_off(folder: Path, experiment: ExperimentResult) -> ExperimentResult:
    reason = "interrupted: Ctrl-C"
    claims = tuple(
        one.model_copy(update={"verdict": Verdict.UNDECIDED, "reason": reason, "samples": 0, "observed": None})
        for one in experiment.claims
    )
    (folder / experiment.name / VERDICTS).unlink()
    return experiment.model_copy(update={"verdict": Verdict.UNDECIDED, "claims": claims, "reason": reason})


def _experiment(folder: Path, name: str, claims: list[ClaimResult], drawn: list[Chart]) -> ExperimentResult:
    own = folder / name
    (own / "figures").mkdir(parents=True)
    for chart in drawn:
        (own / "figures" / f"{chart.name}.svg").write_text(charts.as_svg(chart.figure), encoding="utf-8")
    _write_history(own)
    _write_notebook(own / f"{name}.ipynb", name)
    judged = ExperimentVerdicts(
        experiment=name,
        verdict=verdict_of_claims(claims),
        parameters={"seed": 20251008, "instances": 3},
        seconds=61.2,
        claims=tuple(claims),
        charts=tuple(
            ChartResult(name=one.name, title=one.title, alt=one.alt, file=f"figures/{one.name}.svg") for one in drawn
        ),
    )
    judged.write(own / VERDICTS)
    return ExperimentResult(
        name=name,
        verdict=judged.verdict,
        seconds=judged.seconds,
        parameters=judged.parameters,
        notebook=f"{name}/{name}.ipynb",
        report=f"{name}/{name}.html",
        claims=judged.claims,
    )


def _write_history(folder: Path) -> None:
    with Recorder(folder / "history.jsonl.gz") as recorder:
        for number in range(1, 41):
            recorder.record(
                Operation(
                    id=number,
                    kind="csrf.post",
                    actor=f"tab <{number % 3}>",
                    instance=f"http://127.0.0.1:800{number % 3}",
                    invoked_at=number / 10,
                    completed_at=number / 10 + 0.004,
                    outcome=Outcome.OK if number % 3 else Outcome.FAILED,
                    status=201 if number % 3 else 403,
                    phase="round robin",
                    sent={"token": "a1b2"},
                    got={"code": None if number % 3 else "CSRF_TOKEN_INVALID"},
                )
            )


def _write_notebook(path: Path, name: str) -> None:
    cells = [
        nbformat.v4.new_markdown_cell(f"# {name}\n\nWhat is doubted here."),
        nbformat.v4.new_code_cell(
            f'run = await notebook.conduct("{name}")\nrun.verdicts()',
            execution_count=1,
            outputs=[
                nbformat.v4.new_output("stream", name="stdout", text="phase: round robin\n"),
                nbformat.v4.new_output(
                    "execute_result",
                    {"text/html": "<table><tr><th>verdict</th></tr><tr><td>HOLDS</td></tr></table>"},
                    execution_count=1,
                ),
            ],
        ),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def _instances() -> Chart:
    counts = [1, 2, 3]
    return charts.lines(
        "refused_posts",
        "Posts refused and effective limit, 1 to 3 instances",
        [
            charts.Panel(
                "CSRF posts refused",
                "instances",
                "share of posts",
                [
                    charts.Series("in memory", counts, [0, 0.5, 0.667], [0, 0.44, 0.61], [0.01, 0.56, 0.72]),
                    charts.Series("in Redis", counts, [0, 0, 0], [0, 0, 0], [0.01, 0.01, 0.01]),
                    charts.Series("(N-1)/N", counts, [0, 0.5, 0.667], kind="theory"),
                ],
                samples=1620,
                whole_x=True,
            ),
            charts.Panel(
                "Effective limit",
                "instances",
                "admitted in a window",
                [
                    charts.Series("in memory", counts, [100, 200, 300]),
                    charts.Series("in Redis", counts, [100, 100, 100]),
                ],
                [charts.Threshold(100, "limit")],
                samples=1200,
                whole_x=True,
            ),
        ],
    )


def _matrix(kind: Kind) -> Chart:
    rows = ["CSRF-1 successor", "CSRF-2 one token once", "RATE-1 exact limit", "CACHE-2 one fetch"]
    columns = ["instance 1", "instance 2", "instance 3"]
    cells: dict[tuple[str, str], charts.Cell | Verdict] = {
        (row, column): Verdict.HOLDS for row in rows for column in columns
    }
    if kind == "violated":
        cells[rows[1], columns[1]] = charts.Cell(Verdict.VIOLATED, "2 of 64")
    return charts.matrix("promises", "Every promise on every instance", rows, columns, cells, samples=4120)


def _timeline() -> Chart:
    generator = np.random.default_rng(7)
    found = []
    for number, at in enumerate(np.sort(generator.uniform(0, 30, 1500))):
        down = 10 < at < 13.2 and number % 3 != 2
        outcome = Outcome.OK if not down else Outcome.FAILED if number % 7 else Outcome.UNKNOWN
        kind = ["csrf.post", "limit.probe", "tokens.read"][number % 3]
        found.append(Operation(number, kind, "a", "u", float(at), float(at) + 0.01, outcome))
    fault = Span(SpanKind.FAULT, "SIGKILL of the primary", 10, 13.2)
    return charts.outcome_timeline(
        "felt", "What users felt while the primary was killed", measures.timeline(found), [fault]
    )


def _waterfall() -> Chart:
    rows = [("Sentinel, killed", [("detect", 0.52), ("elect", 0.6), ("rediscover", 0.2), ("first good write", 0.1)])]
    return charts.waterfall("recovery", "Where the time of recovery went", rows, budget_s=2.0)
