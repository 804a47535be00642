"""What answers say of how they were served, held against what the service does not tell; histories written by hand."""

import pytest

from cryptosense.workbench.claims import outcomes
from cryptosense.workbench.history import Span, SpanKind
from cryptosense.workbench.verdicts import Verdict

TOLD = outcomes.outcome_is_told(phase="p")
EPOCH = 1_700_000_000.0


def read(history, start, end, word, *, ids="a,b", status=200, **got):
    sent = {"ids": ids}
    return history.op("tokens.read", start, end, status, sent=sent, x_cache=word, version="v", **got)


def counted(history, calls, *, start=0.0, end=10.0, coins="b,a"):
    history.events.append(Span(SpanKind.PHASE, "p", start, end))
    history.seen("upstream.calls", 7, start + 0.01, coins=coins)
    history.seen("upstream.calls", 7 + calls, end - 0.01, coins=coins)


def test_a_miss_that_was_fetched_and_a_hit_that_was_not_hold(written):
    counted(written, 1)
    read(written, 1, 1.5, "miss")
    read(written, 2, 2.1, "hit")
    finding = written.judged(TOLD)
    assert (finding.verdict, finding.samples) == (Verdict.HOLDS, 2)
    assert "2 of them were put to the test" in finding.reason


@pytest.mark.parametrize("word", ["HIT", None])
def test_cache_7_an_answer_without_one_of_the_five_words_convicts(written, word):
    counted(written, 1)
    read(written, 1, 1.5, "miss")
    wordless = read(written, 2, 2.1, word)
    finding = written.judged(TOLD)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (wordless,))


def test_a_service_that_calls_everything_a_hit_is_convicted_by_the_upstreams_count(written, another):
    counted(written, 1)
    hits = (read(written, 1, 1.5, "hit"), read(written, 2, 2.1, "hit"))
    finding = written.judged(TOLD)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, hits)
    assert "asked 1 times" in finding.reason
    cached = another()
    counted(cached, 0)
    read(cached, 1, 1.5, "hit")
    assert cached.judged(TOLD).verdict is Verdict.HOLDS


@pytest.mark.parametrize("other", [{"status": 503}, {"status": None}], ids=["a failure", "no answer"])
def test_a_call_that_a_read_without_a_good_answer_may_have_caused_is_nobodys_lie(written, other):
    counted(written, 1)
    read(written, 1, 1.5, "hit")
    read(written, 2, 2.1, None, **other)
    assert written.judged(TOLD).verdict is Verdict.HOLDS


def test_a_service_that_calls_everything_a_miss_is_convicted_by_the_upstreams_count(written):
    counted(written, 1)
    first, second = read(written, 1, 1.5, "miss"), read(written, 2, 2.1, "miss")
    read(written, 3, 3.1, "miss")
    finding = written.judged(TOLD)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (first, second))
    assert "3 reads, one after the other" in finding.reason


def test_callers_who_wait_for_one_fetch_and_call_it_a_miss_all_say_the_truth(written):
    counted(written, 1)
    for number in range(5):
        read(written, 1 + number / 100, 1.5, "miss")
    read(written, 1.4, 1.9, "miss")  # joined who was waiting, when the fetch was over
    assert written.judged(TOLD).verdict is Verdict.HOLDS


def test_where_somebody_asked_across_the_counting_its_count_convicts_nobody(written):
    counted(written, 0, start=1.2)
    read(written, 1, 1.5, "miss")
    read(written, 2, 2.1, "miss")
    assert written.judged(TOLD).verdict is Verdict.UNDECIDED


def test_the_count_of_another_list_says_nothing(written):
    counted(written, 0, coins="c")
    read(written, 1, 1.5, "miss")
    assert written.judged(TOLD).verdict is Verdict.UNDECIDED


def test_a_hit_that_shows_what_was_made_only_after_it_was_asked_for_convicts(written, another):
    lie = read(written, 1, 1.5, "hit", as_of=EPOCH + 1.4)
    finding = written.judged(TOLD)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (lie,))
    beside = another()
    read(beside, 0.9, 1.45, "miss", as_of=EPOCH + 1.4)
    read(beside, 1, 1.5, "hit", as_of=EPOCH + 1.4)  # somebody else had it fetched
    assert beside.judged(TOLD).verdict is Verdict.UNDECIDED


def test_a_miss_that_shows_what_had_been_made_before_convicts_where_the_upstream_is_the_runs_own(written):
    read(written, 1, 1.5, "miss", as_of=EPOCH + 0.5)
    assert written.judged(TOLD).verdict is Verdict.UNDECIDED  # somebody's upstream may be asked and show old values
    written.seen("upstream.latency_s", 0.2, phase="p")
    assert written.judged(TOLD).verdict is Verdict.VIOLATED


def test_words_that_nothing_can_be_held_against_do_not_hold(written):
    read(written, 1, 1.5, "miss")
    written.op("portfolios.read", 2, 2.1, 200, x_cache="hit")
    finding = written.judged(TOLD)
    assert (finding.verdict, finding.samples) == (Verdict.UNDECIDED, 2)
    assert "calls_url" in finding.reason


def test_a_deployment_that_tells_no_outcome_is_not_asked_for_one(written):
    written.seen("untold", 1, topic="outcome", reason="no header says it")
    read(written, 1, 1.5, None)
    assert written.judged(TOLD).reason == "no header says it"


@pytest.mark.parametrize(
    ("word", "verdict"), [("bypass", Verdict.HOLDS), ("stale", Verdict.HOLDS), ("miss", Verdict.VIOLATED)]
)
def test_cache_7_an_outage_that_is_called_a_miss_convicts(written, word, verdict):
    read(written, 1, 1.5, word)
    assert written.judged(outcomes.outage_is_no_miss(phase="p")).verdict is verdict


@pytest.mark.parametrize("checker", [TOLD, outcomes.outage_is_no_miss(phase="p")])
def test_nothing_recorded_is_undecided(written, checker):
    assert written.judged(checker).verdict is Verdict.UNDECIDED
