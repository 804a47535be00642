"""The driver's errors, translated once into the project's own."""

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - the driver's name for it
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from cryptosense.errors import StateCorrupt, StateError, StateUnavailable

LOST = (RedisError, OSError, EOFError, TimeoutError, AttributeError)
"""What a connection raises when it is gone. AttributeError: the driver writes to a stream that it has just dropped."""

_NOT_APPLIED = (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_NOT_APPLIED_CODES = ("BUSY ", "MISCONF", "NOREPLICAS", "OOM ", "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN")
_DEMOTED = (ReadOnlyError, MasterDownError)


def translated(error: RedisError, key: str) -> StateError:
    """The state error for an error reply of the server.

    What the server refuses because of its own condition was not applied. Whatever else it answers is about what lies
    at the key: a wrong type, or a record that the script does not understand.
    """
    if isinstance(error, _NOT_APPLIED) or str(error).startswith(_NOT_APPLIED_CODES):
        return StateUnavailable(f"the server refused: {_reason(error)}")
    return StateCorrupt(f"what lies at the key {key} is not ours: {_reason(error)}", key=key)


def is_demotion(error: ResponseError) -> bool:
    """Whether the server says that it is no primary any more, or has lost its replicas, as one does that was demoted
    and has not heard of it yet: Sentinel leaves it a primary for about ten seconds.
    """
    return isinstance(error, _DEMOTED) or str(error).startswith(("READONLY", "MASTERDOWN", "NOREPLICAS"))


def described(error: BaseException) -> str:
    """One line for a log."""
    return _reason(error) or type(error).__name__


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
