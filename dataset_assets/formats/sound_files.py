"""Checks that a file of a sound is whole: libsndfile reads a file that ends early as a shorter sound.

WAV and AIFF: the size of the data chunk, and the chunks after it. Ogg: each page's checksum and number, and the last
page. FLAC has checksums that its decoder verifies.

Layouts: https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html, https://www.rfc-editor.org/rfc/rfc3533
"""

import struct
import zlib
from typing import Any, Iterator, NamedTuple

from dataset_assets.formats.decoded import Undecodable

UNKNOWN = 0xFFFFFFFF
"""The size of data of unknown length; ffmpeg writes it into a pipe. Others write 0, sox a number near 2 GiB."""
SOX = 0x7FFFF000
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Chunk(NamedTuple):
    name: bytes
    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size + self.size % 2


def whole_sound(data: Any) -> Any:
    """Return the bytes of a sound's file, with the true size of data of unknown length.

    Raises `Undecodable` if the file ends early or its sizes do not fit its bytes.
    """
    kind, form = bytes(data[:4]), bytes(data[8:12])
    if kind == b"RIFF" and form == b"WAVE":
        return _whole_wave(data)
    if kind == b"FORM" and form in (b"AIFF", b"AIFC"):
        _check_aiff(data)
    if kind == b"OggS":
        _check_ogg(data)
    return data


def _chunks(data: Any, order: str, at: int = 12) -> Iterator[_Chunk]:
    while at + 8 <= len(data):
        chunk = _Chunk(bytes(data[at : at + 4]), at + 8, struct.unpack_from(f"{order}I", data, at + 4)[0])
        yield chunk
        at = chunk.end


def _whole_wave(data: Any) -> Any:
    size, riff, align = len(data), struct.unpack_from("<I", data, 4)[0] + 8, 1
    for chunk in _chunks(data, "<"):
        if chunk.name == b"fmt " and chunk.start + 14 <= size:
            align = max(struct.unpack_from("<H", data, chunk.start + 12)[0], 1)
        if chunk.name != b"data":
            continue
        end = riff if chunk.end <= riff <= size else size
        if chunk.size in (UNKNOWN, SOX // align * align) or not chunk.size and not _filled(data, chunk.end, end):
            return _to_the_end(data, chunk.start, align)
        _check_end(chunk, size)
        # Some programs leave out the padding of a chunk of odd size.
        ends = {chunk.end, chunk.start + chunk.size}
        if chunk.end <= riff <= size and not any(_filled(data, end, riff) for end in ends):
            raise Undecodable(
                f"a damaged sound: its data chunk has {chunk.size} bytes, and {riff - chunk.end} bytes follow that are "
                "not chunks"
            )
        return data
    raise Undecodable("a sound that ends early: its file has no data chunk")


def _to_the_end(data: Any, start: int, align: int) -> bytes:
    """Return a file with its true sizes. An odd number of bytes of data may have one of padding."""
    size = len(data) - start
    rest = size % align
    if rest and not (rest == 1 and not size % 2 and data[-1] == 0):
        raise Undecodable(f"a sound that ends early, in the middle of a frame: {rest} of {align} bytes")
    sizes = struct.pack("<I", len(data) - 8), struct.pack("<I", size - rest)
    return b"".join((data[:4], sizes[0], data[8 : start - 4], sizes[1], data[start:]))


def _check_end(chunk: _Chunk, size: int) -> None:
    if chunk.start + chunk.size > size:
        raise Undecodable(
            f"a sound that ends early: its file has {max(size - chunk.start, 0)} of the {chunk.size} bytes of its data"
        )


def _filled(data: Any, at: int, end: int) -> bool:
    """Return whether whole chunks fill the bytes up to an end; the last one may lack its padding."""
    for chunk in _chunks(data[:end], "<", at):
        at = chunk.end
    return at in (end, end + 1)


def _check_aiff(data: Any) -> None:
    frames_bytes, found = 0, False
    for chunk in _chunks(data, ">"):
        if chunk.name == b"COMM" and bytes(data[8:12]) == b"AIFF" and chunk.start + 8 <= len(data):
            channels, frames, bits = struct.unpack_from(">HIH", data, chunk.start)
            frames_bytes = channels * frames * -(-bits // 8)
        if chunk.name == b"SSND":
            found = True
            _check_end(chunk, len(data))
            # Before the data are two numbers: an offset and the size of a block.
            if frames_bytes > max(chunk.size - 8, 0):
                raise Undecodable(
                    f"a damaged sound: its data chunk has {chunk.size} bytes, its header says {frames_bytes + 8}"
                )
    if frames_bytes and not found:
        raise Undecodable("a sound that ends early: its file has no data chunk")


def _check_ogg(data: Any) -> None:
    at, numbers, ended = 0, dict[bytes, int](), set[bytes]()
    while at < len(data):
        page = _ogg_page(data, at)
        serial, number = bytes(page[14:18]), struct.unpack_from("<I", page, 18)[0]
        if number != numbers.get(serial, number):
            raise Undecodable(f"a damaged sound: page {numbers[serial]} of its Ogg file is missing")
        numbers[serial] = number + 1
        if page[5] & 4:
            ended.add(serial)
        at += len(page)
    if ended != numbers.keys():
        raise Undecodable("a sound that ends early: its Ogg file has no last page")


def _ogg_page(data: Any, at: int) -> bytes:
    """Return the page of an Ogg file at a place. Raises `Undecodable` if it is not whole."""
    head = bytes(data[at : at + 27])
    lengths = bytes(data[at + 27 : at + 27 + head[26]]) if len(head) == 27 else b""
    size = 27 + len(lengths) + sum(lengths)
    page = bytes(data[at : at + size])
    if len(head) < 27 or head[:4] != b"OggS" or len(lengths) < head[26] or len(page) < size:
        raise Undecodable(f"a damaged sound, or one that ends early: no whole page of an Ogg file at byte {at}")
    if _ogg_checksum(page[:22] + bytes(4) + page[26:]) != struct.unpack_from("<I", page, 22)[0]:
        raise Undecodable(f"a damaged sound: the page of its Ogg file at byte {at} has another checksum")
    return page


def _ogg_checksum(page: bytes) -> int:
    """Return Ogg's CRC: that of zlib with all bits in the reverse order, without its inversions."""
    crc = zlib.crc32(page.translate(_REVERSED), UNKNOWN) ^ UNKNOWN
    return int(f"{crc:032b}"[::-1], 2)
