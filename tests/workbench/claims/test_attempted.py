"""An attack that was not made acquits nobody; histories written by hand."""

import pytest

from cryptosense.workbench.claims import admissions, cache, refusals
from cryptosense.workbench.claims.attempted import (
    attempted,
    clocks_apart,
    limit_exceeded,
    limit_spent,
    spared_by_names,
)
from cryptosense.workbench.verdicts import Verdict

NOT_DENIED = refusals.answered_with({200, 401}, phase="p spared", kinds=("limit.probe",), why_wrong="denied")
VICTIM = attempted(NOT_DENIED, limit_spent("api", attack="p", spared="p spared"))
NEIGHBOURS = attempted(
    refusals.answered_with({200, 401}, phase="p", kinds=("limit.probe",), why_wrong="denied"),
    limit_exceeded("api", phase="p"),
)
CLOCKS = attempted(admissions.never_above_limit("api", phase="p"), clocks_apart("api", phase="p"))
NAMES = spared_by_names(cache.hits_are_hits(phase="p spared"), attack="p", spared="p spared")


def limited(history, *, limit=3, window_s=5):
    history.seen("limit.max", limit, phase="p", policy="api")
    history.seen("limit.window_s", window_s, phase="p", policy="api")


@pytest.mark.parametrize(
    ("attacker", "victim", "verdict"),
    [
        ((401, 401, 429), 401, Verdict.HOLDS),
        ((401, 401, 429), 429, Verdict.VIOLATED),
        ((401, 401, None), 429, Verdict.VIOLATED),
        ((401, 401), 401, Verdict.UNDECIDED),
        ((401, 503, None, 401), 401, Verdict.UNDECIDED),
    ],
)
def test_a_victim_is_spared_only_of_an_attacker_who_was_answered_often_enough_to_spend_a_budget(
    written, attacker, victim, verdict
):
    limited(written)
    for number, status in enumerate(attacker):
        written.probe(1 + number / 10, 1.05 + number / 10, status, actor="attacker")
    written.probe(2, 2.1, victim, phase="p spared")
    assert written.judged(VICTIM).verdict is verdict


def test_an_attack_that_had_left_the_window_when_the_victim_came_shows_nothing(written):
    limited(written, window_s=5)
    for number in range(3):
        written.probe(number, number + 0.1, 401, actor="attacker")
    written.probe(6, 6.1, 401, phase="p spared")
    assert written.judged(VICTIM).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(("networks", "verdict"), [(4, Verdict.HOLDS), (3, Verdict.UNDECIDED)])
def test_networks_that_one_budget_had_room_for_do_not_show_that_each_has_its_own(written, networks, verdict):
    limited(written)
    for number in range(networks):
        written.probe(number, number + 0.1, 401, actor=f"net-{number}")
    assert written.judged(NEIGHBOURS).verdict is verdict


def probed_across(history, *ahead, admitted=3):
    limited(history)
    for place, seconds in enumerate(ahead):
        history.seen("clock.ahead_s", seconds, phase="p", instance=f"http://{place}")
    for number in range(8):
        status = 200 if number < admitted else 429
        history.probe(number / 10, number / 10 + 0.05, status, instance=f"http://{number % len(ahead)}")


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [((0, 20), Verdict.HOLDS), ((0, 5), Verdict.UNDECIDED), ((0, 0), Verdict.UNDECIDED), ((20,), Verdict.UNDECIDED)],
)
def test_the_stores_clock_is_seen_to_decide_only_where_others_are_apart_by_more_than_the_window(
    written, ahead, verdict
):
    probed_across(written, *ahead)
    assert written.judged(CLOCKS).verdict is verdict


def test_more_admissions_than_the_limit_convict_however_the_clocks_stand(written, another):
    for history, ahead in ((written, (0, 20)), (another(), (0, 0))):
        probed_across(history, *ahead, admitted=6)
        assert history.judged(CLOCKS).verdict is Verdict.VIOLATED


def test_clocks_that_nobody_has_told_of_are_not_known_to_be_apart(written):
    limited(written)
    for number in range(4):
        written.probe(number / 10, number / 10 + 0.05, 200 if number < 3 else 429, instance=f"http://{number % 2}")
    assert written.judged(CLOCKS).verdict is Verdict.UNDECIDED


def read(history, at, word, version="v"):
    return history.op("tokens.read", at, at + 0.1, phase="p spared", sent={"ids": "a,b"}, x_cache=word, version=version)


def filled(history):
    history.seen("cache.ttl_s", 30, phase="p spared")
    read(history, 0, "miss")
    read(history, 1, "hit")


def attack(history, at, status, **sent):
    return history.op("attack", at, at + 0.1, status, sent=sent)


@pytest.mark.parametrize(("word", "verdict"), [("hit", Verdict.HOLDS), ("miss", Verdict.VIOLATED)])
def test_what_was_cached_before_an_attack_is_a_hit_after_it(written, word, verdict):
    filled(written)
    attack(written, 2, 422, token="t")
    attack(written, 3, 429, token="u")
    read(written, 4, word)
    finding = written.judged(NAMES)
    assert (finding.verdict, finding.samples) == (verdict, 1)


def test_a_list_that_was_dropped_amid_the_attack_and_fetched_anew_convicts(written):
    filled(written)
    attack(written, 2, 200, token="t")
    read(written, 3, "miss", "w")
    attack(written, 4, 422, token="u")
    read(written, 5, "hit", "w")
    assert written.judged(NAMES).verdict is Verdict.VIOLATED


def test_a_cache_that_nobody_read_after_the_attack_is_not_known_to_be_spared(written):
    filled(written)
    attack(written, 0.5, 422, token="t")
    attack(written, 2, 422, token="u")
    assert written.judged(NAMES).verdict is Verdict.UNDECIDED
    read(written, 40, "miss")  # its time was over
    assert written.judged(NAMES).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("refused", [403, 401, 429, 503, None])
def test_names_that_the_guards_kept_from_the_cache_spare_nobody(written, refused):
    filled(written)
    attack(written, 2, refused, token="t")
    attack(written, 2.5, 404)  # asked by name, and nothing dropped
    read(written, 4, "hit")
    assert written.judged(NAMES).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("checker", [VICTIM, NEIGHBOURS, CLOCKS, NAMES])
def test_nothing_recorded_is_undecided(written, checker):
    assert written.judged(checker).verdict is Verdict.UNDECIDED
