"""What can go wrong on purpose: each fault is one class that carries its cure, its label and its shading.

`FAULTS` finds them by name; a `Timeline` puts them on an experiment's clock (`"kill@2s for 3s; flush@8s"`), and
`inflict` runs it: whatever happens, every fault that was injected is healed.
"""

from cryptosense.workbench.faults.clocks import ClockSkew
from cryptosense.workbench.faults.connections import CutLink, DroppedConnections, SlowReplies
from cryptosense.workbench.faults.elections import watch_elections
from cryptosense.workbench.faults.fault import Fault
from cryptosense.workbench.faults.processes import Freeze, Kill, Restart
from cryptosense.workbench.faults.server import Demote, FullMemory, ScriptFlush, WrongPassword
from cryptosense.workbench.faults.timeline import FAULTS, PlannedFault, Timeline, inflict, inflicted
from cryptosense.workbench.faults.upstream import UpstreamOutage

__all__ = [
    "FAULTS",
    "ClockSkew",
    "CutLink",
    "Demote",
    "DroppedConnections",
    "Fault",
    "Freeze",
    "FullMemory",
    "Kill",
    "PlannedFault",
    "Restart",
    "ScriptFlush",
    "SlowReplies",
    "Timeline",
    "UpstreamOutage",
    "WrongPassword",
    "inflict",
    "inflicted",
    "watch_elections",
]
