"""Google Cloud Storage as its XML interface describes it, in memory: what obstore asks for, and no more.

It is written from the documentation, not a server that Google or others run: it shows that our connector and obstore
agree with that text. https://cloud.google.com/storage/docs/xml-api/reference-methods
"""

import itertools
import json
import os
import threading
import time
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Mapping
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

BUCKET = "datasets"


def entered_google(server: "GoogleStorage", monkeypatch: pytest.MonkeyPatch, folder: Path, secret: str = "") -> str:
    """Put what opens it into the environment: a service account that asks nobody for tokens. Return an empty place."""
    account = {"gcs_base_url": server.url, "disable_oauth": True, "client_email": "", "private_key": secret}
    path = folder / "account.json"
    path.write_text(json.dumps({**account, "private_key_id": ""}))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(path))
    monkeypatch.setenv("GOOGLE_BASE_URL", server.url)
    return f"gs://{BUCKET}/{os.urandom(4).hex()}"


class GoogleStorage:
    """One bucket: name -> (generation, bytes, when). A page of a listing has two objects."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[int, bytes, float]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.generations = itertools.count(1)
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"google": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self) -> "GoogleStorage":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def put(self, name: str, data: bytes, expected: str | None) -> int | None:
        """Store an object if it has this generation (0: none, None: any); return the new one."""
        with self.lock:
            if expected is not None and self.objects.get(name, (0,))[0] != int(expected):
                return None
            generation = next(self.generations)
            self.objects[name] = generation, data, time.time()
            return generation


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else each answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True
    google: GoogleStorage

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        bucket, _, name = unquote(parts.path.lstrip("/")).partition("/")
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if bucket != BUCKET:
            self.reply(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif not name:
            self.list(query)
        else:
            getattr(self, self.command.lower())(name, query, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def get(self, name: str, query: dict[str, str], body: bytes) -> None:
        # Looked up once: another request may delete it at any time.
        if (found := self.google.objects.get(name)) is None:
            self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        generation, data, when = found
        if self.headers.get("If-Match") not in (None, f'"{generation}"'):
            self.reply(412)
            return
        headers, asked = _headers(generation, when), self.headers.get("Range")
        if not asked:
            self.reply(200, data, headers)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        lo = int(first) if first else max(len(data) - int(last), 0)
        hi = min(int(last) + 1, len(data)) if first and last else len(data)
        self.reply(206, data[lo:hi], {**headers, "Content-Range": f"bytes {lo}-{hi - 1}/{len(data)}"})

    head = get

    def put(self, name: str, query: dict[str, str], body: bytes) -> None:
        if "uploadId" in query:
            self.google.uploads[query["uploadId"]][int(query["partNumber"])] = body
            self.reply(200, headers={"ETag": f'"{query["partNumber"]}"'})
            return
        self.stored(name, body)

    def post(self, name: str, query: dict[str, str], body: bytes) -> None:
        if "uploads" in query:
            upload = str(next(self.google.generations))
            self.google.uploads[upload] = {}
            text = f"<Bucket>{BUCKET}</Bucket><Key>{escape(name)}</Key><UploadId>{upload}</UploadId>"
            self.reply(200, f"<InitiateMultipartUploadResult>{text}</InitiateMultipartUploadResult>".encode())
            return
        if query["uploadId"] not in self.google.uploads:
            self.reply(404, b"<Error><Code>NoSuchUpload</Code></Error>")
            return
        parts = self.google.uploads.pop(query["uploadId"])
        self.stored(name, b"".join(parts[number] for number in sorted(parts)), multipart=True)

    def delete(self, name: str, query: dict[str, str], body: bytes) -> None:
        if "uploadId" in query:
            self.google.uploads.pop(query["uploadId"], None)
            self.reply(204)
            return
        found = self.google.objects.pop(name, None)
        self.reply(404 if found is None else 204, b"" if found else b"<Error><Code>NoSuchKey</Code></Error>")

    def stored(self, name: str, data: bytes, multipart: bool = False) -> None:
        generation = self.google.put(name, data, self.headers.get("x-goog-if-generation-match"))
        if generation is None:
            self.reply(412)
            return
        text = f'<CompleteMultipartUploadResult><ETag>"{generation}"</ETag></CompleteMultipartUploadResult>'
        self.reply(200, text.encode() if multipart else b"", _headers(generation, time.time()))

    def list(self, query: Mapping[str, str]) -> None:
        prefix, after = query.get("prefix", ""), query.get("continuation-token") or query.get("start-after", "")
        held = self.google.objects.copy()
        names = sorted(name for name in held if name.startswith(prefix) and name > after)
        page, more = names[:2], len(names) > 2
        text = "".join(_listed(name, *held[name]) for name in page)
        text += f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        text = f"<IsTruncated>{str(more).lower()}</IsTruncated>{text}"
        self.reply(200, f"<ListBucketResult>{text}</ListBucketResult>".encode())

    def reply(self, status: int, data: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        return None


def _headers(generation: int, when: float) -> dict[str, str]:
    modified = formatdate(when, usegmt=True)
    return {"ETag": f'"{generation}"', "x-goog-generation": str(generation), "Last-Modified": modified}


def _listed(name: str, generation: int, data: bytes, when: float) -> str:
    about = f'<Key>{escape(name)}</Key><Size>{len(data)}</Size><ETag>"{generation}"</ETag>'
    modified = datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"<Contents>{about}<LastModified>{modified}</LastModified></Contents>"
