"""Where a deployment answers and how it is spoken to.

The defaults are the wire contract, so a deployment that follows it needs no profile of its own.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Route(_Part):
    """One route. In `body` and `path`, `{name}` is filled in by the client (`email`, `password`, `coin`, ...)."""

    method: str = "GET"
    path: str


class LimitProfile(_Part):
    """A limit as the owner declares it, and a route on which it can be probed."""

    max: int = Field(gt=0)
    window_s: float = Field(gt=0)
    method: str = "GET"
    path: str


class CsrfProfile(_Part):
    fetch: Route = Route(path="/api/v1/csrf-token")
    field: str = "csrfToken"
    header: str = "X-CSRF-Token"
    successor: Literal["header", "cookie", "body", "none"] = "header"
    successor_name: str = "X-CSRF-Token"
    grace_s: float = 5.0
    protected: Route = Route(method="POST", path="/api/v1/portfolios")
    protected_body: Mapping[str, object] = Field(default_factory=lambda: {"name": "{nonce}", "holdings": []})


class AuthProfile(_Part):
    register_route: Route | None = Route(method="POST", path="/api/v1/auth/register")
    login: Route | None = Route(method="POST", path="/api/v1/auth/login")
    refresh: Route | None = Route(method="POST", path="/api/v1/auth/refresh")
    logout: Route | None = Route(method="POST", path="/api/v1/auth/logout")
    email_field: str = "email"
    password_field: str = "password"  # noqa: S105 (a field name)
    bearer_field: str = "accessToken"
    refresh_field: str = "refreshToken"


class CacheProfile(_Part):
    tokens: Route = Route(path="/api/v1/tokens?ids={ids}")
    ttl_s: float = 30.0
    outcome_header: str = "X-Cache"
    invalidate: Route | None = Route(method="POST", path="/api/v1/tokens/invalidate")
    portfolios: Route = Route(path="/api/v1/portfolios")
    portfolios_ttl_s: float = 60.0


class HealthProfile(_Part):
    health: Route = Route(path="/health")
    ready: Route | None = Route(path="/readyz")
    metrics: Route | None = Route(path="/metrics")


class UpstreamProfile(_Part):
    """`calls_url` answers a number or `{"calls": n}`."""

    calls_url: str | None = None


class Account(_Part):
    email: str | None = None
    password: str | None = None
    bearer: str | None = None


class Hooks(_Part):
    """Shell commands of the owner's; each returns when the thing is done."""

    fault: Mapping[str, str] = Field(default_factory=dict)
    heal: Mapping[str, str] = Field(default_factory=dict)
    rollback: str | None = None


class TargetProfile(_Part):
    """Everything that may differ from the wire contract."""

    auth: AuthProfile = AuthProfile()
    csrf: CsrfProfile = CsrfProfile()
    cache: CacheProfile = CacheProfile()
    health: HealthProfile = HealthProfile()
    upstream: UpstreamProfile = UpstreamProfile()
    limits: Mapping[str, LimitProfile] = Field(
        default_factory=lambda: {
            "api": LimitProfile(max=100, window_s=900, path="/api/v1/csrf-token"),
            "auth": LimitProfile(max=5, window_s=900, method="POST", path="/api/v1/auth/login"),
            "strict": LimitProfile(max=10, window_s=60, method="POST", path="/api/v1/tokens/invalidate"),
        }
    )
    accounts: tuple[Account, ...] = ()
    hooks: Hooks = Hooks()


class Target(_Part):
    """One deployment: one or more addresses and how to speak to it."""

    urls: tuple[str, ...]
    profile: TargetProfile = TargetProfile()
    foreign: bool = False
