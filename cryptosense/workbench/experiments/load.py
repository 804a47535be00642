"""How much does it carry, and is the limiter exact while it does?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from cryptosense.workbench.claims.admissions import (
    never_above_limit,
    never_denied_with_room,
    overload_gets_full_limit,
)
from cryptosense.workbench.claims.claim import Claim, Judgement
from cryptosense.workbench.claims.latency import percentile_within
from cryptosense.workbench.claims.throughput import every_request_answered, keeps_up, throughput_holds
from cryptosense.workbench.experiment import Chart, Doubt, Lab
from cryptosense.workbench.experiments.load_conduct import LoadParameters, conduct_load, step_name
from cryptosense.workbench.history import History
from cryptosense.workbench.verdicts import Verdict

_SOURCE = ("checklist:testing-2", "LOAD-1")


class Load:
    """Implements `experiment.Experiment`."""

    name: ClassVar[str] = "load"
    order: ClassVar[int] = 30
    doubt: ClassVar[Doubt] = Doubt(
        question="How much does it carry, and is the limiter exact while it does?",
        method=(
            "The plan's load test, 100 users with 10 requests each, from users of their own and then all from one "
            "address; one client steadily at twice its limit while others keep the service busy; then ever more "
            "requests under way, and ever more arrivals by a schedule that does not wait for the service. Latency "
            "counts from the moment a request was due."
        ),
        changes_our_mind=(
            "A request that fails, or is refused otherwise than by an honest 503; a window with more admissions than "
            "the limit or a denial while there was room; a throughput that collapses under load; or "
            "a median above the plan's 50 ms at half the capacity."
        ),
    )
    parameters: ClassVar[type[Any]] = LoadParameters
    full: ClassVar[Mapping[str, Any]] = {
        "window_s": 5.0,
        "concurrency": (1, 4, 16, 64, 256),
        "closed_s": 8.0,
        "rates": (0.25, 0.5, 0.75, 0.9, 1.1),
        "open_s": 15.0,
    }

    async def conduct(self, parameters: LoadParameters, lab: Lab) -> None:
        await conduct_load(parameters, lab)

    def claims(self, parameters: LoadParameters) -> Sequence[Claim]:
        return [*_limit_claims(), *_load_claims(parameters)]

    def charts(self, parameters: LoadParameters, history: History, judgements: Sequence[Judgement]) -> Sequence[Chart]:
        from cryptosense.workbench.experiments.load_charts import load_charts  # noqa: PLC0415 (heavy)

        del parameters, judgements
        return load_charts(history)


def _limit_claims() -> Iterator[Claim]:
    yield Claim(
        "crowd-served",
        "Users who each stay within their limit are all served, however many come at once.",
        (*_SOURCE, "RATE-1"),
        every_request_answered("tokens.read", phase="crowd", limited_too=False, refused_load=Verdict.UNDECIDED),
    )
    for phase, when in (("one address", "a crowd behind one address"), ("overload", "one client steadily over it")):
        slug = phase.replace(" ", "-")
        yield Claim(
            f"{slug}-never-above",
            f"With {when}, no window admits more than the limit.",
            (*_SOURCE, "RATE-1"),
            never_above_limit("api", phase=phase),
        )
        yield Claim(
            f"{slug}-no-wrong-denial",
            f"With {when}, nothing is denied while there is room.",
            (*_SOURCE, "RATE-1", "RATE-2"),
            never_denied_with_room("api", phase=phase),
        )
    yield Claim(
        "overload-full-limit",
        "A client steadily over its limit gets the full limit in every window.",
        (*_SOURCE, "RATE-2"),
        overload_gets_full_limit("api", phase="overload"),
    )


def _load_claims(given: LoadParameters) -> Iterator[Claim]:
    half = step_name(min(given.rates, key=lambda share: abs(share - 0.5)))
    for phase, what in (("closed", "requests under way"), ("open", "arrivals")):
        yield Claim(
            f"{phase}-answered",
            f"However many {what}: every request is answered, and of 500 or above only with a 503 that names itself "
            "and says when to come again.",
            _SOURCE,
            every_request_answered("tokens.read", phase=phase, refused_load=Verdict.HOLDS),
        )
    yield Claim(
        "throughput-holds",
        "The most requests under way carry at least 0.6 of the best step's throughput: no collapse.",
        _SOURCE,
        throughput_holds("tokens.read", phase="closed", at_least=0.6),
    )
    yield Claim(
        "keeps-up",
        f"At '{half}' of the capacity, 95 % of scheduled requests are answered within a second of being due.",
        _SOURCE,
        keeps_up("tokens.read", phase=half, at_least=0.95),
    )
    yield Claim(
        "median-within-plan",
        f"At '{half}' of the capacity, the median answer from the cache stays within the plan's 50 ms.",
        ("improvement:response-time", "checklist:testing-3"),
        percentile_within("tokens.read", phase=half, q=50, bound_ms=50),
    )


EXPERIMENT = Load()
