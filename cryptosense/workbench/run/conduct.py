"""One experiment, conducted: plan written, history kept, everything ended and healed, then judged."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

from cryptosense.errors import CryptoSenseError, Interrupted
from cryptosense.workbench.deployment import Deployment, DeploymentPlan
from cryptosense.workbench.experiment import Parameters
from cryptosense.workbench.experiments import AnyExperiment
from cryptosense.workbench.history import Recorder
from cryptosense.workbench.progress import DONE, JUDGING, ProgressLog
from cryptosense.workbench.results import ExperimentVerdicts, write_json
from cryptosense.workbench.run.judging import HISTORY, judge_saved
from cryptosense.workbench.run.parameters import plain
from cryptosense.workbench.run.surroundings import Surroundings
from cryptosense.workbench.target import Target

PLAN = "plan.json"
PLAN_SCHEMA = "cryptosense.plan/1"
STOP = "stop"
"""A file of this name in the experiment's folder asks the experiment to heal, end and keep what it has.

Its text says why. A file reaches the kernel wherever it is, even before it has begun, which a signal does not: IPython
ignores an interrupt between two cells."""

_LOOK_EVERY_S = 0.2
_FLUSH_EVERY_S = 2.0


class Workbench:
    """Implements `experiment.Lab`."""

    def __init__(self, folder: Path, recorder: Recorder, progress: ProgressLog, surroundings: Surroundings) -> None:
        self.folder = folder
        self.recorder = recorder
        self.progress = progress
        self._surroundings = surroundings

    def deploy(self, plan: DeploymentPlan) -> AbstractAsyncContextManager[Deployment]:
        """What `plan` asks for, or the foreign target, whose capabilities say how much of it that is."""
        if self._surroundings.target is not None:
            from cryptosense.workbench.targets.foreign import open_target  # noqa: PLC0415 (heavy, seldom needed)

            return open_target(Target.model_validate_json(self._surroundings.target))
        from cryptosense.workbench.topology.deployments import open_deployment  # noqa: PLC0415 (heavy)

        return open_deployment(plan, folder=self.folder, redis_url=self._surroundings.redis_url)


async def conduct_experiment(
    experiment: AnyExperiment,
    parameters: Parameters,
    folder: Path,
    surroundings: Surroundings,
    progress: ProgressLog,
) -> ExperimentVerdicts:
    """Runs the experiment in `folder` and judges it. The history is saved before anything is judged.

    Raises:
        Interrupted: somebody asked it to stop; the partial run is kept, judged UNDECIDED, and everything healed.
        Exception: what the experiment itself raised, after the same.
    """
    write_plan(folder, experiment, parameters, surroundings)
    started = time.monotonic()
    trouble: BaseException | None = None
    try:
        with Recorder(folder / HISTORY) as recorder:
            bench = Workbench(folder, recorder, progress, surroundings)
            await _attend(asyncio.create_task(experiment.conduct(parameters, bench)), folder / STOP, recorder)
    except asyncio.CancelledError as error:
        trouble = Interrupted("stopped by hand")
        trouble.__cause__ = error
    except Exception as error:  # noqa: BLE001 — raised again below, once what there is has been saved and judged
        trouble = error
    progress.fault(None)
    progress.phase(JUDGING)
    seconds = time.monotonic() - started
    verdicts = judge_saved(experiment, parameters, folder, seconds=seconds, reason=_reason(trouble))
    progress.phase(DONE)
    if trouble is not None:
        raise trouble
    return verdicts


def write_plan(folder: Path, experiment: AnyExperiment, parameters: Parameters, surroundings: Surroundings) -> None:
    """Writes `plan.json`: all that is needed to judge the run's history again."""
    document = {
        "schema": PLAN_SCHEMA,
        "experiment": experiment.name,
        "profile": surroundings.profile,
        "parameters": plain(parameters),
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(folder / PLAN, document)


async def _attend(work: asyncio.Task[None], stop: Path, recorder: Recorder) -> None:
    """Waits for the experiment while looking out for a request to stop, and always until it has cleaned up."""
    flushed = time.monotonic()
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=_LOOK_EVERY_S)
            if reason := _asked_to_stop(stop):
                raise Interrupted(reason)
            if time.monotonic() - flushed > _FLUSH_EVERY_S:
                recorder.flush()
                flushed = time.monotonic()
    except BaseException:
        # The experiment's own `finally` blocks heal faults and end processes before anybody hears of the stop.
        work.cancel()
        await asyncio.wait({work})
        if not work.cancelled() and (unhealed := work.exception()) is not None:
            raise Interrupted(f"stopped, and then could not clean up: {unhealed}") from unhealed
        raise
    work.result()


def _asked_to_stop(stop: Path) -> str:
    try:
        return stop.read_text(encoding="utf-8").strip() or "stopped"
    except FileNotFoundError:
        return ""


def _reason(trouble: BaseException | None) -> str:
    if trouble is None:
        return ""
    if isinstance(trouble, Interrupted):
        return f"interrupted: {trouble}"
    first_line = str(trouble).partition("\n")[0]
    if isinstance(trouble, CryptoSenseError):
        return f"the experiment could not go on: {first_line}"
    return f"the experiment failed: {type(trouble).__name__}: {first_line}"
