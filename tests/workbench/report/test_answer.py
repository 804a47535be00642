"""One sentence decides; it is made of the results and of nothing else."""

from pathlib import Path

import pytest

from cryptosense.workbench.plan_lists import CHECKLIST
from cryptosense.workbench.report import wording
from cryptosense.workbench.report.answer import Answer, answer
from cryptosense.workbench.report.before_after import comparisons
from cryptosense.workbench.report.plan import Standing, answer_plan, measured
from cryptosense.workbench.results import RESULTS, RunResults
from cryptosense.workbench.verdicts import Verdict, worst


def results_of(folder: Path) -> RunResults:
    return RunResults.read(folder / RESULTS)


def answer_of(results: RunResults) -> Answer:
    return answer(results, answer_plan(results))


def with_first_claim(results: RunResults, experiment: str, **changes: object) -> RunResults:
    """The same results with the first claim of that experiment changed and all verdicts drawn anew."""
    changed = []
    for one in results.experiments:
        claims = one.claims
        if one.name == experiment:
            claims = (claims[0].model_copy(update=changes), *claims[1:])
        verdict = worst(claim.counts_as for claim in claims if not claim.advisory)
        changed.append(one.model_copy(update={"claims": claims, "verdict": verdict}))
    return results.model_copy(update={"experiments": tuple(changed), "verdict": worst(one.verdict for one in changed)})


def test_a_holding_run_says_go_with_its_counts(make_run):
    told = answer_of(results_of(make_run("holding")))
    assert told.word == "Go, as far as tested"
    assert told.why.startswith("All 29 claims of 3 experiments hold, and both deliberately flawed controls were caught")
    assert told.troubles == ()


def test_a_go_says_what_the_selection_left_open(make_run):
    told = answer_of(results_of(make_run("holding")))
    assert "leaves 5 of the plan's 26 checklist items open" in told.why


def test_a_go_without_reserve_needs_every_item_of_the_plan(make_run):
    results = results_of(make_run("holding"))
    first = results.experiments[0]
    every = tuple(item.id for item in CHECKLIST)
    claims = (first.claims[0].model_copy(update={"source": every}), *first.claims[1:])
    whole = results.model_copy(update={"experiments": (first.model_copy(update={"claims": claims}),)})
    assert answer_of(whole).word == "Go"
    assert "open" not in answer_of(whole).why


def test_a_violated_run_says_no_go_and_names_the_claim_with_its_figures(make_run):
    told = answer_of(results_of(make_run("violated")))
    assert told.word == "No-go"
    assert "1 of 31 claims is violated" in told.why
    assert "expected 1, observed 2 accepted posts" in told.why
    assert [trouble.claim.id for trouble in told.troubles if trouble.claim] == ["one-token-once"]


def test_an_undecided_run_says_not_yet_and_why(make_run):
    told = answer_of(results_of(make_run("undecided")))
    assert told.word == "Not yet"
    assert "1 of 31 claims is undecided" in told.why
    assert "the machine stalled" in told.why


def test_an_interrupted_run_says_so_and_tells_each_experiment_once(make_run):
    told = answer_of(results_of(make_run("interrupted")))
    assert told.word == "Not yet"
    assert "interrupted: 2 of 3 experiments came to an end" in told.why
    assert [(trouble.experiment, trouble.claim) for trouble in told.troubles] == [("failover", None)]


def test_a_control_that_was_not_caught_is_a_no_go(make_run):
    results = results_of(make_run("holding"))
    experiments = list(results.experiments)
    claims = [
        claim.model_copy(update={"verdict": Verdict.HOLDS}) if claim.control else claim
        for claim in experiments[0].claims
    ]
    experiments[0] = experiments[0].model_copy(update={"claims": tuple(claims), "verdict": Verdict.VIOLATED})
    told = answer_of(results.model_copy(update={"experiments": tuple(experiments), "verdict": Verdict.VIOLATED}))
    assert "was not caught" in told.why


def test_violated_comes_before_undecided(make_run):
    results = with_first_claim(results_of(make_run("undecided")), "before_after", verdict=Verdict.VIOLATED)
    told = answer_of(results)
    assert [trouble.verdict for trouble in told.troubles] == [Verdict.VIOLATED, Verdict.UNDECIDED]
    assert told.word == "No-go"


def test_a_run_of_nothing_decides_nothing(make_run):
    results = results_of(make_run("holding")).model_copy(update={"experiments": (), "verdict": Verdict.UNDECIDED})
    assert answer_of(results).why == "Nothing was run, so nothing is decided."


def test_every_item_of_the_plan_has_a_standing_and_unrun_ones_say_so(make_run):
    plan = answer_plan(results_of(make_run("holding")))
    assert len(plan.checklist) == 26
    assert len(plan.improvements) == 9
    assert sum(row.standing is Standing.NOT_RUN for row in plan.checklist) == 5
    assert all(row.evidence for row in plan.checklist if row.standing is not Standing.NOT_RUN)


@pytest.mark.parametrize("kind", ["violated", "undecided"])
def test_an_item_stands_as_the_worst_of_its_claims(make_run, kind: str):
    plan = answer_plan(results_of(make_run(kind)))
    worst_claims = [row for row in plan.checklist if row.standing in (Standing.VIOLATED, Standing.UNDECIDED)]
    assert worst_claims
    for row in worst_claims:
        assert row.evidence[0].claim.verdict is not Verdict.HOLDS


def test_an_advisory_claim_alone_does_not_make_an_item_hold(make_run):
    results = results_of(make_run("holding"))
    only = [one for one in results.experiments if one.name == "failover"]
    plan = answer_plan(results.model_copy(update={"experiments": tuple(only)}))
    persistence = next(row for row in plan.improvements if row.item.id == "improvement:token-persistence")
    assert persistence.standing is Standing.NOT_PROVED_HERE


def test_controls_alone_do_not_make_an_item_hold(make_run):
    results = results_of(make_run("holding"))
    first = results.experiments[0]
    controls = tuple(claim for claim in first.claims if claim.control)
    source = ("improvement:upstream-calls",)
    claims = tuple(claim.model_copy(update={"source": source}) for claim in controls)
    plan = answer_plan(results.model_copy(update={"experiments": (first.model_copy(update={"claims": claims}),)}))
    calls = next(row for row in plan.improvements if row.item.id in source)
    assert calls.standing is Standing.NOT_RUN


def test_each_control_in_memory_stands_beside_its_like_in_redis_and_never_beside_memory(make_run):
    first = results_of(make_run("holding")).experiments[0]
    foretold = first.claims[0].model_copy(
        update={"id": "memory-3-rate", "source": ("CSRF-1", "improvement:csrf-across-servers"), "unit": "% refused"}
    )
    pairs = comparisons(first.model_copy(update={"claims": (foretold, *first.claims)}))
    assert [(pair.before.id, pair.after.id) for pair in pairs] == [
        ("memory-3-csrf", "redis-3-csrf"),
        ("memory-3-fetches", "redis-3-fetches"),
    ]


def test_an_improvement_is_told_first_by_the_claim_that_is_about_it(make_run):
    results = results_of(make_run("holding"))
    first = results.experiments[0]
    wanted = "improvement:upstream-calls"
    direct = first.claims[2].model_copy(update={"id": "redis-calls-a-minute", "source": (wanted, "CACHE-2")})
    before = first.claims[2].model_copy(update={"id": "memory-1-calls", "source": (wanted,)})
    claims = (before, *first.claims, direct)
    plan = answer_plan(results.model_copy(update={"experiments": (first.model_copy(update={"claims": claims}),)}))
    calls = next(row for row in plan.improvements if row.item.id == wanted)
    assert [one.claim.id for one in measured(calls)] == ["redis-calls-a-minute", "redis-3-fetches", "memory-1-calls"]


def test_a_long_reason_is_cut_at_a_clause_in_the_one_sentence(make_run):
    reason = f"the machine was busy: {'first good write 4.1 s, ' * 12}by instance; and more"
    results = with_first_claim(
        results_of(make_run("holding")), "failover", verdict=Verdict.UNDECIDED, reason=reason, source=()
    )
    told = answer_of(results)
    assert told.why.endswith("the machine was busy.")
    assert told.troubles[0].reason == reason


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.8567, "share of queries saved", "85.67 % of queries saved"),
        (0, "% refused", "0 % refused"),
        (129692000.0, "bytes", "129,692,000 bytes"),
        (1.94, "calls/min", "1.94 calls/min"),
        ("at most 2", "s", "at most 2 s"),
        ("all", "s", "all"),
        (None, "s", "–"),
    ],
)
def test_figures_are_told_as_people_would(value: float | str | None, unit: str, text: str):
    assert wording.figure(value, unit) == text
