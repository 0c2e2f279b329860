"""Remembers in the home folder that a local file passed a check, so that only one process has to check it.

A mark says: the file with this device, inode, size and times passed this check. A mark is an HMAC with a random key
that only this user can read, so other users cannot forge one. Any later write changes the times, so the mark no longer
matches.

One file of fixed size holds the key and all marks of a user. If a mark is lost, because its bucket is full or two
processes write at once, the file is checked again. If the home is not writable, marks last as long as the process.
"""

import hashlib
import hmac
import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Callable

from dataset_assets.core import files
from dataset_assets.core.settings import settings

_MAGIC = b"dataset_assets marks 1\n".ljust(32, b"\0")
_KEY = 32
_MARK = 16
_PLACES = 8
_BUCKETS = 1 << 14
_START = len(_MAGIC) + _KEY
_BYTES = _START + _BUCKETS * _PLACES * _MARK
_SETTLES_SECONDS = 0.05
# Linux stamps files with CLOCK_REALTIME_COARSE, a clock with steps of milliseconds that Python has no name for.
_FILE_CLOCK = 5 if sys.platform == "linux" else time.CLOCK_REALTIME
_HERE_MOST = 1 << 16

_here: set[bytes] = set()
"""Marks of this process alone, for when they cannot be written to a file."""
_here_key = os.urandom(_KEY)


def remembered(purpose: str, file: Path | int, home: Path | None = None) -> bool:
    """Return True if this file (a path or a descriptor) is unchanged since it was remembered for a purpose."""
    return _fits(purpose, os.stat(file), home or settings().home)


def remember(purpose: str, file: Path | int, home: Path | None = None, seen: os.stat_result | None = None) -> None:
    """Remember that a file passed the check `purpose`; `seen` is its `os.stat` from before the check.

    A file that changed during the check is not remembered, nor is one that could still change without new times.
    """
    now = os.stat(file)
    if (seen is None or _state(seen) == _state(now)) and _settles(now):
        _keep(purpose, now, home or settings().home)


def once(purpose: str, file: Path | int, look: Callable[[], object], home: Path | None = None) -> None:
    """Call `look` unless it already succeeded for this file; remember its success. Errors of `look` are passed on."""
    home = home or settings().home
    seen = os.stat(file)
    if not _fits(purpose, seen, home):
        settled = _settles(seen)
        look()
        if settled:
            remember(purpose, file, home, seen)


def _state(info: os.stat_result) -> tuple[int, ...]:
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _settles(info: os.stat_result) -> bool:
    """Wait until later writes are sure to get a later time; return False if that takes too long."""
    deadline = time.monotonic() + _SETTLES_SECONDS
    while time.clock_gettime_ns(_FILE_CLOCK) <= info.st_ctime_ns:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def _fits(purpose: str, info: os.stat_result, home: Path) -> bool:
    if _mark(_here_key, purpose, info) in _here:
        return True
    with suppress(OSError), _Table(home) as table:
        return table.has(_mark(table.key, purpose, info))
    return False


def _keep(purpose: str, info: os.stat_result, home: Path) -> None:
    try:
        with _Table(home, make=True) as table:
            table.add(_mark(table.key, purpose, info))
    except OSError:
        if len(_here) >= _HERE_MOST:
            _here.clear()
        _here.add(_mark(_here_key, purpose, info))


def _mark(key: bytes, purpose: str, info: os.stat_result) -> bytes:
    message = "\0".join((purpose, *map(str, _state(info))))
    return hmac.digest(key, message.encode("utf-8", "surrogateescape"), hashlib.sha256)[:_MARK]


class _Table:
    """The open file of this user's marks. Raises OSError if it is missing, or if other users could have written it."""

    def __init__(self, home: Path, make: bool = False) -> None:
        self.path = home / f".marks-{os.geteuid()}"
        self.fd = self._open(make)
        self.key = os.pread(self.fd, _KEY, len(_MAGIC))

    def __enter__(self) -> "_Table":
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self.fd)

    def has(self, mark: bytes) -> bool:
        return mark in self._bucket(mark)

    def add(self, mark: bytes) -> None:
        marks = self._bucket(mark)
        if mark not in marks:
            place = marks.index(bytes(_MARK)) if bytes(_MARK) in marks else os.urandom(1)[0] % _PLACES
            files.passes("write", self.path, _MARK)
            os.pwrite(self.fd, mark, _place(mark) + place * _MARK)

    def _bucket(self, mark: bytes) -> list[bytes]:
        data = os.pread(self.fd, _PLACES * _MARK, _place(mark))
        return [data[i : i + _MARK] for i in range(0, len(data), _MARK)]

    def _open(self, make: bool) -> int:
        for _ in range(3):
            with suppress(FileNotFoundError):
                files.passes("open", self.path)
                fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                if _is_private(fd):
                    return fd
                broken = _is_broken(fd)
                os.close(fd)
                if not broken:
                    raise PermissionError(f"{self.path} is not a mark file that only this user can write.")
            if not make:
                break
            self._make()
        raise FileNotFoundError(self.path)

    def _make(self) -> None:
        files.make_folder(self.path.parent)
        part = self.path.with_name(f"{self.path.name}.{os.urandom(8).hex()}.part")
        files.passes("create", part)
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            files.passes("write", part)
            os.write(fd, _MAGIC + os.urandom(_KEY))
            os.ftruncate(fd, _BYTES)
            # If two processes create it at once, the later file stays.
            files.passes("replace", self.path)
            os.rename(part, self.path)
        except BaseException:
            # An interrupt may come at any line, also after the file was renamed.
            part.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)


def _place(mark: bytes) -> int:
    return _START + int.from_bytes(mark[:4], "big") % _BUCKETS * _PLACES * _MARK


def _is_private(fd: int) -> bool:
    info = os.fstat(fd)
    alone = stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid() and info.st_nlink == 1
    closed = not stat.S_IMODE(info.st_mode) & 0o077
    return alone and closed and info.st_size == _BYTES and os.pread(fd, len(_MAGIC), 0) == _MAGIC


def _is_broken(fd: int) -> bool:
    """Return True for a mark file of ours that must be replaced: cut by a crash, or readable by other users."""
    info = os.fstat(fd)
    ours = stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid()
    return ours and (not info.st_size or os.pread(fd, len(_MAGIC), 0) == _MAGIC)
