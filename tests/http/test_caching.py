"""Caching over HTTP: outcomes told apart, bytes sent as stored, one fetch for many."""

import asyncio
import gzip
import json

from cryptosense.http.resources.cached import takes_gzip

TOKENS = "/api/v1/tokens?ids=bitcoin,solana"
MANY = "/api/v1/tokens?ids=" + ",".join(f"coin-{n}" for n in range(100))


async def test_cache_1_the_second_reading_is_a_hit(service):
    first, second = [await service.http.get(TOKENS) for _ in range(2)]
    assert [answer.headers["X-Cache"] for answer in (first, second)] == ["miss", "hit"]
    assert [row["id"] for row in second.json()["tokens"]] == ["bitcoin", "solana"]
    assert service.provider.calls == 1


async def test_cache_2_fifty_cold_readers_are_one_upstream_call(opened):
    async with opened() as service:
        service.provider.latency_s = 0.02
        answers = await asyncio.gather(*(service.http.get(TOKENS) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert service.provider.calls == 1


async def test_cache_3_a_coin_that_does_not_exist_is_remembered(service):
    answers = [await service.http.get("/api/v1/predictions/nocoin") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert [answer.json()["code"] for answer in answers] == ["NOT_FOUND"] * 2
    assert answers[1].headers["X-Cache"] == "hit"
    assert service.provider.calls == 1


async def test_cache_3_a_failed_fetch_is_503_and_not_tried_again_at_once(service):
    service.provider.failing = True
    first, second = [await service.http.get(TOKENS) for _ in range(2)]
    for answer in (first, second):
        assert (answer.status_code, answer.json()["code"]) == (503, "UPSTREAM_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("miss", "negative")
    assert service.provider.calls == 1


async def test_an_answer_that_could_not_be_computed_says_that_no_cache_gave_it(service):
    service.provider.failing = True
    answer = await service.http.get("/api/v1/risk/bitcoin")
    assert (answer.status_code, answer.json()["code"]) == (503, "UPSTREAM_UNAVAILABLE")
    assert answer.headers["X-Cache"] == "miss"


async def test_cache_3_the_last_good_value_is_served_as_stale_while_the_upstream_fails(service):
    good = await service.http.get(TOKENS)
    service.provider.failing = True
    service.clock.advance(40)
    stale = await service.http.get(TOKENS)
    assert (stale.status_code, stale.headers["X-Cache"]) == (200, "stale")
    assert stale.json() == good.json()


async def test_cache_5_spellings_of_one_list_share_an_entry(service):
    await service.http.get("/api/v1/tokens", params={"ids": "bitcoin,solana"})
    for spelling in ("solana,bitcoin", "Bitcoin, solana ", "bitcoin,bitcoin,solana"):
        answer = await service.http.get("/api/v1/tokens", params={"ids": spelling})
        assert answer.headers["X-Cache"] == "hit", spelling


async def test_cache_5_forgetting_a_coin_forgets_every_list_with_it(service):
    browser = await service.sign_in()
    for ids in ("bitcoin", "bitcoin,solana", "solana"):
        await service.http.get("/api/v1/tokens", params={"ids": ids})
    answer = await browser.post("/api/v1/tokens/invalidate", json={"ids": ["bitcoin"]})
    assert answer.json() == {"invalidated": 2}
    outcomes = [
        (await service.http.get("/api/v1/tokens", params={"ids": ids})).headers["X-Cache"]
        for ids in ("bitcoin", "bitcoin,solana", "solana")
    ]
    assert outcomes == ["miss", "miss", "hit"]


async def test_forgetting_without_a_body_forgets_all(service):
    browser = await service.sign_in()
    await service.http.get(TOKENS)
    assert (await browser.post("/api/v1/tokens/invalidate")).json() == {"invalidated": 1}
    assert (await service.http.get(TOKENS)).headers["X-Cache"] == "miss"


async def test_forgetting_is_not_for_everybody(service):
    answer = await service.http.post("/api/v1/tokens/invalidate")
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


async def test_cache_7_an_unreachable_cache_is_a_bypass_and_the_answer_still_comes(opened, without):
    async with opened(state=without("cache", "windows")) as service:
        answers = [await service.http.get(TOKENS) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert {answer.headers["X-Cache"] for answer in answers} == {"bypass"}


async def test_a_large_list_is_sent_as_it_is_stored(service):
    await service.http.get(MANY)
    compressed = await service.http.get(MANY, headers={"Accept-Encoding": "gzip"})
    plain = await service.http.get(MANY, headers={"Accept-Encoding": "identity"})
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert compressed.content == plain.content
    assert json.loads(plain.content)["tokens"][0]["id"] == "coin-0"
    assert len(gzip.compress(plain.content)) < int(plain.headers["Content-Length"])
    assert int(compressed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 4
    assert plain.headers["Vary"] == "Accept-Encoding"


def test_gzip_is_negotiated_as_the_standard_says():
    for accepted in ("gzip", "GZIP", "br, gzip;q=0.5", "*", "deflate, *;q=0.1", "x-gzip", "gzip;q=1.0"):
        assert takes_gzip(accepted), accepted
    for accepted in ("", "br", "gzip;q=0", "gzip; q=0.0", "*;q=0", "identity"):
        assert not takes_gzip(accepted), accepted


async def test_outcomes_are_in_the_metrics(service):
    for _ in range(2):
        await service.http.get(TOKENS)
    metrics = (await service.http.get("/metrics")).text
    assert 'cryptosense_cache_outcomes_total{outcome="hit",space="market"} 1.0' in metrics
    assert 'cryptosense_cache_outcomes_total{outcome="miss",space="market"} 1.0' in metrics


async def test_a_changed_portfolio_is_seen_at_once(service):
    browser = await service.sign_in()
    assert (await browser.get("/api/v1/portfolios")).json() == {"portfolios": []}
    assert (await browser.get("/api/v1/portfolios")).headers["X-Cache"] == "hit"
    made = await browser.post(
        "/api/v1/portfolios", json={"name": "Savings", "holdings": [{"coin": "bitcoin", "quantity": "0.1"}]}
    )
    assert made.status_code == 201
    portfolio = made.json()["portfolio"]
    answer = await browser.get("/api/v1/portfolios")
    assert answer.headers["X-Cache"] == "miss"
    assert answer.json() == {"portfolios": [portfolio]}
    changed = await browser.send(
        "PUT", f"/api/v1/portfolios/{portfolio['id']}", json={"name": "Fortune", "holdings": []}
    )
    assert changed.status_code == 200
    one = await browser.get(f"/api/v1/portfolios/{portfolio['id']}")
    assert one.json()["portfolio"]["name"] == "Fortune"
    assert (await browser.send("DELETE", f"/api/v1/portfolios/{portfolio['id']}")).status_code == 204
    assert (await browser.get("/api/v1/portfolios")).json() == {"portfolios": []}
    assert (await browser.get(f"/api/v1/portfolios/{portfolio['id']}")).status_code == 404


async def test_a_portfolio_is_nobody_elses(service):
    owner, other = await service.sign_in(), await service.sign_in()
    made = await owner.post("/api/v1/portfolios", json={"name": "Mine", "holdings": []})
    path = f"/api/v1/portfolios/{made.json()['portfolio']['id']}"
    assert (await other.get(path)).status_code == 404
    assert (await other.send("PUT", path, json={"name": "Yours", "holdings": []})).status_code == 404
    assert (await other.send("DELETE", path)).status_code == 404
    assert (await owner.get(path)).json()["portfolio"]["name"] == "Mine"


async def test_quantities_are_exact_whether_sent_as_strings_or_numbers(service):
    browser = await service.sign_in()
    holdings = b'[{"coin": "a", "quantity": 0.12345678901234567}, {"coin": "b", "quantity": "1e-8"}]'
    body = b'{"name": "x", "holdings": ' + holdings + b"}"
    made = await browser.post("/api/v1/portfolios", content=body, headers={"Content-Type": "application/json"})
    assert made.status_code == 201, made.text
    quantities = [holding["quantity"] for holding in made.json()["portfolio"]["holdings"]]
    assert quantities == ["0.12345678901234567", "0.00000001"]


async def test_insights_carry_when_they_were_computed(service):
    for path, name in (("/api/v1/predictions/bitcoin", "prediction"), ("/api/v1/risk/bitcoin", "risk")):
        first, second = [await service.http.get(path) for _ in range(2)]
        assert first.status_code == 200, first.text
        assert first.json()[name]["as_of"]
        assert second.headers["X-Cache"] == "hit"
        assert second.content == first.content
