"""Objects that lie outside of any storage, in a bucket or on this machine: looked at, and read as they were then."""

import io
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Sequence
from urllib.parse import unquote, urlsplit

from dataset_assets.core.extras import needed
from dataset_assets.core.redact import redacted
from dataset_assets.core.roots import is_inside
from dataset_assets.errors import ObjectReplaced, Refused, StorageError, UsageError
from dataset_assets.storage import object_file
from dataset_assets.storage.object_file import BUFFER, Changed

SCHEMES = ("file", "s3", "gs", "az")
"""The schemes of objects that can be read where they are."""
REMEDY = "Write the file again, or leave it out; then make the dataset again: dataset_from(..., copy=False)."
"""What to do about an object that a decoder refuses; nothing here retrieved it."""


class State(NamedTuple):
    """What an object was when it was looked at: its size, its ETag, and its version if its bucket keeps versions.

    The ETag of a file is when its content and when anything of it changed, as `mtime-ctime`. Nobody can set back the
    second. Indexes of earlier releases have the first alone, and are compared by it.
    """

    bytes: int
    etag: str
    version: str = ""


def look(url: str, like: State | None = None) -> State:
    """Return the state of an object, in the form of `like`. Raises FileNotFoundError, and `StorageError`."""
    if urlsplit(url).scheme == "file":
        try:
            found = os.stat(_path(url))
        except FileNotFoundError:
            raise
        except OSError as error:  # a loop of links, or a folder that may not be entered
            raise StorageError(error.errno, f"{_path(url)}: {error.strerror}. Correct it, or leave it out.") from error
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{url} is not a file. Name the files that are to stay where they are.")
        return _of_file(found, like)
    bucket, key = _bucket(url)
    meta = bucket.head(key)
    return State(meta["size"], meta["e_tag"] or "", meta["version"] or "")


def opened(url: str, state: State, roots: Sequence[str] | None = None) -> BinaryIO:
    """Open an object as it was when it was looked at: at each read, `ObjectReplaced` is raised if it is another one.

    Raises `Refused` for a file that lies, after following links, in none of `roots`, the real paths of folders.
    """
    if urlsplit(url).scheme == "file":
        try:
            raw: io.RawIOBase = _File(url, state, roots)
        except FileNotFoundError as error:
            raise replaced(url, "is gone") from error
        return io.BufferedReader(raw, BUFFER)
    bucket, key = _bucket(url)
    if not state.etag and _now(url, state) != state:
        raise replaced(url, "is another object now")
    reader = _Pinned(url, bucket.pinned(key, state.bytes, state.etag), state.bytes)
    return object_file.opened(redacted(url), reader, remedy=REMEDY)


def see_unchanged(url: str, state: State) -> None:
    """Raise `ObjectReplaced` if an object is gone, or is another one than was looked at."""
    now = _now(url, state)
    if now is None:
        raise replaced(url, "is gone")
    if now != state:
        raise _changed(url, now, state)


def replaced(url: str, what: str, restore: str = "Restore it; or look") -> ObjectReplaced:
    """Return the error for an object that is not the one that an index names."""
    return ObjectReplaced(
        f"{redacted(url)}, which a dataset reads where it is, {what}. {restore} at the source again and "
        "prepare the dataset: dataset_from(..., copy=False)."
    )


def _changed(url: str, now: State, state: State) -> ObjectReplaced:
    if urlsplit(url).scheme != "file":
        return replaced(url, f"has {now.bytes} bytes and ETag {now.etag}, not {state.bytes} and {state.etag}")
    if now.bytes != state.bytes:
        return replaced(url, f"has {now.bytes} bytes, not {state.bytes}", "Look")
    if now.etag.partition("-")[0] != state.etag.partition("-")[0]:
        return replaced(url, "was overwritten", "Look")
    what = "has the size and the modification time that it had, but was written, copied, renamed or linked since"
    return replaced(url, what, "Look")


def _now(url: str, like: State) -> State | None:
    with suppress(FileNotFoundError):
        return look(url, like)
    return None


class _File(io.FileIO):
    """A file of this machine, which is compared after each read too: it may be overwritten while it is read."""

    reports = True
    remedy = REMEDY

    def __init__(self, url: str, state: State, roots: Sequence[str] | None) -> None:
        if not stat.S_ISREG(os.stat(_path(url)).st_mode):  # to open a pipe might take for ever
            raise replaced(url, "is not a file")
        super().__init__(_path(url), "rb")
        self.url, self.name, self.state = url, url, state
        if roots is not None and not is_inside(place := _place_of(self), roots):
            self.close()
            raise Refused(
                f"{url}, which a dataset reads where it is, leads to {place} now, whose folder was not allowed for its "
                "storage. If that is no mistake, allow it and open the dataset again: "
                f"dataset-assets settings roots allow {Path(place).parent.as_uri()}/"
            )
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
        if (now := _of_file(os.fstat(self.fileno()), self.state)) != self.state:
            self.close()
            raise _changed(self.url, now, self.state)


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


def _of_file(found: os.stat_result, like: State | None = None) -> State:
    # Not the inode: some network file systems number their files anew when they are mounted.
    changed = "" if like and "-" not in like.etag else f"-{found.st_ctime_ns:x}"
    return State(found.st_size, f"{found.st_mtime_ns:x}{changed}")


def _place_of(file: _File) -> str:
    """Return the path of an open file, without links."""
    try:
        return os.readlink(f"/proc/self/fd/{file.fileno()}")  # whatever its name leads to by now
    except OSError:  # not Linux
        return os.path.realpath(_path(file.url))


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
