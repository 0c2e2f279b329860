"""What a newcomer tries first is made as it is meant, or said with what to type."""

import logging
from pathlib import Path
from typing import Any

import pytest

from dataset_assets import Loader, prepare
from dataset_assets.core.noted_sources import how_to_make_again
from dataset_assets.errors import UnknownDataset, UnknownSplit, UsageError
from dataset_assets.sources import dataset_from, source_of
from dataset_assets.sources.made_names import called


@pytest.fixture
def tables(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for k, name in enumerate("abc"):
        (tmp_path / f"{name}.csv").write_text(f"x,y\n{2 * k},0\n{2 * k + 1},1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_lists_of_files_are_splits(tables: Path) -> None:
    given: Any = {"train": ["a.csv", Path("b.csv")], "test": ["c.csv"]}
    made = prepare(dataset_from(given, name="me.x"))
    assert {split: [one["x"] for one in view] for split, view in made.items()} == {
        "train": [0, 1, 2, 3],
        "test": [4, 5],
    }
    with pytest.raises(UsageError, match="d.csv is not there"):
        dataset_from({"train": ["a.csv"], "test": ["d.csv"]})
    with pytest.raises(UsageError, match="'image' is a list of files. If it is a split, .* call it train"):
        dataset_from({"image": ["a.jpg"], "mask": ["b.png"]})
    texts = prepare(dataset_from({"said": ["is it a.csv", "no"], "y": [0, 1]}, name="me.texts"))["all"]
    assert texts[0]["said"] == "is it a.csv"


@pytest.mark.parametrize("row", ["photo_1.png,1", "2021-01-01,oak", "12,x"])
def test_a_first_row_with_a_number_or_a_date_is_warned_of(
    row: str, tables: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Path("plain.csv").write_text(f"{row}\nb,c\n")
    with caplog.at_level(logging.WARNING):
        dataset_from("a.csv")
        assert not caplog.messages
        dataset_from("plain.csv")
    assert 'pass options={"header": False}' in caplog.messages[0]


def test_a_target_that_rows_lack_is_refused_of_numbers_too(tables: Path) -> None:
    Path("d.csv").write_text("x,y\n1,0\n2,\n")
    with pytest.raises(UsageError, match="The target 'y' is missing in 1 of 2 rows. Drop these rows, fill them, or"):
        dataset_from("d.csv", target="y")


def test_a_split_is_not_taken_for_the_whole(tables: Path) -> None:
    made = prepare(dataset_from("*.csv", splits={"train": 0.5, "validation": 0.5}, name="me.x"))
    with pytest.raises(UnknownSplit, match="has no split 'val'. Did you mean 'validation'?"):
        made["val"]
    with pytest.raises(UnknownSplit, match="has no split 'alle'. There are: all, train, validation"):
        made["alle"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("lake/*.csv", "lake"), ("birds/**/*.{jpg,png}", "birds"), ("lake/*.csv.gz", "lake"), ("d/[01].csv", "d"),
        ("*.csv", "data"), ("x.csv.gz", "x"), ("s3://bucket/photos/", "photos"), ("data/part_?.csv", "part_"),
    ],
)  # fmt: skip
def test_a_pattern_is_called_by_its_folder(source: str, name: str) -> None:
    assert called(source) == name


def test_how_a_dataset_without_a_definition_is_made_again_is_said(tables: Path) -> None:
    prepare(dataset_from("a.csv"))
    prepare(dataset_from("file:///" + str(tables / "a.csv").lstrip("/")))
    with pytest.raises(UnknownDataset, match=r"prepare\(dataset_from\('.*/a.csv'\)\), with the arguments"):
        prepare("local.a")
    assert how_to_make_again("local.b") == ""
    prepare(dataset_from({"z": [1, 2]}))
    assert "It was made from a source with the streams z" in how_to_make_again("local.data")


def test_a_definition_is_no_view_and_a_path_no_definition(tables: Path) -> None:
    made: Any = dataset_from("a.csv")
    with pytest.raises(UsageError, match=r"Make it first: prepare\(dataset\)\['all'\]"):
        Loader(made, 2)
    path: Any = "a.csv"
    with pytest.raises(UsageError, match="A str is no definition. Give one, such as source_of"):
        source_of(path)
