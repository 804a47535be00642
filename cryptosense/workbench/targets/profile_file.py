"""The file that tells what a deployment does differently: read, checked, and written as a commented template."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cryptosense.errors import UsageError
from cryptosense.workbench.target import Account, Route, TargetProfile

_HEAD = """\
# How this deployment differs from the wire contract that the workbench speaks by default.
# Every line is a default and commented out: uncomment what differs, leave the rest alone.
# A route that the deployment does not have is written as false.
# A secret is written as "env:NAME" and read from the environment when it is used.
"""


def load_profile(path: Path) -> TargetProfile:
    """Reads a target profile.

    Raises:
        UsageError: the file is missing, is no TOML, or holds a key or value that does not fit; names the first.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the target profile {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    try:
        return TargetProfile.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{path}: {_first_complaint(error)}") from None


def _first_complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"there is no key {place}; valid ones are in the file that `cryptosense target init` writes"
    return f"{place}: {first['msg']}"


def template() -> str:
    """The commented profile, generated from the model, so that the two cannot disagree."""
    profile = TargetProfile()
    lines = [_HEAD]
    for name in TargetProfile.model_fields:
        value = getattr(profile, name)
        if isinstance(value, BaseModel):
            lines += ["", *_table(name, value)]
    for name, limit in profile.limits.items():
        lines += ["", *_table(f"limits.{name}", limit)]
    lines += ["", *_accounts()]
    return "\n".join(lines) + "\n"


def _table(name: str, part: BaseModel) -> Iterator[str]:
    if part.__doc__:
        yield f"# {part.__doc__.strip().splitlines()[0]}"
    yield f"# [{name}]"
    nested: list[tuple[str, dict[str, Any]]] = []
    for key, field in type(part).model_fields.items():
        value = getattr(part, key)
        if isinstance(value, dict):
            nested.append((key, value))
            yield from _described(field, f"{name}.{key}, a table")
            continue
        yield from _described(field)
        yield f"# {key} = {_toml(value)}" if value is not None else f"# {key} = ...  (not set)"
    for key, value in nested:
        yield f"# [{name}.{key}]"
        yield from (f"# {inner} = {_toml(content)}" for inner, content in value.items())


def _accounts() -> Iterator[str]:
    yield "# Ready accounts, one table each; several where the deployment sees all our requests from one address."
    yield "# [[accounts]]"
    example = {"email": "env:SHOP_EMAIL", "password": "env:SHOP_PASSWORD", "bearer": "env:SHOP_BEARER"}
    yield from (f"# {key} = {_toml(example[key])}" for key in Account.model_fields)


def _described(field: FieldInfo, prefix: str = "") -> Iterator[str]:
    text = ": ".join(part for part in (prefix, field.description) if part)
    if text:
        yield f"#   {text}"


def _toml(value: object) -> str:
    if isinstance(value, Route):
        return f'{{ method = "{value.method}", path = "{value.path}" }}'
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
