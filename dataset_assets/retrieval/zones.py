"""How near an address is to this machine. A redirect leads only to hosts as far away as its own, or farther."""

import socket
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

Address = IPv4Address | IPv6Address


class Zone(IntEnum):
    """Who can reach an address: everyone, a network, the neighbours on its wire, or this machine alone."""

    PUBLIC = 0
    PRIVATE = 1
    LINK = 2
    """Link-local, and the addresses at which clouds give a machine its credentials."""
    MACHINE = 3


SAID = {
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
    """Return the zone of an IP address; for an IPv6 address that stands for an IPv4 address, that of the latter.

    >>> zone_of("93.184.215.14"), zone_of("::ffff:127.0.0.1")
    (<Zone.PUBLIC: 0>, <Zone.MACHINE: 3>)
    """
    found = _inner(ip_address(address.partition("%")[0]))
    if found.is_loopback or found.is_unspecified or found in _THIS_HOST:
        return Zone.MACHINE
    if found.is_link_local or found in _METADATA:
        return Zone.LINK
    shared = found.is_multicast or (isinstance(found, IPv6Address) and found.is_site_local)
    return Zone.PUBLIC if found.is_global and not shared else Zone.PRIVATE


def _inner(found: Address) -> Address:
    """Return the IPv4 address that an IPv6 address carries (mapped, compatible, NAT64, 6to4, Teredo), else itself."""
    if isinstance(found, IPv4Address):
        return found
    if found in _NAT64 or 1 < int(found) < 1 << 32:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else found)


def addresses_of(host: str, port: int | None = None) -> list[str]:
    """Return the addresses of a host. Raises `OSError` if it has none."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, 0, socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    return list(dict.fromkeys(_written(*entry[4]) for entry in found))


def _written(address: Any, port: object, flow: int = 0, scope: int = 0) -> str:
    return f"{address}%{scope}" if scope else str(address)


def zone_of_host(host: str) -> Zone:
    """Return the nearest zone of a host's addresses; by its name where only a proxy can resolve it."""
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return Zone.MACHINE
    try:
        return max(map(zone_of, addresses_of(name)))
    except OSError:
        if name == "metadata.google.internal":
            return Zone.LINK
        return Zone.PRIVATE if "." not in name or name.endswith(_LOCAL_NAMES) else Zone.PUBLIC
