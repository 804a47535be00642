"""argon2id, off the event loop."""


class Passwords:
    def __init__(
        self, *, time_cost: int = 2, memory_kib: int = 19_456, parallelism: int = 1, workers: int = 2
    ) -> None: ...
    async def digest(self, password: str) -> str: ...
    async def matches(self, digest: str | None, password: str) -> bool: ...  # None: unknown user, same time spent
    def close(self) -> None: ...
