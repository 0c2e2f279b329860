"""A proxy before a database that speaks the protocol of MongoDB or of PostgreSQL, without TLS."""

import itertools
import socket
import struct
import threading
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple, Protocol, Self

from dataset_assets.testing.http_faults import Drop, Ending, Lost, Reset, Silence, WireError
from dataset_assets.testing.proxy import Answer, Counted


class Frame(NamedTuple):
    """A message of a protocol."""

    data: bytes
    request: tuple[str, str] | None = None
    """The verb, and what it is about, if the message asks for something."""
    ends: bool = True
    """Whether an answer is complete with this message."""


class Wire(Protocol):
    """How one protocol frames its messages."""

    def asked(self, client: BinaryIO, first: bool) -> Frame:
        """Read a message of the client. Raises EOFError at the end."""
        ...

    def answered(self, server: BinaryIO) -> Frame:
        """Read a message of the server. Raises EOFError at the end."""
        ...

    def declined(self, frame: Frame) -> bytes:
        """Return the answer to a message that the proxy does not pass on, such as an offer of TLS; else b""."""
        ...

    def error(self, error: WireError, frame: Frame) -> bytes:
        """Return an error in answer to a request."""
        ...


class MongoWire:
    """MongoDB: a request is a command, such as ("find", "dataset_assets.objects")."""

    def asked(self, client: BinaryIO, first: bool) -> Frame:
        data = self._message(client)
        return Frame(data, self._command(data))

    def answered(self, server: BinaryIO) -> Frame:
        data = self._message(server)
        more_follow = data[12:16] == _OP_MSG and struct.unpack_from("<I", data, 16)[0] & 2
        return Frame(data, ends=not more_follow)

    def declined(self, frame: Frame) -> bytes:
        return b""

    def error(self, error: WireError, frame: Frame) -> bytes:
        import bson

        told = {"ok": 0.0, "errmsg": error.message, "code": error.code, **error.more}
        body = bson.encode(told)
        asked = frame.data[4:8]
        return struct.pack("<i", 21 + len(body)) + bytes(4) + asked + _OP_MSG + bytes(5) + body

    def _message(self, file: BinaryIO) -> bytes:
        size = exactly(file, 4)
        return size + exactly(file, int.from_bytes(size, "little") - 4)

    def _command(self, data: bytes) -> tuple[str, str] | None:
        if data[12:16] != _OP_MSG:
            return "hello", ""
        # A section of kind 0 is a document; its first field is the command, and mostly names a collection.
        name = data[26 : data.index(b"\0", 26)]
        at = 27 + len(name)
        length = struct.unpack_from("<i", data, at)[0] if data[25] == 2 else 1
        return name.decode(), data[at + 4 : at + 3 + length].decode() if data[25] == 2 else ""


class PostgresWire:
    """PostgreSQL: a request is a statement by its first word, such as ("SELECT", "SELECT 1"), or ("CALL", "")."""

    def asked(self, client: BinaryIO, first: bool) -> Frame:
        kind = b"" if first else exactly(client, 1)
        size = exactly(client, 4)
        body = exactly(client, int.from_bytes(size) - 4)
        return Frame(kind + size + body, self._request(kind, body))

    def answered(self, server: BinaryIO) -> Frame:
        kind, size = exactly(server, 1), exactly(server, 4)
        return Frame(kind + size + exactly(server, int.from_bytes(size) - 4), ends=kind == b"Z")

    def declined(self, frame: Frame) -> bytes:
        return b"N" if frame.data[4:] in _OFFERS else b""

    def error(self, error: WireError, frame: Frame) -> bytes:
        fields = {"S": "ERROR", "V": "ERROR", "C": str(error.code), "M": error.message}
        body = b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0"
        return b"E" + (len(body) + 4).to_bytes(4) + body + b"Z\0\0\0\5E"

    def _request(self, kind: bytes, body: bytes) -> tuple[str, str] | None:
        if kind == b"F":
            return "CALL", ""
        if kind not in (b"Q", b"P"):
            return None
        text = body.rstrip(b"\0").rpartition(b"\0")[2].decode(errors="replace").strip()
        return (text.split() or [""])[0].upper().rstrip(";"), text


_OP_MSG = struct.pack("<i", 2013)
_OFFERS = [struct.pack(">i", code) for code in (80877103, 80877104)]
"""A client asks whether the server speaks TLS, or encrypts by GSSAPI."""

_WIRES: dict[str, Wire] = {"mongodb": MongoWire(), "postgresql": PostgresWire()}


class WireProxy(Counted):
    """Passes connections on to a database at a port of this machine, and breaks requests as its rule says.

    Of the faults it knows `Lost`, `Reset`, `Silence`, `Drop` and `WireError`.

    ```python
    with WireProxy(5432, "postgresql") as proxy:
        storage = open_storage(f"postgresql+psycopg2://user@127.0.0.1:{proxy.port}/database")
    ```
    """

    def __init__(self, port: int, protocol: str) -> None:
        super().__init__()
        self.to, self.wire = port, _WIRES[protocol]
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.links: list[_Link] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopping.set()
        with suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End all connections."""
        for link in [*self.links]:
            link.close()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                client = self.listening.accept()[0]
            except OSError:
                return
            try:
                link = _Link(self, client)
            except OSError:
                client.close()
                continue
            # Known before it passes anything on, so that `hang_up` ends it too.
            self.links.append(link)
            link.start()


class _Link:
    """A connection of a client, and one to the server for it; a thread for each direction."""

    def __init__(self, proxy: WireProxy, client: socket.socket) -> None:
        self.proxy, self.client = proxy, client
        self.server = socket.create_connection(("127.0.0.1", proxy.to))
        self.fault: Answer = None
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for act in (self._ask, self._answer):
            threading.Thread(target=self._until_closed, args=(act,), daemon=True).start()

    def close(self, reset: bool = False) -> None:
        if reset:
            # With a linger time of 0, close sends a reset.
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for end in (self.client, self.server):
            with suppress(OSError):
                if not reset or end is self.server:
                    end.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                end.close()

    def _until_closed(self, act: Any) -> None:
        with suppress(OSError, EOFError, ValueError, Ending):
            act()
        self.close()

    def _ask(self) -> None:
        wire, file = self.proxy.wire, self.client.makefile("rb")
        first = True
        for _ in itertools.count():
            frame = wire.asked(file, first)
            if declined := wire.declined(frame) if first else b"":
                self.client.sendall(declined)
                continue
            first = False
            self._pass_on(frame)

    def _pass_on(self, frame: Frame) -> None:
        fault = self.proxy.judged(*frame.request) if frame.request else None
        if isinstance(fault, Reset):
            self.close(reset=True)
        elif isinstance(fault, WireError):
            self.client.sendall(self.proxy.wire.error(fault, frame))
        else:
            # Set before the server can answer.
            self.fault = fault
            self.server.sendall(frame.data)

    def _answer(self) -> None:
        file, held = self.server.makefile("rb"), bytearray()
        for _ in itertools.count():
            frame = self.proxy.wire.answered(file)
            if self.fault is None:
                self.client.sendall(frame.data)
                continue
            held += frame.data
            if frame.ends:
                self._break(self.fault, bytes(held))

    def _break(self, fault: Answer, answer: bytes) -> None:
        if isinstance(fault, Silence):
            self.proxy.stopping.wait(fault.seconds)
        elif isinstance(fault, Drop):
            self.client.sendall(answer[: int(len(answer) * fault.after)])
        elif not isinstance(fault, Lost):
            raise TypeError(f"A WireProxy does not know the fault {fault!r}.")
        raise Ending


def exactly(file: BinaryIO, size: int) -> bytes:
    """Read so many bytes. Raises EOFError if there are fewer."""
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data
