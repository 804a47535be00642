"""Ctrl-C as a request: the first asks the run to heal and end, the second ends it at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class StopRequest:
    """What the user asked for so far.

    With `nothing_to_heal`, once all experiments have ended, a second request is a KeyboardInterrupt.
    """

    count: int = 0
    reason: str = ""
    nothing_to_heal: bool = False

    @property
    def requested(self) -> bool:
        return self.count > 0

    @property
    def at_once(self) -> bool:
        return self.count > 1

    def add(self, reason: str) -> None:
        self.count += 1
        self.reason = self.reason or reason

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes Ctrl-C, SIGTERM and a closed terminal as requests for as long as the block lasts."""

        def heard(number: int, _: FrameType | None) -> None:
            self.add("stopped by the user" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}")
            if self.nothing_to_heal and self.at_once:
                raise KeyboardInterrupt
            # A signal may strike in the middle of a write to the terminal, so this goes past its buffers.
            os.write(2, self._sentence().encode())

        before = {number: signal.signal(number, heard) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _sentence(self) -> str:
        if self.nothing_to_heal:
            return "\nThe report is being written; Ctrl-C again leaves without it.\n"
        if self.at_once:
            return "\nEnding everything at once.\n"
        return "\nStopping: faults are healed and processes ended; Ctrl-C again ends everything at once.\n"
