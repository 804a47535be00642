"""Can it be bypassed?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from cryptosense.workbench.claims.claim import Claim, Judgement
from cryptosense.workbench.client import Wire
from cryptosense.workbench.deployment import DeploymentPlan, UpstreamPlan
from cryptosense.workbench.experiment import Charge, Chart, Doubt, Lab, Parameters
from cryptosense.workbench.experiments.scenario import Stage, play_in_turn, play_together
from cryptosense.workbench.experiments.security_charts import security_charts
from cryptosense.workbench.experiments.security_claims import security_claims
from cryptosense.workbench.experiments.security_identity import IDENTITY_ATTACKS, PROXY
from cryptosense.workbench.experiments.security_input import INPUT_ATTACKS
from cryptosense.workbench.history import History


class SecurityParameters(Parameters):
    """What is attacked, and how far apart its clocks are."""

    service: str = Field(default="reference", description="what is judged: the reference, or a control by name")
    instances: int = Field(default=2, ge=1, le=8, description="service instances behind round robin")
    skew_s: float = Field(default=20.0, ge=0, le=25, description="how far every other instance's clock is ahead, in s")
    limit: int = Field(default=10, ge=2, description="the strict limit, per client and window of 5 s")


class Security:
    """Implements `experiment.Experiment`."""

    name: ClassVar[str] = "security"
    order: ClassVar[int] = 80
    parallel_safe: ClassVar[bool] = True
    doubt: ClassVar[Doubt] = Doubt(
        question="Can it be bypassed?",
        method=(
            "Attackers with addresses and accounts of their own: made-up addresses, rotating IPv6 addresses behind a "
            "proxy, tokens replayed at once and taken from other sessions and users, forged bearers, other sites' "
            "pages, odd spellings of paths, bodies too large or broken, patterns as names, and instances whose clocks "
            "are apart. The CSRF grace is 0 here, so that one token is good for one request. After the attacks that "
            "aim at somebody, the victim is asked what it lost."
        ),
        changes_our_mind="One attack that gets more than an honest client would, or one answer that shows the insides.",
    )
    parameters: ClassVar[type[Any]] = SecurityParameters
    full: ClassVar[Mapping[str, Any]] = {"instances": 3, "limit": 30}
    charges: ClassVar[Mapping[str, Charge]] = {
        # Under a grace a second acceptance is legal; only here, without one, two steps instead of one show as such.
        "CSRF-2": Charge(("token-replay",)),
        "CSRF-6": Charge(("exempt-paths",)),
        "RATE-5": Charge(("clocks-apart",)),
        "RATE-6": Charge(("spoofed-address", "victim-spared")),
    }

    async def conduct(self, parameters: SecurityParameters, lab: Lab) -> None:
        lab.progress.phase("starting", expected_seconds=5)
        async with (
            lab.deploy(_plan(parameters)) as deployment,
            Wire(deployment.target, lab.recorder, progress=lab.progress) as wire,
        ):
            stage = Stage(lab, deployment, wire)
            for url, ahead in zip(stage.urls, _ahead(parameters), strict=False):
                if not deployment.target.foreign:
                    lab.recorder.observe("clock.ahead_s", ahead, phase="clocks apart", instance=url)
            lab.progress.phase("attacks", expected_seconds=8)
            # Somebody else's deployment is sent little at a time, and each attack needs its bursts whole.
            play = play_in_turn if deployment.target.foreign else play_together
            await play(stage, [*IDENTITY_ATTACKS, *INPUT_ATTACKS])

    def claims(self, parameters: SecurityParameters) -> Sequence[Claim]:
        del parameters
        return [attack.claim for attack in security_claims()]

    def charts(
        self, parameters: SecurityParameters, history: History, judgements: Sequence[Judgement]
    ) -> Sequence[Chart]:
        del parameters
        return security_charts(history, judgements)


def _ahead(parameters: SecurityParameters) -> list[float]:
    """How far each instance's clock is ahead, in s: every other one."""
    return [parameters.skew_s * (place % 2) for place in range(parameters.instances)]


def _plan(parameters: SecurityParameters) -> DeploymentPlan:
    """The plan's own `auth` limit, no grace, one trusted proxy, and every other clock ahead."""
    return DeploymentPlan(
        label="attacked",
        service=parameters.service,
        instances=parameters.instances,
        proxied=True,
        settings={
            "CSRF_GRACE_S": "0",
            "TRUSTED_PROXIES": f"{PROXY}/32",
            "RATE_LIMIT_API_MAX": "1000",
            "RATE_LIMIT_STRICT_MAX": str(parameters.limit),
            "RATE_LIMIT_STRICT_WINDOW_MS": "5000",
            "STATE_BUDGET_MS": "2000",  # a busy machine must not bring refusals that are not asked about
            "PASSWORD_MEMORY_KIB": "1024",
            "PASSWORD_ROUNDS": "1",
            "DRAIN_S": "0.1",  # no load balancer has to notice here
        },
        upstream=UpstreamPlan(latency_ms=(20, 40)),
        skew_s=_ahead(parameters),
    )


EXPERIMENT = Security()
