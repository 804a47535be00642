"""Claims about CSRF tokens.

Operations: `csrf.fetch` (`got.token`), `csrf.post` (`sent.token`, `got.successor`) and `csrf.rotate`; the actor is the
session. Tokens are digests. `sent.follows` is True where the client presented the newest token that it was given.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.counts import most_at_once
from cryptosense.workbench.claims.csrf_model import CsrfRules, Guard, csrf_model, guard_of, without_answer
from cryptosense.workbench.claims.linearizable import Answer, search, shortest_illegal_prefix
from cryptosense.workbench.claims.reading import (
    acquitted,
    by_actor,
    convicted,
    declared,
    nothing_to_judge,
    select,
    told,
)
from cryptosense.workbench.history import History, Operation


def compare_and_rotate(
    *, phase: str | None = None, actor: str | None = None, grace_s: float | None = None, budget: int = 50_000
) -> Checker:
    """CSRF-2, CSRF-3: every session's answers are those of one object that compares and rotates in one step.

    `grace_s` is the declared grace (observation `csrf.grace_s` of the phase unless given).
    """

    def check(history: History) -> Finding:
        operations = select(history, "csrf", phase=phase, actor=actor)
        if not operations:
            return nothing_to_judge(history, phase, "CSRF operation", expected=0)
        grace = _grace(history, phase, grace_s)
        model, unclear, guilty = csrf_model(CsrfRules(grace)), 0, dict[str, list[Operation]]()
        for session, asked in by_actor(operations).items():
            answer = search(model, asked, budget=budget)
            unclear += answer is Answer.OVER_BUDGET
            if answer is Answer.ILLEGAL:
                guilty[session] = shortest_illegal_prefix(model, asked, unanswered=without_answer, budget=budget)
        if guilty:
            prefix = min(guilty.values(), key=len)
            reason, evidence = _explain(prefix or operations[-1:], grace)
            return convicted(
                reason, evidence, expected=0, observed=len(guilty), unit="sessions", samples=len(operations)
            )
        if unclear:
            return undecided(f"{unclear} sessions have more orders than the search may try", expected=0)
        if not any(_rotates(operation) for operation in operations):
            return undecided("no request with a token passed the guard, so nothing was rotated", expected=0)
        reason = "every session's answers fit one token that is compared and rotated in one step"
        return acquitted(reason, expected=0, observed=0, unit="sessions", samples=len(operations))

    return check


def _rotates(operation: Operation) -> bool:
    """Whether it presented a token and passed the guard for certain."""
    changes = operation.kind != "csrf.fetch" and operation.sent.get("token") is not None
    return changes and guard_of(operation) is Guard.ACCEPTED


def accepted_once(*, phase: str | None = None, actor: str | None = None) -> Checker:
    """CSRF-2 without a grace: of all requests that present one token, exactly one is accepted.

    Where the phase declares a grace this is UNDECIDED: `compare_and_rotate` judges that.
    """

    def check(history: History) -> Finding:
        grace = _grace(history, phase, None)
        if grace:
            return undecided(
                f"a grace of {grace:g} s is declared: within it a replayed token is meant to pass", expected=1
            )
        presented: dict[tuple[str, str], list[Operation]] = defaultdict(list)
        for operation in select(history, "csrf.post", phase=phase, actor=actor):
            if operation.sent.get("token") is not None and guard_of(operation) is not Guard.NOT_ASKED:
                presented[operation.actor, str(operation.sent["token"])].append(operation)
        contested = {key: posts for key, posts in presented.items() if len(posts) > 1}
        samples = sum(map(len, contested.values()))
        if not samples:
            return nothing_to_judge(history, phase, "token presented more than once", expected=1)
        accepted = {
            key: [post for post in posts if guard_of(post) is Guard.ACCEPTED] for key, posts in contested.items()
        }
        most = max(accepted, key=lambda key: len(accepted[key]))
        if len(accepted[most]) > 1:
            pair = accepted[most][:2]
            reason = (
                f"token {most[1]} was sent {len(contested[most])} times at once and accepted {len(accepted[most])} "
                f"times, first by {told(pair[0])} and {told(pair[1])}; the usual cause is a GET, a comparison in the "
                "service and then a SET, with other requests in between"
            )
            return convicted(
                reason, pair, expected=1, observed=len(accepted[most]), unit="accepted per token", samples=samples
            )
        refused = [key for key, posts in contested.items() if all(guard_of(post) is Guard.REFUSED for post in posts)]
        if refused:
            reason = (
                f"token {refused[0][1]} was delivered, then sent {len(contested[refused[0]])} times and never accepted"
            )
            evidence = contested[refused[0]][:1]
            return convicted(reason, evidence, expected=1, observed=0, unit="accepted per token", samples=samples)
        unclear = [key for key, posts in accepted.items() if not posts]
        if unclear:
            return undecided(
                "the one accepted request may be among those without an answer", expected=1, samples=samples
            )
        if all(most_at_once(posts) < 2 for posts in contested.values()):
            return undecided("no token was in two requests at the same time", expected=1, samples=samples)
        reason = f"{len(contested)} tokens were each sent several times at once, and each was accepted once"
        return acquitted(reason, expected=1, observed=1, unit="accepted per token", samples=samples)

    return check


def good_tokens_accepted(*, phase: str | None = None, actor: str | None = None, codes: Sequence[str] = ()) -> Checker:
    """CSRF-1, CSRF-4, CSRF-5: a client that presents the newest token it was given is not refused for it.

    Judges the posts marked `sent.follows`. With `codes` only refusals with one of these codes count. Where a grace is
    declared, a token that another tab had replaced longer ago than that is no good one.
    """

    def check(history: History) -> Finding:
        grace, asked = _grace(history, phase, None), select(history, "csrf.post", phase=phase, actor=actor)
        posts = [
            post
            for post in asked
            if post.sent.get("follows")
            and guard_of(post) in {Guard.ACCEPTED, Guard.REFUSED}
            and not (grace and _may_have_lapsed(post, asked, grace))
        ]
        if not posts:
            return nothing_to_judge(history, phase, "protected request of a client that follows its token", expected=0)
        refused = [
            post for post in posts if guard_of(post) is Guard.REFUSED and (not codes or post.got.get("code") in codes)
        ]
        share = round(100 * len(refused) / len(posts), 1)
        if refused:
            source = _delivered_by(history, refused[0])
            reason = (
                f"{len(refused)} of {len(posts)} requests with the newest token were refused, first {told(refused[0])}"
                f"{f', whose token came from {told(source)}' if source else ''}; the usual causes are tokens kept in "
                "each instance's own memory, a successor that is not delivered, and a token spent by a failed request"
            )
            evidence = [*([source] if source else []), refused[0]]
            return convicted(reason, evidence, expected=0, observed=share, unit="% refused", samples=len(posts))
        reason = f"all {len(posts)} requests that presented the newest token passed the guard"
        return acquitted(reason, expected=0, observed=0.0, unit="% refused", samples=len(posts))

    return check


def failure_rate_is(
    share: float, *, phase: str, tolerance: float = 0.1, actor: str | None = None, minimum: int = 20
) -> Checker:
    """The share of refused posts is `share` to within `tolerance`: (N-1)/N for N memories behind round robin."""

    def check(history: History) -> Finding:
        measured = refusals(select(history, "csrf.post", phase=phase, actor=actor))
        expected = round(100 * share, 1)
        if measured.total() < minimum:
            return undecided(f"only {measured.total()} protected requests were answered", expected=expected)
        observed = measured["refused"] / measured.total()
        unit, samples = "% refused", measured.total()
        reason = f"{measured['refused']} of {samples} protected requests were refused, where {expected} % is foretold"
        if abs(observed - share) > tolerance:
            return convicted(
                reason, [], expected=expected, observed=round(100 * observed, 1), unit=unit, samples=samples
            )
        return acquitted(reason, expected=expected, observed=round(100 * observed, 1), unit=unit, samples=samples)

    return check


def refusals(posts: Sequence[Operation]) -> Counter[str]:
    """How many of the posts the guard accepted and refused, under those names."""
    return Counter(guard_of(post).value for post in posts if guard_of(post) in {Guard.ACCEPTED, Guard.REFUSED})


def successor_delivered(*, phase: str | None = None, actor: str | None = None, failing_too: bool = False) -> Checker:
    """CSRF-1, CSRF-4: whatever passes the guard brings the token to use next, whatever its status.

    With `failing_too` it holds only where some of what passed ended in a 4xx.
    """

    def check(history: History) -> Finding:
        passed = [
            post
            for post in select(history, "csrf.post", phase=phase, actor=actor)
            if guard_of(post) is Guard.ACCEPTED and post.sent.get("token") is not None
        ]
        if not passed:
            return nothing_to_judge(history, phase, "accepted protected request", expected=0)
        without = [post for post in passed if post.got.get("successor") is None]
        if without:
            reason = (
                f"{len(without)} of {len(passed)} accepted requests brought no successor, first {told(without[0])}: "
                "the token is spent and the client cannot know the next; the usual cause is a rotation inside the "
                "validation whose result is never put on the answer, or only on a successful one"
            )
            return convicted(
                reason, without[:1], expected=0, observed=len(without), unit="answers", samples=len(passed)
            )
        failing = sum(post.status is not None and post.status >= 400 for post in passed)
        if failing_too and not failing:
            return undecided("no request passed the guard and then failed", expected=0, samples=len(passed))
        reason = f"each of {len(passed)} accepted requests brought its successor, {failing} that ended in a 4xx too"
        return acquitted(reason, expected=0, observed=0, unit="answers", samples=len(passed))

    return check


def fetch_keeps_the_token(*, phase: str | None = None, actor: str | None = None) -> Checker:
    """CSRF-7: asking for the token returns the session's current one, so that one tab does not lock out another."""

    def check(history: History) -> Finding:
        pairs, changed = 0, list[tuple[Operation, Operation]]()
        for asked in by_actor(select(history, "csrf", phase=phase, actor=actor)).values():
            posts = [operation for operation in asked if operation.kind != "csrf.fetch"]
            fetches = [operation for operation in asked if operation.got.get("token") and operation not in posts]
            for first, second in pairwise(fetches):
                if any(_may_fall_between(post, first, second) for post in posts):
                    continue
                pairs += 1
                if first.got["token"] != second.got["token"]:
                    changed.append((first, second))
        if not pairs:
            return nothing_to_judge(history, phase, "pair of fetches without a request between them", expected=0)
        if changed:
            first, second = changed[0]
            reason = (
                f"two fetches with nothing between them brought two tokens: {told(first)}, then {told(second)}; "
                "each fetch makes the last token worthless, or each instance keeps its own"
            )
            return convicted(
                reason, [first, second], expected=0, observed=len(changed), unit="changed tokens", samples=pairs
            )
        reason = f"{pairs} times a second fetch brought the same token"
        return acquitted(reason, expected=0, observed=0, unit="changed tokens", samples=pairs)

    return check


def _may_have_lapsed(post: Operation, asked: Sequence[Operation], grace_s: float) -> bool:
    """Whether another request may have replaced the post's token longer than the grace before the post took effect."""
    return any(
        other.actor == post.actor
        and other.id != post.id
        and other.sent.get("token") == post.sent.get("token")
        and guard_of(other) in {Guard.ACCEPTED, Guard.UNKNOWN}
        and other.invoked_at + grace_s <= post.completed_at
        for other in asked
    )


def _may_fall_between(post: Operation, first: Operation, second: Operation) -> bool:
    ends = float("inf") if guard_of(post) is Guard.UNKNOWN else post.completed_at
    return post.invoked_at < second.completed_at and ends > first.invoked_at


def _grace(history: History, phase: str | None, given: float | None) -> float:
    if given is not None:
        return given
    labels: Mapping[str, str] = {} if phase is None else {"phase": phase}
    found = declared(history, "csrf.grace_s", **labels)
    return 0.0 if found is None else found


def _delivered_by(history: History, post: Operation) -> Operation | None:
    """The last operation that had delivered the token which `post` presented."""
    token = post.sent.get("token")
    found = [
        operation
        for operation in select(history, "csrf", actor=post.actor)
        if token in (operation.got.get("token"), operation.got.get("successor"))
        and operation.completed_at <= post.completed_at
    ]
    return found[-1] if found else None


def _explain(prefix: Sequence[Operation], grace_s: float) -> tuple[str, list[Operation]]:
    """The last answer of the prefix is the one that no order explains; why, and with which others."""
    last = prefix[-1]
    token = last.sent.get("token")
    twins = [
        operation
        for operation in prefix[:-1]
        if operation.sent.get("token") == token and guard_of(operation) is Guard.ACCEPTED
    ]
    givers = [
        operation for operation in prefix if token in (operation.got.get("token"), operation.got.get("successor"))
    ]
    if last.kind == "csrf.fetch":
        reason = f"{told(last)} brought another token than the session's current one"
        return f"{reason}; the usual cause is a token kept in each instance's memory", [*givers[-1:], last]
    if guard_of(last) is Guard.REFUSED:
        reason = f"{told(last)} was refused although its token {token} was good"
        cause = "tokens in each instance's memory, a lost write, or another tab's request that spent it"
        return f"{reason}; the usual cause is {cause}", [*givers[-1:], last]
    if twins:
        reason = f"token {token} was accepted from {told(twins[-1])} and again from {told(last)}"
        allowed = f"beyond the declared grace of {grace_s:g} s" if grace_s else "without any grace"
        cause = "a comparison and a rotation that are two steps instead of one"
        return f"{reason}, {allowed}; the usual cause is {cause}", [twins[-1], last]
    reason = f"{told(last)} was accepted with token {token}, which was not the session's, or brought a wrong successor"
    return f"{reason}; the usual cause is a token that is not bound to its session", [*givers[-1:], last]
