"""Checkers of what lies in the store, on histories written by hand."""

import pytest

from cryptosense.workbench.claims import store
from cryptosense.workbench.verdicts import Verdict

FOREIGN = store.foreign_entry_is_a_miss(phase="p")
LIMITER = store.foreign_limiter_key_denies_nobody(phase="p")
UNLINKS = store.unlinks(phase="p")
LOST = store.lost_replies_count_once("api", phase="p")
PLANTED = {"planted": True}


def read(history, at, *, status=200, x_cache="miss", **got):
    return history.op("tokens.read", at, at + 0.1, status, sent=PLANTED, x_cache=x_cache, **got)


def test_cache_6_a_planted_entry_that_is_a_miss_with_rows_holds(written):
    written.seen("store.planted", 1, phase="p")
    read(written, 1, as_of=100.0)
    read(written, 2, as_of=100.0, x_cache="hit")
    assert written.judged(FOREIGN).verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    "answer",
    [{"x_cache": "hit", "as_of": 100.0}, {"x_cache": "miss"}, {"status": 500, "as_of": 100.0}],
    ids=["served as a hit", "without rows", "failed"],
)
def test_cache_6_a_planted_entry_that_is_served_or_fails_the_request_convicts(written, answer):
    written.seen("store.planted", 1, phase="p")
    wrong = read(written, 1, **answer)
    finding = written.judged(FOREIGN)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (wrong,))


def test_cache_6_where_nothing_was_planted_nothing_is_decided(written):
    read(written, 1, as_of=100.0)
    assert written.judged(FOREIGN).verdict is Verdict.UNDECIDED
    written.seen("store.planted", 0, phase="p")
    assert written.judged(FOREIGN).verdict is Verdict.UNDECIDED


def probe(history, at, status=401, **more):
    return history.probe(at, at + 0.1, status, sent={"planted": True}, **more)


def test_rate_8_a_client_whose_key_was_overwritten_and_who_is_answered_holds(written):
    written.probe(0, 0.1, 401)
    written.seen("store.planted", 1, phase="p")
    probe(written, 1)
    probe(written, 2)
    finding = written.judged(LIMITER)
    assert (finding.verdict, finding.samples) == (Verdict.HOLDS, 2)


@pytest.mark.parametrize("status", [429, 500, 503, None])
def test_rate_8_a_client_who_is_denied_for_foreign_content_at_its_key_convicts(written, status):
    written.seen("store.planted", 1, phase="p")
    probe(written, 1)
    wrong = probe(written, 2, status)
    finding = written.judged(LIMITER)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (wrong,))


def test_rate_8_where_no_key_was_overwritten_nothing_is_decided(written, another):
    probe(written, 1)
    assert written.judged(LIMITER).verdict is Verdict.UNDECIDED
    written.seen("store.planted", 0, phase="p")
    assert written.judged(LIMITER).verdict is Verdict.UNDECIDED
    unasked = another()
    unasked.probe(0, 0.1, 401)  # only before it was overwritten
    unasked.seen("store.planted", 1, phase="p")
    assert unasked.judged(LIMITER).verdict is Verdict.UNDECIDED


def count(history, at, *, deletes, unlinks):
    history.seen("store.calls", deletes, at, command="del", phase="p")
    history.seen("store.calls", unlinks, at, command="unlink", phase="p")


@pytest.mark.parametrize(
    ("deletes", "unlinks", "verdict"),
    [(7, 12, Verdict.HOLDS), (8, 12, Verdict.VIOLATED), (8, 10, Verdict.VIOLATED), (7, 10, Verdict.UNDECIDED)],
)
def test_cache_8_dropping_takes_unlink_and_no_del(written, deletes, unlinks, verdict):
    count(written, 1, deletes=7, unlinks=10)
    count(written, 2, deletes=deletes, unlinks=unlinks)
    assert written.judged(UNLINKS).verdict is verdict


def test_cache_8_one_reading_decides_nothing(written):
    count(written, 1, deletes=7, unlinks=10)
    assert written.judged(UNLINKS).verdict is Verdict.UNDECIDED


def spend(history, admitted, denied):
    history.seen("limit.max", 3, policy="api", phase="p")
    history.seen("limit.window_s", 60, policy="api", phase="p")
    for number in range(admitted):
        history.probe(number, number + 0.1, 200)
    return [history.probe(admitted + number, admitted + number + 0.1, 429) for number in range(denied)]


def test_rate_9_a_whole_budget_in_spite_of_lost_replies_holds(written):
    spend(written, 3, 0)
    written.seen("store.replies_lost", 2, phase="p")
    assert written.judged(LOST).verdict is Verdict.HOLDS


def test_rate_9_less_than_the_whole_budget_would_not_show_a_reply_that_counted_twice(written):
    spend(written, 2, 0)
    written.seen("store.replies_lost", 2, phase="p")
    assert written.judged(LOST).verdict is Verdict.UNDECIDED


def test_rate_9_a_budget_that_ended_in_failures_decides_nothing(written):
    spend(written, 2, 0)
    written.probe(3, 3.1, 503)
    written.seen("store.replies_lost", 2, phase="p")
    assert written.judged(LOST).verdict is Verdict.UNDECIDED


def test_rate_9_a_denial_with_room_left_convicts(written):
    denial = spend(written, 2, 1)[0]
    written.seen("store.replies_lost", 2, phase="p")
    finding = written.judged(LOST)
    assert finding.verdict is Verdict.VIOLATED
    assert denial in finding.evidence


def test_rate_9_without_a_lost_reply_nothing_is_decided(written):
    spend(written, 3, 0)
    assert written.judged(LOST).verdict is Verdict.UNDECIDED
    written.seen("store.replies_lost", 0, phase="p")
    assert written.judged(LOST).verdict is Verdict.UNDECIDED
