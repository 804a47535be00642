"""What an experiment is: a question, typed parameters, a conduct that only records, claims that only judge.

A run is saved before it is judged: `conduct` writes a history and nothing else, `claims` and `charts` are pure
functions of parameters and history, so a saved run can be judged and drawn again without running.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from cryptosense.workbench.claims.claim import Claim, Judgement
from cryptosense.workbench.deployment import Deployment, DeploymentPlan
from cryptosense.workbench.history import History, Recorder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Profile = Literal["quick", "full"]


class Parameters(BaseModel):
    """Base of every experiment's parameters: frozen, typed, each with a description and a quick-profile default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=20251008, description="seed of every random choice that the load makes")


P_contra = TypeVar("P_contra", bound=Parameters, contravariant=True)


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn figure; `alt` says in words, generated from the data, what the picture shows."""

    name: str
    title: str
    alt: str
    figure: "Figure"


class Progress(Protocol):
    """Where an experiment says what it is doing; shown live by the command line and the notebook."""

    def phase(self, name: str, *, expected_seconds: float | None = None) -> None: ...

    def advance(self, operations: int) -> None:
        """Adds finished operations to the count that is shown."""
        ...

    def fault(self, label: str | None) -> None:
        """The fault under way, None once it is healed."""
        ...


class Lab(Protocol):
    """What an experiment is given to work with."""

    @property
    def folder(self) -> Path:
        """The experiment's folder within the run; logs and data of its processes go below it."""
        ...

    @property
    def recorder(self) -> Recorder: ...

    @property
    def progress(self) -> Progress: ...

    def deploy(self, plan: DeploymentPlan) -> AbstractAsyncContextManager[Deployment]:
        """Brings up what `plan` describes (or opens the foreign target that the user named), and ends it on leaving.

        Raises:
            CouldNotStart: with the last lines of the log of what did not come up.
        """
        ...


@dataclass(frozen=True, slots=True)
class Charge:
    """How an experiment tries a service that breaks one promise of the contract.

    `claims` are the ids of those that are meant to convict it: it is caught when one of them comes out VIOLATED and
    none HOLDS, and whatever else goes wrong with the service does not count. `parameters` make the trial short.
    """

    claims: tuple[str, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Doubt:
    """How an experiment introduces itself, in the notebook's and the report's words."""

    question: str
    method: str
    changes_our_mind: str


class Experiment(Protocol[P_contra]):
    """One module under `workbench/experiments/`, exported there as `EXPERIMENT`; its notebook has the same name."""

    name: ClassVar[str]
    order: ClassVar[int]
    doubt: ClassVar[Doubt]
    parameters: ClassVar[type[Any]]
    full: ClassVar[Mapping[str, Any]]
    """What the full profile changes against the parameters' defaults, which are the quick profile's."""

    # Optional: `charges: ClassVar[Mapping[str, Charge]]`, by the contract's id, names the promises whose controls the
    # experiment tries (it has a `service` parameter then), and the claims that are to convict them.
    # Optional: `parallel_safe: ClassVar[bool] = True` says that another such experiment may run at the same time
    # without disturbing a verdict of either. Without it an experiment has the machine to itself.

    async def conduct(self, parameters: P_contra, lab: Lab) -> None: ...

    def claims(self, parameters: P_contra) -> Sequence[Claim]: ...

    def charts(self, parameters: P_contra, history: History, judgements: Sequence[Judgement]) -> Sequence[Chart]: ...
