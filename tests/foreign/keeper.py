"""The stranger's process keeper, in place of a container runtime: starts services and is told what to do with them.

    python keeper.py keep SERVICES.json PORT    # starts them, then listens on PORT of 127.0.0.1 until SIGTERM
    python keeper.py tell PORT VERB NAME ...    # start, kill, restart, replace, freeze or thaw; returns when done

SERVICES.json: {NAME: {"command": [...], "port": its own port, "replacement": [...] or nothing}}. `replace` starts a
service anew by its replacement.
"""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from pathlib import Path

PATIENCE = 20.0


class Service:
    def __init__(self, command, port, replacement=()):
        self.command, self.port, self.replacement = command, port, replacement
        self.process = None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(*self.command)
        async with asyncio.timeout(PATIENCE):
            while not await self.listens():
                if self.process.returncode is not None:
                    raise RuntimeError(f"{self.command} ended with {self.process.returncode}")
                await asyncio.sleep(0.02)

    async def listens(self):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def end(self, number):
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            await self.process.wait()

    async def kill(self):
        await self.end(signal.SIGKILL)

    async def restart(self):
        await self.end(signal.SIGTERM)
        await self.start()

    async def replace(self):
        self.command = self.replacement or self.command
        await self.restart()

    async def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    async def thaw(self):
        self.process.send_signal(signal.SIGCONT)


async def keep(services, port):
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)

    async def hear(reader, writer):
        verb, *names = (await reader.readline()).decode().split()
        try:
            for name in names:
                await getattr(services[name], verb)()
            writer.write(b"done\n")
        except (KeyError, OSError, RuntimeError, TimeoutError) as error:
            writer.write(f"{type(error).__name__}: {error}\n".encode())
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    try:
        for service in services.values():
            await service.start()
        async with await asyncio.start_server(hear, "127.0.0.1", port):
            await over.wait()
    finally:
        for service in services.values():
            await service.kill()


def tell(port, *words):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall((" ".join(words) + "\n").encode())
        answer = line.makefile().readline().strip()
    if answer != "done":
        sys.exit(answer or "the keeper is gone")


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        said = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
        asyncio.run(keep({name: Service(**one) for name, one in said.items()}, int(sys.argv[3])))
    else:
        tell(int(sys.argv[2]), *sys.argv[3:])
