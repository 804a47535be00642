"""The matrix of controls: which claims are meant to convict which flaw, and what counts as caught."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cryptosense.controls.control import catalog as controls
from cryptosense.errors import UsageError
from cryptosense.workbench.experiment import Charge
from cryptosense.workbench.experiments import catalog as experiments
from cryptosense.workbench.results import ClaimResult, ExperimentVerdicts
from cryptosense.workbench.run import control_matrix
from cryptosense.workbench.run.control_matrix import Suspect, Trial, arrange, charges_of, try_controls
from cryptosense.workbench.run.control_showing import print_matrix
from cryptosense.workbench.verdicts import Verdict

SUSPECTS = [Suspect(name, control.contract, control.flaw) for name, control in controls().items()]
TRIAL = Trial(Suspect("csrf-1", "CSRF-1", "A flaw."), "integration", Charge(("meant", "meant-too")))


def charged() -> list[tuple[str, str, Charge]]:
    return [
        (name, contract, charge)
        for name, experiment in experiments().items()
        for contract, charge in charges_of(experiment).items()
    ]


def test_every_control_is_tried_once_and_every_charge_has_its_control():
    assert [trial.suspect for trial in arrange(SUSPECTS)] == SUSPECTS
    contracts = [contract for _, contract, _ in charged()]
    assert sorted(contracts) == sorted({suspect.contract for suspect in SUSPECTS})


@pytest.mark.parametrize(("experiment", "contract", "charge"), charged(), ids=[f"{e}-{c}" for e, c, _ in charged()])
def test_every_claim_that_is_meant_to_convict_exists_names_the_promise_and_counts(experiment, contract, charge):
    asked = experiments()[experiment]
    claims = {claim.id: claim for claim in asked.claims(asked.parameters(**charge.parameters, service="reference"))}
    assert charge.claims
    for name in charge.claims:
        assert name in claims, f"{experiment} has no claim {name}"
        assert contract in claims[name].source
        assert not claims[name].control
        assert claims[name].advisory is None


def claim(name: str, verdict: Verdict, **changed: Any) -> ClaimResult:
    given = {
        "id": name, "statement": "so it is", "source": ("CSRF-1",), "expected": 0, "observed": 1, "unit": "",
        "samples": 1, "interval": None, "verdict": verdict, "reason": f"why {name}", "evidence": (), "control": False,
        "advisory": False,
    }  # fmt: skip
    return ClaimResult(**{**given, **changed})


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Tries the control in an experiment that comes out as given."""

    async def run(*claims: ClaimResult) -> Any:
        async def conduct(*_: object) -> ExperimentVerdicts:
            return ExperimentVerdicts(
                experiment="integration", verdict=Verdict.VIOLATED, parameters={}, seconds=0.1, claims=claims, charts=()
            )

        monkeypatch.setattr(control_matrix, "conduct_experiment", conduct)
        (outcome,) = await try_controls([TRIAL], tmp_path, jobs=1, report=lambda _: None)
        return outcome

    return run


@pytest.mark.parametrize("other", [Verdict.VIOLATED, Verdict.UNDECIDED])
async def test_a_control_is_caught_when_a_claim_meant_for_it_convicts_it_and_none_acquits_it(tried, other):
    outcome = await tried(claim("meant", other), claim("meant-too", Verdict.VIOLATED))
    assert outcome.caught
    assert outcome.sentence == ("meant: why meant" if other is Verdict.VIOLATED else "meant-too: why meant-too")


async def test_a_claim_that_is_blind_to_its_flaw_shows_though_another_sees_it(tried):
    outcome = await tried(claim("meant", Verdict.VIOLATED), claim("meant-too", Verdict.HOLDS))
    assert not outcome.caught
    assert outcome.sentence == "meant-too: why meant-too"


@pytest.mark.parametrize("meant", [Verdict.HOLDS, Verdict.UNDECIDED])
async def test_a_claim_violated_for_another_reason_does_not_count_though_it_names_the_promise(tried, meant):
    outcome = await tried(
        claim("meant", meant), claim("meant-too", meant), claim("another", Verdict.VIOLATED, source=("CSRF-1",))
    )
    assert not outcome.caught
    assert outcome.sentence == "meant: why meant; violated for another reason: another"
    out = StringIO()
    print_matrix(Console(file=out, width=240), [outcome])
    row = next(line for line in out.getvalue().splitlines() if "csrf-1" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["csrf-1", "MISSED", "–", f"meant ({meant}), meant-too ({meant})", "another"]


async def test_a_claim_that_is_meant_and_is_not_there_is_trouble_and_no_catch(tried):
    outcome = await tried(claim("meant", Verdict.VIOLATED))
    assert not outcome.caught
    assert outcome.sentence == "integration has no claim meant-too"


def test_a_control_that_nobody_charges_is_refused():
    with pytest.raises(UsageError, match="no experiment charges CSRF-99"):
        arrange([Suspect("csrf-99", "CSRF-99", "A flaw.")])
    with pytest.raises(UsageError, match="there is no control 'nobody'"):
        arrange(SUSPECTS, ["nobody"])
