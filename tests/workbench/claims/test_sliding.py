"""The checker of sliding windows, on histories written by hand. The limit is 3 in 10 s."""

import pytest

from cryptosense.workbench.claims.admissions import Limit
from cryptosense.workbench.claims.sliding import window_slides
from cryptosense.workbench.verdicts import Verdict

SLIDES = window_slides("api", phase="p", limit=Limit(3, 10.0))


def across(history, *answers, opener=200, spent_at=6.0, asked_at=11.0, takes=0.1):
    """A first request, two more before a fixed window's end, and three after it, answered so; their ids."""
    history.probe(0, 0.1, opener)
    for _ in range(2):
        history.probe(spent_at, spent_at + takes, 200)
    return [history.probe(asked_at + place / 10, asked_at + place / 10 + takes, it) for place, it in enumerate(answers)]


def test_rate_1_a_window_that_slides_frees_one_slot_and_holds(written):
    across(written, 200, 429, 429)
    finding = written.judged(SLIDES)
    assert (finding.verdict, finding.observed) == (Verdict.HOLDS, 3)


def test_rate_1_a_fixed_window_admits_twice_the_limit_around_its_end_and_convicts(written):
    across(written, 200, 200, 200)
    finding = written.judged(SLIDES)
    assert (finding.verdict, finding.observed) == (Verdict.VIOLATED, 5)


@pytest.mark.parametrize(
    "late",
    [{"asked_at": 9.0}, {"asked_at": 15.9}, {"spent_at": 10.0}, {"spent_at": 9.0, "takes": 1.5}, {"opener": None}],
    ids=["before the end", "when it has all left", "in the next one", "perhaps in the next one", "never opened"],
)
def test_rate_1_where_a_fixed_window_would_not_have_shown_nothing_is_decided(written, late):
    across(written, *(200, 429, 429) if late.get("asked_at") != 9.0 else (429, 429, 429), **late)
    assert written.judged(SLIDES).verdict is Verdict.UNDECIDED


def test_rate_1_one_answer_and_two_lost_ones_do_not_tell_a_fixed_window_from_a_sliding_one(written):
    across(written, 429, None, None)
    finding = written.judged(SLIDES)
    assert finding.verdict is Verdict.UNDECIDED
    assert "1 requests were answered" in finding.reason


def test_rate_1_no_crossing_of_windows_is_undecided(written):
    assert written.judged(SLIDES).verdict is Verdict.UNDECIDED
