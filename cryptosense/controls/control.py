"""What a control is, and how it is found by its name: one small module each."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from fastapi import FastAPI
from starlette.types import ASGIApp

from cryptosense.errors import UsageError
from cryptosense.http.app import create_app
from cryptosense.http.wiring import Instance, Replacement, assemble_reference
from cryptosense.settings import Settings

PACKAGE = "cryptosense.controls.flawed"


@dataclass(frozen=True, slots=True)
class Control:
    """`contract` is the promise that is broken; `flaw` says how, in one sentence.

    `parts` are built in place of the reference's; `wrap` stands around the whole app, for what no part decides.
    `one_server`: the flawed part knows neither Sentinel nor Cluster.
    """

    contract: str
    flaw: str
    parts: Mapping[str, Replacement] = field(default_factory=dict)
    wrap: Callable[[ASGIApp], ASGIApp] | None = None
    one_server: bool = False

    def app(self, settings: Settings) -> FastAPI:
        """The flawed service."""

        def assemble(given: Settings) -> Instance:
            return assemble_reference(given, **self.parts)

        app = create_app(settings, assemble)
        if self.wrap is not None:
            app.add_middleware(_Wrapped, wrap=self.wrap)
        return app


class _Wrapped:
    """Starlette builds middleware from a class; this one is whatever `wrap` makes of the app."""

    def __new__(cls, app: ASGIApp, wrap: Callable[[ASGIApp], ASGIApp]) -> ASGIApp:  # type: ignore[misc]
        return wrap(app)


@cache
def catalog() -> Mapping[str, Control]:
    """Every control by name: the module's, with dashes."""
    package = importlib.import_module(PACKAGE)
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return {name.replace("_", "-"): importlib.import_module(f"{PACKAGE}.{name}").CONTROL for name in names}


def find_control(name: str) -> Control:
    """The control of that name.

    Raises:
        UsageError: there is none; names those there are.
    """
    try:
        return catalog()[name]
    except KeyError:
        raise UsageError(f"there is no control {name!r}; there are {', '.join(catalog())}") from None
