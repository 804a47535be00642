"""CSRF tokens at the level of the service, on state in memory."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosense.clock import ManualClock
from cryptosense.errors import OutcomeUnknown, StateUnavailable
from cryptosense.services.csrf import CsrfTokens, CsrfVerdict
from cryptosense.state.catalog import open_memory
from cryptosense.state.contracts import StateSet
from tests.services.conftest import Wire


@pytest.fixture
def tokens(state: StateSet) -> CsrfTokens:
    return CsrfTokens(state.csrf)


async def test_csrf_1_a_client_that_follows_the_successor_never_needs_to_ask_again(tokens: CsrfTokens) -> None:
    token = await tokens.current("s")
    for _ in range(20):
        decision = await tokens.validate("s", token)
        assert decision.accepted
        assert decision.successor not in (None, token)
        token = decision.successor or ""


async def test_csrf_2_one_token_is_accepted_once_of_any_number_without_grace(state: StateSet) -> None:
    strict = CsrfTokens(state.csrf, grace_s=0)
    token = await strict.current("s")
    decisions = await asyncio.gather(*(strict.validate("s", token) for _ in range(64)))
    assert sum(decision.accepted for decision in decisions) == 1


async def test_csrf_3_sessions_do_not_disturb_each_other(tokens: CsrfTokens) -> None:
    phone, laptop = await tokens.current("phone"), await tokens.current("laptop")
    for _ in range(5):
        phone = (await tokens.validate("phone", phone)).successor or "refused"
        laptop = (await tokens.validate("laptop", laptop)).successor or "refused"
    assert (await tokens.validate("phone", laptop)).verdict is CsrfVerdict.INVALID


async def test_csrf_3_a_replaced_token_yields_the_current_one_within_the_grace_only(
    tokens: CsrfTokens, clock: ManualClock
) -> None:
    first = await tokens.current("s")
    second = (await tokens.validate("s", first)).successor
    clock.advance(4.9)
    late = await tokens.validate("s", first)
    assert late.accepted
    assert late.successor == second
    clock.advance(0.2)
    assert not (await tokens.validate("s", first)).accepted
    assert (await tokens.validate("s", second)).accepted


async def test_csrf_3_parallel_requests_with_one_token_converge_on_one_successor(tokens: CsrfTokens) -> None:
    token = await tokens.current("s")
    decisions = await asyncio.gather(*(tokens.validate("s", token) for _ in range(20)))
    assert all(decision.accepted for decision in decisions)
    assert len({decision.successor for decision in decisions}) == 1


@pytest.mark.parametrize("how", ["rotate", "revoke"])
async def test_csrf_3_rotating_and_revoking_end_the_grace_at_once(tokens: CsrfTokens, how: str) -> None:
    first = await tokens.current("s")
    second = (await tokens.validate("s", first)).successor
    await (tokens.rotate("s") if how == "rotate" else tokens.revoke("s"))
    assert not (await tokens.validate("s", first)).accepted
    assert not (await tokens.validate("s", second)).accepted


async def test_csrf_4_refusals_spend_nothing(tokens: CsrfTokens) -> None:
    token = await tokens.current("s")
    for presented in (None, "", "0" * 64, "x" * 64, token[:-1], token + "0", token.upper() + "z"):
        assert not (await tokens.validate("s", presented)).accepted
    assert await tokens.current("s") == token
    assert (await tokens.validate("s", token)).accepted


@pytest.mark.parametrize("failure", [StateUnavailable("refused"), OutcomeUnknown("lost")])
@pytest.mark.parametrize("call", ["current", "validate", "rotate", "revoke"])
async def test_csrf_5_an_outage_is_never_an_answer_about_a_token(
    state: StateSet, failure: StateUnavailable, call: str
) -> None:
    wire = Wire(state.csrf)
    tokens = CsrfTokens(wire)
    token = await tokens.current("s")
    wire.down = failure
    with pytest.raises(type(failure)):
        await (tokens.validate("s", token) if call == "validate" else getattr(tokens, call)("s"))
    wire.down = None
    assert (await tokens.validate("s", token)).accepted


@given(st.text(max_size=80) | st.text("0123456789abcdefABCDEF", min_size=60, max_size=68))
async def test_csrf_6_what_cannot_be_a_token_is_refused_before_the_state_is_asked(presented: str) -> None:
    wire = Wire(open_memory(ManualClock()).state.csrf)
    decision = await CsrfTokens(wire).validate("s", presented)
    assert not decision.accepted
    looks_right = len(presented) == 64 and set(presented) <= set("0123456789abcdef")
    assert wire.calls["compare_and_rotate"] == looks_right
    assert (decision.verdict is CsrfVerdict.MISSING) == (presented == "")


async def test_csrf_6_a_megabyte_and_letters_that_count_as_digits_elsewhere_are_no_tokens(state: StateSet) -> None:
    wire = Wire(state.csrf)
    for presented in ("a" * 1_000_000, "\u0661" * 64, "a" * 63 + "\n", "\x00" * 64):
        assert (await CsrfTokens(wire).validate("s", presented)).verdict is CsrfVerdict.INVALID
    assert not wire.calls


async def test_csrf_7_asking_again_gives_the_same_token_until_it_expires(
    tokens: CsrfTokens, clock: ManualClock
) -> None:
    token = await tokens.current("s")
    assert len(token) == 64
    assert await tokens.current("s") == token
    clock.advance(86_401)
    assert not (await tokens.validate("s", token)).accepted
    assert await tokens.current("s") != token
