"""Sessions in Redis: a string each, and a sorted set a user as their index."""

from collections.abc import AsyncIterator

from cryptosense.errors import StateCorrupt
from cryptosense.state.contracts import RefreshOutcome, SessionRecord
from cryptosense.state.keys import label, part, text
from cryptosense.state.redis.channel import Channel

_OUTCOMES = {b"R": RefreshOutcome.ROTATED, b"U": RefreshOutcome.REUSED, b"A": RefreshOutcome.ABSENT}


class RedisSessions:
    """Implements `SessionState`."""

    def __init__(self, channel: Channel, prefix: str) -> None:
        self._channel = channel
        self._prefix = f"{prefix}session:"

    async def open(self, record: SessionRecord, *, ttl_ms: int) -> None:
        value = f"s1:{record.opened_at_ms}:{record.refresh_digest}"
        await self._channel.run(
            "session_open", self._keys(record.user, record.session), value, part(record.session), ttl_ms
        )

    async def find(self, user: str, session: str) -> SessionRecord | None:
        key, _ = self._keys(user, session)
        value: bytes | None = await self._channel.command("GET", key, reads=True)
        if value is None:
            return None
        magic, _, rest = value.partition(b":")
        opened, _, digest = rest.partition(b":")
        if magic != b"s1" or not opened.isdigit():
            raise StateCorrupt(f"what lies at the key {key} is no session", key=key)
        return SessionRecord(user, session, digest.decode("utf-8", "replace"), int(opened))

    async def rotate_refresh(
        self, user: str, session: str, presented_digest: str, successor_digest: str, *, ttl_ms: int
    ) -> RefreshOutcome:
        reply: bytes = await self._channel.run(
            "session_rotate", self._keys(user, session), presented_digest, successor_digest, part(session), ttl_ms
        )
        return _OUTCOMES[reply]

    async def close(self, user: str, session: str) -> bool:
        record, index = self._keys(user, session)
        ended: int = await self._channel.run("session_close", [index, record], part(session))
        return ended == 1

    async def close_all(self, user: str, *, keep: str | None = None) -> int:
        kept = part(keep) if keep is not None else ""
        stem = f"{self._prefix}{{{part(user)}}}:"
        ended: int = await self._channel.run("session_close", [f"{stem}i"], kept, f"{stem}s:")
        return ended

    async def live(self) -> AsyncIterator[str]:
        async for keys in self._channel.scan(f"{self._prefix}{{*}}:s:*"):
            for key in keys:
                user, session = key[len(self._prefix) + 1 :].split("}:s:", 1)
                yield label(text(user), text(session))

    def _keys(self, user: str, session: str) -> list[str]:
        stem = f"{self._prefix}{{{part(user)}}}:"
        return [f"{stem}s:{part(session)}", f"{stem}i"]
