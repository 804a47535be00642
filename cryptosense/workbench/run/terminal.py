"""A run as the terminal shows it: a live table on a terminal, plain lines anywhere else."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cryptosense.workbench.results import ClaimResult, ExperimentResult, RunResults
from cryptosense.workbench.run.execution import Execution
from cryptosense.workbench.verdict_table import MARKS, figure_text, observed_text, tally, worst_first
from cryptosense.workbench.verdicts import Verdict

_FEW = 2

STYLES = {Verdict.HOLDS: "green", Verdict.VIOLATED: "bold red", Verdict.UNDECIDED: "yellow"}


class PlainWatcher:
    """One line a change, for logs and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phases: dict[str, str] = {}

    def begun(self, run: Path, names: Sequence[str]) -> None:
        self._line(f"run {run.name} in {run}: {', '.join(names)}")

    def started(self, execution: Execution) -> None:
        self._line(f"{execution.chosen.name}: started")

    def progressed(self, execution: Execution) -> None:
        status = execution.progress.status
        now = " · ".join([status.phase, *(f"fault: {fault}" for fault in status.faults)])
        if self._phases.get(execution.chosen.name) != now:
            self._phases[execution.chosen.name] = now
            counted = f"{execution.seconds:.0f} s, {status.operations:,} operations"
            self._line(f"{execution.chosen.name}: {now} ({counted})")

    def changed(self, executions: Sequence[Execution]) -> None:
        """Lines are written when something is told, and not by the clock."""

    def finished(self, result: ExperimentResult) -> None:
        why = f": {result.reason}" if result.reason else ""
        self._line(f"{result.name}: {result.verdict} after {result.seconds:.0f} s ({tally(result.claims)}){why}")

    def say(self, sentence: str) -> None:
        self._line(sentence)

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


class LiveWatcher:
    """A table that keeps up with the run. Used as a context manager, around the run only."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._names: Sequence[str] = ()
        self._done: dict[str, ExperimentResult] = {}
        self._executions: Sequence[Execution] = ()
        self._began = time.monotonic()

    def begun(self, run: Path, names: Sequence[str]) -> None:
        self._console.print(f"[bold]CryptoSense[/] run [bold]{escape(run.name)}[/] in {escape(str(run))}")
        self._names = names
        self._began = time.monotonic()
        self._live.start()

    def started(self, execution: Execution) -> None:
        self._executions = [*self._executions, execution]

    def progressed(self, execution: Execution) -> None:
        """The table shows how things stand, and is drawn anew in `changed`."""

    def changed(self, executions: Sequence[Execution]) -> None:
        self._executions = list(executions)
        self._live.update(self._table())

    def finished(self, result: ExperimentResult) -> None:
        self._done[result.name] = result
        if len(self._done) == len(self._names):
            self._live.stop()

    def say(self, sentence: str) -> None:
        self._live.stop()
        self._console.print(escape(sentence))

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("", "experiment", "elapsed", "now"):
            table.add_column(heading, no_wrap=heading != "now")
        running = {execution.chosen.name: execution for execution in self._executions}
        for name in self._names:
            table.add_row(*self._row(name, running.get(name)))
        elapsed = time.monotonic() - self._began
        return Group(table, Text(f"{elapsed:.0f} s · Ctrl-C heals, ends everything and keeps what there is", "dim"))

    def _row(self, name: str, execution: Execution | None) -> tuple[Text | str, ...]:
        if name in self._done:
            result = self._done[name]
            what = result.reason or tally(result.claims)
            return (_pill(result.verdict), escape(name), f"{result.seconds:.0f} s", escape(what))
        if execution is None:
            return ("", escape(name), "", Text("waiting", "dim"))
        sentence = execution.progress.status.sentence(time.time())
        return ("…", escape(name), f"{execution.seconds:.0f} s", escape(sentence))


def watcher_for(console: Console) -> PlainWatcher | LiveWatcher:
    """Live on a terminal, plain lines in a pipe, a file or a dumb terminal."""
    return LiveWatcher(console) if console.is_terminal and not console.is_dumb_terminal else PlainWatcher(console)


def print_results(console: Console, results: RunResults, run: Path) -> None:
    """The table of verdicts, then everything that is not as it should be, then where to read on."""
    table = Table(title=None, header_style="dim", title_justify="left")
    for heading in ("verdict", "experiment", "claims", "took"):
        table.add_column(heading, justify="right" if heading == "took" else "left")
    for one in results.experiments:
        table.add_row(_pill(one.verdict), escape(one.name), escape(tally(one.claims)), f"{one.seconds:.0f} s")
    console.print(table)
    for one in results.experiments:
        _print_trouble(console, one)
    ending = " (interrupted: this run is partial)" if results.interrupted else ""
    console.print(Text.assemble("The run as a whole: ", _pill(results.verdict), ending))
    console.print(Text(f"Report: {run / 'index.html'}"), soft_wrap=True)


def _print_trouble(console: Console, one: ExperimentResult) -> None:
    """Each claim that is not as it should be; those that one reason leaves open share a line."""
    if one.reason:
        console.print(Text(f"{one.name} is {one.verdict}: {one.reason}"), soft_wrap=True)
    by_reason: dict[str, list[ClaimResult]] = {}
    for claim in worst_first(one.claims):
        if claim.counts_as is Verdict.UNDECIDED and not claim.advisory and not one.reason:
            by_reason.setdefault(claim.reason, []).append(claim)
        elif claim.counts_as is Verdict.VIOLATED and not claim.advisory:
            console.print(_claim_text(one.name, claim), soft_wrap=True)
    for reason, claims in by_reason.items():
        if len(claims) <= _FEW:
            for claim in claims:
                console.print(_claim_text(one.name, claim), soft_wrap=True)
        else:
            ids = ", ".join(claim.id for claim in claims)
            line = Text.assemble(_pill(Verdict.UNDECIDED), f" {one.name} · {len(claims)} claims: {reason} ({ids})")
            console.print(line, soft_wrap=True)


def _claim_text(experiment: str, claim: ClaimResult) -> Text:
    seen = "" if claim.observed is None else f", observed {observed_text(claim)}"
    note = "a control that should have been convicted; " if claim.control else ""
    figures = f"({note}expected {figure_text(claim.expected, claim.unit)}{seen})"
    return Text.assemble(
        _pill(claim.verdict), f" {experiment} · {claim.id}: {claim.statement} {figures}. {claim.reason}"
    )


def _pill(verdict: Verdict) -> Text:
    return Text(f"{MARKS[verdict]} {verdict}", STYLES[verdict])
