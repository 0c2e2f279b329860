"""Assets that are made of released splits, a whole dataset, a stream and a raw file."""

import gzip
from typing import Any

import dagster as dg
import numpy as np

from dataset_assets import View
from dataset_assets.orchestration import asset_in

MNIST = ["io", "github", "rasbt", "mnist_5k"]
DIGITS, PENGUINS = "io.github.rasbt.mnist_5k", "io.github.allisonhorst.penguins"


@dg.asset(ins={"mnist_train": asset_in(DIGITS, "train")})
def model(mnist_train: View) -> Any:
    """The mean picture of each digit."""
    block = mnist_train.rows(slice(0, len(mnist_train)))
    return np.stack([block["image"][block["label"] == digit].mean(axis=0) for digit in range(10)])


@dg.asset(ins={"mnist_test": asset_in(DIGITS, "test")})
def accuracy(model: Any, mnist_test: View) -> float:
    """The share of digits that are nearest to the mean picture of their class."""
    right = 0
    for sample in mnist_test:
        distances = ((model - sample["image"]) ** 2).sum(axis=(1, 2))
        right += int(distances.argmin() == sample["label"])
    return right / len(mnist_test)


@dg.asset(ins={"labels": dg.AssetIn([*MNIST, "test", "label"])})
def balance(labels: View) -> list[int]:
    """How many there are of each digit."""
    return [int(n) for n in np.bincount([sample["label"] for sample in labels], minlength=10)]


@dg.asset(ins={"mnist": asset_in(DIGITS), "penguins": asset_in(PENGUINS)})
def sizes(mnist: dict[str, View], penguins: dict[str, View]) -> dict[str, int]:
    """How many samples each split has."""
    return {f"{view.dataset} {split}": len(view) for views in (mnist, penguins) for split, view in views.items()}


@dg.asset(ins={"table": dg.AssetIn([*MNIST, "raw", "mnist_5k_csv_gz"])})
def first_line(table: Any) -> str:
    """The beginning of the file as it was published."""
    with table.open() as packed, gzip.open(packed) as lines:
        return str(lines.readline().decode())[:20]
