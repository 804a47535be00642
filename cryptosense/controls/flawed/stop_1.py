"""STOP-1: the shutdown trips over a Redis that is away and ends with a traceback and exit code 1."""

import os
import sys
import traceback

from cryptosense.controls.control import Control
from cryptosense.errors import StateUnavailable
from cryptosense.http.lifecycle import Lifecycle


class Trips(Lifecycle):
    async def stop(self) -> None:
        redis = self._parts.redis
        if redis is None or await redis.ping():
            await super().stop()
            return
        try:
            raise StateUnavailable("quit() failed: connection is closed")
        except StateUnavailable:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


CONTROL = Control("STOP-1", "SIGTERM while Redis is away ends in a traceback.", {"lifecycle": Trips})
