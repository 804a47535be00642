"""A plain client of the service's Redis, as the plan would have used it."""

from typing import Any

import redis.asyncio

from cryptosense.errors import ConfigurationError
from cryptosense.http.parts import Parts


def plain_redis(parts: Parts) -> Any:
    """One client with the driver's own settings; redis-py's replies are untyped here.

    Raises:
        ConfigurationError: the control needs a single Redis server.
    """
    address = parts.settings.redis
    if address is None or address.kind != "standalone":
        raise ConfigurationError("this control needs REDIS_URL to name a single server")
    host, port = address.nodes[0]
    return redis.asyncio.Redis(
        host=host, port=port, db=address.db, username=address.username, password=address.password, decode_responses=True
    )
