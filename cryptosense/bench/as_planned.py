"""What other ways of keeping the same things leave in the store: the controls of `capacity`.

`plan-limit` is the migration plan's limiter as written: a sorted set with one member for each request, the denied ones
included. `one-tag` keeps everybody's tokens under one hash tag, so that a Cluster puts all of them on one shard.
Written with plain commands, and only under the prefix `cs:control:`.
"""

from collections.abc import Mapping, Sequence

import redis.asyncio
from redis.exceptions import ResponseError

from cryptosense.errors import UsageError

PREFIX = "cs:control:"
_EXPIRY_S = 900

Client = redis.asyncio.Redis


async def put_in_as_planned(primaries: Sequence[Client], kind: str, clients: int, each: int) -> Mapping[str, float]:
    """Puts clients in, `each` requests for each; `bytes` that one client takes.

    Raises:
        UsageError: there is no such kind.
    """
    if kind == "plan-limit":
        only = primaries[0]
        for number in range(clients):
            await _limit(only, number, each)
        sizes = [await only.memory_usage(_limit_key(number), samples=0) for number in range(clients)]
    elif kind == "one-tag":
        owner = await _owner(primaries)
        pipeline = owner.pipeline(transaction=False)
        for number in range(clients):
            pipeline.set(_tagged_key(number), "0" * 64, ex=_EXPIRY_S)
        await pipeline.execute()
        sizes = [await owner.memory_usage(_tagged_key(0))]
    else:
        raise UsageError(f"there is no kind {kind!r}; there are plan-limit and one-tag")
    known = [int(size) for size in sizes if size]
    return {"bytes": sum(known) / max(len(known), 1)}


async def _owner(primaries: Sequence[Client]) -> Client:
    """The primary whose shard has the tag: the others point to it."""
    for primary in primaries[:-1]:
        try:
            await primary.exists(_tagged_key(0))
        except ResponseError:  # MOVED
            continue
        return primary
    return primaries[-1]


async def _limit(client: Client, number: int, requests: int) -> None:
    """The plan's MULTI, request after request; its score is the caller's clock."""
    key, now = _limit_key(number), 1_700_000_000_000
    pipeline = client.pipeline(transaction=False)
    for request in range(requests):
        pipeline.zadd(key, {f"{now + request}:{request / requests:.16f}": now + request})
    pipeline.expire(key, _EXPIRY_S)
    await pipeline.execute()


def _limit_key(number: int) -> str:
    return f"{PREFIX}ratelimit:user:{number:032x}"


def _tagged_key(number: int) -> str:
    return f"{PREFIX}{{users}}:{number:032x}"
