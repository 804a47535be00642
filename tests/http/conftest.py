"""The service inside the test's own loop: memory behind it, a market data provider of the test's making."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cryptosense.clock import ManualClock
from cryptosense.errors import StateUnavailable, UpstreamUnavailable
from cryptosense.http.app import create_app
from cryptosense.http.guards import GuardedRoute
from cryptosense.http.resources import ROUTERS
from cryptosense.http.wiring import Instance, Replacement, assemble_reference
from cryptosense.settings import Settings

PASSWORD = "correct horse battery"


class Provider:
    """Stands where the CoinGecko client stands; counts its calls and can be told to fail."""

    def __init__(self) -> None:
        self.calls = 0
        self.failing = False
        self.latency_s = 0.001  # no fetch ends in the turn of the loop in which it began

    async def markets(self, ids: tuple[str, ...]) -> list[dict[str, object]]:
        await self._called()
        return [{"id": coin, "symbol": coin[:3], "current_price": 1.5, "market_cap": None} for coin in ids]

    async def market_chart(self, coin: str, *, days: int) -> list[tuple[int, float]] | None:
        await self._called()
        if coin == "nocoin":
            return None
        return [(1_700_000_000_000 + day * 86_400_000, 100.0 + day % 7) for day in range(days)]

    async def aclose(self) -> None:
        return None

    async def _called(self) -> None:
        self.calls += 1
        await asyncio.sleep(self.latency_s)
        if self.failing:
            raise UpstreamUnavailable("the provider was told to fail")


@dataclass
class Service:
    """A running app and a client for it."""

    parts: Instance
    http: httpx.AsyncClient
    clock: ManualClock
    provider: Provider
    headers: dict[str, str] = field(default_factory=dict)

    def parts_routes(self) -> list[GuardedRoute]:
        """Every guarded route of the reference."""
        return [route for router in ROUTERS for route in router.routes if isinstance(route, GuardedRoute)]

    async def sign_in(self, email: str | None = None) -> "Browser":
        """A new user's browser."""
        email = email or f"{secrets.token_hex(6)}@example.org"
        answer = await self.http.post("/api/v1/auth/register", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return Browser(self.http, email, answer.json())


class Browser:
    """A front end that follows `X-CSRF-Token`."""

    def __init__(self, http: httpx.AsyncClient, email: str, signed: dict[str, Any]) -> None:
        self.http = http
        self.email = email
        self.signed = signed
        self.csrf: str | None = None

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.signed['accessToken']}"}

    async def fetch_csrf(self) -> str:
        answer = await self.get("/api/v1/csrf-token")
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["csrfToken"]
        self.csrf = token
        return token

    async def get(self, path: str, **options: Any) -> httpx.Response:
        headers = {**self.bearer, **options.pop("headers", {})}
        return await self.http.get(path, headers=headers, **options)

    async def send(self, method: str, path: str, *, csrf: str | None = None, **options: Any) -> httpx.Response:
        """A request that changes something; with the token it has, or with `csrf`."""
        if csrf is None:
            csrf = self.csrf or await self.fetch_csrf()
        headers = {**self.bearer, "X-CSRF-Token": csrf, **options.pop("headers", {})}
        answer = await self.http.request(method, path, headers=headers, **options)
        self.csrf = answer.headers.get("X-CSRF-Token", self.csrf)
        return answer

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.send("POST", path, **options)


Opening = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path) -> Opening:
    """Opens a service: `async with opened({"CSRF_GRACE_S": "0"}, csrf=lambda parts: ...) as service`."""

    @asynccontextmanager
    async def opening(
        environ: Mapping[str, str] | None = None, *, peer: str = "192.0.2.7", **replacements: Replacement
    ) -> AsyncIterator[Service]:
        clock, provider = ManualClock(), Provider()
        settings = Settings.from_environment(
            {
                "DATABASE_URL": f"sqlite:///{tmp_path / 'service.db'}",
                "PASSWORD_MEMORY_KIB": "8",
                "PASSWORD_ROUNDS": "1",
                "RATE_LIMIT_AUTH_MAX": "1000",
                "STARTUP_WAIT_S": "5",
                **(environ or {}),
            }
        )
        given: dict[str, Replacement] = {"clock": lambda _: clock, "coingecko": lambda _: provider}
        app = create_app(settings, lambda settings: assemble_reference(settings, **{**given, **replacements}))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(peer, 40_000))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://service.test") as http,
        ):
            yield Service(app.state.parts, http, clock, provider)

    return opening


@pytest.fixture
async def service(opened: Opening) -> AsyncIterator[Service]:
    """A service in memory with its usual settings."""
    async with opened() as service:
        yield service


class Away:
    """A kind of state that cannot be reached."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def unreachable(*_: Any, **__: Any) -> Any:
            raise StateUnavailable("away, for the test")

        return unreachable


@pytest.fixture
def without() -> Callable[..., Replacement]:
    """`without("csrf", "sessions")` replaces the state by one of which these kinds are away."""

    def state_without(*kinds: str) -> Replacement:
        def build(parts: Instance) -> Any:
            whole = Instance.state.build(parts)
            return replace(whole, state=replace(whole.state, **{kind: Away() for kind in kinds}))

        return build

    return state_without
