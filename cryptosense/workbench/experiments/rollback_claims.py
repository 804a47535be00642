"""What `rollback` claims about the walk, about the checks after it, and about the plan's own way back."""

from collections.abc import Sequence

from cryptosense.workbench.claims import admissions, csrf, refusals, sessions, walking
from cryptosense.workbench.claims.claim import Claim
from cryptosense.workbench.experiments.rollback_plan import AFTER, RESTART, ROLLING
from cryptosense.workbench.experiments.rollback_walk import ANSWERED_S, WALKING, flips

BACK_TO_MEMORY = "live → shadow"
"""The flip at which memory counts again on the way back."""


def rollback_claims() -> Sequence[Claim]:
    """Every claim of the experiment, in the order in which things happen."""
    walked_back = _after("after", "the walk back", "STAGE-1")
    return (*_walk(), *walked_back, *_plan(), *_after("plan again", "the plan's rollback", "checklist:testing-5"))


def _walk() -> Sequence[Claim]:
    return (
        Claim(
            "walk-stages",
            "All six stages are reached and left again, one step at a time, without a restart.",
            ("STAGE-1",),
            walking.walked_without_restart(flips(), phase=WALKING),
        ),
        Claim(
            "walk-no-failure",
            "No request fails because of a flip.",
            ("STAGE-1",),
            refusals.no_refusal_for_the_flip(phase=WALKING, flips=flips()),
        ),
        Claim(
            "walk-tokens",
            "A client in use keeps its CSRF token through every stage.",
            ("STAGE-1", "STAGE-3"),
            csrf.good_tokens_accepted(phase=WALKING),
        ),
        Claim(
            "walk-rotation",
            "Through all stages each session's token is one that is compared and rotated in one step.",
            ("STAGE-3",),
            csrf.compare_and_rotate(phase=WALKING),
        ),
        Claim(
            "walk-sessions",
            "A session in use is known through every stage.",
            ("STAGE-1", "STAGE-3"),
            sessions.sessions_live_on(actor=f"{WALKING}/"),
        ),
        Claim(
            "walk-other-side",
            "While the side that does not count is frozen, nobody is refused, left without an answer, or kept waiting "
            f"beyond {ANSWERED_S:g} s.",
            ("STAGE-2",),
            walking.unnoticed_while_other_side_fails(phase=WALKING, bound_s=ANSWERED_S),
        ),
        Claim(
            "walk-differences",
            "Where the sides differ, the service counts it.",
            ("STAGE-4",),
            walking.differences_are_counted("sessions", before="one-sided asked", after="one-sided told"),
        ),
        Claim(
            "walk-debt",
            "The way back loses no more tokens than the service had said before.",
            ("STAGE-5",),
            walking.debt_was_told("csrf", before=BACK_TO_MEMORY, phase="idle after"),
        ),
    )


def _plan() -> Sequence[Claim]:
    return (
        Claim(
            "plan-tokens",
            "A rolling restart to memory, the plan's own rollback, keeps the CSRF tokens.",
            ("STAGE-5", "improvement:token-persistence"),
            csrf.good_tokens_accepted(phase=AFTER),
            control=True,
        ),
        Claim(
            "plan-mended",
            "After the plan's rollback a client that fetches a new token goes on.",
            ("checklist:testing-5",),
            csrf.good_tokens_accepted(phase=f"{AFTER} mended"),
        ),
        Claim(
            "plan-others",
            "While one instance is rolled back, clients of the others are served.",
            ("checklist:testing-5",),
            walking.others_are_served(phase=ROLLING, beside=RESTART),
        ),
    )


def _after(phase: str, when: str, source: str) -> Sequence[Claim]:
    """What has to work again: without a restart (STAGE-1), or after a restart of every instance."""
    name = phase.replace(" ", "-")
    return (
        Claim(
            f"{name}-auth",
            f"After {when} signing up and in, tokens and sessions work.",
            (source,),
            refusals.answered_with(
                range(200, 300),
                phase=f"{phase} auth",
                why_wrong="the authentication flow is broken after the rollback",
            ),
        ),
        Claim(
            f"{name}-limit",
            f"After {when} the limit holds on each instance.",
            (source,),
            admissions.never_above_limit("strict", phase=f"{phase} limits"),
        ),
        Claim(
            f"{name}-room",
            f"After {when} nobody is denied while there is room.",
            (source,),
            admissions.never_denied_with_room("strict", phase=f"{phase} limits"),
        ),
        Claim(
            f"{name}-health",
            f"After {when} health says what its code says.",
            ("checklist:infrastructure-4",),
            refusals.health_tells_the_truth(phase=f"{phase} health"),
        ),
        Claim(
            f"{name}-logs",
            f"After {when} the logs tell of no error.",
            (source,),
            walking.logs_are_clean(phase=phase),
        ),
    )
