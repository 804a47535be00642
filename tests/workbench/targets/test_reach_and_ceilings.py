"""Other people's systems: where a run may go and how much it may do there."""

import asyncio
import json
from dataclasses import asdict

import pytest

from cryptosense.errors import UsageError
from cryptosense.workbench.targets.ceilings import (
    LONG_SECOND,
    CeilingReached,
    Ceilings,
    Meter,
    granted,
    meter_environment,
    run_meter,
    within_ceilings,
)
from cryptosense.workbench.targets.reach import refuse_public


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.9", "::1", "fd00::1", "::ffff:10.0.0.1"])
def test_loopback_and_private_addresses_pass(address):
    refuse_public(["http://shop.test"], allow_public=False, resolver=lambda _host: [address])


@pytest.mark.parametrize("address", ["203.0.114.7", "8.8.8.8", "2001:4860::1", "::ffff:8.8.8.8"])
def test_a_public_address_needs_a_word_from_the_user(address):
    with pytest.raises(UsageError, match="--allow-public"):
        refuse_public(["http://shop.test"], allow_public=False, resolver=lambda _host: [address])
    refuse_public(["http://shop.test"], allow_public=True, resolver=lambda _host: [address])


def test_one_public_address_among_private_ones_is_enough_to_refuse():
    with pytest.raises(UsageError, match=r"8\.8\.8\.8"):
        refuse_public(["http://shop.test"], allow_public=False, resolver=lambda _host: ["10.0.0.1", "8.8.8.8"])


@pytest.mark.parametrize("url", ["shop.test", "ftp://shop.test", "http://", "redis://127.0.0.1"])
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(UsageError, match="http://host:port"):
        refuse_public([url], allow_public=True, resolver=lambda _host: ["127.0.0.1"])


def test_a_password_in_a_url_is_refused_without_repeating_it():
    with pytest.raises(UsageError) as refused:
        refuse_public(["http://me:hunter2@127.0.0.1"], allow_public=False)
    assert "hunter2" not in str(refused.value)


class SteppedTime:
    """Monotonic time that `asyncio.sleep` moves."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def sleep(self, seconds):
        self.now += seconds

    def __call__(self):
        return self.now


async def test_no_second_sees_more_requests_than_the_rate_and_none_is_denied(monkeypatch):
    time = SteppedTime(monkeypatch)
    meter = Meter(Ceilings(rate=10, seconds=100), monotonic=time)
    begun = []
    for _ in range(31):
        async with meter.request():
            begun.append(time.now)
    assert time.now == pytest.approx(3 * LONG_SECOND)
    assert all(later - earlier >= 0.999 for earlier, later in zip(begun, begun[10:], strict=False))
    assert begun[:10] == [0.0] * 10, "a race that nobody provokes is not seen"


async def test_a_burst_waits_until_it_may_go_at_once(monkeypatch):
    time = SteppedTime(monkeypatch)
    meter = Meter(Ceilings(rate=10, seconds=100), monotonic=time)
    for _ in range(7):
        async with meter.request():
            pass
    await meter.burst(3)
    assert time.now == 0.0
    await meter.burst(6)
    began = time.now
    assert began == pytest.approx(LONG_SECOND)
    for _ in range(6):
        async with meter.request():
            assert time.now == began


async def test_a_rate_below_one_a_second_is_kept_too(monkeypatch):
    time = SteppedTime(monkeypatch)
    meter = Meter(Ceilings(rate=0.5, seconds=100), monotonic=time)
    for _ in range(3):
        async with meter.request():
            pass
    assert time.now == pytest.approx(4 * LONG_SECOND)


async def test_no_more_requests_are_under_way_than_granted():
    meter = Meter(Ceilings(rate=1e6, concurrency=3))
    seen, under_way = [], 0

    async def one():
        nonlocal under_way
        async with meter.request():
            under_way += 1
            seen.append(under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(one() for _ in range(50)))
    assert max(seen) == 3


async def test_the_time_granted_ends_the_run(monkeypatch):
    time = SteppedTime(monkeypatch)
    meter = Meter(Ceilings(seconds=5), monotonic=time)
    time.now = 5.1
    with pytest.raises(CeilingReached, match="--max-seconds"):
        async with meter.request():
            pass


async def test_a_request_that_goes_late_keeps_the_second_after_it_as_free_as_one_in_time(monkeypatch):
    time = SteppedTime(monkeypatch)
    meter = Meter(Ceilings(rate=2, seconds=100), monotonic=time)
    begun = []
    for late in (0.0, 0.9, 0.0, 0.0):
        time.now += late
        async with meter.request():
            begun.append(time.now)
    assert begun[:2] == [0.0, 0.9]
    assert begun[2] == pytest.approx(LONG_SECOND)
    assert begun[3] == pytest.approx(0.9 + LONG_SECOND)


async def test_a_process_that_sends_in_ones_place_finds_a_second_free_and_leaves_one_free(monkeypatch):
    time = SteppedTime(monkeypatch)
    meter = Meter(Ceilings(rate=10, seconds=100), monotonic=time)
    for _ in range(10):
        async with meter.request():
            pass
    async with meter.handed_over():
        assert time.now == pytest.approx(LONG_SECOND)
        time.now += 5
    assert time.now == pytest.approx(5 + 2 * LONG_SECOND)
    time.now = 100.1
    with pytest.raises(CeilingReached, match="--max-seconds"):
        async with meter.handed_over():
            pass


def test_what_is_left_is_the_rest_of_the_time():
    moments = iter((0.0, 7.0, 20.0))
    meter = Meter(Ceilings(rate=3, seconds=10), monotonic=lambda: next(moments))
    assert meter.left() == Ceilings(rate=3, seconds=3.0)
    assert meter.left() == Ceilings(rate=3, seconds=0.0)


def test_a_crowd_is_as_large_as_the_ceilings_let_come_at_once():
    assert Meter(Ceilings(rate=50, concurrency=32)).at_once(24) == 24
    assert Meter(Ceilings(rate=50, concurrency=8)).at_once(24) == 8
    assert Meter(Ceilings(rate=10, concurrency=32)).at_once(24) == 10


def test_accounts_stop_at_the_ceiling():
    meter = Meter(Ceilings(accounts=2))
    meter.account()
    meter.account()
    with pytest.raises(CeilingReached, match="--max-accounts"):
        meter.account()


def test_a_run_on_a_deployment_of_its_own_is_not_metered_and_one_on_a_target_is():
    assert granted({"CRYPTOSENSE_CEILINGS": json.dumps(asdict(Ceilings(rate=1)))}) is None
    given = {"CRYPTOSENSE_TARGET": "{}", "CRYPTOSENSE_CEILINGS": json.dumps(asdict(Ceilings(rate=7, accounts=1)))}
    assert granted(given) == Ceilings(rate=7, accounts=1)
    assert granted({"CRYPTOSENSE_TARGET": "{}"}) == Ceilings()


async def test_whoever_asks_a_target_beside_its_clients_keeps_to_the_ceilings_too(monkeypatch):
    monkeypatch.setenv("CRYPTOSENSE_TARGET", "{}")
    monkeypatch.setenv("CRYPTOSENSE_CEILINGS", json.dumps(asdict(Ceilings(seconds=0))))
    async with within_ceilings(foreign=False):
        pass
    with pytest.raises(CeilingReached):
        async with within_ceilings(foreign=True):
            pass


async def test_processes_that_load_together_share_the_ceilings(monkeypatch):
    monkeypatch.setenv("CRYPTOSENSE_TARGET", "{}")
    monkeypatch.setenv("CRYPTOSENSE_CEILINGS", json.dumps(asdict(Ceilings(rate=10, concurrency=5))))
    assert run_meter(2)._ceilings == Ceilings(rate=5, concurrency=2)
    assert run_meter(2) is run_meter(2), "one meter for all clients of a process"
    passed_on = granted(meter_environment())
    assert passed_on.rate == 10
    assert 0 < 600 - passed_on.seconds < 60, "what a process gets is the rest of the time"
