"""Remotes in Dagster: a release is pushed, and a remote that changed asks for a pull."""

from pathlib import Path
from typing import Any, Iterator, Sequence

import dagster as dg
import pytest
import tiny
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.definitions.observe import observe
from dagster._core.loader import LoadingContextForTest
from orchestrated import QUIET, kept_in, key

from dataset_assets import Dataset, View, load, prepare
from dataset_assets.errors import NotPrepared
from dataset_assets.moving.copy import copy
from dataset_assets.orchestration import DatasetComponent, asset_in, definitions
from dataset_assets.storage import LocalStorage, Storage
from dataset_assets.storage.stored_dataset import StoredDataset

PLACE = tiny.NAME.replace(".", "/")


@pytest.fixture
def instance(fast_path: Path) -> Iterator[dg.DagsterInstance]:
    with kept_in(fast_path / "dagster") as instance:
        yield instance


@pytest.fixture
def remote(home: Path, fast_path: Path) -> Storage:
    return LocalStorage(fast_path / "remote")


def run(defined: dg.Definitions, instance: dg.DagsterInstance, selection: Sequence[str] = ()) -> bool:
    """Materialize assets, all by default; return whether all worked."""
    chosen = [key(name) for name in selection] or None
    options = {"run_config": QUIET, "raise_on_error": False, "resources": defined.resources}
    return dg.materialize([*(defined.assets or ())], instance=instance, selection=chosen, **options).success


def status(defined: dg.Definitions, instance: dg.DagsterInstance, name: str) -> Any:
    graph = defined.get_repository_def().asset_graph
    return CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance)).get_status(key(name)).name


def test_a_release_is_pushed_and_the_push_is_stale_when_the_release_moved(
    dataset: Dataset, folder: Path, remote: Storage, instance: dg.DagsterInstance
):
    defined = definitions(datasets=[dataset], push_to=remote.url)
    assert run(defined, instance)
    assert load(tiny.NAME, storage=remote).keys() == load(tiny.NAME).keys()
    assert status(defined, instance, f"pushed/{PLACE}") == "FRESH"
    (folder / "numbers.csv").write_bytes(tiny.CHANGED)
    assert run(definitions(datasets=[dataset]), instance)
    assert status(defined, instance, f"pushed/{PLACE}") == "STALE"
    assert run(defined, instance, [f"pushed/{PLACE}"])
    ours = LocalStorage(folder.parent / "home/storage")
    assert StoredDataset(remote, tiny.NAME).pointer() == StoredDataset(ours, tiny.NAME).pointer()


def test_a_version_of_somebody_else_is_not_displaced(
    dataset: Dataset, folder: Path, remote: Storage, instance: dg.DagsterInstance
):
    prepare(dataset, storage=remote)
    theirs = StoredDataset(remote, tiny.NAME).pointer()
    (folder / "numbers.csv").write_bytes(tiny.CHANGED)
    assert not run(definitions(datasets=[dataset], push_to=remote.url), instance)
    assert StoredDataset(remote, tiny.NAME).pointer() == theirs


def test_a_remote_is_observed_and_pulled(
    dataset: Dataset, home: Path, folder: Path, remote: Storage, instance: dg.DagsterInstance
):
    defined = definitions(pull=[tiny.NAME], pull_from=remote.url)
    observable = [asset for asset in defined.assets or () if isinstance(asset, dg.SourceAsset)]
    assert observe([*observable], instance=instance).success
    with pytest.raises(NotPrepared):
        load(tiny.NAME)
    prepare(dataset, storage=remote)
    assert observe([*observable], instance=instance).success
    assert run(defined, instance, [PLACE])
    assert load(tiny.NAME).keys() == load(tiny.NAME, storage=remote).keys()
    assert status(defined, instance, PLACE) == "FRESH"
    (folder / "numbers.csv").write_bytes(tiny.CHANGED)
    prepare(dataset, storage=remote)
    assert observe([*observable], instance=instance).success and status(defined, instance, PLACE) == "STALE"
    assert run(defined, instance, [PLACE])
    assert status(defined, instance, PLACE) == "FRESH"
    assert copy(tiny.NAME, remote, home / "storage")[0].files == 0


def test_a_pulled_dataset_is_an_input(dataset: Dataset, remote: Storage, instance: dg.DagsterInstance):
    @dg.asset(ins={"data": asset_in(tiny.NAME, "test")})
    def size(data: View) -> None:
        seen.append(len(data))

    seen: list[int] = []
    prepare(dataset, storage=remote)
    ours = definitions(pull=[tiny.NAME], pull_from=remote.url, storage="memory://pulled")
    assert run(dg.Definitions.merge(ours, dg.Definitions([size])), instance)
    assert seen == [4]


def test_the_component_takes_the_same_words(dataset: Dataset, remote: Storage):
    places = {"pull_from": remote.url, "push_to": remote.url}
    component = DatasetComponent(datasets=["io.github.rasbt.mnist_5k"], pull=[tiny.NAME], **places)
    context: Any = None
    found = {"/".join(k.path) for k in component.build_defs(context).resolve_asset_graph().get_all_asset_keys()}
    assert {f"remote/{PLACE}", PLACE, "pushed/io/github/rasbt/mnist_5k"} <= found
