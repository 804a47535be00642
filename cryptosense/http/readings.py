"""Which of the services' own counters appear in `/metrics`, and under which names."""

import asyncio
from collections.abc import Iterable, Mapping

from cryptosense.errors import StateError
from cryptosense.http.metrics import Reading, Readings, of_tally
from cryptosense.http.parts import Parts
from cryptosense.settings import STAGES

Rows = Iterable[tuple[tuple[str, ...], float]]
DEBT_PATIENCE_S = 2.0


class Debt:
    """What a rollback would lose, counted when `/metrics` is asked, since counting walks over the state."""

    def __init__(self) -> None:
        self._figures: Mapping[str, int] = {}

    async def count(self, parts: Parts) -> None:
        """Counts again; after an outage or too long a count, the figures are left out rather than kept."""
        try:
            async with asyncio.timeout(DEBT_PATIENCE_S):
                self._figures = await parts.state.debt()
        except (StateError, TimeoutError):
            self._figures = {}

    def rows(self) -> Rows:
        """By service."""
        return [((service,), float(count)) for service, count in self._figures.items()]


def readings_of(parts: Parts, debt: Debt) -> Readings:
    """Every family that is read at the scrape."""
    return Readings([*_of_the_state(parts, debt), *_of_the_services(parts), *_of_the_process()])


def _of_the_state(parts: Parts, debt: Debt) -> list[Reading]:
    return [
        Reading(
            "cryptosense_state_events",
            "Events of the state's connection.",
            ("event",),
            lambda: [((name,), count) for name, count in parts.events.events.items()],
        ),
        Reading(
            "cryptosense_state_differences",
            "Answers in which memory and Redis differed.",
            ("service", "kind"),
            lambda: of_tally(parts.events.differences),
        ),
        Reading(
            "cryptosense_rollback_debt",
            "Live things that exist only on the side that a rollback leaves.",
            ("service",),
            debt.rows,
            counts=False,
        ),
        Reading(
            "cryptosense_stage",
            "1 for the stage of the migration that holds now.",
            ("stage",),
            lambda: [((stage,), float(stage == parts.stages.name)) for stage in STAGES],
            counts=False,
        ),
        Reading(
            "cryptosense_breaker_open",
            "1 while fallbacks decide.",
            (),
            lambda: [((), float(parts.breaker.is_open))],
            counts=False,
        ),
    ]


def _of_the_services(parts: Parts) -> list[Reading]:
    return [
        Reading(
            "cryptosense_limit_decisions",
            "Decisions of the limiter.",
            ("policy", "outcome", "source"),
            lambda: of_tally(parts.limiter.counts),
        ),
        Reading(
            "cryptosense_cache_outcomes",
            "Answers of the cache.",
            ("space", "outcome"),
            lambda: of_tally(parts.cache.counts),
        ),
        Reading(
            "cryptosense_database_queries",
            "Statements sent to the database.",
            (),
            lambda: [((), float(parts.database.queries))],
        ),
        Reading(
            "cryptosense_upstream_calls",
            "Calls to the market data provider.",
            (),
            lambda: [((), float(parts.coingecko.calls))],
        ),
        Reading(
            "cryptosense_invalidation_failures",
            "Changed portfolios whose cached list could not be dropped and lives until its TTL.",
            (),
            lambda: [((), float(parts.portfolios.invalidation_failures))],
        ),
    ]


def _of_the_process() -> list[Reading]:
    return [
        Reading(
            "cryptosense_tasks",
            "Tasks of the event loop, this scrape's own included.",
            (),
            lambda: [((), float(len(asyncio.all_tasks())))],
            counts=False,
        ),
    ]
