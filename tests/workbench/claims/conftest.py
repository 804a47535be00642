"""Histories written by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from cryptosense.workbench.claims.claim import Checker, Claim, Finding, judge
from cryptosense.workbench.history import Event, History, Observation, Operation, Outcome, Span, SpanKind


class Handwritten:
    """Writes a history one line at a time; operations are numbered from 1."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._last = 0

    def op(
        self,
        kind: str,
        start: float,
        end: float,
        status: int | None = 200,
        *,
        actor: str = "alice",
        instance: str = "http://127.0.0.1:1",
        phase: str = "p",
        sent: dict[str, Any] | None = None,
        **got: Any,
    ) -> int:
        """An operation with `got` as its answer; a status of None is a lost answer."""
        self._last += 1
        outcome = Outcome.UNKNOWN if status is None else Outcome.OK if status < 400 else Outcome.FAILED
        self.events.append(
            Operation(self._last, kind, actor, instance, start, end, outcome, status, phase, None, sent or {}, got)
        )
        return self._last

    def post(self, start: float, end: float, token: str, answer: str | int | None, **more: Any) -> int:
        """A protected request: `answer` is the successor, a refusal's status, or None for a lost answer."""
        sent = {"token": token, "follows": more.pop("follows", False)}
        if isinstance(answer, str):
            return self.op("csrf.post", start, end, more.pop("status", 201), sent=sent, successor=answer, **more)
        return self.op("csrf.post", start, end, answer, sent=sent, **more)

    def fetch(self, start: float, end: float, token: str, **more: Any) -> int:
        return self.op("csrf.fetch", start, end, 200, token=token, **more)

    def probe(self, start: float, end: float, status: int | None, **more: Any) -> int:
        sent = {"policy": "api", **more.pop("sent", {})}
        return self.op("limit.probe", start, end, status, sent=sent, **more)

    def seen(self, name: str, value: float, at: float = 0.0, **labels: str) -> None:
        self.events.append(Observation(name, at, value, labels))

    def fault(self, start: float, end: float) -> None:
        self.events.append(Span(SpanKind.FAULT, "kill", start, end))

    def judged(self, checker: Checker) -> Finding:
        """The finding, as a run would enter it."""
        history = History(started_at=1_700_000_000.0, events=tuple(self.events))
        return judge(Claim("claim", "a claim", (), checker), history).finding


@pytest.fixture
def written() -> Handwritten:
    return Handwritten()


@pytest.fixture
def another() -> Callable[[], Handwritten]:
    return Handwritten
