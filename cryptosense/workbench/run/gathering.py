"""From the experiments' folders to `results.json`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cryptosense.errors import CouldNotStart, WorkbenchError
from cryptosense.settings import RedisSettings
from cryptosense.workbench.experiment import Parameters
from cryptosense.workbench.experiments import AnyExperiment, find_experiment
from cryptosense.workbench.history import load_history
from cryptosense.workbench.results import (
    RESULTS,
    VERDICTS,
    ExperimentResult,
    ExperimentVerdicts,
    RunResults,
    verdict_of_run,
)
from cryptosense.workbench.run.judging import HISTORY, undecided_verdicts
from cryptosense.workbench.run.surroundings import Surroundings, describe_environment, redacted, redis_address
from cryptosense.workbench.topology.servers import find_server
from cryptosense.workbench.verdicts import Verdict, worst

_ASK_SECONDS = 3.0


def iso(moment: float) -> str:
    """A Unix time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def gather_experiment(
    run: Path, experiment: AnyExperiment, parameters: Parameters, *, trouble: str = "", seconds: float = 0.0
) -> ExperimentResult:
    """What the experiment's folder says. `trouble` is why its notebook did not come to its end, if it did not.

    Without a whole `verdicts.json` every claim is UNDECIDED, with the reason. With one, a notebook that failed
    afterwards keeps its claims, and the experiment is at best UNDECIDED.
    """
    try:
        judged = ExperimentVerdicts.read(run / experiment.name / VERDICTS)
    except WorkbenchError as error:
        reason = trouble or f"no verdicts were left: {error}"
        judged = undecided_verdicts(experiment, parameters, seconds=seconds, reason=reason)
    return result_of(judged, trouble=trouble)


def result_of(judged: ExperimentVerdicts, *, trouble: str = "") -> ExperimentResult:
    """`verdicts.json` as an entry of `results.json`."""
    name = judged.experiment
    return ExperimentResult(
        name=name,
        verdict=worst((judged.verdict, Verdict.UNDECIDED)) if trouble else judged.verdict,
        seconds=judged.seconds,
        parameters=judged.parameters,
        notebook=f"{name}/{name}.ipynb",
        report=f"{name}/{name}.html",
        reason=judged.reason or trouble,
        claims=judged.claims,
    )


def gather_hand_run(folder: Path, surroundings: Surroundings, started_at: float) -> None:
    """`results.json` for one experiment that was run in a notebook by hand."""
    run = folder.parent
    experiment = find_experiment(folder.name)
    if not (folder / VERDICTS).exists():
        return
    result = gather_experiment(run, experiment, experiment.parameters())
    RunResults(
        run_id=run.name,
        started_at=iso(started_at),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        profile=surroundings.profile,
        verdict=verdict_of_run([result]),
        interrupted=result.reason.startswith("interrupted"),
        target=describe_target(surroundings, run),
        environment=describe_environment(describe_server(surroundings)),
        experiments=(result,),
    ).write(run / RESULTS)


def accounts_made(folder: Path) -> int:
    """Sign-ups that the experiment sent, successful or not; each may have left an account behind."""
    try:
        return len(load_history(folder / HISTORY).operations("auth.register"))
    except WorkbenchError:
        return 0


def describe_target(surroundings: Surroundings, run: Path) -> dict[str, Any]:
    """What was judged, without secrets; of a deployment that is not ours also what the run made there."""
    if surroundings.target:
        from cryptosense.workbench.client.made import created_in  # noqa: PLC0415
        from cryptosense.workbench.target import Target  # noqa: PLC0415

        target = Target.model_validate_json(surroundings.target)
        created = created_in(run)
        return {
            "kind": "foreign",
            "urls": [redacted(url) for url in target.urls],
            "calibration": (
                "controls do not run against a deployment that is not ours; the claims were calibrated on this "
                f"project's own flawed services, version {version('cryptosense')}"
            ),
            **({"created": created} if created else {}),
        }
    if surroundings.redis_url:
        return {"kind": "reference", "store": "given", "redis": redacted(surroundings.redis_url)}
    return {"kind": "reference", "store": "embedded"}


def describe_server(surroundings: Surroundings) -> dict[str, str]:
    """Kind and version of the server that carries the state.

    Raises:
        CouldNotStart: there is no usable server, or the given one does not answer.
        ConfigurationError: the given URL is malformed.
    """
    if surroundings.target:
        return {"kind": "the target's own", "version": "not known"}
    if surroundings.redis_url:
        return _ask_given(surroundings.redis_url)
    program = find_server()
    words = program.version.split()
    version = next((word.removeprefix("v=") for word in words if word.startswith("v=")), program.version)
    return {"kind": f"embedded {words[0].lower()}", "version": version}


def _ask_given(url: str) -> dict[str, str]:
    settings = redis_address(url)
    try:
        told = _info(settings)
    except (redis.RedisError, OSError) as error:
        raise CouldNotStart(f"the server at {redacted(url)} does not answer: {error}") from error
    name = "valkey" if "valkey_version" in told else "redis"
    version = str(told.get("valkey_version") or told.get("redis_version") or "not known")
    return {"kind": f"given {name} ({settings.kind})", "version": version}


def _info(settings: RedisSettings) -> Mapping[str, Any]:
    host, port = settings.nodes[0]
    sentinel = settings.kind == "sentinel"
    client = redis.Redis(
        host=host,
        port=port,
        username=settings.sentinel_username if sentinel else settings.username,
        password=settings.sentinel_password if sentinel else settings.password,
        ssl=settings.tls,
        ssl_ca_certs=settings.tls_ca,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        socket_timeout=_ASK_SECONDS,
        socket_connect_timeout=_ASK_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    with client:
        told: Mapping[str, Any] = client.info("server")
    return told
