"""The splits of a dataset by name: a name that it does not have is a typed error that names those it has."""

from pathlib import Path

import pytest

from dataset_assets import load, prepare
from dataset_assets.errors import UnknownSplit
from dataset_assets.sources import dataset_from


def test_a_split_that_is_not_there_names_those_that_are(home: Path) -> None:
    made = prepare(dataset_from({"x": list(range(8))}, name="org.example.x", splits={"train": 0.5, "valid": 0.5}))
    for found in (made, load("org.example.x")):
        assert [*found] == ["all", "train", "valid"] and "test" not in found and found.get("test") is None
        with pytest.raises(UnknownSplit, match="org.example.x has no split 'vlid'. Did you mean 'valid'"):
            found["vlid"]
        with pytest.raises(KeyError, match="There are: all, train, valid"):
            found["holdout"]
