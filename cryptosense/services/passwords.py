"""Password digests by argon2id, computed off the event loop by a few threads.

Defaults follow the OWASP password storage cheat sheet (19 MiB, 2 passes, 1 lane). argon2 releases the interpreter while
it works, so threads are enough; their number bounds the memory and the cores that sign-ins can take.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Passwords:
    """Digests and verifies.

    Args:
        time_cost: passes over the memory.
        memory_kib: memory of one digest.
        parallelism: lanes of one digest.
        workers: digests computed at a time; the others wait.
    """

    def __init__(self, *, time_cost: int = 2, memory_kib: int = 19_456, parallelism: int = 1, workers: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="argon2")
        self._nobody: str | None = None

    async def digest(self, password: str) -> str:
        """A salted digest that carries its own parameters."""
        return await self._off_loop(self._hasher.hash, password)

    async def matches(self, digest: str | None, password: str) -> bool:
        """Whether the password is the one behind `digest`; with None (no such user) the same work, and False."""
        known = digest is not None
        if digest is None:
            if self._nobody is None:
                self._nobody = await self.digest("nobody has this password")
            digest = self._nobody
        return await self._off_loop(self._verify, digest, password) and known

    def close(self) -> None:
        """Ends the threads; digests that wait are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, digest: str, password: str) -> bool:
        try:
            return self._hasher.verify(digest, password)
        except InvalidHashError:
            _log.exception("a stored password digest does not parse")
            return False
        except VerificationError:
            return False

    async def _off_loop(self, work: Callable[..., _T], *arguments: str) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
