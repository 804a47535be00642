"""Verdicts as tables: HTML for a notebook, plain text where there is no browser."""

from collections.abc import Sequence
from html import escape

from cryptosense.workbench.results import ClaimResult, ExperimentResult
from cryptosense.workbench.verdicts import Verdict

MARKS = {Verdict.HOLDS: "✓", Verdict.VIOLATED: "✗", Verdict.UNDECIDED: "?"}
_COLOURS = {Verdict.HOLDS: "#1a7f5a", Verdict.VIOLATED: "#c0392b", Verdict.UNDECIDED: "#8a6d00"}
_WORST_FIRST = {Verdict.VIOLATED: 0, Verdict.UNDECIDED: 1, Verdict.HOLDS: 2}
_CELL = "text-align:left;vertical-align:top;padding:.35em .7em;border-bottom:1px solid rgba(128,128,128,.35)"


class Table:
    """Shows itself as HTML in a notebook and as text elsewhere."""

    def __init__(self, html: str, text: str) -> None:
        self._html = html
        self._text = text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


class Lines:
    """Text that a notebook shows as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def worst_first(claims: Sequence[ClaimResult]) -> list[ClaimResult]:
    """What counts against the run comes first, advisory claims last; otherwise the experiment's own order."""
    return sorted(claims, key=lambda claim: (claim.advisory, _WORST_FIRST[claim.counts_as]))


def claims_table(claims: Sequence[ClaimResult], reason: str = "") -> Table:
    """One row a claim, the worst first: verdict, statement, expected, observed, sample size, reason."""
    rows = "".join(_claim_row(claim) for claim in worst_first(claims))
    note = f"<p><b>{escape(reason)}</b></p>" if reason else ""
    head = _row(["verdict", "claim", "expected", "observed", "samples", "why"], tag="th")
    html = f'{note}<table style="border-collapse:collapse"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    return Table(html, "\n".join(filter(None, [reason, *(claim_line(claim) for claim in worst_first(claims))])))


def experiments_table(experiments: Sequence[ExperimentResult]) -> Table:
    """One row an experiment: verdict, name, how many claims came out how, seconds, reason."""
    rows = "".join(
        _row([_pill(one.verdict), escape(one.name), tally(one.claims), f"{one.seconds:.0f} s", escape(one.reason)])
        for one in experiments
    )
    head = _row(["verdict", "experiment", "claims", "took", "why"], tag="th")
    html = f'<table style="border-collapse:collapse"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    return Table(html, "\n".join(f"{one.verdict:<9}  {one.name}  ({tally(one.claims)})" for one in experiments))


def outcome_lines(name: str, verdict: Verdict, claims: Sequence[ClaimResult]) -> Lines:
    """The verdicts without any figure: what a repeated run must reproduce to the letter.

    Of an advisory claim only that it was asked: how it comes out is a matter of the machine.
    """
    listed = (f"advisory   {claim.id}" if claim.advisory else claim_line(claim) for claim in claims)
    return Lines("\n".join([f"{name}: {verdict}", *listed]))


def claim_line(claim: ClaimResult) -> str:
    """Verdict, id and what kind of claim it is; no figure."""
    note = "  (control: VIOLATED is expected)" if claim.control else "  (not proved here)" if claim.advisory else ""
    return f"{claim.verdict:<9}  {claim.id}{note}"


def tally(claims: Sequence[ClaimResult]) -> str:
    """How many claims hold, are violated, are undecided; controls and advisory claims apart."""
    counting = [claim for claim in claims if not claim.advisory]
    held = sum(claim.counts_as is Verdict.HOLDS for claim in counting)
    violated = sum(claim.counts_as is Verdict.VIOLATED for claim in counting)
    undecided = sum(claim.counts_as is Verdict.UNDECIDED for claim in counting)
    parts = [f"{held} of {len(counting)} as expected"]
    parts += [f"{violated} not"] if violated else []
    parts += [f"{undecided} undecided"] if undecided else []
    parts += [f"{len(claims) - len(counting)} not proved here"] if len(counting) < len(claims) else []
    return ", ".join(parts)


def figure_text(value: float | int | str | None, unit: str) -> str:
    """A figure with its unit, short enough for a cell."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    number = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return f"{number} {unit}".strip()


def observed_text(claim: ClaimResult) -> str:
    """What was observed, with its 95 % interval where it has one."""
    text = figure_text(claim.observed, claim.unit)
    if claim.interval is None:
        return text
    low, high = claim.interval
    return f"{text} ({low:,.4g} to {high:,.4g})"


def _claim_row(claim: ClaimResult) -> str:
    kind = " · control" if claim.control else " · not proved here" if claim.advisory else ""
    statement = f"<b>{escape(claim.id)}</b>{kind}<br>{escape(claim.statement)}"
    evidence = f" Operations {', '.join(map(str, claim.evidence[:8]))}." if claim.evidence else ""
    return _row(
        [
            _pill(claim.verdict, claim.counts_as),
            statement,
            escape(figure_text(claim.expected, claim.unit)),
            escape(observed_text(claim)),
            f"{claim.samples:,}",
            escape(claim.reason + evidence),
        ]
    )


def _row(cells: Sequence[str], tag: str = "td") -> str:
    return "<tr>" + "".join(f'<{tag} style="{_CELL}">{cell}</{tag}>' for cell in cells) + "</tr>"


def _pill(verdict: Verdict, counts_as: Verdict | None = None) -> str:
    """Word and sign, so that nothing hangs on the colour."""
    counts = counts_as or verdict
    style = f"white-space:nowrap;font-weight:600;color:{_COLOURS[counts]}"
    return f'<span style="{style}">{MARKS[counts]} {verdict}</span>'
