"""Does memory stay flat?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from cryptosense.workbench.claims.claim import Claim, Judgement
from cryptosense.workbench.claims.slopes import flat, growth_per_visitor, series_per_visitor
from cryptosense.workbench.claims.throughput import every_request_served
from cryptosense.workbench.experiment import Charge, Chart, Doubt, Lab
from cryptosense.workbench.experiments.soak_conduct import CONTROL, REFERENCE, SoakParameters, conduct_soak
from cryptosense.workbench.history import History


class Soak:
    """Implements `experiment.Experiment`."""

    name: ClassVar[str] = "soak"
    order: ClassVar[int] = 70
    doubt: ClassVar[Doubt] = Doubt(
        question="Does memory stay flat while ever new visitors come?",
        method=(
            "Visitors whom the service has never seen, each coming once, a client over its limit who is denied as "
            "often, and accounts that sign in and out; meanwhile the processes' memory, descriptors and tasks and the "
            "store's memory are read. A service that keeps "
            "twenty kilobytes for every request runs beside it and has to be convicted by the same claims."
        ),
        changes_our_mind=(
            "A slope whose lower bound lies above the margin that its claim states; or a leaking control that is not "
            "convicted."
        ),
    )
    parameters: ClassVar[type[Any]] = SoakParameters
    full: ClassVar[Mapping[str, Any]] = {
        "seconds": 120.0,
        "warm_visitors": 20_000,
        "instances": 2,
        "read_every_s": 1.0,
        "rss_margin": 384.0,
    }

    charges: ClassVar[Mapping[str, Charge]] = {
        contract: Charge(
            (claim,), {"with_control": False, "warm_visitors": 300, "seconds": 12.0, "at_once": 2, "denials": denials}
        )
        for contract, claim, denials in (("SOAK", "process-memory", 1), ("RATE-4", "store-memory", 4))
    }
    """Where each denied request leaves an entry, several of them a visitor stand out from the visitors' own keys, which
    come and go with the visitors' rate.
    """

    async def conduct(self, parameters: SoakParameters, lab: Lab) -> None:
        await conduct_soak(parameters, lab)

    def claims(self, parameters: SoakParameters) -> Sequence[Claim]:
        return list(_claims(parameters))

    def charts(self, parameters: SoakParameters, history: History, judgements: Sequence[Judgement]) -> Sequence[Chart]:
        from cryptosense.workbench.charts import Trend, trends  # noqa: PLC0415 (heavy)

        del judgements
        found = []
        for phase in (REFERENCE, CONTROL) if parameters.with_control else (REFERENCE,):
            series = []
            for name, label, unit, scale, margin in _figures(parameters):
                visitors, values = series_per_visitor(history, name, visit="visit", phase=phase)
                scaled = [value / scale for value in values]
                slope = growth_per_visitor(history, name, visit="visit", phase=phase, scale=scale)
                series.append(
                    Trend(label, unit, visitors, scaled, slope, margin / scale, "visitors", ("1,000 visitors", 1000.0))
                )
            found.append(trends(f"growth_{phase.split(' ')[0]}", f"What grows with visitors: {phase}", series))
        return found


def _figures(given: SoakParameters) -> list[tuple[str, str, str, float, float]]:
    """Observation, label, unit, how many of the observation's units that is, and the margin per visitor."""
    mega = 1e6
    return [
        ("process.rss", "process memory", "MB", mega, given.rss_margin),
        ("store.memory", "Redis memory", "MB", mega, given.store_margin),
        ("process.descriptors", "descriptors", "", 1.0, given.handle_margin),
        ("process.tasks", "tasks", "", 1.0, given.handle_margin),
    ]


def _claims(given: SoakParameters) -> Iterator[Claim]:
    source = ("improvement:memory", "checklist:testing-4")
    yield Claim(
        "process-memory",
        f"A process's memory grows by less than {given.rss_margin:g} bytes for a visitor who has come and gone; what "
        "is kept of each below that is not told from caches that fill.",
        (*source, "SOAK"),
        flat("process.rss", visit="visit", phase=REFERENCE, margin=given.rss_margin, unit="bytes"),
    )
    yield Claim(
        "store-memory",
        f"Redis's memory grows by less than {given.store_margin:g} bytes for a visitor who has come and gone, and a "
        "request that was denied.",
        (*source, "RATE-4"),
        flat("store.memory", visit="visit", phase=REFERENCE, margin=given.store_margin, unit="bytes"),
    )
    for name, thing in (("process.descriptors", "descriptors"), ("process.tasks", "tasks")):
        yield Claim(
            thing,
            f"The number of open {thing} does not grow with visitors.",
            source,
            flat(name, visit="visit", phase=REFERENCE, margin=given.handle_margin, unit=thing),
        )
    yield Claim(
        "visitors-served",
        "Every visitor was served, so the flat lines are of a service at work.",
        source,
        every_request_served("visit", phase=REFERENCE),
    )
    if given.with_control:
        yield Claim(
            "leak-is-seen",
            "The process memory of a service that keeps 20 kB for every request stays flat.",
            source,
            flat("process.rss", visit="visit", phase=CONTROL, margin=given.rss_margin, unit="bytes"),
            control=True,
        )


EXPERIMENT = Soak()
