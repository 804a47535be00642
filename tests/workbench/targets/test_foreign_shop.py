"""A service that this project did not write, on another framework and other paths, judged through its owner's profile.

`tests/foreign/shop.py` is that service: sound behind nginx, and flawed by name in the ways such services usually are.
"""

import asyncio
import gzip
import json
import os
import subprocess
import sys

import httpx
import pytest

from cryptosense.workbench.client.made import created_in
from cryptosense.workbench.target import Account, Route
from cryptosense.workbench.verdicts import Verdict

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(240)]

MEANT = {
    "form-token": ("csrf-replay", "accepted"),
    "no-successor": ("csrf-successor", "brought no successor"),
    "limit-race": ("limit-address", "may, from"),
    "limit-denied": ("limit-overload-room", "denied requests that count"),
    "retry-after": ("limit-retry-after", "the whole window"),
    "stampede": ("cache-stampede", "upstream calls"),
    "stale-drop": ("cache-raced", "still showed what was fetched before it"),
    "logout": ("session-logout", "the session still lives"),
    "health": ("health-truth", "answered 200 with status 'unavailable'"),
    "outage": ("outage-honest", "the user is told a lie"),
    "no-limit": ("limit-address", "nobody was denied"),
}
"""Each flaw, the claim meant for it, and the plain words in which its owner is told."""

FORMS = (
    ("form-token", "limit-race", "stampede", "logout", "health"),
    ("no-successor", "limit-denied", "stale-drop", "no-limit"),
    ("retry-after", "outage"),
)
"""Flaws that do not hide one another, so that a few runs show all."""


@pytest.mark.usefixtures("granted", "nginx")
async def test_a_sound_stranger_behind_a_load_balancer_is_found_guilty_of_nothing(tmp_path, running_shop, conduct):
    async with (
        running_shop(tmp_path / "one", instances=2, balanced=True) as shop,
        running_shop(tmp_path / "two", instances=2, balanced=True) as attacked,
    ):
        integration, security = await asyncio.gather(
            conduct("integration", shop.target(), tmp_path / "one"),
            conduct("security", attacked.target(), tmp_path / "two"),
        )
    for claims in (integration, security):
        guilty = {name: claim.reason for name, claim in claims.items() if claim.verdict is Verdict.VIOLATED}
        assert not guilty
        assert all(claim.reason for claim in claims.values() if claim.verdict is Verdict.UNDECIDED)
    meant = {claim for flaw, (claim, _) in MEANT.items()}
    assert {name for name in meant if integration[name].verdict is not Verdict.HOLDS} == set()
    assert security["spoofed-address"].verdict is Verdict.HOLDS
    assert "[csrf] grace_s = 0" in integration["csrf-tabs"].reason
    assert "[limit_headers] reset" in integration["limit-headers-api"].reason
    assert "[hooks] restart" in integration["restart-sessions"].reason
    assert "[errors] code_field" in integration["honest-refusals"].reason
    created = json.loads((tmp_path / "one" / "run-7" / "integration" / "created.json").read_text())
    assert created["accounts"]
    assert all("run-run-7" in account for account in created["accounts"])
    assert len(created["removed"]) > 20
    assert created["left"] == []


@pytest.mark.usefixtures("granted")
async def test_each_usual_flaw_is_convicted_by_the_claim_meant_for_it_in_plain_words(tmp_path, running_shop, conduct):
    async def judged(flaws):
        folder = tmp_path / flaws[0]
        async with running_shop(folder, *flaws) as shop:
            return await conduct("integration", shop.target(), folder)

    for flaws, claims in zip(FORMS, await asyncio.gather(*map(judged, FORMS)), strict=True):
        for flaw in flaws:
            claim, words = MEANT[flaw]
            assert claims[claim].verdict is Verdict.VIOLATED, (flaw, claims[claim].reason)
            assert words in claims[claim].reason, flaw
            assert claims[claim].evidence, "the convicting requests are named"


@pytest.mark.usefixtures("granted")
async def test_a_believed_x_forwarded_for_is_convicted(tmp_path, running_shop, conduct):
    async with running_shop(tmp_path, "limit-spoof") as shop:
        claims = await conduct("security", shop.target(), tmp_path)
    assert claims["spoofed-address"].verdict is Verdict.VIOLATED
    assert "X-Forwarded-For" in claims["spoofed-address"].reason


@pytest.mark.usefixtures("granted")
async def test_without_a_call_counter_differing_stamps_convict_and_equal_do_not_acquit(tmp_path, running_shop, conduct):
    async def stampede(*flaws):
        folder = tmp_path / "-".join(flaws or ("sound",))
        async with running_shop(folder, *flaws) as shop:
            profile = shop.target().profile
            target = shop.target(upstream=profile.upstream.model_copy(update={"calls_url": None}))
            return (await conduct("integration", target, folder, stories="caches"))["cache-stampede"]

    sound, flawed = await asyncio.gather(stampede(), stampede("stampede"))
    assert flawed.verdict is Verdict.VIOLATED
    assert sound.verdict is Verdict.UNDECIDED
    assert "calls_url" in sound.reason


async def test_ready_accounts_are_used_and_their_secrets_reach_no_file(tmp_path, running_shop):
    secret = {"SHOP_WORD": "open-sesame-8861", "SHOP_USER": "walrus-7712"}
    async with running_shop(tmp_path) as shop:
        await _sign_up(shop.instances[0], secret)
        profile = shop.description + "".join(
            '\n[[accounts]]\nemail = "env:SHOP_USER"\npassword = "env:SHOP_WORD"\n' for _ in range(4)
        )
        (tmp_path / "target.toml").write_text(profile)
        done = await asyncio.to_thread(_validate, tmp_path, shop.instances[0], secret)
        bearers = [key.rpartition(":")[2] for key in await shop.store.command("KEYS", "shop:bearer:*")]
    assert done.returncode == 3, done.stdout + done.stderr
    assert len(bearers) >= 2, "sessions were opened, and their bearers are secrets too"
    reports = tmp_path / "reports"
    files = [file for file in reports.rglob("*") if file.is_file()]
    assert any(file.name == "index.html" for file in files)
    told = [file for file in files for word in (*secret.values(), *bearers) if word.encode() in _plain(file)]
    assert not told
    assert all(word not in done.stdout + done.stderr for word in secret.values())
    results = json.loads(next(reports.glob("*/results.json")).read_text())
    assert results["target"]["kind"] == "foreign"
    assert "controls" in results["target"]["calibration"]


@pytest.mark.usefixtures("granted")
async def test_what_a_run_made_is_removed_where_there_is_a_way_and_listed_where_there_is_none(
    tmp_path, running_shop, conduct
):
    async def left_behind(name, route):
        async with running_shop(tmp_path / name) as shop:
            auth = shop.target().profile.auth.model_copy(update={"delete_route": route})
            await conduct("before_after", shop.target(auth=auth), tmp_path / name, sessions=2, posts=3)
            return created_in(tmp_path / name / "run-7"), await _accounts_in(shop.store)

    own = Route(method="DELETE", path="/v2/accounts")
    (told, known), (told_left, known_left), (told_wrong, known_wrong) = await asyncio.gather(
        left_behind("removed", own),
        left_behind("left", None),
        left_behind("wrong", Route(method="DELETE", path="/v2/account/{email}")),
    )
    assert "2 accounts, all removed, and 6 things, all removed" in told
    assert "run-run-7" in told
    assert known == 0
    for said, count in ((told_left, known_left), (told_wrong, known_wrong)):
        assert "2 accounts, which are left, and 6 things, all removed" in said
        assert "before_after/created.json" in said
        assert count == 2


def test_ready_accounts_may_be_bearers():
    assert Account(bearer="env:SHOP_BEARER").bearer == "env:SHOP_BEARER"


async def _accounts_in(store):
    return len(await store.command("KEYS", "shop:account:*"))


async def _sign_up(url, secret):
    async with httpx.AsyncClient() as client:
        body = {"user": secret["SHOP_USER"], "word": secret["SHOP_WORD"]}
        assert (await client.post(f"{url}/v2/accounts", json=body)).status_code == 201


def _validate(folder, url, secret):
    """The whole of it, as an owner would run it."""
    command = [sys.executable, "-m", "cryptosense", "validate", "before_after", "--target", url, "--yes"]
    command += ["--target-profile", str(folder / "target.toml"), "--out", str(folder / "reports")]
    command += ["-p", "before_after.sessions=2"]
    return subprocess.run(
        command, env={**os.environ, **secret}, capture_output=True, text=True, timeout=150, check=False
    )


def _plain(file):
    content = file.read_bytes()
    return gzip.decompress(content) if file.suffix == ".gz" else content
