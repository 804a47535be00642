"""Service × topology × server: every pair of them in the usual tests, every combination in the long matrix.

The usual part is a covering array: each case meets each topology, and the servers alternate, so that each server meets
each case and each topology as well.
"""

from itertools import product
from pathlib import Path

import pytest

from cryptosense.controls.control import catalog as controls
from cryptosense.workbench.experiments.integration import EXPERIMENT
from cryptosense.workbench.run.control_matrix import Suspect, arrange, try_controls

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

TOPOLOGIES = ("standalone", "sentinel", "cluster")
SERVERS = ("valkey", "redis7")
REDIS_7 = Path("/usr/bin/redis-server")
STORIES = ("csrf", "limits", "caches")
USUAL_CONTROLS = ("csrf-1", "rate-3", "cache-4")
REFUSE_NOBODY = {"caches": {"honest-refusals"}}
"""Stories in which nobody is refused, so that what a refusal says cannot be told."""
TOLD_BY_LATER_SERVERS = {"redis7": {"store-driver"}}
"""Redis 7.0 does not tell its clients' drivers."""
SUSPECTS = [Suspect(name, control.contract, control.flaw) for name, control in controls().items()]
BY_CONTRACT = {suspect.contract: suspect.name for suspect in SUSPECTS}


def usual(cases):
    """Each case on each topology, the servers in turn."""
    for place, (case, (number, topology)) in enumerate(product(cases, enumerate(TOPOLOGIES))):
        yield case, topology, SERVERS[(place // len(TOPOLOGIES) + number) % len(SERVERS)]


def matrix(cases, more):
    """The usual part of the matrix, and after it, marked `full`, all the rest of it."""
    pairs = list(usual(cases))
    rest = [one for one in product([*cases, *more], TOPOLOGIES, SERVERS) if one not in pairs]
    return [*pairs, *(pytest.param(*one, marks=pytest.mark.full) for one in rest)]


def test_the_usual_part_holds_every_pair():
    cases = [*STORIES, *USUAL_CONTROLS]
    found = list(usual(cases))
    for first, second, of_first, of_second in (
        (0, 1, cases, TOPOLOGIES), (0, 2, cases, SERVERS), (1, 2, TOPOLOGIES, SERVERS),
    ):  # fmt: skip
        assert {(one[first], one[second]) for one in found} == set(product(of_first, of_second))


@pytest.fixture
def served_by(monkeypatch):
    """Has the stores run the program of that name."""

    def choose(server):
        if server == "redis7":
            if not REDIS_7.exists():
                pytest.skip(f"not installed: {REDIS_7}")
            monkeypatch.setenv("CRYPTOSENSE_SERVER", str(REDIS_7))

    return choose


@pytest.mark.parametrize(("stories", "topology", "server"), matrix(STORIES, ["all"]))
async def test_the_reference_keeps_its_promises_on(stories, topology, server, conducted, served_by):
    served_by(server)
    judged = await conducted(EXPERIMENT, instances=2, stories=stories, topology=topology)
    not_holding = judged.not_holding()
    told = {name: why for name, why in not_holding.items() if f"stories is {stories}" not in why}
    open_here = REFUSE_NOBODY.get(stories, set()) | TOLD_BY_LATER_SERVERS.get(server, set())
    assert told.keys() <= open_here, told
    assert not any(why.startswith("VIOLATED") for why in told.values()), told
    assert len(not_holding) < len(judged.judgements), "some claims were judged"


def tried_on(contract, topology):
    """Which of the claims that are meant to convict it there are on that topology."""
    charge = EXPERIMENT.charges[contract]
    claims = {claim.id for claim in EXPERIMENT.claims(EXPERIMENT.parameters(topology=topology))}
    return charge, claims & set(charge.claims)


def trials():
    """Every control that `integration` charges, on every topology that it runs on and that has a claim for it."""
    others = [BY_CONTRACT[contract] for contract in EXPERIMENT.charges if BY_CONTRACT[contract] not in USUAL_CONTROLS]
    for trial in matrix(USUAL_CONTROLS, others):
        control, topology, _ = getattr(trial, "values", trial)
        found = controls()[control]
        runs = topology == "standalone" or not found.one_server
        if runs and tried_on(found.contract, topology)[1]:
            yield trial


@pytest.mark.parametrize(("control", "topology", "server"), list(trials()))
async def test_a_control_is_convicted_on(control, topology, server, conducted, served_by):
    served_by(server)
    charge, meant = tried_on(controls()[control].contract, topology)
    judged = await conducted(EXPERIMENT, service=control, topology=topology, **charge.parameters)
    assert meant & judged.violated(), judged.not_holding()


@pytest.mark.full
@pytest.mark.parametrize("trial", arrange(SUSPECTS), ids=lambda trial: trial.suspect.name)
async def test_every_control_is_caught(trial, tmp_path):
    (outcome,) = await try_controls([trial], tmp_path, jobs=1, report=lambda _: None)
    assert outcome.caught, outcome.sentence
