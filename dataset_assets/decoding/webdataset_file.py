"""Reads WebDataset archives: tar files in which files that lie beside each other with one name are one sample."""

import io
import re
from typing import Any, BinaryIO, Callable, Iterator

import numpy as np

from dataset_assets.core.documents import parsed
from dataset_assets.core.names import identifier_from
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.npy_file import Rows, npy
from dataset_assets.decoding.streams import name_of
from dataset_assets.decoding.tar_file import tar_members, tar_places
from dataset_assets.errors import DecodeError

KEY = "key"
"""The name of what a sample's files have in common."""

_NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")


def webdataset(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Read a WebDataset archive, compressed or not, sample by sample, in bounded memory.

    `a/1.jpg` and `a/1.cls` are the sample with the key `a/1`, and the values `jpg` and `cls`; the dot of `1.seg.png`
    becomes `_`, as in `seg_png`. Text (`txt`), numbers (`cls`, `id`, `index`, `count`), `json` and `npy` are decoded;
    all else are bytes. Hidden files, and those whose names begin with `__`, are passed over. Raises `DecodeError` for
    an archive that is damaged or cut, for a file without an ending, and for a key that comes again.

    >>> import tarfile
    >>> with tarfile.open(fileobj=(made := io.BytesIO()), mode="w") as archive:
    ...     for name, data in {"1.txt": b"owl", "1.cls": b"7"}.items():
    ...         (info := tarfile.TarInfo(name)).size = len(data)
    ...         archive.addfile(info, io.BytesIO(data))
    >>> list(webdataset(made))
    [{'key': '1', 'txt': 'owl', 'cls': 7}]
    """
    seen: set[str] = set()
    sample: dict[str, Any] = {}
    for member in tar_members(file):
        if (named := _named(file, path := member.name)) is None:
            continue
        key, ending = named
        if sample.get(KEY) != key:
            if sample:
                yield sample
            _see_new(file, key, seen)
            sample = {KEY: key}
        name = identifier_from(ending, "file")
        if name in sample:
            raise DecodeError(f"{name_of(file)} has two values {name!r} of the sample {key!r:.200}. Remove one.")
        sample[name] = _value(file, path, ending.rpartition(".")[2], member)
    if sample:
        yield sample


def sample_runs(file: BinaryIO, most_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Yield runs of samples of an archive that is not compressed: where each begins, its bytes and its samples.

    Each run is an archive itself; it ends with the sample with which it has `most_bytes`. Reads no content. Raises the
    errors of `webdataset` for names, and those of `tar_places`.
    """
    seen: set[str] = set()
    start = stop = samples = 0
    last = ""
    for path, begin, end in tar_places(file):
        if (named := _named(file, path)) is None:
            continue
        if named[0] != last:
            _see_new(file, last := named[0], seen)
            if samples and stop - start >= most_bytes:
                yield start, stop - start, samples
                samples = 0
            start = begin if not samples else start
            samples += 1
        stop = end
    if samples:
        yield start, stop - start, samples


def _named(file: BinaryIO, path: str) -> tuple[str, str] | None:
    """Return the key of the sample that a file is of, and its ending; None for a file that is passed over."""
    if path.rpartition("/")[2].startswith((".", "__")):
        return None
    if not (named := _NAME.fullmatch(path)):
        raise DecodeError(f"{name_of(file)} has {path!r:.200}, whose name has no ending. Remove it from the archive.")
    return named[1], named[2].lower()


def _see_new(file: BinaryIO, key: str, seen: set[str]) -> None:
    if key in seen:
        raise DecodeError(
            f"{name_of(file)} has files of the sample {key!r:.200} in two places. Sort the archive by name."
        )
    seen.add(key)


def _value(file: BinaryIO, path: str, ending: str, member: BinaryIO) -> Any:
    data = member.read()
    try:
        return _DECODED.get(ending, bytes)(data)
    except (ValueError, DecodeError) as error:
        raise DecodeError(
            f"{name_of(file)} has {path!r:.200}, which cannot be read as {ending}: {error}. Correct the file."
        ) from error


def _array(data: bytes) -> Any:
    blocks = [block["value"] for block in npy(io.BytesIO(data))]
    if blocks:
        return np.concatenate(blocks)
    header = Rows.of(decompressed(io.BytesIO(data)))
    return np.zeros(header.shape, header.dtype)


_DECODED: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("txt", "text", "transcript"), bytes.decode),
    **dict.fromkeys(("cls", "cls2", "class", "count", "index", "inx", "id"), lambda data: int(data.decode("ascii"))),
    **dict.fromkeys(("json", "jsn"), lambda data: parsed(data, None)),
    "npy": _array,
}
