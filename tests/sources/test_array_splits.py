"""Arrays whose names say splits become splits with the same streams."""

from pathlib import Path

import numpy as np
import pytest

from dataset_assets import prepare
from dataset_assets.errors import UsageError
from dataset_assets.sources import dataset_from
from dataset_assets.sources.array_splits import split_arrays

X, Y = np.arange(60, dtype="uint8").reshape(15, 2, 2), np.arange(15) % 3


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_arrays_of_splits_become_splits(home: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"mnist.{kind}"
    if kind == "npz":
        np.savez(path, x_train=X[:10], y_train=Y[:10], x_test=X[10:], y_test=Y[10:])
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for split, rows in (("train", slice(0, 10)), ("test", slice(10, 15))):
                file[f"{split}/x"], file[f"{split}/y"] = X[rows], Y[rows]
    dataset = dataset_from(path, target="y")
    found = prepare(dataset)
    assert (dataset.sample, dataset.target) == ("x", "y")
    assert found["train"].to_numpy()["x"].tolist() == X[:10].tolist()
    assert found["test"].to_numpy()["y"].tolist() == Y[10:].tolist()


@pytest.mark.parametrize(
    ("arrays", "splits"),
    [
        (["train_x", "test_x"], {"train": {"train_x": "x"}, "test": {"test_x": "x"}}),
        (["x_train", "x_test", "names"], None),
        (["x_train", "y_train", "x_test"], None),
        (["x_train", "y_train"], None),
        (["train", "test"], None),
        (["x", "y"], None),
        ([], None),
    ],
)
def test_only_names_that_all_say_splits_are_taken(arrays: list[str], splits: object) -> None:
    assert split_arrays(arrays) == splits


def test_splits_of_other_shapes_and_other_targets_are_refused(tmp_path: Path, home: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=X, x_test=X[:, :1])
    with pytest.raises(UsageError, match="in split train"):
        dataset_from(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x_train=X, x_test=X)
    with pytest.raises(UsageError, match="target"):
        dataset_from(tmp_path / "b.npz", target="z")
