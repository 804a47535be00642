"""The smallest set of operations that proves a claim, read out of the history by the ids that the claim names."""

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SHOWN = 24
_LONGEST = 160
_PREFIX = '{"event":"operation","id":'


@dataclass(frozen=True, slots=True)
class Witness:
    """One operation in words: when (seconds of the history), who asked whom what, how it ended."""

    id: int
    at: float
    took_ms: float
    kind: str
    phase: str
    actor: str
    instance: str
    outcome: str
    sent: str
    got: str


def shown(evidence: Iterable[int]) -> list[int]:
    """Those of a claim's operations that the page shows; the rest are told by their number."""
    return list(evidence)[:_SHOWN]


def witnesses(history: Path, wanted: Iterable[int]) -> dict[int, Witness]:
    """The wanted operations by id, as far as the history holds them.

    The file is read line by line and only what is wanted is parsed, so that a long history costs little.
    """
    missing = set(wanted)
    found: dict[int, Witness] = {}
    if not missing or not history.exists():
        return found
    try:
        with gzip.open(history, "rt", encoding="utf-8") as lines:
            for line in lines:
                if _id(line) in missing:
                    witness = _witness(json.loads(line))
                    found[witness.id] = witness
                    missing.discard(witness.id)
                    if not missing:
                        break
    except (EOFError, OSError, ValueError, zlib.error):
        return found  # a killed run's history ends in the middle of a line
    return found


def _id(line: str) -> int | None:
    if not line.startswith(_PREFIX):
        return None
    digits = line[len(_PREFIX) : line.index(",", len(_PREFIX))]
    return int(digits)


def _witness(line: Mapping[str, Any]) -> Witness:
    status = line.get("status")
    return Witness(
        id=int(line["id"]),
        at=float(line["invoked_at"]),
        took_ms=1000 * (float(line["completed_at"]) - float(line["invoked_at"])),
        kind=str(line["kind"]),
        phase=str(line.get("phase", "")),
        actor=str(line["actor"]),
        instance=str(line["instance"]),
        outcome=f"{line['outcome']}{f', {status}' if status is not None else ''}",
        sent=_pairs(line.get("sent") or {}),
        got=_pairs(line.get("got") or {}),
    )


def _pairs(fields: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name} {_value(value)}" for name, value in fields.items() if value not in (None, ""))
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
