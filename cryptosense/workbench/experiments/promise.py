"""A claim of the contract with the stories on which it is judged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptosense.workbench.claims.claim import Checker, Claim, Finding
from cryptosense.workbench.claims.reading import skip_reason
from cryptosense.workbench.history import History
from cryptosense.workbench.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Promise:
    """A claim, and the phases whose operations it judges (all of the history where there are none)."""

    claim: Claim
    phases: tuple[str, ...] = ()


def promise(name: str, statement: str, source: Sequence[str], check: Checker, *phases: str) -> Promise:
    """The claim in one call; `phases` are the stories that it judges."""
    return Promise(Claim(name, statement, tuple(source), told_to_the_end(check, *phases)), phases)


def told_to_the_end(check: Checker, *phases: str) -> Checker:
    """The checker, except that a story which broke off (it says why, and yet asked something) acquits nobody.

    One that was not told at all gives its reason in place of what the checker missed.
    """

    def whole(history: History) -> Finding:
        finding = check(history)
        begun = [phase for phase in phases if history.operations(phase=phase)]
        untold = next((reason for phase in phases if (reason := skip_reason(history, phase))), None)
        if untold is not None and not begun and finding.verdict is Verdict.UNDECIDED:
            return replace(finding, reason=untold)
        broke_off = next((reason for phase in begun if (reason := skip_reason(history, phase))), None)
        if broke_off is None or finding.verdict is not Verdict.HOLDS:
            return finding
        return replace(finding, verdict=Verdict.UNDECIDED, reason=f"{broke_off}; until then: {finding.reason}")

    return whole
