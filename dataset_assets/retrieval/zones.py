"""Zones: how near an address is to this machine. A redirect may only lead to the same zone or a farther one."""

import socket
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

Address = IPv4Address | IPv6Address


class Zone(IntEnum):
    """Who can reach an address: everyone, a private network, the local link, or this machine alone."""

    PUBLIC = 0
    PRIVATE = 1
    LINK = 2
    """Link-local addresses, and the metadata services where clouds give a machine its credentials."""
    MACHINE = 3


IN_WORDS = {
    Zone.PUBLIC: "a public address",
    Zone.PRIVATE: "an address of a private network",
    Zone.LINK: "a link-local address, such as that of a cloud's metadata service",
    Zone.MACHINE: "an address of this machine",
}
_METADATA = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
_THIS_HOST = ip_network("0.0.0.0/8")
_NAT64 = ip_network("64:ff9b::/96")
_LOCAL_NAMES = (".internal", ".local", ".lan", ".home.arpa", ".localdomain")


def zone_of(address: str) -> Zone:
    """Return the zone of an IP address. An IPv6 address that contains an IPv4 address has the zone of the latter.

    >>> zone_of("93.184.215.14"), zone_of("::ffff:127.0.0.1")
    (<Zone.PUBLIC: 0>, <Zone.MACHINE: 3>)
    """
    inner = _inner(ip_address(address.partition("%")[0]))
    if inner.is_loopback or inner.is_unspecified or inner in _THIS_HOST:
        return Zone.MACHINE
    if inner.is_link_local or inner in _METADATA:
        return Zone.LINK
    shared = inner.is_multicast or (isinstance(inner, IPv6Address) and inner.is_site_local)
    return Zone.PUBLIC if inner.is_global and not shared else Zone.PRIVATE


def _inner(address: Address) -> Address:
    """Return the IPv4 address in an IPv6 address (mapped, compatible, NAT64, 6to4, Teredo), else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or 1 < int(address) < 1 << 32:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


def addresses_of(host: str, port: int | None = None) -> list[str]:
    """Return the addresses of a host. Raises `OSError` if it has none."""
    try:
        entries = socket.getaddrinfo(host.strip("[]"), port, 0, socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    return list(dict.fromkeys(_as_text(*entry[4]) for entry in entries))


def _as_text(address: Any, port: object, flow: int = 0, scope: int = 0) -> str:
    return f"{address}%{scope}" if scope else str(address)


def zone_of_host(host: str) -> Zone:
    """Return the nearest zone of a host's addresses. If only a proxy can resolve the name, judge by the name."""
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return Zone.MACHINE
    try:
        return max(map(zone_of, addresses_of(name)))
    except OSError:
        if name == "metadata.google.internal":
            return Zone.LINK
        return Zone.PRIVATE if "." not in name or name.endswith(_LOCAL_NAMES) else Zone.PUBLIC
