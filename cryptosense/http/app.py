"""The app: parts, guards, routes, and the answers to what goes wrong."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from cryptosense import __version__
from cryptosense.errors import CryptoSenseError
from cryptosense.http.cors import Cors
from cryptosense.http.frame import Frame
from cryptosense.http.replies import Problem, Refusal, refuse
from cryptosense.http.resources import ROUTERS
from cryptosense.http.wiring import Instance, assemble_reference
from cryptosense.settings import Settings

_BY_STATUS = {
    400: Problem.INVALID,
    404: Problem.NOT_FOUND,
    405: Problem.METHOD,
    413: Problem.TOO_LARGE,
    415: Problem.INVALID,
    422: Problem.INVALID,
}


def create_app(settings: Settings, assemble: Callable[[Settings], Instance] = assemble_reference) -> FastAPI:
    """The service as an ASGI app; `assemble` may give parts that differ from the reference's.

    Raises:
        ConfigurationError: a setting does not fit the part that reads it.
    """
    parts = assemble(settings)
    app = _Described(
        title="CryptoSense",
        version=__version__,
        lifespan=_lifespan,
        redirect_slashes=False,  # one path for one route
        docs_url=None,  # see `resources/documents.py`
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.parts = parts
    app.state.guards = parts.guards
    # Ahead of FastAPI's own document: routes are tried in order.
    app.router.routes[:0] = [route for router in ROUTERS for route in router.routes]
    app.add_exception_handler(CryptoSenseError, _known_error)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http_error)
    if settings.allowed_origins:
        app.add_middleware(Cors, allowed=settings.allowed_origins)
    app.add_middleware(Frame, figures=parts.figures, drain=parts.drain, access=parts.access)
    return app


class _Described(FastAPI):
    """Adds to the OpenAPI document what FastAPI cannot know: how the guards want to be told who is calling."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        document = super().openapi()
        components = document.setdefault("components", {})
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        return document


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    lifecycle = app.state.parts.lifecycle
    await lifecycle.start()
    try:
        yield
    finally:
        await lifecycle.stop()


async def _known_error(_request: Request, error: Exception) -> Response:
    return refuse(error).response()


async def _malformed(_request: Request, error: Exception) -> Response:
    """Names the fields and what is wrong with them; never repeats what was sent, which may be a password."""
    if not isinstance(error, RequestValidationError):
        raise error
    fields = [
        {"field": ".".join(str(step) for step in problem["loc"])[:200], "problem": problem["msg"][:200]}
        for problem in error.errors()[:20]
    ]
    return Refusal(Problem.INVALID, extra={"fields": fields}).response()


async def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    problem = _BY_STATUS.get(error.status_code, Problem.INTERNAL)
    headers = tuple((name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items())
    return Refusal(problem, headers=headers).response()
