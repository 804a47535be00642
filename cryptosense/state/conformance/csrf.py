"""What holds for every `CsrfState`."""

import asyncio
from itertools import pairwise

from cryptosense.state.conformance.subject import LONG_MS, PAST_MS, SHORT_MS, Chapter, Subject, expect, fresh, token
from cryptosense.state.contracts import RotationOutcome

_chapter = Chapter("csrf")
_check = _chapter.check


@_check()
async def the_first_candidate_becomes_the_token_and_later_ones_do_not(subject: Subject) -> None:
    csrf, session, first, second = subject.state.csrf, fresh("session"), token(), token()
    expect(await csrf.current(session, first, ttl_ms=LONG_MS) == first, "the candidate becomes current")
    expect(await csrf.current(session, second, ttl_ms=LONG_MS) == first, "the token stays")
    expect(await csrf.peek(session) == first, "peek shows it")


@_check()
async def concurrent_first_calls_agree_on_one_token(subject: Subject) -> None:
    csrf, session = subject.state.csrf, fresh("session")
    told = await asyncio.gather(*(csrf.current(session, token(), ttl_ms=LONG_MS) for _ in range(20)))
    expect(len(set(told)) == 1, "all are told the same token")


@_check()
async def a_session_without_a_token_has_none(subject: Subject) -> None:
    csrf, session = subject.state.csrf, fresh("session")
    answer = await csrf.compare_and_rotate(session, token(), token(), ttl_ms=LONG_MS, grace_ms=LONG_MS)
    expect(answer.outcome is RotationOutcome.ABSENT and not answer.accepted, "absent")
    expect(await csrf.peek(session) is None, "a refusal makes no token")


@_check()
async def without_grace_one_of_many_concurrent_callers_is_accepted(subject: Subject) -> None:
    csrf, session, shared = subject.state.csrf, fresh("session"), token()
    await csrf.current(session, shared, ttl_ms=LONG_MS)
    answers = await asyncio.gather(
        *(csrf.compare_and_rotate(session, shared, token(), ttl_ms=LONG_MS, grace_ms=0) for _ in range(30))
    )
    accepted = [answer for answer in answers if answer.accepted]
    expect(len(accepted) == 1, f"exactly 1 of 30 is accepted, not {len(accepted)}")
    expect(await csrf.peek(session) == accepted[0].token, "its successor is current")


@_check()
async def within_the_grace_all_concurrent_callers_are_accepted_and_converge(subject: Subject) -> None:
    csrf, session, shared = subject.state.csrf, fresh("session"), token()
    await csrf.current(session, shared, ttl_ms=LONG_MS)
    answers = await asyncio.gather(
        *(csrf.compare_and_rotate(session, shared, token(), ttl_ms=LONG_MS, grace_ms=LONG_MS) for _ in range(30))
    )
    outcomes = [answer.outcome for answer in answers]
    expect(outcomes.count(RotationOutcome.ROTATED) == 1, "one rotates")
    expect(outcomes.count(RotationOutcome.GRACE) == 29, "the others are in the grace")
    expect({answer.token for answer in answers} == {await csrf.peek(session)}, "all are given the current token")


@_check()
async def every_token_replaced_within_the_grace_is_good_and_yields_the_current_one(subject: Subject) -> None:
    csrf, session, chain = subject.state.csrf, fresh("session"), [token() for _ in range(6)]
    await csrf.current(session, chain[0], ttl_ms=LONG_MS)
    for old, new in pairwise(chain):
        await csrf.compare_and_rotate(session, old, new, ttl_ms=LONG_MS, grace_ms=LONG_MS)
    for old in chain[:-1]:
        answer = await csrf.compare_and_rotate(session, old, token(), ttl_ms=LONG_MS, grace_ms=LONG_MS)
        expect(answer.outcome is RotationOutcome.GRACE and answer.token == chain[-1], "grace yields the current token")


@_check()
async def the_kept_replaced_tokens_are_bounded(subject: Subject) -> None:
    csrf, session, chain = subject.state.csrf, fresh("session"), [token() for _ in range(40)]
    await csrf.current(session, chain[0], ttl_ms=LONG_MS)
    for old, new in pairwise(chain):
        await csrf.compare_and_rotate(session, old, new, ttl_ms=LONG_MS, grace_ms=LONG_MS)
    for old, good in ((chain[-2], True), (chain[-33], True), (chain[-34], False), (chain[0], False)):
        answer = await csrf.compare_and_rotate(session, old, token(), ttl_ms=LONG_MS, grace_ms=LONG_MS)
        expect(answer.accepted is good, "the last 32 replaced tokens are kept, and no more")


@_check()
async def after_the_grace_a_replaced_token_is_refused(subject: Subject) -> None:
    csrf, session, old, new = subject.state.csrf, fresh("session"), token(), token()
    await csrf.current(session, old, ttl_ms=LONG_MS)
    await csrf.compare_and_rotate(session, old, new, ttl_ms=LONG_MS, grace_ms=SHORT_MS)
    await subject.pass_time(PAST_MS)
    answer = await csrf.compare_and_rotate(session, old, token(), ttl_ms=LONG_MS, grace_ms=SHORT_MS)
    expect(answer.outcome is RotationOutcome.MISMATCH, "the grace has ended")
    expect(await csrf.peek(session) == new, "a refusal changes nothing")


@_check(exact=True)
async def the_grace_ends_at_its_very_last_instant(subject: Subject) -> None:
    csrf, session, old, new = subject.state.csrf, fresh("session"), token(), token()
    await csrf.current(session, old, ttl_ms=LONG_MS)
    await csrf.compare_and_rotate(session, old, new, ttl_ms=LONG_MS, grace_ms=5000)
    await subject.pass_time(4999)
    answer = await csrf.compare_and_rotate(session, old, token(), ttl_ms=LONG_MS, grace_ms=5000)
    expect(answer.outcome is RotationOutcome.GRACE, "good one millisecond before the end")
    await subject.pass_time(1)
    answer = await csrf.compare_and_rotate(session, old, token(), ttl_ms=LONG_MS, grace_ms=5000)
    expect(answer.outcome is RotationOutcome.MISMATCH, "gone at the end")


@_check()
async def replacing_ends_every_grace_at_once(subject: Subject) -> None:
    csrf, session, old, new, forced = subject.state.csrf, fresh("session"), token(), token(), token()
    await csrf.current(session, old, ttl_ms=LONG_MS)
    await csrf.compare_and_rotate(session, old, new, ttl_ms=LONG_MS, grace_ms=LONG_MS)
    await csrf.replace(session, forced, ttl_ms=LONG_MS)
    for gone in (old, new):
        answer = await csrf.compare_and_rotate(session, gone, token(), ttl_ms=LONG_MS, grace_ms=LONG_MS)
        expect(answer.outcome is RotationOutcome.MISMATCH, "no grace survives")
    expect(await csrf.peek(session) == forced, "the replacement is current")


@_check()
async def revoking_leaves_nothing(subject: Subject) -> None:
    csrf, session, first = subject.state.csrf, fresh("session"), token()
    await csrf.current(session, first, ttl_ms=LONG_MS)
    await csrf.revoke(session)
    await csrf.revoke(session)
    answer = await csrf.compare_and_rotate(session, first, token(), ttl_ms=LONG_MS, grace_ms=LONG_MS)
    expect(answer.outcome is RotationOutcome.ABSENT, "revoked")


@_check()
async def a_token_expires(subject: Subject) -> None:
    csrf, session = subject.state.csrf, fresh("session")
    await csrf.current(session, token(), ttl_ms=SHORT_MS)
    await subject.pass_time(PAST_MS)
    expect(await csrf.peek(session) is None, "expired")


@_check()
async def sessions_do_not_share_tokens(subject: Subject) -> None:
    csrf, mine, yours, shared = subject.state.csrf, fresh("session"), fresh("session"), token()
    await csrf.current(mine, shared, ttl_ms=LONG_MS)
    await csrf.current(yours, token(), ttl_ms=LONG_MS)
    answer = await csrf.compare_and_rotate(yours, shared, token(), ttl_ms=LONG_MS, grace_ms=LONG_MS)
    expect(answer.outcome is RotationOutcome.MISMATCH, "another session's token is none of ours")


@_check()
async def whatever_a_client_presents_is_only_refused(subject: Subject) -> None:
    csrf, session, first, second = subject.state.csrf, fresh("session"), token(), token()
    await csrf.current(session, first, ttl_ms=LONG_MS)
    await csrf.compare_and_rotate(session, first, second, ttl_ms=LONG_MS, grace_ms=LONG_MS)
    for presented in (
        "",
        "!",
        f"|{first}",
        f"{first}:",
        f"{first}\n",
        "é" * 40,
        "\ud800",
        "\0",
        first * 200,
        "%s",
        "*",
    ):
        answer = await csrf.compare_and_rotate(session, presented, token(), ttl_ms=LONG_MS, grace_ms=LONG_MS)
        expect(answer.outcome is RotationOutcome.MISMATCH, f"{presented[:20]!r} is no token")
    expect(await csrf.peek(session) == second, "nothing has changed")


@_check()
async def live_tells_the_sessions_that_have_a_token(subject: Subject) -> None:
    csrf, here, gone = subject.state.csrf, fresh("session"), fresh("session")
    await csrf.current(here, token(), ttl_ms=LONG_MS)
    await csrf.current(gone, token(), ttl_ms=LONG_MS)
    await csrf.revoke(gone)
    told = {session async for session in csrf.live()}
    expect(here in told and gone not in told, "live sessions and no others")


CHECKS = tuple(_chapter.checks)
