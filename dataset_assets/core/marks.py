"""Remembers in the home what was found out about a local file, so that it is looked at once and not by every process.

A mark says: this purpose was met by the file of this device, inode, size and times. It is an HMAC by a random key that
only this user can read, so nobody else can make one; and any later write changes the times, so the mark fits no more.

One file of fixed size holds the key and all marks of a user. A mark that is lost, to a full place or to a writer in the
same moment, costs a second look and nothing else. Where the home cannot be written, this process alone remembers.
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
# Linux stamps files by a clock that goes in steps of milliseconds, which Python does not name.
_FILE_CLOCK = 5 if sys.platform == "linux" else time.CLOCK_REALTIME
_HERE_MOST = 1 << 16

_here: set[bytes] = set()
"""What this process remembers by itself, where there is no file to keep it in."""
_here_key = os.urandom(_KEY)


def remembered(purpose: str, file: Path | int, home: Path | None = None) -> bool:
    """Say whether this file, given by its path or descriptor, is unchanged since it was remembered for a purpose."""
    return _fits(purpose, os.stat(file), home or settings().home)


def remember(purpose: str, file: Path | int, home: Path | None = None, seen: os.stat_result | None = None) -> None:
    """Remember that a file meets a purpose; `seen` is its `os.stat` from before somebody looked.

    Nothing is remembered of a file that changed in the meantime, nor of one that could still change unnoticed.
    """
    now = os.stat(file)
    if (seen is None or _state(seen) == _state(now)) and _settles(now):
        _keep(purpose, now, home or settings().home)


def once(purpose: str, file: Path | int, look: Callable[[], object], home: Path | None = None) -> None:
    """Call `look` unless it went well before for this very file; remember that it did. What it raises is passed on."""
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
    """Wait until whatever is written from now on gets a later time; say whether that came soon."""
    until = time.monotonic() + _SETTLES_SECONDS
    while time.clock_gettime_ns(_FILE_CLOCK) <= info.st_ctime_ns:
        if time.monotonic() > until:
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
    said = "\0".join((purpose, *map(str, _state(info))))
    return hmac.digest(key, said.encode("utf-8", "surrogateescape"), hashlib.sha256)[:_MARK]


class _Table:
    """The file of this user's marks, open; raises OSError if there is none that only this user can have written."""

    def __init__(self, home: Path, make: bool = False) -> None:
        self.path = home / f".marks-{os.geteuid()}"
        self.fd = self._opened(make)
        self.key = os.pread(self.fd, _KEY, len(_MAGIC))

    def __enter__(self) -> "_Table":
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self.fd)

    def has(self, mark: bytes) -> bool:
        return mark in self._bucket(mark)

    def add(self, mark: bytes) -> None:
        held = self._bucket(mark)
        if mark not in held:
            place = held.index(bytes(_MARK)) if bytes(_MARK) in held else os.urandom(1)[0] % _PLACES
            os.pwrite(self.fd, mark, _place(mark) + place * _MARK)

    def _bucket(self, mark: bytes) -> list[bytes]:
        data = os.pread(self.fd, _PLACES * _MARK, _place(mark))
        return [data[i : i + _MARK] for i in range(0, len(data), _MARK)]

    def _opened(self, make: bool) -> int:
        for _ in range(3):
            with suppress(FileNotFoundError):
                fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                if _is_private(fd):
                    return fd
                broken = _is_broken(fd)
                os.close(fd)
                if not broken:
                    raise PermissionError(f"{self.path} is not a file of marks of this user alone.")
            if not make:
                break
            self._make()
        raise FileNotFoundError(self.path)

    def _make(self) -> None:
        files.make_folder(self.path.parent)
        part = self.path.with_name(f"{self.path.name}.{os.urandom(8).hex()}.part")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, _MAGIC + os.urandom(_KEY))
            os.ftruncate(fd, _BYTES)
            # Of two that make it at once the later one is kept.
            os.rename(part, self.path)
        except OSError:
            os.unlink(part)
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
    """Say whether it is a file of ours that is of no use: cut by a crash, or one whose key others may have read."""
    info = os.fstat(fd)
    ours = stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid()
    return ours and (not info.st_size or os.pread(fd, len(_MAGIC), 0) == _MAGIC)
