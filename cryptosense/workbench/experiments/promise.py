"""A claim of the contract with the stories on which it is judged."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptosense.workbench.claims.claim import Checker, Claim


@dataclass(frozen=True, slots=True)
class Promise:
    """A claim, and the phases whose operations it judges (all of the history where there are none)."""

    claim: Claim
    phases: tuple[str, ...] = ()


def promise(name: str, statement: str, source: Sequence[str], check: Checker, *phases: str) -> Promise:
    """The claim in one call; `phases` are the stories that it judges."""
    return Promise(Claim(name, statement, tuple(source), check), phases)
