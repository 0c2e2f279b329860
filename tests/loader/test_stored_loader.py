"""The kit for loaders on stored splits: in several files, in blocks, past damage, divided, in a bucket."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media import picture
from servers import Place

from dataset_assets import Array, Columns, Dataset, Image, Ragged, Split, SplitOf, View, load, prepare
from dataset_assets.core.splitting import random_parts
from dataset_assets.loader import Loader
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.views.undecoded import lenient, present, skipped
from dataset_assets.testing import LoaderTests

NAME = "org.example.kit"
# Of 23 pictures, 40 in a hundred.
BAD = frozenset(range(0, 23, 5)) | {1, 7, 13, 19}


def rows(count: int) -> Iterator[Columns]:
    numbers = np.arange(count)
    pictures = [b"no picture" if k in BAD else picture("JPEG", 4, 4, seed=k) for k in range(count)]
    yield Columns(i=numbers, tokens=[np.arange(k % 5) for k in range(count)], image=pictures)


def half(whole: View, part: int) -> View:
    return whole[part::2]


def defined(count: int) -> Dataset:
    streams = {"i": Array(), "tokens": Ragged(), "image": Image("RGB", (4, 4), check="nothing")}
    splits = {"all": Split(rows, count=count), "half": Split(half, whole=SplitOf("all"), part=1)}
    splits |= SplitOf("all").random_split({"numbers": 0.6, "rest": 0.4}, seed=3, materialize=False)
    return Dataset(NAME, "Rows to be loaded.", streams, splits, checks={"leakage": "off"})


@cache
def opened(place: str, split: str) -> View:
    """Open a split, once in each process."""
    return load(NAME, split=split, storage=place)  # type: ignore[return-value]


class Stored(LoaderTests):
    """Its rows are in files of four; what a fixture sets on the suite is there in the other process too."""

    __test__ = False
    split = "all"
    place: str
    environment: dict[str, str]

    @pytest.fixture(autouse=True)
    def prepared(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", "32")
        self.place, self.environment = (home / "storage").as_uri(), {"DATASET_ASSETS_HOME": str(home)}
        prepare(defined(self.samples), storage=self.place)

    def view(self) -> View:
        os.environ.update(self.environment)
        return opened(self.place, self.split).only("i")

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        return Loader(self.view(), batch_size, **{"shuffle": True, "seed": 5, "threads": 0, **changes})

    def rows(self, batch: Any) -> list[int]:
        found: list[int] = batch["i"].tolist()
        return found


class TestInSeveralFiles(Stored):
    """Also these lie in several files: what the next classes test is tested."""

    __test__ = True

    def test_it_lies_in_several_files(self) -> None:
        view: Any = self.view()
        assert len(view.parent.columns["i"].starts) == 6 + 1


class TestInBlocks(Stored):
    __test__ = True

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        return super().loader(samples, batch_size, **{"shuffle": "blocks", **changes})


class TestPastDamage(Stored):
    """Four pictures of ten are damaged and left out; positions count them, so no other sample moves."""

    __test__ = True

    def expected(self) -> list[int]:
        return [k for k in range(self.samples) if k not in BAD]

    def view(self) -> View:
        os.environ.update(self.environment)
        return lenient(opened(self.place, self.split)).only("i", "image")

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        return super().loader(samples, batch_size, **{"collate": present, **changes})

    def test_all_of_them_are_counted(self) -> None:
        loader = self.made()
        assert self.read(loader) and set(skipped(loader.view)["image"]) == BAD


class TestDividedSplit(Stored):
    """A split that the definition made of another one is a plain split."""

    __test__ = True
    split = "half"

    def expected(self) -> list[int]:
        return list(range(1, self.samples, 2))


class TestRowNumbers(Stored):
    """A split that stores the numbers of its rows in another one."""

    __test__ = True
    split = "numbers"

    def expected(self) -> list[int]:
        found: list[int] = random_parts(self.samples, (0.6, 0.4), 3)[0].tolist()
        return found

    def test_its_files_are_those_of_the_other(self) -> None:
        view: Any = self.view()
        index = index_of(view.parent)
        assert index.rows and index.rows.split == "all" and len(index.streams["i"].files) == 6
        assert view.row_bytes() == opened(self.place, "all").only("i").row_bytes()


class TestRowNumbersInBlocks(TestRowNumbers):
    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        return super().loader(samples, batch_size, **{"shuffle": "blocks", **changes})


class TestInABucket(Stored):
    """Read from an S3 server, its files fetched by every process for itself."""

    __test__ = True

    @pytest.fixture(autouse=True)
    def prepared(self, seaweed: Place, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", "32")
        for name, value in seaweed.environment.items():
            monkeypatch.setenv(name, value)
        self.place = f"{seaweed.url}kit/{os.getpid()}?endpoint={seaweed.endpoint}"
        self.environment = {**seaweed.environment, "DATASET_ASSETS_HOME": str(home)}
        prepare(defined(self.samples), storage=self.place)
