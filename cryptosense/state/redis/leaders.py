"""Leads in Redis: who holds the key leads."""

from cryptosense.state.keys import part
from cryptosense.state.redis.channel import Channel


class RedisLeaders:
    """Implements `LeaderState`."""

    def __init__(self, channel: Channel, prefix: str) -> None:
        self._channel = channel
        self._prefix = f"{prefix}leader:"

    async def lead(self, task: str, holder: str, *, ttl_ms: int) -> bool:
        led: int = await self._channel.run("lead", [self._key(task)], holder, ttl_ms)
        return led == 1

    async def resign(self, task: str, holder: str) -> None:
        await self._channel.run("resign", [self._key(task)], holder)

    def _key(self, task: str) -> str:
        return f"{self._prefix}{{{part(task)}}}"
