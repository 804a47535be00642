"""Globs over names, as `invalidate_space` understands them: `*`, `?`, `[abc]`, `[^a-z]`; a backslash makes literal."""

import re

from cryptosense.state.keys import part


class Glob:
    """One pattern. `exact_start` is the literal text that every match begins with, as it stands in a key."""

    def __init__(self, pattern: str) -> None:
        literal, special = _literal_start(pattern)
        self.exact_start = part(literal) if literal and len(literal) < 64 else ""
        self._everything = pattern == "*"
        self._expression = re.compile(re.escape(literal) + _translate(pattern[special:]), re.DOTALL)

    def matches(self, name: str) -> bool:
        """Whether the whole name fits. A digest fits everything: its text is unknown; one drop too many is harmless."""
        return self._everything or name.startswith("~") or self._expression.fullmatch(name) is not None


def _literal_start(pattern: str) -> tuple[str, int]:
    """The text before the first special character, and where that one is."""
    found = re.search(r"[*?\[\\]", pattern)
    end = found.start() if found else len(pattern)
    return pattern[:end], end


def _translate(pattern: str) -> str:
    """A regular expression; an unclosed bracket stands for itself, as in Redis's own matcher."""
    pieces: list[str] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        at += 1
        if sign == "*":
            pieces.append(".*")
        elif sign == "?":
            pieces.append(".")
        elif sign == "\\" and at < len(pattern):
            pieces.append(re.escape(pattern[at]))
            at += 1
        elif sign == "[" and (end := pattern.find("]", at + 1)) > 0:
            pieces.append(_choice(pattern[at:end]))
            at = end + 1
        else:
            pieces.append(re.escape(sign))
    return "".join(pieces)


def _choice(inside: str) -> str:
    negated = inside[0] in "^!"
    chosen = inside[1:] if negated else inside
    escaped = re.sub(r"([\\\]\[^&~|])", r"\\\1", chosen)
    # A range that runs backwards is no regular expression; its ends stand for themselves.
    turned = any(low > high for low, high in re.findall(r"(.)-(.)", chosen, re.DOTALL))
    escaped = escaped.replace("-", "\\-") if turned else escaped
    return f"[{'^' if negated else ''}{escaped}]" if chosen else re.escape(f"[{inside}]")
