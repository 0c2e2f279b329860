"""The interface of the Hugging Face Hub for datasets, as far as its documentation goes, over repositories in memory."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

PAGE = 3
"""How many entries of a tree are on a page; the public Hub has 1,000."""


@dataclass
class Repository:
    """The files of each commit; `large` says which are stored by their SHA-256."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    large: tuple[str, ...] = (".parquet", ".png", ".jpg", ".tar", ".csv")
    token: str = ""

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        made = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[made], self.branches[branch] = dict(files), made
        return made


class Hub:
    """A server of repositories by their name; `lie` maps a path to bytes that are sent instead of the right ones."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.lie: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, Message]] = []
        self._hub = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        # The large files are on another server, which needs no token.
        self._store = ThreadingHTTPServer(("127.0.0.1", 0), type("Store", (_Store,), {"hub": self}))
        self.url, self.store = (f"http://127.0.0.1:{one.server_port}" for one in (self._hub, self._store))

    def __enter__(self) -> Self:
        for one in (self._hub, self._store):
            one.daemon_threads = True
            threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        for one in (self._hub, self._store):
            one.shutdown()
            one.server_close()


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._answer(b"")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        self.hub.asked.append((self.command, self.path, self.headers))
        parts = urlsplit(self.path)
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        api = words[:2] == ["api", "datasets"]
        words = words[2:] if api else words[1:]
        repository = self.hub.repositories.get("/".join(words[:2]))
        if repository is None:
            return self._fail(401 if "Authorization" not in self.headers else 404, "RepoNotFound")
        verb, revision, path = words[2] if words[2:] else "revision", words[3] if words[3:] else "main", words[4:]
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return self._fail(404, "RevisionNotFound")
        files = repository.commits[commit]
        if not api:
            return self._resolve(repository, commit, "/".join(path))
        if verb == "revision":
            return self._json({"id": "/".join(words[:2]), "sha": commit, "siblings": [{"rfilename": p} for p in files]})
        if verb == "paths-info":
            asked = self._paths(body)
            return self._json([one for one in self._entries(repository, files) if one["path"] in asked])
        folder, query = "/".join(path), parse_qs(parts.query)
        every = [
            one for one in self._entries(repository, files) if one["path"].startswith(f"{folder}/" if folder else "")
        ]
        if folder and not every:
            return self._fail(404, "EntryNotFound")
        if query.get("recursive", ["false"])[0].lower() != "true":
            depth = folder.count("/") + 1 if folder else 0
            every = [one for one in every if one["path"].count("/") == depth]
        start = int(query.get("cursor", ["0"])[0])
        more = {}
        if start + PAGE < len(every):
            url = f"{self.hub.url}{parts.path}?recursive={query.get('recursive', ['false'])[0]}&cursor={start + PAGE}"
            more = {"Link": f'<{url}>; rel="next"'}
        return self._json(every[start : start + PAGE], more)

    def _paths(self, body: bytes) -> list[str]:
        if self.headers.get("Content-Type", "").startswith("application/json"):
            return list(json.loads(body)["paths"])
        return parse_qs(body.decode())["paths"]

    def _entries(self, repository: Repository, files: dict[str, bytes]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        folders = {"/".join(path.split("/")[:k]) for path in files for k in range(1, path.count("/") + 1)}
        found += [{"type": "directory", "path": one, "oid": git_oid(one.encode()), "size": 0} for one in folders]
        for path, data in files.items():
            one = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
            if path.endswith(repository.large):
                one["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            found.append(one)
        return sorted(found, key=lambda one: one["path"])

    def _resolve(self, repository: Repository, commit: str, path: str) -> None:
        if repository.token and self.headers.get("Authorization") != f"Bearer {repository.token}":
            return self._fail(403 if "Authorization" in self.headers else 401, "GatedRepo")
        data = repository.commits[commit].get(path)
        if data is None:
            return self._fail(404, "EntryNotFound")
        said = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if not path.endswith(repository.large):
            return self._send(200, self.hub.lie.get(path, data), {**said, "ETag": f'"{git_oid(data)}"'})
        digest = hashlib.sha256(data).hexdigest()
        said |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data)), "ETag": f'"{digest}"'}
        return self._send(302, b"", {**said, "Location": f"{self.hub.store}/{commit}/{quote(path)}"})

    def _json(self, value: Any, more: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(more or {})})

    def _fail(self, code: int, why: str) -> None:
        self._send(code, json.dumps({"error": why}).encode(), {"X-Error-Code": why, "Content-Type": "application/json"})

    def _send(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing: `asked` has the log."""


class _Store(_Handler):
    def _answer(self, body: bytes) -> None:
        self.hub.asked.append((self.command, "store", self.headers))
        _, commit, path = self.path.split("/", 2)
        data = next(one.commits[commit] for one in self.hub.repositories.values() if commit in one.commits)[
            unquote(path)
        ]
        self._send(200, self.hub.lie.get(unquote(path), data), {"Content-Type": "application/octet-stream"})
