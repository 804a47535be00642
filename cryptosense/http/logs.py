"""Logs as one JSON object a line on stderr, each with the id of the request that it belongs to.

Headers and bodies are never logged. As a second line of defence every configured secret is blotted out of whatever
text a record holds, an exception's included.
"""

import asyncio
import logging
import sys
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, BinaryIO

import orjson
from pythonjsonlogger.orjson import OrjsonFormatter

current_request: ContextVar[str | None] = ContextVar("cryptosense_request", default=None)

BLOT = "***"


class JsonLines(OrjsonFormatter):
    """Formats a record as JSON, with the request's id and without secrets."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
        )
        self._secrets = tuple(sorted((secret for secret in secrets if len(secret) >= 4), key=len, reverse=True))

    def format(self, record: logging.LogRecord) -> str:
        request = current_request.get()
        if request is not None and not hasattr(record, "request_id"):
            record.request_id = request
        text: str = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, BLOT)
        return text


class AccessLog:
    """A line for each request, in the same form as every other line.

    Not through `logging`, whose record costs as much as a limiter's decision. The lines of one turn of the event loop
    are written at once.
    """

    def __init__(self, *, enabled: bool = True, stream: BinaryIO | None = None) -> None:
        self.enabled = enabled
        self._stream = stream
        self._lines: list[bytes] = []

    def note(self, request_id: str, fields: Mapping[str, object]) -> None:
        """Notes one request; must run in an event loop."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.write)
        line = {
            "level": "INFO",
            "logger": "cryptosense.access",
            "message": "request",
            **fields,
            "request_id": request_id,
            "time": datetime.now(UTC).isoformat(),
        }
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def write(self) -> None:
        """Writes what was noted."""
        lines, self._lines = self._lines, []
        stream = self._stream or sys.stderr.buffer
        stream.write(b"".join(lines))
        stream.flush()


def configure_logging(level: str, secrets: Collection[str] = (), stream: IO[str] | None = None) -> None:
    """Sends every logger of the process to stderr as JSON lines, from `level` (a name) upwards."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(secrets))
    # Nothing here says which thread or process it was, so no record needs to find out.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for talkative in ("httpx", "httpcore", "aiosqlite", "alembic", "uvicorn.error", "asyncio"):
        logging.getLogger(talkative).setLevel(max(logging.WARNING, root.level))
