"""A FastAPI route that runs the guards of the app around itself, as plain ASGI."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, get_type_hints

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from cryptosense.errors import CryptoSenseError
from cryptosense.http.guards.exchange import BodyTooLarge, Check, Exchange
from cryptosense.http.guards.rule import rule_of
from cryptosense.http.replies import Problem, Refusal, refuse


def _no_deadline() -> AbstractContextManager[Any]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class GuardPlan:
    """The checks of an app, in order. `deadline` opens the one deadline that all state calls of a request share."""

    checks: tuple[Check, ...]
    deadline: Callable[[], AbstractContextManager[Any]] = _no_deadline


class GuardedRoute(APIRoute):
    """Runs `app.state.guards` before the endpoint, and adds to its answer what they have to say.

    An endpoint that asks for nothing, or for the `Request` alone, and is annotated to return a `Response` is called
    without FastAPI's machinery for parameters, which costs as much as the guards and would find nothing to do.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.rule = rule_of(endpoint, self.methods or ())
        direct = _direct(endpoint)
        if direct is not None and not self.dependant.dependencies:
            # FastAPI takes `app` only where the route was not included with dependencies of its router's.
            self.app = _answering(direct)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)  # answers 405
            return
        plan: GuardPlan = scope["app"].state.guards
        exchange = Exchange(scope, receive, self.rule)
        try:
            with plan.deadline():
                refusal = await _checked(plan, exchange)
                if refusal is not None:
                    await refusal.send(send, exchange.closing_headers())
                    return
                await self._passed(exchange, send)
        finally:
            exchange.close()

    async def _passed(self, exchange: Exchange, send: Send) -> None:
        """Calls the endpoint, now that no guard objects."""
        sender = exchange.sender(send)
        try:
            await super().handle(exchange.scope, exchange.receiver(), sender)
        except CryptoSenseError as error:
            await _answer(refuse(error), exchange, sender, error)
        except Exception as error:
            await _answer(Refusal(Problem.INTERNAL), exchange, sender, error)
            raise  # an unexpected error is answered here, for the successor's sake, and logged further out


def _answering(endpoint: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """The endpoint as an app; Starlette's way to do so is taken only where there is an error to be handled."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await endpoint(Request(scope, receive, send))
        except Exception as error:  # noqa: BLE001 (raised again, where the app's own handlers can meet it)
            await request_response(_raising(error))(scope, receive, send)
        else:
            await response(scope, receive, send)

    return app


def _raising(error: Exception) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_request: Request) -> Response:
        raise error

    return endpoint


def _direct(endpoint: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]] | None:
    """The endpoint as a function of the request, where it is no more than that."""
    try:
        hints = get_type_hints(endpoint)
    except NameError:
        return None  # an annotation that only FastAPI can resolve
    answer = hints.pop("return", None)
    if not (inspect.iscoroutinefunction(endpoint) and isinstance(answer, type) and issubclass(answer, Response)):
        return None
    names = list(inspect.signature(endpoint).parameters)
    if not names:

        async def asking_for_nothing(_request: Request) -> Response:
            response: Response = await endpoint()
            return response

        return asking_for_nothing
    return endpoint if len(names) == 1 and hints.get(names[0]) is Request else None


async def _checked(plan: GuardPlan, exchange: Exchange) -> Refusal | None:
    try:
        for check in plan.checks:
            refusal = await check(exchange)
            if refusal is not None:
                return refusal
    except BodyTooLarge:
        return Refusal(Problem.TOO_LARGE)
    except CryptoSenseError as error:
        return refuse(error)
    return None


async def _answer(refusal: Refusal, exchange: Exchange, sender: Send, error: Exception) -> None:
    if exchange.started:
        raise error  # half an answer is out: the connection must break, so that nobody takes it for a whole one
    await refusal.send(sender)
