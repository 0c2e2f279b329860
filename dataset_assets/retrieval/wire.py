"""The connections of a download: limits on their addresses, and on the time, rate and size of what a server sends.

`http.client` treats a lost connection as the end of the headers, limits only single lines, and restarts its timeout
with each byte. So headers are read through a `Wire`, which limits all of them together.
"""

import io
import time
from functools import partial
from http.client import HTTPResponse
from typing import Any, Protocol

from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError

from dataset_assets.retrieval.http_body import Broken, Pace
from dataset_assets.retrieval.zones import Zone, addresses_of, zone_of

HEAD_BYTES = 256 << 10
"""The size limit of a status line and its headers, including any responses 100 before it."""
TRAILERS = 100
_LINE = 65537


class SpeedLimits(Protocol):
    """The longest pause and the lowest rate of a server."""

    @property
    def idle_timeout(self) -> float: ...

    @property
    def minimum_rate(self) -> float: ...


class TooNear(Exception):
    """A redirect leads to an address that is too near. Not an OSError: urllib3 would see a lost connection."""

    def __init__(self, address: str, zone: Zone) -> None:
        super().__init__(address)
        self.address, self.zone = address, zone


class Gate:
    """The nearest zone that the next connection may go to, and the zone of the last connection."""

    def __init__(self) -> None:
        self.nearest = Zone.MACHINE
        self.zone = Zone.PUBLIC

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the allowed addresses of a host. Raises `TooNear` if none is allowed."""
        addresses = addresses_of(host, port)
        allowed = [address for address in addresses if zone_of(address) <= self.nearest]
        if not allowed:
            raise TooNear(addresses[0], zone_of(addresses[0]))
        return allowed


class Wire(io.RawIOBase):
    """The bytes of one response as they arrive. It limits the time and size of headers, and the rate of the body."""

    def __init__(self, raw: Any, limits: SpeedLimits) -> None:
        self.raw, self.limits = raw, limits
        self.pace: Pace | None = None
        self.bytes, self.since = 0, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = int(self.raw.readinto(buffer) or 0)
        if count and self.pace:
            self.pace.count(count)
        elif count:
            self._count_head(count)
        return count

    def _count_head(self, count: int) -> None:
        self.since = self.since or time.monotonic()
        self.bytes += count
        if self.bytes > HEAD_BYTES:
            raise Broken(f"sent more than {HEAD_BYTES} bytes of headers")
        if time.monotonic() - self.since > self.limits.idle_timeout:
            raise Broken(f"did not finish its headers within {self.limits.idle_timeout:g} s")

    def close(self) -> None:
        self.raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """The buffer that a response is read from. A line cut by the end of the connection is an error."""

    in_head = True
    begun = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        cut = not line.endswith(b"\n") and len(line) != size
        # Without a first line, http.client has a better message; after the headers, it checks for a missing line.
        if cut and (line or self.begun and self.in_head):
            raise Broken(f"closed the connection in the middle of its {'headers' if self.in_head else 'chunks'}")
        self.begun = True
        return line


class _Response(HTTPResponse):
    fp: Any

    def __init__(self, sock: Any, *args: Any, limits: SpeedLimits, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.wire = Wire(self.fp.detach(), limits)
        self.fp = _Lines(self.wire)

    def begin(self) -> None:
        super().begin()
        if self.msg.get_payload():
            raise Broken("sent headers that cannot be read")
        self.fp.in_head = False
        self.wire.pace = Pace(self.wire.limits.idle_timeout, self.wire.limits.minimum_rate)

    def _read_and_discard_trailer(self) -> None:
        for _ in range(TRAILERS):
            if self.fp.readline(_LINE) in (b"\r\n", b"\n", b""):
                return
        raise Broken(f"sent more than {TRAILERS} lines after its body")


class _Connection:
    """A mixin for the connections of urllib3: connects only to addresses that its gate allows."""

    gate: Gate | None
    _dns_host: str
    port: int

    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        if hasattr(self.sock, "suppress_ragged_eofs"):
            # Without a length, only TLS's own notice of the end tells a whole body from one that somebody cut.
            self.sock.suppress_ragged_eofs = False

    def _new_conn(self) -> Any:
        if self.gate is None:
            return super()._new_conn()  # type: ignore[misc]
        sock = self._first_of(self._allowed(self.gate))
        self.gate.zone = zone_of(sock.getpeername()[0])
        return sock

    def _allowed(self, gate: Gate) -> list[str]:
        try:
            return gate.addresses(self._dns_host, self.port)
        except OSError as error:
            raise NewConnectionError(self, "no address") from error  # type: ignore[arg-type]

    def _first_of(self, addresses: list[str]) -> Any:
        """Connect to the first of these addresses that answers. The name is not resolved again: it could change."""
        name, failed = self._dns_host, None
        for address in addresses:
            self._dns_host = address
            try:
                return super()._new_conn()  # type: ignore[misc]
            except HTTPError as error:
                failed = error
            finally:
                self._dns_host = name
        assert failed is not None
        raise failed


class Adapter(HTTPAdapter):
    """Makes connections with these limits. Connections to a proxy have no gate: the proxy connects to the host."""

    def __init__(self, limits: SpeedLimits, gate: Gate) -> None:
        self.limits, self.gate = limits, gate
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager, self.gate)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not known:
            self._watch(manager, None)
        return manager

    def _watch(self, manager: Any, gate: Gate | None) -> None:
        own = {"gate": gate, "response_class": partial(_Response, limits=self.limits)}
        manager.pool_classes_by_scheme = {
            scheme: type("Pool", (pool,), {"ConnectionCls": type("Connection", (_Connection, pool.ConnectionCls), own)})
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }
