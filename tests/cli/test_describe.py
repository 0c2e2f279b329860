"""Describing: what is said of a dataset is what is there."""

import json
import os
from pathlib import Path

import pytest
import tiny
from pyarrow import table
from pyarrow.parquet import write_table

from dataset_assets import Array, Dataset, Split, SplitOf, dataset_from, prepare
from dataset_assets.cli import text
from dataset_assets.cli.describe import (
    current_document,
    describe,
    path_of,
    paths_of,
    released_version,
    stored_names,
    versions_of,
)
from dataset_assets.errors import CheckFailed, DatasetAssetsError, UsageError
from dataset_assets.storage import LocalStorage, MemoryStorage
from dataset_assets.storage.keys import pointer_key, raw_key, source_key
from dataset_assets.storage.stored_dataset import StoredDataset


@pytest.fixture
def storage(home: Path) -> LocalStorage:
    return LocalStorage(home / "storage")


def states(dataset: Dataset, storage: LocalStorage) -> tuple[str, list[str]]:
    document = describe(dataset, storage)
    return document["state"], [file["state"] for file in document["files"].values()]


def test_states_are_none_then_complete(dataset: Dataset, storage: LocalStorage):
    assert states(dataset, storage) == ("none", ["none"])
    prepare(dataset)
    assert states(dataset, storage) == ("complete", ["complete"])


def test_what_was_begun_or_lost_is_partial(dataset: Dataset, storage: LocalStorage):
    prepare(dataset)
    document = describe(dataset, storage)
    key = raw_key(tiny.NAME, "numbers_csv", document["files"]["numbers_csv"]["sha256"])
    storage.delete(key)
    prepare(dataset)  # the splits are whole, so nothing is retrieved
    assert states(dataset, storage) == ("partial", ["partial"])
    prepare(dataset, refresh=True)
    assert states(dataset, storage) == ("complete", ["complete"])
    storage.delete(source_key(tiny.NAME, "numbers_csv"))  # as if its writer were killed before it recorded it
    assert states(dataset, storage) == ("partial", ["partial"])
    prepare(dataset)
    storage.delete(pointer_key(tiny.NAME))
    assert states(dataset, storage) == ("partial", ["complete"])


def test_a_file_that_the_definition_no_longer_means_is_partial(dataset: Dataset, storage: LocalStorage, folder: Path):
    prepare(dataset)
    elsewhere = tiny.tiny((folder / "elsewhere").as_uri() + "/")
    pinned = tiny.tiny(folder.as_uri() + "/")
    assert states(pinned, storage) == ("complete", ["complete"])
    # Its first URL, which never answers, is the same; so it is known by that.
    assert states(elsewhere, storage) == ("complete", ["complete"])


def test_the_document_is_json_and_its_paths_exist(dataset: Dataset, storage: LocalStorage):
    views = prepare(dataset)
    document = json.loads(json.dumps(describe(dataset, storage)))
    version = next(iter(views.values())).version
    assert (document["id"], document["version"]) == (f"{tiny.NAME}@{version}", version)
    for split, made in document["splits"].items():
        assert made["samples"] == len(views[split])
        assert os.path.exists(made["path"])
        for name, stream in made["streams"].items():
            for file in stream["files"]:
                assert os.path.getsize(file["path"]) == file["bytes"]
                assert file["sha256"] in file["path"] and f"/{split}/{name}/" in file["path"]


def test_files_that_are_not_the_samples_of_a_split_are_not_given_for_them(storage: LocalStorage, folder: Path):
    def hundred():
        yield from ({"n": n} for n in range(100))

    parts = SplitOf("all").random_split({"train": 0.8, "test": 0.2}, materialize=False)
    streams, splits = {"n": Array("int64")}, {"all": Split(hundred), **parts}
    prepare(Dataset("org.example.parts", "Parts.", streams, splits, checks={"leakage": "off"}))
    write_table(table({"n": range(10)}), folder / "a.parquet")
    prepare(dataset_from(folder / "a.parquet", copy=False, name="org.example.lake"))
    for name, split, why in [
        ("org.example.parts", "train", "it stores the numbers of its rows in the split all"),
        ("org.example.lake", "train", "its values stay in file://.*a.parquet"),
    ]:
        version = released_version(StoredDataset(storage, name))
        assert version
        with pytest.raises(UsageError, match=why):
            paths_of(version, split if split in version["splits"] else next(iter(version["splits"])), "n")


def test_what_is_gone_has_no_path(dataset: Dataset, storage: LocalStorage):
    prepare(dataset)
    file = describe(dataset, storage)["splits"]["train"]["streams"]["text"]["files"][0]
    os.unlink(file["path"])
    assert describe(dataset, storage)["splits"]["train"]["streams"]["text"]["files"][0]["path"] is None


def test_a_damaged_version_is_told_as_a_problem(dataset: Dataset, storage: LocalStorage):
    prepare(dataset)
    (storage.root / pointer_key(tiny.NAME)).write_text("nonsense")
    document = describe(dataset, storage)
    assert document["version"] is None and "damaged" in document["problem"]
    assert current_document(StoredDataset(storage, tiny.NAME))["problem"] == document["problem"]
    with pytest.raises(DatasetAssetsError):
        released_version(StoredDataset(storage, tiny.NAME))
    found = current_document(StoredDataset(storage, tiny.NAME))
    assert found and "damaged" in text.info(document) and "damaged" in text.stored(found)


def test_stored_names_are_those_that_are_released(dataset: Dataset, storage: LocalStorage, folder: Path):
    assert list(stored_names(storage)) == []
    prepare(dataset)
    prepare(tiny.tiny(folder.as_uri() + "/", name="org.example.another"))
    assert list(stored_names(storage)) == ["org.example.another", tiny.NAME]


def nothing_good(views) -> str:
    return "it is not good"


def test_versions_say_which_is_current_and_why_one_was_refused(dataset: Dataset, storage: LocalStorage, folder: Path):
    prepare(dataset)
    with pytest.raises(CheckFailed):
        prepare(tiny.tiny(folder.as_uri() + "/", checks={"good": nothing_good}))
    first, second = versions_of(StoredDataset(storage, tiny.NAME))
    assert first["current"] and not second["current"]
    assert " current" in text.version(first)
    assert " refused  it is not good" in text.version(second)
    (Path(second["path"])).write_text("{}")
    assert " damaged " in text.version(versions_of(StoredDataset(storage, tiny.NAME))[1])


def test_a_place_in_another_storage_is_a_url():
    storage = MemoryStorage("described")
    storage.put("a/b", b"x")
    assert path_of(storage, "a/b") == "memory://described/a/b"
    assert path_of(storage, "a/c") is None


# As text.


def test_sizes_are_read_easily():
    assert [text.size(n) for n in (0, 999, 1000, 999_949, 999_950, 2_500_000_000, 10**15)] == [
        "0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "2.5 GB", "1000.0 TB",
    ]  # fmt: skip


def test_samples_are_shown_without_what_steers_a_terminal(home: Path):
    import numpy as np

    values = {
        "grey": np.arange(56 * 112, dtype=np.uint8).reshape(56, 112),
        "flat": np.zeros((8, 8)),
        "colour": np.zeros((4, 4, 3), np.uint8),
        "text": "\x1b[2J red\nline " + "x" * 500,
        "blob": b"12345",
        "tokens": np.arange(100),
        "number": 3,
        "row": {"a": "\x07"},
    }
    shown = text.samples({"train[0]": values}, classes={"number": ("a", "b", "c", "\x1b[31md")})
    assert "\x1b" not in shown and "\x07" not in shown
    assert max(map(len, shown.splitlines())) <= 130
    for part in ("colour:\n", "blob: 5 bytes", "tokens: int64 100: [0, 1, 2", "number: 3 ?[31md", "row: a ?", "..."):
        assert part in shown


def test_info_of_many_classes_is_short(storage: LocalStorage):
    classes = tuple(f"class {i}" for i in range(1000))
    dataset = Dataset(
        "org.example.many", "Many.", {"label": Array("uint16", classes=classes)}, {"all": Split(lambda: iter(()))}
    )
    shown = text.info(describe(dataset, storage))
    assert "1000 classes: class 0, class 1" in shown and "class 11" not in shown
