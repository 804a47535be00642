"""Sessions and accounts."""

import asyncio

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from cryptosense.clock import ManualClock
from cryptosense.errors import Conflict, DatabaseUnavailable, InvalidInput, NotSignedIn, StateUnavailable
from cryptosense.services.accounts import Accounts, normalise_email
from cryptosense.services.csrf import CsrfTokens
from cryptosense.services.database import Database
from cryptosense.services.passwords import Passwords
from cryptosense.services.sessions import Bearer, Sessions, TokenPair
from cryptosense.state.catalog import open_memory
from cryptosense.state.contracts import StateSet
from tests.services.conftest import Wire

PASSWORD = "correct horse"
SECRET = "a secret for tests"


def bearer_of(sessions: Sessions, pair: TokenPair) -> Bearer:
    bearer = sessions.read_bearer(pair.access_token)
    assert bearer is not None
    return bearer


def instance(clock: ManualClock, state: StateSet, *, believes: bool = False) -> Sessions:
    return Sessions(state.sessions, secret=SECRET, clock=clock, believes_unknown=lambda: believes)


# Sessions -------------------------------------------------------------------------------------------------------------


async def test_auth_1_the_bearer_stops_working_on_every_instance_after_logout(
    state: StateSet, clock: ManualClock
) -> None:
    here, there = instance(clock, state), instance(clock, state)
    pair = await here.open("u1")
    bearer = bearer_of(there, pair)
    assert await there.is_live(bearer)
    assert await here.close("u1", pair.session)
    for each in (here, there):
        assert not await each.is_live(bearer)
        with pytest.raises(NotSignedIn):
            await each.refresh(pair.refresh_token)


async def test_a_refresh_token_is_good_once_and_using_it_again_ends_the_session(
    sessions: Sessions, clock: ManualClock
) -> None:
    first = await sessions.open("u1")
    clock.advance(60)
    second = await sessions.refresh(first.refresh_token)
    assert second.session == first.session
    assert await sessions.is_live(bearer_of(sessions, second))
    with pytest.raises(NotSignedIn):
        await sessions.refresh(first.refresh_token)
    assert not await sessions.is_live(bearer_of(sessions, second))
    with pytest.raises(NotSignedIn):
        await sessions.refresh(second.refresh_token)


async def test_of_many_concurrent_uses_of_a_refresh_token_one_at_most_succeeds(sessions: Sessions) -> None:
    pair = await sessions.open("u1")
    results = await asyncio.gather(*(sessions.refresh(pair.refresh_token) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, TokenPair) for result in results) == 1


async def test_closing_all_keeps_the_one_that_asked(sessions: Sessions) -> None:
    pairs = [await sessions.open("u1") for _ in range(3)]
    stranger = await sessions.open("u2")
    assert await sessions.close_all("u1", keep=pairs[1].session) == 2
    live = [await sessions.is_live(bearer_of(sessions, pair)) for pair in (*pairs, stranger)]
    assert live == [False, True, False, True]


async def test_tokens_age(sessions: Sessions, clock: ManualClock) -> None:
    pair = await sessions.open("u1")
    clock.advance(899)
    assert sessions.read_bearer(pair.access_token) is not None
    clock.advance(2)
    assert sessions.read_bearer(pair.access_token) is None
    clock.advance(30 * 86_400)
    assert sessions.read_refresh(pair.refresh_token) is None


async def test_a_token_signed_otherwise_is_nobodys(sessions: Sessions, clock: ManualClock, state: StateSet) -> None:
    pair = await sessions.open("u1")
    stranger = Sessions(state.sessions, secret="another secret", clock=clock)
    assert stranger.read_bearer(pair.access_token) is None
    assert stranger.read_refresh(pair.refresh_token) is None
    claims = jwt.decode(pair.access_token, options={"verify_signature": False})
    assert sessions.read_bearer(jwt.encode(claims, key="", algorithm="none")) is None
    assert sessions.read_bearer(pair.refresh_token) is None
    assert sessions.read_refresh(pair.access_token) is None


async def test_no_character_of_a_token_can_be_changed(sessions: Sessions) -> None:
    pair = await sessions.open("u1")
    for position in range(len(pair.refresh_token)):
        letter = "x" if pair.refresh_token[position] != "x" else "y"
        forged = pair.refresh_token[:position] + letter + pair.refresh_token[position + 1 :]
        assert sessions.read_refresh(forged) is None


@given(st.text(max_size=300) | st.text(".", min_size=3, max_size=6) | st.just("a" * 1_000_000))
async def test_nonsense_is_no_token_and_never_reaches_the_state(token: str) -> None:
    wire = Wire(open_memory(ManualClock()).state.sessions)
    sessions = Sessions(wire, secret=SECRET, clock=ManualClock())
    assert sessions.read_bearer(token) is None
    assert sessions.read_refresh(token) is None
    with pytest.raises(NotSignedIn):
        await sessions.refresh(token)
    assert not wire.calls


async def test_an_outage_is_no_answer_about_a_session(state: StateSet, clock: ManualClock) -> None:
    wire = Wire(state.sessions)
    sessions = Sessions(wire, secret=SECRET, clock=clock, believes_unknown=lambda: True)
    pair = await sessions.open("u1")
    wire.down = StateUnavailable("down")
    for call in (
        sessions.is_live(bearer_of(sessions, pair)),
        sessions.refresh(pair.refresh_token),
        sessions.close("u1", pair.session),
        sessions.close_all("u1"),
    ):
        with pytest.raises(StateUnavailable):
            await call
    wire.down = None
    assert await sessions.is_live(bearer_of(sessions, pair))


async def test_in_memory_an_instance_believes_a_session_that_it_does_not_know(clock: ManualClock) -> None:
    here, there = (instance(clock, open_memory(clock).state, believes=True) for _ in range(2))
    pair = await here.open("u1")
    assert await there.is_live(bearer_of(there, pair))
    refreshed = await there.refresh(pair.refresh_token)
    assert refreshed.session == pair.session
    assert await there.is_live(bearer_of(there, refreshed))


async def test_in_memory_a_logout_reaches_its_own_instance_only(clock: ManualClock) -> None:
    here, there = (instance(clock, open_memory(clock).state, believes=True) for _ in range(2))
    pair = await here.open("u1")
    bearer = bearer_of(here, pair)
    await here.close("u1", pair.session)
    assert not await here.is_live(bearer)
    with pytest.raises(NotSignedIn):
        await here.refresh(pair.refresh_token)
    assert await there.is_live(bearer)


async def test_in_memory_closing_all_ends_unknown_sessions_too_but_not_later_ones(clock: ManualClock) -> None:
    here, there = (instance(clock, open_memory(clock).state, believes=True) for _ in range(2))
    kept, gone = await there.open("u1"), await there.open("u1")
    clock.advance(1)
    await here.close_all("u1", keep=kept.session)
    assert await here.is_live(bearer_of(here, kept))
    assert not await here.is_live(bearer_of(here, gone))
    clock.advance(1)
    assert await here.is_live(bearer_of(here, await there.open("u1")))


async def test_with_shared_state_an_unknown_session_is_not_believed(clock: ManualClock) -> None:
    here, there = (instance(clock, open_memory(clock).state) for _ in range(2))
    pair = await here.open("u1")
    assert not await there.is_live(bearer_of(there, pair))


# Accounts -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def accounts(
    database: Database, passwords: Passwords, sessions: Sessions, state: StateSet, clock: ManualClock
) -> Accounts:
    return Accounts(database, passwords, sessions, CsrfTokens(state.csrf), clock)


async def test_an_account_can_be_made_once_and_used_again(accounts: Accounts, sessions: Sessions) -> None:
    made = await accounts.register(" Ada@Example.org ", PASSWORD)
    assert made.email == "ada@example.org"
    with pytest.raises(Conflict):
        await accounts.register("ada@EXAMPLE.org", "another password")
    again = await accounts.login("ADA@example.org", PASSWORD)
    assert again.user == made.user
    assert again.access_token != made.access_token
    assert await sessions.is_live(Bearer(again.user, (sessions.read_refresh(again.refresh_token) or ("", ""))[1], 0))
    refreshed = await accounts.refresh(again.refresh_token)
    assert (refreshed.user, refreshed.email) == (made.user, "ada@example.org")


async def test_of_many_concurrent_registrations_of_one_address_one_succeeds(accounts: Accounts) -> None:
    results = await asyncio.gather(
        *(accounts.register("ada@example.org", PASSWORD) for _ in range(8)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 7 + ["SignedIn"]


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ada@example.org", "wrong horse"),
        ("eve@example.org", PASSWORD),
        ("*", PASSWORD),
        ("", ""),
        ("\x00", "x" * 5000),
    ],
)
async def test_a_wrong_login_says_nothing_about_what_was_wrong(accounts: Accounts, email: str, password: str) -> None:
    await accounts.register("ada@example.org", PASSWORD)
    with pytest.raises(NotSignedIn, match="not known together"):
        await accounts.login(email, password)


async def test_an_unknown_address_costs_as_many_digests_as_a_wrong_password(
    accounts: Accounts, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accounts.register("ada@example.org", PASSWORD)
    with pytest.raises(NotSignedIn):
        await accounts.login("eve@example.org", PASSWORD)  # the digest of nobody is made once
    verified: list[str] = []
    verify = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda digest, text: (verified.append(digest), verify(digest, text))[1])
    for email in ("ada@example.org", "eve@example.org", "no address"):
        with pytest.raises(NotSignedIn):
            await accounts.login(email, "wrong horse")
    assert len(verified) == 3
    assert all(digest.startswith("$argon2id$") for digest in verified)


async def test_a_changed_password_ends_the_other_sessions(accounts: Accounts, sessions: Sessions) -> None:
    first = await accounts.register("ada@example.org", PASSWORD)
    second = await accounts.login("ada@example.org", PASSWORD)
    mine, other = sessions.read_bearer(second.access_token), sessions.read_bearer(first.access_token)
    assert mine is not None
    assert other is not None
    with pytest.raises(InvalidInput):
        await accounts.change_password(mine, "wrong horse", "a new password")
    assert await accounts.change_password(mine, PASSWORD, "a new password") == 1
    assert await sessions.is_live(mine)
    assert not await sessions.is_live(other)
    with pytest.raises(NotSignedIn):
        await accounts.login("ada@example.org", PASSWORD)
    await accounts.login("ada@example.org", "a new password")


async def test_auth_1_logout_ends_bearer_refresh_token_and_csrf_token(
    accounts: Accounts, sessions: Sessions, state: StateSet
) -> None:
    signed_in = await accounts.register("ada@example.org", PASSWORD)
    bearer = sessions.read_bearer(signed_in.access_token)
    assert bearer is not None
    csrf = CsrfTokens(state.csrf)
    token = await csrf.current(bearer.session)
    await accounts.logout(bearer)
    assert not await sessions.is_live(bearer)
    assert not (await csrf.validate(bearer.session, token)).accepted
    with pytest.raises(NotSignedIn):
        await accounts.refresh(signed_in.refresh_token)


async def test_a_logout_stands_although_the_csrf_token_could_not_be_revoked(
    database: Database, passwords: Passwords, sessions: Sessions, state: StateSet, clock: ManualClock
) -> None:
    wire = Wire(state.csrf)
    accounts = Accounts(database, passwords, sessions, CsrfTokens(wire), clock)
    signed_in = await accounts.register("ada@example.org", PASSWORD)
    bearer = sessions.read_bearer(signed_in.access_token)
    assert bearer is not None
    wire.down = StateUnavailable("down")
    await accounts.logout(bearer)
    assert not await sessions.is_live(bearer)


async def test_an_account_that_is_gone_is_not_signed_in(
    accounts: Accounts, database: Database, sessions: Sessions
) -> None:
    signed_in = await accounts.register("ada@example.org", PASSWORD)
    async with database.writing() as rows:
        await rows.execute(text("DELETE FROM users"))
    bearer = sessions.read_bearer(signed_in.access_token)
    assert bearer is not None
    with pytest.raises(NotSignedIn):
        await accounts.refresh(signed_in.refresh_token)
    with pytest.raises(NotSignedIn):
        await accounts.change_password(bearer, PASSWORD, "a new password")
    with pytest.raises(NotSignedIn):
        await accounts.refresh("nonsense")


async def test_a_database_outage_does_not_cost_the_refresh_token(
    accounts: Accounts, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in = await accounts.register("ada@example.org", PASSWORD)

    def down() -> None:
        raise DatabaseUnavailable("down")

    with monkeypatch.context() as broken:
        broken.setattr(database, "reading", down)
        with pytest.raises(DatabaseUnavailable):
            await accounts.refresh(signed_in.refresh_token)
    await accounts.refresh(signed_in.refresh_token)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@example",
        "a da@example.org",
        "ada@exa\nmple.org",
        "ada@example.org\x00",
        "ada\ud800@example.org",
        "ada@\u202eexample.org",
        "a" * 300 + "@example.org",
        "a@b@c.org",
        "ada@.org",
        "x" * 1_000_000,
    ],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(InvalidInput):
        normalise_email(email)


@given(st.emails())
@settings(max_examples=25, deadline=None)
def test_every_address_has_one_spelling(email: str) -> None:
    assert normalise_email(normalise_email(email)) == normalise_email(email.upper().lower())


@pytest.mark.parametrize("password", ["", "short", "x" * 1025, "half \ud800 a character"])
async def test_passwords_have_bounds(accounts: Accounts, password: str) -> None:
    with pytest.raises(InvalidInput):
        await accounts.register("ada@example.org", password)


async def test_a_stored_digest_that_does_not_parse_matches_nothing(passwords: Passwords) -> None:
    assert not await passwords.matches("not a digest", "anything")
    digest = await passwords.digest("pass\x00word ☃")
    assert await passwords.matches(digest, "pass\x00word ☃")
    assert not await passwords.matches(digest, "pass")


async def test_digests_do_not_hold_up_the_event_loop() -> None:
    passwords = Passwords(time_cost=2, memory_kib=19_456, workers=1)
    turns = 0
    work = asyncio.gather(*(passwords.digest("x") for _ in range(3)))
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    await work
    passwords.close()
    assert turns > 10
