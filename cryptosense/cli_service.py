"""The part of the command line that knows which services an experiment may be told to judge.

The workbench starts a service by its name and knows no list of them; the flawed ones are listed where they lie.
"""

from collections.abc import Iterable

from cryptosense.errors import UsageError
from cryptosense.workbench.run.execution import Chosen

PARAMETER = "service"
REFERENCE = "reference"


def refuse_unknown_services(chosen: Iterable[Chosen], *, targeted: bool) -> None:
    """Refuses a service that nobody could start, and any where the run starts none.

    Raises:
        UsageError: names the parameter and what it may be.
    """
    for one in chosen:
        if PARAMETER not in one.changed:
            continue
        name, parameter = str(getattr(one.parameters, PARAMETER)), f"{one.name}.{PARAMETER}"
        if targeted:
            raise UsageError(f"-p {parameter} names a service that the run starts, and with --target it starts none")
        if name != REFERENCE and name not in (known := _controls()):
            raise UsageError(
                f"-p {parameter}={name}: there is no such service; there are {', '.join((REFERENCE, *known))}"
            )


def _controls() -> list[str]:
    from cryptosense.controls.control import catalog

    return list(catalog())
