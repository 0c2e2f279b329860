"""A bucket for a forked child. The threads of obstore do not survive a fork, so a helper process asks for the child.

The helper is a fresh Python, started when a child first needs it (`fork_server`). Requests go to its standard input and
answers come from its standard output. It ends with the child.

A frame is one line of JSON and then bytes; the line says how many: `{"verb": "get", "key": "a/b", "bytes": 0}`.
"""

import errno
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any, BinaryIO, Iterator

from dataset_assets import errors
from dataset_assets.errors import StorageError, StoreUnavailable
from dataset_assets.storage.object_file import Changed
from dataset_assets.storage.storage import Entry, Stat

SERVER = f"{__package__}.fork_server"
"""By its name: it imports the store, which imports this module."""

_helpers: dict[tuple[int, int], "Helper"] = {}


def send(file: Any, header: dict[str, Any], data: bytes) -> None:
    """Write a frame."""
    file.write(json.dumps({**header, "bytes": len(data)}).encode() + b"\n")
    file.write(data)
    file.flush()


def receive(file: Any) -> tuple[dict[str, Any], bytes] | None:
    """Read a frame. Return None at the end of the file, and for a frame that is cut: its sender was killed."""
    line = file.readline()
    if not line.endswith(b"\n"):
        return None
    header: dict[str, Any] = json.loads(line)
    data = file.read(header["bytes"])
    return (header, data) if len(data) == header["bytes"] else None


class ForkedBucket:
    """The requests of `ObjectStorage`, made by the helper process."""

    def __init__(self, url: str, retries: int, silence: float, environment: int) -> None:
        self.url, self.retries, self.silence, self.environment = url, retries, silence, environment

    def stat(self, key: str) -> Stat:
        return Stat(*self.ask("stat", key)[0]["result"])

    def reader(self, key: str, e_tag: str | None = None) -> "ForkedReader":
        answer, _ = self.ask("reader", key, e_tag=e_tag)
        return ForkedReader(self, key, answer["handle"], answer["size"])

    def content(self, key: str) -> tuple[bytes, Any]:
        answer, data = self.ask("content", key)
        return data, answer["result"]

    def upload(self, key: str, source: bytes | BinaryIO) -> None:
        if isinstance(source, bytes):
            self.ask("upload", key, source)
        else:
            self.ask("upload", key, path=os.path.abspath(source.name))

    def put_if(self, key: str, new: bytes, condition: Any) -> bool:
        was_put: bool = self.ask("put_if", key, new, condition=condition)[0]["result"]
        return was_put

    def remove(self, key: str) -> None:
        self.ask("remove", key)

    def head(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("head", key)[0]["result"]
        return found

    def streamed(self, key: str) -> "ForkedReader":
        answer, _ = self.ask("streamed", key)
        return ForkedReader(self, key, answer["handle"], answer["size"])

    def objects(self, prefix: str) -> Iterator[Entry]:
        return (Entry(*entry) for entry in self.ask("objects", prefix)[0]["result"])

    def ask(self, verb: str, key: str, data: bytes = b"", **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """Send a request and return the answer. Raises the error that the helper met."""
        header = {
            "verb": verb,
            "key": key,
            "url": self.url,
            "retries": self.retries,
            "silence": self.silence,
            **arguments,
        }
        answer, payload = _helper(self.environment).ask(header, data)
        if "error" in answer:
            raise _error(answer["error"], answer["args"], key, self.url)
        return answer, payload


class ForkedReader:
    """An object that the helper process has open."""

    def __init__(self, bucket: ForkedBucket, key: str, handle: int, size: int) -> None:
        self.bucket, self.key, self.handle, self.size = bucket, key, handle, size

    def whole(self) -> bytes:
        return self._ask("whole")

    def part(self, start: int, stop: int) -> bytes:
        return self._ask("part", start=start, stop=stop)

    def ranges(self, starts: list[int], stops: list[int]) -> list[memoryview]:
        data, ranges, end = memoryview(self._ask("ranges", starts=starts, stops=stops)), [], 0
        for start, stop in zip(starts, stops):
            begin, end = end, end + stop - start
            ranges.append(data[begin:end])
        return ranges

    def close(self) -> None:
        with suppress(StorageError):
            self._ask("close")

    def _ask(self, verb: str, **arguments: Any) -> bytes:
        return self.bucket.ask(verb, self.key, handle=self.handle, **arguments)[1]


class Helper:
    """The process that asks for this one. One thread asks at a time."""

    def __init__(self) -> None:
        # With the module path of this process, and -P: else Python would look into the working folder first.
        code = f"import sys; sys.path[:] = {sys.path!r}; from {SERVER} import serve; serve()"
        command = [sys.executable, "-P", "-c", code]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lock = threading.Lock()

    def ask(self, header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """Return the answer to a request. Raises `StoreUnavailable` if the process has ended."""
        answer = None
        with self.lock:
            try:
                with suppress(BrokenPipeError):
                    send(self.process.stdin, header, data)
                    answer = receive(self.process.stdout)
            finally:
                # Interrupted in the middle of a frame, the next answer would not be that of the next request.
                if answer is None:
                    self._end()
        if answer is None:
            message = f"The helper process that reads {header['url']} for this forked process ended. Try again."
            raise StoreUnavailable(errno.EPIPE, message)
        return answer

    def _end(self) -> None:
        for key in [key for key, helper in _helpers.items() if helper is self]:
            del _helpers[key]
        self.process.kill()
        self.process.wait()


def _helper(environment: int) -> Helper:
    # By process: a child of this one needs its own. By environment: the helper was started with that.
    key = (os.getpid(), environment)
    if (helper := _helpers.get(key)) is None:
        helper = _helpers[key] = Helper()
    return helper


def _error(name: str, args: list[Any], key: str, url: str) -> Exception:
    """Return an error like the one that the helper met."""
    if name == "Changed":
        return Changed(key, url)
    kind: Any = FileNotFoundError if name == "FileNotFoundError" else getattr(errors, name, None)
    error: Exception = kind(*args) if kind else StorageError(errno.EIO, f"{name}: {' '.join(map(str, args))}")
    return error
