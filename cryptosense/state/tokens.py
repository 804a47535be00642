"""What backends agree on about the values that services draw: tokens, fences, decision ids."""

import re

KEPT_REPLACED = 32
"""How many replaced CSRF tokens a session keeps for their grace."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_FENCE = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


def is_token(text: str) -> bool:
    """Whether it could be a token at all; what a client presents may be anything."""
    return _TOKEN.fullmatch(text) is not None


def checked_token(token: str) -> str:
    """The token itself.

    Raises:
        ValueError: a service drew something else than 1 to 128 of `A-Z a-z 0-9 _ -`.
    """
    if not is_token(token):
        raise ValueError("a token is 1 to 128 of A-Z a-z 0-9 _ -")
    return token


def checked_fence(fence: str) -> str:
    """The fence itself.

    Raises:
        ValueError: a service drew something else than 1 to 32 of `A-Z a-z 0-9 _ -`.
    """
    if not _FENCE.fullmatch(fence):
        raise ValueError("a fence is 1 to 32 of A-Z a-z 0-9 _ -")
    return fence


def checked_decision(decision: str) -> bytes:
    """The decision id as bytes.

    Raises:
        ValueError: it is not 8 to 16 ASCII characters.
    """
    if not (8 <= len(decision) <= 16 and decision.isascii()):
        raise ValueError("a decision id is 8 to 16 ASCII characters")
    return decision.encode()
