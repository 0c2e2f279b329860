"""A real HTTP server on this machine that serves files, and fails on request."""

import contextlib
import io
import re
import socket
import ssl
import threading
import time
from collections import deque
from email.message import Message
from email.utils import formatdate, parsedate_to_datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from dataset_assets.testing.http_faults import (
    ChangeEtag,
    Chunked,
    ChunkedCut,
    CutHeaders,
    Drop,
    Ending,
    EndlessBody,
    EndlessHeaders,
    EndlessTrailers,
    Fault,
    Gzip,
    Headers,
    Html,
    IgnoreRange,
    LengthTooBig,
    LengthTooSmall,
    Line,
    NoLength,
    PartAsWhole,
    Redirect,
    Reply,
    ShortRange,
    Slow,
    SlowHeaders,
    Stall,
    Status,
    WrongRange,
)

__all__ = [
    "ChangeEtag",
    "Chunked",
    "ChunkedCut",
    "CutHeaders",
    "Drop",
    "EndlessBody",
    "EndlessHeaders",
    "EndlessTrailers",
    "Fault",
    "FaultyServer",
    "Gzip",
    "Headers",
    "Html",
    "IgnoreRange",
    "LengthTooBig",
    "LengthTooSmall",
    "NoLength",
    "PartAsWhole",
    "Redirect",
    "Request",
    "ShortRange",
    "Slow",
    "SlowHeaders",
    "Stall",
    "Status",
    "WrongRange",
]


class Request(NamedTuple):
    """A request as received; `path` includes the query."""

    method: str
    path: str
    headers: Message


class FaultyServer:
    """Serves `files`, with faults in the next responses as `script` sets them.

    >>> with FaultyServer({"/train.csv": b"a,b"}) as server:
    ...     server.script("/train.csv", [Status(503), Drop(after=0.5)])
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self, files: dict[str, bytes] | None = None, certificate: Path | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.files = dict(files or {})
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self.started = time.time() // 1
        self._scripts: dict[str, deque[Fault | tuple[Fault, ...]]] = {}
        self._mutex = threading.Lock()
        self._server = _Server(self, host)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # Each connection's thread does its handshake, so that a failed one does not stop the server.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._server.server_address[1]}"

    def script(self, path: str, faults: list[Fault | tuple[Fault, ...]]) -> None:
        """Add faults for the next responses of a path, one item per response; a tuple combines several faults."""
        with self._mutex:
            self._scripts.setdefault(path, deque()).extend(faults)

    def forget(self) -> None:
        """Clear the scripts and the log of requests."""
        with self._mutex:
            self._scripts.clear()
            self.requests.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def reply(self, request: Request) -> Reply:
        """Log a request and return its reply."""
        path = unquote(urlsplit(request.path).path)
        with self._mutex:
            self.requests.append(request)
            script = self._scripts.get(path)
            faults = script.popleft() if script else ()
        reply = self._sound(path)
        for fault in faults if isinstance(faults, tuple) else (faults,):
            fault.change(reply)
        _heed(request.headers, reply)
        return reply

    def _sound(self, path: str) -> Reply:
        if path not in self.files:
            return Reply(404, b"", {}, heeds=set())
        body = self.files[path]
        return Reply(
            200,
            body,
            {
                "ETag": f'"{sha256(body).hexdigest()}"',
                "Last-Modified": formatdate(self.started, usegmt=True),
                "Accept-Ranges": "bytes",
                "Content-Type": "application/octet-stream",
            },
        )


def _heed(asked: Message, reply: Reply) -> None:
    """Apply a condition (status 304) and a range (a part of the body) to the reply."""
    if "conditions" in reply.heeds and _unchanged(asked, reply):
        reply.status, reply.body = 304, b""
        return
    start = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", asked.get("Range", ""))
    same = asked.get("If-Range") in (None, reply.headers.get("ETag"))
    if "range" not in reply.heeds or not start or not same:
        return
    first, size = int(start[1]), len(reply.body)
    if first >= size:
        reply.status, reply.body, reply.headers["Content-Range"] = 416, b"", f"bytes */{size}"
        return
    end = int(start[2]) + 1 if start[2] else size
    reply.status, reply.body = reply.part_status, reply.body[first:end][: reply.most]
    begins, ends, total = reply.misranged
    last = first + len(reply.body) - 1 + ends
    reply.headers["Content-Range"] = f"bytes {first + begins}-{last}/{'*' if total is None else size + total}"


def _unchanged(asked: Message, reply: Reply) -> bool:
    if "If-None-Match" in asked:
        return asked["If-None-Match"] == reply.headers.get("ETag")
    since, now = asked.get("If-Modified-Since"), reply.headers.get("Last-Modified")
    return bool(since and now and parsedate_to_datetime(now) <= parsedate_to_datetime(since))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Of more connections than wait here at once, the system drops some; clients try those again after a second.
    request_queue_size = 128

    def __init__(self, faulty: FaultyServer, host: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), _Handler)
        self.faulty = faulty

    def server_bind(self) -> None:
        # The base class would resolve the name of the host.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: tests close connections on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def faulty(self) -> FaultyServer:
        assert isinstance(self.server, _Server)
        return self.server.faulty

    def do_GET(self) -> None:
        reply = self.faulty.reply(Request(self.command, self.path, self.headers))
        self.send_response(reply.status)
        for name, value in (self._framed(reply) | reply.headers).items():
            self.send_header(name, value)
        line = Line(self, reply.framing, self.faulty.stopping)
        with contextlib.suppress(Ending, ConnectionError):
            (reply.heading or Fault()).send_head(line, self._taken_head())
            if self.command == "HEAD":
                return
            (reply.sending or Fault()).send(line, reply.body)
            line.end()
            self._say_goodbye()

    do_HEAD = do_GET

    def _say_goodbye(self) -> None:
        """End TLS as it should be ended, before the connection is closed; what breaks off does not."""
        if self.close_connection and isinstance(self.connection, ssl.SSLSocket):
            self.connection.settimeout(1)
            with contextlib.suppress(OSError):
                self.connection.unwrap()

    def _taken_head(self) -> bytes:
        """Return the headers as bytes, so that a fault can send them."""
        out, self.wfile = self.wfile, io.BytesIO()
        self.end_headers()
        head, self.wfile = self.wfile.getvalue(), out
        return head

    def _framed(self, reply: Reply) -> dict[str, str]:
        # With a wrong or missing length, the client cannot find the start of the next response.
        self.close_connection |= reply.framing == "none" or reply.misstated != 0
        closing = {"Connection": "close"} if self.close_connection else {}
        if reply.framing == "chunked":
            return closing | {"Transfer-Encoding": "chunked"}
        if reply.framing == "none" or reply.status == 304:
            return closing
        return closing | {"Content-Length": str(len(reply.body) + reply.misstated)}

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing: `requests` has the log."""
