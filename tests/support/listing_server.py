"""The listings of S3 and of Azure, page by page, each of which a function may answer otherwise."""

import threading
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Iterator

PAGE = 1000
DATE = "2020-01-01T00:00:00.000Z"
HTML = b"<html><body>Log in to the network</body></html>"
EXPIRED = 403, b"<Error><Code>ExpiredToken</Code></Error>"

Answer = tuple[int, bytes] | str | None


def s3_page(names: list[str], more: str | None, truncated: bool | None = None) -> bytes:
    keys, folders = [name for name in names if name[-1] != "/"], [name for name in names if name[-1] == "/"]
    token = "" if more is None else f"<NextContinuationToken>{more}</NextContinuationToken>"
    each = "".join(
        f"<Contents><Key>{key}</Key><LastModified>{DATE}</LastModified><ETag>x</ETag><Size>1</Size></Contents>"
        for key in keys
    ) + "".join(f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>" for folder in folders)
    cut = str(more is not None if truncated is None else truncated).lower()
    return f"<ListBucketResult><IsTruncated>{cut}</IsTruncated>{token}{each}</ListBucketResult>".encode()


def azure_page(keys: list[str], more: str | None) -> bytes:
    each = "".join(
        f"<Blob><Name>{key}</Name><Properties><Last-Modified>Wed, 01 Jan 2020 00:00:00 GMT</Last-Modified>"
        "<Etag>x</Etag><Content-Length>1</Content-Length><Content-Type>x</Content-Type></Properties></Blob>"
        for key in keys
    )
    marker = f"<NextMarker>{more or ''}</NextMarker>"
    return f"<EnumerationResults><Blobs>{each}</Blobs>{marker}</EnumerationResults>".encode()


def rolled_up(keys: list[str], prefix: str) -> list[str]:
    """Return the keys directly below a prefix, and the folders there, which end in `/`."""
    below = [key.removeprefix(prefix).partition("/") for key in keys if key.startswith(prefix)]
    return sorted({prefix + name + slash for name, slash, _ in below})


class Lists:
    """A server of one listing: `fault(number of the page, query)` may answer a request instead of it."""

    def __init__(self, keys: list[str], scheme: str = "s3") -> None:
        self.keys, self.scheme = keys, scheme
        self.fault: Callable[[int, dict[str, str]], Answer] = lambda number, asked: None
        self.asked: list[dict[str, str]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"lists": self}))
        self.server.daemon_threads = True
        place = f"http://127.0.0.1:{self.server.server_port}"
        self.url = f"s3://bkt?endpoint={place}" if scheme == "s3" else f"az://bkt?account=me&endpoint={place}/me"

    def answer(self, asked: dict[str, str]) -> Answer:
        after, token = asked.get("start-after", ""), asked.get("continuation-token") or asked.get("marker") or "0"
        keys, start = [key for key in self.keys if not after or key > after], int(token)
        if asked.get("delimiter") and self.scheme == "s3":
            keys = rolled_up(keys, asked.get("prefix", ""))
        found = self.fault(start // PAGE, asked)
        more = str(start + PAGE) if start + PAGE < len(keys) else None
        page = s3_page if self.scheme == "s3" else azure_page
        return (200, page(keys[start : start + PAGE], more)) if found is None else found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    lists: Any

    def do_GET(self) -> None:
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        self.lists.asked.append(asked)
        found = self.lists.answer(asked)
        if found == "reset":
            self.close_connection = True
            return
        status, body = found
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        return None


@contextmanager
def listing(keys: list[str], scheme: str = "s3") -> Iterator[Lists]:
    lists = Lists(keys, scheme)
    thread = threading.Thread(target=lists.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield lists
    finally:
        lists.server.shutdown()
        lists.server.server_close()
        thread.join()
