"""The law: with and without Dagster a dataset is made of the same bytes, and made once."""

from pathlib import Path
from typing import Iterator

import dagster as dg
import pytest
import tiny
from orchestrated import assets_in, files_in, made, run, versions

from dataset_assets import Dataset, load, prepare
from dataset_assets.definition import registry
from dataset_assets.moving.copy import copy
from dataset_assets.moving.forget import forget
from dataset_assets.orchestration import StorageIOManager, definitions
from dataset_assets.orchestration.refresh import REFRESH
from dataset_assets.storage import LocalStorage, MemoryStorage, open_storage
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.server import FaultyServer

PACKAGED = ["io.github.allisonhorst.penguins", "io.github.rasbt.mnist_5k", "au.edu.adelaide.lee_documents"]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/numbers.csv": tiny.NUMBERS}) as server:
        yield server


def same_with_and_without_dagster(dataset: Dataset, instance: dg.DagsterInstance, home: Path, other: Path) -> None:
    result = run(dataset, instance)
    assert result.success
    prepare(dataset, storage=other)
    ours, theirs = LocalStorage(home / "storage"), LocalStorage(other)
    digest, _ = StoredDataset(ours, dataset.name).pointer()
    assert digest is not None and digest == StoredDataset(theirs, dataset.name).pointer()[0]
    splits = StoredDataset(ours, dataset.name).version(digest).splits
    assert splits == StoredDataset(theirs, dataset.name).version(digest).splits
    # The data versions are those digests, and all else is the same but for the time in what is said of sources.
    folder, said = dataset.name.replace(".", "/"), versions(result)
    assert said[folder] == digest
    assert {name: said[f"{folder}/{name}"] for name in splits} == splits
    kept = [{k for k in storage.list("") if not k.endswith("source.json")} for storage in (ours, theirs)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("name", PACKAGED)
def test_shipped_datasets_are_the_same_with_and_without_dagster(
    name: str, home: Path, instance: dg.DagsterInstance, fast_path: Path
) -> None:
    same_with_and_without_dagster(registry.find(name), instance, home, fast_path / "other")


def test_one_with_derived_files_kept_and_not_is_the_same_with_and_without_dagster(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance, fast_path: Path
) -> None:
    same_with_and_without_dagster(tiny.tiny(server.url + "/"), instance, home, fast_path / "other")
    assert tiny.plain(load(tiny.NAME)) == tiny.expected()


def test_what_was_forgotten_is_left_out_with_and_without_dagster(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance, fast_path: Path
) -> None:
    dataset = tiny.tiny(server.url + "/")
    assert run(dataset, instance).success
    forgotten = forget(dataset, {"text": ["ccé", "hhhé"]}, home / "storage")
    copy(tiny.NAME, home / "storage", fast_path / "other")
    # A new source has them again.
    server.files["/numbers.csv"] = tiny.NUMBERS + b"11,k\n"
    result = run(dataset, instance, tags={REFRESH: "true"})
    assert result.success and versions(result)["org/example/tiny"] != forgotten.current
    views = prepare(dataset, storage=fast_path / "other", refresh=True)
    assert views["train"].version == versions(result)["org/example/tiny"]
    assert [len(view) for view in views.values()] == [3, 5]


def test_a_second_run_asks_nobody_and_changes_no_file(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset = tiny.tiny(server.url + "/")
    first = run(dataset, instance)
    before, asked = files_in(home / "storage"), len(server.requests)
    second = run(dataset, instance)
    assert second.success and versions(second) == versions(first)
    assert files_in(home / "storage") == before
    assert len(server.requests) == asked == 1
    assert not list((home / "scratch").iterdir())


@pytest.mark.parametrize("first", ["prepare", "dagster"])
def test_what_one_made_the_other_leaves_as_it_is(
    first: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset = tiny.tiny(server.url + "/")
    ways = [lambda: prepare(dataset), lambda: run(dataset, instance)]
    ways = ways if first == "prepare" else ways[::-1]
    ways[0]()
    before = files_in(home / "storage")
    ways[1]()
    assert files_in(home / "storage") == before
    assert len(server.requests) == 1


@pytest.mark.parametrize("where", ["folder", "memory", "setting"])
def test_every_byte_goes_to_the_storage_of_the_io_manager(
    where: str,
    home: Path,
    server: FaultyServer,
    instance: dg.DagsterInstance,
    fast_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "memory://every-byte" if where == "memory" else (fast_path / "elsewhere").as_uri()
    if where == "setting":
        monkeypatch.setenv("DATASET_ASSETS_STORAGE", url)
    result = run(tiny.tiny(server.url + "/"), instance, storage="" if where == "setting" else url)
    assert result.success
    assert not (home / "storage").exists()
    assert tiny.plain(load(tiny.NAME, storage=url)) == tiny.expected()
    there = set(open_storage(url).list(""))
    assert all(any(k.startswith(f"{name}/") for k in there) for name in made(result))


def test_the_field_may_be_swapped_in_a_project_that_has_another(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance, fast_path: Path
) -> None:
    theirs = definitions(datasets=[tiny.tiny(server.url + "/")], storage=(fast_path / "theirs").as_uri())
    [io] = theirs.resources or {}
    swapped = {io: StorageIOManager(storage="memory://swapped")}
    assert dg.materialize(assets_in(theirs), instance=instance, resources=swapped).success
    assert not (fast_path / "theirs").exists()
    assert tiny.plain(load(tiny.NAME, storage=MemoryStorage("swapped"))) == tiny.expected()
