"""A saved run, opened: verdicts, charts, and histories as tidy pandas frames."""

import base64
import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from cryptosense.errors import UsageError
from cryptosense.workbench.history import History, SpanKind, load_history
from cryptosense.workbench.results import RESULTS, VERDICTS, ChartResult, ExperimentVerdicts, RunResults
from cryptosense.workbench.run.judging import HISTORY
from cryptosense.workbench.verdict_table import Lines, Table, claims_table, experiments_table, outcome_lines

if TYPE_CHECKING:
    import pandas as pd


class Picture:
    """A chart as a notebook shows it: a vector picture with its text alternative."""

    def __init__(self, chart: ChartResult, folder: Path) -> None:
        self.chart = chart
        self.path = folder / chart.file

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.path.read_bytes()).decode()
        alt = escape(self.chart.alt, quote=True)
        return f'<img style="max-width:100%;background:white" alt="{alt}" src="data:image/svg+xml;base64,{data}">'

    def __repr__(self) -> str:
        return f"{self.chart.title}. {self.chart.alt}"


class SavedExperiment:
    """One experiment of a run, read from its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._judged = ExperimentVerdicts.read(folder / VERDICTS)
        self._history: History | None = None

    @property
    def name(self) -> str:
        return self._judged.experiment

    @property
    def judged(self) -> ExperimentVerdicts:
        """Everything that stands in `verdicts.json`."""
        return self._judged

    def verdicts(self) -> Table:
        """Every claim with expected, observed, sample size and reason, the worst first."""
        return claims_table(self._judged.claims, self._judged.reason)

    def outcome(self) -> Lines:
        """The verdicts alone, without figures: the same on every run that comes out the same."""
        return outcome_lines(self.name, self._judged.verdict, self._judged.claims)

    def chart(self, name: str) -> Picture | Lines:
        """One chart of the experiment; a sentence where this run drew none of that name.

        Which charts there are can depend on the parameters, so a missing one is no error.
        """
        for chart in self._judged.charts:
            if chart.name == name:
                return Picture(chart, self.folder)
        there = ", ".join(chart.name for chart in self._judged.charts) or "none"
        why = f" ({self._judged.reason})" if self._judged.reason else ""
        return Lines(f"This run of {self.name} has no chart {name!r}; it has {there}{why}.")

    @property
    def history(self) -> History:
        """Everything that happened, as it was recorded."""
        if self._history is None:
            self._history = load_history(self.folder / HISTORY)
        return self._history

    def operations(self, kind: str | None = None, *, fields: bool = False) -> "pd.DataFrame":
        """One row an operation; with `fields` also what was sent and got. See `measures.operations`."""
        from cryptosense.workbench import measures  # noqa: PLC0415 (pandas and scipy take a second)

        return measures.operations(self.history, kind, fields=fields)

    def observations(self, name: str | None = None) -> "pd.DataFrame":
        """One row a figure that was read off a server or a process."""
        from cryptosense.workbench import measures  # noqa: PLC0415

        return measures.observations(self.history, name)

    def spans(self, kind: SpanKind | None = None) -> "pd.DataFrame":
        """One row a phase or fault with its beginning and end."""
        from cryptosense.workbench import measures  # noqa: PLC0415

        return measures.spans(self.history, kind)

    def _repr_html_(self) -> str:
        return self.verdicts()._repr_html_()

    def __repr__(self) -> str:
        return repr(self.outcome())


class SavedRun:
    """A run as it lies in its folder; `run["failover"].operations()` is a data frame."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = RunResults.read(folder / RESULTS)

    @property
    def experiments(self) -> list[str]:
        return [experiment.name for experiment in self.results.experiments]

    def __getitem__(self, name: str) -> SavedExperiment:
        if name not in self.experiments:
            raise UsageError(f"the run {self.results.run_id} has no {name!r}; it has {', '.join(self.experiments)}")
        return SavedExperiment(self.folder / name)

    def verdicts(self) -> Table:
        """One row an experiment."""
        return experiments_table(self.results.experiments)

    def _repr_html_(self) -> str:
        return self.verdicts()._repr_html_()

    def __repr__(self) -> str:
        return f"{self.results.run_id}: {self.results.verdict}\n{self.verdicts()!r}"


def read_plan(folder: Path) -> dict[str, object]:
    """`plan.json` of an experiment's folder.

    Raises:
        UsageError: there is none, or it is torn.
    """
    try:
        plan: dict[str, object] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise UsageError(f"{folder} holds no readable plan.json, so nothing can be judged again") from error
    return plan
