"""What `integration` claims of the store's side: foreign content, lost replies, clients, keys, an outage."""

from collections.abc import Sequence

from cryptosense.workbench.claims import cache, outcomes, refusals, store
from cryptosense.workbench.claims.stopping import stops_gracefully
from cryptosense.workbench.claims.store_clients import keys_carry_one_prefix, one_client_per_process
from cryptosense.workbench.experiments.integration_clients import CLIENTS
from cryptosense.workbench.experiments.integration_trouble import HEALED, OUTAGE, STOPPING, UNWELL
from cryptosense.workbench.experiments.promise import Promise, promise


def store_claims() -> Sequence[Promise]:
    """Every claim that looks into one server of the run's own, or takes it away."""
    return (*_foreign_content(), *_clients_and_outage())


def _foreign_content() -> Sequence[Promise]:
    limiter_key, entry, lost = "foreign limiter key", "foreign cache entry", "lost replies"
    return (
        promise(
            "store-foreign-limiter",
            "Something foreign at one client's limiter key denies nobody for ever: the insurance decides for that key.",
            ("RATE-8",),
            store.foreign_limiter_key_denies_nobody(phase=limiter_key),
            limiter_key,
        ),
        promise(
            "store-foreign-entry",
            "Something foreign at a cache entry's key is a miss, and is never served.",
            ("CACHE-6",),
            store.foreign_entry_is_a_miss(phase=entry),
            entry,
        ),
        promise(
            "store-unlink",
            "Dropping every list frees memory in the background: UNLINK, never DEL.",
            ("CACHE-8",),
            store.unlinks(phase="dropping all"),
            "dropping all",
        ),
        promise(
            "store-dropped",
            "Dropping every list drops every list: none is shown as it was before.",
            ("CACHE-8", "checklist:caching-4"),
            cache.never_stale_after_invalidation(phase="dropping all"),
            "dropping all",
        ),
        promise(
            "store-lost-replies",
            "A decision whose reply was lost counts once: no client is denied while it has room.",
            ("RATE-9",),
            store.lost_replies_count_once("auth", phase=lost),
            lost,
        ),
    )


def _clients_and_outage() -> Sequence[Promise]:
    return (
        promise(
            "store-driver",
            "The services speak to Redis through redis-py, over few connections that all requests share.",
            ("checklist:infrastructure-2", "checklist:infrastructure-3"),
            one_client_per_process(phase=CLIENTS, per_instance=8),
        ),
        promise(
            "store-prefix",
            "Every key carries one prefix, and nobody flushes the server.",
            ("DATA-1",),
            keys_carry_one_prefix(phase=CLIENTS),
        ),
        promise(
            "outage-told",
            "While the store is away no answer is called a miss.",
            ("CACHE-7",),
            outcomes.outage_is_no_miss(phase=OUTAGE),
            OUTAGE,
        ),
        promise(
            "outage-honest",
            "While the store is away a right CSRF token is answered with 503 and not called wrong.",
            ("CSRF-5",),
            refusals.answered_with(
                {503},
                phase=OUTAGE,
                kinds=("csrf.post",),
                codes={"STATE_UNAVAILABLE"},
                why_wrong=(
                    "only the store was away, so the user is told a lie; the usual cause is an error of the store that "
                    "is taken for a token that is not there"
                ),
            ),
            OUTAGE,
        ),
        promise(
            "outage-health",
            "While the store is away health says so, with 503.",
            ("checklist:infrastructure-4",),
            refusals.answered_with(
                {503},
                phase=UNWELL,
                kinds=("health.read",),
                why_wrong="the store was away, and health was content; "
                "the usual cause is a health route that asks nobody",
            ),
            UNWELL,
        ),
        promise(
            "outage-healed",
            "Once the store answers again, a new client signs up and changes something.",
            ("checklist:testing-5",),
            refusals.answered_with(range(200, 300), phase=HEALED, why_wrong="the store answers again and this did not"),
            HEALED,
        ),
        promise(
            "outage-stop",
            "An instance that is told to stop while the store is away exits with 0 within 10 s.",
            ("STOP-1", "checklist:infrastructure-5"),
            stops_gracefully(phase=None, within_s=10.0, redis="down"),
            STOPPING,
        ),
    )
