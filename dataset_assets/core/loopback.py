"""Whether a host is this very machine; what goes to another one unencrypted can be read on the way."""

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine by its very name, without asking a resolver.

    >>> is_loopback("localhost"), is_loopback("[::1]"), is_loopback("example.org")
    (True, True, False)
    """
    name = host.lower().strip("[]").rstrip(".")
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def is_readable_on_the_way(url: str) -> bool:
    """Say whether a URL is of plain http to another machine.

    >>> is_readable_on_the_way("http://minio.example:9000"), is_readable_on_the_way("http://127.0.0.1:9000")
    (True, False)
    """
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")
