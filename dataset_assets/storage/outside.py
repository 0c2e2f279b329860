"""Objects that lie outside of any storage, in a bucket or on this machine: looked at, and read as they were then."""

import io
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

from dataset_assets.core.extras import needed
from dataset_assets.core.redact import redacted
from dataset_assets.errors import ObjectReplaced, UsageError
from dataset_assets.storage import object_file
from dataset_assets.storage.object_file import BUFFER, Changed

SCHEMES = ("file", "s3", "gs", "az")
"""The schemes of objects that can be read where they are."""
REMEDY = "Write the file again, or leave it out; then make the dataset again: dataset_from(..., copy=False)."
"""What to do about an object that a decoder refuses; nothing here retrieved it."""


class State(NamedTuple):
    """What an object was when it was looked at: its size, its ETag, and its version if its bucket keeps versions.

    The ETag of a file is the time of its last change.
    """

    bytes: int
    etag: str
    version: str = ""


def look(url: str) -> State:
    """Return the state of an object. Raises FileNotFoundError, and `StorageError`."""
    if urlsplit(url).scheme == "file":
        found = os.stat(_path(url))
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{url} is not a file. Name the files that are to stay where they are.")
        return _of_file(found)
    bucket, key = _bucket(url)
    meta = bucket.head(key)
    return State(meta["size"], meta["e_tag"] or "", meta["version"] or "")


def opened(url: str, state: State) -> BinaryIO:
    """Open an object as it was when it was looked at: at each read, `ObjectReplaced` is raised if it is another one."""
    if urlsplit(url).scheme == "file":
        try:
            raw: io.RawIOBase = _File(url, state)
        except FileNotFoundError as error:
            raise replaced(url, "is gone") from error
        return io.BufferedReader(raw, BUFFER)
    bucket, key = _bucket(url)
    if not state.etag and _now(url) != state:
        raise replaced(url, "is another object now")
    reader = _Pinned(url, bucket.pinned(key, state.bytes, state.etag), state.bytes)
    return object_file.opened(redacted(url), reader, remedy=REMEDY)


def see_unchanged(url: str, state: State) -> None:
    """Raise `ObjectReplaced` if an object is gone, or is another one than was looked at."""
    now = _now(url)
    if now is None:
        raise replaced(url, "is gone")
    if now != state:
        raise replaced(url, f"has {now.bytes} bytes and ETag {now.etag}, not {state.bytes} and {state.etag}")


def replaced(url: str, what: str) -> ObjectReplaced:
    """Return the error for an object that is not the one that an index names."""
    return ObjectReplaced(
        f"{redacted(url)}, which a dataset reads where it is, {what}. Restore it; or look at the source again and "
        "prepare the dataset: dataset_from(..., copy=False)."
    )


def _now(url: str) -> State | None:
    with suppress(FileNotFoundError):
        return look(url)
    return None


class _File(io.FileIO):
    """A file of this machine, which is compared after each read too: it may be overwritten while it is read."""

    reports = True
    remedy = REMEDY

    def __init__(self, url: str, state: State) -> None:
        if not stat.S_ISREG(os.stat(_path(url)).st_mode):  # to open a pipe might take for ever
            raise replaced(url, "is not a file")
        super().__init__(_path(url), "rb")
        self.url, self.name, self.state = url, url, state
        self._compare()

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self._compare()
        return count

    def readall(self) -> bytes:
        data = super().readall()
        self._compare()
        return data

    def _compare(self) -> None:
        if _of_file(os.fstat(self.fileno())) != self.state:
            self.close()
            raise replaced(self.url, "was overwritten")


class _Pinned:
    """Reads an object of a bucket: each request names the ETag that it had."""

    def __init__(self, url: str, reader: Any, size: int) -> None:
        self.url, self.reader, self.size = url, reader, size

    def whole(self) -> bytes:
        data = bytearray()
        while len(data) < self.size:
            data += self.part(len(data), self.size)
        return bytes(data)

    def part(self, start: int, stop: int) -> memoryview:
        try:
            data = memoryview(self.reader.part(start, stop)).cast("B")
        except (Changed, FileNotFoundError) as error:
            raise replaced(self.url, "was replaced or deleted") from error
        if not len(data):
            raise replaced(self.url, f"ends at byte {start}")
        return data

    def close(self) -> None:
        self.reader.close()


def _of_file(found: os.stat_result) -> State:
    return State(found.st_size, f"{found.st_mtime_ns:x}")


def _path(url: str) -> Path:
    parts = urlsplit(url)
    return Path(unquote(parts.path))


def _bucket(url: str) -> tuple[Any, str]:
    needed("obstore", "object-store")
    from dataset_assets.storage.connectors.bucket.address import bucket_of
    from dataset_assets.storage.connectors.bucket.objects import Objects

    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or parts.fragment or not parts.path.strip("/"):
        raise UsageError(f"{redacted(url):.200} cannot be read where it is. Name an object: s3://bucket/key.")
    query = f"?{parts.query}" if parts.query else ""
    return Objects(bucket_of(f"{parts.scheme}://{parts.netloc}{query}")), parts.path.removeprefix("/")
