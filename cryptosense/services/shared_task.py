"""A task that several callers wait for."""

import asyncio
from typing import Generic, TypeVar

_T = TypeVar("_T")


class SharedTask(Generic[_T]):
    """Gives its task's outcome to everybody who waits; who is cancelled meanwhile leaves the task and the others alone.

    `asyncio.shield` does the same, with a callback of its own and one more turn of the event loop for each who waits.
    """

    def __init__(self, task: asyncio.Task[_T]) -> None:
        self._task = task
        self._waiting: list[asyncio.Future[_T]] = []
        task.add_done_callback(self._tell)

    def outcome(self) -> asyncio.Future[_T]:
        """To be awaited by one caller."""
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if self._task.done():
            self._tell(self._task)
        return future

    def _tell(self, task: asyncio.Task[_T]) -> None:
        for future in self._waiting:
            if future.done():
                continue
            if task.cancelled():
                future.cancel()
            elif (error := task.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(task.result())
