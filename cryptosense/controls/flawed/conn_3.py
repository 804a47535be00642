"""CONN-3: serves before it has looked for its dependencies, and says that they are away."""

import asyncio

from cryptosense.controls.control import Control
from cryptosense.http.lifecycle import Lifecycle
from cryptosense.http.wiring import Instance

UNREADY_S = 1.5


class StartsBlind(Lifecycle):
    """Begins to look only when it already serves and is asked; until it has looked, health says no."""

    def __init__(self, parts: Instance) -> None:
        super().__init__(parts)
        self._health = parts.health

    async def start(self) -> None:
        health, looking = self._health, list[asyncio.Task[None]]()
        asked = health._services

        async def look() -> None:
            await asyncio.sleep(UNREADY_S)
            health._services = asked  # type: ignore[method-assign]

        async def nothing_yet() -> dict[str, bool]:
            if not looking:
                looking.append(asyncio.create_task(look()))
                self._tasks.extend(looking)
            return dict.fromkeys(await asked(), False)

        health._services = nothing_yet  # type: ignore[method-assign]
        await super().start()


CONTROL = Control("CONN-3", "It announces itself before it can serve.", {"lifecycle": StartsBlind})
