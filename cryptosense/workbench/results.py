"""What a run leaves for machines: `results.json` for the run, `verdicts.json` for each experiment.

Both are rewritten as a whole and replaced in one step, so that a reader never meets half a file.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cryptosense.errors import WorkbenchError
from cryptosense.workbench.claims.claim import Judgement
from cryptosense.workbench.verdicts import Verdict, as_counted, worst

RESULTS = "results.json"
VERDICTS = "verdicts.json"
RESULTS_SCHEMA = "cryptosense.results/1"
VERDICTS_SCHEMA = "cryptosense.verdicts/1"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the document back.

        Raises:
            WorkbenchError: it is missing, torn, or not of this shape.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise WorkbenchError(f"cannot read {path}: {error.strerror or error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise WorkbenchError(f"{path} is not a whole {cls.__name__}: {where} {first['msg']}".strip()) from error

    def write(self, path: Path) -> None:
        write_json(path, self.model_dump(mode="json", by_alias=True))


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Writes the document beside its place and moves it there in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)


class ClaimResult(_Document):
    """One claim as it came out. `verdict` is the checker's; a `control` is expected to be VIOLATED.

    `advisory` marks a claim that no such machine can prove: shown, with its reason, outside the verdict.
    """

    id: str
    statement: str
    source: tuple[str, ...]
    expected: float | int | str | None
    observed: float | int | str | None
    unit: str
    samples: int
    interval: tuple[float, float] | None
    verdict: Verdict
    reason: str
    evidence: tuple[int, ...]
    control: bool
    advisory: bool

    @property
    def counts_as(self) -> Verdict:
        """The verdict as it enters the experiment's (see `as_counted`)."""
        return as_counted(self.verdict, control=self.control)

    @classmethod
    def of(cls, judgement: Judgement) -> Self:
        """The judgement in plain values. An advisory claim's reason begins with why it cannot be proved here."""
        claim, finding = judgement.claim, judgement.finding
        reason = finding.reason if claim.advisory is None else f"{claim.advisory}. {finding.reason}"
        return cls(
            id=claim.id,
            statement=claim.statement,
            source=claim.source,
            expected=_plain(finding.expected),
            observed=_plain(finding.observed),
            unit=finding.unit,
            samples=int(finding.samples),
            interval=None if finding.interval is None else (float(finding.interval[0]), float(finding.interval[1])),
            verdict=finding.verdict,
            reason=reason,
            evidence=tuple(int(operation) for operation in finding.evidence),
            control=claim.control,
            advisory=claim.advisory is not None,
        )


def _plain(figure: Any) -> float | int | str | None:
    """A figure as JSON knows it; numpy's scalars and figures that are no number become plain."""
    if figure is None or isinstance(figure, str):
        return figure
    value = figure.item() if hasattr(figure, "item") else figure
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return int(value) if isinstance(value, int) else float(value)


class ChartResult(_Document):
    """A drawn chart; `file` is relative to the experiment's folder."""

    name: str
    title: str
    alt: str
    file: str


class ExperimentVerdicts(_Document):
    """`verdicts.json`: one experiment, judged. `reason` is empty, or why its run ended before its end."""

    format: str = Field(default=VERDICTS_SCHEMA, alias="schema")
    experiment: str
    verdict: Verdict
    parameters: dict[str, Any]
    seconds: float
    reason: str = ""
    claims: tuple[ClaimResult, ...]
    charts: tuple[ChartResult, ...]


class ExperimentResult(_Document):
    """One experiment in `results.json`. `notebook` and `report` are relative to the run's folder.

    `reason` is empty, or says why the experiment is UNDECIDED as a whole (interrupted, a failing cell, a dead kernel).
    """

    name: str
    verdict: Verdict
    seconds: float
    parameters: dict[str, Any]
    notebook: str
    report: str
    reason: str = ""
    claims: tuple[ClaimResult, ...]


class RunResults(_Document):
    """`results.json`. Times are ISO 8601 in UTC; `finished_at` is None while the run goes on or when it was killed."""

    format: str = Field(default=RESULTS_SCHEMA, alias="schema")
    run_id: str
    started_at: str
    finished_at: str | None
    profile: str
    verdict: Verdict
    interrupted: bool = False
    target: dict[str, Any]
    environment: dict[str, Any]
    experiments: tuple[ExperimentResult, ...]


def verdict_of_claims(claims: Sequence[ClaimResult]) -> Verdict:
    """The worst of the claims that count; controls count as held when convicted, advisory claims not at all."""
    return worst(claim.counts_as for claim in claims if not claim.advisory)


def verdict_of_run(experiments: Sequence[ExperimentResult]) -> Verdict:
    return worst(experiment.verdict for experiment in experiments)
