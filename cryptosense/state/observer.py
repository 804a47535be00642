"""What the state tells whoever listens: the wiring turns it into logs and metrics."""

from typing import Protocol


class StateObserver(Protocol):
    """Callbacks, called from the event loop and expected to return at once.

    Events: `connect`, `ready`, `error`, `close`, `reconnecting` (once each per outage and server, with `server`, and
    `reason` where there is one), `entry_unreadable` (with `key`), `other_side_failed` (with `service`, `reason`),
    `topology` (a cluster's shards have moved; with `shards`).
    """

    def event(self, name: str, **fields: object) -> None:
        """Something happened to the state's connection, or to an operation on it."""
        ...

    def difference(self, service: str, kind: str) -> None:
        """The two sides of the migration disagree: `kind` is `missing`, `value`, `decision` or `lease`.

        `failed`: the other side could not be asked or written, so they may.
        """
        ...


class SilentObserver:
    """Listens to nothing."""

    def event(self, name: str, **fields: object) -> None:
        """Ignores it."""

    def difference(self, service: str, kind: str) -> None:
        """Ignores it."""
