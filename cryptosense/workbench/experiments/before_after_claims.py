"""What `before_after` claims: that split memories fail as foretold, and that shared state does not fail at all.

Its load is gentle, so its claims name the plan's lists and no promise of the contract, which is for experiments whose
load can break it. One instance alone cannot show what several do together: its claims name what they rest on.
"""

from collections.abc import Sequence

from cryptosense.workbench.claims.admissions import never_above_limit, never_denied_with_room
from cryptosense.workbench.claims.cache import hits_are_hits
from cryptosense.workbench.claims.claim import Claim
from cryptosense.workbench.claims.counts import spent_at_most
from cryptosense.workbench.claims.csrf import compare_and_rotate, failure_rate_is, good_tokens_accepted
from cryptosense.workbench.claims.refusals import everybody_is_served
from cryptosense.workbench.claims.sessions import sessions_live_on


def before_after_claims(instances: int, lists: int) -> Sequence[Claim]:
    """The claims for 1 to `instances` instances that each read `lists` coin lists."""
    return (
        *_memory_controls(instances, lists),
        *_memory_theory(instances),
        *(claim for count in range(1, instances + 1) for claim in _shared(count, lists)),
    )


def _memory_controls(most: int, lists: int) -> Sequence[Claim]:
    """The same claims as with Redis, on memories: each must be convicted."""
    name = f"memory-{most}"
    return (
        Claim(
            f"{name}-csrf",
            f"In memory, a client that follows its CSRF token over {most} instances is never refused for it.",
            ("improvement:csrf-across-servers",),
            good_tokens_accepted(phase=f"{name} csrf"),
            control=True,
        ),
        Claim(
            f"{name}-limit",
            f"In memory, {most} instances together admit no more than the limit.",
            ("improvement:rate-limit-bypass",),
            never_above_limit("strict", phase=f"{name} limit"),
            control=True,
        ),
        Claim(
            f"{name}-fetches",
            f"In memory, {most} instances together fetch a list once.",
            ("improvement:upstream-calls",),
            spent_at_most("tokens.read", phase=f"{name} reads", at_most=lists, unit="upstream calls"),
            control=True,
        ),
        Claim(
            f"{name}-hits",
            f"In memory, what one of {most} instances has cached is a hit on the others.",
            ("checklist:caching-1",),
            hits_are_hits(phase=f"{name} reads"),
            control=True,
        ),
    )


def _memory_theory(most: int) -> Sequence[Claim]:
    alone = Claim(
        "memory-1-csrf",
        "In memory, one instance alone refuses no client that follows its token: it is the split that fails.",
        ("improvement:csrf-across-servers",),
        good_tokens_accepted(phase="memory-1 csrf"),
    )
    rates = (
        Claim(
            f"memory-{count}-rate",
            f"In memory, {count - 1} of {count} protected requests are refused behind round robin over {count}.",
            ("improvement:csrf-across-servers",),
            failure_rate_is((count - 1) / count, phase=f"memory-{count} csrf"),
        )
        for count in range(2, most + 1)
    )
    return (alone, *rates)


def _shared(count: int, lists: int) -> Sequence[Claim]:
    name, on = f"redis-{count}", "1 instance" if count == 1 else f"{count} instances"

    def of(alone: str, *together: str) -> tuple[str, ...]:
        return (alone,) if count == 1 else together

    return (
        Claim(
            f"{name}-csrf",
            f"With Redis, a client that follows its CSRF token over {on} is never refused for it.",
            of("checklist:csrf-4", "improvement:csrf-across-servers", "improvement:instances", "checklist:csrf-4"),
            good_tokens_accepted(phase=f"{name} csrf"),
        ),
        Claim(
            f"{name}-rotation",
            f"With Redis, every session's token on {on} is one that is compared and rotated in one step.",
            of("checklist:csrf-5", "checklist:csrf-1", "checklist:csrf-5"),
            compare_and_rotate(phase=f"{name} csrf"),
        ),
        Claim(
            f"{name}-limit",
            f"With Redis, {on} together admit no more than the limit.",
            of("RATE-1", "improvement:rate-limit-bypass", "improvement:instances", "checklist:rate-limiting-1"),
            never_above_limit("strict", phase=f"{name} limit"),
        ),
        Claim(
            f"{name}-room",
            f"With Redis, {on} deny nobody while there is room.",
            of("RATE-1", "checklist:rate-limiting-1"),
            never_denied_with_room("strict", phase=f"{name} limit"),
        ),
        Claim(
            f"{name}-fetches",
            f"With Redis, {on} together fetch a list once.",
            of("checklist:caching-2", "improvement:upstream-calls", "checklist:caching-2"),
            spent_at_most("tokens.read", phase=f"{name} reads", at_most=lists, unit="upstream calls"),
        ),
        Claim(
            f"{name}-hits",
            f"With Redis, what one of {on} has cached is a hit on the others.",
            of("checklist:caching-2", "checklist:caching-1", "improvement:instances"),
            hits_are_hits(phase=f"{name} reads"),
        ),
        Claim(
            f"{name}-sessions",
            f"With Redis, a session opened on one of {on} is known on the others.",
            of("AUTH-1", "improvement:instances"),
            sessions_live_on(actor=f"{name}/"),
        ),
        Claim(
            f"{name}-served",
            f"With Redis, whatever is asked of {on} is answered, and never with a 5xx.",
            of("checklist:infrastructure-1", "improvement:instances"),
            everybody_is_served(actor=f"{name}/"),
        ),
    )
