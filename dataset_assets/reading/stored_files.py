"""The files of a stored split, opened as columns."""

import io
import random
from functools import partial
from typing import Any, BinaryIO, Callable, Mapping

from dataset_assets.core import files, marks
from dataset_assets.core.commands import command
from dataset_assets.core.few_open import open_all
from dataset_assets.core.settings import Settings
from dataset_assets.errors import (
    DecodeError,
    DigestMismatch,
    IntegrityError,
    NotFound,
    NotPrepared,
    StoredFileDamaged,
    at,
    nearest,
)
from dataset_assets.formats import Array, Format, format_named
from dataset_assets.formats.columns import Column, Indices
from dataset_assets.formats.decoded import DecodedColumn
from dataset_assets.reading.cache import drop_damaged, open_cached
from dataset_assets.reading.remote_columns import RemoteColumn, RemoteFiles, RetryingColumn
from dataset_assets.reading.row_numbers import read_numbers, taken
from dataset_assets.reading.views import Opener, Stored
from dataset_assets.storage.keys import raw_key
from dataset_assets.storage.manifest import ROWS, SplitIndex, StoredStream, UsedFile
from dataset_assets.storage.storage import Storage, open_object
from dataset_assets.storage.stored_dataset import damaged


def open_columns(index: SplitIndex, opened: Callable[[str, int], BinaryIO]) -> dict[str, Any]:
    """Open the columns of a split; `opened` opens file k of a stream."""
    found = {}
    for name, stream in index.streams.items():
        parts = open_all([partial(opened, name, k) for k in range(len(stream.files))])
        place = f"{index.dataset}, split {index.split}, stream {name}"
        with at(place):
            found[name] = column = format_of(stream).open(parts)
        if isinstance(column, DecodedColumn):
            column.place = f"{place}, "
    return found


def format_of(stream: StoredStream) -> Format:
    """Return the format that reads a stream. Raises `IntegrityError` if a newer release wrote it."""
    found = format_named(stream.format, stream.parameters)
    if found.version < stream.writer:
        raise IntegrityError(
            f"it was written by version {stream.writer} of format {stream.format!r}; here is {found.version}. Upgrade "
            "dataset_assets, or the package that has the format."
        )
    return found


def classes_of(index: SplitIndex) -> dict[str, tuple[str, ...]]:
    """Return the class names of the streams that have some."""
    found = {name: stream.parameters.get("classes") for name, stream in index.streams.items()}
    # Anything but a list of names is an error of the format, when the stream is opened.
    return {n: tuple(v) for n, v in found.items() if v and isinstance(v, list) and all(isinstance(c, str) for c in v)}


class StoredFiles(Opener):
    """The files of a split in a storage."""

    def __init__(self, storage: Storage, index: SplitIndex) -> None:
        self.storage, self.index, self.license = storage, index, index.license

    def stream(self, stream: str, part: int, *, copied: bool = True, whole: bool = False) -> BinaryIO:
        """Open a file of a stream: its copy in the cache, if the storage is remote. Raises `StoredFileDamaged`.

        With `copied=False` and `whole` it is read once, from its beginning to its end.
        """
        found = self.index.streams[stream].files
        if not 0 <= part < len(found):
            raise NotFound(f"{self._place(stream)} has {len(found)} files; there is no part {part}.")
        try:
            with at(f"{self.index.dataset}, split {self.index.split}, stream {stream}"):
                file = self._copy(stream, part) if copied else self._open(stream, part, whole)
        except FileNotFoundError as error:
            raise self._gone(stream, part, "is gone") from error
        if (size := file.seek(0, 2)) != found[part].bytes:
            file.close()
            raise self._of_other_size(stream, part, size)
        file.seek(0)
        return file

    def sources(self, row: int) -> tuple[UsedFile, ...]:
        """Return the raw files that a row was made from."""
        return self.index.sources_of(row)

    def raw(self, argument: str) -> BinaryIO:
        """Open a raw file that the split was made from. Raises `NotFound` and `NotPrepared`."""
        used = {source.argument: source for source in self.index.sources}
        if argument not in used:
            raise NotFound(
                f"{self.index.dataset} {self.index.split} has no raw file {argument!r}.{nearest(argument, used)}"
            )
        source = used[argument]
        link = self.index.arguments.get(argument)
        # A file of another dataset lies there.
        owner = link["dataset"] if isinstance(link, Mapping) and "file" in link else self.index.dataset
        try:
            return open_object(self.storage, raw_key(owner, source.name, source.sha256))
        except FileNotFoundError as error:
            raise NotPrepared(
                f"The raw file {source.name} of {owner} is not in {self.storage.url}. "
                f"Get it with: {command(f'prepare --refresh {owner}', self.storage.url)}"
            ) from error

    def remote_columns(self, chosen: Settings) -> dict[str, Any]:
        """Return the streams as columns whose files are opened when they are read."""
        sizes = {
            (name, part): file.bytes
            for name, stream in self.index.streams.items()
            for part, file in enumerate(stream.files)
        }
        # If the cache cannot hold the whole split, a third is for what is read, for what is prefetched, and for others.
        whole = sum(sizes.values()) <= chosen.cache_bytes
        limit = chosen.cache_bytes if whole else chosen.cache_bytes // 3
        ways = partial(self._column, chosen), partial(self._fetch, chosen)
        opened = RemoteFiles(sizes, *ways, limit, partial(self._together, chosen))
        counts = {name: [file.samples for file in stream.files] for name, stream in self.index.streams.items()}
        return {name: RemoteColumn(opened, name, count) for name, count in counts.items()}

    def _column(self, chosen: Settings, name: str, part: int) -> Column:
        """Open one file of a stream as a column; a file that is read by ranges is not downloaded."""
        if not self._is_ranged(chosen, name):
            return self._opened(name, part, copied=True)
        return RetryingColumn(lambda: self._opened(name, part, copied=False), chosen.stall_seconds)

    def _opened(self, name: str, part: int, copied: bool) -> Column:
        stream, file = self.index.streams[name], self.stream(name, part, copied=copied)
        with at(f"{self.index.dataset}, split {self.index.split}, stream {name}"):
            column = format_of(stream).open([file])
        if len(column) != stream.files[part].samples:
            raise self._gone(name, part, f"holds {len(column)} samples, not {stream.files[part].samples}")
        return column

    def _fetch(self, chosen: Settings, name: str, part: int) -> None:
        if not self._is_ranged(chosen, name):
            self._copy(name, part, patient=False).close()

    def _together(self, chosen: Settings, name: str) -> Column | None:
        """Open all files of a stream as one column if that is faster, as it is for arrays; else return None."""
        stream = self.index.streams[name]
        if len(stream.files) < 2 or not isinstance(format_of(stream), Array) or self._is_ranged(chosen, name):
            return None
        with at(f"{self.index.dataset}, split {self.index.split}, stream {name}"):
            copies = [partial(self._copy, name, part, patient=False) for part in range(len(stream.files))]
            return format_of(stream).open(open_all(copies))

    def _is_ranged(self, chosen: Settings, name: str) -> bool:
        return chosen.fetch == "ranges" and format_of(self.index.streams[name]).by_ranges

    def check_lengths(self, columns: Mapping[str, Any]) -> None:
        """Raise `StoredFileDamaged` for a stream whose number of samples is not that of the index."""
        samples = self.index.rows.of if self.index.rows else self.index.samples
        for name, column in columns.items():
            if len(column) != samples:
                raise StoredFileDamaged(
                    f"{self._place(name)} in {self.storage.url} holds {len(column)} samples, not {samples} "
                    f"as its index says. Repair it with: {self._repair()}"
                )

    def see_objects(self) -> None:
        """Raise `ObjectReplaced` for a value's object, outside of the storage, that is not what it was."""
        if self.index.placed:
            from dataset_assets.reading.in_place import see_objects

            see_objects(self.index)

    def own_rows(self, columns: Mapping[str, Column]) -> dict[str, Column]:
        """Return the columns of a split's files as its own: of one that stores row numbers, at these rows."""
        return dict(columns) if self.index.rows is None else taken(columns, self.row_numbers())

    def row_numbers(self) -> Indices:
        """Return the row numbers that a split stores. Raises `StoredFileDamaged`."""
        rows, key = self.index.rows, self.index.rows_key
        assert rows is not None  # others store values
        try:
            file = open_cached(self.storage, key, rows.file.sha256, rows.file.bytes)
            return read_numbers(file, self.index.samples, rows.of)
        except FileNotFoundError as error:
            raise damaged(self.index, ROWS[0], key, self.storage.url, "is gone") from error
        except DecodeError as error:
            raise damaged(self.index, ROWS[0], key, self.storage.url, f"is damaged ({error})") from error

    def verify(self, every: int = 1) -> None:
        """Hash one file in `every`, at least one a stream, chosen at random. Raises `DigestMismatch` if one differs."""
        for name, stream in self.index.streams.items():
            count = -(-len(stream.files) // every)
            for part in sorted(random.sample(range(len(stream.files)), count)):
                drop_damaged(self.storage, stream.files[part].sha256)
                with self.stream(name, part, copied=False, whole=True) as opened:
                    self._compare(opened, name, part)
        self._verify_rows()
        self.see_objects()

    def verify_once(self, run: str) -> None:
        """Hash the files, or their copies in the cache, unless another process of this run did so on this machine.

        Raises `DigestMismatch` if one differs.
        """
        for name, stream in self.index.streams.items():
            for part, file in enumerate(stream.files):
                with self.stream(name, part) as opened:
                    compare = partial(self._compare, opened, name, part)
                    try:
                        marks.once(f"sha256 {file.sha256} in run {run}", opened.fileno(), compare)
                    except io.UnsupportedOperation:  # not a file of this machine
                        compare()
        self._verify_rows()
        self.see_objects()

    def _verify_rows(self) -> None:
        if rows := self.index.rows:
            drop_damaged(self.storage, rows.file.sha256)
            with open_object(self.storage, self.index.rows_key, whole=True) as opened:
                if (found := files.sha256_in(opened)) != rows.file.sha256:
                    raise self._other_digest("The row numbers", self.index.rows_key, found)

    def _compare(self, opened: BinaryIO, name: str, part: int) -> None:
        found = files.sha256_in(opened)
        if found != self.index.streams[name].files[part].sha256:
            raise self._other_digest(f"Stream {name}", self._key(name, part), found)

    def _other_digest(self, what: str, key: str, found: str) -> DigestMismatch:
        return DigestMismatch(
            f"{what} of {self.index.dataset}, split {self.index.split}, file {key} in {self.storage.url} has sha256 "
            f"{found}, not that of its name. Repair it with: {self._repair()}"
        )

    def _repair(self) -> str:
        return command(f"verify --repair {self.index.dataset}", self.storage.url)

    def _copy(self, stream: str, part: int, patient: bool = True) -> BinaryIO:
        file = self.index.streams[stream].files[part]
        return open_cached(self.storage, self._key(stream, part), file.sha256, file.bytes, patient)

    def _open(self, stream: str, part: int, whole: bool) -> BinaryIO:
        return open_object(self.storage, self._key(stream, part), whole)

    def _key(self, stream: str, part: int) -> str:
        return self.index.key_of(stream, self.index.streams[stream].files[part])

    def _place(self, stream: str) -> str:
        return f"Stream {stream} of {self.index.dataset}, split {self.index.split},"

    def _of_other_size(self, stream: str, part: int, found: int) -> StoredFileDamaged:
        expected = self.index.streams[stream].files[part].bytes
        return self._gone(stream, part, f"has {found} bytes, not the {expected} it was written with")

    def _gone(self, stream: str, part: int, what: str) -> StoredFileDamaged:
        return damaged(self.index, stream, self._key(stream, part), self.storage.url, what)


def index_of(view: Stored) -> SplitIndex:
    """Return the index of a view that was opened from a storage."""
    return opener_of(view).index


def opener_of(view: Stored) -> StoredFiles:
    """Return the files of a view that was opened from a storage."""
    assert isinstance(view.opener, StoredFiles)
    return view.opener
