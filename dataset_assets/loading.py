"""Opening what exists: name -> version -> splits -> views. Nothing is downloaded, written or locked."""

import random
from typing import Any, BinaryIO, Callable, Literal, Mapping, overload

from dataset_assets import files
from dataset_assets.errors import (
    DigestMismatch,
    IntegrityError,
    NotFound,
    NotPrepared,
    StoredFileDamaged,
    UnknownSplit,
    UsageError,
    at,
    nearest,
)
from dataset_assets.formats import Format, format_named
from dataset_assets.index import (
    SplitIndex,
    StoredStream,
    Version,
    raw_key,
    read_pointer,
    read_split_index,
    read_version,
    stream_key,
)
from dataset_assets.names import split_pin
from dataset_assets.samples import Column, Indices, chained
from dataset_assets.settings import settings
from dataset_assets.storage import Storage, open_storage, size_of
from dataset_assets.views import Opener, Origin, Stored, View

Verify = Literal["all", "sample"]


@overload
def load(
    name: str, split: None = None, *, storage: "str | Storage | None" = None, verify: Verify | None = None
) -> Mapping[str, View]: ...
@overload
def load(name: str, split: str, *, storage: "str | Storage | None" = None, verify: Verify | None = None) -> View: ...
def load(
    name: str, split: str | None = None, *, storage: "str | Storage | None" = None, verify: Verify | None = None
) -> "Mapping[str, View] | View":
    """Open the released splits of a dataset, or one of them; `name@digest` opens that version and no other.

    The index is held against its digest and every file's size always, the bytes when asked: `verify="all"` hashes every
    file, "sample" one in ten of each stream, at least one, chosen by chance. Raises `NotPrepared`, `UnknownSplit`,
    `StoredFileDamaged`, `DigestMismatch`.
    """
    if verify not in (None, "all", "sample"):
        raise UsageError(f"verify={verify!r} is not known. Write 'all', 'sample' or None.")
    store = open_storage(settings().storage if storage is None else storage)
    plain, pin = split_pin(name)
    version, digest = open_version(store, plain, pin)
    if split is not None:
        check_split(plain, split, version.splits)
        return open_split(store, plain, split, version.splits[split], digest, verify)
    return {part: open_split(store, plain, part, at, digest, verify) for part, at in sorted(version.splits.items())}


def open_version(storage: Storage, name: str, pin: str | None = None) -> tuple[Version, str]:
    """Read the pinned version of a dataset, or the current one; return it with its digest."""
    digest = pin or read_pointer(storage, name)[0]
    if digest is None:
        raise NotPrepared(f"{name} is not in {storage.url}. Make it with: dataset-assets prepare {name}")
    return read_version(storage, name, digest), digest


def check_split(name: str, split: str, known: Mapping[str, object]) -> None:
    """Raise `UnknownSplit`, naming the nearest, unless the dataset has the split."""
    if split not in known:
        raise UnknownSplit(f"{name} has no split {split!r}.{nearest(split, known)}")


def open_split(
    storage: Storage, name: str, split: str, digest: str, version: str | None = None, verify: Verify | None = None
) -> Stored:
    """Open a split by the digest of its index."""
    index = read_split_index(storage, name, split, digest)
    opener = StoredFiles(storage, index)
    if verify is not None:
        opener.verify(1 if verify == "all" else 10)
    columns = open_columns(index, opener.stream)
    opener.check_lengths(columns)
    origin = Origin(name, split, digest, version, dict(index.roles), classes_of(index))
    return Stored(origin, columns, opener, (_reopen, (storage.url, name, split, digest, version)))


def open_columns(index: SplitIndex, opened: Callable[[str, int], BinaryIO]) -> dict[str, Any]:
    """Open the columns of a split; `opened` opens file k of a stream."""
    found = {}
    for name, stream in index.streams.items():
        parts = [opened(name, k) for k in range(len(stream.files))]
        with at(f"{index.dataset}, split {index.split}, stream {name}"):
            found[name] = _format_of(stream).open(parts)
    return found


def _format_of(stream: StoredStream) -> Format:
    found = format_named(stream.format, stream.parameters)
    if found.version < stream.writer:
        raise IntegrityError(
            f"it was written by version {stream.writer} of format {stream.format!r}; here is {found.version}. Upgrade "
            "dataset_assets, or the package that has the format."
        )
    return found


def classes_of(index: SplitIndex) -> dict[str, tuple[str, ...]]:
    """Return the class names of the streams that have some."""
    return {n: tuple(s.parameters["classes"]) for n, s in index.streams.items() if s.parameters.get("classes")}


class StoredFiles(Opener):
    """The files of a split, in a storage."""

    def __init__(self, storage: Storage, index: SplitIndex) -> None:
        self.storage, self.index = storage, index

    def stream(self, stream: str, part: int) -> BinaryIO:
        """Open a file of a stream, if it has the size that the index says."""
        found = self.index.streams[stream].files
        if not 0 <= part < len(found):
            raise NotFound(f"{self._place(stream)} has {len(found)} files; there is no part {part}.")
        try:
            file = self.storage.get(self._key(stream, part))
        except FileNotFoundError as error:
            raise self._gone(stream, part, "is gone") from error
        if (size := file.seek(0, 2)) != found[part].bytes:
            file.close()
            raise self._of_other_size(stream, part, size)
        file.seek(0)
        return file

    def raw(self, argument: str) -> BinaryIO:
        """Open a raw file that the split was made of."""
        used = {source.argument: source for source in self.index.sources}
        if argument not in used:
            raise NotFound(
                f"{self.index.dataset} {self.index.split} had no file {argument!r}.{nearest(argument, used)}"
            )
        source = used[argument]
        try:
            return self.storage.get(raw_key(self.index.dataset, source.name, source.sha256))
        except FileNotFoundError as error:
            raise NotPrepared(
                f"The raw file {source.name} of {self.index.dataset} is not kept in {self.storage.url}. "
                f"Get it with: dataset-assets prepare {self.index.dataset}"
            ) from error

    def check_sizes(self) -> None:
        """Raise `StoredFileDamaged` for a file that is gone or has another size than the index says."""
        for name, stream in self.index.streams.items():
            for part, file in enumerate(stream.files):
                found = size_of(self.storage, self._key(name, part))
                if found is None:
                    raise self._gone(name, part, "is gone")
                if found != file.bytes:
                    raise self._of_other_size(name, part, found)

    def check_lengths(self, columns: Mapping[str, Any]) -> None:
        """Raise `StoredFileDamaged` for a stream that holds another number of samples than the index says."""
        for name, column in columns.items():
            if len(column) != self.index.samples:
                raise StoredFileDamaged(
                    f"{self._place(name)} in {self.storage.url} holds {len(column)} samples, not {self.index.samples} "
                    f"as its index says. Delete its files and mend it with: dataset-assets prepare {self.index.dataset}"
                )

    def verify(self, every: int = 1) -> None:
        """Hash one file in `every`, at least one a stream, chosen by chance; raise `DigestMismatch` if one differs."""
        for name, stream in self.index.streams.items():
            count = -(-len(stream.files) // every)
            for part in sorted(random.sample(range(len(stream.files)), count)):
                with self.stream(name, part) as opened:
                    found = files.sha256_in(opened)
                if found != stream.files[part].sha256:
                    raise DigestMismatch(
                        f"{self._place(name)} file {self._key(name, part)} in {self.storage.url} has sha256 {found}, "
                        f"not that of its name. Delete it and mend it with: dataset-assets prepare {self.index.dataset}"
                    )

    def _key(self, stream: str, part: int) -> str:
        found = self.index.streams[stream]
        return stream_key(self.index.dataset, self.index.split, stream, found.files[part].sha256, found.suffix)

    def _place(self, stream: str) -> str:
        return f"Stream {stream} of {self.index.dataset}, split {self.index.split},"

    def _of_other_size(self, stream: str, part: int, found: int) -> StoredFileDamaged:
        expected = self.index.streams[stream].files[part].bytes
        return self._gone(stream, part, f"has {found} bytes, not the {expected} it was written with")

    def _gone(self, stream: str, part: int, what: str) -> StoredFileDamaged:
        return StoredFileDamaged(
            f"{self._place(stream)} file {self._key(stream, part)} in {self.storage.url} {what}. "
            f"Mend it with: dataset-assets prepare {self.index.dataset}"
        )


class Passing:
    """A file of a stream that is mapped anew for each block, so that what was read of it is given back."""

    def __init__(self, opener: StoredFiles, stream: str, part: int) -> None:
        self.opener, self.name, self.part = opener, stream, part
        self.stream = opener.index.streams[stream]

    def __len__(self) -> int:
        return self.stream.files[self.part].samples

    def __getitem__(self, i: int) -> Any:
        return self._column()[i]

    def take(self, indices: Indices, out: Any = None) -> Any:
        return self._column().take(indices, out)

    def slice(self, lo: int, hi: int) -> Any:
        return self._column().slice(lo, hi)

    def _column(self) -> Column:
        return _format_of(self.stream).open([self.opener.stream(self.name, self.part)])


def passing_columns(view: Stored) -> dict[str, Column]:
    """Return the columns of a view for reading them once, from one end to the other, in little memory."""
    opener = _opener_of(view)
    return {
        name: chained([Passing(opener, name, part) for part in range(len(stream.files))])
        for name, stream in opener.index.streams.items()
    }


def index_of(view: Stored) -> SplitIndex:
    """Return the index of a view that was opened from a storage."""
    return _opener_of(view).index


def _opener_of(view: Stored) -> StoredFiles:
    assert isinstance(view.opener, StoredFiles)
    return view.opener


def _reopen(url: str, name: str, split: str, digest: str, version: str | None) -> Stored:
    return open_split(open_storage(url), name, split, digest, version)
