"""Whom a request counts against."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosense.errors import ConfigurationError
from cryptosense.services.identity import ClientIdentities

BEHIND_PROXY = ClientIdentities(trusted_proxies=["10.0.0.0/8", "fd00::/8", "192.0.2.7"])


@given(st.lists(st.text(max_size=60) | st.ip_addresses().map(str), max_size=5))
def test_rate_6_without_trusted_proxies_no_header_changes_who_one_is(headers: list[str]) -> None:
    assert ClientIdentities().address("203.0.113.9", headers) == "203.0.113.9"


@given(st.lists(st.ip_addresses(v=4).map(str), max_size=4))
def test_rate_6_whatever_a_client_writes_the_proxy_names_the_address_it_saw(claims: list[str]) -> None:
    header = ", ".join([*claims, "203.0.113.9"])
    assert BEHIND_PROXY.address("10.1.2.3", [header]) == "203.0.113.9"


def test_rate_6_several_headers_are_one_list_read_from_the_right() -> None:
    headers = ["198.51.100.1", "203.0.113.9, 10.9.9.9", "192.0.2.7"]
    assert BEHIND_PROXY.address("10.0.0.1", headers) == "203.0.113.9"


def test_rate_6_an_entry_that_is_no_address_ends_the_walk_at_the_hop_that_passed_it_on() -> None:
    assert BEHIND_PROXY.address("10.0.0.1", ["203.0.113.9, unknown, 10.0.0.2"]) == "10.0.0.2"


def test_rate_6_when_every_hop_is_trusted_the_first_of_them_counts() -> None:
    assert BEHIND_PROXY.address("10.0.0.1", ["10.0.0.3, 10.0.0.2"]) == "10.0.0.3"


def test_rate_6_a_header_of_a_megabyte_is_read_from_its_end_only() -> None:
    header = ",".join(["10.0.0.2"] * 100_000)
    assert BEHIND_PROXY.address("10.0.0.1", [header]) == "10.0.0.2"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
        ("/run/service.sock", "unknown"),
    ],
)
def test_rate_6_one_client_has_one_spelling(peer: str | None, address: str) -> None:
    assert ClientIdentities().address(peer) == address


@pytest.mark.parametrize(
    "entry", ["203.0.113.9:4711", " 203.0.113.9 ", "::ffff:203.0.113.9", "[::ffff:203.0.113.9]:80"]
)
def test_rate_6_ports_blanks_and_mapped_addresses_do_not_make_a_new_client(entry: str) -> None:
    assert BEHIND_PROXY.address("::ffff:10.0.0.1", [entry]) == "203.0.113.9"


@given(st.integers(0, 2**64 - 1), st.integers(48, 64))
def test_rate_6_rotating_through_a_prefix_does_not_make_a_new_client(host: int, prefix: int) -> None:
    rotated = str(ipaddress.IPv6Address((0x20010DB800010002 << 64) | host))
    identities = ClientIdentities(ipv6_prefix=prefix)
    assert identities.address(rotated) == identities.address("2001:db8:1:2::1")


def test_rate_6_a_user_and_an_address_of_the_same_name_are_two_clients() -> None:
    identities = ClientIdentities()
    assert identities.key(user="ip:203.0.113.9", peer="203.0.113.9") == "user:ip:203.0.113.9"
    assert identities.key(user=None, peer="203.0.113.9") == "ip:203.0.113.9"


@pytest.mark.parametrize("proxy", ["", "10.0.0.0/33", "proxy.example", "*"])
def test_a_proxy_that_is_no_address_is_one_clear_line(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="trusted proxy"):
        ClientIdentities(trusted_proxies=[proxy])


@pytest.mark.parametrize("prefix", [0, 129, -1])
def test_a_prefix_has_1_to_128_bits(prefix: int) -> None:
    with pytest.raises(ConfigurationError, match="128 bits"):
        ClientIdentities(ipv6_prefix=prefix)
