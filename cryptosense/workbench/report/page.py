"""`index.html`: everything a stakeholder decides from, in one file that asks no network."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cryptosense.errors import WorkbenchError
from cryptosense.workbench.charts.style import in_words
from cryptosense.workbench.experiment import Doubt
from cryptosense.workbench.report import reproduce, wording
from cryptosense.workbench.report.answer import Answer, counting, cut_short
from cryptosense.workbench.report.before_after import EXPERIMENT, Comparison, comparisons
from cryptosense.workbench.report.beside import read_speed, read_trials
from cryptosense.workbench.report.evidence import Witness, shown, witnesses
from cryptosense.workbench.report.pictures import inline_svg
from cryptosense.workbench.report.plan import SEVERITY, PlanAnswers, Standing, measured
from cryptosense.workbench.results import VERDICTS, ChartResult, ClaimResult, ExperimentResult, ExperimentVerdicts
from cryptosense.workbench.results import RunResults as Results
from cryptosense.workbench.verdicts import Verdict

HISTORY = "history.jsonl.gz"
_ROOM_FOR_PICTURES = 2_200_000
"""Bytes of SVG on the page, which is to stay under 3 MB; pictures beyond that are linked."""

_TITLES = {"before_after": "Before and after"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart on the page; `svg` is None where it is only linked."""

    id: str
    title: str
    alt: str
    svg: Markup | None
    file: str


@dataclass(frozen=True, slots=True)
class ClaimView:
    """A claim with the operations that prove it; `unseen` counts those that the page leaves to the history."""

    anchor: str
    experiment: str
    claim: ClaimResult
    witnesses: tuple[Witness, ...]
    unseen: int


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """An experiment as the page tells it. `notebook`, `log` and `history` are links, empty where there is no file."""

    result: ExperimentResult
    title: str
    doubt: Doubt | None
    claims: tuple[ClaimView, ...]
    controls: tuple[ClaimView, ...]
    advisory: tuple[ClaimView, ...]
    pictures: tuple[Picture, ...]
    seen: str
    certainty: str
    changed: dict[str, Any]
    notebook: str
    log: str
    history: str


def render_page(folder: Path, results: Results, told: Answer, plan: PlanAnswers) -> str:
    """The whole page as text."""
    views = experiment_views(folder, results)
    before_after = next((view for view in views if view.result.name == EXPERIMENT), None)
    environment = _environment()
    return environment.get_template("index.html.j2").render(
        results=results,
        told=told,
        plan=plan,
        experiments=views,
        before_after=before_after,
        comparisons=comparisons(before_after.result) if before_after else list[Comparison](),
        speed=read_speed(folder),
        trials=read_trials(folder),
        measured=measured,
        tallies=_tallies(results, plan),
        took=wording.seconds_between(results.started_at, results.finished_at),
        checklist_words=checklist_words(plan),
        cut_short=cut_short,
        command=reproduce.command(results),
        style=Markup(files("cryptosense.workbench.report").joinpath("templates/style.css").read_text("utf-8")),  # noqa: S704 (our own file)
    )


def experiment_views(folder: Path, results: Results) -> list[ExperimentView]:
    """Every experiment, the worst first, otherwise in the order of the run."""
    room = _ROOM_FOR_PICTURES
    # Every experiment's first picture goes in before any second one.
    drawn = {experiment.name: _charts(folder / experiment.name) for experiment in results.experiments}
    pictures: dict[str, list[Picture]] = {name: [] for name in drawn}
    for place in range(max(map(len, drawn.values()), default=0)):
        for name, charts in drawn.items():
            if place < len(charts):
                picture = _picture(folder, name, charts[place], room)
                room -= len(picture.svg or "")
                pictures[name].append(picture)
    views = [
        _view(folder, experiment, pictures[experiment.name], results.profile) for experiment in results.experiments
    ]
    return sorted(views, key=lambda view: SEVERITY[view.result.verdict])


def _view(folder: Path, experiment: ExperimentResult, pictures: Sequence[Picture], profile: str) -> ExperimentView:
    claims = _claim_views(folder, experiment)
    known = reproduce.experiment_named(experiment.name)
    return ExperimentView(
        result=experiment,
        title=_TITLES.get(experiment.name, experiment.name.replace("_", " ").capitalize()),
        doubt=known.doubt if known else None,
        claims=tuple(view for view in claims if not view.claim.control and not view.claim.advisory),
        controls=tuple(view for view in claims if view.claim.control and not view.claim.advisory),
        advisory=tuple(view for view in claims if view.claim.advisory),
        pictures=tuple(pictures),
        seen=seen(experiment),
        certainty=certainty(experiment),
        changed=reproduce.changed(experiment, profile),
        notebook=_link(folder, experiment.report),
        log=_link(folder, f"{experiment.name}/notebook.log"),
        history=_link(folder, f"{experiment.name}/{HISTORY}"),
    )


def _claim_views(folder: Path, experiment: ExperimentResult) -> list[ClaimView]:
    wanted = {number for claim in experiment.claims for number in shown(claim.evidence)}
    found = witnesses(folder / experiment.name / HISTORY, wanted)
    views = []
    for claim in experiment.claims:
        seen = tuple(found[number] for number in shown(claim.evidence) if number in found)
        views.append(
            ClaimView(anchor(experiment.name, claim), experiment.name, claim, seen, len(claim.evidence) - len(seen))
        )
    return sorted(views, key=lambda view: SEVERITY[view.claim.counts_as])


def anchor(experiment: str, claim: ClaimResult) -> str:
    """Where the page tells this claim."""
    return "claim-" + re.sub(r"[^A-Za-z0-9]+", "-", f"{experiment}-{claim.id}").strip("-")


def seen(experiment: ExperimentResult) -> str:
    """How the experiment's claims came out, worst first."""
    claims = [claim for claim in experiment.claims if not claim.control and not claim.advisory]
    counts = Counter(claim.verdict for claim in claims)
    told = [
        f"{counts[verdict]} {one if counts[verdict] == 1 else many}"
        for verdict, one, many in (
            (Verdict.VIOLATED, "is violated", "are violated"),
            (Verdict.UNDECIDED, "is undecided", "are undecided"),
            (Verdict.HOLDS, "holds", "hold"),
        )
        if counts[verdict]
    ]
    if len(claims) > 1 and counts[Verdict.HOLDS] == len(claims):
        return f"All {len(claims)} claims hold."
    return f"Of {wording.counted(len(claims), 'claim')} {in_words(told)}." if told else "No claim was judged."


def checklist_words(plan: PlanAnswers) -> str:
    """How many items stand how, worst first; each of the 26 is counted once."""
    counts = Counter(row.standing for row in plan.checklist)
    order = (Standing.VIOLATED, Standing.UNDECIDED, Standing.HOLDS, Standing.NOT_PROVED_HERE, Standing.NOT_RUN)
    verbs = {Standing.HOLDS: ("holds", "hold"), Standing.NOT_RUN: ("was not run", "were not run")}
    told = [
        f"{counts[way]} {verbs.get(way, (f'is {way}', f'are {way}'))[counts[way] != 1]}" for way in order if counts[way]
    ]
    note = " in this selection" if counts[Standing.NOT_RUN] else ""
    return f"Of its {len(plan.checklist)} items {in_words(told)}{note}."


def certainty(experiment: ExperimentResult) -> str:
    """How sure one can be, from sample sizes, intervals and controls."""
    judged = [claim for claim in experiment.claims if not claim.control and not claim.advisory and claim.samples]
    controls = [claim for claim in experiment.claims if claim.control and not claim.advisory]
    if not judged:
        return "Nothing was judged, so nothing is known."
    fewest = min(judged, key=lambda claim: claim.samples)
    intervals = sum(claim.interval is not None for claim in judged)
    told = f"{wording.counted(len(judged), 'claim')} rest on {fewest.samples:,} or more samples each"
    if len(judged) == 1:
        told = f"One claim rests on {wording.counted(fewest.samples, 'sample')}"
    if intervals:
        told += f", {intervals} of them with a 95 % interval"
    caught = sum(claim.counts_as is Verdict.HOLDS for claim in controls)
    if controls:
        return f"{told}; {caught} of {wording.counted(len(controls), 'flawed control')} caught."
    return f"{told}; no control ran beside them."


def _tallies(results: Results, plan: PlanAnswers) -> list[tuple[str, int, int]]:
    """What is counted in the head of the page: label, how many hold, of how many."""
    claims = counting(results)
    promises = [claim for claim in claims if not claim.control]
    controls = [claim for claim in claims if claim.control]

    def held(found: Iterable[ClaimResult]) -> int:
        return sum(claim.counts_as is Verdict.HOLDS for claim in found)

    return [
        ("claims hold", held(promises), len(promises)),
        ("flawed controls caught", held(controls), len(controls)),
        ("checklist items hold", sum(row.standing is Standing.HOLDS for row in plan.checklist), len(plan.checklist)),
        (
            "expected improvements hold",
            sum(row.standing is Standing.HOLDS for row in plan.improvements),
            len(plan.improvements),
        ),
    ]


def _charts(folder: Path) -> tuple[ChartResult, ...]:
    try:
        return ExperimentVerdicts.read(folder / VERDICTS).charts
    except WorkbenchError:
        return ()  # the experiment left none; its reason stands in the results


def _picture(folder: Path, experiment: str, chart: ChartResult, room: int) -> Picture:
    name = re.sub(r"[^a-z0-9]+", "-", f"{experiment}-{chart.name}".lower())
    file = f"{experiment}/{chart.file}"
    try:
        svg = inline_svg((folder / file).read_text(encoding="utf-8"), name)
    except OSError:
        return Picture(f"picture-{name}", chart.title, chart.alt, None, "")
    inlined = Markup(svg) if len(svg) <= room else None  # noqa: S704 (drawn by this program; matplotlib escapes text)
    return Picture(f"picture-{name}", chart.title, chart.alt, inlined, file)


def _link(folder: Path, file: str) -> str:
    path = folder / file
    return file if path.is_file() and path.stat().st_size else ""


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cryptosense.workbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=wording.figure,
        observed=wording.observed,
        duration=wording.duration,
        moment=wording.moment,
        sentence=wording.sentence,
        number=wording.number,
        plain=lambda value: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
    )
    environment.globals.update(
        anchor=anchor, counted=wording.counted, interval=wording.interval, NOTHING=wording.NOTHING
    )
    environment.tests["held"] = lambda value: value in (Verdict.HOLDS, Standing.HOLDS)
    return environment
