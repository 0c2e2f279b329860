"""A bucket for a forked child: its parent's client does not live on there, so a process beside the child asks instead.

The process is a fresh Python, started when the child first needs it. They speak over its standard input and output:
frames of a JSON header and bytes. It ends when the child does, as nothing comes any more.
"""

import errno
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Iterator

from dataset_assets import errors
from dataset_assets.errors import StoreUnavailable
from dataset_assets.storage.connectors.bucket.address import Denied
from dataset_assets.storage.object_file import Changed, opened
from dataset_assets.storage.storage import Stat

_LENGTHS = struct.Struct("<QQ")
_helpers: dict[tuple[int, int], "_Helper"] = {}


class Beside:
    """The verbs of a bucket, and reading, by the process beside this one."""

    def __init__(self, url: str, retries: int, environment: int) -> None:
        self.url, self.retries, self.environment = url, retries, environment

    def get(self, key: str) -> BinaryIO:
        return opened(key, self.reading(key))

    def reading(self, key: str, e_tag: str | None = None) -> "Reading":
        """Open an object; raises `Changed` if it has another ETag than is given."""
        found, _ = self.ask("open", key, e_tag=e_tag)
        return Reading(self, key, found["handle"], found["size"])

    def put(self, key: str, source: Path | bytes) -> None:
        if isinstance(source, Path):
            self.ask("put", key, path=os.fspath(source.absolute()))
        else:
            self.ask("put", key, bytes(source))

    def exists(self, key: str) -> bool:
        return bool(self.ask("exists", key)[0]["found"])

    def stat(self, key: str) -> Stat:
        found, _ = self.ask("stat", key)
        return Stat(found["bytes"], found["modified"])

    def list(self, prefix: str) -> Iterator[str]:
        return iter(self.ask("list", prefix)[0]["found"])

    def delete(self, key: str) -> None:
        self.ask("delete", key)

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        return bool(self.ask("swap", key, new, expected=expected)[0]["found"])

    def ask(self, verb: str, key: str, data: bytes = b"", **more: Any) -> tuple[dict[str, Any], bytes]:
        """Ask, and return the answer; raises the error that the other process met."""
        header = {"verb": verb, "key": key, "url": self.url, "retries": self.retries, **more}
        found, payload = _helper(self.environment).ask(header, data)
        if "error" in found:
            raise Changed(key, self.url) if found["error"] == "Changed" else _error(found["error"], found["args"])
        return found, payload


class Reading:
    """An object being read."""

    def __init__(self, beside: Beside, key: str, handle: int, size: int) -> None:
        self.beside, self.key, self.handle, self.size = beside, key, handle, size

    def whole(self) -> bytes:
        return self.beside.ask("whole", self.key, handle=self.handle)[1]

    def part(self, start: int, stop: int) -> bytes:
        return self.beside.ask("part", self.key, handle=self.handle, start=start, stop=stop)[1]

    def ranges(self, starts: list[int], stops: list[int]) -> list[memoryview]:
        data = memoryview(self.beside.ask("ranges", self.key, handle=self.handle, starts=starts, stops=stops)[1])
        sizes, at, found = [stop - start for start, stop in zip(starts, stops)], 0, []
        for size in sizes:
            found.append(data[at : at + size])
            at += size
        return found

    def close(self) -> None:
        with suppress(errors.StorageError):
            self.beside.ask("close", self.key, handle=self.handle)


class _Helper:
    """The process beside this one; one thread asks at a time."""

    def __init__(self) -> None:
        # With this process's places for modules: by itself Python would look into the working folder first.
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        command = [sys.executable, "-P", "-c", code]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lock = threading.Lock()

    def ask(self, header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        assert self.process.stdin is not None and self.process.stdout is not None
        with self.lock:
            try:
                _send(self.process.stdin, header, data)
                found = _received(self.process.stdout)
            except BrokenPipeError:
                found = None
        if found is None:
            _helpers.clear()
            raise StoreUnavailable(errno.EPIPE, f"The process that asks {header['url']} for this one ended. Try again.")
        return found


def _helper(environment: int) -> _Helper:
    # By process: a child of this one has to have its own. By what the environment says: it was started with that.
    key = (os.getpid(), environment)
    found = _helpers.get(key)
    if found is None:
        found = _helpers[key] = _Helper()
    return found


def serve() -> None:
    """Answer until nobody asks any more."""
    # Ctrl-C is for who asks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    # What somebody else prints must not come among the answers.
    sys.stdout = sys.stderr
    handles: dict[int, Any] = {}
    while (request := _received(asked)) is not None:
        try:
            header, data = _answer(*request, handles)
        except Exception as error:
            header, data = {"error": type(error).__name__, "args": _plain(error)}, b""
        _send(answers, header, data)


def _end_with(parent: int) -> None:
    """End with who asked, also in the middle of an answer that does not come."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _answer(header: dict[str, Any], data: bytes, handles: dict[int, Any]) -> tuple[dict[str, Any], bytes]:
    from dataset_assets.storage.connectors.bucket.address import bucket_of
    from dataset_assets.storage.connectors.bucket.store import ObjectStorage

    verb, key = header["verb"], header["key"]
    if "handle" in header:
        reading = handles[header["handle"]]
        if verb == "whole":
            return {}, reading.whole()
        if verb == "part":
            return {}, bytes(memoryview(reading.part(header["start"], header["stop"])))
        if verb == "ranges":
            return {}, b"".join(bytes(part) for part in reading.ranges(header["starts"], header["stops"]))
        handles.pop(header["handle"]).close()
        return {}, b""
    storage = ObjectStorage(bucket_of(header["url"]), retries=header["retries"])
    if verb == "open":
        reading, handle = storage.reading(key, header["e_tag"]), max(handles, default=0) + 1
        handles[handle] = reading
        return {"handle": handle, "size": reading.size}, b""
    if verb == "put":
        storage.put(key, Path(header["path"]) if "path" in header else data)
        return {}, b""
    if verb == "swap":
        return {"found": storage.swap(key, data, header["expected"])}, b""
    if verb == "list":
        return {"found": [*storage.list(key)]}, b""
    if verb == "exists":
        return {"found": storage.exists(key)}, b""
    if verb == "stat":
        return storage.stat(key)._asdict(), b""
    storage.delete(key)
    return {}, b""


def _send(file: Any, header: dict[str, Any], data: bytes) -> None:
    text = json.dumps(header).encode()
    file.write(_LENGTHS.pack(len(text), len(data)) + text)
    file.write(data)
    file.flush()


def _received(file: Any) -> tuple[dict[str, Any], bytes] | None:
    lengths = file.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    sizes = _LENGTHS.unpack(lengths)
    text, data = (file.read(size) for size in sizes)
    # Who was killed in the middle of an answer has said nothing: half a list is no list.
    if (len(text), len(data)) != sizes:
        return None
    header: dict[str, Any] = json.loads(text)
    return header, data


def _plain(error: Exception) -> list[Any]:
    """Return what makes the error again."""
    args = [error.errno, error.strerror, error.filename] if isinstance(error, OSError) else [str(error)]
    return [arg for arg in args if arg is not None]


def _error(name: str, args: list[Any]) -> Exception:
    known: dict[str, Any] = {"FileNotFoundError": FileNotFoundError, "Denied": Denied}
    kind = known.get(name) or getattr(errors, name, None)
    if kind is None:
        return errors.StorageError(errno.EIO, f"{name}: {' '.join(map(str, args))}")
    found: Exception = kind(*args)
    return found
