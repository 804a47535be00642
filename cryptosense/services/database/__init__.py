"""The database: one engine per process."""


class Database:
    queries: int

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None: ...  # ConfigurationError
    async def migrate(self) -> None: ...  # at start; safe with several instances at once
    async def ping(self) -> bool: ...
    async def aclose(self) -> None: ...
