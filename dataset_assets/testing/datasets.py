"""A test suite for definitions: subclass it and give small raw files in the real format.

The functions of the definition run on these files. A local server serves them in place of the publisher.
"""

import gzip
import hashlib
import struct
import tracemalloc
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator, Mapping
from urllib.parse import urlsplit

import numpy as np
import pytest

from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile, Split
from dataset_assets.definition.for_each import ForEach
from dataset_assets.errors import DatasetAssetsError, DecodeError, DigestMismatch, NotPrepared
from dataset_assets.making.prepare import prepare
from dataset_assets.reading.load import load
from dataset_assets.reading.stored_files import classes_of, index_of
from dataset_assets.reading.views import Stored
from dataset_assets.retrieval import retriever_for
from dataset_assets.storage import LocalStorage
from dataset_assets.testing.server import FaultyServer


class DatasetTests:
    """Tests of a definition. Subclass it, and override two fixtures: the dataset and its raw files.

    ```python
    class TestMnist(DatasetTests):
        @pytest.fixture
        def dataset(self):
            return mnist

        @pytest.fixture
        def raw_files(self):
            return {"train_images_idx3_ubyte_gz": gzipped(idx_bytes(images)), ...}
    ```
    """

    ends_are_seen = True
    """True if a raw file cut anywhere must be an error; if False, it may give fewer samples, but never more."""

    memory_bytes = 64 << 20
    """The memory that preparing may use, beyond twenty times the raw files."""

    @pytest.fixture
    def dataset(self) -> Dataset:
        """Return the definition."""
        raise NotImplementedError("Override the fixture `dataset`.")

    @pytest.fixture
    def raw_files(self) -> Mapping[str, bytes]:
        """Return the bytes of each raw file by its identifier: a few samples in the real format."""
        raise NotImplementedError("Override the fixture `raw_files`.")

    @pytest.fixture
    def server(self, raw_files: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
        """Serve the raw files."""
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with FaultyServer({f"/{name}": data for name, data in raw_files.items()}) as server:
            yield server

    @pytest.fixture
    def storage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStorage:
        """Return an empty storage; scratch is beside it."""
        monkeypatch.setenv("DATASET_ASSETS_HOME", str(tmp_path / "home"))
        return LocalStorage(tmp_path / "storage")

    def test_it_says_what_it_is(self, dataset: Dataset) -> None:
        assert dataset.summary.strip().endswith("."), f"The summary is not a sentence: {dataset.summary!r}."
        for field in ("license", "citation", "homepage"):
            assert getattr(dataset, field), f"{dataset.name} has no {field}. Add it."

    def test_its_files_can_be_retrieved_and_are_pinned_or_carried(self, dataset: Dataset) -> None:
        for file in dataset.remote_files.values():
            for url in file.urls:
                assert retriever_for(url)
                assert urlsplit(url).scheme != "http" or file.digest, f"{url} is plain http without a digest."
                assert urlsplit(url).scheme != "file", f"{url} is only on this machine."

    def test_the_raw_files_are_those_of_the_definition(self, dataset: Dataset, raw_files: Mapping[str, bytes]) -> None:
        assert set(raw_files) == set(dataset.remote_files)

    def test_it_prepares_and_loads(
        self, dataset: Dataset, raw_files: Mapping[str, bytes], server: FaultyServer, storage: LocalStorage
    ) -> None:
        prepare(served(dataset, server, raw_files), storage=storage)
        views = load(dataset.name, storage=storage, verify="all")
        assert set(views) == set(dataset.splits)
        for split, view in views.items():
            assert len(view), f"{split} has no samples"
            assert set(view.streams) == set(dataset.streams)
            assert dict(view.roles) == dict(dataset.roles)
            assert [*view][-1].keys() == view[-1].keys() == set(dataset.streams)
            _check_classes(view)

    def test_it_gives_equal_digests_twice(
        self,
        dataset: Dataset,
        raw_files: Mapping[str, bytes],
        server: FaultyServer,
        storage: LocalStorage,
        tmp_path: Path,
    ) -> None:
        defined = served(dataset, server, raw_files)
        first = prepare(defined, storage=storage)
        second = prepare(defined, storage=LocalStorage(tmp_path / "another"))
        for split, view in first.items():
            assert view.origin == second[split].origin

    def test_a_second_prepare_retrieves_nothing(
        self, dataset: Dataset, raw_files: Mapping[str, bytes], server: FaultyServer, storage: LocalStorage
    ) -> None:
        defined = served(dataset, server, raw_files)
        prepare(defined, storage=storage)
        asked = len(server.requests)
        prepare(defined, storage=storage)
        assert asked == len(raw_files) == len(server.requests)

    def test_other_bytes_than_were_defined_are_refused(
        self, dataset: Dataset, raw_files: Mapping[str, bytes], server: FaultyServer, storage: LocalStorage
    ) -> None:
        for name, data in raw_files.items():
            with _damaged(server, name, data[: len(data) // 2]):
                _refused(served(dataset, server, raw_files), storage, DigestMismatch)

    def test_a_raw_file_that_ends_early_is_noticed_when_it_is_read(
        self, dataset: Dataset, raw_files: Mapping[str, bytes], server: FaultyServer, storage: LocalStorage
    ) -> None:
        defined = served(dataset, server, {})
        whole = _samples(prepare(defined, storage=LocalStorage(storage.root / "whole")))
        for name, data in raw_files.items():
            for size in (len(data) // 2, len(data) - 1):
                with _damaged(server, name, data[:size]):
                    if self.ends_are_seen:
                        _refused(defined, storage, DecodeError)
                    else:
                        _refused_or_fewer(defined, storage, whole)

    def test_its_memory_is_bounded(
        self, dataset: Dataset, raw_files: Mapping[str, bytes], server: FaultyServer, storage: LocalStorage
    ) -> None:
        defined = served(dataset, server, raw_files)
        prepare(defined, storage=LocalStorage(storage.root / "before"))  # do not count imported modules
        tracemalloc.start()
        try:
            prepare(defined, storage=storage)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak <= self.memory_bytes + 20 * sum(map(len, raw_files.values()))


def served(dataset: Dataset, server: FaultyServer, pinned: Mapping[str, bytes]) -> Dataset:
    """Return the dataset with its raw files on a local server; files in `pinned` get a digest."""

    def moved(value: Any) -> Any:
        if isinstance(value, RemoteFile):
            name = value.identifier
            digest = f"sha256:{hashlib.sha256(pinned[name]).hexdigest()}" if name in pinned else None
            return RemoteFile(f"{server.url}/{name}", digest=digest, identifier=name)
        if isinstance(value, DerivedFile):
            arguments = {argument: moved(inner) for argument, inner in value.arguments.items()}
            return DerivedFile(value.name, value.function, keep=value.keep, **arguments)
        if isinstance(value, ForEach) and value.files:
            return ForEach([*map(moved, value.files)], files_per_part=value.step or None)
        return value

    splits = {
        name: Split(split.function, **{argument: moved(value) for argument, value in split.arguments.items()})
        for name, split in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


def idx_bytes(array: Any) -> bytes:
    """Return an array of bytes as an IDX file.

    >>> idx_bytes([7, 8])
    b'\\x00\\x00\\x08\\x01\\x00\\x00\\x00\\x02\\x07\\x08'
    """
    values = np.asarray(array, np.uint8)
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def gzipped(data: bytes) -> bytes:
    """Return bytes as a gzip file, always with the same result."""
    return gzip.compress(data, mtime=0)


@contextmanager
def _damaged(server: FaultyServer, name: str, data: bytes) -> Iterator[None]:
    sound = server.files[f"/{name}"]
    server.files[f"/{name}"] = data
    try:
        yield
    finally:
        server.files[f"/{name}"] = sound


def _refused(dataset: Dataset, storage: LocalStorage, kind: type[DatasetAssetsError]) -> None:
    """Check that preparing raises an error that names the dataset, and releases nothing."""
    place = _another(storage)
    with pytest.raises(kind) as caught:
        prepare(dataset, storage=place)
    assert dataset.name in str(caught.value)
    with pytest.raises(NotPrepared):
        load(dataset.name, storage=place)


def _refused_or_fewer(dataset: Dataset, storage: LocalStorage, whole: Mapping[str, int]) -> None:
    """Check that preparing releases nothing, or splits with no more samples than the whole file gives."""
    place = _another(storage)
    try:
        made = _samples(prepare(dataset, storage=place))
    except DatasetAssetsError as error:
        assert dataset.name in str(error)
        with pytest.raises(NotPrepared):
            load(dataset.name, storage=place)
    else:
        assert made.keys() == whole.keys()
        assert all(made[split] <= whole[split] for split in whole), f"{made} of {whole}"


def _another(storage: LocalStorage) -> LocalStorage:
    """Return a new storage: in the same one, a file without a digest is compared with its first retrieval."""
    return LocalStorage(storage.root / str(len([*storage.root.glob("*")])))


def _samples(views: Mapping[str, Any]) -> dict[str, int]:
    return {split: len(view) for split, view in views.items()}


def _check_classes(view: Any) -> None:
    assert isinstance(view, Stored)
    for stream, classes in classes_of(index_of(view)).items():
        labels = np.unique(view.only(stream).to_numpy()[stream])
        assert labels.min() >= 0
        assert labels.max() < len(classes)
