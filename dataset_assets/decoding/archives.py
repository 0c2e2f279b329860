"""The members of zip and tar archives, read one at a time into memory; nothing is unpacked to the disk."""

import bz2
import io
import itertools
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, BinaryIO, Iterator, Self

from dataset_assets.core.limits import SMALL, limits, remedy
from dataset_assets.decoding.compressed import RETRIEVE_AGAIN, decompressed, exactly, name_of
from dataset_assets.errors import DatasetAssetsError, DecodeError, Refused

RATIO = 1_100
"""Deflate makes no file smaller than by this."""

_OUTSIDE = re.compile(r"^/|^[A-Za-z]:|\\|\x00")
_HEADER_BYTES = 1 << 20
# About what is held of a member beside its path.
_ENTRY_BYTES = 100
_HEADERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
# What the standard library raises when the bytes are not an archive, or a damaged one.
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError,
    OSError, RecursionError, struct.error,
)  # fmt: skip


class Member(io.BytesIO):
    """A member of an archive: a file in memory. Its `name` is its path in the archive."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(content)
        self.name = name


def zip_members(file: BinaryIO, pattern: str = "*", *, most: int | None = None) -> Iterator[Member]:
    """Read the members of a zip archive whose paths match a pattern (`*/train/*.txt`), in the order of its directory.

    Raises `DecodeError` if none matches, two have one path, or one is encrypted or damaged; `Refused` for a path that
    leads out of the archive, a link, or a member of more than `most` bytes, by default the setting `max_value_bytes`.
    Folders are passed over.

    >>> archive = io.BytesIO()
    >>> with zipfile.ZipFile(archive, "w") as made:
    ...     made.writestr("words/a.txt", "one")
    >>> [(member.name, member.read()) for member in zip_members(archive, "*.txt")]
    [('words/a.txt', b'one')]
    """
    wanted = _Wanted(file, pattern, most)
    with _told(file), zipfile.ZipFile(_Directory(file)) as archive:
        # Not `info.is_dir()`, which fails for a member without a name.
        files = [info for info in archive.infolist() if not info.filename.endswith("/")]
        members = [info for info in files if wanted.takes(info.orig_filename)]
        for info in members:
            # Of the bits of a Unix mode; other systems write none.
            kind = stat.S_IFMT(info.external_attr >> 16)
            wanted.check(info.orig_filename, info.file_size, kind in (0, stat.S_IFREG))
            if info.flag_bits & 1:
                raise DecodeError(f"{info.filename} in {name_of(file)} is encrypted. Decrypt the archive first.")
        wanted.check_all(sum(info.file_size for info in members))
        for info in members:
            yield Member(_path(info.orig_filename), _content(file, archive, info))


def tar_members(file: BinaryIO, pattern: str = "*", *, most: int | None = None) -> Iterator[Member]:
    """Read the members of a tar archive, compressed or not, whose paths match a pattern, in the order they lie there.

    The archive is read once, to its end. Raises as `zip_members` does.
    """
    wanted, stream = _Wanted(file, pattern, most), decompressed(file)
    with _told(file), tarfile.open(fileobj=stream, mode="r|", tarinfo=_Strict) as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps all that it has met
            if sum(map(len, itertools.chain(*archive.pax_headers.items()))) > _HEADER_BYTES:
                raise DecodeError(f"{name_of(file)} has more than {_HEADER_BYTES} bytes of headers. {RETRIEVE_AGAIN}")
            if info.isdir() or not wanted.takes(info.name):
                continue
            wanted.check(info.name, info.size, info.isreg() and not info.issparse())
            content = archive.extractfile(info)
            yield Member(_path(info.name), content.read() if content else b"")
        wanted.check_all()
        _read_to_the_end(file, archive.fileobj)


class _Wanted:
    """Which members of an archive are given, and what they must be."""

    def __init__(self, file: BinaryIO, pattern: str, most: int | None) -> None:
        self.archive, self.pattern, self.size = name_of(file), pattern, _size(file)
        self.held, self.most_held = 0, limits().max_value_bytes
        self.most = self.most_held if most is None else most
        self.remedy = f" {remedy('max_value_bytes')}" if most is None else ""
        self.paths: set[str] = set()

    def takes(self, name: str) -> bool:
        return fnmatchcase(_path(name), self.pattern)

    def check(self, name: str, size: int, plain: bool) -> None:
        """See that a member is a file of its own, inside the archive, and not too large."""
        path = _path(name)
        if path in self.paths:
            raise DecodeError(f"{self.archive} has two members named {path!r}. {RETRIEVE_AGAIN}")
        self.paths.add(path)
        self.held += len(path) + _ENTRY_BYTES
        if self.held > self.most_held:
            raise DecodeError(
                f"{self.archive} has more than {len(self.paths) - 1} members, whose paths are more than can be held. "
                f"{remedy('max_value_bytes')}"
            )
        if not plain:
            raise Refused(
                f"{path!r} in {self.archive} is a link, a device or a file with holes, no plain file. Leave it out by "
                "the pattern."
            )
        if _OUTSIDE.search(path) or any(part in ("", ".", "..") for part in path.split("/")):
            raise Refused(
                f"{self.archive} has a member named {name!r}, which leads out of it. Do not use this archive."
            )
        if not 0 <= size <= self.most:
            raise Refused(
                f"{path!r} in {self.archive} says that it has {size} bytes; {self.most} are allowed. If that is what "
                f"its publisher says as well, pass the members' `most`.{self.remedy}"
            )

    def check_all(self, total: int = 0) -> None:
        """See that there was a member, and that all of them can have come from so small a file."""
        if not self.paths:
            raise DecodeError(f"{self.archive} has no member that matches {self.pattern!r}. Check the pattern.")
        if total > max(self.most, RATIO * self.size):
            raise Refused(
                f"The members of {self.archive} say that they have {total} bytes, of {self.size}: more than can be "
                "packed. Do not use this archive."
            )


class _Strict(tarfile.TarInfo):
    """A header of a tar archive. The standard library takes a damaged one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.size < 0 or (found.type in _HEADERS and found.size > _HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {found.size} bytes")
        return found


class _Directory:
    """A zip archive of which the directory is read, at once; it takes several times as much in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.seek, self.tell = file, file.seek, file.tell
        self.name = name_of(file)

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size > SMALL and 4 * size > limits().max_value_bytes:
            raise DecodeError(f"{self.name} says that its directory has {size} bytes. {remedy('max_value_bytes')}")
        return self.file.read(size)


def _content(file: BinaryIO, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return the content of a member, of which no more is unpacked than its entry says.

    The standard library unpacks all that comes out of a member, and cuts it afterwards.
    """
    with archive.open(info):  # compares the entry with the member's own header
        pass
    if info.compress_size > 2 * info.file_size + _HEADER_BYTES:
        raise zipfile.BadZipFile(f"{info.compress_size} bytes hold a member of {info.file_size}")
    file.seek(info.header_offset + 26)
    file.seek(sum(struct.unpack("<2H", exactly(file, 4))), io.SEEK_CUR)
    content = _unpacked(exactly(file, info.compress_size), info)
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile(f"{info.filename!r} is not what its size and checksum say")
    return content


def _unpacked(packed: bytes, info: zipfile.ZipInfo) -> bytes:
    most = info.file_size + 1
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
    if info.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(packed, most)
    if info.compress_type == zipfile.ZIP_LZMA:
        # Two numbers before the properties are its version and their length; a flag says that it marks its end.
        size = -1 if info.flag_bits & 2 else info.file_size
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=limits().max_value_bytes)
        return unpacker.decompress(packed[4:9] + struct.pack("<q", size) + packed[9:], most)
    return packed


def _path(name: str) -> str:
    return name.removeprefix("./")


def _size(file: BinaryIO) -> int:
    start = file.tell()
    size = file.seek(0, io.SEEK_END) - start
    file.seek(start)
    return size


def _read_to_the_end(file: BinaryIO, rest: Any) -> None:
    """Read what is after the last member: zeros, or the archive is one of several; a checksum is at the very end."""
    while data := rest.read(1 << 16):
        if data.strip(b"\0"):
            raise DecodeError(f"{name_of(file)} goes on after the end of its archive. Take it apart first.")


@contextmanager
def _told(file: BinaryIO) -> Iterator[None]:
    """Turn what the standard library raises of a bad archive into an error of ours."""
    try:
        yield
    except DatasetAssetsError:
        raise
    except _DAMAGE as error:
        if getattr(error, "errno", None) is not None:  # the file could not be read; bzip2 says its damage without
            raise
        raise DecodeError(
            f"{name_of(file)} is no whole archive ({str(error).rstrip('.') or type(error).__name__}). {RETRIEVE_AGAIN}"
        ) from error
