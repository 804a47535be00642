"""The stages of the migration, and the switch that says which one holds."""

from enum import StrEnum


class Stage(StrEnum):
    """In order. What each means is in three questions: whose answer counts, what is written, what is compared."""

    OFF = "off"
    DUALWRITE = "dualwrite"
    SHADOW = "shadow"
    LIVE = "live"
    RAMPDOWN = "rampdown"
    COMPLETE = "complete"

    @property
    def redis_counts(self) -> bool:
        """Whether Redis's answer is the one that callers get."""
        return self in {Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE}

    @property
    def writes_both(self) -> bool:
        return self not in {Stage.OFF, Stage.COMPLETE}

    @property
    def compares(self) -> bool:
        """Whether reads are made on both sides and compared."""
        return self in {Stage.SHADOW, Stage.LIVE}

    @property
    def position(self) -> int:
        """0 for `off` to 5 for `complete`."""
        return list(Stage).index(self)


class StageSwitch:
    """Which stage holds now. Each operation reads it once, at its start, so a flip never divides an operation."""

    def __init__(self, stage: Stage = Stage.OFF) -> None:
        self._stage = stage

    @property
    def stage(self) -> Stage:
        return self._stage

    def set(self, stage: Stage) -> None:
        """Moves one step, forward or back; to stay is allowed.

        Raises:
            ValueError: `stage` is further than one step away.
        """
        if abs(stage.position - self._stage.position) > 1:
            raise ValueError(
                f"the migration moves one stage at a time: {self._stage.value} is not next to {stage.value}"
            )
        self._stage = stage
