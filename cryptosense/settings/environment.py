"""Typed access to environment variables; a refusal is one line that names the variable."""

import re
from collections.abc import Mapping
from typing import TypeVar

from cryptosense.errors import ConfigurationError

_Choice = TypeVar("_Choice", bound=str)


class Environment:
    """The variables, an empty one counting as unset.

    Every method gives the variable's value, or what stands for an unset one.

    Raises:
        ConfigurationError: the value is not what was asked for; the text names the variable.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def text(self, name: str) -> str | None:
        """As it stands, without white space around it; None where unset."""
        value = self.environ.get(name, "").strip()
        if any(ord(letter) < 32 for letter in value):
            raise ConfigurationError(f"{name} holds a control character")
        return value or None

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number, both bounds included."""
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ConfigurationError(f"{name} must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        """A number, both bounds included; never NaN."""
        text = self.text(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:  # also false for NaN
            raise ConfigurationError(f"{name} must be a number from {least:g} to {most:g}, not {text!r}")
        return value

    def yes(self, name: str) -> bool | None:
        """True or false, in the usual spellings; None where unset."""
        text = self.text(name)
        if text is None:
            return None
        if text.lower() not in {"true", "false", "1", "0", "yes", "no"}:
            raise ConfigurationError(f"{name} must be true or false, not {text!r}")
        return text.lower() in {"true", "1", "yes"}

    def choice(self, name: str, names: tuple[_Choice, ...], default: _Choice) -> _Choice:
        """One of `names`, letter by letter."""
        text = self.text(name)
        if text is None:
            return default
        if text not in names:
            raise ConfigurationError(f"{name} must be one of {', '.join(names)}, not {text!r}")
        return names[names.index(text)]
