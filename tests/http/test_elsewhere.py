"""The guards and the cache in somebody else's FastAPI app: this is the example that the README shows."""

import asyncio
import gc

import httpx
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response

from cryptosense.clock import ManualClock, SystemClock
from cryptosense.http.guards import (
    BodySize,
    CsrfProtected,
    Exchange,
    GuardedRoute,
    GuardPlan,
    Limited,
    LiveSession,
    SameOrigin,
    SignedBearer,
    exchange_of,
    guarded,
)
from cryptosense.services.breaker import Breaker
from cryptosense.services.cache import Cache, Freshness
from cryptosense.services.csrf import CsrfTokens
from cryptosense.services.identity import ClientIdentities
from cryptosense.services.insurance import Insurance
from cryptosense.services.policy import Policy
from cryptosense.services.rate_limit import RateLimiter
from cryptosense.services.sessions import Sessions
from cryptosense.state.catalog import OpenState, open_memory
from cryptosense.state.contracts import CacheKey


def somebody_elses_app(opened: OpenState) -> FastAPI:
    """A shop; `opened` is `open_redis(...)` in earnest."""
    clock, state = SystemClock(), opened.state
    sessions = Sessions(state.sessions, secret="a secret of at least 32 bytes, please", clock=clock)
    csrf, cache, breaker = CsrfTokens(state.csrf), Cache(state.cache, clock), Breaker(clock)
    limiter = RateLimiter(state.windows, [Policy("api", 3, 60_000)], Insurance(clock), breaker, clock)
    guards = [SignedBearer(sessions), Limited(limiter, ClientIdentities()), LiveSession(sessions), CsrfProtected(csrf)]
    app = FastAPI()
    app.router.route_class = GuardedRoute
    app.state.guards = GuardPlan((BodySize(), SameOrigin(), *guards))

    @app.post("/sign-in")
    @guarded(session=False)
    async def sign_in() -> dict[str, str]:
        pair = await sessions.open("customer-1")
        return {"bearer": pair.access_token, "csrf": await csrf.current(pair.session)}

    @app.post("/orders")  # no rule given: session, CSRF token and the `api` limit are asked for
    async def order(request: Request) -> dict[str, str]:
        caller = exchange_of(request).caller
        return {"buyer": caller.user if caller else "nobody"}

    @app.get("/catalogue")
    @guarded(limit=None, session=False)
    async def catalogue() -> Response:
        cached = await cache.cached(CacheKey("catalogue", "all"), fetch_catalogue, Freshness(fresh_ms=30_000))
        return Response(cached.plain(), media_type="application/json", headers={"X-Cache": cached.outcome})

    return app


fetches = 0


async def fetch_catalogue() -> list[str]:
    global fetches  # noqa: PLW0603 (the shop's own business, counted for the test)
    fetches += 1
    await asyncio.sleep(0.01)
    return ["bread", "salt"]


async def test_the_guards_hold_in_an_app_that_is_not_ours():
    app = somebody_elses_app(open_memory(ManualClock()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test") as http:
        assert (await http.post("/orders")).json()["code"] == "UNAUTHORIZED"
        signed = (await http.post("/sign-in")).json()
        bearer = {"Authorization": f"Bearer {signed['bearer']}"}
        assert (await http.post("/orders", headers=bearer)).json()["code"] == "CSRF_TOKEN_MISSING"
        order = await http.post("/orders", headers={**bearer, "X-CSRF-Token": signed["csrf"]})
        assert order.json() == {"buyer": "customer-1"}
        assert order.headers["X-CSRF-Token"] != signed["csrf"]
        assert order.headers["RateLimit"] == '"api";r=1;t=60'
        cross = await http.post("/orders", headers={**bearer, "Sec-Fetch-Site": "cross-site"})
        assert cross.json()["code"] == "CROSS_SITE_REQUEST"
        assert (await http.post("/orders", headers=bearer)).status_code == 403
        assert (await http.post("/orders", headers=bearer)).status_code == 429


async def test_the_cache_fetches_once_in_an_app_that_is_not_ours():
    before = fetches
    app = somebody_elses_app(open_memory(ManualClock()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test") as http:
        answers = await asyncio.gather(*(http.get("/catalogue") for _ in range(10)))
        assert {answer.text for answer in answers} == {'["bread","salt"]'}
        assert (await http.get("/catalogue")).headers["X-Cache"] == "hit"
        assert "RateLimit" not in answers[0].headers
    assert fetches == before + 1


async def test_a_router_included_with_dependencies_of_its_own_keeps_them():
    async def refuse() -> None:
        raise HTTPException(418)

    router = APIRouter(route_class=GuardedRoute)

    @router.get("/tea")
    @guarded(limit=None, session=False)
    async def tea() -> Response:
        return Response(b"tea")

    app = FastAPI()
    app.state.guards = GuardPlan(())
    app.include_router(router, prefix="/open")
    app.include_router(router, prefix="/closed", dependencies=[Depends(refuse)])
    strict = APIRouter(route_class=GuardedRoute, dependencies=[Depends(refuse)])
    strict.get("/strict")(tea)
    app.include_router(strict)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test") as http:
        statuses = [(await http.get(path)).status_code for path in ("/open/tea", "/closed/tea", "/strict")]
    assert statuses == [200, 418, 418]


class OutOfTea(Exception):
    """The shop's own error."""


def tea_shop() -> FastAPI:
    """Routes that answer, raise what the app handles, raise what Starlette handles, and are never reached."""
    clock = ManualClock()
    limiter = RateLimiter(
        open_memory(clock).state.windows, [Policy("api", 9, 60_000)], Insurance(clock), Breaker(clock), clock
    )
    app = FastAPI()
    app.router.route_class = GuardedRoute
    app.state.guards = GuardPlan((BodySize(), Limited(limiter, ClientIdentities())))

    @app.exception_handler(OutOfTea)
    async def sorry(_request: Request, _error: Exception) -> Response:
        return Response(b"sorry", status_code=409)

    @app.get("/tea")
    @guarded(session=False)
    async def tea() -> Response:
        return Response(b"tea")

    @app.get("/out")
    @guarded(session=False)
    async def out(_request: Request) -> Response:
        raise OutOfTea

    @app.get("/teapot")
    @guarded(session=False)
    async def teapot() -> Response:
        raise HTTPException(418)

    return app


async def test_what_an_endpoint_raises_is_answered_by_the_apps_own_handlers_with_the_guards_headers():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(tea_shop()), base_url="http://shop.test") as http:
        answers = [await http.get(path) for path in ("/out", "/teapot", "/tea")]
    assert [answer.status_code for answer in answers] == [409, 418, 200]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["8", "7", "6"]


async def test_an_answered_request_is_freed_at_once_and_not_left_to_the_garbage_collector():
    app = tea_shop()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test") as http:
        gc.collect()
        gc.disable()
        try:
            for path in ("/tea", "/out", "/teapot"):
                await http.get(path)
                await http.get(path, headers={"Content-Length": "none"})
            left = [found for found in gc.get_objects() if isinstance(found, Exchange)]
        finally:
            gc.enable()
    assert left == []
