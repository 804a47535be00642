"""What `target check` says before any load is sent."""

import httpx

from cryptosense.workbench.target import Account, Hooks, LimitProfile, Target, TargetProfile
from cryptosense.workbench.targets import check


def answered_by(monkeypatch, handler):
    client = httpx.AsyncClient
    transport = httpx.MockTransport(handler)
    monkeypatch.setattr(check.httpx, "AsyncClient", lambda **options: client(transport=transport, **options))


def topics(found):
    return {one.topic: one.yes for one in found}


async def test_where_nobody_answers_nothing_is_said_to_be_testable(monkeypatch):
    def refused(request):
        raise httpx.ConnectError("refused", request=request)

    answered_by(monkeypatch, refused)
    found = await check.check_target(Target(urls=("http://127.0.0.1:1",), foreign=True))
    assert topics(found) == {"health at http://127.0.0.1:1": False}


async def test_a_limit_is_declared_and_not_tried(monkeypatch):
    answered_by(monkeypatch, lambda _request: httpx.Response(200, json={}))
    found = await check.check_target(Target(urls=("http://127.0.0.1:1",), foreign=True))
    limits = [one for one in found if one.topic.startswith("limit ")]
    assert limits
    assert all("declared, not tried" in one.provide for one in limits)


async def test_an_account_that_is_refused_is_found_before_the_load(monkeypatch):
    def handler(request):
        return httpx.Response(401 if "login" in request.url.path else 200, json={})

    answered_by(monkeypatch, handler)
    monkeypatch.setenv("SHOP_WORD", "x")
    profile = TargetProfile(accounts=(Account(email="a@example.org", password="env:SHOP_WORD"),))
    found = topics(await check.check_target(Target(urls=("http://127.0.0.1:1",), profile=profile, foreign=True)))
    assert found["sessions"] is False
    assert "CSRF tokens" not in found


async def test_what_nothing_asks_about_is_not_said_to_be_tested(monkeypatch):
    answered_by(monkeypatch, lambda _request: httpx.Response(200, json={}))
    profile = TargetProfile(
        limits={"checkout": LimitProfile(max=3, window_s=1, path="/checkout")},
        hooks=Hooks(fault={"freeze": "a", "flood": "b", "outage": "c"}, heal={"freeze": "a", "flood": "b"}),
    )
    found = await check.check_target(Target(urls=("http://127.0.0.1:1",), profile=profile, foreign=True))
    said = {one.topic: (one.yes, one.provide) for one in found}
    assert said["limit checkout"] == (False, "nothing asks about it; name it one of api, auth, strict")
    assert said["fault freeze"][0] is True
    assert said["fault flood"][0] is False
    assert "nothing asks for it" in said["fault flood"][1]
    assert said["fault outage"] == (False, "provide [hooks.heal] outage")
