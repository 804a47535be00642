"""One request and its answer, as an operation of the history."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from cryptosense.workbench.client.answers import facts_of, successor_of
from cryptosense.workbench.history import Operation, Outcome, Recorder
from cryptosense.workbench.target import TargetProfile

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def digest(secret: str | bytes) -> str:
    """A stable short name for a secret or a body: 12 hex digits of its SHA-256."""
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Reply:
    """An exchange as it was recorded, and what the caller may need of the answer itself.

    `body` is the parsed JSON, None where there was none; `text` what was not JSON; `successor` the CSRF token to
    present next.
    """

    operation: Operation
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    successor: str | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)

    @property
    def status(self) -> int | None:
        return self.operation.status


async def exchange(
    http: httpx.AsyncClient,
    request: httpx.Request,
    begun: Operation,
    *,
    profile: TargetProfile,
    recorder: Recorder,
    done: Callable[[], None],
) -> Reply:
    """Sends the request and records how it ended, also when the caller is cancelled while it waits."""
    begun = replace(begun, invoked_at=recorder.now())
    reply = Reply(replace(begun, outcome=Outcome.UNKNOWN, got={"error": "cancelled"}))
    try:
        reply = await _send(http, request, begun, profile, recorder)
    finally:
        if reply.operation.completed_at == 0.0:
            reply = replace(reply, operation=replace(reply.operation, completed_at=recorder.now()))
        recorder.record(reply.operation)
        done()
    return reply


async def _send(
    http: httpx.AsyncClient, request: httpx.Request, begun: Operation, profile: TargetProfile, recorder: Recorder
) -> Reply:
    try:
        response = await http.send(request)
    except _NEVER_SENT as error:
        got = {"error": type(error).__name__}
        return Reply(replace(begun, completed_at=recorder.now(), outcome=Outcome.FAILED, got=got))
    except (TimeoutError, httpx.TransportError) as error:
        got = {"error": type(error).__name__}
        return Reply(replace(begun, completed_at=recorder.now(), outcome=Outcome.UNKNOWN, got=got))
    completed = recorder.now()
    body = _parsed(response)
    successor = successor_of(profile.csrf, response, body, explicit=begun.kind == "csrf.rotate")
    operation = replace(
        begun,
        completed_at=completed,
        outcome=Outcome.OK if response.status_code < 400 else Outcome.FAILED,
        status=response.status_code,
        got=facts_of(begun.kind, profile, response, body, successor, name=digest),
    )
    return Reply(operation, body, response.headers, successor, response.text if body is None else "")


def _parsed(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content) if response.content else None
    except ValueError:
        return None
