"""Decompresses a file while it is read. Detects the compression by the first bytes; damage raises `DecodeError`."""

import functools
import io
import lzma
import zlib
from typing import Any, BinaryIO, Callable, NamedTuple, Protocol, cast

from dataset_assets.core.limits import SMALL, Limits, limits, remedy
from dataset_assets.errors import DecodeError, UsageError

RETRIEVE_AGAIN = "Retrieve it again; if the error remains, its source is damaged."

_CHUNK = 1 << 17
_PIECE = 1 << 18


def decompressed(file: BinaryIO) -> BinaryIO:
    """Return a stream of the content of a gzip, bzip2 or xz file, and any other file as it is.

    Detects the compression by the first bytes, not by the name. Closing the stream leaves the file open. Raises
    `DecodeError` for content of more than `max_decoded_bytes`, or more than `max_value_bytes` if it is read at once;
    both are settings.

    >>> import gzip
    >>> decompressed(io.BytesIO(gzip.compress(b"a,b"))).read()
    b'a,b'
    """
    if _expanding(file):
        return file
    start = file.tell()
    head = exactly(file, 6)
    file.seek(start)
    for compression in _COMPRESSIONS:
        if head.startswith(compression.magic):
            return cast(BinaryIO, io.BufferedReader(_Expanding(file, compression), _PIECE))
    return file


def exactly(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes; return fewer only at the end of the stream."""
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


def at_most(stream: BinaryIO) -> tuple[int, bool]:
    """Return how many bytes a stream of `decompressed` can still yield, and whether that number is exact."""
    raw = _expanding(stream)
    return (raw.most, False) if raw else (_remaining(stream), True)


def check_rows(rows: int | None) -> None:
    """Raise `UsageError` if `rows`, the size of a block, is less than 1."""
    if rows is not None and rows < 1:
        raise UsageError(f"rows is {rows}, which is too small. Give 1 or more, or None.")


def name_of(file: Any) -> str:
    """Return the URL that the file was retrieved from, or else its name, for a message."""
    name = getattr(file, "url", None) or getattr(file, "name", None)
    return name if isinstance(name, str) else "the stream"


class _Decoder(Protocol):
    """The common interface of the decompressors of bz2, lzma and isal."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Inflater:
    """The standard library's decompressor of gzip, with the interface of the others."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

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


def _gunzip() -> _Decoder:
    try:
        from isal import igzip_lib
    except ImportError:
        return _Inflater()
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def _bunzip() -> _Decoder:
    import bz2

    return bz2.BZ2Decompressor()


def _unxz() -> _Decoder:
    # A few bytes of xz may request a dictionary of 4 GiB.
    return lzma.LZMADecompressor(memlimit=limits().max_value_bytes)


class _Compression(NamedTuple):
    name: str
    magic: bytes
    decoder: Callable[[], _Decoder]
    ratio: int
    """The largest factor by which this compression shrinks a file."""


_COMPRESSIONS = (
    _Compression("gzip", b"\x1f\x8b", _gunzip, 1_100),
    _Compression("bzip2", b"BZh", _bunzip, 50_000),
    _Compression("xz", b"\xfd7zXZ\x00", _unxz, 10_000),
)


class _Expanding(io.RawIOBase):
    """The content of a compressed file with one or more members.

    The standard library's readers take damage in a later member of bz2 or xz for padding, and end there without error.
    """

    def __init__(self, file: BinaryIO, compression: _Compression) -> None:
        self.file, self.compression, self.name = file, compression, name_of(file)
        self.most = _remaining(file) * compression.ratio
        self.taken = self.given = 0
        self.decoder = compression.decoder()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        while (more := self._next_member() if self.decoder.eof else self._more()) is not None:
            if data := self._expand(more, min(len(view), _PIECE)):
                view[: len(data)] = data
                self.given += len(data)
                self._check_size(self.given, "max_decoded_bytes")
                return len(data)
        return 0

    def readall(self) -> bytes:
        """Read the rest. Raises `DecodeError` if it is more than `max_value_bytes`."""
        held = bytearray()
        while data := self.read(_PIECE):
            held += data
            self._check_size(len(held), "max_value_bytes")
        return bytes(held)

    @functools.cached_property
    def limits(self) -> Limits:
        return limits()

    def _check_size(self, size: int, setting: str) -> None:
        if size > SMALL and size > getattr(self.limits, setting):
            raise DecodeError(
                f"{self.name} holds more than {size - 1} bytes in {self.taken} or more bytes of "
                f"{self.compression.name}. "
                f"{remedy(setting)}"
            )

    def _next_member(self) -> bytes | None:
        """Return the beginning of the next member, or None. Skips zeros before it, which are padding."""
        rest = self.decoder.unused_data.lstrip(b"\0")
        while not rest:
            if not (data := self._read()):
                return None
            rest = data.lstrip(b"\0")
        self.decoder = self.compression.decoder()
        return rest

    def _more(self) -> bytes:
        if not self.decoder.needs_input:
            return b""
        if data := self._read():
            return data
        raise DecodeError(
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


def _expanding(stream: Any) -> _Expanding | None:
    raw = getattr(stream, "raw", None)
    return raw if isinstance(raw, _Expanding) else None


def _remaining(file: BinaryIO) -> int:
    start = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(start)
    return end - start
