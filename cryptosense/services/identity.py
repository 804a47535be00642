"""Who a request counts against: its user, or else the address it came from.

`X-Forwarded-For` is a claim of whoever wrote it. It is read from the right, and only as long as the hop that wrote the
entry is one of the configured proxies; without such proxies it is not read at all.
"""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from cryptosense.errors import ConfigurationError

_UNKNOWN = "unknown"  # a peer without an address, as on a unix socket
_MAX_HOPS = 32
_WITH_PORT = re.compile(r"(?P<v4>\d+\.\d+\.\d+\.\d+):\d+|\[(?P<v6>[^\]]*)\](?::\d+)?")

_Address = IPv4Address | IPv6Address


class ClientIdentities:
    """Turns a request's origin into the one key that limits are counted by.

    Args:
        trusted_proxies: addresses or CIDR ranges whose `X-Forwarded-For` entries are believed.
        ipv6_prefix: bits that make one IPv6 client; a subscriber usually has a whole /64 to rotate through.

    Raises:
        ConfigurationError: a proxy or a prefix that is none.
    """

    def __init__(self, *, trusted_proxies: Sequence[str] = (), ipv6_prefix: int = 64) -> None:
        if not 1 <= ipv6_prefix <= 128:
            raise ConfigurationError(f"an IPv6 prefix has 1 to 128 bits, not {ipv6_prefix}")
        self._trusted = tuple(_network(text) for text in trusted_proxies)
        self._ipv6_prefix = ipv6_prefix

    def key(self, *, user: str | None, peer: str | None, forwarded_for: Sequence[str] = ()) -> str:
        """`user:ID` for a signed-in user, else `ip:ADDRESS`; the two cannot be confused."""
        if user is not None:
            return f"user:{user}"
        return f"ip:{self.address(peer, forwarded_for)}"

    def address(self, peer: str | None, forwarded_for: Sequence[str] = ()) -> str:
        """The client's address in one spelling; IPv6 as its prefix.

        Args:
            peer: the address at the other end of the connection.
            forwarded_for: the values of every `X-Forwarded-For` header, in the order received.
        """
        hop = _parse(peer or "")
        if hop is None:
            return _UNKNOWN
        for entry in _from_the_right(forwarded_for):
            if not self._is_trusted(hop):
                break
            claimed = _parse(entry)
            if claimed is None:
                break  # a trusted hop passed on something that is no address: it is the last one we can name
            hop = claimed
        return self._spelling(hop)

    def _is_trusted(self, address: _Address) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)

    def _spelling(self, address: _Address) -> str:
        if isinstance(address, IPv4Address) or self._ipv6_prefix == 128:
            return str(address)
        return str(IPv6Network((int(address), self._ipv6_prefix), strict=False))


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise ConfigurationError(f"a trusted proxy is an address or a CIDR range, not {text!r}") from None


def _from_the_right(headers: Sequence[str]) -> Iterator[str]:
    """Entries nearest to us first; a bounded number of them, however long the header."""
    entries = 0
    for header in reversed(headers):
        for entry in reversed(header.rsplit(",", _MAX_HOPS)):
            entries += 1
            if entries > _MAX_HOPS:
                return
            yield entry


def _parse(text: str) -> _Address | None:
    """An address, also with a port or a zone; IPv4-mapped IPv6 is the IPv4 address."""
    text = text.strip()
    if len(text) > 100:
        return None
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        text = with_port["v4"] or with_port["v6"]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
