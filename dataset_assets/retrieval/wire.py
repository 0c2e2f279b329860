"""The connections of a download: which addresses they go to, and how long, how fast and how much a server may send.

`http.client` takes the end of a connection for the end of the headers, counts nothing but single lines, and waits for
each byte anew; so headers are read here through a `Wire` that bounds them as a whole.
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
"""Of a status, its headers, and the answers 100 before it."""
TRAILERS = 100
_LINE = 65537


class Patience(Protocol):
    """How long and how slowly a server may send."""

    @property
    def idle_timeout(self) -> float: ...

    @property
    def minimum_rate(self) -> float: ...


class TooNear(Exception):
    """An address that a redirect may not lead to; no OSError, which urllib3 would take for a lost connection."""

    def __init__(self, address: str, zone: Zone) -> None:
        super().__init__(address)
        self.address, self.zone = address, zone


class Gate:
    """The zones that the next connection may go to, and the zone that the last one went to."""

    def __init__(self) -> None:
        self.nearest = Zone.MACHINE
        self.zone = Zone.PUBLIC

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host that may be connected to. Raises `TooNear` if none may."""
        found = addresses_of(host, port)
        allowed = [address for address in found if zone_of(address) <= self.nearest]
        if not allowed:
            raise TooNear(found[0], zone_of(found[0]))
        return allowed


class Wire(io.RawIOBase):
    """The bytes of one answer as they arrive: the headers within a time and a size, the body at a rate."""

    def __init__(self, raw: Any, patience: Patience) -> None:
        self.raw, self.patience = raw, patience
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
        if time.monotonic() - self.since > self.patience.idle_timeout:
            raise Broken(f"did not end its headers within {self.patience.idle_timeout:g} s")

    def close(self) -> None:
        self.raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """What an answer is read from; a line that ends with the connection is an error."""

    in_head = True
    begun = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        cut = not line.endswith(b"\n") and len(line) != size
        # Without a first line http.client says more of it; past the headers, an end without a line is its affair.
        if cut and (line or self.begun and self.in_head):
            raise Broken(f"closed the connection in the middle of its {'headers' if self.in_head else 'chunks'}")
        self.begun = True
        return line


class _Response(HTTPResponse):
    fp: Any

    def __init__(self, sock: Any, *args: Any, patience: Patience, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.wire = Wire(self.fp.detach(), patience)
        self.fp = _Lines(self.wire)

    def begin(self) -> None:
        super().begin()
        if self.msg.get_payload():
            raise Broken("sent headers that cannot be read")
        self.fp.in_head = False
        self.wire.pace = Pace(self.wire.patience.idle_timeout, self.wire.patience.minimum_rate)

    def _read_and_discard_trailer(self) -> None:
        for _ in range(TRAILERS):
            if self.fp.readline(_LINE) in (b"\r\n", b"\n", b""):
                return
        raise Broken(f"sent more than {TRAILERS} lines after its body")


class _Connection:
    """Mixed into urllib3's connections: connects to what its gate lets through."""

    gate: Gate | None
    _dns_host: str
    port: int

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
        """Connect to the first address that answers: to these very ones, since a name may soon have others."""
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
    """Makes connections that are watched. Those to a proxy pass no gate: the proxy connects to the host."""

    def __init__(self, patience: Patience, gate: Gate) -> None:
        self.patience, self.gate = patience, gate
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
        own = {"gate": gate, "response_class": partial(_Response, patience=self.patience)}
        manager.pool_classes_by_scheme = {
            scheme: type("Pool", (pool,), {"ConnectionCls": type("Connection", (_Connection, pool.ConnectionCls), own)})
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }
