"""What `integration` claims, each with the stories on which it is judged."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptosense.workbench.claims import admissions, cache, csrf, limit_answers, refusals, sessions, store
from cryptosense.workbench.claims.claim import Checker, Claim
from cryptosense.workbench.claims.counts import one_fetch_per_expiry
from cryptosense.workbench.claims.stopping import stops_gracefully
from cryptosense.workbench.claims.store_clients import keys_carry_one_prefix, one_client_per_process
from cryptosense.workbench.experiments.integration_clients import CLIENTS
from cryptosense.workbench.experiments.integration_trouble import HEALED, OUTAGE


@dataclass(frozen=True, slots=True)
class Promise:
    """A claim, and the phases whose operations it judges (all of the history where there are none)."""

    claim: Claim
    phases: tuple[str, ...] = ()


def integration_claims(topology: str = "standalone") -> Sequence[Promise]:
    """Every claim of the experiment, in the order of the contract; those that look into one server only where it is."""
    of_one_server = (*_store(), *_trouble()) if topology == "standalone" else ()
    return (*_csrf(), *_limits(), *_cache(), *_sessions(), *of_one_server, *_whole())


def _promise(name: str, statement: str, source: Sequence[str], check: Checker, *phases: str) -> Promise:
    return Promise(Claim(name, statement, tuple(source), check), phases)


def _csrf() -> Sequence[Promise]:
    follow, tabs, replay = "csrf follow", "csrf tabs", "csrf replay"
    return (
        _promise(
            "csrf-follow",
            "A client that follows the successors is never refused, on whichever instance, however its requests end.",
            (
                "CSRF-1",
                "CSRF-4",
                "checklist:csrf-2",
                "checklist:csrf-4",
                "checklist:csrf-6",
                "improvement:csrf-across-servers",
            ),
            csrf.good_tokens_accepted(phase=follow),
            follow,
        ),
        _promise(
            "csrf-successor",
            "Whatever passes the guard brings the successor, a 422 and a 404 too.",
            ("CSRF-1", "CSRF-4", "checklist:csrf-5"),
            csrf.successor_delivered(phase=follow),
            follow,
        ),
        _promise(
            "csrf-rotation",
            "A session's token is one that is compared and rotated in one step, on all instances together.",
            ("checklist:csrf-1", "checklist:csrf-5"),
            csrf.compare_and_rotate(phase=follow),
            follow,
        ),
        _promise(
            "csrf-replay",
            "One token in twenty requests at once is rotated once; all others are told the current one; an explicit "
            "rotation ends the grace.",
            ("CSRF-2", "CSRF-3", "checklist:csrf-5"),
            csrf.compare_and_rotate(phase=replay),
            replay,
        ),
        _promise(
            "csrf-tabs",
            "Three tabs that change things at the same time are never refused.",
            ("CSRF-3",),
            csrf.good_tokens_accepted(phase=tabs),
            tabs,
        ),
        _promise(
            "csrf-tabs-rotation",
            "What three tabs are told at the same time fits one token with a grace.",
            ("CSRF-3",),
            csrf.compare_and_rotate(phase=tabs),
            tabs,
        ),
        _promise(
            "csrf-devices",
            "Two devices of one user do not lock each other out: a token belongs to a session.",
            ("CSRF-3",),
            csrf.good_tokens_accepted(phase="csrf devices"),
            "csrf devices",
        ),
        _promise(
            "csrf-fetch",
            "Asking for the token, on any instance, does not replace it.",
            ("CSRF-7", "checklist:csrf-3"),
            csrf.fetch_keeps_the_token(phase="csrf fetch"),
            "csrf fetch",
        ),
        _promise(
            "csrf-unproven",
            "No request passes without a token, or with one that nobody was given.",
            ("checklist:csrf-2", "checklist:csrf-4"),
            refusals.answered_with(
                {403},
                kinds=("csrf.post",),
                phase="csrf without",
                codes={"CSRF_TOKEN_MISSING", "CSRF_TOKEN_INVALID"},
                why_wrong="it carried no proof and was not refused for that",
            ),
            "csrf without",
        ),
    )


def _limits() -> Sequence[Promise]:
    user, address, overload, waited = "limit by user", "limit by address", "limit overload", "limit waited out"
    return (
        _promise(
            "limit-user",
            "All instances together admit no more of one user than the limit, however many ask at once.",
            ("RATE-1", "checklist:rate-limiting-1", "checklist:rate-limiting-3", "improvement:rate-limit-bypass"),
            admissions.never_above_limit("api", phase=user),
            user,
        ),
        _promise(
            "limit-user-room",
            "No user is denied while there is room.",
            ("RATE-1", "checklist:rate-limiting-3"),
            admissions.never_denied_with_room("api", phase=user),
            user,
        ),
        _promise(
            "limit-address",
            "All instances together admit no more of one address than the limit, and each address has its own.",
            ("RATE-1", "checklist:rate-limiting-4", "checklist:rate-limiting-2"),
            admissions.never_above_limit("auth", phase=address),
            address,
        ),
        _promise(
            "limit-address-room",
            "No address is denied for what another did.",
            ("RATE-1", "checklist:rate-limiting-4"),
            admissions.never_denied_with_room("auth", phase=address),
            address,
        ),
        _promise(
            "limit-overload",
            "A steady overload gets the full limit in every window.",
            ("RATE-2",),
            admissions.overload_gets_full_limit("strict", phase=overload),
            overload,
        ),
        _promise(
            "limit-overload-bound",
            "A steady overload gets no more than the limit in any window.",
            ("RATE-1",),
            admissions.never_above_limit("strict", phase=overload),
            overload,
        ),
        _promise(
            "limit-overload-room",
            "Under a steady overload nobody is denied while there is room: denied requests leave no trace.",
            ("RATE-2",),
            admissions.never_denied_with_room("strict", phase=overload),
            overload,
        ),
        _promise(
            "limit-retry-after",
            "Retry-After is the time until a slot frees, rounded up, and not the whole window.",
            ("RATE-3",),
            limit_answers.retry_after_is_truthful("strict", phase=waited),
            waited,
        ),
        _promise(
            "limit-obedient",
            "A client that waits as long as it is told is admitted.",
            ("RATE-3",),
            limit_answers.obedient_clients_admitted("strict", phase=waited),
            waited,
        ),
        *(
            _promise(
                f"limit-headers-{policy}",
                f"The limit headers of {policy} tell the limit, the rest and the reset, in both dialects.",
                ("RATE-3", "checklist:rate-limiting-5"),
                limit_answers.limit_headers_are_right(policy, phase=phase),
                phase,
            )
            for policy, phase in (("api", user), ("auth", address), ("strict", overload))
        ),
    )


def _cache() -> Sequence[Promise]:
    return (
        _promise(
            "cache-hits",
            "What one instance has fetched is a hit on all, with the same body.",
            ("CACHE-1", "checklist:caching-1", "checklist:caching-2"),
            cache.hits_are_hits(phase="cache hits"),
            "cache hits",
        ),
        _promise(
            "cache-stampede",
            "A crowd that misses one list on all instances together causes one upstream call.",
            ("CACHE-2", "checklist:caching-2"),
            one_fetch_per_expiry("tokens.read", phase="cache stampede"),
            "cache stampede",
        ),
        _promise(
            "cache-invalidated",
            "After an invalidation no instance shows what was fetched before it, in any list with the coin.",
            ("CACHE-4", "CACHE-5", "checklist:caching-4"),
            cache.never_stale_after_invalidation(phase="cache dropped"),
            "cache dropped",
        ),
        _promise(
            "cache-raced",
            "An invalidation during a fetch takes effect: the old value is not stored after it.",
            ("CACHE-4", "checklist:caching-4"),
            cache.never_stale_after_invalidation(phase="cache raced"),
            "cache raced",
        ),
        _promise(
            "cache-portfolios",
            "A user reads every change that was answered, on every instance.",
            ("CACHE-4", "checklist:caching-4"),
            cache.never_stale_after_write(phase="portfolios"),
            "portfolios",
        ),
        _promise(
            "cache-spellings",
            "The same coins, however they are written, are one entry.",
            ("CACHE-5",),
            cache.same_subject_same_entry(phase="cache spellings"),
            "cache spellings",
        ),
        _promise(
            "cache-told",
            "Every answer that a cache may serve says how it was served.",
            ("checklist:caching-5",),
            cache.outcome_is_told(kinds=("tokens.read", "portfolios.read", "insights.read")),
            "cache hits",
            "portfolios",
            "insights",
        ),
    )


def _sessions() -> Sequence[Promise]:
    return (
        _promise(
            "session-everywhere",
            "A session opened on one instance is known, refreshed and used on every other.",
            ("AUTH-1", "improvement:instances"),
            sessions.sessions_live_on(phase="sessions"),
            "sessions",
        ),
        _promise(
            "session-logout",
            "A logout on one instance ends bearer, refresh token and CSRF token on every instance.",
            ("AUTH-1",),
            sessions.logout_ends_the_session(phase="logout"),
            "logout",
        ),
        _promise(
            "session-refresh",
            "A refresh token is good once, on all instances together.",
            ("AUTH-1",),
            sessions.refresh_is_used_once(phase="refresh"),
            "refresh",
        ),
        _promise(
            "restart-sessions",
            "A session from before a restart is known to the new process.",
            ("improvement:restarts", "checklist:testing-5"),
            sessions.sessions_live_on(actor="restart/"),
            "restarted",
        ),
        _promise(
            "restart-tokens",
            "A CSRF token from before a restart is accepted by the new process.",
            ("CSRF-1", "improvement:token-persistence", "improvement:restarts", "checklist:testing-5"),
            csrf.good_tokens_accepted(phase="restarted"),
            "restarted",
        ),
        _promise(
            "restart-others",
            "While one instance restarts, the others serve: no refused token, no lost session, no 5xx.",
            ("improvement:restarts", "checklist:testing-5"),
            refusals.no_refusal_for_the_flip(phase="restart"),
            "restart",
        ),
        _promise(
            "restart-graceful",
            "An instance that is told to stop finishes what it is at and exits with 0 within 10 s.",
            ("checklist:infrastructure-5",),
            stops_gracefully(phase="draining", within_s=10.0),
            "draining",
        ),
    )


def _store() -> Sequence[Promise]:
    limiter_key, entry, lost = "foreign limiter key", "foreign cache entry", "lost replies"
    return (
        _promise(
            "store-foreign-limiter",
            "Something foreign at one client's limiter key denies nobody for ever: the insurance decides for that key.",
            ("RATE-8",),
            refusals.answered_with(
                range(429),
                kinds=("limit.probe",),
                phase=limiter_key,
                why_wrong="the script could not read the key, which is no reason to deny or to fail",
            ),
            limiter_key,
        ),
        _promise(
            "store-foreign-entry",
            "Something foreign at a cache entry's key is a miss, and is never served.",
            ("CACHE-6",),
            store.foreign_entry_is_a_miss(phase=entry),
            entry,
        ),
        _promise(
            "store-unlink",
            "Dropping every list frees memory in the background: UNLINK, never DEL.",
            ("CACHE-8", "checklist:caching-4"),
            store.unlinks(phase="dropping all"),
            "dropping all",
        ),
        _promise(
            "store-lost-replies",
            "A decision whose reply was lost counts once: no client is denied while it has room.",
            ("RATE-9",),
            store.lost_replies_count_once("auth", phase=lost),
            lost,
        ),
    )


def _trouble() -> Sequence[Promise]:
    return (
        _promise(
            "store-driver",
            "The services speak to Redis through redis-py, over few connections that all requests share.",
            ("checklist:infrastructure-2", "checklist:infrastructure-3"),
            one_client_per_process(phase=CLIENTS, per_instance=8),
        ),
        _promise(
            "store-prefix",
            "Every key carries one prefix, and nobody flushes the server.",
            ("DATA-1",),
            keys_carry_one_prefix(phase=CLIENTS),
        ),
        _promise(
            "outage-told",
            "While the store is away no answer is called a miss.",
            ("CACHE-7",),
            cache.outage_is_no_miss(phase=OUTAGE),
            OUTAGE,
        ),
        _promise(
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
        _promise(
            "outage-healed",
            "Once the store answers again, a new client signs up and changes something.",
            ("checklist:testing-5",),
            refusals.answered_with(range(200, 300), phase=HEALED, why_wrong="the store answers again and this did not"),
            HEALED,
        ),
        _promise(
            "outage-stop",
            "An instance that is told to stop while the store is away exits with 0 within 10 s.",
            ("STOP-1", "checklist:infrastructure-5"),
            stops_gracefully(phase=None, within_s=10.0, redis="down"),
        ),
    )


def _whole() -> Sequence[Promise]:
    return (
        _promise(
            "health-at-once",
            "A new process that says it is ready finds its dependencies: its first health answer is 200.",
            ("CONN-3",),
            refusals.answered_with(
                {200},
                kinds=("health.read",),
                phase="restarted",
                actor="restarted/first",
                why_wrong="everything it needs was up",
            ),
            "restarted",
        ),
        _promise(
            "health-truth",
            "Health says in words what its code says.",
            ("checklist:infrastructure-4",),
            refusals.health_tells_the_truth(),
            "health",
            "restarted",
        ),
        _promise(
            "health-redis",
            "Health names Redis, and Redis answers.",
            ("checklist:infrastructure-1", "checklist:infrastructure-4"),
            refusals.dependency_is_reported("redis", phase="health"),
            "health",
        ),
        _promise(
            "honest-refusals",
            "Every refusal has a declared code, tells when to come back where it should, and shows no insides.",
            ("checklist:testing-1",),
            refusals.refusals_are_honest(),
        ),
        _promise(
            "no-server-error",
            "Nothing that was asked ended in a 5xx, but for an honest 503 in the outage.",
            ("checklist:testing-1",),
            refusals.no_server_error(),
        ),
    )
