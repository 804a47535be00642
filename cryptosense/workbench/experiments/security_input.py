"""Attacks by what is sent: other sites' pages, odd paths, bodies too large or broken, keys and globs as names."""

import json
from collections.abc import AsyncIterator
from urllib.parse import quote

from cryptosense.workbench.client import Caller
from cryptosense.workbench.experiments.scenario import Scenario, Stage, needs_route, needs_same_site
from cryptosense.workbench.target import Route

_FOREIGN_PAGES = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
)
_NAMES = (
    "*",
    "cs:*",
    "?",
    "[a-z]*",
    "bitcoin\r\nFLUSHALL\r\n",
    "{cs}:limit:api",
    "__proto__",
    "../../etc/passwd",
    "bitcoin\x00",
    "$(id)",
    "' OR 1=1 --",
    "a" * 5_000,
    "\U0001f911" * 50,
)
_INVALIDATE = needs_route("invalidation", lambda stage: stage.wire.target.profile.cache.invalidate)
_BY_NAME = needs_route("invalidation by name", lambda stage: stage.wire.target.profile.cache.invalidate_field)


async def _cross_site(stage: Stage, phase: str) -> None:
    """A page of another site that rides on a signed-in browser and even knows the token; then the user's own page."""
    client = await stage.account(phase, "alice")
    await client.fetch_csrf()
    for headers in _FOREIGN_PAGES:
        await client.post_csrf(token=client.token, keep=False, kind="attack", headers=headers)
    client.phase = f"{phase} spared"
    await client.post_csrf()


async def _cross_site_fetch(stage: Stage, phase: str) -> None:
    """A page of another site that asks for the token."""
    client = await stage.account(phase, "alice")
    for headers in _FOREIGN_PAGES:
        await client.ask("attack", client.profile.csrf.fetch, headers=headers)


async def _protected_paths(stage: Stage, phase: str) -> None:
    """Spellings of a protected path, without a token."""
    client = await stage.account(phase, "alice")
    base = client.profile.csrf.protected
    body = stage.wire.filled(client.profile.csrf.protected_body)
    for path in _spellings(base.path):
        await client.ask("attack", Route(method=base.method, path=path), json=body)
    for method in ("post", "PATCH", "PUT", "DELETE"):
        await client.ask("attack", Route(method=method, path=base.path), json=body)
    for header in ("X-HTTP-Method-Override", "X-Method-Override"):
        await client.ask("attack", base, json=body, headers={header: "GET"})
    folder, _, last = base.path.rpartition("/")
    for prefix in (f"{folder}/auth/login/..", f"{folder}/auth/%2e%2e"):
        await client.ask("attack", Route(method=base.method, path=f"{prefix}/{last}"), json=body)


async def _exempt_paths(stage: Stage, phase: str) -> None:
    """Spellings of an exempt path: they may be unknown, but never ask for a session or a token."""
    guest = stage.guest(phase, "guest")
    login = guest.profile.auth.login
    for path in _spellings("/" if login is None else login.path):
        await guest.ask("attack", Route(method="POST", path=path), json={}, bearer=False)


async def _oversize(stage: Stage, phase: str) -> None:
    """Bodies beyond any use, told in advance and not, each with a good token, and headers beyond measure."""
    client = await stage.account(phase, "alice")
    route, huge = client.profile.csrf.protected, b'{"name": "' + b"x" * 2_000_000 + b'", "holdings": []}'
    for content in (huge, _in_pieces(huge)):
        await client.fetch_csrf()  # whoever looks at the token before the size has spent it
        await client.ask("attack", route, content=content, csrf=client.token, headers=_JSON)
    login = client.profile.auth.login or route
    await client.ask("attack", login, content=huge, bearer=False, headers=_JSON)
    client.phase = f"{phase} header"
    await client.ask("attack", route, json={}, csrf="0" * 20_000)


async def _malformed(stage: Stage, phase: str) -> None:
    """Bodies that are no JSON, or JSON of the wrong shape, deep, with numbers that are none."""
    client = await stage.account(phase, "alice")
    await client.fetch_csrf()
    deep = b"[" * 20_000 + b"]" * 20_000
    bodies = (b"", b"{", b"null", b"[]", b'"text"', deep, b'{"name": NaN}', b"\xff\xfe\x00", b'{"name": {"$gt": ""}}')
    for body in bodies:
        await client.post_csrf(route=client.profile.csrf.protected, content=body, kind="attack", headers=_JSON)
        if client.profile.auth.login is not None:
            guest = stage.guest(phase, f"guest-{body[:4].hex()}-{len(body)}")
            await guest.ask("attack", client.profile.auth.login, content=body, bearer=False, headers=_JSON)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        body = json.dumps({"name": 1}).encode()
        headers = {"Content-Type": kind}
        await client.post_csrf(route=client.profile.csrf.protected, content=body, kind="attack", headers=headers)


async def _names(stage: Stage, phase: str) -> None:
    """Patterns, separators and commands as names of coins, portfolios and people; then what others had cached."""
    client, reader = await stage.account(phase, "alice"), stage.guest(phase, "reader")
    reader.phase = f"{phase} spared"
    stage.wire.declare(reader.phase)
    await client.fetch_csrf()
    coins = client.profile.cache.ids[:2]
    for _ in range(2):
        await reader.read_tokens(*coins)
    await _ask_by_name(client)
    for name in _NAMES:
        body = {client.profile.cache.invalidate_field: [name]}
        route = client.profile.cache.invalidate or Route(method="POST", path="/")
        await client.post_csrf(route=route, json=body, kind="attack")
    for url in stage.urls:
        await reader.read_tokens(*coins, instance=url)


async def _ask_by_name(client: Caller) -> None:
    tokens, portfolios = client.profile.cache.tokens, client.profile.cache.portfolios
    for name in _NAMES:
        quoted = quote(name, safe="")
        await client.ask("attack", Route(path=tokens.path.replace("{ids}", quoted)), bearer=False)
        await client.ask("attack", Route(path=f"{portfolios.path}/{quoted}"))


def _spellings(path: str) -> list[str]:
    """The path with a slash more, in other cases, with parts encoded, with dots and a parameter."""
    last = path.rsplit("/", 1)[-1]
    return [
        f"{path}/",
        f"{path}//",
        f"/{path}",
        path.replace("/api", "//api", 1),
        path.upper(),
        path.title(),
        f"{path}%2f",
        f"{path}%00",
        f"{path};v=1",
        f"{path}/.",
        f"{path}/../{last}",
        path.replace(last, f"%{ord(last[0]):x}{last[1:]}") if last else path,
        f"{path}%20",
    ]


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """The body without a length told in advance."""
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


_JSON = {"Content-Type": "application/json"}
INPUT_ATTACKS = (
    Scenario("cross-site request", _cross_site, (needs_same_site,)),
    Scenario("cross-site fetch", _cross_site_fetch, (needs_same_site,)),
    Scenario("protected paths", _protected_paths),
    Scenario(
        "exempt paths", _exempt_paths, (needs_route("login", lambda stage: stage.wire.target.profile.auth.login),)
    ),
    Scenario("oversize", _oversize),
    Scenario("malformed", _malformed),
    Scenario("names as patterns", _names, (_INVALIDATE, _BY_NAME)),
)
