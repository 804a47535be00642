"""The conformance suite: what every backend of the state has to do, as checks that anybody can run on a backend.

    for check in CHECKS:
        await check(subject)        # raises AssertionError where the backend does not conform

A `Subject` is a backend and a way to let time pass. Checks draw their own names, so they share a server with others and
leave nothing that does not expire. Those with `exact` need a clock that stands still but for `pass_time`: they look at
boundary instants. The others hold on a loaded machine too: what must still be good is given a minute, what must be gone
a few milliseconds.
"""

from cryptosense.state.conformance import cache, csrf, leaders, sessions, windows
from cryptosense.state.conformance.subject import Check, Subject

CHECKS: tuple[Check, ...] = (*csrf.CHECKS, *windows.CHECKS, *cache.CHECKS, *sessions.CHECKS, *leaders.CHECKS)

__all__ = ["CHECKS", "Check", "Subject"]
