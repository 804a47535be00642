"""What holds for every `SessionState`."""

import asyncio

from cryptosense.state.conformance.subject import LONG_MS, PAST_MS, SHORT_MS, Chapter, Subject, expect, fresh, token
from cryptosense.state.contracts import RefreshOutcome, SessionRecord, SessionState
from cryptosense.state.keys import label

_chapter = Chapter("sessions")
_check = _chapter.check


async def _open(sessions: SessionState, user: str, *, ttl_ms: int = LONG_MS) -> SessionRecord:
    record = SessionRecord(user, fresh("session"), token(), 1_700_000_000_123)
    await sessions.open(record, ttl_ms=ttl_ms)
    return record


@_check()
async def an_opened_session_is_found_as_it_was_opened(subject: Subject) -> None:
    sessions, user = subject.state.sessions, fresh("user")
    record = await _open(sessions, user)
    expect(await sessions.find(user, record.session) == record, "as opened")
    expect(await sessions.find(fresh("user"), record.session) is None, "another user has no part in it")
    expect(await sessions.find(user, fresh("session")) is None, "an unknown one is not found")


@_check()
async def a_session_expires(subject: Subject) -> None:
    sessions, user = subject.state.sessions, fresh("user")
    record = await _open(sessions, user, ttl_ms=SHORT_MS)
    await subject.pass_time(PAST_MS)
    expect(await sessions.find(user, record.session) is None, "expired")
    expect(await sessions.close_all(user) == 0, "and counts no more")


@_check()
async def a_refresh_token_is_good_for_one_of_many_concurrent_rotations(subject: Subject) -> None:
    sessions, user = subject.state.sessions, fresh("user")
    record = await _open(sessions, user)
    outcomes = await asyncio.gather(
        *(
            sessions.rotate_refresh(user, record.session, record.refresh_digest, token(), ttl_ms=LONG_MS)
            for _ in range(10)
        )
    )
    expect(outcomes.count(RefreshOutcome.ROTATED) == 1, "one rotation")
    expect(outcomes.count(RefreshOutcome.REUSED) == 1, "the second is taken for a stolen token")
    expect(outcomes.count(RefreshOutcome.ABSENT) == 8, "and has ended the session")


@_check()
async def rotation_replaces_the_digest_and_keeps_the_rest(subject: Subject) -> None:
    sessions, user, successor = subject.state.sessions, fresh("user"), token()
    record = await _open(sessions, user)
    outcome = await sessions.rotate_refresh(user, record.session, record.refresh_digest, successor, ttl_ms=LONG_MS)
    expect(outcome is RefreshOutcome.ROTATED, "rotated")
    found = await sessions.find(user, record.session)
    expect(found == SessionRecord(user, record.session, successor, record.opened_at_ms), "only the digest is new")


@_check()
async def a_reused_refresh_token_ends_its_session_and_no_other(subject: Subject) -> None:
    sessions, user = subject.state.sessions, fresh("user")
    record, other = await _open(sessions, user), await _open(sessions, user)
    await sessions.rotate_refresh(user, record.session, record.refresh_digest, token(), ttl_ms=LONG_MS)
    outcome = await sessions.rotate_refresh(user, record.session, record.refresh_digest, token(), ttl_ms=LONG_MS)
    expect(outcome is RefreshOutcome.REUSED, "reuse is seen")
    expect(await sessions.find(user, record.session) is None, "its session has ended")
    expect(await sessions.find(user, other.session) == other, "the other one has not")


@_check()
async def closing_ends_one_session(subject: Subject) -> None:
    sessions, user = subject.state.sessions, fresh("user")
    record, other = await _open(sessions, user), await _open(sessions, user)
    expect(await sessions.close(user, record.session), "there was one")
    expect(not await sessions.close(user, record.session), "and then none")
    expect(await sessions.find(user, other.session) == other, "the other one stays")


@_check()
async def closing_all_ends_a_users_sessions_but_the_kept_one(subject: Subject) -> None:
    sessions, user, stranger = subject.state.sessions, fresh("user"), fresh("user")
    opened = [await _open(sessions, user) for _ in range(4)]
    foreign = await _open(sessions, stranger)
    expect(await sessions.close_all(user, keep=opened[0].session) == 3, "three ended")
    expect(await sessions.find(user, opened[0].session) == opened[0], "the kept one stays")
    expect(await sessions.find(stranger, foreign.session) == foreign, "another user's too")
    expect(await sessions.close_all(user) == 1, "without keep it ends as well")
    expect(await sessions.close_all(user) == 0, "nothing is left")


@_check()
async def live_tells_the_sessions(subject: Subject) -> None:
    sessions, user = subject.state.sessions, fresh("user")
    here, gone = await _open(sessions, user), await _open(sessions, user)
    await sessions.close(user, gone.session)
    told = {name async for name in sessions.live()}
    expect(label(user, here.session) in told and label(user, gone.session) not in told, "live ones and no others")


CHECKS = tuple(_chapter.checks)
