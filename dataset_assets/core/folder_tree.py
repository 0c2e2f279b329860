"""What is in a folder: its files and its empty folders, sorted, without times, owners and links."""

import hashlib
import os
import stat
import unicodedata
from pathlib import Path
from typing import Iterable, Iterator, NamedTuple

from dataset_assets.errors import NameNotAllowed, Refused, RetrievalError

SNAPSHOTS, BLOBS = "snapshots", "blobs"
"""In the cache of Hugging Face, a folder of `snapshots` has links to the files of `blobs` beside it."""


class Entry(NamedTuple):
    """A file, or a folder that is empty. `state` changes whenever the file is written."""

    path: str
    """Its path in the folder, with `/` between the parts."""
    is_folder: bool
    size: int
    executable: bool
    state: str
    target: str = ""
    """Of a link that is followed: the file that it leads to."""


def entries(root: Path, follow: bool = False) -> list[Entry]:
    """Return the files and empty folders below a folder, sorted by path.

    With `follow` a link to a file of the folder is that file, and so is one to a file of the cache of Hugging Face that
    the folder is a snapshot of. Raises `Refused` for any other link, a pipe or a device, `NameNotAllowed` for a name
    that other systems cannot have, and `RetrievalError` for a folder that cannot be read.
    """
    homes = _homes(root) if follow else ()
    found = sorted(_walked(root, homes), key=lambda entry: entry.path)
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


def _homes(root: Path) -> tuple[str, ...]:
    """Return the folders that links may lead to, without links: the folder itself, and the blobs of its cache."""
    real = Path(os.path.realpath(root))
    caches = [place.parent for place in (real, *real.parents) if place.name == SNAPSHOTS and place != real]
    return (str(real), *(str(cache / BLOBS) for cache in caches[:1] if (cache / BLOBS).is_dir()))


def _walked(root: Path, homes: tuple[str, ...]) -> Iterator[Entry]:
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
                yield _file(item, path, homes)


def _listed(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as found:
            return [*found]
    except OSError as error:
        raise _unreadable(folder, error) from error


def _file(item: "os.DirEntry[str]", path: str, homes: tuple[str, ...]) -> Entry:
    target = _target(item.path, homes) if item.is_symlink() else ""
    try:
        info = os.stat(target, follow_symlinks=False) if target else item.stat(follow_symlinks=False)
    except OSError as error:
        raise _unreadable(item.path, error) from error
    if target and not stat.S_ISREG(info.st_mode):
        raise Refused(f"{item.path} is a link to {target}, which is not a file. Put the files in its place.")
    if not stat.S_ISREG(info.st_mode):
        raise Refused(f"{item.path} is a pipe, a socket or a device. Remove it from the folder.")
    return Entry(path, False, info.st_size, bool(info.st_mode & 0o100), state_of_file(info), target)


def _target(path: str, homes: tuple[str, ...]) -> str:
    """Return the file that a link leads to, without links. Raises `Refused` if it may not be followed."""
    if not homes:
        raise Refused(f"{path} is a link, and links are not followed. Put what it leads to in its place.")
    target = os.path.realpath(path)
    if not any(target.startswith(f"{home.rstrip('/')}/") for home in homes):
        raise Refused(
            f"{path} is a link to {target}, which is not in the folder. Put the file in its place, or name the files "
            "themselves in a list."
        )
    return target


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
