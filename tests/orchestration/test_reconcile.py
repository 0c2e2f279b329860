"""History and storage may part; the storage is the truth, and the history is mended by it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from orchestrated import assets_in, key

from dataset_assets import Dataset, load, prepare
from dataset_assets.orchestration import definitions
from dataset_assets.orchestration.instance import history, materialize, opened
from dataset_assets.orchestration.reconcile import reconcile
from dataset_assets.orchestration.translation import of_attributes
from dataset_assets.storage import Storage, open_storage

TINY = "org/example/tiny"


@pytest.fixture
def storage(home: Path) -> Storage:
    return open_storage((home / "storage").as_uri())


def events(name: str) -> list[str]:
    """Return the data versions that the history has of an asset, the last one first."""
    with history() as place, opened(place) as instance:
        records = instance.fetch_materializations(key(name), limit=10).records
        found = [record.asset_materialization for record in records]
    return [(event.tags or {})["dagster/data_version"] for event in found if event]


def kinds(dataset: Dataset, storage: Storage, mend: bool = False) -> list[str]:
    return [found.kind for found in reconcile([dataset], storage, mend=mend)]


def test_what_was_released_without_dagster_is_recorded_once(dataset: Dataset, storage: Storage) -> None:
    version = prepare(dataset, storage=storage)["train"].version
    listed = reconcile([dataset], storage)
    assert {found.kind for found in listed} == {"unrecorded"} and listed[-1].what == TINY and not events(TINY)
    names = {found.what for found in listed}
    assert {f"{TINY}/train", f"{TINY}/train/image", f"{TINY}/raw/numbers_csv", f"{TINY}/raw/backwards_csv"} < names
    assert all(found.mended for found in reconcile([dataset], storage, mend=True))
    assert kinds(dataset, storage) == [] and events(TINY) == [version]


def test_a_lost_history_is_mended_and_the_next_run_agrees(dataset: Dataset, storage: Storage, home: Path) -> None:
    materialize(dataset, storage)
    assert kinds(dataset, storage) == []
    version = load("org.example.tiny", storage=storage)["train"].version
    shutil.rmtree(home / "dagster")
    assert set(kinds(dataset, storage, mend=True)) == {"unrecorded"}
    assert kinds(dataset, storage, mend=True) == [] and events(TINY) == [version]
    materialize(dataset, storage)
    assert set(events(TINY)) == {version} and kinds(dataset, storage) == []


def test_a_lost_storage_is_listed_and_cannot_be_mended(dataset: Dataset, storage: Storage, home: Path) -> None:
    materialize(dataset, storage)
    shutil.rmtree(home / "storage")
    for mend in (False, True):
        [found] = reconcile([dataset], storage, mend=mend)
        assert (found.kind, found.mended) == ("lost", False) and "Materialize it again" in found.message


def under_lake(spec: dg.AssetSpec) -> dg.AssetSpec:
    return of_attributes({"key_prefix": ["lake", "raw"]})(spec)


@pytest.mark.parametrize("raw", ["", "one"])
def test_assets_under_the_keys_of_a_project_are_mended(raw: Any, dataset: Dataset, storage: Storage) -> None:
    version = prepare(dataset, storage=storage)["train"].version
    how: dict[str, Any] = {"raw_assets": raw, "translation": under_lake}
    assert {found.what for found in reconcile([dataset], storage, **how)} >= {
        f"lake/raw/{TINY}",
        f"lake/raw/{TINY}/train",
    }
    reconcile([dataset], storage, mend=True, **how)
    assert reconcile([dataset], storage, **how) == [] and events(f"lake/raw/{TINY}") == [version] and not events(TINY)
    ours = definitions(datasets=[dataset], storage=storage.url, **how)
    with history() as place, opened(place) as instance:
        known = {asset.to_user_string() for asset in instance.all_asset_keys()}
    assert known <= {name.to_user_string() for asset in assets_in(ours) for name in asset.keys}


KILLED = """
import os, signal
from dataset_assets import Array, Dataset, Split
from dataset_assets.orchestration.instance import materialize
from dataset_assets.storage import open_storage

def dying():
    os.kill(os.getpid(), signal.SIGKILL)
    yield {"n": 1}

if __name__ == "__main__":
    dataset = Dataset("org.example.dying", "Dies.", {"n": Array()}, {"all": Split(dying)})
    materialize(dataset, open_storage(os.environ["PLACE"]))
"""


@pytest.mark.processes
def test_a_run_whose_process_was_killed_is_ended(
    dataset: Dataset, storage: Storage, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "dying.py").write_text(KILLED)
    child = subprocess.run([sys.executable, tmp_path / "dying.py"], env={**os.environ, "PLACE": storage.url})
    assert child.returncode == -9
    with history() as place, opened(place) as instance:
        [record] = instance.get_run_records()
        assert record.dagster_run.status == dg.DagsterRunStatus.STARTED
    assert kinds(dataset, storage) == ["left"] and kinds(dataset, storage, mend=True) == ["left"]
    assert kinds(dataset, storage) == []
    with history() as place, opened(place) as instance:
        assert instance.get_run_records()[0].dagster_run.status == dg.DagsterRunStatus.FAILURE


def test_a_run_that_goes_on_is_left_alone(dataset: Dataset, storage: Storage) -> None:
    seen: list[list[str]] = []
    from dataset_assets.core.progress import Progress

    progress: Progress = lambda what, done, total: seen.append(kinds(dataset, storage)) if not seen else None  # noqa: E731
    materialize(dataset, storage, progress)
    assert seen and "left" not in seen[0]
