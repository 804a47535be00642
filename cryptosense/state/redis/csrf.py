"""CSRF tokens in Redis: one string a session (`csrf_rotate.lua` tells its form)."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import blake2b

from cryptosense.errors import StateCorrupt
from cryptosense.state.contracts import Rotation, RotationOutcome
from cryptosense.state.keys import part, text
from cryptosense.state.redis.channel import Channel
from cryptosense.state.tokens import KEPT_REPLACED, checked_token, is_token

_NO_TOKEN = "!"  # noqa: S105 - stands for a presented text that cannot be a token, and is none itself
_DIGEST_BYTES = 16
_REPLACED_BYTES = 7 + _DIGEST_BYTES


class RedisCsrf:
    """Implements `CsrfState`."""

    def __init__(self, channel: Channel, prefix: str) -> None:
        self._channel = channel
        self._prefix = f"{prefix}csrf:"

    async def current(self, session: str, candidate: str, *, ttl_ms: int) -> str:
        reply: bytes = await self._channel.run("csrf_current", [self._key(session)], checked_token(candidate), ttl_ms)
        return reply.decode()

    async def peek(self, session: str) -> str | None:
        key = self._key(session)
        record: bytes | None = await self._channel.command("GET", key, reads=True)
        if record is None:
            return None
        length = record[1] if len(record) > 1 else 0
        token = record[2 : 2 + length].decode("ascii", "replace")
        whole = len(token) == length and (len(record) - 2 - length) % _REPLACED_BYTES == 0
        if not (whole and record.startswith(b"=") and is_token(token)):
            raise StateCorrupt(f"what lies at the key {key} is no CSRF record", key=key)
        return token

    async def compare_and_rotate(
        self, session: str, presented: str, successor: str, *, ttl_ms: int, grace_ms: int
    ) -> Rotation:
        offered = (presented if is_token(presented) else _NO_TOKEN).encode()
        reply: bytes = await self._channel.run(
            "csrf_rotate",
            [self._key(session)],
            offered,
            blake2b(offered, digest_size=_DIGEST_BYTES).digest(),
            checked_token(successor),
            ttl_ms,
            grace_ms,
            KEPT_REPLACED,
        )
        match reply[:1]:
            case b"R":
                return Rotation(RotationOutcome.ROTATED, successor)
            case b"G":
                return Rotation(RotationOutcome.GRACE, reply[1:].decode())
            case b"A":
                return Rotation(RotationOutcome.ABSENT, None)
        return Rotation(RotationOutcome.MISMATCH, None)

    async def replace(self, session: str, successor: str, *, ttl_ms: int) -> None:
        record = b"=" + bytes([len(successor)]) + checked_token(successor).encode()
        await self._channel.command("SET", self._key(session), record, "PX", ttl_ms)

    async def revoke(self, session: str) -> None:
        await self._channel.command("UNLINK", self._key(session))

    async def sweep_orphans(self) -> int:
        """A batch of the scan is one pipeline; each key is looked at and removed in one step."""
        removed = 0
        async for keys in self._channel.scan(f"{self._prefix}*"):
            removed += sum(await asyncio.gather(*(self._channel.run("unlink_orphan", [key]) for key in keys)))
        return removed

    async def live(self) -> AsyncIterator[str]:
        async for keys in self._channel.scan(f"{self._prefix}{{*}}"):
            for key in keys:
                yield text(key[len(self._prefix) + 1 : -1])

    def _key(self, session: str) -> str:
        return f"{self._prefix}{{{part(session)}}}"
