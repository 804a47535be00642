"""Which addresses may be loaded: loopback and private ones, others only when the user says so."""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from cryptosense.errors import UsageError

Resolver = Callable[[str], Iterable[str]]


def resolve(host: str) -> list[str]:
    """Every address of `host`."""
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})


def refuse_public(urls: Iterable[str], *, allow_public: bool, resolver: Resolver = resolve) -> None:
    """Lets loopback and private addresses pass.

    Raises:
        UsageError: a URL is no http(s) URL, does not resolve, or leads to a public address without `allow_public`.
    """
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(f"{url!r} is not a URL of the form http://host:port")
        if parts.username or parts.password:
            raise UsageError("a target URL must not hold a password; put accounts into the target profile as env:NAME")
        try:
            addresses = list(resolver(parts.hostname))
        except OSError as error:
            raise UsageError(f"cannot resolve {parts.hostname}: {error.strerror or error}") from None
        public = [address for address in addresses if not _is_private(address)]
        if public and not allow_public:
            named = parts.hostname if parts.hostname == public[0] else f"{parts.hostname} ({public[0]})"
            raise UsageError(f"{named} is a public address; add --allow-public if the system is yours to load")


def _is_private(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    judged = mapped or found
    return judged.is_loopback or judged.is_private or judged.is_link_local
