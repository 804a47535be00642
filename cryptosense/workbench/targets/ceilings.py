"""What a run may do at most to a system that is not ours, and the meter that holds it to that."""

import asyncio
import contextlib
import json
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from weakref import WeakKeyDictionary

from cryptosense.errors import WorkbenchError

LONG_SECOND = 1.05
"""How long a second of the ceiling is taken."""


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
    that nobody provokes is not seen. A second is taken a little long, since requests are under way for different times.
    """

    def __init__(self, ceilings: Ceilings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ceilings = ceilings
        self._monotonic = monotonic
        self._started = monotonic()
        self._accounts = 0
        whole = max(1.0, 1.0 / ceilings.rate)
        self._recent: deque[float] = deque(maxlen=max(1, int(ceilings.rate * whole)))
        self._per = whole * LONG_SECOND
        self._turn = asyncio.Lock()
        self._under_way = asyncio.Semaphore(ceilings.concurrency)

    @contextlib.asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """One request's stay.

        Raises:
            CeilingReached: the time that the user granted is over.
        """
        async with self._under_way:
            async with self._turn:
                # What counts is when each went, and not when it might have: a late one must not crowd the next second.
                self._refuse_when_over()
                await self.burst(1)
                self._recent.append(self._monotonic())
            yield

    def left(self) -> Ceilings:
        """What is granted from now on: the same, for the rest of the time."""
        spent = self._monotonic() - self._started
        return replace(self._ceilings, seconds=max(0.0, self._ceilings.seconds - spent))

    def _refuse_when_over(self) -> None:
        if self._monotonic() - self._started > self._ceilings.seconds:
            raise CeilingReached(f"the ceiling of {self._ceilings.seconds:g} s is reached; raise it with --max-seconds")

    def _until_room(self, requests: int) -> float:
        """Seconds until so many may go at once, none or less where they may now."""
        most = self._recent.maxlen or requests
        earlier = len(self._recent) + min(requests, most) - most
        return self._recent[earlier - 1] + self._per - self._monotonic() if earlier > 0 else 0.0

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
        while True:
            wait = self._until_room(requests)
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    @contextlib.asynccontextmanager
    async def handed_over(self) -> AsyncIterator[None]:
        """For as long as another process, whose meter knows nothing of this one, sends in its place.

        Raises:
            CeilingReached: on entering, when the time that the user granted is over.
        """
        self._refuse_when_over()
        await self.burst(self._recent.maxlen or 1)
        yield
        await asyncio.sleep(self._per)

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


def within_ceilings(*, foreign: bool) -> contextlib.AbstractAsyncContextManager[None]:
    """One request's stay, for whoever asks a deployment beside its clients; a deployment of ours is not metered.

    Raises:
        CeilingReached: on entering, when waiting does not help.
    """
    meter = run_meter() if foreign else None
    return contextlib.nullcontext() if meter is None else meter.request()


def meter_environment() -> dict[str, str]:
    """What a process that loads the target on this one's behalf needs of the environment to keep to the ceilings."""
    meter = run_meter()
    if meter is None:
        return {}
    return {
        "CRYPTOSENSE_TARGET": os.environ["CRYPTOSENSE_TARGET"],
        "CRYPTOSENSE_CEILINGS": json.dumps(asdict(meter.left())),
    }
