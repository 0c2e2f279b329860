"""What is in a folder: its files and its empty folders, sorted, without times, owners and links."""

import hashlib
import os
import stat
import unicodedata
from pathlib import Path
from typing import Iterable, Iterator, NamedTuple

from dataset_assets.errors import NameNotAllowed, Refused, RetrievalError


class Entry(NamedTuple):
    """A file, or a folder that is empty. `state` changes whenever the file is written."""

    path: str
    """Its path in the folder, with `/` between the parts."""
    is_folder: bool
    size: int
    executable: bool
    state: str


def entries(root: Path) -> list[Entry]:
    """Return the files and empty folders below a folder, sorted by path.

    Raises `Refused` for a link, a pipe or a device, `NameNotAllowed` for a name that other systems cannot have, and
    `RetrievalError` for a folder that cannot be read.
    """
    found = sorted(_walked(root), key=lambda entry: entry.path)
    _see_distinct(root, found)
    return found


def state_of(found: Iterable[Entry]) -> str:
    """Return a digest that changes whenever a file of the folder is written, added, renamed or removed."""
    digest = hashlib.sha256()
    for entry in found:
        digest.update(f"{entry.path}\0{entry.is_folder}\0{entry.executable}\0{entry.state}\n".encode())
    return digest.hexdigest()


def state_of_file(info: os.stat_result) -> str:
    """Return what changes when a file is written. The change time cannot be set back by a program."""
    return f"{info.st_ino}-{info.st_size}-{info.st_mtime_ns}-{info.st_ctime_ns}"


def _walked(root: Path) -> Iterator[Entry]:
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        inside = _listed(root / folder)
        if not inside and folder:
            yield Entry(folder, True, 0, False, "")
        for item in inside:
            path = f"{folder}/{item.name}" if folder else item.name
            _see_name(item.path, item.name)
            if item.is_dir(follow_symlinks=False):
                waiting.append(path)
            else:
                yield _file(item, path)


def _listed(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as found:
            return [*found]
    except OSError as error:
        raise _unreadable(folder, error) from error


def _file(item: "os.DirEntry[str]", path: str) -> Entry:
    try:
        info = item.stat(follow_symlinks=False)
    except OSError as error:
        raise _unreadable(item.path, error) from error
    if stat.S_ISLNK(info.st_mode):
        raise Refused(f"{item.path} is a link, and links are not followed. Put what it leads to in its place.")
    if not stat.S_ISREG(info.st_mode):
        raise Refused(f"{item.path} is a pipe, a socket or a device. Remove it from the folder.")
    return Entry(path, False, info.st_size, bool(info.st_mode & 0o100), state_of_file(info))


def _see_name(shown: str, name: str) -> None:
    if "\\" in name or any("\udc80" <= letter <= "\udcff" for letter in name):
        raise NameNotAllowed(
            f"{os.fsencode(shown)!r} has a name with a backslash, or one that is not UTF-8. Rename it."
        )


def _see_distinct(root: Path, found: list[Entry]) -> None:
    seen: dict[str, str] = {}
    for entry in found:
        if not entry.path.isascii():
            other = seen.setdefault(unicodedata.normalize("NFC", entry.path), entry.path)
            if other != entry.path:
                raise NameNotAllowed(
                    f"{root / entry.path} and {ascii(other)} differ only in how letters with accents are written. "
                    "Rename one of them."
                )


def _unreadable(path: "Path | str", error: OSError) -> RetrievalError:
    return RetrievalError(f"{path} cannot be read: {error.strerror or error}. Check the path and its permissions.")
