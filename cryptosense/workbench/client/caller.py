"""One client of a deployment: what it holds and what it can ask."""

import itertools
from collections.abc import AsyncIterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from cryptosense.workbench.client.answers import dig
from cryptosense.workbench.client.exchange import Reply, digest, exchange
from cryptosense.workbench.client.gate import Gate
from cryptosense.workbench.history import Operation, Outcome, Recorder
from cryptosense.workbench.target import Route, Target, TargetProfile


@dataclass(slots=True)
class Credentials:
    """What a signed-in client holds."""

    email: str = ""
    password: str = field(default="", repr=False)
    bearer: str | None = field(default=None, repr=False)
    refresh: str | None = field(default=None, repr=False)


class Line(Protocol):
    """What a caller needs of the wire that it hangs on."""

    @property
    def target(self) -> Target: ...

    @property
    def recorder(self) -> Recorder: ...

    def caller(self, actor: str, *, phase: str | None = None, address: str | None = None) -> "Caller":
        """A client that is not signed in, at an address of its own unless given one."""
        ...

    def connect(self, address: str | None) -> httpx.AsyncClient:
        """Connections from that address, which the wire closes."""
        ...

    def room(self) -> AbstractAsyncContextManager[None]:
        """A request's stay within what the user granted."""
        ...

    def filled(self, body: Mapping[str, object]) -> dict[str, Any]:
        """The body with fresh words in its `{nonce}` places."""
        ...

    def made(self, caller: "Caller", identity: str) -> None:
        """Hears of what a caller left on the deployment."""
        ...

    def done(self) -> None:
        """Hears of each finished exchange."""
        ...


class Caller:
    """One client: an address, perhaps an account and a session, and the newest CSRF token that it was given."""

    def __init__(
        self, wire: Line, actor: str, *, phase: str | None, address: str | None, credentials: Credentials, turn: int
    ) -> None:
        self._wire = wire
        self.actor = actor
        self.phase = phase
        self.address = address
        self.credentials = credentials
        self.token: str | None = None
        self._urls: Iterator[str] = itertools.islice(itertools.cycle(wire.target.urls), turn, None)
        self._http = wire.connect(address)

    @property
    def profile(self) -> TargetProfile:
        return self._wire.target.profile

    def tab(self, *, phase: str | None = None) -> "Caller":
        """Another tab of the same browser: the same session (and actor), a token and connections of its own."""
        twin = self._wire.caller(self.actor, phase=phase or self.phase, address=self.address)
        twin.credentials, twin.token = self.credentials, self.token
        return twin

    def device(self, actor: str, *, phase: str | None = None) -> "Caller":
        """Another device of the same account, not signed in yet, at an address of its own."""
        other = self._wire.caller(actor, phase=phase or self.phase)
        other.credentials = Credentials(self.credentials.email, self.credentials.password)
        return other

    # --- accounts and sessions

    async def register(self, *, instance: str | None = None) -> Reply:
        """Signs up (`auth.register`) and keeps what comes back."""
        return await self._sign("auth.register", self.profile.auth.register_route, instance)

    async def login(self, *, instance: str | None = None) -> Reply:
        """Signs in (`auth.login`): a session of its own."""
        return await self._sign("auth.login", self.profile.auth.login, instance)

    async def refresh(self, *, token: str | None = None, instance: str | None = None) -> Reply:
        """Trades the refresh token (`auth.refresh`; `token` presents another one than the newest)."""
        auth = self.profile.auth
        presented = token or self.credentials.refresh
        body = {auth.refresh_field: presented}
        reply = await self.ask(
            "auth.refresh",
            auth.refresh or Route(method="POST", path="/"),
            json=body,
            bearer=False,
            instance=instance,
            sent={"refresh": digest(presented or "")},
        )
        self._keep(reply)
        return reply

    async def logout(self, *, instance: str | None = None) -> Reply:
        """Ends the session (`auth.logout`), with the CSRF token if any. The caller keeps the dead bearer."""
        route = self.profile.auth.logout or Route(method="POST", path="/")
        return await self.ask("auth.logout", route, json={}, csrf=self.token, instance=instance)

    async def use_session(self, *, instance: str | None = None) -> Reply:
        """Asks for something that only the signed-in may have (`session.use`)."""
        return await self.ask("session.use", self.profile.cache.portfolios, instance=instance)

    # --- CSRF

    async def fetch_csrf(self, *, instance: str | None = None, **options: Any) -> Reply:
        """`csrf.fetch`: the session's token, which the caller keeps; `got.token`."""
        reply = await self.ask("csrf.fetch", self.profile.csrf.fetch, instance=instance, **options)
        token = dig(reply.body, self.profile.csrf.field)
        if isinstance(token, str):
            self.token = token
        return reply

    async def post_csrf(
        self,
        *,
        token: str | None = None,
        keep: bool = True,
        route: Route | None = None,
        json: Any = None,
        kind: str = "csrf.post",
        instance: str | None = None,
        sent: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Reply:
        """A protected request (`csrf.post`): presents `token`, or the newest one (`sent.follows`); keeps the successor
        unless told not to. `got.successor` is its digest.
        """
        profile = self.profile.csrf
        presented = token if token is not None else self.token
        body = self._wire.filled(profile.protected_body) if json is None and route is None else json
        reply = await self.ask(
            kind,
            route or profile.protected,
            json=body,
            csrf=presented,
            instance=instance,
            sent={"token": None if presented is None else digest(presented), "follows": token is None, **(sent or {})},
            **options,
        )
        if keep and reply.successor is not None:
            self.token = reply.successor
        return reply

    async def rotate_csrf(self, *, instance: str | None = None) -> Reply:
        """`csrf.rotate`: the explicit rotation, which ends every grace."""
        route = Route(method="POST", path=f"{self.profile.csrf.fetch.path}/rotate")
        return await self.post_csrf(route=route, json={}, kind="csrf.rotate", instance=instance)

    # --- limits, market data, portfolios, health

    async def probe(self, policy: str, *, instance: str | None = None, **options: Any) -> Reply:
        """`limit.probe`: one cheap request against the named limit; `sent.policy`. What passes may end in a 4xx."""
        limit = self.profile.limits[policy]
        body: dict[str, Any] | None = {} if limit.method != "GET" else None
        sent = {"policy": policy, **options.pop("sent", {})}
        return await self.ask(
            "limit.probe",
            Route(method=limit.method, path=limit.path),
            json=body,
            instance=instance,
            sent=sent,
            **options,
        )

    async def read_tokens(self, *ids: str, instance: str | None = None, gate: Gate | None = None) -> Reply:
        """`tokens.read`: market data; `sent.ids`, `got.{x_cache,version,as_of}`."""
        route = self.profile.cache.tokens
        filled = Route(method=route.method, path=route.path.replace("{ids}", ",".join(ids)))
        sent = {"ids": ",".join(ids)}
        return await self.ask("tokens.read", filled, bearer=False, instance=instance, sent=sent, gate=gate)

    async def invalidate_tokens(self, *ids: str, instance: str | None = None) -> Reply:
        """`tokens.invalidate`: drops every cached list with one of the coins (all of them without ids)."""
        route = self.profile.cache.invalidate or Route(method="POST", path="/")
        field = self.profile.cache.invalidate_field
        body = {field: list(ids)} if ids and field else {}
        return await self.post_csrf(
            route=route,
            json=body,
            kind="tokens.invalidate",
            instance=instance,
            sent={"ids": ",".join(ids) if field else ""},
        )

    async def read_portfolios(self, identity: str | None = None, *, instance: str | None = None) -> Reply:
        """`portfolios.read`: the list, or one by id; `got.seq` is the newest number that a name carries."""
        base = self.profile.cache.portfolios
        route = base if identity is None else Route(path=f"{base.path}/{identity}")
        return await self.ask("portfolios.read", route, instance=instance, sent={"portfolio": identity})

    async def write_portfolio(self, seq: int, identity: str | None = None, *, instance: str | None = None) -> Reply:
        """`portfolios.write`: creates (or, with an id, changes) a portfolio whose name carries the number `seq`."""
        base = self.profile.cache.portfolios.path
        route = Route(method="POST", path=base) if identity is None else Route(method="PUT", path=f"{base}/{identity}")
        body = {"name": f"{self.actor.replace('/', '-')}#{seq}", "holdings": []}
        return await self.post_csrf(
            route=route,
            json=body,
            kind="portfolios.write",
            instance=instance,
            sent={"seq": seq, "portfolio": identity},
        )

    async def health(self, *, ready: bool = False, instance: str | None = None) -> Reply:
        """`health.read`, or `ready.read`; `got.{state,stage,redis}` as far as the answer says."""
        profile = self.profile.health
        route = (profile.ready or profile.health) if ready else profile.health
        return await self.ask("ready.read" if ready else "health.read", route, bearer=False, instance=instance)

    # --- one exchange

    async def ask(
        self,
        kind: str,
        route: Route,
        *,
        json: Any = None,
        content: bytes | AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        csrf: str | None = None,
        bearer: bool = True,
        instance: str | None = None,
        sent: Mapping[str, Any] | None = None,
        gate: Gate | None = None,
    ) -> Reply:
        """Sends one request and records it; `sent` is added to the operation's `sent`, `gate` holds it for others."""
        where = instance or next(self._urls)
        carried = dict(headers or {})
        if bearer and self.credentials.bearer:
            carried.setdefault("Authorization", f"Bearer {self.credentials.bearer}")
        if csrf is not None:
            carried.setdefault(self.profile.csrf.header, csrf)
        begun = Operation(
            id=self._wire.recorder.next_id(),
            kind=kind,
            actor=self.actor,
            instance=where,
            invoked_at=self._wire.recorder.now(),
            completed_at=0.0,
            outcome=Outcome.UNKNOWN,
            phase=self._wire.recorder.phase if self.phase is None else self.phase,
            sent={"method": route.method, "path": route.path, **(sent or {})},
        )
        request = self._http.build_request(
            route.method,
            where.rstrip("/") + route.path,
            json=json,
            content=content,
            headers=carried,
            extensions=None if gate is None else {"trace": gate.wait},
        )
        async with self._wire.room():
            reply = await exchange(
                self._http, request, begun, profile=self.profile, recorder=self._wire.recorder, done=self._wire.done
            )
        self._remember(reply, route)
        return reply

    def _remember(self, reply: Reply, route: Route) -> None:
        """Whatever the protected request made, by whichever attack, is to be removed."""
        if reply.operation.outcome is Outcome.OK and route.path.rstrip("/") == self.profile.csrf.protected.path:
            identity = dig(reply.body, self.profile.csrf.remove_field)
            if identity is not None:
                self._wire.made(self, str(identity))

    async def _sign(self, kind: str, route: Route | None, instance: str | None) -> Reply:
        auth = self.profile.auth
        body = {auth.email_field: self.credentials.email, auth.password_field: self.credentials.password}
        reply = await self.ask(
            kind, route or Route(method="POST", path="/"), json=body, bearer=False, instance=instance
        )
        self._keep(reply)
        return reply

    def _keep(self, reply: Reply) -> None:
        if reply.operation.outcome is Outcome.OK:
            auth = self.profile.auth
            self.credentials.bearer = dig(reply.body, auth.bearer_field) or self.credentials.bearer
            self.credentials.refresh = dig(reply.body, auth.refresh_field) or self.credentials.refresh
