"""What a load is: who asks what of whom, how often, for how long; plain data, for any generator to carry out."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cryptosense.errors import UsageError

MOST_SECONDS = 3_600.0
MOST_REQUESTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of request; `weight` is its share among the plan's.

    `kind`, and `sent`, are what the history will say of it. `{nonce}` in the body becomes a word that occurs once.
    `csrf` presents the client's token and follows the successor that the answer brings.
    """

    kind: str
    path: str
    method: str = "GET"
    body: Mapping[str, Any] | None = None
    weight: float = 1.0
    csrf: bool = False
    sent: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadClient:
    """Who asks: an actor of the history with its headers (`Authorization`, say) and an address of its own, if any."""

    actor: str
    headers: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """`concurrency` requests are under way at any time: each sender waits for its answer before it asks again.

    Sender i speaks for client i modulo their number and, with `requests_each`, stops after so many. A closed loop
    slows down with the service and so hides its worst moments: for latency under load use the open loop.
    """

    concurrency: int
    requests_each: int | None = None


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """`rate` requests a second are due whatever became of those before, at random moments or evenly spaced.

    Latency counts from the moment when a request was due, so that a wait before sending is not left out.
    """

    rate: float
    arrivals: Literal["poisson", "even"] = "poisson"


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A whole load. It ends after `seconds`, after `max_requests`, or when every sender has sent its share."""

    phase: str
    urls: Sequence[str]
    clients: Sequence[LoadClient]
    asks: Sequence[Ask]
    shape: ClosedLoop | OpenLoop
    seconds: float
    max_requests: int = 100_000
    processes: int = 1
    routing: Literal["round-robin", "sticky"] = "round-robin"
    timeout_s: float = 10.0
    seed: int = 20251008
    keep: Mapping[str, str] = field(
        default_factory=lambda: {
            "x_cache": "X-Cache",
            "retry_after": "Retry-After",
            "limit": "X-RateLimit-Limit",
            "remaining": "X-RateLimit-Remaining",
        }
    )
    """What of an answer's headers the history keeps: name in `got` → header."""
    code_field: str | None = "code"
    """Where a refusal's body holds its code (dots go deeper), and below what it calls those that go by other names."""
    codes: Mapping[str, str] = field(default_factory=dict)
    csrf_header: str = "X-CSRF-Token"
    successor_header: str = "X-CSRF-Token"

    def check(self) -> None:
        """Whether it can be carried out and ends.

        Raises:
            UsageError: it cannot, or would not.
        """
        for wrong, sentence in (
            (not self.urls or not self.clients or not self.asks, "it needs urls, clients and something to ask"),
            (not 0 < self.seconds <= MOST_SECONDS, f"it must last 0 to {MOST_SECONDS:g} s"),
            (not 0 < self.max_requests <= MOST_REQUESTS, f"it must send 1 to {MOST_REQUESTS} requests"),
            (not 1 <= self.processes <= 64, "it must run in 1 to 64 processes"),
            (self.timeout_s <= 0, "its timeout must be positive"),
            (any(ask.weight <= 0 for ask in self.asks), "weights must be positive"),
            (isinstance(self.shape, ClosedLoop) and self.shape.concurrency < 1, "concurrency must be positive"),
            (isinstance(self.shape, OpenLoop) and self.shape.rate <= 0, "the rate must be positive"),
        ):
            if wrong:
                raise UsageError(f"load {self.phase!r}: {sentence}")

    def to_json(self) -> str:
        """With the clients' headers, which may hold bearers: `save` keeps it private."""
        shape = "closed" if isinstance(self.shape, ClosedLoop) else "open"
        return json.dumps({**asdict(self), "shape": {"loop": shape, **asdict(self.shape)}})

    def save(self, path: Path) -> None:
        """Writes it where only this user can read it."""
        path.touch(mode=0o600)
        path.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def from_json(cls, text: str) -> "LoadPlan":
        fields = json.loads(text)
        shape = dict(fields.pop("shape"))
        loop = {"closed": ClosedLoop, "open": OpenLoop}[shape.pop("loop")]
        fields["urls"] = tuple(fields["urls"])
        fields["clients"] = tuple(LoadClient(**client) for client in fields["clients"])
        fields["asks"] = tuple(Ask(**ask) for ask in fields["asks"])
        return cls(shape=loop(**shape), **fields)

    @classmethod
    def load(cls, path: Path) -> "LoadPlan":
        return cls.from_json(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that an open loop wants sent `at` seconds after the start."""

    at: float
    client: int
    ask: int


def arrivals(plan: LoadPlan, shape: OpenLoop) -> Iterator[Arrival]:
    """The schedule, the same for the same plan: made before the run, it cannot depend on how the service does."""
    draw = random.Random(plan.seed)
    weights = [ask.weight for ask in plan.asks]
    at = 0.0
    for number in range(plan.max_requests):
        at += draw.expovariate(shape.rate) if shape.arrivals == "poisson" else 1.0 / shape.rate
        if at >= plan.seconds:
            return
        ask = draw.choices(range(len(plan.asks)), weights)[0]
        yield Arrival(at, number % len(plan.clients), ask)
