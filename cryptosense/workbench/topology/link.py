"""The wire between the service and its store as a process of its own, so that it can be made slow or cut without root.

    python -m cryptosense.workbench.topology.link --port P --control C --to HOST:PORT

forwards P to the store. On C it takes one JSON line per connection and answers `ok`:

    {"delay_ms": n}      what the store sends arrives n ms later, in order, however much is under way
    {"cut": "silent"}    nothing passes either way and nobody is told, like a pulled cable; new connections hang
    {"cut": "refused"}   connections are reset and new ones refused, like a closed port
    {"cut": null}        passes again; what was held back by a silent cut arrives, as TCP would send it again
    {"lose": n}          the next n replies are thrown away, each with its connection: done, and nobody was told
    {"tell": "lost"}     answers with the number of replies lost so far
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any, Literal

from cryptosense.workbench.topology.ports import HOST, free_port
from cryptosense.workbench.topology.process import ManagedProcess

Cut = Literal["silent", "refused"]
_CHUNK = 65_536
_HELD_CHUNKS = 1_024


class Link(ManagedProcess):
    """The handle: a process that forwards `port` to a server's."""

    def __init__(self, name: str, *, folder: Path, to_port: int) -> None:
        self.port = free_port()
        self._control = free_port()
        program = [sys.executable, "-m", "cryptosense.workbench.topology.link"]
        ports = ["--port", str(self.port), "--control", str(self._control), "--to", f"{HOST}:{to_port}"]
        super().__init__(name, [*program, *ports], folder=folder)

    async def answers(self) -> bool:
        return any(line.startswith("ready ") for line in self.output().splitlines())

    async def delay(self, milliseconds: float) -> None:
        """What the server sends arrives that much later; 0 ends it."""
        await self._tell({"delay_ms": milliseconds})

    async def cut(self, how: Cut) -> None:
        await self._tell({"cut": how})

    async def lose(self, replies: int) -> None:
        """The next `replies` of the server do not arrive, and their connections end."""
        await self._tell({"lose": replies})

    async def lost(self) -> int:
        """How many replies were lost so far."""
        return int(await self._ask({"tell": "lost"}))

    async def mend(self) -> None:
        """Uncut and without delay."""
        await self._tell({"delay_ms": 0, "cut": None})

    async def _tell(self, what: dict[str, Any]) -> None:
        answer = await self._ask(what)
        if answer != b"ok\n":
            raise OSError(f"the link refused {what}: {answer!r}")

    async def _ask(self, what: dict[str, Any]) -> bytes:
        reading, writing = await asyncio.open_connection(HOST, self._control)
        try:
            writing.write(json.dumps(what).encode() + b"\n")
            async with asyncio.timeout(5.0):
                return await reading.readline()
        finally:
            writing.transport.abort()


class Wire:
    """The forwarding itself, in the link's process."""

    def __init__(self, port: int, to: tuple[str, int]) -> None:
        self._port = port
        self._to = to
        self._delay = 0.0
        self._to_lose = 0
        self._lost = 0
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self._port, backlog=512)

    async def command(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        """One control connection."""
        try:
            wanted = json.loads(await reading.readline())
            await self._obey(wanted)
            writing.write(b"%d\n" % self._lost if wanted.get("tell") == "lost" else b"ok\n")
        except (ValueError, TypeError, OSError) as error:
            writing.write(f"{error}\n".encode())
        writing.close()

    async def _obey(self, wanted: dict[str, Any]) -> None:
        if "delay_ms" in wanted:
            self._delay = float(wanted["delay_ms"]) / 1000
        self._to_lose += int(wanted.get("lose", 0))
        if "cut" not in wanted:
            return
        match wanted["cut"]:
            case "silent":
                self._open.clear()
            case "refused":
                await self._refuse()
            case None:
                self._open.set()
                await self.listen()
            case other:
                raise ValueError(f"no such cut: {other}")

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._passing:
            task.cancel()

    async def _accept(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (asyncio runs connection callbacks as tasks)
        self._passing.add(task)
        writers = [writing]
        try:
            await self._open.wait()
            answers, questions = await asyncio.open_connection(*self._to)
            writers.append(questions)
            # Either side's end ends both: a half-closed connection means nothing to Redis.
            ways = {
                asyncio.ensure_future(self._pass(reading, questions, slow=False)),
                asyncio.ensure_future(self._pass(answers, writing, slow=True)),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            # A cut link, or a server that is down: the client sees its connection reset, and that is all.
            pass
        finally:
            self._passing.discard(task)
            for each in writers:
                each.transport.abort()

    async def _pass(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter, *, slow: bool) -> None:
        """One way. Chunks wait in a queue until they are due, so a delay costs latency and not throughput."""
        loop = asyncio.get_running_loop()
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_HELD_CHUNKS)

        async def take() -> None:
            while chunk := await reading.read(_CHUNK):
                if slow and self._to_lose > 0:
                    self._to_lose -= 1
                    self._lost += 1
                    break
                await held.put((loop.time() + (self._delay if slow else 0.0), chunk))
            await held.put((0.0, b""))

        taking = asyncio.ensure_future(take())
        try:
            while True:
                due, chunk = await held.get()
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                await self._open.wait()
                if not chunk:
                    return
                writing.write(chunk)
                await writing.drain()
        finally:
            taking.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await taking


async def serve(arguments: argparse.Namespace) -> None:
    """Forwards until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, _, port = arguments.to.rpartition(":")
    wire = Wire(arguments.port, (host, int(port)))
    await wire.listen()
    async with await asyncio.start_server(wire.command, HOST, arguments.control):
        print(f"ready {HOST}:{arguments.port}", flush=True)
        await stop.wait()


def main() -> None:
    """Reads the command line and forwards."""
    parser = argparse.ArgumentParser(description="a wire that can be cut")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
