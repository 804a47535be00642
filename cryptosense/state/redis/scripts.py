"""The Lua scripts: one file each below `lua/`, with a header that names KEYS, ARGV, reply and atomicity."""

import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha1
from importlib.resources import files
from types import MappingProxyType

_USES = re.compile(r"^-- uses: (\S+)$", re.MULTILINE)


class Script:
    """A script's text and the digest by which the server knows it."""

    __slots__ = ("body", "digest", "name")

    def __init__(self, name: str, body: bytes) -> None:
        self.name = name
        self.body = body
        self.digest = sha1(body, usedforsecurity=False).hexdigest().encode()


@cache
def scripts() -> Mapping[str, Script]:
    """Every script that can be called, by the name of its file."""
    sources = {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in files("cryptosense.state.redis").joinpath("lua").iterdir()
        if entry.name.endswith(".lua")
    }
    used = {name for source in sources.values() for name in _USES.findall(source)}
    whole = {
        name.removesuffix(".lua"): "".join([*(sources[other] for other in _USES.findall(source)), source])
        for name, source in sources.items()
        if name not in used
    }
    return MappingProxyType({name: Script(name, _slim(body)) for name, body in whole.items()})


def _slim(source: str) -> bytes:
    """Without the comment lines, which the server would otherwise keep."""
    lines = (line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("--"))
    return "\n".join(lines).encode()
