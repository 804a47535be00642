"""What a checker needs of an answer, read off it without keeping a secret."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import httpx

from cryptosense.workbench.target import CsrfProfile, TargetProfile

_TRACE = re.compile(rb"Traceback \(most recent call last\)|\bat .+\.(?:js|ts):\d+:\d+|File \".+\.py\", line \d+")
_NUMBERED = re.compile(r"#(\d+)$")


def dig(body: Any, name: str) -> Any:
    """A field of a JSON answer; dots in the name go deeper. None where it is not there."""
    for step in name.split("."):
        if not isinstance(body, Mapping):
            return None
        body = body.get(step)
    return body


def successor_of(profile: CsrfProfile, response: httpx.Response, body: Any, *, explicit: bool) -> str | None:
    """The CSRF token to present next, from where the profile says it is; after an explicit rotation, from the body."""
    if explicit and isinstance(dig(body, profile.field), str):
        return str(dig(body, profile.field))
    if profile.successor == "header":
        return response.headers.get(profile.successor_name) or None
    if profile.successor == "cookie":
        return response.cookies.get(profile.successor_name) or None
    if profile.successor == "body":
        found = dig(body, profile.successor_name)
        return found if isinstance(found, str) else None
    return None


def facts_of(
    kind: str,
    profile: TargetProfile,
    response: httpx.Response,
    body: Any,
    successor: str | None,
    *,
    name: Callable[[str | bytes], str],
) -> dict[str, Any]:
    """`got` of an operation; what the answer does not have is left out.

    Always: `code`, `limit`, `remaining`, `reset` (seconds from the answer's `Date`), `retry_after`, `ietf_policy`,
    `ietf`, `x_cache`, `successor`, `json` (False for a body that should have been), `trace`. By kind: `token`,
    `bearer`, `user`; `version` (digest of the body), `rows`, `as_of` (newest `last_updated`, Unix seconds), `seq`;
    `state`, `stage`, `redis`, `degraded`.
    """
    fields = body if isinstance(body, dict) else {}
    facts: dict[str, Any] = {
        key: response.headers[header] for key, header in profile.limit_headers if header and header in response.headers
    }
    facts |= _numbers(facts)
    facts["code"] = _code(profile, fields)
    facts["x_cache"] = _cache_outcome(profile, response)
    facts["successor"] = None if successor is None else name(successor)
    facts["trace"] = True if _TRACE.search(response.content) else None
    facts["json"] = False if response.content and body is None and "json" not in _type(response) else None
    facts |= _by_kind(kind, profile, response, fields, name)
    return {key: value for key, value in facts.items() if value is not None}


def _code(profile: TargetProfile, fields: Mapping[str, Any]) -> Any:
    """The refusal's code in the wire contract's words; as it stands where the profile knows no other word for it."""
    found = dig(fields, profile.errors.code_field) if profile.errors.code_field else None
    return profile.errors.codes.get(str(found), found)


def _cache_outcome(profile: TargetProfile, response: httpx.Response) -> str | None:
    """How the answer was served, in the wire contract's words; as it stands where the profile does not know the word.

    A header may say more behind the word (`HIT from edge-3`): the first word counts.
    """
    said = response.headers.get(profile.cache.outcome_header or "")
    if said is None:
        return None
    words = {theirs: ours for ours, spellings in profile.cache.outcomes.items() for theirs in spellings}
    return words.get(said) or words.get(said.split(" ", 1)[0]) or str(said)


def _by_kind(
    kind: str, profile: TargetProfile, response: httpx.Response, fields: Mapping[str, Any], name: Callable[..., str]
) -> dict[str, Any]:
    if kind == "csrf.fetch":
        token = dig(fields, profile.csrf.field)
        return {"token": name(token) if isinstance(token, str) else None}
    if kind.startswith("auth."):
        bearer, user = dig(fields, profile.auth.bearer_field), fields.get("user")
        return {
            "bearer": name(bearer) if isinstance(bearer, str) else None,
            "user": str(user.get("id")) if isinstance(user, dict) else None,
        }
    if kind.startswith(("tokens", "portfolios", "insights")) and response.is_success:
        rows = dig(fields, profile.cache.rows_field)
        return {
            "version": name(response.content),
            "rows": len(rows) if isinstance(rows, list) else None,
            "as_of": _newest(fields, rows, profile.cache.stamp_field),
            "seq": _sequence(fields),
        }
    if kind in {"health.read", "ready.read"}:
        services = fields.get("services")
        return {
            "state": fields.get("status"),
            "stage": fields.get("stage"),
            "degraded": fields.get("degraded"),
            "services": services if isinstance(services, dict) else None,
        }
    return {}


def _numbers(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The limit headers as numbers; one that is not a number keeps its text, for the checker to convict."""
    numbers: dict[str, Any] = {
        key: int(facts[key]) for key in ("limit", "remaining", "retry_after") if str(facts.get(key, "")).isdigit()
    }
    if "reset" in facts:
        try:
            numbers["reset_at"] = datetime.fromisoformat(str(facts["reset"])).timestamp()
        except ValueError:
            numbers["reset_at"] = None
    return numbers


def _newest(fields: Mapping[str, Any], rows: Any, field: str) -> float | None:
    """The newest stamp (`last_updated`) among the rows, or the `as_of` of a computed answer."""
    stamps = [row.get(field) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    stamps += [part.get("as_of") for part in fields.values() if isinstance(part, dict)]
    seconds = []
    for stamp in stamps:
        if isinstance(stamp, str):
            try:
                seconds.append(datetime.fromisoformat(stamp).timestamp())
            except ValueError:
                continue
        elif isinstance(stamp, int | float):
            seconds.append(float(stamp))
    return max(seconds, default=None)


def _sequence(fields: Mapping[str, Any]) -> int | None:
    """The newest number that a portfolio's name carries (`...#17`)."""
    found = fields.get("portfolios", [fields.get("portfolio")])
    names = [str(item.get("name", "")) for item in found if isinstance(item, dict)] if isinstance(found, list) else []
    numbers = [int(match[1]) for match in map(_NUMBERED.search, names) if match]
    return max(numbers, default=None)


def _type(response: httpx.Response) -> str:
    return str(response.headers.get("Content-Type", ""))
