"""A proxy before a real HTTP server, such as S3 or Azure: it counts the requests, and breaks those that a rule names.

```python
with Proxy("http://127.0.0.1:8333") as proxy:
    storage = open_storage(f"s3://bucket/prefix?endpoint={proxy.url}")
    for n in itertools.count(1):
        with proxy.failing(n, Lost()) as calls:
            ...  # run the code, which may raise; then check what is stored
        if not calls.tripped:
            break
```
"""

import http.client
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable, Iterator, Mapping, Self

from dataset_assets.testing.faults import Calls
from dataset_assets.testing.http_faults import Ending, Fault, Line, Reply, Status

Answer = Fault | int | Callable[[bytes], Fault] | None
"""What happens to a request: nothing, a fault, a status with a body like S3's, or a fault made from the body."""
Rule = Callable[[str, str], Answer]

_BUSY = (429, 503)
"""What a server answers that asks to wait."""
_FRAMING = ("content-length", "transfer-encoding", "connection")


def passing(verb: str, what: str) -> None:
    """Pass every request on."""


class Counted:
    """The requests that a proxy met, and the rule that breaks some of them."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.fault: Rule = passing
        """`fault(verb, what)` returns what happens to a request, such as `Lost()`, or None to pass it on.

        For HTTP these are the method and the path with its query; see `WireProxy` for databases.
        """
        self.stopping = threading.Event()

    def count(self, verb: str, part: str = "") -> int:
        """Return how many requests there were of a verb, with this part in what they asked for."""
        return sum(done == verb and part in what for done, what in [*self.requests])

    def judged(self, verb: str, what: str) -> Answer:
        """Count a request, and return what happens to it."""
        self.requests.append((verb, what))
        return self.fault(verb, what)

    @contextmanager
    def failing(self, n: int, fault: Answer, counts: Callable[[str, str], bool] | None = None) -> Iterator[Calls]:
        """Break the n-th request inside the block, counted from 1 over those for which `counts(verb, what)` is true."""
        calls, before = Calls(), self.fault

        def rule(verb: str, what: str) -> Answer:
            if counts and not counts(verb, what) or calls.next() != n:
                return None
            calls.tripped = True
            return fault

        self.fault = rule
        try:
            yield calls
        finally:
            self.fault = before


class Proxy(Counted):
    """Passes HTTP requests on to a server. Requests with a key in `expired` are refused."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.to = endpoint.removeprefix("http://").partition("/")[0]
        self.expired: set[str] = set()
        self.server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Else it would wait for answers that are held back.
    block_on_close = False
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else each answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True
    proxy: Proxy

    def handle_one_request(self) -> None:
        # Clients of tests are killed, and answers cut.
        with suppress(ConnectionError):
            super().handle_one_request()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self._fault(body)
        reply = Reply(200, b"", {}) if fault.instead else self._passed_on(body)
        fault.change(reply)
        line = Line(self, reply.framing, self.proxy.stopping)
        with suppress(Ending):
            (reply.heading or Fault()).send_head(line, self._head(reply))
            if self.command != "HEAD":
                (reply.sending or Fault()).send(line, reply.body)
                line.end()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def _fault(self, body: bytes) -> Fault:
        fault = self.proxy.judged(self.command, self.path)
        if any(key in (self.headers["Authorization"] or "") for key in self.proxy.expired):
            return Status(400, body=b"<Error><Code>ExpiredToken</Code><Message>It has expired.</Message></Error>")
        if isinstance(fault, int):
            code = "SlowDown" if fault in _BUSY else "InternalError"
            return Status(fault, body=f"<Error><Code>{code}</Code></Error>".encode())
        if fault is None or isinstance(fault, Fault):
            return fault or _Passed()
        return fault(body)

    def _passed_on(self, body: bytes) -> Reply:
        connection = http.client.HTTPConnection(self.proxy.to, timeout=120)
        # The headers are passed as they came, the host too: they are signed.
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        data, headers = answer.read(), dict(answer.headers)
        connection.close()
        return Reply(answer.status, data, headers)

    def _head(self, reply: Reply) -> bytes:
        lines = [f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, '')}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items() if name.lower() not in _FRAMING]
        lines += [f"{name}: {value}" for name, value in self._framed(reply).items()]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")

    def _framed(self, reply: Reply) -> Mapping[str, str]:
        if reply.framing == "chunked":
            return {"Transfer-Encoding": "chunked"}
        self.close_connection |= reply.framing == "none" or reply.misstated != 0
        if reply.framing == "none":
            return {"Connection": "close"}
        stated = reply.headers.get("Content-Length") if self.command == "HEAD" else None
        return {"Content-Length": str(stated or len(reply.body) + reply.misstated)}

    def log_message(self, *args: object) -> None:
        """Print nothing: `requests` has the log."""


class _Passed(Fault):
    def change(self, reply: Reply) -> None:
        """Leave the answer of the server as it is."""
