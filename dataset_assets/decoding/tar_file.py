"""Reads the members of tar archives; writes nothing to the disk."""

import io
import itertools
import lzma
import struct
import tarfile
import zlib
from threading import Lock
from typing import Any, BinaryIO, Iterator, NamedTuple, Self, cast

from dataset_assets.core.limits import SMALL
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.members import BUFFER, TAR, Member, Patterns, Selection, damaged, normalised
from dataset_assets.decoding.streams import RETRIEVE_AGAIN, Slice, check_encoding, check_file, exactly, name_of, size_of
from dataset_assets.errors import DatasetAssetsError, DecodeError

_HEADER_BYTES = 1 << 20
_HEADERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
# The name of a GNU archive, as `tar --label` writes it.
_LABEL = b"V"
# The standard library raises these for bytes that are not an archive, or a damaged one.
_DAMAGE = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, OSError, RecursionError, struct.error)


def tar_members(
    file: BinaryIO,
    pattern: Patterns = "*",
    *,
    most: int | None = None,
    encoding: str = "utf-8",
    links: dict[str, str] | None = None,
) -> Iterator[Member]:
    """Read the members of a tar archive, compressed or not, whose paths match a pattern, in the order of the archive.

    Reads the archive to its end. The same as `zip_members` in all else. A member of a compressed archive that is read
    later than the members after it is decompressed again from the start of the archive, unless it has at most 1 MB.

    If `links` is given, a hard link to an earlier member is not refused: its path is added there, with that of the
    member.
    """
    yield from tar_selected(file, Selection(name_of(file), pattern, most), encoding, links)


def tar_selected(
    file: BinaryIO, wanted: Selection, encoding: str = "utf-8", links: dict[str, str] | None = None
) -> Iterator[Member]:
    """Read the members of a tar archive that a selection wants."""
    check_file(file)
    check_encoding(encoding)
    # Its own position, so that an archive can be read more than once, also in turn.
    whole = Slice(file, 0, size_of(file), name_of(file), Lock())
    opened = cast(BinaryIO, io.BufferedReader(whole, BUFFER))
    stream = opened if _is_plain(opened) else decompressed(opened)
    yield from _members(stream, wanted, encoding, _Reading(file, links))


class Place(NamedTuple):
    """A member of an archive, and where it lies: from its first header to the end of its padding."""

    path: str
    start: int
    stop: int


def tar_places(file: BinaryIO) -> Iterator[Place]:
    """Yield where each member of a tar archive lies that is not compressed, in the order of the archive.

    The bytes from the start of one to the stop of another are an archive too. Raises the errors of `tar_members`, and
    `DecodeError` for an archive that is compressed, or has headers that are those of all members.
    """
    check_file(file)
    whole = Slice(file, 0, size_of(file), name_of(file), Lock())
    stream = cast(BinaryIO, io.BufferedReader(whole, BUFFER))
    if not _is_plain(stream):
        raise DecodeError(f"{name_of(file)} is not a tar archive, or a compressed one. Write it as a plain tar.")
    reading, wanted = _Reading(file, None), Selection(name_of(file), "*", None)
    archive = _archive_of(stream, "utf-8", reading)
    while (found := reading.next(archive, wanted)) is not None:
        path, info = found
        if archive.pax_headers.keys() - {"comment"}:
            raise DecodeError(f"{name_of(file)} has headers that are those of all members. Write it without them.")
        yield Place(path, info.offset, info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
    wanted.check_all()
    with reading:
        _read_to_the_end(stream, archive)


def _is_plain(file: BinaryIO) -> bool:
    """Say whether a file begins with a header of tar: the name in it may begin as compressed content does."""
    head = file.read(tarfile.BLOCKSIZE)
    file.seek(0)
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _members(stream: BinaryIO, wanted: Selection, encoding: str, reading: "_Reading") -> Iterator[Member]:
    archive, lock = _archive_of(stream, encoding, reading), Lock()
    while (found := reading.next(archive, wanted)) is not None:
        path, info = found
        yield _opened(path, info, stream, wanted, lock)
    wanted.check_all()
    with reading:
        _read_to_the_end(stream, archive)


def _archive_of(stream: BinaryIO, encoding: str, reading: "_Reading") -> tarfile.TarFile:
    with reading:
        return tarfile.open(  # closing it would do nothing: the file is the caller's
            fileobj=stream, mode="r:", tarinfo=_Strict, encoding=encoding, errors="surrogateescape"
        )


def _opened(path: str, info: tarfile.TarInfo, stream: BinaryIO, wanted: Selection, lock: Lock) -> Member:
    most = None if wanted.setting else wanted.most
    raw: Any = Slice(stream, info.offset_data, info.size, f"{path} in {wanted.archive}", lock, most)
    # So small a member is read now, and does not need the archive again.
    if info.size <= SMALL:
        return Member(path, io.BytesIO(raw.readall()), info.size)
    return Member(path, raw, info.size)


class _Reading:
    """Reads the headers of a tar archive. Converts the standard library's errors about damage to `DecodeError`."""

    def __init__(self, file: BinaryIO, links: dict[str, str] | None) -> None:
        self.file, self.name, self.links = file, name_of(file), links
        self.plain: set[str] = set()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # An error with an errno says that reading the file failed.
        ours = isinstance(error, DatasetAssetsError) or getattr(error, "errno", None) is not None
        if isinstance(error, _DAMAGE) and not ours:
            raise damaged(self.file, TAR, error) from error

    def next(self, archive: tarfile.TarFile, wanted: Selection) -> tuple[str, tarfile.TarInfo] | None:
        """Return the next wanted member and its path, after checking it; None at the end."""
        with self:
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # else it keeps all members in memory
                if sum(map(len, itertools.chain(*archive.pax_headers.items()))) > _HEADER_BYTES:
                    raise DecodeError(f"{self.name} has more than {_HEADER_BYTES} bytes of headers. {RETRIEVE_AGAIN}")
                if info.isdir() or info.type == _LABEL or (path := wanted.wanted(info.name)) is None:
                    continue
                self._check_text(info.name, archive)
                if info.islnk() and self._is_link_inside(path, info, wanted):
                    continue
                wanted.check(info.name, path, info.size, info.isreg() and not info.issparse())
                if self.links is not None:
                    self.plain.add(path)
                return path, info
        return None

    def _is_link_inside(self, path: str, info: tarfile.TarInfo, wanted: Selection) -> bool:
        """Note a hard link if it leads to an earlier member; say whether it does."""
        if self.links is None:
            return False
        target = normalised(info.linkname)
        target = self.links.get(target, target)
        if target not in self.plain:
            return False
        wanted.check(info.name, path, 0, True)
        self.links[path] = target
        return True

    def _check_text(self, name: str, archive: tarfile.TarFile) -> None:
        if not name.isascii() and any("\udc80" <= letter <= "\udcff" for letter in name):
            written = name.encode("utf-8", "surrogateescape")
            raise DecodeError(
                f"{self.name} has a member named {written!r}, which is not {archive.encoding} text. Pass the encoding "
                "of its names, such as encoding='latin-1'."
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


def _read_to_the_end(stream: BinaryIO, archive: tarfile.TarFile) -> None:
    """Read the rest of the file, which must be padding. For a compressed file this also checks the checksum."""
    stream.seek(archive.offset)
    while data := exactly(stream, 1 << 16):
        if data.strip(b"\0\r\n"):
            raise DecodeError(
                f"{name_of(stream)} has further data after the end of its archive. Split it into single archives first."
            )
