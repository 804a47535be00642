"""A guarded route that documents itself: its refusals with an example each, its headers, its bearer.

It also reads JSON exactly: numbers with a fraction as decimals, and no `NaN` or `Infinity`, which are not JSON.
"""

import json
from collections.abc import Callable, Coroutine, Iterable
from decimal import Decimal
from typing import Any

from fastapi import Request
from starlette.responses import Response

from cryptosense.http.guards import By, GuardedRoute, Rule, exchange_of, rule_of
from cryptosense.http.replies import Problem
from cryptosense.http.wiring import Instance
from cryptosense.services.sessions import Bearer

_LIMIT_HEADERS = {
    name: {"schema": {"type": "string"}, "description": text}
    for name, text in {
        "X-RateLimit-Limit": "Requests that one window admits.",
        "X-RateLimit-Remaining": "Requests left now.",
        "X-RateLimit-Reset": "When quota next increases, ISO 8601.",
        "RateLimit-Policy": 'As in `"api";q=100;w=900`.',
        "RateLimit": 'As in `"api";r=42;t=37`.',
    }.items()
}
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until a retry can succeed."}}
_SUCCESSOR = {"X-CSRF-Token": {"schema": {"type": "string"}, "description": "The token for the next request."}}
_CSRF_HEADER = {
    "name": "X-CSRF-Token",
    "in": "header",
    "required": False,
    "description": "The session's current token; without it the answer is 403.",
    "schema": {"type": "string"},
}
_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "string"},
        "retryAfter": {"type": "integer"},
        "limit": {"type": "integer"},
        "fields": {"type": "array", "items": {"type": "object"}},
    },
}


class ExactRequest(Request):
    """Reads JSON without losing digits and without numbers that JSON does not have."""

    async def json(self) -> Any:
        """The body as Python values; fractions are `Decimal`."""
        return json.loads(await self.body(), parse_float=Decimal, parse_constant=_no_such_number)


def _no_such_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class ResourceRoute(GuardedRoute):
    """The route class of every resource."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        rule = rule_of(endpoint, options.get("methods") or {"GET"})
        described = _merged(answers(*_guards_problems(rule)), options.get("responses") or {})
        success = described.setdefault(options.get("status_code") or 200, {})
        described[options.get("status_code") or 200] = {
            **success,
            "headers": _headers(rule) | success.get("headers", {}),
        }
        options["responses"] = described
        options["openapi_extra"] = _extra(rule, options.get("openapi_extra") or {})
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, on an `ExactRequest`."""
        handler = super().get_route_handler()

        async def exact(request: Request) -> Response:
            return await handler(ExactRequest(request.scope, request.receive))

        return exact


def answers(*problems: Problem) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of refusals, each with an example."""
    described: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        one = {
            "description": problem.text,
            "content": {
                "application/json": {
                    "schema": _ERROR_SCHEMA,
                    "examples": {problem.code: {"summary": problem.text, "value": _example(problem)}},
                }
            },
        }
        if problem.status in {429, 503}:
            one["headers"] = _RETRY_AFTER
        described = _merged(described, {problem.status: one})
    return described


def parts_of(request: Request) -> Instance:
    """The instance's parts."""
    parts: Instance = request.app.state.parts
    return parts


def caller_of(request: Request) -> Bearer:
    """Who is signed in; for routes whose rule asks for a session."""
    caller = exchange_of(request).caller
    if caller is None:
        raise TypeError("the route's rule does not ask for a session")
    return caller


def _example(problem: Problem) -> dict[str, Any]:
    example: dict[str, Any] = {"error": problem.text, "code": problem.code}
    if problem is Problem.LIMITED:
        example |= {"retryAfter": 37, "limit": 100}
    return example


def _headers(rule: Rule) -> dict[str, Any]:
    return (_LIMIT_HEADERS if rule.limit is not None else {}) | (_SUCCESSOR if rule.csrf else {})


def _guards_problems(rule: Rule) -> Iterable[Problem]:
    yield Problem.INVALID
    yield Problem.TOO_LARGE
    if rule.same_origin:
        yield Problem.CROSS_SITE
    if rule.limit is not None:
        yield Problem.LIMITED
    if rule.session:
        yield Problem.UNAUTHORIZED
    if rule.session or rule.csrf or rule.by is By.REFRESH or rule.limit is not None:
        yield Problem.STATE
    if rule.csrf:
        yield Problem.CSRF_MISSING
        yield Problem.CSRF_INVALID


def _extra(rule: Rule, given: dict[str, Any]) -> dict[str, Any]:
    extra = dict(given)
    if rule.session:
        extra["security"] = [{"bearer": []}]
    if rule.csrf:
        extra["parameters"] = [*extra.get("parameters", []), _CSRF_HEADER]
    return extra


def _merged(
    one: dict[int | str, dict[str, Any]], other: dict[int | str, dict[str, Any]]
) -> dict[int | str, dict[str, Any]]:
    """Both descriptions; where a status stands in both, the examples of both."""
    merged = dict(one)
    for status, described in other.items():
        if status not in merged or "content" not in described or "content" not in merged[status]:
            merged[status] = described
            continue
        content = merged[status]["content"]["application/json"]
        more = described["content"]["application/json"]
        merged[status] = {
            **merged[status],
            "content": {
                "application/json": {
                    "schema": content["schema"],
                    "examples": {**content.get("examples", {}), **more.get("examples", {})},
                }
            },
        }
    return merged
