"""A claim, the finding its checker returns, and how the two are judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptosense.workbench.history import History
from cryptosense.workbench.verdicts import Verdict, as_counted

Figure = float | int | str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a checker saw.

    `expected` and `observed` are figures in `unit` (or short texts); `samples` is how many operations or observations
    were judged; `interval` a 95 % interval where `observed` is a statistic. `evidence` names the smallest set of
    operations that convicts, by id; `reason` is one sentence that says why, in words an owner can act on.
    """

    verdict: Verdict
    expected: Figure
    observed: Figure
    unit: str
    samples: int
    reason: str
    interval: tuple[float, float] | None = None
    evidence: Sequence[int] = ()


def undecided(reason: str, *, expected: Figure = None, unit: str = "", samples: int = 0) -> Finding:
    """A finding that neither convicts nor acquits."""
    return Finding(Verdict.UNDECIDED, expected, None, unit, samples, reason)


Checker = Callable[[History], Finding]


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence that a run can prove wrong.

    `source` lists where the promise comes from: a contract id (`CSRF-2`), a checklist item (`checklist:caching-4`)
    or an expected improvement (`improvement:upstream-calls`). A `control` is expected to come out VIOLATED. `advisory`
    is None, or the reason why no machine like this can prove the claim: it is then shown outside the verdict.
    """

    id: str
    statement: str
    source: tuple[str, ...]
    check: Checker
    control: bool = False
    advisory: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A claim with its finding."""

    claim: Claim
    finding: Finding

    @property
    def counts_as(self) -> Verdict:
        """The verdict as it enters the experiment's (see `as_counted`)."""
        return as_counted(self.finding.verdict, control=self.claim.control)


def judge(claim: Claim, history: History) -> Judgement:
    """Runs the checker; a crashed one, or one that saw no sample, is UNDECIDED and says so."""
    try:
        finding = claim.check(history)
    except Exception as error:  # noqa: BLE001 — a checker's defect must not pass for a verdict, nor hide the other claims
        finding = undecided(f"the checker failed: {type(error).__name__}: {error}")
    if finding.samples == 0 and finding.verdict is not Verdict.UNDECIDED:
        finding = undecided("no sample was taken", expected=finding.expected, unit=finding.unit)
    return Judgement(claim, finding)
