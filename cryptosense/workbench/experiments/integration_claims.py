"""What `integration` claims, each with the stories on which it is judged."""

from collections.abc import Sequence
from dataclasses import replace

from cryptosense.workbench.claims import admissions, cache, csrf, limit_answers, outcomes, refusals, sessions, sliding
from cryptosense.workbench.claims.counts import one_fetch_per_expiry
from cryptosense.workbench.claims.stopping import stops_gracefully
from cryptosense.workbench.experiments.integration_store_claims import store_claims
from cryptosense.workbench.experiments.integration_trouble import OUTAGE, STOPPING, UNWELL
from cryptosense.workbench.experiments.promise import Promise, promise

_END_TO_END = "checklist:testing-1"
"""The plan's integration tests are this experiment: the item stands as all of its claims do, and not as some."""

RESTARTING = "one instance restarts"
"""The span from the signal, or the owner's command, until the new process answers."""

_SOMETHING_AWAY = (OUTAGE, UNWELL, STOPPING, "healing", "lost replies")
"""The phases in which the store, or what it says, is away. Budgets are long, so that none lapses elsewhere."""


def integration_claims(topology: str = "standalone") -> Sequence[Promise]:
    """Every claim of the experiment, in the order of the contract; those that look into one server only where it is."""
    of_one_server = store_claims() if topology == "standalone" else ()
    every = (*_csrf(), *_limits(), *_cache(), *_sessions(), *of_one_server, *_whole())
    return [replace(one, claim=replace(one.claim, source=(*one.claim.source, _END_TO_END))) for one in every]


def _csrf() -> Sequence[Promise]:
    follow, tabs, replay = "csrf follow", "csrf tabs", "csrf replay"
    return (
        promise(
            "csrf-follow",
            "A client that follows the successors is never refused, on whichever instance, however its requests end.",
            (
                "CSRF-1",
                "CSRF-4",
                "checklist:csrf-4",
                "checklist:csrf-6",
                "improvement:csrf-across-servers",
            ),
            csrf.good_tokens_accepted(phase=follow),
            follow,
        ),
        promise(
            "csrf-successor",
            "Whatever passes the guard brings the successor, a 422 and a 404 too.",
            ("CSRF-1", "CSRF-4", "checklist:csrf-5"),
            csrf.successor_delivered(phase=follow, failing_too=True),
            follow,
        ),
        promise(
            "csrf-rotation",
            "A session's token is one that is compared and rotated in one step, on all instances together.",
            ("checklist:csrf-1", "checklist:csrf-5"),
            csrf.compare_and_rotate(phase=follow),
            follow,
        ),
        promise(
            "csrf-replay",
            "One token in twenty requests at once is rotated once; all others are told the current one; an explicit "
            "rotation ends the grace.",
            ("CSRF-2", "CSRF-3", "checklist:csrf-5"),
            csrf.compare_and_rotate(phase=replay),
            replay,
        ),
        promise(
            "csrf-tabs",
            "Three tabs that change things at the same time are never refused.",
            ("CSRF-3",),
            csrf.good_tokens_accepted(phase=tabs),
            tabs,
        ),
        promise(
            "csrf-tabs-rotation",
            "What three tabs are told at the same time fits one token with a grace.",
            ("CSRF-3",),
            csrf.compare_and_rotate(phase=tabs),
            tabs,
        ),
        promise(
            "csrf-devices",
            "Two devices of one user do not lock each other out: a token belongs to a session.",
            ("CSRF-3",),
            csrf.good_tokens_accepted(phase="csrf devices"),
            "csrf devices",
        ),
        promise(
            "csrf-fetch",
            "Asking for the token, on any instance, does not replace it.",
            ("CSRF-7", "checklist:csrf-3"),
            csrf.fetch_keeps_the_token(phase="csrf fetch"),
            "csrf fetch",
        ),
        promise(
            "csrf-fetch-limited",
            "A session is told its token no more often than the limit allows.",
            ("CSRF-7",),
            admissions.never_above_limit("api", phase="csrf fetch limit", kinds=("csrf.fetch",)),
            "csrf fetch limit",
        ),
        promise(
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
        promise(
            "limit-user",
            "All instances together admit no more of one user than the limit, however many ask at once.",
            ("RATE-1", "checklist:rate-limiting-1", "checklist:rate-limiting-3", "improvement:rate-limit-bypass"),
            admissions.never_above_limit("api", phase=user),
            user,
        ),
        promise(
            "limit-user-room",
            "No user is denied while there is room.",
            ("RATE-1", "checklist:rate-limiting-3"),
            admissions.never_denied_with_room("api", phase=user),
            user,
        ),
        promise(
            "limit-address",
            "All instances together admit no more of one address than the limit, and each address has its own.",
            ("RATE-1", "checklist:rate-limiting-4"),
            admissions.never_above_limit("auth", phase=address),
            address,
        ),
        promise(
            "limit-address-room",
            "No address is denied for what another did.",
            ("RATE-1", "checklist:rate-limiting-4"),
            admissions.never_denied_with_room("auth", phase=address),
            address,
        ),
        promise(
            "limit-before-work",
            "What a denied request asked for is not done: the guard asks the limiter before the work.",
            ("checklist:rate-limiting-2",),
            cache.denied_drop_drops_nothing(phase="limit before work"),
            "limit before work",
        ),
        promise(
            "limit-overload",
            "A steady overload gets the full limit in every window.",
            ("RATE-2",),
            admissions.overload_gets_full_limit("strict", phase=overload),
            overload,
        ),
        promise(
            "limit-overload-bound",
            "A steady overload gets no more than the limit in any window.",
            ("RATE-1",),
            admissions.never_above_limit("strict", phase=overload),
            overload,
        ),
        promise(
            "limit-overload-room",
            "Under a steady overload nobody is denied while there is room: denied requests leave no trace.",
            ("RATE-2",),
            admissions.never_denied_with_room("strict", phase=overload),
            overload,
        ),
        promise(
            "limit-sliding",
            "The window slides: what is spent shortly before a window's end is not given again shortly after it.",
            ("RATE-1", "FIXED-WINDOW", "checklist:rate-limiting-3"),
            sliding.window_slides("strict", phase="limit across windows"),
            "limit across windows",
        ),
        promise(
            "limit-retry-after",
            "Retry-After is the time until a slot frees, rounded up, and not the whole window.",
            ("RATE-3",),
            limit_answers.retry_after_is_truthful("strict", phase=waited),
            waited,
        ),
        promise(
            "limit-retry-after-overload",
            "Under a steady overload too, Retry-After is reckoned from the oldest admission, which is not the newest.",
            ("RATE-3",),
            limit_answers.retry_after_is_truthful("strict", phase=overload),
            overload,
        ),
        promise(
            "limit-obedient",
            "A client that waits as long as it is told is admitted.",
            ("RATE-3",),
            limit_answers.obedient_clients_admitted("strict", phase=waited),
            waited,
        ),
        *(
            promise(
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
        promise(
            "cache-hits",
            "What one instance has fetched is a hit on all, with the same body.",
            ("CACHE-1", "checklist:caching-1", "checklist:caching-2"),
            cache.hits_are_hits(phase="cache hits"),
            "cache hits",
        ),
        promise(
            "cache-stampede",
            "A crowd that misses one list on all instances together causes one upstream call.",
            ("CACHE-2", "checklist:caching-2"),
            one_fetch_per_expiry("tokens.read", phase="cache stampede"),
            "cache stampede",
        ),
        promise(
            "cache-invalidated",
            "After an invalidation no instance shows what was fetched before it, in any list with the coin.",
            ("CACHE-4", "CACHE-5", "checklist:caching-4"),
            cache.never_stale_after_invalidation(phase="cache dropped"),
            "cache dropped",
        ),
        promise(
            "cache-raced",
            "An invalidation during a fetch takes effect: the old value is not stored after it.",
            ("CACHE-4", "checklist:caching-4"),
            cache.never_stale_after_invalidation(phase="cache raced", raced=True),
            "cache raced",
        ),
        promise(
            "cache-portfolios",
            "A user reads every change that was answered, on every instance.",
            ("CACHE-4", "checklist:caching-4"),
            cache.never_stale_after_write(phase="portfolios"),
            "portfolios",
        ),
        promise(
            "cache-portfolio-hits",
            "What one instance has read of a portfolio is a hit on all, until it is changed.",
            ("checklist:caching-3",),
            cache.hits_are_hits(phase="portfolios"),
            "portfolios",
        ),
        promise(
            "cache-spellings",
            "The same coins, however they are written, are one entry.",
            ("CACHE-5",),
            cache.same_subject_same_entry(phase="cache spellings"),
            "cache spellings",
        ),
        promise(
            "cache-told",
            "Every answer that a cache may serve says how it was served, and the upstream's count bears it out.",
            ("checklist:caching-5",),
            outcomes.outcome_is_told(kinds=("tokens.read", "portfolios.read", "insights.read")),
            "cache hits",
            "portfolios",
            "insights",
        ),
    )


def _sessions() -> Sequence[Promise]:
    return (
        promise(
            "session-everywhere",
            "A session opened on one instance is known, refreshed and used on every other.",
            ("AUTH-1", "improvement:instances"),
            sessions.sessions_live_on(phase="sessions"),
            "sessions",
        ),
        promise(
            "session-logout",
            "A logout on one instance ends bearer, refresh token and CSRF token on every instance.",
            ("AUTH-1",),
            sessions.logout_ends_the_session(phase="logout"),
            "logout",
        ),
        promise(
            "session-refresh",
            "A refresh token is good once, on all instances together.",
            ("AUTH-1",),
            sessions.refresh_is_used_once(phase="refresh"),
            "refresh",
        ),
        promise(
            "restart-sessions",
            "A session from before a restart is known to the new process.",
            ("improvement:restarts", "checklist:testing-5"),
            sessions.sessions_live_on(actor="restart/", used_in="restarted"),
            "restarted",
        ),
        promise(
            "restart-tokens",
            "A CSRF token from before a restart is accepted by the new process.",
            ("CSRF-1", "improvement:token-persistence", "improvement:restarts", "checklist:testing-5"),
            csrf.good_tokens_accepted(phase="restarted"),
            "restarted",
        ),
        promise(
            "restart-others",
            "While one instance restarts, the others serve: no refused token, no lost session, no 5xx.",
            ("improvement:restarts", "checklist:testing-5"),
            refusals.asked_meanwhile(
                refusals.answered_with(
                    set(range(100, 500)) - {401, 403},
                    phase="restart",
                    kinds=("csrf", "session"),
                    why_wrong="only another instance was restarting",
                ),
                span=RESTARTING,
                phase="restart",
                kinds=("csrf.post", "session.use"),
            ),
            "restart",
        ),
        promise(
            "restart-graceful",
            "An instance that is told to stop finishes what it is at and exits with 0 within 10 s.",
            ("checklist:infrastructure-5",),
            stops_gracefully(phase="draining", within_s=10.0),
            "draining",
        ),
    )


def _whole() -> Sequence[Promise]:
    return (
        promise(
            "health-at-once",
            "A new process that says it is ready finds its dependencies: its first health answer is 200.",
            ("CONN-3", "checklist:testing-5"),
            refusals.answered_with(
                {200},
                kinds=("health.read",),
                phase="restarted",
                actor="restarted/first",
                why_wrong="everything it needs was up",
            ),
            "restarted",
        ),
        promise(
            "health-truth",
            "Health says in words what its code says.",
            ("checklist:infrastructure-4",),
            refusals.health_tells_the_truth(),
            "health",
            "restarted",
        ),
        promise(
            "health-redis",
            "Health names Redis, and Redis answers.",
            ("checklist:infrastructure-1", "checklist:infrastructure-4"),
            refusals.dependency_is_reported("redis", phase="health"),
            "health",
        ),
        promise(
            "honest-refusals",
            "Every refusal has a declared code, tells when to come back where it should, and shows no insides.",
            (),
            refusals.refusals_are_honest(),
        ),
        promise(
            "no-server-error",
            "Nothing that was asked ended in a 5xx, but for an honest 503 in the outage or beside lost replies.",
            (),
            refusals.no_server_error(excused_in=_SOMETHING_AWAY),
        ),
    )
