"""The folder of the cache, where other users may be able to write: which files are ours, and which are trusted.

Files are removed only in a folder with our tag, and only if they have a name in our form. A copy is trusted if it has a
mark in the home; otherwise it is hashed. Links are not followed.
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
from dataset_assets.core.processes import boot
from dataset_assets.errors import DigestMismatch, Refused

NAME = re.compile(r"[0-9a-f]{64}")
PART = re.compile(r"\.[0-9a-f]{64}\.[0-9]+-[0-9a-f]+\.(?P<bytes>[0-9]+)\.part")

_TAG = "CACHEDIR.TAG"
_SIGNATURE = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n# Copies of remote files; see https://bford.info/cachedir/\n"
)
_TAG_PART = re.compile(r"\.CACHEDIR\.TAG\.[0-9a-f]+\.part")
_ROOM = ".room.lock"
_LOCK = re.compile(r"\.([0-9a-f]{64}|room)\.lock")
# Files that filesystems create in a folder themselves.
_SYSTEM = re.compile(r"lost\+found|\.nfs[0-9a-f]+")

logger = logging.getLogger(__name__)


# Is the folder ours?


def claim(folder: Path) -> None:
    """Write our tag to a new folder. Raises `Refused` if the folder is another user's, or has other files."""
    if why := problem(folder):
        raise Refused(
            f"{folder} {why}, so it cannot be used as a cache. Set DATASET_ASSETS_HOME to a folder that nothing else "
            "uses."
        )
    if not os.path.lexists(folder / _TAG):
        # As a whole: who sees a part of it would go on, and put files beside a tag that others cannot read yet.
        with suppress(OSError), files.whole(folder / _TAG) as tag:
            tag.write(_SIGNATURE)


def problem(folder: Path) -> str | None:
    """Return why nothing may be removed in a folder, or None."""
    owner = folder.stat().st_uid
    if _is_another(owner) and _is_open_to_all(folder.parent):
        return f"belongs to another user (uid {owner})"
    if not _is_tagged(folder) and not _is_begun(folder):
        return "was not made by dataset_assets: it holds other files, and no CACHEDIR.TAG of ours"
    return None


def _is_tagged(folder: Path) -> bool:
    return _tag_of(folder) == _SIGNATURE


def _is_begun(folder: Path) -> bool:
    """Return whether a folder is empty, or lacks a whole tag only because its creation was interrupted."""
    names = {name for name in os.listdir(folder) if not (_SYSTEM.fullmatch(name) or _TAG_PART.fullmatch(name))}
    # Read after the listing: whatever another thread or process adds to a new folder comes after its tag.
    tag = _tag_of(folder)
    ours = {name for name in names if NAME.fullmatch(name) or PART.fullmatch(name) or _LOCK.fullmatch(name)}
    if tag is not None and _SIGNATURE.startswith(tag):
        return tag == _SIGNATURE or names - {_TAG} == ours
    # Other programs' caches have files named by digests too.
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


# Which copies are trusted?


def opened(path: Path) -> BinaryIO | None:
    """Open a plain file; return None if it does not exist, or is not one (a link, for example)."""
    try:
        file = files.opened(path, _without_links)
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
    # O_NONBLOCK, because opening a named pipe would wait for its other end.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def is_known(path: Path, file: BinaryIO) -> bool:
    """Return whether a mark in the home confirms that an open copy matches its digest."""
    if _is_strangers(path, file):
        return False
    purposes = _purpose_now(path), _purpose(path)
    return any(marks.remembered(purpose, file.fileno(), path.parent.parent) for purpose in purposes)


def is_right(path: Path, file: BinaryIO) -> bool:
    """Return whether an open copy matches its digest, by a mark or by hashing it; then mark it."""
    if _is_strangers(path, file):
        return False

    def check() -> None:
        if files.sha256_in(file) != path.name:
            raise DigestMismatch(path.name)
        # The mark outlasts a power failure, so the copy must, too.
        files.sync(path)

    try:
        marks.once(_purpose(path), file.fileno(), check, path.parent.parent)
    except DigestMismatch:
        logger.warning("%s does not match its digest; it is downloaded again.", path)
        return False
    file.seek(0)
    return True


def remember(path: Path, file: BinaryIO) -> None:
    """Mark a copy that was hashed while it was written, and mark it as used.

    The mark holds until this machine starts anew. After that the copy is hashed once, because it was not synced.
    """
    marks.remember(_purpose_now(path), file.fileno(), path.parent.parent)
    touch(path)


def must_be_synced() -> bool:
    """Return whether a new copy must be synced, because this system does not tell one start from the next."""
    return not boot()


def _is_strangers(path: Path, file: BinaryIO) -> bool:
    """Return whether a copy belongs to another user who could have put it here, and could change it."""
    if not _is_another(os.fstat(file.fileno()).st_uid):
        return False
    folder = path.parent
    return _is_open_to_all(folder) or _is_another(folder.stat().st_uid) and _is_open_to_all(folder.parent)


def _purpose(path: Path) -> str:
    return f"sha256 {path.name}"


def _purpose_now(path: Path) -> str:
    return f"{_purpose(path)} since {boot()}" if boot() else _purpose(path)


# When was a copy last opened?


def lock_of(path: Path) -> Path:
    """Return the path of a copy's lock."""
    return path.with_name(f".{path.name}.lock")


def touch(path: Path) -> None:
    """Mark a copy as used by the time of its lock: changing the copy's own times would invalidate its mark."""
    # The cache may belong to another user, or be on a read-only disk.
    with suppress(OSError):
        now = time.time_ns()
        os.utime(lock_of(path), ns=(now, now), follow_symlinks=False)


def used(path: Path) -> int:
    """Return the time when a copy was last opened."""
    for place in (lock_of(path), path):
        with suppress(FileNotFoundError):
            return place.lstat().st_mtime_ns
    return 0
