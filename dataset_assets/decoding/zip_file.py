"""Reads the members of zip archives; writes nothing to the disk."""

import bz2
import io
import lzma
import struct
import zipfile
import zlib
from contextlib import contextmanager
from operator import attrgetter
from threading import Lock
from typing import Any, BinaryIO, Callable, Iterator, NoReturn, cast

from dataset_assets.core.limits import SMALL, limits, remedy
from dataset_assets.decoding.compressed import Decoder, inflater
from dataset_assets.decoding.members import ZIP, Member, Patterns, Selection, damaged, is_plain, is_zip
from dataset_assets.decoding.streams import (
    RETRIEVE_AGAIN,
    Content,
    Slice,
    check_encoding,
    check_file,
    exactly,
    name_of,
    size_of,
)
from dataset_assets.decoding.tar_file import tar_selected
from dataset_assets.errors import DatasetAssetsError, DecodeError, Refused

_CHUNK = 1 << 16
_ENCRYPTED, _SIZES_FOLLOW, _UTF_8 = 1, 8, 1 << 11
_UNKNOWN = 0xFFFFFFFF
"""Stands in a header for a size that is written elsewhere."""
_END_BYTES = 22 + (1 << 16)
"""The record at the end of an archive, with the longest comment."""
# The standard library raises these for bytes that are not an archive, or a damaged one.
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError, struct.error)


def zip_members(
    file: BinaryIO, pattern: Patterns = "*", *, most: int | None = None, encoding: str | None = None
) -> Iterator[Member]:
    """Read the members of a zip archive whose paths match a pattern (`*/train/*.txt`), in the order of its directory.

    With several patterns, those that match one of them; each pattern must match a member.

    A member is a file, decompressed when it is read; its size and checksum are checked at its end, those of a member
    of at most 1 MB at once. Reading needs little memory, whatever its size. Paths have `/` between folders, and no
    `.`, `..` or empty parts. Names that the archive does not declare as UTF-8 are read as UTF-8 if they are valid, else
    as cp437; `encoding` decides otherwise. An archive is read from its first byte, so it can be read more than once.

    Raises `DecodeError` if no member matches, two have the same path, or one is encrypted, damaged, not of the size
    that it declares, or compressed by another method than Deflate, bzip2 or LZMA. Raises `Refused` for a path that
    leads out of the archive, a link, or a member of more than `most` bytes (by default the setting
    `max_decoded_bytes`). Skips folders.

    >>> archive = io.BytesIO()
    >>> with zipfile.ZipFile(archive, "w") as made:
    ...     made.writestr("words/a.txt", "one")
    >>> [(member.name, member.read()) for member in zip_members(archive, "*.txt")]
    [('words/a.txt', b'one')]
    """
    yield from _zip_selected(file, Selection(name_of(file), pattern, most), encoding)


def zip_selected(file: BinaryIO, wanted: Selection, encoding: str | None = None) -> Iterator[Member]:
    """Read the members that a selection wants of an archive that begins with "PK", as zip archives do.

    A tar archive does so too if the name of its first member does.
    """
    # The recipes of derived files hold the code of the caller, so the two are told apart here.
    file.seek(0)
    if is_zip(exactly(file, 4)):
        yield from _zip_selected(file, wanted, encoding)
    else:
        yield from tar_selected(file, wanted, encoding or "utf-8")


def _zip_selected(file: BinaryIO, wanted: Selection, encoding: str | None = None) -> Iterator[Member]:
    check_file(file)
    if encoding is not None:
        check_encoding(encoding)
    lock = Lock()
    with _errors_of(file), zipfile.ZipFile(cast(Any, _Directory(file))) as archive:
        _check_count(file, len(archive.infolist()))
        members = list(_selected(file, archive, wanted, encoding))
        _check_overlap([info for _, info in members], archive)
    wanted.check_all(sum(info.file_size for _, info in members))
    with _errors_of(file):
        for path, info in members:
            raw = _Unpacked(file, info, f"{path} in {wanted.archive}", lock, None if wanted.setting else wanted.most)
            # So small a member is checked at once.
            content: Any = io.BytesIO(raw.readall()) if info.file_size <= SMALL else raw
            yield Member(path, content, info.file_size)


def _selected(
    file: BinaryIO, archive: zipfile.ZipFile, wanted: Selection, encoding: str | None
) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Yield the members that match, with their paths, after checking their entries in the directory."""
    for info in archive.infolist():
        name = _name(info, encoding, wanted.archive)
        if name.endswith(("/", "\\")):
            if info.file_size:
                raise DecodeError(f"{name!r} in {wanted.archive} is a folder with content. {RETRIEVE_AGAIN}")
            _data_start(file, info)
        elif (path := wanted.wanted(name)) is not None:
            wanted.check(name, path, info.file_size, is_plain(info.external_attr >> 16))
            if info.flag_bits & _ENCRYPTED:
                raise DecodeError(f"{path} in {wanted.archive} is encrypted. Decrypt the archive first.")
            _check_method(info, f"{path} in {wanted.archive}")
            yield path, info


def _check_count(file: BinaryIO, count: int) -> None:
    """Raise an error if the archive says that it has another number of members; damage may hide the last ones."""
    file.seek(-min(size_of(file), _END_BYTES), io.SEEK_END)
    end = exactly(file, _END_BYTES)
    place = end.rfind(b"PK\5\6")
    (said,) = struct.unpack_from("<H", end, place + 10)
    if said not in (count % (1 << 16), 0xFFFF):
        raise zipfile.BadZipFile(f"its directory has {count} members; its end says {said}")


def _name(info: zipfile.ZipInfo, encoding: str | None, archive: str) -> str:
    """Return the name of a member. The standard library reads it as cp437 unless its entry says UTF-8."""
    if info.flag_bits & _UTF_8 or info.orig_filename.isascii():
        return info.orig_filename
    written = info.orig_filename.encode("cp437")
    try:
        return written.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding is None:
            return info.orig_filename
        raise DecodeError(
            f"{archive} has a member named {written!r}, which is not {encoding} text. Pass another encoding, or none."
        ) from error


def _check_method(info: zipfile.ZipInfo, name: str) -> None:
    if info.compress_type not in _METHODS:
        method = zipfile.compressor_names.get(info.compress_type, "unknown")  # type: ignore[attr-defined]
        raise DecodeError(
            f"{name} is compressed by method {info.compress_type} ({method}), which is not read here. Pack the archive "
            "again with Deflate: unpack it with `7z x`, and use `zip -r`."
        )


def _check_overlap(members: list[zipfile.ZipInfo], archive: zipfile.ZipFile) -> None:
    """Raise `Refused` if members share bytes, by which a small archive may seem to hold much."""
    end, name = 0, ""
    for info in sorted(members, key=attrgetter("header_offset")):
        if info.header_offset < end:
            raise Refused(
                f"{name!r} and {info.orig_filename!r} in {name_of(archive.fp)} overlap. Do not use this archive."
            )
        end, name = info.header_offset + 30 + info.compress_size, info.orig_filename
    if end > archive.start_dir:
        raise zipfile.BadZipFile(f"the content of {name!r} goes over the directory")


def _data_start(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Return where the content of a member starts. Raises an error if its own header differs from the directory."""
    file.seek(info.header_offset)
    header = exactly(file, 30)
    if len(header) < 30 or not header.startswith(b"PK\3\4"):
        raise zipfile.BadZipFile(f"there is no header of {info.orig_filename!r} at byte {info.header_offset}")
    flags, method, crc, packed, size, length, more = struct.unpack("<6xHH4xLLLHH", header)
    rest = exactly(file, length + more)
    written = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF_8 else "cp437")
    theirs = [rest[:length], method, flags & _ENCRYPTED, crc, *_full(size, packed, rest[length:])]
    ours = [written, info.compress_type, info.flag_bits & _ENCRYPTED, info.CRC, info.file_size, info.compress_size]
    if flags & _SIZES_FOLLOW:  # then this header may leave them out
        theirs[3:] = [own if said in (0, _UNKNOWN) else said for said, own in zip(theirs[3:], ours[3:])]
    if theirs != ours:
        raise zipfile.BadZipFile(f"the header of {info.orig_filename!r} differs from the directory")
    start: int = info.header_offset + 30 + length + more
    return start


def _full(size: int, packed: int, extra: bytes) -> list[int]:
    """Return the two sizes in a header; those that need more than 4 bytes are in its extra fields."""
    sizes = [size, packed]
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == 1 and _UNKNOWN in sizes:
            large = iter(struct.unpack(f"<{length // 8}Q", extra[4 : 4 + length // 8 * 8]))
            return [next(large, _UNKNOWN) if part == _UNKNOWN else part for part in sizes]
        extra = extra[4 + length :]
    return sizes


class _Unpacked(Content):
    """The content of a member, decompressed no further than the size in its entry."""

    def __init__(self, file: BinaryIO, info: zipfile.ZipInfo, name: str, lock: Lock, most: int | None) -> None:
        self.info, self.name, self.most = info, name, most
        self.packed = Slice(file, _data_start(file, info), info.compress_size, name, lock)
        self.restart()

    def end(self) -> int:
        return self.info.file_size

    def restart(self) -> None:
        self.packed.place = self.packed.given = 0
        self.given, self.crc = 0, 0
        self.decoder, self.ahead = _METHODS[self.info.compress_type](self.packed, self.info)

    def piece(self, most: int) -> bytes:
        data = self._expand(most)
        self.given += len(data)
        self.crc = zlib.crc32(data, self.crc)
        if self.given >= self.info.file_size or not data:
            self._check_end()
        return data

    def _expand(self, most: int) -> bytes:
        """Decompress at most `most` bytes; return b"" at the end."""
        if self.decoder is None:
            return self.packed.take(most)
        while not self.decoder.eof:
            more = (self.ahead or self.packed.take(_CHUNK)) if self.decoder.needs_input else b""
            self.ahead, ended = b"", not more and self.decoder.needs_input
            try:
                data = self.decoder.decompress(more, most)
            except MemoryError:
                raise
            except Exception as error:  # each library raises its own type of error
                raise DecodeError(f"{self.name} is damaged ({error}). {RETRIEVE_AGAIN}") from error
            if data or ended:
                return data
        return b""

    def _check_end(self) -> None:
        """Raise an error unless the content ends here, with the size and the checksum of its entry."""
        if self.given > self.info.file_size or self._expand(1):
            self._refuse(f"holds more than the {self.info.file_size} bytes that it declares")
        if self.given < self.info.file_size or not (self.decoder is None or self.decoder.eof):
            self._refuse(f"ends after {self.given} of {self.info.file_size} bytes")
        if self.crc != self.info.CRC:
            self._refuse("does not match its checksum")

    def _refuse(self, what: str) -> NoReturn:
        raise DecodeError(f"{self.name} {what}, so this is not a complete archive. {RETRIEVE_AGAIN}")


def _stored(packed: Slice, info: zipfile.ZipInfo) -> tuple[Decoder | None, bytes]:
    return None, b""


def _deflated(packed: Slice, info: zipfile.ZipInfo) -> tuple[Decoder | None, bytes]:
    return inflater(), b""


def _bzipped(packed: Slice, info: zipfile.ZipInfo) -> tuple[Decoder | None, bytes]:
    return bz2.BZ2Decompressor(), b""


def _lzma(packed: Slice, info: zipfile.ZipInfo) -> tuple[Decoder | None, bytes]:
    """Return a decompressor, and a header for it from the one in the archive: version, length, properties."""
    head = exactly(cast(BinaryIO, packed), 9)
    # A flag tells that the stream has an end marker.
    size = -1 if info.flag_bits & 2 else info.file_size
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=limits().max_value_bytes), head[4:] + struct.pack(
        "<q", size
    )


_METHODS: dict[int, Callable[[Slice, zipfile.ZipInfo], tuple[Decoder | None, bytes]]] = {
    zipfile.ZIP_STORED: _stored, zipfile.ZIP_DEFLATED: _deflated, zipfile.ZIP_BZIP2: _bzipped, zipfile.ZIP_LZMA: _lzma,
}  # fmt: skip


@contextmanager
def _errors_of(file: BinaryIO) -> Iterator[None]:
    """Convert the standard library's errors about a damaged archive to `DecodeError`."""
    try:
        yield
    except DatasetAssetsError:
        raise
    except _DAMAGE as error:
        if getattr(error, "errno", None) is not None:  # reading the file failed
            raise
        raise damaged(file, ZIP, error) from error


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
