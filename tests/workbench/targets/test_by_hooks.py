"""A stranger's store taken away, its service restarted and rolled back, all by its owner's own commands."""

import asyncio

import pytest

from cryptosense.workbench.target import UpstreamProfile
from cryptosense.workbench.verdicts import Verdict

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(240), pytest.mark.usefixtures("granted")]

SHORT = {"sessions": 3, "before_s": 1.0, "after_s": 3.0}


def guilty(claims):
    return {name: claim.reason for name, claim in claims.items() if claim.verdict is Verdict.VIOLATED}


def holding(claims):
    return {name for name, claim in claims.items() if claim.verdict is Verdict.HOLDS}


def froze(shop, **heal):
    fault = {"freeze": shop.command("freeze", "store")}
    return shop.target(fault=fault, heal={"freeze": shop.command("thaw", "store"), **heal})


def killed(shop):
    fault = {"kill-restart": shop.command("kill", "store")}
    return shop.target(fault=fault, heal={"kill-restart": shop.command("start", "store")})


async def failed_over(conduct, target, folder, *scenarios, **parameters):
    return await conduct("failover", target, folder, scenarios=scenarios, **{**SHORT, **parameters})


async def test_a_frozen_store_acquits_who_waits_for_it_within_bounds_and_convicts_who_does_not(
    tmp_path, kept_shop, conduct
):
    async def frozen(*flaws, others=(), **parameters):
        folder = tmp_path / "-".join(flaws or ("sound",))
        async with kept_shop(folder, *flaws) as shop:
            return await failed_over(conduct, froze(shop), folder, "freeze", *others, **parameters)

    sound, flawed = await asyncio.gather(
        frozen(others=("kill-restart", "kill-forget")), frozen("hang", hold_factor=3.5, after_s=2.5)
    )
    assert not guilty(sound)
    assert holding(sound) >= {
        f"freeze-{what}" for what in ("writes", "no-false-accept", "honest", "no-hang", "serves-again", "well-again")
    }
    assert "end of the command that cured it" in sound["freeze-serves-again"].reason
    assert "[health] ready" in sound["freeze-hands-back"].reason
    assert "[hooks.fault] kill-restart" in sound["kill-restart-honest"].reason
    assert "controls do not run" in sound["kill-forget-writes"].reason
    assert flawed["freeze-no-hang"].verdict is Verdict.VIOLATED
    assert "without a deadline" in flawed["freeze-no-hang"].reason


@pytest.mark.full
async def test_a_store_that_is_killed_acquits_who_kept_its_data_and_convicts_who_did_not(tmp_path, kept_shop, conduct):
    async def killed_once(*flaws, durable):
        folder = tmp_path / ("durable" if durable else "forgetful")
        async with kept_shop(folder, *flaws, durable=durable) as shop:
            return await failed_over(conduct, killed(shop), folder, "kill-restart")

    sound, flawed = await asyncio.gather(killed_once(durable=True), killed_once("bare-error", durable=False))
    assert not guilty(sound)
    assert "kill-restart-writes" in holding(sound)
    assert flawed["kill-restart-writes"].verdict is Verdict.VIOLATED
    assert "acknowledged writes were lost" in flawed["kill-restart-writes"].reason
    assert flawed["kill-restart-honest"].verdict is Verdict.VIOLATED
    assert "error of the driver reaches the wire" in flawed["kill-restart-honest"].reason


async def test_a_fault_that_does_not_happen_acquits_nobody_and_is_healed_all_the_same(tmp_path, kept_shop, conduct):
    mark = tmp_path / "healed"
    async with kept_shop(tmp_path) as shop:
        target = shop.target(
            fault={"freeze": "echo no such container >&2; exit 4", "kill-restart": "true"},
            heal={"freeze": f"touch {mark}; exit 5", "kill-restart": f"touch {tmp_path / 'later'}"},
        )
        claims = await failed_over(conduct, target, tmp_path, "freeze", "kill-restart")
    assert mark.exists()
    assert not holding(claims)
    assert "no such container" in claims["freeze-honest"].reason
    assert "may still be as the fault left it" in claims["freeze-honest"].reason
    assert "an earlier failure could not be undone" in claims["kill-restart-honest"].reason
    assert not (tmp_path / "later").exists(), "no fault is added to what could not be undone"


async def test_a_restart_by_hook_acquits_shared_state_and_convicts_state_of_the_process(tmp_path, kept_shop, conduct):
    async def restarted(*flaws):
        folder = tmp_path / "-".join(flaws or ("sound",))
        async with kept_shop(folder, *flaws, instances=1 if flaws else 2) as shop:
            target = shop.target(restart=shop.command("restart", "shop-0"))
            return await conduct("integration", target, folder, stories="restart")

    sound, flawed = await asyncio.gather(restarted(), restarted("own-memory"))
    assert not guilty(sound)
    assert holding(sound) >= {"restart-sessions", "restart-tokens"}
    assert flawed["restart-sessions"].verdict is Verdict.VIOLATED
    assert "in one instance's memory" in flawed["restart-sessions"].reason


async def test_a_restart_that_fails_says_so(tmp_path, kept_shop, conduct):
    async with kept_shop(tmp_path) as shop:
        target = shop.target(restart="echo which shop >&2; exit 2")
        claims = await conduct("integration", target, tmp_path, stories="restart")
    assert not guilty(claims)
    for name in ("restart-sessions", "restart-tokens", "restart-others"):
        assert claims[name].verdict is Verdict.UNDECIDED
        assert "which shop" in claims[name].reason


async def test_the_upstream_is_slow_for_as_long_as_the_caches_are_asked_about(tmp_path, kept_shop, conduct):
    async def cached(name, slow_command):
        folder = tmp_path / name
        sped = folder / "sped"
        async with kept_shop(folder) as shop:
            upstream = UpstreamProfile(slow_command=slow_command, heal_command=f"date +%s.%N >> {sped}")
            profile = shop.target().profile.model_copy(update={"upstream": upstream})
            target = shop.target().model_copy(update={"profile": profile})
            return await conduct("integration", target, folder, stories="caches")

    slowed = tmp_path / "slowed"
    sound, failing = await asyncio.gather(
        cached("sound", f"date +%s.%N > {slowed}"), cached("failing", "echo no such proxy >&2; exit 1")
    )
    sped = float((tmp_path / "sound" / "sped").read_text())
    assert sped - float(slowed.read_text()) > 0.5, "the stories lie between the two commands"
    assert "cache-hits" in holding(sound)
    assert (tmp_path / "failing" / "sped").exists(), "undone all the same"
    assert "no such proxy" in failing["cache-hits"].reason
    assert failing["cache-hits"].verdict is Verdict.UNDECIDED


@pytest.mark.full
@pytest.mark.usefixtures("nginx")
async def test_a_rollback_by_hook_acquits_one_that_works_and_convicts_one_that_splits_the_state(
    tmp_path, kept_shop, conduct
):
    async def rolled_back(name, **options):
        async with kept_shop(tmp_path / name, instances=2, **options) as shop:
            target = shop.target(rollback=shop.command("replace", "shop-0", "shop-1"))
            return await conduct("rollback", target, tmp_path / name)

    sticky, split, unlimited = await asyncio.gather(
        rolled_back("sticky"),
        rolled_back("split", balanced=True),
        rolled_back("unlimited", afterwards=("own-memory", "limit-race", "health")),
    )
    assert not guilty(sticky)
    assert holding(sticky) >= {"plan-mended", "plan-again-auth", "plan-again-limit", "plan-again-room"}
    assert "controls do not run" in sticky["plan-tokens"].reason
    assert split["plan-mended"].verdict is Verdict.VIOLATED
    assert "in each instance's own memory" in split["plan-mended"].reason
    assert unlimited["plan-again-limit"].verdict is Verdict.VIOLATED


async def test_a_rollback_that_fails_says_so(tmp_path, kept_shop, conduct):
    async with kept_shop(tmp_path) as shop:
        claims = await conduct("rollback", shop.target(rollback="exit 9"), tmp_path)
    assert not guilty(claims)
    assert "exited with 9" in claims["plan-mended"].reason
    assert "exited with 9" in claims["plan-again-auth"].reason
