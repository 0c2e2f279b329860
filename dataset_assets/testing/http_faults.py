"""Faults of an HTTP server, one class each, for `FaultyServer.script`."""

import gzip
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler


@dataclass
class Reply:
    """A response before it is sent. Faults change it before the conditions and the range of the request apply."""

    status: int
    body: bytes
    headers: dict[str, str]
    heeds: set[str] = field(default_factory=lambda: {"range", "conditions"})
    framing: str = "length"
    """"length", "chunked", or "none" (neither a length nor chunks)."""
    misstated: int = 0
    """Added to the true Content-Length."""
    most: int | None = None
    """The most bytes of a range."""
    misranged: tuple[int, int, int | None] = (0, 0, 0)
    """Added to first, last and total of the true Content-Range; None states the total as "*"."""
    part_status: int = 206
    """The status of a range."""
    sending: "Fault | None" = None
    """The fault that sends the body, if any."""
    heading: "Fault | None" = None
    """The fault that sends the headers, if any."""


class Fault:
    """A fault in one response.

    It may `change` the reply, or send the headers (`send_head`) or the body (`send`) itself.
    """

    instead = False
    """Whether a proxy answers in place of the server, which then does not see the request."""

    def change(self, reply: Reply) -> None:
        reply.sending = self

    def send_head(self, line: "Line", head: bytes) -> None:
        line.handler.wfile.write(head)

    def send(self, line: "Line", body: bytes) -> None:
        line.write(body)


class Line:
    """The connection to the client."""

    def __init__(self, handler: BaseHTTPRequestHandler, framing: str, stopping: threading.Event) -> None:
        self.handler = handler
        self.framing = framing
        self.stopping = stopping

    def write(self, data: bytes) -> None:
        """Send bytes, as a chunk if the reply is chunked."""
        if self.framing == "chunked" and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self.handler.wfile.write(data)

    def end(self) -> None:
        """Send the end of a chunked body."""
        if self.framing == "chunked":
            self.handler.wfile.write(b"0\r\n\r\n")

    def trickle(self, data: bytes, bytes_per_s: float) -> None:
        """Send bytes one by one at a rate. Raises `Ending` when the server stops."""
        for position in range(len(data)):
            if self.stopping.wait(1 / bytes_per_s):
                raise Ending
            self.handler.wfile.write(data[position : position + 1])

    def close(self, reset: bool = False) -> None:
        """Close the connection cleanly or with a reset."""
        self.handler.close_connection = True
        if reset:
            # With a linger time of 0, close sends a reset.
            self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Ending(Exception):
    """Stops the body here, without a proper end."""


@dataclass(frozen=True)
class Drop(Fault):
    """Close the connection after a fraction of the body."""

    after: float = 0.5
    reset: bool = True

    def send(self, line: Line, body: bytes) -> None:
        line.write(body[: int(len(body) * self.after)])
        line.close(self.reset)
        raise Ending


@dataclass(frozen=True)
class NoLength(Fault):
    """Send neither a length nor chunks, and close cleanly after a fraction of the body."""

    cut: float = 1.0

    def change(self, reply: Reply) -> None:
        reply.framing, reply.sending = "none", self

    def send(self, line: Line, body: bytes) -> None:
        line.write(body[: int(len(body) * self.cut)])


@dataclass(frozen=True)
class Chunked(Fault):
    """Send the body in chunks."""

    def change(self, reply: Reply) -> None:
        reply.framing, reply.sending = "chunked", self

    def send(self, line: Line, body: bytes) -> None:
        for start in range(0, len(body), 5000):
            line.write(body[start : start + 5000])


@dataclass(frozen=True)
class ChunkedCut(Chunked):
    """Send a fraction of the body in chunks, and close cleanly without the last chunk."""

    after: float = 0.5

    def send(self, line: Line, body: bytes) -> None:
        super().send(line, body[: int(len(body) * self.after)])
        line.close()
        raise Ending


@dataclass(frozen=True)
class LengthTooBig(Fault):
    """Announce more bytes than are sent."""

    by: int = 10

    def change(self, reply: Reply) -> None:
        reply.misstated = self.by


@dataclass(frozen=True)
class LengthTooSmall(Fault):
    """Announce fewer bytes than are sent."""

    by: int = 10

    def change(self, reply: Reply) -> None:
        reply.misstated = -self.by


@dataclass(frozen=True)
class Slow(Fault):
    """Send the body slowly, after a fraction of it."""

    bytes_per_s: float = 1.0
    after: float = 0.0

    def send(self, line: Line, body: bytes) -> None:
        start = int(len(body) * self.after)
        line.write(body[:start])
        for position in range(start, len(body)):
            if line.stopping.wait(1 / self.bytes_per_s):
                raise Ending
            line.write(body[position : position + 1])


@dataclass(frozen=True)
class CutHeaders(Fault):
    """Close the connection cleanly after a fraction of the headers."""

    after: float = 0.5

    def change(self, reply: Reply) -> None:
        reply.heading = self

    def send_head(self, line: Line, head: bytes) -> None:
        line.handler.wfile.write(head[: int(len(head) * self.after)])
        line.close()
        raise Ending


@dataclass(frozen=True)
class Lost(CutHeaders):
    """Lose the answer: the server acted, and the connection closes without a byte."""

    after: float = 0.0


@dataclass(frozen=True)
class Reset(Fault):
    """Reset the connection; the server does not see the request."""

    instead = True

    def change(self, reply: Reply) -> None:
        reply.heading = self

    def send_head(self, line: Line, head: bytes) -> None:
        line.close(reset=True)
        raise Ending


@dataclass(frozen=True)
class Silence(Fault):
    """Keep the connection open and send nothing: the server acted, and nobody hears of it."""

    seconds: float = 600.0

    def change(self, reply: Reply) -> None:
        reply.heading = self

    def send_head(self, line: Line, head: bytes) -> None:
        line.stopping.wait(self.seconds)
        line.close()
        raise Ending


@dataclass(frozen=True)
class WireError(Fault):
    """Answer with an error of a database: a number for MongoDB, five characters for PostgreSQL. For `WireProxy`."""

    instead = True
    code: int | str
    message: str = "as a test wants it"
    more: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class SlowHeaders(Fault):
    """Send the headers slowly."""

    bytes_per_s: float = 1.0

    def change(self, reply: Reply) -> None:
        reply.heading = self

    def send_head(self, line: Line, head: bytes) -> None:
        line.trickle(head, self.bytes_per_s)


@dataclass(frozen=True)
class EndlessHeaders(Fault):
    """Send the same bytes forever before the headers: by default, responses with status 100."""

    part: bytes = b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n"
    per_s: float = 0.0
    """How often per second; 0 for as fast as the client reads."""

    def change(self, reply: Reply) -> None:
        reply.heading = self

    def send_head(self, line: Line, head: bytes) -> None:
        while not line.stopping.wait(1 / self.per_s if self.per_s else 0):
            line.handler.wfile.write(self.part)
        raise Ending


@dataclass(frozen=True)
class EndlessBody(Fault):
    """Send an endless body without a length."""

    framing: str = "chunked"
    piece: bytes = bytes(1 << 16)

    def change(self, reply: Reply) -> None:
        reply.framing, reply.sending = self.framing, self

    def send(self, line: Line, body: bytes) -> None:
        while not line.stopping.is_set():
            line.write(self.piece)
        raise Ending


@dataclass(frozen=True)
class EndlessTrailers(Chunked):
    """Send the body in chunks, then trailers forever."""

    def send(self, line: Line, body: bytes) -> None:
        super().send(line, body)
        line.handler.wfile.write(b"0\r\n")
        while not line.stopping.is_set():
            line.handler.wfile.write(b"A: b\r\n")
        raise Ending


@dataclass(frozen=True)
class Stall(Fault):
    """Stop after a fraction of the body, and keep the connection open."""

    after: float = 0.5
    seconds: float = 600.0

    def send(self, line: Line, body: bytes) -> None:
        start = int(len(body) * self.after)
        line.write(body[:start])
        line.stopping.wait(self.seconds)
        line.write(body[start:])


@dataclass(frozen=True)
class Status(Fault):
    """Answer with this status."""

    instead = True
    code: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def change(self, reply: Reply) -> None:
        reply.status, reply.body, reply.headers, reply.heeds = self.code, self.body, dict(self.headers), set()


@dataclass(frozen=True)
class Html(Fault):
    """Answer with a web page, such as a login or a quota notice."""

    instead = True
    title: str = "Sign in"
    content_type: str = "text/html; charset=utf-8"

    def change(self, reply: Reply) -> None:
        page = f"<!DOCTYPE html>\n<html><head><title>{self.title}</title></head><body></body></html>\n"
        reply.status, reply.body, reply.heeds = 200, page.encode(), set()
        reply.headers = {"Content-Type": self.content_type}


@dataclass(frozen=True)
class Redirect(Fault):
    """Redirect the client."""

    instead = True
    location: str
    code: int = 302

    def change(self, reply: Reply) -> None:
        Status(self.code, {"Location": self.location}).change(reply)


@dataclass(frozen=True)
class IgnoreRange(Fault):
    """Send the whole file, even if a range was requested."""

    def change(self, reply: Reply) -> None:
        reply.heeds.discard("range")


@dataclass(frozen=True)
class ShortRange(Fault):
    """Send at most this many bytes of the range that was requested, as proxies do that cache in blocks."""

    most: int = 1 << 16

    def change(self, reply: Reply) -> None:
        reply.most = self.most


@dataclass(frozen=True)
class WrongRange(Fault):
    """Misstate the Content-Range: numbers to add to its first byte, last byte and total; None for a total of "*"."""

    first: int = 0
    last: int = 0
    total: int | None = 0

    def change(self, reply: Reply) -> None:
        reply.misranged = (self.first, self.last, self.total)


@dataclass(frozen=True)
class PartAsWhole(Fault):
    """Answer a request for a range with the status of a whole file."""

    def change(self, reply: Reply) -> None:
        reply.part_status = 200


@dataclass(frozen=True)
class Headers(Fault):
    """Send these headers too; None leaves a header out."""

    headers: dict[str, str | None]

    def change(self, reply: Reply) -> None:
        for name, value in self.headers.items():
            reply.headers.pop(name, None)
            if value is not None:
                reply.headers[name] = value


@dataclass(frozen=True)
class ChangeEtag(Fault):
    """Send a different ETag; None sends none."""

    etag: str | None = '"another"'

    def change(self, reply: Reply) -> None:
        reply.headers.pop("ETag", None)
        if self.etag:
            reply.headers["ETag"] = self.etag


@dataclass(frozen=True)
class Gzip(Fault):
    """Gzip the body although it was not requested; with `stored`, label the file itself as gzip-coded."""

    stored: bool = False

    def change(self, reply: Reply) -> None:
        reply.headers["Content-Encoding"] = "gzip"
        reply.heeds.discard("range")
        reply.body = reply.body if self.stored else gzip.compress(reply.body, mtime=0)
