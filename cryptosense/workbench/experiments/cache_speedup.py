"""What does caching buy?

Time is compressed: with a lifetime of 1.5 s instead of 30 s, polling at the plan's rate per lifetime takes seconds. The
full profile runs at the plan's own 30 s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from cryptosense.workbench.claims.cache import hits_are_fresh
from cryptosense.workbench.claims.caching import (
    failing_upstream_spared,
    fetched_again_after_invalidation,
    last_good_value_served,
)
from cryptosense.workbench.claims.claim import Checker, Claim, Finding, Judgement
from cryptosense.workbench.claims.counts import one_fetch_per_expiry, queries_saved, upstream_rate
from cryptosense.workbench.claims.latency import percentile_within, times_faster
from cryptosense.workbench.claims.outcomes import outcome_is_told
from cryptosense.workbench.claims.reading import skip_reason
from cryptosense.workbench.client import Wire
from cryptosense.workbench.deployment import DeploymentPlan, UpstreamPlan
from cryptosense.workbench.experiment import Charge, Chart, Doubt, Lab
from cryptosense.workbench.experiments.cache_charts import cache_charts
from cryptosense.workbench.experiments.cache_phases import CachePhases, CacheSpeedupParameters, settings_of
from cryptosense.workbench.history import History
from cryptosense.workbench.readings import watched_machine
from cryptosense.workbench.verdicts import Verdict


class CacheSpeedup:
    """Implements `experiment.Experiment`."""

    name: ClassVar[str] = "cache_speedup"
    order: ClassVar[int] = 40
    doubt: ClassVar[Doubt] = Doubt(
        question="What does caching buy, and what does it cost in truth?",
        method=(
            "The same reads cold and warm against a simulated CoinGecko of 200-500 ms that counts its own calls; one "
            "list polled over several lifetimes; crowds that miss one key together, when it is new and when it "
            "expires; invalidations sent while a fetch is under way; an upstream that fails; and a read-mostly "
            "portfolio workload beside a database whose queries are counted."
        ),
        changes_our_mind=(
            "Hits that are not several times faster than misses of the same run, more than one upstream call per "
            "expiry, a value from before an invalidation served after it, or fewer than 70 % of the queries saved."
        ),
    )
    parameters: ClassVar[type[Any]] = CacheSpeedupParameters
    full: ClassVar[Mapping[str, Any]] = {
        "ttl_s": 30.0,
        "cold_lists": 1000,
        "cold_at_once": 32,
        "warm_reads": 4000,
        "tail": 99.0,
        "stampedes": 10,
        "stampede": 100,
        "races": 8,
        "mixed_operations": 2000,
        "users": 20,
    }

    charges: ClassVar[Mapping[str, Charge]] = {
        "CACHE-3": Charge(
            ("stale-in-outage", "failures-remembered"),
            {
                "instances": 2,
                "cold_lists": 20,
                "warm_reads": 100,
                "tail": 60.0,
                "mixed_operations": 40,
                "users": 2,
            },
        )
    }

    async def conduct(self, parameters: CacheSpeedupParameters, lab: Lab) -> None:
        plan = DeploymentPlan(
            label="cached",
            service=parameters.service,
            instances=parameters.instances,
            upstream=UpstreamPlan(latency_ms=(parameters.upstream_low_ms, parameters.upstream_high_ms)),
            settings=settings_of(parameters),
        )
        async with (
            lab.deploy(plan) as deployment,
            Wire(deployment.target, lab.recorder, progress=lab.progress) as wire,
            watched_machine(lab.recorder),
        ):
            await CachePhases(parameters, lab, deployment, wire).everything()

    def claims(self, parameters: CacheSpeedupParameters) -> Sequence[Claim]:
        return [
            replace(claim, check=_and_why(claim.check, phase="cold")) if claim.id.startswith("hit-faster") else claim
            for claim in _claims(parameters)
        ]

    def charts(
        self, parameters: CacheSpeedupParameters, history: History, judgements: Sequence[Judgement]
    ) -> Sequence[Chart]:
        del judgements
        return cache_charts(parameters, history)


def _and_why(check: Checker, *, phase: str) -> Checker:
    """The checker; where it cannot tell, with what the run says of why so little was asked in the phase."""

    def with_reason(history: History) -> Finding:
        finding, why = check(history), skip_reason(history, phase)
        if why is None or finding.verdict is not Verdict.UNDECIDED:
            return finding
        return replace(finding, reason=f"{finding.reason}; {why}")

    return with_reason


def _claims(given: CacheSpeedupParameters) -> Sequence[Claim]:
    tail = f"{given.tail:g}"
    return (
        Claim(
            "hit-faster-median",
            "The median answer from the cache comes at least 4 times as fast as one that has to be fetched.",
            ("improvement:response-time", "checklist:testing-3"),
            times_faster("tokens.read", slow="cold", fast="warm", q=50, at_least=4),
        ),
        Claim(
            "hit-faster-tail",
            f"Percentile {tail} of the answers from the cache is at least 4 times as fast as that of fetched ones.",
            ("improvement:response-time",),
            times_faster("tokens.read", slow="cold", fast="warm", q=given.tail, at_least=4),
        ),
        Claim(
            "hit-within-plan",
            "The median answer from the cache stays within the plan's 50 ms.",
            ("improvement:response-time", "checklist:caching-2"),
            percentile_within("tokens.read", phase="warm", q=50, bound_ms=50),
        ),
        Claim(
            "upstream-calls",
            "Polling a list costs CoinGecko at most 2 refreshes a minute, however many instances there are.",
            ("improvement:upstream-calls", "checklist:caching-2"),
            upstream_rate("tokens.read", phase="poll", ttl_s=given.ttl_s),
        ),
        Claim(
            "hits-fresh",
            "No answer from the cache is older than the list's lifetime.",
            ("checklist:caching-2",),
            hits_are_fresh(phase="poll", ttl_s=given.ttl_s),
        ),
        Claim(
            "outcome-true",
            "Every answer says how it was served, and the upstream's count bears it out.",
            ("checklist:caching-5",),
            outcome_is_told(kinds=("tokens.read", "portfolios.read")),
        ),
        Claim(
            "one-fetch-cold",
            "Callers on all instances who miss a new key together cost one upstream call.",
            ("CACHE-2",),
            one_fetch_per_expiry("tokens.read", phase="stampede"),
        ),
        Claim(
            "one-fetch-expiry",
            "Callers on all instances who go on asking while a key expires cost one upstream call.",
            ("CACHE-2",),
            one_fetch_per_expiry("tokens.read", phase="expiry"),
        ),
        Claim(
            "invalidation-during-fetch",
            "A value fetched before an invalidation is not served to anybody who asks after it.",
            ("CACHE-4", "checklist:caching-4"),
            fetched_again_after_invalidation(phase="race"),
        ),
        Claim(
            "stale-in-outage",
            "While CoinGecko fails, every read of a list that was known is served its last good value, marked stale.",
            ("CACHE-3",),
            last_good_value_served(phase="outage known"),
        ),
        Claim(
            "failures-remembered",
            "A failing CoinGecko is not asked again by every caller.",
            ("CACHE-3",),
            failing_upstream_spared(phase="outage unknown", reads_per_call=10),
        ),
        Claim(
            "database-queries",
            "A read-mostly portfolio workload costs at least 70 % fewer database queries than uncached.",
            ("improvement:database-queries", "checklist:caching-3"),
            queries_saved(
                "portfolios.read",
                "portfolios.write",
                cold="portfolios cold",
                writes="portfolios writes",
                mixed="portfolios mixed",
            ),
        ),
    )


EXPERIMENT = CacheSpeedup()
