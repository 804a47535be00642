"""RATE-6: the leftmost X-Forwarded-For is believed, whoever wrote it."""

from collections.abc import Sequence

from cryptosense.controls.control import Control
from cryptosense.services.identity import ClientIdentities


class Credulous(ClientIdentities):
    def address(self, peer: str | None, forwarded_for: Sequence[str] = ()) -> str:
        for header in forwarded_for:
            return header.split(",")[0].strip()
        return super().address(peer)


CONTROL = Control(
    "RATE-6", "A client names its own address in X-Forwarded-For.", {"identities": lambda _parts: Credulous()}
)
