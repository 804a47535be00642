"""The generator's process: carries out its share of a plan over aiohttp and leaves what happened in a file.

    python -m cryptosense.workbench.load.generator FOLDER INDEX

reads `FOLDER/plan.json`, says `ready`, waits for `FOLDER/go` (the monotonic second at which to start), says `done N`
now and then, and leaves `FOLDER/part-INDEX.jsonl` (a row an operation) and `FOLDER/summary-INDEX.json`. On SIGTERM it
stops sending, counts what is under way as unknown, and leaves the same files.
"""

import asyncio
import contextlib
import gc
import hashlib
import itertools
import random
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from yarl import URL

from cryptosense.workbench.load.headroom import Headroom
from cryptosense.workbench.load.parts import Row, write_part
from cryptosense.workbench.load.plan import Ask, ClosedLoop, LoadClient, LoadPlan, OpenLoop, arrivals
from cryptosense.workbench.targets.ceilings import CeilingReached, run_meter

MOST_UNDER_WAY = 4_000
_TELL_EVERY_S = 0.5
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass(slots=True)
class Sender:
    """A client at work: its connections, and the token to present next."""

    client: LoadClient
    session: aiohttp.ClientSession
    token: str | None
    turn: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class Generator:
    """One process's share of a plan."""

    def __init__(self, plan: LoadPlan, index: int, *, now: Any = time.monotonic) -> None:
        self.plan = plan
        self.index = index
        self.rows: list[Row] = []
        self.headroom = Headroom()
        self._now = now
        self._senders: dict[int, Sender] = {}
        self._sent = 0
        self._nonce = itertools.count()
        self._addresses = {(url, ask.path): URL(url + ask.path) for url in plan.urls for ask in plan.asks}
        self._bodies = [None if ask.body is None else orjson.dumps(ask.body) for ask in plan.asks]
        self._keep = tuple(plan.keep.items())
        self._code_steps = plan.code_field.split(".") if plan.code_field else []
        self._stopping = asyncio.Event()
        # Only towards a deployment that is not ours; the processes share what the user granted.
        self._meter = run_meter(plan.processes)
        # As fair a division of the bound as whole numbers allow.
        self._share = plan.max_requests // plan.processes + (index < plan.max_requests % plan.processes)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self, starts_at: float) -> None:
        """Carries out the share and closes every connection."""
        await asyncio.sleep(max(0.0, starts_at - self._now()))
        self.headroom.begin()
        work = asyncio.ensure_future(self._load(starts_at))
        lag = asyncio.ensure_future(self.headroom.watch_loop())
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.headroom.end()
            for task in (work, lag, stop):
                task.cancel()
            await asyncio.gather(work, lag, stop, return_exceptions=True)
            for sender in self._senders.values():
                await sender.session.close()
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error

    async def _load(self, starts_at: float) -> None:
        shape = self.plan.shape
        if isinstance(shape, ClosedLoop):
            await self._closed(shape, starts_at + self.plan.seconds)
        else:
            await self._open(shape, starts_at)

    async def _closed(self, shape: ClosedLoop, until: float) -> None:
        mine = range(self.index, shape.concurrency, self.plan.processes)
        async with asyncio.TaskGroup() as group:
            for number in mine:
                group.create_task(self._send_in_turn(number, shape, until))

    async def _send_in_turn(self, place: int, shape: ClosedLoop, until: float) -> None:
        draw = random.Random(self.plan.seed * 1_000_003 + place)
        weights = [ask.weight for ask in self.plan.asks]
        sender = self._sender(place % len(self.plan.clients))
        for _ in itertools.count() if shape.requests_each is None else range(shape.requests_each):
            if self._sent >= self._share or self._now() >= until:
                return
            self._sent += 1
            # A draw costs a tenth of the request, so a plan that asks only one thing goes without.
            number = draw.choices(range(len(weights)), weights)[0] if len(weights) > 1 else 0
            await self._exchange_within(sender, number, None)

    async def _open(self, shape: OpenLoop, starts_at: float) -> None:
        """Sends when due. Beyond `MOST_UNDER_WAY` it waits, which latency from the intended time does not hide."""
        under_way: set[asyncio.Task[None]] = set()
        last = starts_at + self.plan.seconds + self.plan.timeout_s
        try:
            for arrival in itertools.islice(arrivals(self.plan, shape), self.index, None, self.plan.processes):
                due = starts_at + arrival.at
                if (wait := due - self._now()) > 0:
                    await asyncio.sleep(wait)
                while len(under_way) >= MOST_UNDER_WAY and self._now() < last:
                    await asyncio.wait(under_way, timeout=last - self._now(), return_when=asyncio.FIRST_COMPLETED)
                sender = self._sender(arrival.client)
                if len(under_way) >= MOST_UNDER_WAY:
                    self._not_sent(sender, arrival.ask, due)
                    continue
                sending = asyncio.ensure_future(self._exchange_within(sender, arrival.ask, due))
                under_way.add(sending)
                sending.add_done_callback(under_way.discard)
            if under_way:
                await asyncio.wait(under_way)
        finally:
            for sending in under_way:
                sending.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _not_sent(self, sender: Sender, number: int, due: float) -> None:
        """A request for which there was no room before the load's end: the service never saw it."""
        ask, now = self.plan.asks[number], self._now()
        self.headroom.lags.append(now - due)
        got = {"error": "NotSent"}
        self.rows.append(
            (ask.kind, sender.client.actor, self._url(sender), due, now, now, "failed", None, dict(ask.sent), got)
        )

    async def _exchange_within(self, sender: Sender, number: int, due: float | None) -> None:
        """An exchange, within what the user granted where that is limited."""
        if self._meter is None:
            await self._exchange(sender, number, due)
            return
        try:
            async with self._meter.request():
                await self._exchange(sender, number, due)
        except CeilingReached:
            self.stop()

    async def _exchange(self, sender: Sender, number: int, due: float | None) -> None:
        """One request and its answer, as a row; a cancelled one is unknown."""
        ask = self.plan.asks[number]
        url = self._url(sender)
        headers, sent = sender.headers, ask.sent
        if ask.csrf:
            headers, sent = self._with_token(sender, ask)
        body = self._body(number)
        status: int | None = None
        outcome, got = "unknown", {"error": "cancelled"}
        invoked = self._now()
        if due is not None:
            self.headroom.lags.append(invoked - due)
        try:
            async with sender.session.request(
                ask.method, self._addresses[url, ask.path], data=body, headers=headers
            ) as answer:
                content = await answer.read()
            status = answer.status
            outcome = "ok" if status < 400 else "failed"
            got = self._facts(sender, ask, answer, content)
        except _NEVER_SENT as error:
            outcome, got = "failed", {"error": type(error).__name__}
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            got = {"error": type(error).__name__}
        finally:
            row = (ask.kind, sender.client.actor, url, due, invoked, self._now(), outcome, status, dict(sent), got)
            self.rows.append(row)

    def _sender(self, number: int) -> Sender:
        sender = self._senders.get(number)
        if sender is None:
            client = self.plan.clients[number]
            connector = aiohttp.TCPConnector(
                limit=0, local_addr=(client.address, 0) if client.address else None, force_close=False
            )
            session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self.plan.timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
            headers = {"Accept": "application/json", "Accept-Encoding": "gzip", **client.headers}
            if any(body is not None for body in self._bodies):
                headers["Content-Type"] = "application/json"
            sender = Sender(client, session, client.token, turn=number, headers=headers)
            self._senders[number] = sender
        return sender

    def _url(self, sender: Sender) -> str:
        place = sender.turn
        if self.plan.routing == "round-robin":
            sender.turn += 1
        return self.plan.urls[place % len(self.plan.urls)]

    def _body(self, number: int) -> bytes | None:
        body = self._bodies[number]
        if body is None or b"{nonce}" not in body:
            return body
        return body.replace(b"{nonce}", f"{self.plan.phase}-{self.index}-{next(self._nonce)}".encode())

    def _with_token(self, sender: Sender, ask: Ask) -> tuple[dict[str, str], dict[str, Any]]:
        if sender.token is None:
            return sender.headers, {**ask.sent, "token": None, "follows": True}
        headers = {**sender.headers, self.plan.csrf_header: sender.token}
        return headers, {**ask.sent, "token": _digest(sender.token), "follows": True}

    def _facts(self, sender: Sender, ask: Ask, answer: aiohttp.ClientResponse, content: bytes) -> dict[str, Any]:
        """What of an answer the checkers may want; everything else would cost its share of the generator's time."""
        headers = answer.headers
        got: dict[str, Any] = {
            name: int(value) if value.isdigit() else value
            for name, header in self._keep
            if (value := headers.get(header)) is not None
        }
        if ask.csrf and (successor := headers.get(self.plan.successor_header)) is not None:
            sender.token = successor
            got["successor"] = _digest(successor)
        if answer.status >= 400 and self._code_steps:
            with contextlib.suppress(orjson.JSONDecodeError, TypeError):
                code: Any = reduce(dict.get, self._code_steps, orjson.loads(content))
                got["code"] = self.plan.codes.get(code, code)
        return got


def _digest(secret: str) -> str:
    """As `client.exchange.digest`, so that both kinds of client name one token alike."""
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


async def work(folder: Path, index: int) -> None:
    """The process's whole life."""
    plan = LoadPlan.load(folder / "plan.json")
    generator = Generator(plan, index)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, generator.stop)
    print("ready", flush=True)
    go = folder / "go"
    while not go.exists():  # noqa: ASYNC110 (the word comes from another process)
        await asyncio.sleep(0.005)
    # Nothing of a load is garbage in cycles; collections would only be pauses that latencies show.
    gc.freeze()
    gc.disable()
    telling = asyncio.ensure_future(_tell(generator))
    try:
        await generator.run(float(go.read_text()))
    finally:
        telling.cancel()
        write_part(folder / f"part-{index}.jsonl", generator.rows)
        summary = generator.headroom.summary(len(generator.rows), peak_kib=_peak_kib())
        (folder / f"summary-{index}.json").write_bytes(orjson.dumps(summary))
    print(f"finished {len(generator.rows)}", flush=True)


async def _tell(generator: Generator) -> None:
    while True:
        print(f"done {len(generator.rows)}", flush=True)
        await asyncio.sleep(_TELL_EVERY_S)


def _peak_kib() -> int:
    """Largest resident size so far; macOS counts it in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


if __name__ == "__main__":
    import uvloop

    uvloop.run(work(Path(sys.argv[1]), int(sys.argv[2])))
