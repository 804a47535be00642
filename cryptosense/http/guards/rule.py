"""What a route asks of those who call it: a property of the route, never a match on its path."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeVar

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_RULE = "__cryptosense_rule__"
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


class By(Enum):
    """Who a route's limit counts against."""

    CALLER = "caller"  # the user of a validly signed bearer, else the address
    ADDRESS = "address"
    REFRESH = "refresh"  # the session of a validly signed refresh token in the body, else the address


@dataclass(frozen=True, slots=True)
class Rule:
    """One route's demands. `csrf` and `same_origin` left at None mean: on methods that change something.

    `limit` names a policy; None is unlimited.
    """

    limit: str | None = "api"
    by: By = By.CALLER
    session: bool = True
    csrf: bool | None = None
    same_origin: bool | None = None

    def on(self, methods: Collection[str]) -> "Rule":
        """The same with nothing left open, for a route with these methods."""
        changes = not SAFE_METHODS.issuperset(methods)
        return replace(
            self,
            csrf=changes and self.session if self.csrf is None else self.csrf,
            same_origin=changes if self.same_origin is None else self.same_origin,
        )


def guarded(
    *,
    limit: str | None = "api",
    by: By = By.CALLER,
    session: bool = True,
    csrf: bool | None = None,
    same_origin: bool | None = None,
) -> Callable[[_Endpoint], _Endpoint]:
    """Gives an endpoint its `Rule`; stands below the route's own decorator."""

    def mark(endpoint: _Endpoint) -> _Endpoint:
        setattr(endpoint, _RULE, Rule(limit=limit, by=by, session=session, csrf=csrf, same_origin=same_origin))
        return endpoint

    return mark


def rule_of(endpoint: Callable[..., Any], methods: Collection[str]) -> Rule:
    """The rule of an endpoint; every check where none was given."""
    rule = getattr(endpoint, _RULE, None)
    return (rule if isinstance(rule, Rule) else Rule()).on(methods)
