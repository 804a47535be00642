"""Checks that a route asks for, run in one order before its body is read; usable in any FastAPI app.

    app.router.route_class = GuardedRoute
    app.state.guards = GuardPlan((BodySize(), SameOrigin(), SignedBearer(sessions), Limited(limiter, identities),
                                  LiveSession(sessions), CsrfProtected(csrf)), deadline=lambda: deadline(250))

    @app.post("/orders")
    @guarded(limit="api")
    async def order(request: Request): ...

A route without `@guarded` gets every check: what is forgotten is closed, not open. `tests/http/test_elsewhere.py` is a
whole app of somebody else's.
"""

from cryptosense.http.guards.checks import (
    BodySize,
    CsrfProtected,
    Limited,
    LiveSession,
    SameOrigin,
    SignedBearer,
)
from cryptosense.http.guards.exchange import Check, Exchange, exchange_of
from cryptosense.http.guards.route import GuardedRoute, GuardPlan
from cryptosense.http.guards.rule import By, Rule, guarded, rule_of

__all__ = [
    "BodySize",
    "By",
    "Check",
    "CsrfProtected",
    "Exchange",
    "GuardPlan",
    "GuardedRoute",
    "Limited",
    "LiveSession",
    "Rule",
    "SameOrigin",
    "SignedBearer",
    "exchange_of",
    "guarded",
    "rule_of",
]
