"""Decompresses a file while it is read. Detects the compression by the first bytes; damage raises `DecodeError`."""

import functools
import io
import lzma
import re
import zlib
from typing import Any, BinaryIO, Callable, NamedTuple, Protocol, cast

from dataset_assets.core.limits import SMALL, Limits, limits, remedy
from dataset_assets.decoding.streams import PIECE, RETRIEVE_AGAIN, Content, check_file, exactly, name_of, size_of
from dataset_assets.decoding.zstd_stream import ZstdReader
from dataset_assets.errors import DecodeError

_CHUNK = 1 << 17
_HEAD = 13
_PADDING = b"\0\r\n"


def decompressed(file: BinaryIO) -> BinaryIO:
    """Return a stream of the content of a gzip, bzip2, xz or zstd file, and any other file as it is.

    Detects the compression by the first bytes, not by the name. Closing the stream leaves the file open. Raises
    `DecodeError` for content of more than `max_decoded_bytes`, or more than `max_value_bytes` if it is read at once;
    both are settings. Raises it for other compressions too, such as lz4, whose error names them. Zeros and line ends
    after the compressed data are ignored, except for zstd. The stream can seek; back means to decompress again from
    the start.

    >>> import gzip
    >>> decompressed(io.BytesIO(gzip.compress(b"a,b"))).read()
    b'a,b'
    """
    check_file(file)
    if _expanding(file):
        return file
    start = file.tell()
    head = exactly(file, _HEAD)
    file.seek(start)
    if compression := compression_of(head):
        expanding = (_Unzstd if compression is _ZSTD else _Expanding)(file, compression)
        return cast(BinaryIO, io.BufferedReader(expanding, PIECE))
    if unreadable := unreadable_kind(head, name_of(file)):
        raise DecodeError(
            f"{name_of(file)} is compressed as {unreadable.name}, which is not read here. Decompress it with "
            f"`{unreadable.command}`, compress it with gzip, and use that file."
        )
    return file


def at_most(stream: BinaryIO) -> tuple[int, bool]:
    """Return how many bytes a stream of `decompressed` can still yield, and whether that number is exact."""
    raw = _expanding(stream)
    return (raw.most_left, False) if raw else (size_of(stream) - stream.tell(), True)


class Decoder(Protocol):
    """The common interface of the decompressors of bz2, lzma and isal."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Inflater:
    """The standard library's decompressor of gzip or of bare Deflate, with the interface of the others."""

    def __init__(self, wbits: int = 31) -> None:
        self._zlib = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max(max_length, 0))


@functools.cache
def _isal() -> Any:
    """Return the module of the optional package isal that decompresses; None if it is not installed."""
    try:
        from isal import igzip_lib
    except ImportError:
        return None
    return igzip_lib


def _gunzip() -> Decoder:
    isal = _isal()
    return isal.IgzipDecompressor(flag=isal.DECOMP_GZIP) if isal else _Inflater()


def inflater() -> Decoder:
    """Return a decompressor of bare Deflate, as in zip archives."""
    isal = _isal()
    return isal.IgzipDecompressor(flag=isal.DECOMP_DEFLATE) if isal else _Inflater(-zlib.MAX_WBITS)


def _bunzip() -> Decoder:
    import bz2

    return bz2.BZ2Decompressor()


def _unxz() -> Decoder:
    # A few bytes of xz may request a dictionary of 4 GiB.
    return lzma.LZMADecompressor(memlimit=limits().max_value_bytes)


class Compression(NamedTuple):
    """A compression that is read."""

    name: str
    magic: re.Pattern[bytes]
    """What its files begin with; also what a file begins with that was cut in there."""
    decoder: Callable[[], Decoder] | None
    ratio: int
    """The largest factor by which this compression shrinks a file."""


# pzstd begins its files with a frame that is skipped. A class of its own decompresses it.
_ZSTD = Compression("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), None, 40_000)
_COMPRESSIONS = (
    Compression("gzip", re.compile(rb"\x1f\x8b"), _gunzip, 1_100),
    Compression("bzip2", re.compile(rb"BZh[1-9]"), _bunzip, 2_000_000),
    Compression("xz", re.compile(rb"\xfd7(zXZ\0|z?X?Z?\Z)"), _unxz, 10_000),
    _ZSTD,
)


class Unreadable(NamedTuple):
    """A compression that is not read, and the command that decompresses it."""

    name: str
    magic: re.Pattern[bytes]
    command: str


_UNREADABLE = (
    Unreadable("lz4", re.compile(rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18"), "lz4 -d"),
    Unreadable(".Z (compress)", re.compile(rb"\x1f\x9d"), "gzip -d"),
    Unreadable("pack or lzh", re.compile(rb"\x1f[\x1e\xa0]"), "gzip -d"),
    Unreadable("lzip", re.compile(rb"LZIP[\0\1]"), "lzip -d"),
    Unreadable("lzop", re.compile(rb"\x89LZO\0\r\n\x1a\n"), "lzop -d"),
    Unreadable("lzma", re.compile(rb"\x5d\0\0.[\0-\x08](\xff{8}|.{5}\0{3})", re.DOTALL), "xz -d"),
    Unreadable("snappy", re.compile(rb"\xff\x06\0\0sNaPpY"), "snzip -d"),
    Unreadable("7z", re.compile(rb"7z\xbc\xaf\x27\x1c"), "7z x"),
    Unreadable("rar", re.compile(rb"Rar!\x1a\x07"), "unrar x"),
)
# The only one without a magic number.
_BROTLI = Unreadable("brotli", re.compile(b""), "brotli -d")


def compression_of(head: bytes) -> Compression | None:
    """Return the compression of a file with these first bytes; None if it is none that is read here."""
    return next((known for known in _COMPRESSIONS if known.magic.match(head)), None)


def unreadable_kind(head: bytes, name: str) -> Unreadable | None:
    """Return the compression of a file with these first bytes, if it is known but not read here."""
    if name.endswith(".br") and not head.isascii():
        return _BROTLI
    return next((known for known in _UNREADABLE if known.magic.match(head)), None)


class _Expanding(Content):
    """The content of a compressed file with one or more members.

    The standard library's readers take damage in a later member of bz2 or xz for padding, and end there without error.
    """

    def __init__(self, file: BinaryIO, compression: Compression) -> None:
        self.file, self.compression, self.name = file, compression, name_of(file)
        self.start = file.tell()
        self.most_left = (size_of(file) - self.start) * compression.ratio
        self.begin()

    def restart(self) -> None:
        self.file.seek(self.start)
        self.given = 0
        self.begin()

    def begin(self) -> None:
        """Make a decoder for the whole file."""
        self.taken, self.decoder = 0, self._new_decoder()

    def _new_decoder(self) -> Decoder:
        assert self.compression.decoder is not None
        return self.compression.decoder()

    def end(self) -> int:
        while self.piece(PIECE):
            pass
        return self.given

    def piece(self, most: int) -> bytes:
        while (more := self._next_member() if self.decoder.eof else self._more()) is not None:
            if data := self._expand(more, most):
                self.given += len(data)
                self._check_size()
                return data
        return b""

    @functools.cached_property
    def limits(self) -> Limits:
        return limits()

    def _check_size(self) -> None:
        if self.given > SMALL and self.given > self.limits.max_decoded_bytes:
            raise self._holds(self.given, "max_decoded_bytes")

    def too_large(self, size: int) -> DecodeError:
        return self._holds(size, "max_value_bytes")

    def _holds(self, size: int, setting: str) -> DecodeError:
        return DecodeError(
            f"{self.name} holds more than {size - 1} bytes in {self.taken} or more bytes of {self.compression.name}. "
            f"{remedy(setting)}"
        )

    def _next_member(self) -> bytes | None:
        """Return the beginning of the next member, or None. Skips padding before it."""
        rest = self.decoder.unused_data.lstrip(_PADDING)
        while not rest:
            if not (data := self._read()):
                return None
            rest = data.lstrip(_PADDING)
        if not self.compression.magic.match(rest[:_HEAD]) and len(rest) >= 4:
            raise DecodeError(
                f"{self.name} has {rest[:4]!r} after its {self.compression.name} stream, after {self.given} bytes of "
                f"content, which is not {self.compression.name}. {RETRIEVE_AGAIN}"
            )
        self.decoder = self._new_decoder()
        return rest

    def _more(self) -> bytes:
        if not self.decoder.needs_input:
            return b""
        if data := self._read():
            return data
        raise self._truncated()

    def _truncated(self) -> DecodeError:
        return DecodeError(
            f"{self.name} is truncated: its {self.compression.name} stream ends at byte {self.taken}, after "
            f"{self.given} bytes of content. {RETRIEVE_AGAIN}"
        )

    def _read(self) -> bytes:
        data = self.file.read(_CHUNK)
        self.taken += len(data)
        return data

    def _expand(self, data: bytes, most: int) -> bytes:
        try:
            return self.decoder.decompress(data, most)
        except MemoryError:
            raise
        except lzma.LZMAError as error:
            if "Memory usage limit" not in str(error):
                raise self._damaged(error) from error
            raise DecodeError(
                f"{self.name} requires more memory than xz may use. {remedy('max_value_bytes')}"
            ) from error
        except Exception as error:  # each library raises its own type of error
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DecodeError:
        return DecodeError(
            f"{self.name} is damaged: its {self.compression.name} stream is not valid ({error}) at or before "
            f"byte {self.taken}, after {self.given} bytes of content. {RETRIEVE_AGAIN}"
        )


class _Unzstd(_Expanding):
    """The content of a file of zstd frames."""

    def begin(self) -> None:
        self.reader = ZstdReader(self.file)

    @property
    def taken(self) -> int:  # type: ignore[override]
        return self.reader.taken

    def piece(self, most: int) -> bytes:
        try:
            data = self.reader.content(most)
        except EOFError:
            raise self._truncated() from None
        except OSError as error:
            raise self._damaged(error) from error
        self.given += len(data)
        self._check_size()
        return data


def _expanding(stream: Any) -> _Expanding | None:
    raw = getattr(stream, "raw", None)
    return raw if isinstance(raw, _Expanding) else None
