"""The preflight's findings in the terminal: what to mend first, then what is fine."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from cryptosense.workbench.preflight.checks import Examined
from cryptosense.workbench.run.terminal import STYLES
from cryptosense.workbench.verdict_table import MARKS
from cryptosense.workbench.verdicts import Verdict

_ORDER = (Verdict.VIOLATED, Verdict.UNDECIDED, Verdict.HOLDS)


def show(console: Console, examined: Sequence[Examined]) -> None:
    """One line a check with what was found, and the remedy below it where it does not hold."""
    for one in sorted(examined, key=lambda one: _ORDER.index(one.finding.verdict)):
        verdict = one.finding.verdict
        pill = (f"{MARKS[verdict]} {verdict:<9}", STYLES[verdict])
        console.print(Text.assemble(pill, f" {one.id}: {one.statement} {one.finding.reason}"), soft_wrap=True)
        if verdict is not Verdict.HOLDS and one.remedy:
            console.print(Text(f"            remedy: {one.remedy}"), soft_wrap=True)
