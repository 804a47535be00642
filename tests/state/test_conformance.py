"""The shipped conformance suite on every backend, and on every stage of the join."""

import pytest

from cryptosense.state.catalog import Stage
from cryptosense.state.conformance import CHECKS, Check, Subject
from cryptosense.workbench.topology.sentinel import SERVICE

EVERY = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
ANY_CLOCK = pytest.mark.parametrize("check", [c for c in CHECKS if not c.exact], ids=lambda check: check.name)
BOUNDARIES = pytest.mark.parametrize("check", [c for c in CHECKS if c.exact], ids=lambda check: check.name)


@EVERY
async def test_memory_conforms(check: Check, tools):
    async with tools.memory_subject() as subject:
        await check(subject)


@ANY_CLOCK
async def test_valkey_conforms(check: Check, tools, valkey):
    async with tools.opened(tools.address_of(valkey)) as state:
        await check(Subject(state.state, tools.sleep_ms, exact=False))


@BOUNDARIES
async def test_the_scripts_conform_at_boundary_instants(check: Check, frozen_redis):
    async with frozen_redis() as subject:
        await check(subject)


@ANY_CLOCK
async def test_redis_7_conforms(check: Check, tools, redis7):
    async with tools.opened(tools.address_of(redis7)) as state:
        await check(Subject(state.state, tools.sleep_ms, exact=False))


@ANY_CLOCK
async def test_a_cluster_conforms(check: Check, tools, cluster):
    nodes = tuple(("127.0.0.1", server.port) for server in cluster.servers)
    async with tools.opened(tools.Address(nodes, kind="cluster")) as state:
        await check(Subject(state.state, tools.sleep_ms, exact=False))


@pytest.mark.full
@ANY_CLOCK
async def test_sentinel_conforms(check: Check, tools, sentinel):
    nodes = tuple(("127.0.0.1", server.port) for server in sentinel.sentinels)
    async with tools.opened(tools.Address(nodes, kind="sentinel", service=SERVICE)) as state:
        await check(Subject(state.state, tools.sleep_ms, exact=False))


@pytest.mark.parametrize("stage", list(Stage), ids=lambda stage: stage.value)
@ANY_CLOCK
async def test_every_stage_of_the_join_conforms(check: Check, stage: Stage, tools, valkey, record):
    async with tools.joined_subject(tools.address_of(valkey), stage, record) as subject:
        await check(subject)
    assert not [kind for kind in record.differences if kind[1] == "failed"]
