"""One server of each kind for a whole test run: the process that starts the workers also starts what they share."""

import json
import os
import threading
import urllib.request
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable, Mapping

VARIABLE = "TEST_SERVERS"
"""The environment variable that says where the lender listens."""

PATIENCE = 280.0
"""Seconds for a server to start while all workers are busy."""


@dataclass(frozen=True)
class Place:
    """Where a server is: the URL of storages in it, to which names are added, and the environment that opens them."""

    url: str
    environment: Mapping[str, str]
    endpoint: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)


Server = Callable[[], AbstractContextManager[Place]]


class Lender:
    """Starts each server when it is first borrowed, and stops all of them when it is closed."""

    def __init__(self, servers: Mapping[str, Server]) -> None:
        self._over = threading.Event()
        self._kept = {name: _Kept(server, self._over) for name, server in servers.items()}
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"lender": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def place(self, name: str) -> Place:
        """Return where a server is; start it if nobody asked before."""
        kept = self._kept[name]
        with self._lock:
            if not kept.is_alive() and not kept.place.done():
                kept.start()
        return kept.place.result()

    def close(self) -> None:
        """Stop the servers."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in (self._thread, *(kept for kept in self._kept.values() if kept.is_alive())):
            thread.join()


class _Kept(threading.Thread):
    """The thread that starts a server and stops it: a server ends with the thread that started it."""

    def __init__(self, server: Server, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.place: Future[Place] = Future()
        self._borrowed, self._over = server, over

    def run(self) -> None:
        try:
            with self._borrowed() as place:
                self.place.set_result(place)
                self._over.wait()
        except Exception as error:
            if self.place.done():
                raise
            self.place.set_exception(error)


class _Handler(BaseHTTPRequestHandler):
    lender: Lender

    def do_GET(self) -> None:
        try:
            status, said = 200, json.dumps(asdict(self.lender.place(self.path.strip("/"))))
        except Exception as error:
            status, said = 500, f"{type(error).__name__}: {error}"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *args: object) -> None:
        return None


def borrowed(name: str) -> Place | None:
    """Return where a server of the whole run is; None in a run without workers."""
    if VARIABLE not in os.environ:
        return None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Errors())
    with opener.open(f"{os.environ[VARIABLE]}/{name}", timeout=PATIENCE) as answer:
        text = answer.read().decode()
        if answer.status != 200:
            raise ChildProcessError(f"{name} did not start: {text}")
    place = Place(**json.loads(text))
    return replace(place, secrets=tuple(place.secrets))


class _Errors(urllib.request.HTTPErrorProcessor):
    """Leaves an error's text to the one who asked."""

    def http_response(self, request: object, response: object) -> object:
        return response
