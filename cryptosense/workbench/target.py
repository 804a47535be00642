"""Where a deployment answers and how it is spoken to.

The defaults are the wire contract, so a deployment that follows it needs no profile of its own. A value written as
`env:NAME` stands for the environment variable NAME and is read only when it is used, so that no secret lies in a plan,
a history or a report.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cryptosense.errors import UsageError

_REFERENCE = "env:"


def reveal(value: str) -> str:
    """The value itself, or what the environment variable holds that it refers to as `env:NAME`.

    Raises:
        UsageError: the variable is not set.
    """
    if not value.startswith(_REFERENCE):
        return value
    name = value.removeprefix(_REFERENCE)
    if name not in os.environ:
        raise UsageError(f"the target profile refers to the environment variable {name}, which is not set")
    return os.environ[name]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _false_means_none(cls, given: Any) -> Any:
        """TOML knows no null: a route that the deployment lacks is written as false."""
        return (
            {key: None if value is False else value for key, value in given.items()}
            if isinstance(given, dict)
            else given
        )


class Route(_Part):
    """One route. In `path`, `{name}` is filled in by the client (`ids`, `id`, `coin`, ...)."""

    method: str = "GET"
    path: str


class LimitProfile(_Part):
    """A limit as the owner declares it, and a route on which it can be probed."""

    max: int = Field(gt=0, description="requests admitted per window and client")
    window_s: float = Field(gt=0, description="length of the window in seconds")
    method: str = Field(default="GET", description="method of a request that this limit counts")
    path: str = Field(description="path of a request that this limit counts")


class AuthProfile(_Part):
    """How a client signs up and in. Leave `register_route` out where accounts are made another way."""

    register_route: Route | None = Field(default=Route(method="POST", path="/api/v1/auth/register"))
    login: Route | None = Route(method="POST", path="/api/v1/auth/login")
    refresh: Route | None = Route(method="POST", path="/api/v1/auth/refresh")
    logout: Route | None = Route(method="POST", path="/api/v1/auth/logout")
    delete_route: Route | None = Field(
        default=None,
        description='removes the account that asks, as { method = "DELETE", path = "/account" }, where {email} is '
        "its address; without it the accounts that a run makes are left, and listed",
    )
    email_field: str = Field(default="email", description="name in the body sent to register and login")
    password_field: str = Field(default="password", description="name in the body sent to register and login")
    bearer_field: str = Field(default="accessToken", description="where the answer holds the bearer; dots go deeper")
    refresh_field: str = Field(default="refreshToken", description="where the answer holds the refresh token")


class CsrfProfile(_Part):
    """Where the CSRF token is found, how it is sent, and how its successor is delivered."""

    fetch: Route = Route(path="/api/v1/csrf-token")
    field: str = Field(default="csrfToken", description="where the answer holds the token; dots go deeper")
    header: str = Field(default="X-CSRF-Token", description="request header that carries the token")
    successor: Literal["header", "cookie", "body", "none"] = Field(
        default="header", description="where the next token comes back: header, cookie, body, or not at all (none)"
    )
    successor_name: str = Field(default="X-CSRF-Token", description="name of that header, cookie or body field")
    grace_s: float = Field(default=5.0, ge=0, description="how long a replaced token stays good; 0 means strict")
    other_sites: Literal["refused", "ignored"] = Field(
        default="refused", description="whether requests of other sites' pages are refused by Origin and Sec-Fetch-Site"
    )
    protected: Route = Route(method="POST", path="/api/v1/portfolios")
    protected_body: Mapping[str, object] = Field(
        default_factory=lambda: {"name": "{nonce}", "holdings": []},
        description="body of the protected request; {nonce} becomes a name of this run's",
    )
    remove: Route | None = Field(
        default=Route(method="DELETE", path="/api/v1/portfolios/{id}"),
        description="removes what the protected request made; its id is the answer's field `remove_field`",
    )
    remove_field: str = Field(default="portfolio.id", description="where the answer holds that id; dots go deeper")


class CacheProfile(_Part):
    """A cached read, and how to drop what it cached."""

    tokens: Route = Route(path="/api/v1/tokens?ids={ids}")
    ids: tuple[str, ...] = Field(default=("bitcoin", "ethereum", "solana"), description="values for {ids}")
    ttl_s: float = Field(default=30.0, gt=0, description="how long that read is cached, in seconds")
    rows_field: str = Field(default="tokens", description="where the answer holds the rows; dots go deeper")
    stamp_field: str = Field(default="last_updated", description="where a row says when the upstream made it")
    outcome_header: str | None = Field(default="X-Cache", description="response header that tells hit from miss")
    outcomes: Mapping[str, tuple[str, ...]] = Field(
        default_factory=lambda: {word: (word,) for word in ("hit", "stale", "miss", "negative", "bypass")},
        description="what that header says, in the deployment's words; leave out what it never says",
    )
    invalidate: Route | None = Route(method="POST", path="/api/v1/tokens/invalidate")
    invalidate_field: str | None = Field(
        default="ids", description="field of its body that lists the coins to drop; false where it always drops all"
    )
    portfolios: Route = Route(path="/api/v1/portfolios")
    portfolios_ttl_s: float = Field(default=60.0, gt=0, description="how long a user's list is cached, in seconds")


class ErrorsProfile(_Part):
    """How a refusal names its reason."""

    code_field: str | None = Field(
        default="code", description="where a refusal's body holds its code; dots go deeper; false where it has none"
    )
    codes: Mapping[str, str] = Field(
        default_factory=dict, description="the deployment's code = the wire contract's, where they differ"
    )


class LimitHeadersProfile(_Part):
    """Names of the headers that tell about limits; false where the deployment does not send one."""

    limit: str | None = Field(default="X-RateLimit-Limit", description="the limit")
    remaining: str | None = Field(default="X-RateLimit-Remaining", description="what is left of it")
    reset: str | None = Field(default="X-RateLimit-Reset", description="when quota next increases, ISO 8601")
    ietf_policy: str | None = Field(default="RateLimit-Policy", description="the IETF field with quota and window")
    ietf: str | None = Field(default="RateLimit", description="the IETF field with rest and reset")
    retry_after: str | None = Field(default="Retry-After", description="seconds to wait, on a 429 and a 503")


class HealthProfile(_Part):
    """How health is read."""

    health: Route = Route(path="/health")
    ready: Route | None = Route(path="/readyz")
    metrics: Route | None = Route(path="/metrics")


class UpstreamProfile(_Part):
    """How upstream calls are counted."""

    calls_url: str | None = Field(default=None, description='URL that answers a number or {"calls": n}')
    slow_command: str | None = Field(default=None, description="shell command that makes the upstream slow")
    heal_command: str | None = Field(default=None, description="shell command that undoes slow_command")


class Account(_Part):
    """A ready account: `email` and `password`, or `bearer`. Secrets are written as `env:NAME`, and not otherwise."""

    email: str | None = None
    password: str | None = None
    bearer: str | None = None

    @field_validator("password", "bearer")
    @classmethod
    def _from_the_environment(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(_REFERENCE):
            raise ValueError("a secret stands in no file: write env:NAME, and put it into that environment variable")
        return value


class Hooks(_Part):
    """Shell commands of the owner's; each returns when the thing is done."""

    fault: Mapping[str, str] = Field(
        default_factory=dict,
        description="name of a fault (outage, freeze, kill-restart; `target check` lists all) and the command "
        "that injects it",
    )
    heal: Mapping[str, str] = Field(default_factory=dict, description="name of a fault and the command that cures it")
    restart: str | None = Field(default=None, description="restarts one instance")
    rollback: str | None = Field(default=None, description="rolls the deployment back to its state before Redis")


class TargetProfile(_Part):
    """Everything that may differ from the wire contract."""

    auth: AuthProfile = AuthProfile()
    csrf: CsrfProfile = CsrfProfile()
    cache: CacheProfile = CacheProfile()
    errors: ErrorsProfile = ErrorsProfile()
    limit_headers: LimitHeadersProfile = LimitHeadersProfile()
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

    def require_secrets(self) -> None:
        """Looks whether all that accounts refer to is there, before anything is sent.

        Raises:
            UsageError: an environment variable is not set; names it.
        """
        for account in self.accounts:
            for value in (account.email, account.password, account.bearer):
                if value is not None:
                    reveal(value)

    def untold(self) -> dict[str, str]:
        """What a client of this deployment is not told, and so cannot be judged: topic and what to provide."""
        found = {
            f"header {key}": f"[limit_headers] {key} names no header" for key, name in self.limit_headers if not name
        }
        if not self.errors.code_field:
            found["codes"] = "codes cannot be judged, since [errors] code_field names no field"
        if not self.health.ready:
            found["ready"] = "[health] ready names no route that tells when a fallback is at work"
        if not self.cache.outcome_header:
            found["outcome"] = "[cache] outcome_header names no header that tells hit from miss"
        return found


class Target(_Part):
    """One deployment: one or more addresses and how to speak to it."""

    urls: tuple[str, ...]
    profile: TargetProfile = TargetProfile()
    foreign: bool = False
