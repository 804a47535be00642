"""Logs as one JSON object a line on stderr, each with the id of the request that it belongs to.

Headers and bodies are never logged. As a second line of defence every configured secret is blotted out of whatever
text a record holds, an exception's included.
"""

import logging
import sys
from collections.abc import Collection
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO

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
        """One line. A request's own, of which there are most, is put together here without looking for its fields."""
        fields = getattr(record, "request_fields", None)
        if fields is not None:
            return orjson.dumps(
                {
                    "level": record.levelname,
                    "logger": record.name,
                    "message": record.msg,
                    **fields,
                    "request_id": current_request.get(),
                    "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
                }
            ).decode()
        request = current_request.get()
        if request is not None and not hasattr(record, "request_id"):
            record.request_id = request
        text: str = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, BLOT)
        return text


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
