"""Reads TFRecord files of `tf.train.Example`, with all of their checksums."""

import struct
from typing import Any, BinaryIO, Collection, Iterator

from dataset_assets.core.limits import SMALL, limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.crc32c import crc32c
from dataset_assets.decoding.streams import RETRIEVE_AGAIN, check_file, exactly, name_of
from dataset_assets.decoding.tf_example import features_of
from dataset_assets.errors import DecodeError


def tfrecord(file: BinaryIO, *, single: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """Read a TFRecord file of `tf.train.Example`, compressed or not, record by record.

    Each feature is a list of bytes, or an array of float32 or int64; those named in `single` have one value in each
    record, which is returned itself. Raises `DecodeError` for a file that is damaged or cut, for a record that is no
    Example, and for one of more than `max_value_bytes`, a setting.
    """
    check_file(file)
    file.seek(0)
    for number, record in enumerate(_records(file)):
        try:
            found = features_of(record)
        except ValueError as error:
            raise DecodeError(f"Record {number} of {name_of(file)} is no tf.train.Example: {error}.") from error
        for name in single:
            if name in found:
                if len(found[name]) != 1:
                    raise DecodeError(
                        f"Record {number} of {name_of(file)} has {len(found[name])} values of {name!r}, and not one. "
                        "Leave it out of single=."
                    )
                found[name] = found[name][0]
        yield found


def _records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of each record, after its checksums are compared."""
    stream, most, name, at = decompressed(file), max(limits().max_value_bytes, SMALL), name_of(file), 0
    while head := exactly(stream, 12):
        size, check = struct.unpack("<QI", head) if len(head) == 12 else (0, -1)
        if len(head) == 12 and _masked(head[:8]) != check:
            raise DecodeError(
                f"{name} is no TFRecord file, or damaged: the length at byte {at} is wrong. {RETRIEVE_AGAIN}"
            )
        if size > most:
            raise DecodeError(f"{name} has a record of {size} bytes at byte {at}. {remedy('max_value_bytes')}")
        body = exactly(stream, size + 4)
        if len(head) < 12 or len(body) < size + 4:
            raise DecodeError(f"{name} is truncated: it ends within the record at byte {at}. {RETRIEVE_AGAIN}")
        if _masked(body[:size]) != struct.unpack("<I", body[size:])[0]:
            raise DecodeError(f"{name} is damaged: the record at byte {at} has a different checksum. {RETRIEVE_AGAIN}")
        yield body[:size]
        at += 16 + size


def _masked(data: bytes) -> int:
    """Return the checksum as TFRecord has it, so that a checksum of data with checksums does not cancel out."""
    found = crc32c(data)
    return (((found >> 15) | (found << 17)) + 0xA282EAD8) & 0xFFFFFFFF
