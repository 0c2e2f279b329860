"""The folder of the cache, where others may be able to write: what of it is ours, and which copies are believed.

Only in a folder with our tag is anything removed, and of that only what has a name such as we give. A copy is believed
by a mark in the home, or is hashed; a link is no copy.
"""

import errno
import logging
import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dataset_assets.core import files, marks
from dataset_assets.errors import DigestMismatch, Refused

NAME = re.compile(r"[0-9a-f]{64}")
PART = re.compile(r"\.[0-9a-f]{64}\.[0-9]+-[0-9a-f]+\.(?P<bytes>[0-9]+)\.part")

_TAG = "CACHEDIR.TAG"
_SIGNATURE = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n# Copies of remote files; see https://bford.info/cachedir/\n"
)
_ROOM = ".room.lock"
_LOCK = re.compile(r"\.([0-9a-f]{64}|room)\.lock")
# What filesystems put into a folder themselves.
_SYSTEM = re.compile(r"lost\+found|\.nfs[0-9a-f]+")

logger = logging.getLogger(__name__)


# Whose the folder is.


def claim(folder: Path) -> None:
    """Put our tag into a new folder. Raises `Refused` if it is another user's, or holds what is not ours."""
    if found := problem(folder):
        raise Refused(
            f"{folder} {found}, so nothing is kept or removed there. Set DATASET_ASSETS_HOME to a folder that nothing "
            "else uses."
        )
    if not os.path.lexists(folder / _TAG):
        with suppress(OSError), files.Written(folder / _TAG) as tag:
            tag.write(_SIGNATURE)


def problem(folder: Path) -> str | None:
    """Say why a folder is none in which anything may be removed."""
    owner = folder.stat().st_uid
    if _is_another(owner) and _is_open_to_all(folder.parent):
        return f"belongs to another user (number {owner})"
    if not _is_tagged(folder) and not _is_begun(folder):
        return "was not made by dataset_assets: it holds other files, and no CACHEDIR.TAG of ours"
    return None


def _is_tagged(folder: Path) -> bool:
    return _tag_of(folder) == _SIGNATURE


def _is_begun(folder: Path) -> bool:
    """Say whether a folder is empty, or has no tag because its maker was killed, or had no room for it."""
    tag, names = _tag_of(folder), {name for name in os.listdir(folder) if not _SYSTEM.fullmatch(name)}
    ours = {name for name in names if NAME.fullmatch(name) or PART.fullmatch(name) or _LOCK.fullmatch(name)}
    if tag is not None and _SIGNATURE.startswith(tag):
        return names == {*ours, _TAG}
    # Files named by their digests are in other caches too.
    return not names or names == ours and _ROOM in names


def _tag_of(folder: Path) -> bytes | None:
    file = opened(folder / _TAG)
    if file is None:
        return None
    with file:
        return file.read(2 * len(_SIGNATURE))


def _is_another(owner: int) -> bool:
    return owner not in (os.geteuid(), 0)


def _is_open_to_all(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IWOTH)


# Which copies are believed.


def opened(path: Path) -> BinaryIO | None:
    """Open a plain file; None if there is none, or a link."""
    try:
        file = open(path, "rb", opener=_without_links)  # noqa: SIM115 -- the caller's
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK):
            raise
        return None
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    return None


def _without_links(path: str, flags: int) -> int:
    # A named pipe would wait for its other end.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def is_known(path: Path, file: BinaryIO) -> bool:
    """Say whether a mark in the home says that an open copy is what its name says."""
    return not _is_strangers(path, file) and marks.remembered(_purpose(path), file.fileno(), path.parent.parent)


def is_right(path: Path, file: BinaryIO) -> bool:
    """Say whether an open copy is what its name says, by a mark or its digest, and mark it."""
    if _is_strangers(path, file):
        return False

    def look() -> None:
        if files.sha256_in(file) != path.name:
            raise DigestMismatch(path.name)

    try:
        marks.once(_purpose(path), file.fileno(), look, path.parent.parent)
    except DigestMismatch:
        logger.warning("%s is not what its name says; it is fetched again.", path)
        return False
    file.seek(0)
    return True


def remember(path: Path, file: BinaryIO) -> None:
    """Mark a copy that was hashed as it was written, and note that it was opened."""
    marks.remember(_purpose(path), file.fileno(), path.parent.parent)
    touch(path)


def _is_strangers(path: Path, file: BinaryIO) -> bool:
    """Say whether a copy is of somebody whom nobody let in, and who could change it while it is read."""
    if not _is_another(os.fstat(file.fileno()).st_uid):
        return False
    folder = path.parent
    return _is_open_to_all(folder) or _is_another(folder.stat().st_uid) and _is_open_to_all(folder.parent)


def _purpose(path: Path) -> str:
    return f"sha256 {path.name}"


# When copies were opened.


def lock_of(path: Path) -> Path:
    """Return the lock of a copy."""
    return path.with_name(f".{path.name}.lock")


def touch(path: Path) -> None:
    """Note that a copy is opened: at its lock, because no mark fits a copy whose own times were changed."""
    # The cache may be somebody else's, or on a disk that cannot be written.
    with suppress(OSError):
        now = time.time_ns()
        os.utime(lock_of(path), ns=(now, now), follow_symlinks=False)


def used(path: Path) -> int:
    """Return when a copy was opened last."""
    for place in (lock_of(path), path):
        with suppress(FileNotFoundError):
            return place.lstat().st_mtime_ns
    return 0
