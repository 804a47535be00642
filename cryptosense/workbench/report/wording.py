"""Figures and verdicts in words, the same in the page, the summary and the comparison."""

from datetime import UTC, datetime

from cryptosense.workbench.results import ClaimResult
from cryptosense.workbench.verdicts import Verdict

Figure = float | int | str | None

SIGNS = {Verdict.HOLDS: "✓", Verdict.VIOLATED: "✗", Verdict.UNDECIDED: "?"}
WORDS = {Verdict.HOLDS: "holds", Verdict.VIOLATED: "violated", Verdict.UNDECIDED: "undecided"}
NOTHING = "–"


def number(value: float) -> str:
    """At most four significant places, thousands with commas; whole numbers whole."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def figure(value: Figure, unit: str = "") -> str:
    """A figure with its unit; a text stands as it is."""
    if value is None:
        return NOTHING
    if unit.startswith("share of ") and not isinstance(value, str) and 0 <= value <= 1:
        return f"{number(100 * value)} % of {unit.removeprefix('share of ')}"
    if isinstance(value, str):
        return f"{value} {unit}".strip() if value[-1:].isdigit() else value
    return f"{number(value)} {unit}".strip()


def interval(claim: ClaimResult) -> str:
    """`95 % interval 0.6 to 0.7`, or nothing."""
    if claim.interval is None:
        return ""
    scale = 100 if claim.unit.startswith("share of ") else 1
    low, high = (number(scale * bound) for bound in claim.interval)
    return f"95 % interval {low} to {high}"


def observed(claim: ClaimResult) -> str:
    """The observed figure with unit and interval."""
    told = figure(claim.observed, claim.unit)
    return f"{told} ({interval(claim)})" if claim.interval is not None else told


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 claim`, `2 claims`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """`48 s`, `3 min 5 s`, `1 h 2 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(iso: str) -> str:
    """An ISO 8601 moment as `23 November 2026, 05:30 UTC`; anything else as it is."""
    try:
        when = datetime.fromisoformat(iso).astimezone(UTC)
    except ValueError:
        return iso
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def seconds_between(started: str, finished: str | None) -> float | None:
    """Seconds from one ISO 8601 moment to the other; None when either is missing or malformed."""
    try:
        return (datetime.fromisoformat(finished or "") - datetime.fromisoformat(started)).total_seconds()
    except ValueError:
        return None


def sentence(text: str) -> str:
    """With a capital at its beginning and a stop at its end."""
    stripped = text.strip()
    if not stripped:
        return ""
    return f"{stripped[0].upper()}{stripped[1:]}{'' if stripped[-1] in '.!?' else '.'}"
