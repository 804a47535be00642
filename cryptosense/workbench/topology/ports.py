"""Free loopback ports.

They are drawn below the ranges from which Linux and macOS serve outgoing connections: a port found by binding to 0
could be taken by a client's connection while its server is down between kill and restart.
"""

import random
import socket

HOST = "127.0.0.1"
BUS_OFFSET = 10_000
"""A Cluster node's bus listens on its port plus this."""

_FIRST, _LAST = 15_000, 22_000  # plus BUS_OFFSET still ends below 32,768
_given: set[int] = set()
_draw = random.SystemRandom()


def free_port(*, with_bus: bool = False) -> int:
    """A port that nobody listens on and that this process was not given before; `with_bus`: its bus port as well.

    Raises:
        OSError: none was found.
    """
    for _ in range(1_000):
        port = _draw.randrange(_FIRST, _LAST)
        if port not in _given and is_free(port) and (not with_bus or is_free(port + BUS_OFFSET)):
            _given.add(port)
            return port
    raise OSError(f"no free loopback port between {_FIRST} and {_LAST}")


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
