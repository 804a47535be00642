"""Faults of Sentinel and Cluster: the primary is killed, frozen or demoted, and the election is seen step by step."""

import asyncio

import pytest
from redis.exceptions import RedisError

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.deployment import DeploymentPlan, StoreKind
from cryptosense.workbench.faults import inflicted, watch_elections
from cryptosense.workbench.faults.timeline import PlannedFault
from cryptosense.workbench.history import Recorder, load_history
from cryptosense.workbench.topology.deployments import open_deployment

pytestmark = [pytest.mark.usefixtures("standin"), pytest.mark.end_to_end]


async def another_primary(store, old):
    async with asyncio.timeout(30):
        while True:
            try:
                new = await store.primary()
                if new is not old:
                    await new.command("SET", "{06S}key", "1")
                    return new
            except (RedisError, OSError, CouldNotStart):
                pass
            await asyncio.sleep(0.02)


async def is_replica(server):
    """False, too, while it closes its connections, as one does that changes its role."""
    try:
        return (await server.info("replication"))["role"] == "slave"
    except (RedisError, OSError):
        return False


@pytest.mark.parametrize(
    ("kind", "fault", "steps"),
    [
        (StoreKind.SENTINEL, "kill", ["suspected", "down", "elected", "promoted", "announced"]),
        (StoreKind.CLUSTER, "kill", ["suspected", "down", "promoted"]),
        pytest.param(
            StoreKind.SENTINEL,
            "freeze",
            ["suspected", "down", "elected", "promoted", "announced"],
            marks=pytest.mark.full,
        ),
        pytest.param(StoreKind.CLUSTER, "freeze", ["suspected", "down", "promoted"], marks=pytest.mark.full),
        (StoreKind.SENTINEL, "demote", ["promoted", "announced"]),
        (StoreKind.CLUSTER, "demote", ["promoted"]),
    ],
)
async def test_a_new_primary_is_elected_in_steps_and_the_old_one_returns_as_a_replica(tmp_path, kind, fault, steps):
    plan = DeploymentPlan("many", instances=1, store=kind)
    with Recorder(tmp_path / "history.jsonl.gz") as recorder:
        async with open_deployment(plan, folder=tmp_path) as deployment:
            store = deployment.store
            old = await store.primary()
            async with watch_elections(store, recorder):
                async with inflicted(PlannedFault.model_validate(f"{fault}@0s").on(deployment), recorder):
                    await another_primary(store, old)
                async with asyncio.timeout(60):
                    while not await is_replica(old):  # noqa: ASYNC110 (a server's role)
                        await asyncio.sleep(0.05)
    history = load_history(tmp_path / "history.jsonl.gz")
    first = [min((seen.at for seen in history.observations("election", step=step)), default=None) for step in steps]
    assert None not in first
    assert first == sorted(first)
