"""Reading an object of a bucket on, after the wait for a piece of it was interrupted."""

import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dataset_assets.storage import open_storage
from dataset_assets.storage.object_file import WHOLE
from dataset_assets.testing.storage import some_bytes

DATA = some_bytes(6 * WHOLE)
AT = WHOLE + WHOLE // 2


@pytest.fixture
def pausing(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, threading.Event]]:
    """The URL of a bucket with one object; its first answer pauses after its first piece, until it may go on."""
    go_on = threading.Event()
    pauses = [go_on]

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.begin(200, len(DATA))

        def do_GET(self) -> None:
            start = int(self.headers.get("Range", "bytes=0-")[len("bytes=") :].split("-")[0])
            self.begin(206, len(DATA) - start, **{"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"})
            if start < AT and pauses:
                self.wfile.write(DATA[start:AT])
                pauses.pop().wait(120)
                start = AT
            self.wfile.write(DATA[start:])

        def begin(self, status: int, size: int, **headers: str) -> None:
            self.send_response(status)
            headers |= {"Content-Length": str(size), "ETag": '"1"', "Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    for name, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    yield f"s3://bucket?endpoint=http://127.0.0.1:{server.server_port}", go_on
    go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_after_an_interrupt_the_bytes_are_those_that_stand_there(pausing: tuple[str, threading.Event]) -> None:
    url, go_on = pausing
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with open_storage(url).get("a") as file:
            assert file.read(WHOLE) == DATA[:WHOLE]
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.3)
                file.read(WHOLE)
            go_on.set()
            position = file.tell()
            assert file.read() == DATA[position:]
    finally:
        signal.signal(signal.SIGALRM, before)
