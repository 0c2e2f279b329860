"""Reads the parts of objects that stay where they are: row groups of Parquet, runs of a tar, small files together."""

import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import PurePosixPath
from typing import Any, ClassVar, Protocol
from urllib.parse import unquote, urlsplit

from dataset_assets.core.redact import redacted
from dataset_assets.decoding.arrow_file import refused
from dataset_assets.decoding.streams import exactly
from dataset_assets.decoding.webdataset_file import webdataset
from dataset_assets.errors import DecodeError
from dataset_assets.storage.outside import REMEDY, State, opened
from dataset_assets.storage.placed import CONTENT, FILE, FILES, FOLDER, TEXT, Placed, PlacedObject, PlacedPart

TOGETHER_FILES, TOGETHER_BYTES = 64, 1 << 18
"""So many small files, or bytes of them, are one part."""
AT_ONCE = 16
"""The most files of a part that are read at a time."""
_END = bytes(1024)
"""What a tar ends with."""


class Parts(Protocol):
    """The parts of the objects of a split, numbered through."""

    shared: ClassVar[bool]
    """Whether the values of all columns of a part come with one request."""
    sizes: list[PlacedPart]

    def url(self, part: int, sample: int | None = None) -> str:
        """Return the URL of the object that a part, or a sample of it, lies in; of several, the first."""
        ...

    def values(self, part: int, columns: Sequence[str]) -> Mapping[str, Any]:
        """Return the values of columns in a part. Raises `ObjectReplaced` and `DecodeError`."""
        ...

    def known(self, column: str) -> list[Any] | None:
        """Return all values of a column if they are known without reading a file."""
        ...


def parts_of(placed: Placed, roots: Sequence[str]) -> Parts:
    """Return the parts of objects, by how they are read; files are read in the folders `roots` alone.

    Raises `DecodeError` for a way that is not known.
    """
    if placed.read not in _KINDS:
        raise DecodeError(f"Values that lie in {placed.read!r:.80} files are not read here. Upgrade dataset_assets.")
    return _KINDS[placed.read](placed.objects, roots)


def state_of(one: PlacedObject) -> State:
    """Return what an object was when the index was made."""
    return State(one.bytes, one.etag, one.version)


class RowGroups:
    """The row groups of Parquet files."""

    shared: ClassVar[bool] = False

    def __init__(self, objects: Sequence[PlacedObject], roots: Sequence[str]) -> None:
        self.roots = roots
        self.places = [(one, k) for one in objects for k in range(len(one.parts))]
        self.sizes = [part for one in objects for part in one.parts]
        self._footers: dict[str, Any] = {}

    def url(self, part: int, sample: int | None = None) -> str:
        return self.places[part][0].url

    def values(self, part: int, columns: Sequence[str]) -> Mapping[str, Any]:
        from pyarrow.parquet import ParquetFile

        one, group = self.places[part]
        with opened(one.url, state_of(one), self.roots) as file, refused(file, "Parquet"):
            # The footer is read once; its bytes are of this ETag too.
            found = ParquetFile(file, metadata=self._footers.get(one.url), page_checksum_verification=True)
            self._footers[one.url] = found.metadata
            table = found.read_row_group(group, columns=[*columns])
            return {name: table.column(name).combine_chunks() for name in columns}

    def known(self, column: str) -> None:
        return None


class Runs:
    """Runs of samples of WebDataset archives, each of which is a tar itself."""

    shared: ClassVar[bool] = True

    def __init__(self, objects: Sequence[PlacedObject], roots: Sequence[str]) -> None:
        self.roots = roots
        self.places = [(one, part) for one in objects for part in one.parts]
        self.sizes = [part for _, part in self.places]

    def url(self, part: int, sample: int | None = None) -> str:
        return self.places[part][0].url

    def values(self, part: int, columns: Sequence[str]) -> Mapping[str, Any]:
        one, place = self.places[part]
        with opened(one.url, state_of(one), self.roots) as file:
            file.seek(place.offset)
            data = exactly(file, max(min(place.bytes, one.bytes - place.offset), 0))
        rows = [*webdataset(_Content(data + _END, redacted(one.url)))]
        return {name: [row.get(name) for row in rows] for name in columns}

    def known(self, column: str) -> None:
        return None


class SmallFiles:
    """Files, each of which is one sample. Small ones that follow each other are read together."""

    shared: ClassVar[bool] = True

    def __init__(self, objects: Sequence[PlacedObject], roots: Sequence[str]) -> None:
        self.objects, self.roots = objects, roots
        self.places: list[list[PlacedObject]] = []
        size = TOGETHER_BYTES + 1
        for one in objects:
            if size + one.bytes > TOGETHER_BYTES or len(self.places[-1]) == TOGETHER_FILES:
                self.places.append([])
                size = 0
            self.places[-1].append(one)
            size += one.bytes
        self.sizes = [PlacedPart(0, sum(one.bytes for one in some), len(some)) for some in self.places]

    def url(self, part: int, sample: int | None = None) -> str:
        return self.places[part][sample or 0].url

    def values(self, part: int, columns: Sequence[str]) -> Mapping[str, Any]:
        some = self.places[part]
        if wrong := [name for name in columns if name not in _READ]:
            raise DecodeError(f"{redacted(some[0].url)} is a file, which has no column {wrong[0]!r:.80}.")
        if len(some) == 1:
            contents = [_content(some[0], self.roots)]
        else:
            with ThreadPoolExecutor(min(AT_ONCE, len(some))) as pool:
                contents = [*pool.map(partial(_content, roots=self.roots), some)]
        return {name: [*map(_READ[name], some, contents)] for name in columns}

    def known(self, column: str) -> list[Any] | None:
        return [_folder(one) for one in self.objects] if column == FOLDER else None


_KINDS: dict[str, Callable[[Sequence[PlacedObject], Sequence[str]], Parts]] = {
    "parquet": RowGroups,
    "webdataset": Runs,
    FILES: SmallFiles,
}


class _Content(io.BytesIO):
    """Bytes of an object, with its name and what to do if they cannot be decoded."""

    remedy = REMEDY

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def _content(one: PlacedObject, roots: Sequence[str]) -> bytes:
    with opened(one.url, state_of(one), roots) as file:
        return file.read()


def _path(one: PlacedObject) -> str:
    return one.path or PurePosixPath(unquote(urlsplit(one.url).path)).name


def _folder(one: PlacedObject) -> str:
    return _path(one).partition("/")[0]


def _text(one: PlacedObject, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DecodeError(f"{redacted(one.url)} is not UTF-8 at byte {error.start}. {REMEDY}") from error


_READ: dict[str, Callable[[PlacedObject, bytes], Any]] = {
    CONTENT: lambda one, data: data,
    TEXT: _text,
    FILE: lambda one, data: (_path(one), data),
    FOLDER: lambda one, data: _folder(one),
}
