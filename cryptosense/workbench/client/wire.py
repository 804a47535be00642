"""The clients of one deployment: their addresses, their accounts, and what the run declares about the deployment."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.client.addresses import addresses_available, own_addresses
from cryptosense.workbench.client.caller import Caller, Credentials
from cryptosense.workbench.client.exchange import Reply
from cryptosense.workbench.client.gate import Gate
from cryptosense.workbench.client.made import Made
from cryptosense.workbench.experiment import Progress
from cryptosense.workbench.history import Recorder
from cryptosense.workbench.target import Target, reveal
from cryptosense.workbench.targets.ceilings import run_meter


class Wire:
    """Makes callers of one target, and closes their connections on leaving."""

    def __init__(
        self, target: Target, recorder: Recorder, *, progress: Progress | None = None, timeout_s: float = 10.0
    ) -> None:
        self.target = target
        self.recorder = recorder
        self._progress = progress
        self._timeout = timeout_s
        self._addresses: Iterator[str] | None = own_addresses() if addresses_available(target.urls) else None
        self._accounts = iter(target.profile.accounts)
        self._clients: list[httpx.AsyncClient] = []
        self._made = Made(recorder.path.parent) if target.foreign else None
        self._run = uuid4().hex[:8] if self._made is None else self._made.run
        self._meter = run_meter() if target.foreign else None

    @property
    def own_addresses(self) -> bool:
        """Whether each caller has an address of its own; without, all share one budget where limits go by address."""
        return self._addresses is not None

    def caller(self, actor: str, *, phase: str | None = None, address: str | None = None) -> Caller:
        """A client that is not signed in. `phase` names its scenario (else the recorder's phase at each request)."""
        if address is None and self._addresses is not None:
            address = next(self._addresses)
        return Caller(self, actor, phase=phase, address=address, credentials=Credentials(), turn=len(self._clients))

    async def account(self, actor: str, *, phase: str | None = None) -> Caller:
        """A signed-in client: one of the target's ready accounts, or a new one where it lets people sign up.

        Raises:
            CouldNotStart: neither worked; says what came back.
        """
        caller = self.caller(actor, phase=phase)
        ready = next(self._accounts, None)
        if ready is not None:
            caller.credentials = Credentials(
                reveal(ready.email or ""),
                reveal(ready.password or ""),
                bearer=None if ready.bearer is None else reveal(ready.bearer),
            )
            reply = None if ready.bearer else await self._patiently(caller.login)
        elif self.target.profile.auth.register_route is not None and not self.target.profile.accounts:
            if self._meter is not None:
                self._meter.account()
            caller.credentials = self.new_credentials(actor)
            if self._made is not None:
                self._made.account(caller)
            reply = await self._patiently(caller.register)
        else:
            raise CouldNotStart("more accounts are needed: add [[accounts]] to the target profile")
        if caller.credentials.bearer is None:
            answer = "nothing" if reply is None else f"{reply.status} {reply.operation.got.get('code', '')}".strip()
            advice = "; list ready accounts under [[accounts]]" if reply is not None and reply.status == 429 else ""
            raise CouldNotStart(f"no account for {actor}: signing in answered {answer}{advice}")
        return caller

    async def _patiently(self, sign: Callable[[], Awaitable[Reply]]) -> Reply:
        """Signs in; on an honest 503, which a busy machine can bring, again as often as is reasonable."""
        reply = await sign()
        for _ in range(3):
            if reply.status != 503:
                break
            await asyncio.sleep(min(reply.operation.got.get("retry_after", 1), 2))
            reply = await sign()
        return reply

    def new_credentials(self, actor: str) -> Credentials:
        """An address and password that nobody has; the address names the run, so that what it made can be found."""
        name = "".join(letter if letter.isalnum() else "-" for letter in actor)
        return Credentials(f"{name}-{uuid4().hex[:8]}@run-{self._run}.example.com", f"Pw-{uuid4().hex}-9")

    def declare(self, phase: str, **settings: float) -> None:
        """Writes down what the deployment promises, for the checkers to read: limits, grace and TTL of its profile.

        `settings` overrides by name with `_` for `.` (`csrf_grace_s=0`, `limit_max_api=100`, `limit_window_s_api=5`).
        """
        profile = self.target.profile
        for topic, reason in profile.untold().items():
            self.recorder.observe("untold", 1.0, topic=topic, reason=reason)
        for policy, limit in profile.limits.items():
            self._declare("limit.max", settings.pop(f"limit_max_{policy}", limit.max), phase=phase, policy=policy)
            window = settings.pop(f"limit_window_s_{policy}", limit.window_s)
            self._declare("limit.window_s", window, phase=phase, policy=policy)
        self._declare("csrf.grace_s", settings.pop("csrf_grace_s", profile.csrf.grace_s), phase=phase)
        self._declare("cache.ttl_s", settings.pop("cache_ttl_s", profile.cache.ttl_s), phase=phase)
        if settings:
            raise TypeError(f"nothing to declare under {', '.join(settings)}")

    def skip(self, phase: str, reason: str) -> None:
        """Writes down that a scenario was left out and what to provide; its claims become UNDECIDED."""
        self.recorder.observe("skipped", 1.0, phase=phase, reason=reason)

    def connect(self, address: str | None) -> httpx.AsyncClient:
        """Connections of one client's own, from its address; closed with the wire."""
        transport = httpx.AsyncHTTPTransport(
            verify=_tls(), local_address=address, limits=httpx.Limits(max_connections=None, keepalive_expiry=30)
        )
        client = httpx.AsyncClient(transport=transport, timeout=self._timeout, headers={"Accept": "application/json"})
        self._clients.append(client)
        return client

    def room(self) -> contextlib.AbstractAsyncContextManager[None]:
        """A request's stay within what the user granted, where that is limited.

        Raises:
            CeilingReached: on entering, when waiting does not help.
        """
        return contextlib.nullcontext() if self._meter is None else self._meter.request()

    async def burst(self, requests: int) -> None:
        """Waits until so many requests may be sent at once: a race shows only where they really come together."""
        if self._meter is not None:
            await self._meter.burst(requests)

    def gate(self, requests: int) -> Gate:
        """For so many requests that are to arrive together, or as many of them as may be under way at once."""
        return Gate(requests if self._meter is None else self._meter.at_once(requests))

    def made(self, caller: Caller, identity: str) -> None:
        """Remembers what a caller left on a deployment that is not ours, to be removed on leaving."""
        if self._made is not None:
            self._made.thing(caller, identity)

    def done(self) -> None:
        """Counts an exchange for the progress display."""
        if self._progress is not None:
            self._progress.advance(1)

    def filled(self, body: Mapping[str, object]) -> dict[str, Any]:
        """A body with every `{nonce}` replaced by a fresh word; on other people's systems it names the run."""
        prefix = "" if self._made is None else f"run-{self._run}-"
        return {
            key: value.replace("{nonce}", f"{prefix}{uuid4().hex[:12]}") if isinstance(value, str) else value
            for key, value in body.items()
        }

    def _declare(self, name: str, value: float, **labels: str) -> None:
        self.recorder.observe(name, value, **labels)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._made is not None:
                await self._made.tidy()
        finally:
            for client in self._clients:
                await client.aclose()


@cache
def _tls() -> ssl.SSLContext:
    """One context for all clients: building one costs more than many requests."""
    return ssl.create_default_context()
