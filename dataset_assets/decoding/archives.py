"""Reads the members of zip and tar archives one at a time into memory; writes nothing to the disk."""

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
"""The largest factor by which Deflate compresses a file."""

_OUTSIDE = re.compile(r"^/|^[A-Za-z]:|\\|\x00")
_HEADER_BYTES = 1 << 20
# About how much memory a member takes beside its path.
_ENTRY_BYTES = 100
_HEADERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
# The standard library raises these for bytes that are not an archive, or a damaged one.
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

    Raises `DecodeError` if no member matches, two have the same path, or one is encrypted or damaged. Raises `Refused`
    for a path that leads out of the archive, a link, or a member of more than `most` bytes (by default the setting
    `max_value_bytes`). Skips folders.

    >>> archive = io.BytesIO()
    >>> with zipfile.ZipFile(archive, "w") as made:
    ...     made.writestr("words/a.txt", "one")
    >>> [(member.name, member.read()) for member in zip_members(archive, "*.txt")]
    [('words/a.txt', b'one')]
    """
    wanted = _Selection(file, pattern, most)
    with _errors_of(file), zipfile.ZipFile(_Directory(file)) as archive:
        # Not `info.is_dir()`, which fails for a member without a name.
        files = [info for info in archive.infolist() if not info.filename.endswith("/")]
        members = [info for info in files if wanted.matches(info.orig_filename)]
        for info in members:
            # The file type in the bits of a Unix mode; archives of other systems have 0.
            kind = stat.S_IFMT(info.external_attr >> 16)
            wanted.check(info.orig_filename, info.file_size, kind in (0, stat.S_IFREG))
            if info.flag_bits & 1:
                raise DecodeError(f"{info.filename} in {name_of(file)} is encrypted. Decrypt the archive first.")
        wanted.check_all(sum(info.file_size for info in members))
        for info in members:
            yield Member(_path(info.orig_filename), _content(file, archive, info))


def tar_members(file: BinaryIO, pattern: str = "*", *, most: int | None = None) -> Iterator[Member]:
    """Read the members of a tar archive, compressed or not, whose paths match a pattern, in the order of the archive.

    Reads the archive once, to its end. Raises the same errors as `zip_members`.
    """
    wanted, stream = _Selection(file, pattern, most), decompressed(file)
    with _errors_of(file), tarfile.open(fileobj=stream, mode="r|", tarinfo=_Strict) as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps all members in memory
            if sum(map(len, itertools.chain(*archive.pax_headers.items()))) > _HEADER_BYTES:
                raise DecodeError(f"{name_of(file)} has more than {_HEADER_BYTES} bytes of headers. {RETRIEVE_AGAIN}")
            if info.isdir() or not wanted.matches(info.name):
                continue
            wanted.check(info.name, info.size, info.isreg() and not info.issparse())
            content = archive.extractfile(info)
            yield Member(_path(info.name), content.read() if content else b"")
        wanted.check_all()
        _read_to_the_end(file, archive.fileobj)


class _Selection:
    """Selects the members of an archive by a pattern, and checks them."""

    def __init__(self, file: BinaryIO, pattern: str, most: int | None) -> None:
        self.archive, self.pattern, self.size = name_of(file), pattern, _size(file)
        self.held, self.most_held = 0, limits().max_value_bytes
        self.most = self.most_held if most is None else most
        self.remedy = f" {remedy('max_value_bytes')}" if most is None else ""
        self.paths: set[str] = set()

    def matches(self, name: str) -> bool:
        return fnmatchcase(_path(name), self.pattern)

    def check(self, name: str, size: int, plain: bool) -> None:
        """Raise an error for a member that is not a plain file, has an unsafe or repeated path, or is too large."""
        path = _path(name)
        if path in self.paths:
            raise DecodeError(f"{self.archive} has two members named {path!r}. {RETRIEVE_AGAIN}")
        self.paths.add(path)
        self.held += len(path) + _ENTRY_BYTES
        if self.held > self.most_held:
            raise DecodeError(
                f"{self.archive} has more than {len(self.paths) - 1} members, and their paths take too much memory. "
                f"{remedy('max_value_bytes')}"
            )
        if not plain:
            raise Refused(
                f"{path!r} in {self.archive} is not a plain file, but a link, a device or a sparse file. Use a pattern "
                "that excludes it."
            )
        if _OUTSIDE.search(path) or any(part in ("", ".", "..") for part in path.split("/")):
            raise Refused(
                f"{self.archive} has a member named {name!r}, which leads out of it. Do not use this archive."
            )
        if not 0 <= size <= self.most:
            raise Refused(
                f"{path!r} in {self.archive} declares a size of {size} bytes; {self.most} are allowed. If its "
                f"publisher states that size, pass a larger `most`.{self.remedy}"
            )

    def check_all(self, total: int = 0) -> None:
        """Raise an error if no member matches, or if their total size is impossible for the size of the archive."""
        if not self.paths:
            raise DecodeError(f"{self.archive} has no member that matches {self.pattern!r}. Check the pattern.")
        if total > max(self.most, RATIO * self.size):
            raise Refused(
                f"The members of {self.archive} declare {total} bytes in an archive of {self.size} bytes, more than "
                "compression can achieve. Do not use this archive."
            )


class _Strict(tarfile.TarInfo):
    """A header of a tar archive. Raises an error if it is damaged; the standard library would end the archive there."""

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
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _HEADERS and header.size > _HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


class _Directory:
    """A zip archive while its directory is read, which takes several times its size in memory. Limits that size."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.seek, self.tell = file, file.seek, file.tell
        self.name = name_of(file)

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size > SMALL and 4 * size > limits().max_value_bytes:
            raise DecodeError(f"{self.name} declares a directory of {size} bytes. {remedy('max_value_bytes')}")
        return self.file.read(size)


def _content(file: BinaryIO, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return the content of a member, and decompress at most the size in its entry.

    The standard library decompresses everything and cuts it afterwards.
    """
    with archive.open(info):  # compares the entry with the member's own header
        pass
    if info.compress_size > 2 * info.file_size + _HEADER_BYTES:
        raise zipfile.BadZipFile(f"{info.compress_size} bytes hold a member of {info.file_size}")
    file.seek(info.header_offset + 26)
    file.seek(sum(struct.unpack("<2H", exactly(file, 4))), io.SEEK_CUR)
    content = _unpacked(exactly(file, info.compress_size), info)
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile(f"the size or checksum of {info.filename!r} does not match its content")
    return content


def _unpacked(packed: bytes, info: zipfile.ZipInfo) -> bytes:
    most = info.file_size + 1
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
    if info.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(packed, most)
    if info.compress_type == zipfile.ZIP_LZMA:
        # Before the properties are a version and their length. A flag tells that the stream has an end marker.
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
    """Read the rest of the file, which must be zeros. For a compressed file this also checks the checksum."""
    while data := rest.read(1 << 16):
        if data.strip(b"\0"):
            raise DecodeError(
                f"{name_of(file)} has further data after the end of its archive. Split it into single archives first."
            )


@contextmanager
def _errors_of(file: BinaryIO) -> Iterator[None]:
    """Convert the standard library's errors about a damaged archive to `DecodeError`."""
    try:
        yield
    except DatasetAssetsError:
        raise
    except _DAMAGE as error:
        if getattr(error, "errno", None) is not None:  # reading the file failed; bzip2 reports damage without errno
            raise
        raise DecodeError(
            f"{name_of(file)} is not a complete archive ({str(error).rstrip('.') or type(error).__name__}). "
            f"{RETRIEVE_AGAIN}"
        ) from error
