"""Everything that can go wrong, as one tree.

    CryptoSenseError
    ├── ConfigurationError        a setting is missing or malformed; one line for the person who set it
    ├── StateError                something about remembered state
    │   ├── StateUnavailable      the operation was not applied (refused, no connection, not sent)
    │   ├── OutcomeUnknown        it may have been applied (the reply was lost or came too late)
    │   └── StateCorrupt          the server answered, but what lies at this key is not ours; other keys are fine
    ├── RequestRefused            the request was understood and is refused; its text may be shown to the client
    │   ├── InvalidInput          a value that is not acceptable
    │   ├── NotSignedIn           unknown credentials, or a session that has ended
    │   ├── NotFound              nothing of that name, or not the caller's
    │   └── Conflict              it exists already
    ├── DatabaseUnavailable       the database did not answer
    ├── UpstreamError             the market-data provider
    │   ├── UpstreamUnavailable   no answer, a 5xx, or an answer that is not its documented shape
    │   └── UpstreamThrottled     it refused for quota; carries `retry_after` seconds
    └── WorkbenchError            the workbench itself
        ├── UsageError            what the user asked for does not exist or does not fit
        ├── CouldNotStart         a server, a service or a kernel did not come up
        └── Interrupted           the user stopped the run

Driver errors are translated into this tree once, where the driver is called; nothing above catches a driver's own.
"""


class CryptoSenseError(Exception):
    """Root of the tree; its text is one line and fit for the person who reads it."""


class ConfigurationError(CryptoSenseError):
    """A setting is missing or malformed."""


class StateError(CryptoSenseError):
    """Something about remembered state went wrong."""


class StateUnavailable(StateError):
    """The operation was not applied."""


class OutcomeUnknown(StateError):
    """The operation may or may not have been applied."""


class StateCorrupt(StateError):
    """What lies at the key is not what this program writes there."""

    def __init__(self, message: str, *, key: str) -> None:
        super().__init__(message)
        self.key = key


class RequestRefused(CryptoSenseError):
    """The request was understood and is refused; the text is fit for the client."""


class InvalidInput(RequestRefused):
    """A value in the request is not acceptable."""


class NotSignedIn(RequestRefused):
    """The credentials are not known, or the session has ended."""


class NotFound(RequestRefused):
    """Nothing of that name, or not the caller's."""


class Conflict(RequestRefused):
    """It exists already."""


class DatabaseUnavailable(CryptoSenseError):
    """The database did not answer."""


class UpstreamError(CryptoSenseError):
    """The market-data provider could not be used."""


class UpstreamUnavailable(UpstreamError):
    """No usable answer."""


class UpstreamThrottled(UpstreamError):
    """The provider refused for quota."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WorkbenchError(CryptoSenseError):
    """The workbench could not do its work."""


class UsageError(WorkbenchError):
    """What the user asked for does not exist or does not fit."""


class CouldNotStart(WorkbenchError):
    """A process that the run needs did not come up."""


class Interrupted(WorkbenchError):
    """The user stopped the run."""
