"""Pictures that a list or a pattern names are samples, as those of a folder are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from dataset_assets import Dataset, prepare
from dataset_assets.errors import UsageError
from dataset_assets.sources import dataset_from, source_of


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Write six pictures of one colour each, the number of the file times 20, in two folders of classes."""
    for k in range(6):
        path = tmp_path / "my pets#" / ("cat", "dog")[k % 2] / f"{k // 2}.{'jpg' if k % 3 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.full((8, 8, 3), 20 * k, np.uint8)).save(path)
    return tmp_path / "my pets#"


def samples(made: Dataset) -> dict[str, list[tuple[Any, int]]]:
    return {
        split: [(one.get("label"), int(one["image"][0, 0, 0])) for one in view] for split, view in prepare(made).items()
    }


ALL = [(0, 0), (0, 40), (0, 80), (1, 20), (1, 60), (1, 100)]


@pytest.mark.parametrize("copy", [True, False])
def test_a_pattern_or_a_list_gives_what_its_folder_gives(copy: bool, pets: Path, home: Path) -> None:
    for source in (f"{pets}/**/*.{{jpg,png}}", sorted(pets.rglob("*.*")), pets):
        made = dataset_from(source, name="me.pets", copy=copy)
        assert (made.sample, made.target) == ("image", "label")
        assert samples(made) == {"all": ALL}


def test_files_of_one_folder_have_no_label(pets: Path, home: Path) -> None:
    (pets / "cat" / "notes.txt").write_text("not asked for")
    assert samples(dataset_from(f"{pets}/cat/*.*g")) == {"all": [(None, 0), (None, 40), (None, 80)]}


def test_splits_are_those_of_the_folders_or_those_that_are_given(pets: Path, home: Path) -> None:
    given = {"train": f"{pets}/*/[01].*", "test": sorted(map(str, pets.glob("*/2.*")))}
    parts = {"train": [one for k, one in enumerate(ALL) if k not in (2, 5)], "test": [ALL[2], ALL[5]]}
    assert samples(dataset_from(given, name="me.given")) == parts
    for split, numbers in (("train", "01"), ("test", "2")):
        for path in [path for number in numbers for path in pets.glob(f"*/{number}.*")]:
            (pets / split / path.parent.name).mkdir(parents=True, exist_ok=True)
            path.rename(pets / split / path.parent.name / path.name)
    assert samples(dataset_from(f"{pets}/**/*.*", name="me.found")) == parts


def test_the_text_of_the_definition_makes_the_same(pets: Path, home: Path) -> None:
    made = dataset_from(f"{pets}/**/*.{{jpg,png}}", splits={"train": 0.5, "test": 0.5})
    assert made.name == "local.my_pets"
    names: dict[str, Any] = {}
    exec(source_of(made), names)
    version = prepare(made)["all"].version  # type: ignore[attr-defined]
    assert prepare(names["dataset"])["all"].version == version  # type: ignore[attr-defined]
    assert {split: len(some) for split, some in samples(made).items()} == {"all": 6, "train": 4, "test": 2}


def test_a_picture_that_is_added_later_is_not_in_the_dataset(pets: Path, home: Path) -> None:
    made = dataset_from(f"{pets}/**/*.{{jpg,png}}", name="me.pets")
    Picture.fromarray(np.zeros((8, 8, 3), np.uint8)).save(pets / "cat" / "9.png")
    assert samples(made) == {"all": ALL}
    Picture.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(pets / "cat" / "0.png")
    assert samples(made)["all"][0] == (0, 7)


def test_pictures_and_sounds_together_and_one_picture_alone_are_refused(pets: Path) -> None:
    (pets / "cat" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(UsageError, match="holds files of several kinds: 6 of image, and cat/a.wav"):
        dataset_from(f"{pets}/*/*.*")
    with pytest.raises(UsageError, match="is a single sample. Give the folder"):
        dataset_from(pets / "cat" / "0.png")
