"""How `cache_speedup` asks: its parameters and, in order, the phases of one run."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence

from pydantic import Field

from cryptosense.workbench.client import Caller, Wire
from cryptosense.workbench.deployment import Deployment
from cryptosense.workbench.experiment import Lab, Parameters
from cryptosense.workbench.experiments.scenario import PORTFOLIOS, as_contracted
from cryptosense.workbench.history import SpanKind
from cryptosense.workbench.readings import Reading, counted_phase, service_counter, upstream_calls

COINS = (
    "bitcoin",
    "ethereum",
    "tether",
    "ripple",
    "binancecoin",
    "solana",
    "usd-coin",
    "dogecoin",
    "tron",
    "cardano",
    "chainlink",
    "avalanche-2",
    "stellar",
    "litecoin",
    "polkadot",
    "uniswap",
    "monero",
    "cosmos",
    "aptos",
    "near",
)
MORE_COINS = tuple(f"simulated-coin-{rank}" for rank in range(21, 31))
"""Further coins of the simulated CoinGecko, so that there are thousands of different lists."""
REMEMBERED_S = 2.0
"""How long a failed fetch is not repeated: many times as long as the failing upstream takes to say no."""

_READERS = 3
_READS_OF_ONE = 20
_EXPIRY_SLACK = 1.15  # a lifetime may be lengthened by a tenth, so that keys do not expire together


class CacheSpeedupParameters(Parameters):
    instances: int = Field(default=3, ge=1, le=16, description="service instances behind round robin")
    service: str = Field(default="reference", description="what is judged: the reference, or a control by name")
    upstream_low_ms: int = Field(default=200, ge=0, description="fastest answer of the simulated CoinGecko, in ms")
    upstream_high_ms: int = Field(default=500, ge=1, description="slowest answer of the simulated CoinGecko, in ms")
    ttl_s: float = Field(default=1.5, gt=0.5, description="lifetime of a cached list; the plan's is 30 s")
    cold_lists: int = Field(default=104, ge=20, description="lists that are each read once, for the misses' latency")
    cold_at_once: int = Field(default=20, ge=1, description="cold reads under way at a time")
    warm_reads: int = Field(default=400, ge=100, description="reads of one warm list, for the hits' latency")
    tail: float = Field(default=90.0, gt=50, lt=100, description="percentile compared beside the median; 99 needs 1000")
    polls_per_lifetime: int = Field(default=30, ge=5, description="reads of one list per lifetime while polling")
    lifetimes: float = Field(default=3.3, ge=2, description="lifetimes to poll for")
    stampede: int = Field(default=50, ge=2, description="callers who miss one key together")
    stampedes: int = Field(default=2, ge=1, description="how often they do, on keys never read before")
    races: int = Field(default=2, ge=1, description="invalidations sent while a fetch is under way")
    users: int = Field(default=8, ge=1, description="users with a portfolio each")
    reads_per_write: int = Field(default=19, ge=1, description="portfolio reads for each write")
    mixed_operations: int = Field(default=320, ge=40, description="portfolio operations of the read-mostly workload")


def settings_of(parameters: CacheSpeedupParameters) -> dict[str, str]:
    """Budgets of the load's own (LOAD-1), a short lifetime, and passwords that cost little to sign up with."""
    return {
        "TOKENS_TTL_S": f"{parameters.ttl_s:g}",
        "NEGATIVE_TTL_S": f"{REMEMBERED_S:g}",
        "COINGECKO_SPACING_MS": "0",
        "RATE_LIMIT_API_MAX": "1000000",
        "RATE_LIMIT_AUTH_MAX": "100000",
        "RATE_LIMIT_STRICT_MAX": "100000",
        "STATE_BUDGET_MS": "2000",  # a busy machine must not make a store look away and readers fetch past the cache
        "PASSWORD_MEMORY_KIB": "1024",
        "PASSWORD_ROUNDS": "1",
    }


class CachePhases:
    """The phases of one run, in order; each says in its name what is asked of the cache."""

    def __init__(self, parameters: CacheSpeedupParameters, lab: Lab, deployment: Deployment, wire: Wire) -> None:
        self._given = parameters
        self._lab = lab
        self._deployment = deployment
        self._wire = wire
        self._draw = random.Random(parameters.seed)
        self._queries = service_counter(
            lab.recorder, deployment.target, "cryptosense_database_queries_total", "database.queries"
        )
        self._lists = self._unread_lists()
        self._ttl_s = deployment.target.profile.cache.ttl_s if deployment.target.foreign else parameters.ttl_s

    def _calls(self, ids: Sequence[str]) -> Reading:
        return upstream_calls(self._lab.recorder, self._deployment, ids)

    def _unread_lists(self) -> Iterator[tuple[str, ...]]:
        """Lists of coins, none given out again before all have been, so that the first read of each is cold."""
        coins = self._deployment.target.profile.cache.ids if self._deployment.target.foreign else COINS + MORE_COINS
        combinations = [found for size in (3, 2, 1) for found in itertools.combinations(coins, size)]
        self._draw.shuffle(combinations)
        self._different = len(combinations)
        return itertools.cycle(combinations)

    async def everything(self) -> None:
        reader = self._wire.caller("reader")
        await self._cold_and_warm(reader)
        editor = await self._wire.account("editor", phase="accounts")
        await editor.fetch_csrf()
        await asyncio.gather(self._poll(), self._portfolios())
        await self._stampede()
        await self._race(self._wire.caller("racer"), editor)
        await self._outage(reader)

    async def _cold_and_warm(self, reader: Caller) -> None:
        given, progress = self._given, self._lab.progress
        progress.phase("cold", expected_seconds=given.cold_lists / given.cold_at_once * 0.35)
        lists = list(itertools.islice(self._lists, min(given.cold_lists, self._different // 2)))
        if len(lists) < given.cold_lists:
            reason = f"[cache] ids makes only {self._different} different lists, half of which are read cold: name more"
            self._wire.skip("cold", f"{reason}, 6 for the median and 11 for the tail")
        with self._lab.recorder.span(SpanKind.PHASE, "cold"):
            await _at_most(given.cold_at_once, [_reading(reader, ids) for ids in lists])
        warm = lists[0]
        left = given.warm_reads
        progress.phase("warm", expected_seconds=4)
        while left > 0:
            await reader.read_tokens(*warm)  # fills the cache outside the phase that is judged
            with self._lab.recorder.span(SpanKind.PHASE, "warm"):
                left -= await self._read_until_expiry(reader, warm, left)
            await asyncio.sleep(self._ttl_s * (_EXPIRY_SLACK - 0.85) if left > 0 else 0)

    async def _read_until_expiry(self, reader: Caller, warm: tuple[str, ...], most: int) -> int:
        """Reads one list from a few tasks while it is surely fresh; how often."""
        ends = self._lab.recorder.now() + 0.85 * self._ttl_s
        taken, readers = 0, self._readers(reader)

        async def keep_reading() -> None:
            nonlocal taken
            while taken < most and self._lab.recorder.now() < ends:
                taken += 1
                await next(readers).read_tokens(*warm)

        await asyncio.gather(*(keep_reading() for _ in range(_READERS)))
        return taken

    def _readers(self, reader: Caller) -> Iterator[Caller]:
        """Who reads: a stranger's limit of one address must not be what is measured, so there one asks only so much."""
        if not (self._deployment.target.foreign and self._wire.own_addresses):
            yield from itertools.repeat(reader)
        while True:
            yield from itertools.repeat(self._wire.caller("reader"), _READS_OF_ONE)

    async def _poll(self) -> None:
        given, recorder = self._given, self._lab.recorder
        poller = self._wire.caller("poller", phase="poll")
        ids = next(self._lists)
        every = self._ttl_s / given.polls_per_lifetime
        polls = round(given.lifetimes * given.polls_per_lifetime)
        self._lab.progress.phase("poll and portfolios", expected_seconds=given.lifetimes * self._ttl_s)
        self._wire.declare("poll", cache_ttl_s=self._ttl_s)
        async with counted_phase(recorder, "poll", self._calls(ids)):
            begun = recorder.now()
            for number in range(polls):
                await asyncio.sleep(max(0.0, begun + number * every - recorder.now()))
                await poller.read_tokens(*ids)

    async def _portfolios(self) -> None:
        """Prices of an uncached read and of a write first, then the read-mostly workload, from one task per user."""
        given, recorder = self._given, self._lab.recorder
        if reason := self._why_no_portfolios():
            for phase in ("portfolios cold", "portfolios writes", "portfolios mixed"):
                self._wire.skip(phase, reason)
            return
        users = []
        for number in range(given.users):
            user = await self._wire.account(f"user-{number}", phase="portfolios set-up")
            await user.fetch_csrf()
            users.append((user, await _created(user)))
        for user, _ in users:
            user.phase = "portfolios cold"
        async with counted_phase(recorder, "portfolios cold", self._queries):
            for user, _ in users:
                await user.read_portfolios()
        for user, _ in users:
            user.phase = "portfolios writes"
        async with counted_phase(recorder, "portfolios writes", self._queries):
            for user, identity in users:
                await user.write_portfolio(1, identity)
        for user, _ in users:
            user.phase = "portfolios mixed"
        each = given.mixed_operations // len(users)
        async with counted_phase(recorder, "portfolios mixed", self._queries):
            await asyncio.gather(*(self._use(user, identity, each) for user, identity in users))

    def _why_no_portfolios(self) -> str | None:
        """Why their queries could not be counted, so that nobody need sign up for it."""
        profile = self._deployment.target.profile
        known = all(as_contracted(profile, key) for key in PORTFOLIOS)
        if known and profile.health.metrics is not None:
            return None
        return (
            "queries are counted by cryptosense_database_queries_total at [health] metrics, and of portfolios as the "
            "wire contract has them"
        )

    async def _use(self, user: Caller, identity: str | None, operations: int) -> None:
        writes = set(self._draw.sample(range(operations), max(1, operations // (self._given.reads_per_write + 1))))
        for number in range(operations):
            if number in writes:
                await user.write_portfolio(2 + number, identity)
            else:
                await user.read_portfolios()

    async def _stampede(self) -> None:
        """Each crowd is a client of its own, so that no stranger's limit of one address cuts the next one short."""
        given, recorder = self._given, self._lab.recorder
        self._lab.progress.phase("stampede", expected_seconds=given.stampedes * 0.6 + self._ttl_s)
        for number in range(1, given.stampedes + 1):
            ids = next(self._lists)
            async with counted_phase(recorder, f"stampede {number}", self._calls(ids)):
                await self._crowd(self._wire.caller(f"crowd {number}"), ids, given.stampede)
        await self._expire(self._wire.caller("crowd"), next(self._lists))

    async def _expire(self, reader: Caller, ids: tuple[str, ...]) -> None:
        """A crowd that asks for one list again and again from before its expiry until after it."""
        recorder = self._lab.recorder
        await reader.read_tokens(*ids)
        stored = recorder.now()
        await asyncio.sleep(0.9 * self._ttl_s)
        self._lab.progress.phase("expiry", expected_seconds=0.3 * self._ttl_s)
        async with counted_phase(recorder, "expiry 1", self._calls(ids)):
            while recorder.now() < stored + _EXPIRY_SLACK * self._ttl_s:
                await self._crowd(reader, ids, self._given.stampede // 5)
                await asyncio.sleep(0.01 * self._ttl_s)

    async def _crowd(self, reader: Caller, ids: tuple[str, ...], size: int) -> None:
        crowd = max(2, size)
        gate = self._wire.gate(crowd)
        await self._wire.burst(crowd)
        await asyncio.gather(*(reader.read_tokens(*ids, gate=gate) for _ in range(crowd)))

    async def _race(self, reader: Caller, editor: Caller) -> None:
        self._lab.progress.phase("invalidation race", expected_seconds=self._given.races * 0.8)
        if self._deployment.upstream is None:
            self._wire.skip("race", "whether a fetch is under way cannot be seen without the upstream's own count")
            return
        for number in range(1, self._given.races + 1):
            ids = next(self._lists)
            async with counted_phase(self._lab.recorder, f"race {number}", self._calls(ids)):
                before = await self._deployment.upstream.calls_for(ids)
                fetching = asyncio.create_task(reader.read_tokens(*ids))
                for _ in range(200):
                    if fetching.done() or await self._deployment.upstream.calls_for(ids) > before:
                        break
                    await asyncio.sleep(0.005)
                editor.phase = f"race {number}"
                await editor.invalidate_tokens(*ids)
                await fetching
                await reader.read_tokens(*ids)

    async def _outage(self, reader: Caller) -> None:
        upstream = self._deployment.upstream
        self._lab.progress.phase("upstream outage", expected_seconds=self._ttl_s + 2)
        if upstream is None or self._deployment.target.foreign:
            for phase in ("outage known", "outage unknown", "outage over"):
                self._wire.skip(phase, "an upstream that the run did not start cannot be made to fail")
            return
        known, unknown = next(self._lists), next(self._lists)
        await reader.read_tokens(*known)
        await upstream.configure(health="failing")
        try:
            await asyncio.sleep(self._ttl_s * _EXPIRY_SLACK)
            self._lab.progress.fault("upstream fails")
            with self._lab.recorder.span(SpanKind.FAULT, "upstream fails", phase="outage known"):
                await self._read_in_outage(reader, "outage known", known)
                await self._read_in_outage(reader, "outage unknown", unknown)
        finally:
            await upstream.configure(health="up")
            self._lab.progress.fault(None)
        await asyncio.sleep(1.2 * REMEMBERED_S)
        with self._lab.recorder.span(SpanKind.PHASE, "outage over"):
            await reader.read_tokens(*unknown)

    async def _read_in_outage(self, reader: Caller, phase: str, ids: tuple[str, ...]) -> None:
        async with counted_phase(self._lab.recorder, phase, self._calls(ids)):
            for _ in range(5):
                await asyncio.gather(*(reader.read_tokens(*ids) for _ in range(8)))
                await asyncio.sleep(0.05)


async def _created(user: Caller) -> str | None:
    """The id of a portfolio that the user makes."""
    reply = await user.write_portfolio(0)
    portfolio = reply.body.get("portfolio") if isinstance(reply.body, dict) else None
    return str(portfolio["id"]) if isinstance(portfolio, dict) and "id" in portfolio else None


def _reading(reader: Caller, ids: tuple[str, ...]) -> Reading:
    async def read() -> None:
        await reader.read_tokens(*ids)

    return read


async def _at_most(number: int, jobs: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Runs the jobs, so many at a time."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    await asyncio.gather(*(work() for _ in range(number)))
