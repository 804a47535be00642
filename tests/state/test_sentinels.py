"""Whom the sentinels name as the primary, where they disagree or know that it is down."""

import pytest
from redis.exceptions import ConnectionError as NoConnection

from cryptosense.errors import ConfigurationError
from cryptosense.state.redis.sentinels import Sentinels

OLD, NEW = ("10.0.0.1", 6379), ("10.0.0.2", 6379)


class Saying:
    """A sentinel that watches one server as the primary and names, perhaps, another."""

    def __init__(self, watched, named, *, down=False):
        self.asked = 0
        self.watched = {"ip": watched[0], "port": watched[1], "is_sdown": down, "is_odown": False}
        self.named = named

    async def sentinel_master(self, service, return_responses):
        assert (service, return_responses) == ("coins", True)
        self.asked += 1
        return self.watched

    async def sentinel_get_master_addr_by_name(self, service, return_responses):
        assert (service, return_responses) == ("coins", True)
        return self.named

    async def aclose(self):
        self.asked = -1


class Gone(Saying):
    async def sentinel_master(self, *_, **__):
        self.asked += 1
        raise NoConnection("refused")


def gone():
    return Gone(OLD, OLD)


@pytest.fixture
def asking(tools):
    """`asking(*clients)` are sentinels that answer as these do."""

    def of(*clients):
        address = tools.Address((("127.0.0.1", 1),), kind="sentinel", service="coins")
        sentinels = Sentinels(address, client_name=None)
        sentinels._clients = list(clients)
        return sentinels

    return of


async def test_the_promoted_one_counts_and_not_the_one_that_is_watched_still(asking):
    assert await asking(Saying(OLD, NEW)).primary() == NEW
    assert await asking(Saying(OLD, NEW, down=True)).primary() == NEW, "the old one is down, the new one is not"


async def test_a_sentinel_that_calls_its_primary_down_is_passed_over(asking):
    assert await asking(Saying(OLD, OLD, down=True), Saying(NEW, NEW)).primary() == NEW
    with pytest.raises(NoConnection, match=r"coins.*10\.0\.0\.1:6379 is called down"):
        await asking(Saying(OLD, OLD, down=True)).primary()


async def test_the_one_that_answered_is_asked_first_from_then_on(asking):
    dead, alive = gone(), Saying(NEW, NEW)
    sentinels = asking(dead, alive)
    assert [await sentinels.primary() for _ in range(3)] == [NEW] * 3
    assert (dead.asked, alive.asked) == (1, 3)


async def test_nobody_left_says_why_and_all_are_closed_at_the_end(asking):
    silent = [gone(), gone()]
    sentinels = asking(*silent)
    with pytest.raises(NoConnection, match="no sentinel names a primary of coins: refused; refused"):
        await sentinels.primary()
    await sentinels.close()
    assert [one.asked for one in silent] == [-1, -1]


def test_without_a_service_there_is_nothing_to_ask_for(tools):
    with pytest.raises(ConfigurationError, match="name of a service"):
        Sentinels(tools.Address((("127.0.0.1", 1),), kind="sentinel"), client_name=None)
