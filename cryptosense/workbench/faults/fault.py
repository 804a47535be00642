"""What every fault is, and how it finds its victim."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from cryptosense.errors import UsageError
from cryptosense.workbench.deployment import Capability, Deployment, Process, StoreKind
from cryptosense.workbench.topology.servers import Server
from cryptosense.workbench.topology.stores import OwnStore


class Fault(ABC):
    """One fault on one deployment, to be injected once and healed once or more.

    `name` is how plans call it, `label` how charts do, `hatch` its shading, `arguments` what may stand in its
    brackets. A new fault is a subclass and a row in `timeline.FAULTS`.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    hatch: ClassVar[str]
    accepts: ClassVar[str] = ""
    """The arguments in words, for the message that refuses others."""

    def __init__(self, deployment: Deployment, arguments: Sequence[str] = ()) -> None:
        """Finds out whether the fault is possible at all; touches nothing.

        Raises:
            UsageError: the deployment does not grant what the fault needs, or the arguments are not its.
        """
        self.deployment = deployment
        self.arguments = tuple(arguments)
        self.subject = ""
        """Whom it hit, once injected: a process's name."""
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Checks arguments and capabilities.

        Raises:
            UsageError: they do not fit.
        """

    @abstractmethod
    async def inject(self) -> None:
        """Returns when the fault is in effect."""

    @abstractmethod
    async def cure(self) -> None:
        """Returns when everything is as before. Fine when nothing was injected, or twice."""

    def refuse_arguments(self, *, beyond: int) -> None:
        """For `prepare`: no more arguments than `beyond`."""
        if len(self.arguments) > beyond:
            raise self.wrong_arguments()

    def wrong_arguments(self) -> UsageError:
        told = f"({', '.join(self.arguments)})" if self.arguments else ""
        return UsageError(f"{self.name}{told}: {self.name} takes {self.accepts or 'no arguments'}")

    def own_store(self) -> OwnStore:
        """The store that the run started.

        Raises:
            UsageError: there is none; nothing is done to a server that is not the run's.
        """
        store = self.deployment.store
        if Capability.FAULTS not in self.deployment.capabilities or store is None or store.kind is StoreKind.GIVEN:
            raise UsageError(f"{self.name} needs a store that the run started, and {self.deployment.label} has none")
        # Capability.FAULTS without a given store is what the topology grants to its own stores alone.
        own: OwnStore = store  # type: ignore[assignment]
        return own

    def single_server(self) -> Server:
        """The one server of a store that has only one.

        Raises:
            UsageError: there are several.
        """
        store = self.own_store()
        if len(store.servers) != 1:
            raise UsageError(f"{self.name} needs a store of one server, not {store.kind}")
        return store.servers[0]


async def victim(fault: Fault, subject: str) -> Process:
    """`primary`, `replica`, or a process by its name (`instance-0`, `data-1`, `sentinel-2`)."""
    named = {process.name: process for process in everyone(fault)}
    if subject in named:
        return named[subject]
    store = fault.own_store()
    primary = await store.primary()
    if subject == "primary":
        return primary
    return next(server for server in store.data_servers if server is not primary and server.alive())


def check_subject(fault: Fault, subject: str) -> None:
    """Whether `victim` can find it.

    Raises:
        UsageError: there is no such process in the deployment.
    """
    named = {process.name for process in everyone(fault)}
    if subject in named:
        return
    if subject not in {"primary", "replica"}:
        raise UsageError(f"{fault.name}({subject}): there are primary, replica, {', '.join(sorted(named))}")
    if subject == "replica" and len(fault.own_store().data_servers) < 2:
        raise UsageError(f"{fault.name}(replica): the store has no replica")
    fault.own_store()


def everyone(fault: Fault) -> list[Process]:
    """Every process of the deployment that faults may hit: instances, and the servers that the run started."""
    store = fault.deployment.store
    servers: Sequence[Process] = store.servers if store is not None else ()
    return [*fault.deployment.instances, *servers]
