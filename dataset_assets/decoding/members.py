"""The members of an archive: their names, which of them are wanted, and the files that they are."""

import io
import re
import stat
import unicodedata
from fnmatch import fnmatchcase
from typing import Any, BinaryIO

from dataset_assets.core.limits import limits, remedy
from dataset_assets.decoding.compressed import compression_of, unreadable_kind
from dataset_assets.decoding.streams import RETRIEVE_AGAIN, exactly, name_of
from dataset_assets.errors import DecodeError, Refused, UsageError

BUFFER = 1 << 17
# About how much memory a member takes beside its path.
_ENTRY_BYTES = 100
_IRREGULAR = re.compile(r"\\|//|^/|(^|/)\.{1,2}(/|$)")
# Nothing, a folder above, a root, a Windows drive, or a NUL, which ends a name elsewhere.
_OUTSIDE = re.compile(r"\Z|\.\.(/|\Z)|/|[A-Za-z]:(/|\.|\Z)|[^\0]*\0")


Patterns = str | list[str] | tuple[str, ...]


class Member(io.BufferedReader):
    """A member of an archive: a file that is read when it is asked for, and can seek.

    Its `name` is its path in the archive, with `/` between folders. It is valid as long as the archive's file is open.
    """

    def __init__(self, name: str, raw: Any, size: int) -> None:
        super().__init__(raw, max(1, min(size, BUFFER)))
        self._name = name

    @property
    def name(self) -> str:
        """Its path in the archive."""
        return self._name

    def getbuffer(self) -> memoryview:
        """Return the whole content in memory."""
        place = self.tell()
        self.seek(0)
        content = self.read()
        self.seek(place)
        return memoryview(content)


class Selection:
    """Selects the members of an archive by a pattern, or by several, and checks them."""

    def __init__(self, archive: str, pattern: Patterns, most: int | None) -> None:
        patterns = pattern if isinstance(pattern, (list, tuple)) else [pattern]
        if not patterns or not all(isinstance(each, str) for each in patterns):
            raise UsageError(f"The pattern is {pattern!r}. Write it as a text, such as '*/train/*.txt', or several.")
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 0):
            raise UsageError(f"`most` is {most!r}. Give a number of bytes, or None.")
        self.archive, self.patterns = archive, [unicodedata.normalize("NFC", each) for each in patterns]
        self.matched: set[str] = set()
        self.held, self.most_held = 0, limits().max_value_bytes
        self.most, self.setting = (limits().max_decoded_bytes, True) if most is None else (most, False)
        self.paths: set[str] = set()

    def wanted(self, name: str) -> str | None:
        """Return the path of a member that matches the pattern; None if it does not match."""
        return self.selected(normalised(name))

    def selected(self, path: str) -> str | None:
        """Return a path if it matches a pattern, else None."""
        found = [pattern for pattern in self.patterns if fnmatchcase(_composed(path), pattern)]
        self.matched.update(found)
        return path if found else None

    def check(self, name: str, path: str, size: int, plain: bool) -> None:
        """Raise an error for a member that is not a plain file, has an unsafe or repeated path, or is too large."""
        key = _composed(path)
        if key in self.paths:
            raise DecodeError(f"{self.archive} has two members named {path!r}. {RETRIEVE_AGAIN}")
        self.paths.add(key)
        self._check_held(key)
        if not plain:
            raise Refused(
                f"{path!r} in {self.archive} is not a plain file, but a link, a device or a sparse file. Use a pattern "
                "that excludes it."
            )
        if leads_out(path):
            raise self._leading_out(name)
        if not 0 <= size <= self.most:
            self._refuse_size(f"{path!r} in {self.archive} declares a size of {size} bytes")

    def check_all(self, total: int = 0) -> None:
        """Raise an error if no member matches, or if they are too large together."""
        if lacking := [pattern for pattern in self.patterns if pattern not in self.matched]:
            raise DecodeError(f"{self.archive} has no member that matches {lacking[0]!r}. Check the pattern.")
        if total > max(self.most, limits().max_decoded_bytes):
            raise Refused(
                f"The members of {self.archive} declare {total} bytes together. Use a pattern that selects fewer. "
                f"{remedy('max_decoded_bytes')}"
            )

    def _leading_out(self, name: str) -> Refused:
        return Refused(f"{self.archive} has a member named {name!r}, which leads out of it. Do not use this archive.")

    def _check_held(self, path: str) -> None:
        self.held += len(path) + _ENTRY_BYTES
        if self.held > self.most_held:
            raise DecodeError(
                f"{self.archive} has more than {len(self.paths) - 1} members, and their paths take too much memory. "
                f"{remedy('max_value_bytes')}"
            )

    def _refuse_size(self, what: str) -> None:
        raise Refused(
            f"{what}; {self.most} are allowed. "
            + (remedy("max_decoded_bytes") if self.setting else "If the publisher states it, pass a larger `most`.")
        )


class Inside(Selection):
    """Selects the members below a folder of an archive, and names them by their paths below it.

    With `unwrap` all members must lie in one folder, whatever its name, which is left out of their paths.
    """

    def __init__(self, archive: str, pattern: Patterns, most: int | None, below: str, unwrap: bool) -> None:
        super().__init__(archive, pattern, most)
        if not isinstance(below, str) or leads_out(normalised(below) or "x"):
            raise UsageError(f"below={below!r} is not a folder in an archive. Write it as 'data/train'.")
        self.below, self.unwrap = _parts(normalised(below)), unwrap
        self.top: str | None = None

    def wanted(self, name: str) -> str | None:
        """Return the path of a member below the folder, if it matches; None if not."""
        path = normalised(name)
        if leads_out(path):
            raise self._leading_out(name)
        if self.unwrap:
            path = self._without_top(path)
        parts, depth = path.split("/"), len(self.below)
        if len(parts) <= depth or _parts("/".join(parts[:depth])) != self.below:
            return None
        return self.selected("/".join(parts[depth:]))

    def _without_top(self, path: str) -> str:
        top, slash, rest = path.partition("/")
        if not slash or self.top not in (None, _composed(top)):
            raise DecodeError(
                f"{self.archive} has {path!r}, so not all of its members are in one folder. Read it without unwrap."
            )
        self.top = _composed(top)
        return rest


def normalised(name: str) -> str:
    r"""Return the path of a member: `/` between folders, no `.`, no empty parts; `..` only if it leads out.

    >>> normalised("./train\\cat//1.png"), normalised("a/../b"), normalised("a/../../b")
    ('train/cat/1.png', 'b', '../b')
    """
    if not _IRREGULAR.search(name):
        return name
    path = name.replace("\\", "/")
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" * path.startswith("/") + "/".join(parts)


def damaged(file: BinaryIO, expected: str, error: Exception) -> DecodeError:
    """Return the error for a file that is not an archive of the expected kind, or a damaged one."""
    kind = _kind_of(file)
    if kind is not None and kind != expected:
        return DecodeError(f"{name_of(file)} is {kind}, not {expected}. Check the file, or use the decoder for it.")
    what = str(error).rstrip(".") or type(error).__name__
    return DecodeError(f"{name_of(file)} is not a complete archive ({what}). {RETRIEVE_AGAIN}")


def _kind_of(file: BinaryIO) -> str | None:
    """Return what a file is by its first bytes, if they tell."""
    file.seek(0)
    head = exactly(file, 512)
    compression = compression_of(head) or unreadable_kind(head, "")
    if not head:
        return "empty"
    if compression:
        return f"a {compression.name} file"
    if is_zip(head):
        return ZIP
    if head[257:262] == b"ustar":
        return TAR
    return "an HTML page" if re.match(rb"\s*<(!doctype html|html)", head, re.IGNORECASE) else None


def is_zip(head: bytes) -> bool:
    """Say whether a file with these first bytes is a zip archive; the first member of a tar may begin with "PK"."""
    return head.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\x08"))


ZIP, TAR = "a zip archive", "a tar archive"


def _composed(path: str) -> str:
    """Return a path with each letter and its accents as one character; file systems store some of them apart."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def leads_out(path: str) -> bool:
    """Say whether a normalised path is empty, leads out of an archive, or is a path of one system only."""
    return bool(_OUTSIDE.match(path))


def _parts(path: str) -> list[str]:
    return [_composed(part) for part in path.split("/") if part]


def is_plain(mode: int) -> bool:
    """Return whether a Unix mode is of a plain file; other systems write 0.

    A pipe is what `zip` writes for a file that it was given by its standard input.
    """
    return stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFIFO)
