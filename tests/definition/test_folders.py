"""The definition of a registered folder."""

import pickle
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.core import registered
from dataset_assets.core.names import check_identifier
from dataset_assets.core.registered import Registered
from dataset_assets.definition.folders import LAYOUT, folder_dataset, split_names
from dataset_assets.definition.registry import defined, definitions, find

FOLDERS = st.text(min_size=1, max_size=60).filter(lambda name: name not in (".", "..") and "/" not in name)


@settings(max_examples=60)
@given(st.lists(FOLDERS | st.sampled_from(["raw", "Train", "train", "layout", "part-1", "2020"]), unique=True))
def test_every_partition_gets_a_split_of_its_own_and_good_names_stay(partitions: list[str]):
    found = split_names(partitions)
    assert [*found] == sorted(partitions)
    assert len({split.lower() for split in found.values()} | {LAYOUT}) == len(partitions) + 1
    assert all(check_identifier(split, "split") for split in found.values())
    assert "train" not in partitions or "Train" in partitions or found["train"] == "train"


def test_a_registered_folder_is_found_as_any_definition(home: Path):
    record = Registered("/data/flower", ("train", "2020"), "MIT", "Flowers, 1936")
    assert defined("shared.flower") is None
    registered.write("shared.flower", record)
    dataset = find("shared.flower")
    assert (dataset.license, dataset.citation) == ("MIT", "Flowers, 1936")
    assert [*dataset.splits] == ["p_2020_73a2af88", "train", "layout"]
    assert [one.name for one in definitions("shared.*")] == ["shared.flower"]
    assert pickle.loads(pickle.dumps(dataset)).splits == folder_dataset("shared.flower", record).splits
    (home / "folders/shared.flower.json").write_bytes(b"{")
    assert defined("shared.flower") is None and definitions("shared.*") == []
