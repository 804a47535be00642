"""Whether the machine was quiet enough for a timing to convict anybody.

The run records `machine.foreign_cpu`: the share (0 to 1) of all processors that programs outside the run took. A
timing that keeps its promise on a busy machine keeps it; one that breaks it there proves nothing, and the finding
becomes UNDECIDED with the reason, unless it is so far off that sharing the processors cannot be why.
"""

from dataclasses import replace

import numpy as np

from cryptosense.workbench.claims.claim import Finding
from cryptosense.workbench.history import History
from cryptosense.workbench.verdicts import Verdict

QUIET_SHARE = 0.15
"""Other programs' share of the processors below which a timing may convict."""


def foreign_share(history: History, started_at: float, ended_at: float) -> float | None:
    """The mean share that other programs took in that stretch (or in the reading next after it); None if unread."""
    readings = history.observations("machine.foreign_cpu")
    within = [reading.value for reading in readings if started_at <= reading.at <= ended_at]
    if not within:
        within = [reading.value for reading in readings if reading.at >= started_at][:1]
    return float(np.mean(within)) if within else None


def unless_noisy(
    finding: Finding, history: History, started_at: float, ended_at: float, *, gross: bool = False
) -> Finding:
    """The finding itself, or UNDECIDED where it convicts and other programs kept the machine busy meanwhile.

    `gross`: the figure is several times beyond its bound, more than a shared processor explains.
    """
    if finding.verdict is not Verdict.VIOLATED or gross:
        return finding
    share = foreign_share(history, started_at, ended_at)
    if share is None or share <= QUIET_SHARE:
        return finding
    return replace(
        finding,
        verdict=Verdict.UNDECIDED,
        reason=f"other programs took {share:.0%} of the processors meanwhile, so this timing convicts nobody: "
        f"{finding.reason}",
    )
