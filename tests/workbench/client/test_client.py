"""The wire client: what it presents, what it keeps, and what it writes down."""

import asyncio
import json

import httpx
import pytest

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.client import Wire, digest
from cryptosense.workbench.client.addresses import addresses_available, own_addresses
from cryptosense.workbench.history import Outcome, Recorder, load_history
from cryptosense.workbench.target import Account, AuthProfile, CsrfProfile, Target, TargetProfile

URLS = ("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")


@pytest.fixture
def played(tmp_path, monkeypatch):
    """Runs a story against a handler in place of the network, and gives the operations that were recorded."""

    def play(handler, story, *, profile=None, urls=URLS):
        def connect(wire, _address):
            client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
            wire._clients.append(client)
            return client

        monkeypatch.setattr(Wire, "connect", connect)

        async def run():
            with Recorder(tmp_path / "history.jsonl.gz") as recorder:
                async with Wire(Target(urls=urls, profile=profile or TargetProfile()), recorder) as wire:
                    await story(wire)

        asyncio.run(run())
        return load_history(tmp_path / "history.jsonl.gz").operations()

    return play


def answer(status=200, body=None, **headers):
    return httpx.Response(status, json={} if body is None else body, headers=headers)


def test_a_caller_goes_round_robin_unless_told_an_instance(played):
    async def story(wire):
        caller = wire.caller("a")
        for _ in range(4):
            await caller.health()
        await caller.health(instance=URLS[2])

    asked = [operation.instance for operation in played(lambda _: answer(body={"status": "ok"}), story)]
    assert asked == [URLS[0], URLS[1], URLS[2], URLS[0], URLS[2]]


def test_it_follows_the_successor_and_says_when_it_does(played):
    given = iter(["t1", "t2", "t3", "t4"])
    presented = []

    def handle(request):
        presented.append(request.headers.get("X-CSRF-Token"))
        if request.method == "GET":
            return answer(body={"csrfToken": next(given)})
        return answer(201, **{"X-CSRF-Token": next(given)})

    async def story(wire):
        caller = wire.caller("a")
        await caller.fetch_csrf()
        await caller.post_csrf()
        await caller.post_csrf(token="stolen", keep=False)
        await caller.post_csrf()

    operations = played(handle, story)
    assert presented == [None, "t1", "stolen", "t2"]
    assert [operation.sent.get("follows") for operation in operations] == [None, True, False, True]
    assert operations[1].got["successor"] == operations[3].sent["token"] == digest("t2")


@pytest.mark.parametrize(
    ("delivery", "reply"),
    [
        ("header", lambda: answer(201, Next="s")),
        ("cookie", lambda: answer(201, **{"Set-Cookie": "Next=s; Path=/"})),
        ("body", lambda: answer(201, {"security": {"Next": "s"}})),
    ],
)
def test_the_successor_is_found_where_the_profile_says(played, delivery, reply):
    name = "security.Next" if delivery == "body" else "Next"
    profile = TargetProfile(csrf=CsrfProfile(successor=delivery, successor_name=name))

    async def story(wire):
        caller = wire.caller("a")
        await caller.post_csrf(token="x")
        assert caller.token == "s"

    assert played(lambda _: reply(), story, profile=profile)[0].got["successor"] == digest("s")


def test_no_secret_reaches_the_history(played, tmp_path):
    secrets = {"accessToken": "very-secret-bearer", "refreshToken": "very-secret-refresh"}

    def handle(request):
        body = {"csrfToken": "very-secret-token"} if request.method == "GET" else secrets
        return answer(200, body, **{"X-CSRF-Token": "very-secret-successor"})

    async def story(wire):
        caller = await wire.account("a")
        await caller.fetch_csrf()
        await caller.post_csrf()
        await caller.refresh()

    recorded = json.dumps([operation.sent | operation.got for operation in played(handle, story)], default=str)
    assert "very-secret" not in recorded
    assert "Pw-" not in recorded


def test_what_was_never_sent_failed_and_what_got_no_answer_is_unknown(played):
    errors = iter([httpx.ConnectError("refused"), httpx.ReadTimeout("late"), httpx.RemoteProtocolError("closed")])

    def handle(_request):
        raise next(errors)

    async def story(wire):
        caller = wire.caller("a")
        for _ in range(3):
            await caller.health()

    operations = played(handle, story)
    assert [operation.outcome for operation in operations] == [Outcome.FAILED, Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert {operation.status for operation in operations} == {None}


def test_a_request_that_is_given_up_is_recorded_as_unknown(played):
    async def handle(_request):
        await asyncio.sleep(30)

    async def story(wire):
        task = asyncio.create_task(wire.caller("a").health())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    (operation,) = played(handle, story)
    assert operation.outcome is Outcome.UNKNOWN
    assert operation.completed_at >= operation.invoked_at > 0


def test_limit_headers_are_read_as_numbers_and_what_is_none_stays_text(played):
    headers = {
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "NaN",
        "X-RateLimit-Reset": "2026-01-01T00:00:00Z",
        "Retry-After": "7",
    }

    async def story(wire):
        await wire.caller("a").probe("api")

    (operation,) = played(lambda _: answer(429, {"code": "RATE_LIMIT_EXCEEDED"}, **headers), story)
    got = operation.got
    assert (got["limit"], got["remaining"], got["retry_after"], got["code"]) == (5, "NaN", 7, "RATE_LIMIT_EXCEEDED")
    assert got["reset_at"] == 1767225600.0


def test_a_stack_trace_on_the_wire_is_noticed(played):
    async def story(wire):
        await wire.caller("a").health()

    text = 'Traceback (most recent call last):\n  File "/srv/app.py", line 3, in handle'
    (operation,) = played(lambda _: httpx.Response(500, text=text), story)
    assert operation.got["trace"] is True


def test_dotted_fields_and_ready_accounts_are_understood(played, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "open-sesame")
    monkeypatch.setenv("SHOP_BEARER", "ready")
    profile = TargetProfile(
        auth=AuthProfile(bearer_field="session.bearer"),
        accounts=(Account(email="a@example.com", password="env:SHOP_PASSWORD"), Account(bearer="env:SHOP_BEARER")),
    )
    passwords = []

    def handle(request):
        passwords.append(json.loads(request.content)["password"])
        return answer(200, {"session": {"bearer": "b"}})

    async def story(wire):
        assert (await wire.account("first")).credentials.bearer == "b"
        assert (await wire.account("second")).credentials.bearer == "ready"
        with pytest.raises(CouldNotStart, match=r"\[\[accounts\]\]"):
            await wire.account("third")

    assert [operation.kind for operation in played(handle, story, profile=profile)] == ["auth.login"]
    assert passwords == ["open-sesame"]


def test_an_account_that_is_refused_says_what_came_back(played):
    async def story(wire):
        with pytest.raises(CouldNotStart, match="429 RATE_LIMIT_EXCEEDED"):
            await wire.account("a")

    played(lambda _: answer(429, {"code": "RATE_LIMIT_EXCEEDED"}), story)


def test_two_tabs_share_a_session_and_two_devices_do_not(played):
    async def story(wire):
        phone = await wire.account("phone")
        assert phone.tab().credentials is phone.credentials
        laptop = phone.device("laptop")
        assert laptop.credentials.email == phone.credentials.email
        assert laptop.credentials.bearer is None

    played(lambda _: answer(201, {"accessToken": "b"}), story)


def test_addresses_are_each_ones_own_and_stay_on_loopback():
    found = own_addresses()
    addresses = [next(found) for _ in range(1000)]
    assert len(set(addresses)) == 1000
    assert all(address.startswith("127.") and not address.startswith("127.0.") for address in addresses)
    assert not any(address.rsplit(".", 1)[1] in {"0", "255"} for address in addresses)


def test_addresses_of_ones_own_need_a_target_on_loopback():
    assert not addresses_available(["http://10.0.0.5:80"])
    assert not addresses_available(["http://127.0.0.1:80", "https://shop.example"])
