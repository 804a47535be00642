"""Load: closed and open loops as plain plans, carried out by generators in processes of their own.

    plan = LoadPlan("steady", urls, clients, asks, OpenLoop(rate=200), seconds=10)
    report = await drive(plan, folder=lab.folder, recorder=lab.recorder, progress=lab.progress)

Every request becomes an operation of the history. The generators measure their own headroom; `report.bottleneck` says
when the figures are theirs and not the service's.
"""

from cryptosense.workbench.load.driving import LoadReport, drive
from cryptosense.workbench.load.plan import Ask, ClosedLoop, LoadClient, LoadPlan, OpenLoop, arrivals

__all__ = ["Ask", "ClosedLoop", "LoadClient", "LoadPlan", "LoadReport", "OpenLoop", "arrivals", "drive"]
