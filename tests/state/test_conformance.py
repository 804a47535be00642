"""The shipped conformance suite on every backend, and on every stage of the join."""

from typing import Any

import pytest

from cryptosense.state.catalog import Stage
from cryptosense.state.conformance import CHECKS, Check, Subject
from cryptosense.workbench.topology.sentinel import SERVICE

EVERY = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
ANY_CLOCK = pytest.mark.parametrize("check", [c for c in CHECKS if not c.exact], ids=lambda check: check.name)
BOUNDARIES = pytest.mark.parametrize("check", [c for c in CHECKS if c.exact], ids=lambda check: check.name)
STAGES = pytest.mark.parametrize("stage", list(Stage), ids=lambda stage: stage.value)


def servers(*quick: str, full: tuple[str, ...]) -> pytest.MarkDecorator:
    """Which servers `address` leads to; those of `full` in the long matrix only."""
    later = [pytest.param(name, marks=pytest.mark.full) for name in full]
    return pytest.mark.parametrize("address", [*quick, *later], indirect=True)


@pytest.fixture
def address(request: pytest.FixtureRequest, tools) -> Any:
    """Where the server, or the servers, of that fixture are found."""
    store = request.getfixturevalue(request.param)
    if request.param == "sentinel":
        nodes = tuple(("127.0.0.1", server.port) for server in store.sentinels)
        return tools.Address(nodes, kind="sentinel", service=SERVICE)
    if request.param == "cluster":
        return tools.Address(tuple(("127.0.0.1", server.port) for server in store.servers), kind="cluster")
    return tools.address_of(store)


@EVERY
async def test_memory_conforms(check: Check, tools):
    async with tools.memory_subject() as subject:
        await check(subject)


@servers("valkey", "redis7", "cluster", full=("sentinel",))
@ANY_CLOCK
async def test_redis_conforms(check: Check, tools, address):
    async with tools.opened(address) as state:
        await check(Subject(state.state, tools.sleep_ms, exact=False))


@BOUNDARIES
async def test_the_scripts_conform_at_boundary_instants(check: Check, frozen_redis):
    async with frozen_redis() as subject:
        await check(subject)


@servers("valkey", full=("redis7", "sentinel", "cluster"))
@STAGES
@ANY_CLOCK
async def test_every_stage_of_the_join_conforms(check: Check, stage: Stage, tools, address, record):
    async with tools.joined_subject(address, stage, record) as subject:
        await check(subject)
    assert not [kind for kind in record.differences if kind[1] == "failed"]
