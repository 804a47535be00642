"""What a run may do at most to a system that is not ours, and the meter that holds it to that."""

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from cryptosense.errors import WorkbenchError


class CeilingReached(WorkbenchError):
    """The run asked for more than the user granted."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """`rate` in requests per second, `concurrency` in requests under way, `seconds` of load, `accounts` made."""

    rate: float = 50.0
    concurrency: int = 32
    seconds: float = 600.0
    accounts: int = 60

    def sentence(self) -> str:
        return (
            f"at most {self.rate:g} requests a second, {self.concurrency} at once, for {self.seconds:g} seconds, "
            f"and {self.accounts} new accounts"
        )


class Meter:
    """Holds all requests of a run to its ceilings: delays them, and ends the run where waiting does not help.

    No second, wherever it begins, sees more requests than the rate; within it they may come at once, because a race
    that nobody provokes is not seen.
    """

    def __init__(self, ceilings: Ceilings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ceilings = ceilings
        self._monotonic = monotonic
        self._started = monotonic()
        self._accounts = 0
        self._per = max(1.0, 1.0 / ceilings.rate)
        self._recent: deque[float] = deque(maxlen=max(1, int(ceilings.rate * self._per)))
        self._under_way = asyncio.Semaphore(ceilings.concurrency)

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """One request's stay.

        Raises:
            CeilingReached: the time that the user granted is over.
        """
        async with self._under_way:
            now = self._monotonic()
            if now - self._started > self._ceilings.seconds:
                raise CeilingReached(
                    f"the ceiling of {self._ceilings.seconds:g} s is reached; raise it with --max-seconds"
                )
            full = len(self._recent) == self._recent.maxlen
            slot = max(now, self._recent[0] + self._per) if full else now
            self._recent.append(slot)
            if slot > now:
                await asyncio.sleep(slot - now)
            yield

    @property
    def rate(self) -> float:
        """Requests a second that it lets through."""
        return self._ceilings.rate

    def allows(self, rate: float) -> bool:
        """Whether so many requests a second are within the ceiling."""
        return rate <= self._ceilings.rate

    def at_once(self, requests: int) -> int:
        """How many of so many requests may be under way at the same moment."""
        return min(requests, self._ceilings.concurrency, self._recent.maxlen or requests)

    async def burst(self, requests: int) -> None:
        """Waits until so many requests may begin at the same moment, as far as the ceilings ever allow."""
        room = min(requests, self._recent.maxlen or requests)
        while (earlier := len(self._recent) + room - (self._recent.maxlen or 0)) > 0:
            wait = self._recent[earlier - 1] + self._per - self._monotonic()
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    def account(self) -> None:
        """Counts an account about to be made.

        Raises:
            CeilingReached: it would be one too many.
        """
        if self._accounts >= self._ceilings.accounts:
            raise CeilingReached(
                f"the ceiling of {self._ceilings.accounts} accounts is reached; "
                "raise it with --max-accounts or list ready ones under [[accounts]]"
            )
        self._accounts += 1


def granted(environ: Mapping[str, str]) -> Ceilings | None:
    """What the command line passed on to this process; None in a run that judges a deployment of its own."""
    if not environ.get("CRYPTOSENSE_TARGET"):
        return None
    return Ceilings(**json.loads(environ.get("CRYPTOSENSE_CEILINGS") or "{}"))


_meters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, Meter]] = WeakKeyDictionary()


def run_meter(sharing: int = 1) -> Meter | None:
    """The one meter of the running loop, for one of `sharing` equal parts; None where nothing is metered."""
    ceilings = granted(os.environ)
    if ceilings is None:
        return None
    ours = _meters.setdefault(asyncio.get_running_loop(), {})
    if sharing not in ours:
        part = replace(ceilings, rate=ceilings.rate / sharing, concurrency=max(1, ceilings.concurrency // sharing))
        ours[sharing] = Meter(part)
    return ours[sharing]


def within_ceilings(*, foreign: bool) -> AbstractAsyncContextManager[None]:
    """One request's stay, for whoever asks a deployment beside its clients; a deployment of ours is not metered.

    Raises:
        CeilingReached: on entering, when waiting does not help.
    """
    meter = run_meter() if foreign else None
    return nullcontext() if meter is None else meter.request()


def meter_environment() -> dict[str, str]:
    """What a process that loads the target on this one's behalf needs of the environment to keep to the ceilings."""
    names = ("CRYPTOSENSE_TARGET", "CRYPTOSENSE_CEILINGS")
    return {name: os.environ[name] for name in names if os.environ.get(name)}
