"""Client addresses of one's own on one machine.

All of 127.0.0.0/8 is loopback on Linux, so a client bound to its own 127.x.y.z is a client of its own to a server on
loopback, without any header that a server should not believe. Elsewhere everybody shares one address.
"""

import ipaddress
import itertools
import secrets
import socket
from collections.abc import Iterator, Sequence
from functools import cache
from urllib.parse import urlsplit


def addresses_available(urls: Sequence[str]) -> bool:
    """Whether clients of these URLs can have addresses of their own: every host is loopback and takes such a peer."""
    return all(_is_loopback(urlsplit(url).hostname or "") for url in urls) and _can_bind("127.201.17.3")


def own_addresses() -> Iterator[str]:
    """Addresses 127.x.y.z, each once, from a random start so that two runs against one store do not meet."""
    start = secrets.randbelow(1 << 22)
    for number in itertools.count(start):
        # 127.0.*.* is left to servers; .0 and .255 stay unused because some parsers take them for networks.
        yield f"127.{1 + number // 64516 % 254}.{1 + number // 254 % 254}.{1 + number % 254}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False


@cache
def _can_bind(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True
