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
from dataset_assets.decoding.tar_file import tar_members
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
        path = member.name
        if path.rpartition("/")[2].startswith((".", "__")):
            continue
        if not (named := _NAME.fullmatch(path)):
            raise DecodeError(
                f"{name_of(file)} has {path!r:.200}, whose name has no ending. Remove it from the archive."
            )
        key, ending = named[1], named[2].lower()
        if sample.get(KEY) != key:
            if sample:
                yield sample
            if key in seen:
                raise DecodeError(
                    f"{name_of(file)} has files of the sample {key!r:.200} in two places. Sort the archive by name."
                )
            seen.add(key)
            sample = {KEY: key}
        name = identifier_from(ending, "file")
        if name in sample:
            raise DecodeError(f"{name_of(file)} has two values {name!r} of the sample {key!r:.200}. Remove one.")
        sample[name] = _value(path, ending.rpartition(".")[2], member)
    if sample:
        yield sample


def _value(path: str, ending: str, member: BinaryIO) -> Any:
    data = member.read()
    try:
        return _DECODED.get(ending, bytes)(data)
    except (ValueError, DecodeError) as error:
        raise DecodeError(f"{path!r:.200} cannot be read as {ending}: {error}. Correct the file.") from error


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
