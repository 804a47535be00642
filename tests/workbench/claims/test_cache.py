"""Cache checkers on histories written by hand. Entries live 30 s; the upstream takes 0.2 s at least."""

import pytest

from cryptosense.workbench.claims import cache
from cryptosense.workbench.verdicts import Verdict

BTC = {"ids": "bitcoin"}
HITS = cache.hits_are_hits(phase="p", ttl_s=30)
AFTER_WRITE = cache.never_stale_after_write(phase="p")
AFTER_DROP = cache.never_stale_after_invalidation(phase="p")
RACED = cache.never_stale_after_invalidation(phase="p", raced=True)
SPELLINGS = cache.same_subject_same_entry(phase="p")
EPOCH = 1_700_000_000.0


def read(history, start, end, version, x_cache="hit", **more):
    return history.op(
        "tokens.read", start, end, 200, sent=more.pop("sent", BTC), version=version, x_cache=x_cache, **more
    )


def test_cache_1_a_second_read_that_hits_holds_and_one_that_misses_convicts(written, another):
    read(written, 1, 1.5, "v", "miss")
    read(written, 2, 2.1, "v", "hit")
    assert written.judged(HITS).verdict is Verdict.HOLDS
    never = another()
    first, second = read(never, 1, 1.5, "v", "miss"), read(never, 2, 2.5, "w", "miss")
    finding = never.judged(HITS)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (first, second))


def test_cache_1_a_read_after_the_time_to_live_or_after_an_invalidation_may_miss(written):
    read(written, 1, 1.5, "v", "miss")
    read(written, 32, 32.5, "w", "miss")
    written.op("tokens.invalidate", 33, 33.1, 200, sent=BTC)
    read(written, 34, 34.5, "x", "miss")
    assert written.judged(HITS).verdict is Verdict.UNDECIDED


def write(history, start, end, seq, status=200, **more):
    return history.op("portfolios.write", start, end, status, sent={"seq": seq}, **more)


def test_cache_4_a_read_after_a_write_sees_it(written):
    write(written, 1, 1.1, 1)
    written.op("portfolios.read", 2, 2.1, 200, seq=1)
    write(written, 3, 3.5, 2)
    written.op("portfolios.read", 3.2, 3.3, 200, seq=1)
    assert written.judged(AFTER_WRITE).verdict is Verdict.HOLDS


@pytest.mark.parametrize("seen", [1, None])
def test_cache_4_a_read_of_the_state_before_an_answered_write_convicts(written, seen):
    write(written, 1, 1.1, 1)
    newest = write(written, 3, 3.1, 2)
    stale = written.op("portfolios.read", 4, 4.1, 200, seq=seen)
    finding = written.judged(AFTER_WRITE)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (newest, stale))


def test_cache_4_a_write_without_an_answer_obliges_nobody(written):
    written.op("portfolios.write", 1, 1.1, None, sent={"seq": 1})
    written.op("portfolios.read", 2, 2.1, 200, seq=0)
    assert written.judged(AFTER_WRITE).verdict is Verdict.UNDECIDED


def test_cache_4_a_version_shown_before_an_invalidation_convicts_after_it(written):
    shown = read(written, 1, 1.5, "v", "miss")
    drop = written.op("tokens.invalidate", 2, 2.1, 200, sent=BTC)
    stale = read(written, 3, 3.1, "v")
    finding = written.judged(AFTER_DROP)
    assert (finding.verdict, set(finding.evidence)) == (Verdict.VIOLATED, {shown, drop, stale})


def test_cache_4_a_value_whose_fetch_began_before_the_invalidation_convicts_after_it(written):
    written.seen("upstream.latency_s", 0.4, phase="p")
    read(written, 1, 1.45, "v", "miss", as_of=EPOCH + 1.42)
    written.op("tokens.invalidate", 1.2, 1.3, 200, sent=BTC)
    read(written, 2, 2.1, "v", as_of=EPOCH + 1.42)
    assert written.judged(AFTER_DROP).verdict is Verdict.VIOLATED


def test_cache_4_a_value_fetched_after_the_invalidation_holds(written):
    written.seen("upstream.latency_s", 0.4, phase="p")
    read(written, 1, 1.9, "w", "miss", as_of=EPOCH + 1.8)
    written.op("tokens.invalidate", 1.2, 1.3, 200, sent=BTC)
    read(written, 2, 2.1, "w", as_of=EPOCH + 1.8)
    assert written.judged(AFTER_DROP).verdict is Verdict.HOLDS


def test_cache_4_where_nothing_old_was_there_or_its_age_is_not_told_nothing_is_decided(written, another):
    written.op("tokens.invalidate", 1.2, 1.3, 200, sent=BTC)
    read(written, 2, 2.1, "w", as_of=EPOCH + 2)
    assert written.judged(AFTER_DROP).verdict is Verdict.UNDECIDED
    untold = another()
    read(untold, 1, 1.9, "w", "miss", as_of=EPOCH + 1.8)
    untold.op("tokens.invalidate", 1.2, 1.3, 200, sent=BTC)
    read(untold, 2, 2.1, "w", as_of=EPOCH + 1.8)
    assert untold.judged(AFTER_DROP).verdict is Verdict.UNDECIDED


def race(history, *, fetched_by, later, latency=0.4, x_cache="miss"):
    """An invalidation from 1.2 to 1.3 in a fetch from 1 on, or behind it, and a read after both."""
    history.seen("upstream.latency_s", latency, phase="p")
    read(history, 1, fetched_by, "v", x_cache, as_of=EPOCH + 1.05 + latency)
    history.op("tokens.invalidate", 1.2, 1.3, 200, sent=BTC)
    read(history, 2, 2.1, later, as_of=EPOCH + 1.05 + latency if later == "v" else EPOCH + 1.9)


def test_cache_4_a_race_is_judged_only_where_the_invalidation_fell_into_the_fetch(another):
    for fetched_by, later, verdict in (
        (1.5, "w", Verdict.HOLDS),
        (1.5, "v", Verdict.VIOLATED),
        (1.1, "w", Verdict.UNDECIDED),  # the invalidation came when nothing was under way any more
        (1.25, "w", Verdict.UNDECIDED),  # or may have: the fetch was over before its answer
    ):
        told = another()
        race(told, fetched_by=fetched_by, later=later, latency=0.4 if fetched_by == 1.5 else 0.05)
        assert told.judged(RACED).verdict is verdict


@pytest.mark.parametrize("x_cache", ["hit", "stale"])
def test_cache_4_an_answer_from_the_cache_is_no_fetch_that_an_invalidation_could_race(written, x_cache):
    race(written, fetched_by=1.5, later="w", x_cache=x_cache)
    finding = written.judged(RACED)
    assert (finding.verdict, finding.samples) == (Verdict.UNDECIDED, 1)
    assert "nothing was raced" in finding.reason


def test_cache_4_a_race_after_which_nobody_read_that_list_shows_nothing(written):
    read(written, 0, 0.5, "old", "miss", sent={"ids": "bitcoin,solana"})
    read(written, 1, 1.5, "v", "miss")
    written.op("tokens.invalidate", 1.2, 1.3, 200, sent=BTC)
    read(written, 2, 2.1, "new", sent={"ids": "bitcoin,solana"})
    assert written.judged(AFTER_DROP).verdict is Verdict.HOLDS
    assert written.judged(RACED).verdict is Verdict.UNDECIDED


def test_cache_5_a_list_with_the_coin_is_dropped_and_one_without_is_not_judged(written):
    read(written, 1, 1.5, "pair", "miss", sent={"ids": "bitcoin,solana"})
    read(written, 1, 1.5, "other", "miss", sent={"ids": "cardano"})
    written.op("tokens.invalidate", 2, 2.1, 200, sent=BTC)
    read(written, 3, 3.1, "other", sent={"ids": "cardano"})
    assert written.judged(AFTER_DROP).verdict is Verdict.UNDECIDED
    read(written, 3, 3.1, "pair", sent={"ids": "bitcoin,solana"})
    assert written.judged(AFTER_DROP).verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("status", "after", "verdict"),
    [(429, "v", Verdict.HOLDS), (429, "w", Verdict.VIOLATED), (200, "w", Verdict.UNDECIDED)],
)
def test_an_invalidation_that_was_denied_leaves_everything_where_it_is(written, status, after, verdict):
    written.seen("cache.ttl_s", 30, phase="p")
    read(written, 1, 1.5, "v", "miss")
    written.op("tokens.invalidate", 2, 2.1, status, sent=BTC)
    read(written, 3, 3.1, after)
    assert written.judged(cache.denied_drop_drops_nothing(phase="p")).verdict is verdict


def test_cache_5_two_spellings_of_a_list_are_one_entry(written, another):
    for second, verdict in (("v", Verdict.HOLDS), ("w", Verdict.VIOLATED)):
        lists = another()
        lists.seen("cache.ttl_s", 30, phase="p")
        read(lists, 1, 1.5, "v", "miss", sent={"ids": "bitcoin", "subject": "bitcoin"})
        read(lists, 2, 2.5, second, sent={"ids": " Bitcoin,bitcoin", "subject": "bitcoin"})
        assert lists.judged(SPELLINGS).verdict is verdict


def test_a_hit_that_outlived_its_entry_convicts_and_one_that_is_replaced_in_time_holds(written, another):
    fresh = cache.hits_are_fresh(phase="p", ttl_s=30)
    for history, later in ((written, "w"), (another(), "v")):
        read(history, 1, 1.5, "v", "miss")
        read(history, 30, 30.1, "v")
        read(history, 36, 36.1, later, "miss" if later == "w" else "hit")
    assert written.judged(fresh).verdict is Verdict.HOLDS
    old = another()
    shown = read(old, 1, 1.5, "v", "miss")
    outlived = read(old, 36, 36.1, "v")
    finding = old.judged(fresh)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (shown, outlived))


def test_an_old_value_that_says_that_it_is_stale_is_no_outlived_hit(written):
    fresh = cache.hits_are_fresh(phase="p", ttl_s=30)
    read(written, 1, 1.5, "v", "miss")
    read(written, 2, 2.1, "v")
    read(written, 60, 60.1, "v", "stale")
    assert written.judged(fresh).verdict is Verdict.UNDECIDED  # and nothing was seen to be replaced


@pytest.mark.parametrize(
    "checker", [HITS, AFTER_WRITE, AFTER_DROP, RACED, SPELLINGS, cache.hits_are_fresh(phase="p", ttl_s=30)]
)
def test_nothing_recorded_is_undecided(written, checker):
    assert written.judged(checker).verdict is Verdict.UNDECIDED


def test_cache_4_a_fetch_under_way_whose_age_is_told_is_judged_without_a_declared_latency(another):
    for served, verdict in ((1.1, Verdict.VIOLATED), (1.7, Verdict.HOLDS)):
        told = another()
        read(told, 1, 1.9, "w", "miss", as_of=EPOCH + 1.1)
        told.op("tokens.invalidate", 1.4, 1.5, 200, sent=BTC)
        read(told, 2, 2.1, f"v{served}", as_of=EPOCH + served)
        assert told.judged(AFTER_DROP).verdict is verdict
