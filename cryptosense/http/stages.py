"""The migration's stage: from the environment at first, then from a watched file, one step at a time."""

import asyncio
import logging
from pathlib import Path

from cryptosense.settings import STAGES, Settings, StageName
from cryptosense.state import catalog

log = logging.getLogger("cryptosense.stages")


class Stages:
    """What the stage is, and whether it can still change.

    Attributes:
        fixed: no file is watched or there is nothing to switch to, so that the stage stays what it is.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = settings.stage_file
        self._possible: tuple[StageName, ...] = STAGES if settings.redis is not None else ("off",)
        self._refused: str | None = None
        named = self._named() if self._file is not None else None
        self._switch = None
        if settings.redis is not None:
            self._switch = catalog.StageSwitch(catalog.Stage(named or settings.stage))
        self.fixed = self._file is None or self._switch is None

    @property
    def switch(self) -> "catalog.StageSwitch":
        """What the joined state reads.

        Raises:
            LookupError: there is no Redis to join.
        """
        if self._switch is None:
            raise LookupError("without Redis there is no stage to switch")
        return self._switch

    @property
    def name(self) -> StageName:
        """The stage now."""
        return "off" if self._switch is None else self._switch.stage.value

    def memory_counts(self) -> bool:
        """Whether it is memory's answer that counts."""
        return self.name in {"off", "dualwrite", "shadow"}

    def redis_is_used(self) -> bool:
        """Whether Redis is asked at all."""
        return self.name != "off"

    async def watch(self, every_s: float = 0.2) -> None:
        """Follows the file until cancelled."""
        while self._file is not None:
            wanted = await asyncio.to_thread(self._named)
            if wanted is not None and wanted != self.name:
                self._move_to(wanted)
            await asyncio.sleep(every_s)

    def _named(self) -> StageName | None:
        """The stage that the file names; None where it names none (missing, empty, half written, impossible)."""
        text = _read(self._file)
        for stage in self._possible:
            if text == stage:
                return stage
        if text:
            self._refuse(text, f"it names none of {', '.join(self._possible)}")
        return None

    def _move_to(self, wanted: StageName) -> None:
        before: StageName = self.name
        if abs(STAGES.index(wanted) - STAGES.index(before)) != 1:
            self._refuse(wanted, f"the stage is {before} and changes one step at a time")
            return
        self.switch.set(catalog.Stage(wanted))
        self._refused = None
        log.warning("stage %s → %s", before, wanted, extra={"event": "stage", "before": before, "after": wanted})

    def _refuse(self, text: str, reason: str) -> None:
        if text != self._refused:  # once, not five times a second
            self._refused = text
            log.error(
                "the stage file is not followed: %s", reason, extra={"event": "stage_refused", "wanted": text[:64]}
            )


def _read(file: Path | None) -> str:
    try:
        return file.read_text("utf-8").strip() if file is not None else ""
    except (OSError, UnicodeDecodeError):
        return ""
