"""A target that is divided by class, whatever its type, and one that some rows lack."""

from pathlib import Path
from typing import Any

import datasets
import h5py
import numpy as np
import pandas
import polars
import pytest
from safetensors.numpy import save_file

from dataset_assets import SplitOf, prepare
from dataset_assets.errors import UsageError
from dataset_assets.sources import dataset_from
from dataset_assets.storage import MemoryStorage

PARTS = {"train": 0.7, "test": 0.3}
Y = np.arange(40) % 4 // 3


def divided(source: Any, target: str = "y") -> dict[str, list[int]]:
    """Return how many samples of each value of the target the parts have."""
    views = prepare(dataset_from(source, target=target, splits=PARTS), storage=MemoryStorage())
    assert len(views["train"]) + len(views["test"]) == len(views["all"])
    counts = {
        split: np.unique([int(one[target]) for one in view], return_counts=True)[1] for split, view in views.items()
    }
    return {split: counts[split].tolist() for split in PARTS}


@pytest.fixture
def folder(home: Path) -> Path:
    return home.parent


@pytest.mark.parametrize("kind", ["npz", "h5", "safetensors", "csv", "bool", "arrow", "jsonl"])
def test_whole_numbers_are_divided_in_equal_shares(kind: str, folder: Path) -> None:
    arrays = {"x": np.arange(80.0).reshape(40, 2), "y": Y}
    frame, path = pandas.DataFrame({"x": range(40), "y": Y}), folder / f"a.{kind}"
    source: Any = path
    match kind:
        case "npz":
            np.savez(path, **arrays)
        case "h5":
            with h5py.File(path, "w") as file:
                file["x"], file["y"] = arrays["x"], Y
        case "safetensors":
            save_file(arrays, path)
        case "csv":
            frame.to_csv(path, index=False)
        case "jsonl":
            frame.to_json(path, orient="records", lines=True)
        case "bool":
            source = frame.astype({"y": bool})
        case _:
            source = polars.from_pandas(frame)
    assert divided(source) == {"train": [21, 7], "test": [9, 3]}


def test_many_rare_or_broken_numbers_are_divided_at_random(home: Path) -> None:
    for y in (np.arange(404) // 4, np.array([0] * 39 + [1]), Y + 0.5):
        frame = pandas.DataFrame({"x": range(len(y)), "y": y})
        split = dataset_from(frame, target="y", splits=PARTS).splits["train"]
        assert split.plain["operation"] == "random_split"


def test_a_rare_class_is_named_and_the_samples_are_divided_at_random(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = datasets.Features({"y": datasets.ClassLabel(names=["cat", "owl"]), "x": datasets.Value("int64")})
    numbers = datasets.Dataset.from_dict({"y": [0] * 8 + [1], "x": range(9)}, features=labels)
    for source in (pandas.DataFrame({"x": range(9), "y": ["cat"] * 8 + ["owl"]}), numbers):
        caplog.clear()
        views = prepare(dataset_from(source, target="y", splits=PARTS), storage=MemoryStorage())
        assert len(views["train"]) + len(views["test"]) == 9 and views["all"].classes == {"y": ("cat", "owl")}
        assert "Class 'owl' of y has too few samples (1) for 2 splits" in caplog.text
        with pytest.raises(UsageError, match="Class 'owl' has 1 sample, .* random_split"):
            views["all"].stratified_split((0.5, 0.5))


@pytest.mark.parametrize("labels", [["a", None, "b", None], ["a", None, None, "a"]])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "pandas", "category", "polars", "datasets"])
def test_a_target_that_rows_lack_is_refused(kind: str, labels: list[Any], folder: Path) -> None:
    frame, path = pandas.DataFrame({"x": range(4), "y": labels}), folder / f"a.{kind}"
    source: Any = path
    match kind:
        case "csv":
            frame.to_csv(path, index=False)
        case "jsonl":
            path.write_text(
                "".join(f'{{"x": 1{f", {chr(34)}y{chr(34)}: {chr(34)}{y}{chr(34)}" if y else ""}}}\n' for y in labels)
            )
        case "pandas":
            source = frame
        case "category":
            source = frame.astype({"y": "category"})
        case "polars":
            source = polars.from_pandas(frame)
        case _:
            names = ["a", "b"]
            features = datasets.Features({"x": datasets.Value("int64"), "y": datasets.ClassLabel(names=names)})
            given = {"x": range(4), "y": [None if y is None else names.index(y) for y in labels]}
            source = datasets.Dataset.from_dict(given, features=features)
    with pytest.raises(UsageError, match="The target 'y' is missing in 2 of 4 rows. Drop these rows, fill them"):
        dataset_from(source, target="y")
    assert "y" in dataset_from(source).streams


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_files_with_different_columns_are_named(kind: str, folder: Path) -> None:
    train, test = pandas.DataFrame({"x": [1, 2], "z": [3, 4], "y": [0, 1]}), pandas.DataFrame({"x": [1]})
    for name, frame in (("train", train), ("test", test)):
        match kind:
            case "csv":
                frame.to_csv(folder / f"{name}.csv", index=False)
            case "parquet":
                frame.to_parquet(folder / f"{name}.parquet")
            case _:
                np.savez(folder / f"{name}.npz", **{key: frame[key].to_numpy() for key in frame})
    both = {name: folder / f"{name}.{kind}" for name in ("train", "test")}
    words = f"test.{kind} of test has no column 'z' and 1 more, but train.{kind} of train has. Give files with"
    for source in (both, dict(reversed(both.items()))):
        with pytest.raises(UsageError, match=words):
            dataset_from(source)
    with pytest.raises(UsageError, match="has no column 'z'"):
        dataset_from([*both.values()], target="y")


@pytest.mark.parametrize("ratios", [(0.5, 0.5), [1.0], "train", {"train": "all"}, {}, 3])
def test_splits_that_are_not_a_mapping_of_shares_are_refused(ratios: Any, home: Path) -> None:
    with pytest.raises(UsageError, match="Write .*{.train.: 0.8|sum to"):
        dataset_from({"x": np.arange(4)}, splits=ratios)
    with pytest.raises(UsageError, match="Write .*{.train.: 0.8|sum to"):
        SplitOf("all").random_split(ratios)


def test_a_chosen_name_that_stood_for_another_source_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, source in [
        ("birds", folder / "birds.csv"), ("birds", folder / "birds.tsv"),
        ("data", pandas.DataFrame({"a": [1]})), ("data", pandas.DataFrame({"b": [1]})),
    ]:  # fmt: skip
        if isinstance(source, Path):
            source.write_text("x\n1\n")
        dataset_from(source)
        caplog.clear()
        assert dataset_from(source).name == f"local.{name}" and not caplog.text
        dataset_from(source, name="org.example.other")
        assert not caplog.text
    dataset_from(folder / "birds.csv")
    assert f"local.birds was made from {folder}/birds.tsv before, and is made from {folder}/birds.csv" in caplog.text
    dataset_from(pandas.DataFrame({"a": [1]}))
    assert "local.data was made from a source with the streams b before" in caplog.text
