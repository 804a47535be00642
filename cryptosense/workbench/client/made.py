"""What a run leaves on a deployment that is not ours: removed at the end where there is a way, and listed."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from cryptosense.errors import CryptoSenseError
from cryptosense.workbench.client.answers import dig
from cryptosense.workbench.client.caller import Caller
from cryptosense.workbench.target import Route

CREATED = "created.json"
"""In the experiment's folder: `run`, the word that everything made carries; of the `accounts` that were signed up for
those in `accounts_removed`; and of other things what was `removed` and what is `left`."""

PHASE = "tidying"
_LONGEST_S = 20.0


class Made:
    """Accounts and things of one wire; several wires of one experiment share the file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / CREATED
        word = "".join(letter for letter in folder.parent.name.lower() if letter.isalnum() or letter == "-")
        self.run = word[-32:].strip("-") or "unnamed"
        self._accounts: list[Caller] = []
        self._accounts_removed: list[str] = []
        self._things: dict[Caller, list[str]] = {}
        self._removed: list[str] = []

    def account(self, caller: Caller) -> None:
        """Remembers a sign-up before it is sent."""
        self._accounts.append(caller)
        self._write()

    def thing(self, owner: Caller, identity: str) -> None:
        self._things.setdefault(owner, []).append(identity)

    async def tidy(self) -> None:
        """Removes what its owners can remove, then the owners, for a while at most, and writes down the rest."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_S):
                    await asyncio.gather(*(self._of(owner, list(ids)) for owner, ids in self._things.items()))
                    await asyncio.gather(*map(self._remove_account, self._accounts))
        finally:
            self._write()

    async def _of(self, owner: Caller, identities: Sequence[str]) -> None:
        """All that one session made. One that cannot sign in again, or is told no, leaves the rest on the list."""
        route = owner.profile.csrf.remove
        if route is None:
            return
        owner.phase = PHASE
        with contextlib.suppress(CryptoSenseError, httpx.HTTPError):
            for identity in identities:
                path = route.path.replace("{id}", identity)
                if not await self._gone(owner, Route(method=route.method, path=path)):
                    return
                self._removed.append(identity)

    async def _remove_account(self, owner: Caller) -> None:
        """The account itself, by whom it belongs to. One that was never made, or is told no, stays on the list."""
        route = owner.profile.auth.delete_route
        if route is None or owner.credentials.bearer is None:
            return
        owner.phase = PHASE
        path = route.path.replace("{email}", quote(owner.credentials.email, safe=""))
        with contextlib.suppress(CryptoSenseError, httpx.HTTPError):
            if await self._gone(owner, Route(method=route.method, path=path), kind="tidy.account", or_never_was=False):
                self._accounts_removed.append(owner.credentials.email)

    async def _gone(self, owner: Caller, route: Route, *, kind: str = "tidy.remove", or_never_was: bool = True) -> bool:
        """Whether it was removed; `or_never_was` says what a 404 means, which may also be a route that is not there."""
        for _ in range(4):
            if owner.token is None:
                await _new_token(owner)
            reply = await owner.post_csrf(route=route, kind=kind)
            if reply.status is not None and (reply.status < 300 or (reply.status == 404 and or_never_was)):
                return True
            if reply.status == 429:
                await asyncio.sleep(min(float(reply.operation.got.get("retry_after", 1)), _LONGEST_S))
            elif reply.status in {401, 403}:
                owner.token = None
                if reply.status == 401 and owner.profile.auth.login is not None and owner.credentials.password:
                    await owner.login()
            else:
                return False
        return False

    def _write(self) -> None:
        """Adds this wire's to what others of the experiment wrote."""
        known: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else {}
        left = [one for ids in self._things.values() for one in ids if one not in self._removed]
        ours = {
            "accounts": [owner.credentials.email for owner in self._accounts],
            "accounts_removed": self._accounts_removed,
            "removed": self._removed,
            "left": left,
        }
        merged = {name: list(dict.fromkeys([*known.get(name, []), *found])) for name, found in ours.items()}
        merged["left"] = [one for one in merged["left"] if one not in merged["removed"]]
        self._file.write_text(json.dumps({"run": self.run, **merged}, indent=1) + "\n", encoding="utf-8")


async def _new_token(owner: Caller) -> None:
    csrf = owner.profile.csrf
    token = dig((await owner.ask("tidy.fetch", csrf.fetch)).body, csrf.field)
    if isinstance(token, str):
        owner.token = token


def created_in(run: Path) -> str:
    """What a run made and left, in a sentence for its report; empty where it made nothing."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(run.glob(f"*/{CREATED}"))]
    accounts, deleted, removed, left = (
        sum(len(one[name]) for one in found) for name in ("accounts", "accounts_removed", "removed", "left")
    )
    if not accounts + removed + left:
        return ""
    places = ", ".join(f"{file.parent.name}/{CREATED}" for file in sorted(run.glob(f"*/{CREATED}")))
    what = f"{_told(accounts, 'accounts', deleted)}, and {_told(removed + left, 'things', removed)}"
    return f"{what}; all carry run-{found[0]['run']} in their names and are listed in {places}"


def _told(made: int, what: str, removed: int) -> str:
    if not made:
        return f"no {what}"
    fate = "all removed" if removed == made else f"{removed} of them removed" if removed else "which are left"
    return f"{made} {what}, {fate}"
