"""What an orchestrator meets, by the fault matrix: B4 parallel runs, B5 changed definitions, B6 refused data."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import dagster as dg
import parallel
import pytest
from command_line import CommandLine
from orchestrated import (
    NUMBERED,
    QUIET,
    checks,
    failures,
    files_in,
    kept_in,
    key,
    made,
    numbered,
    rows,
    run,
    two_files,
    versions,
)
from places import SUPPORT

from dataset_assets import Dataset, load
from dataset_assets.orchestration import definitions
from dataset_assets.orchestration.refresh import REFRESH
from dataset_assets.storage import open_storage
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.server import FaultyServer

# B4: several at once.


@pytest.mark.processes
def test_B4_of_datasets_made_in_parallel_one_fails_and_only_that_one_is_done_again(
    home: Path, server: FaultyServer, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(parallel.URL, server.url)
    monkeypatch.chdir(SUPPORT)  # where its processes look for the job
    at_once = {"execution": {"config": {"multiprocess": {"max_concurrent": 3, "start_method": {"forkserver": {}}}}}}
    job = dg.reconstructable(parallel.everything)
    with kept_in(fast_path / "dagster") as instance:
        with dg.execute_job(job, instance, run_config=QUIET | at_once) as first:
            assert not first.success
            [failed] = failures(first)
        assert failed == "org__example__c__raw"
        assert [load(f"org.example.{name}")["all"][1]["n"] for name in ("a", "b")] == [2, 4]
        before = files_in(home / "storage")
        # Each has paths of its own, and nothing is left of the one that failed.
        assert Counter(path.split("/")[2] for path in before) == {"a": 7, "b": 7}
        assert not [*(home / "scratch").iterdir()]
        server.files["/c.csv"] = b"5\n6\n"
        server.forget()
        again = dg.ReexecutionOptions.from_failure(first.run_id, instance)
        with dg.execute_job(job, instance, run_config=QUIET | at_once, reexecution_options=again) as second:
            assert second.success
            assert {name.split("/")[2] for name in made(second)} == {"c"}
    assert [request.path for request in server.requests] == ["/c.csv"]
    after = files_in(home / "storage")
    assert {path: after[path] for path in before} == before
    assert load("org.example.c")["all"][0]["n"] == 5


def test_B4_no_asset_is_in_partitions_which_might_share_a_path(server: FaultyServer) -> None:
    graph = definitions(datasets=[two_files(server.url), numbered()]).resolve_asset_graph()
    assert not [node for node in graph.asset_nodes if node.partitions_def]


# B5: definitions that change.


def same_rows(first: int, last: int) -> Iterator[Any]:
    """As `rows`, written in another way."""
    yield from rows(first, last)


def test_B5_other_code_that_gives_the_same_bytes_gives_the_same_versions_of_the_data(
    home: Path, instance: dg.DagsterInstance
) -> None:
    first = versions(run(numbered(), instance))
    before = files_in(home / "storage")
    second = versions(run(numbered(of=same_rows), instance))
    streams = [name for name in first if name.count("/") == 4]
    assert len(streams) == 4 and all(first[name] == second[name] for name in streams)
    after = files_in(home / "storage")
    assert {path for path in after if path.endswith(".npy")} == {path for path in before if path.endswith(".npy")}
    assert [sample["y"] for sample in load(NUMBERED)["test"]] == [i % 3 for i in range(20, 30)]


def test_B5_a_dataset_that_was_renamed_and_is_in_other_groups_has_the_same_data_and_the_old_one_is_still_read(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    old = two_files(server.url)
    renamed = Dataset("org.example.moved.two", old.summary, dict(old.streams), dict(old.splits), aliases=(old.name,))
    first, second = (versions(run(dataset, instance)) for dataset in (old, renamed))
    for asset in ("a/n", "b/n", "raw/a_csv", "raw/b_csv"):
        assert second[f"org/example/moved/two/{asset}"] == first[f"org/example/two/{asset}"]
    assert [[sample["n"] for sample in load(name)["a"]] for name in (old.name, renamed.name)] == [[1, 2]] * 2


MODULE = """
from dataset_assets import Array, Dataset, Split

def numbers():
    yield {"n": 1}

one = Dataset("org.sound.new", "One.", {"n": Array()}, {"all": Split(numbers)}, aliases=("org.sound.old",))
"""
LOADED = """
from dataset_assets.orchestration.definitions import defs
keys = defs().resolve_asset_graph().get_all_asset_keys()
print(sorted(key.to_user_string() for key in keys if key.path[1] == "sound"))
"""


@pytest.mark.processes
def test_B5_a_module_that_cannot_be_imported_costs_the_others_nothing_and_an_old_name_is_an_alias(
    fast_path: Path,
) -> None:
    line = CommandLine(fast_path)
    line.install("broken", {"broken_module": "import not_installed"}, datasets={"org.broken": "broken_module"})
    line.install("sound", {"sound_module": MODULE}, datasets={"org.sound": "sound_module"})
    told = subprocess.run(
        [sys.executable, "-c", LOADED], env=line.environment, capture_output=True, text=True, check=True, timeout=250
    )
    assert told.stdout == "['org/sound/new', 'org/sound/new/all', 'org/sound/new/all/n']\n"
    assert "broken_module are left out" in told.stderr and "not_installed" in told.stderr
    # By Dagster, under its old name.
    assert line.json("prepare", "org.sound.old")["name"] == "org.sound.new"
    assert line.json("path", "org.sound.old")["name"] == "org.sound.new"


# B6: data that is refused.


def test_B6_a_refresh_that_a_check_refuses_leaves_the_last_good_version_to_readers_and_both_are_seen(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    def falls(views: Any) -> str | None:
        found = [int(sample["n"]) for sample in views["a"]]
        return None if found == sorted(found) else f"{found} falls"

    dataset = two_files(server.url, checks={"falls": falls})
    assert run(dataset, instance).success
    good = load(dataset.name)["a"].version
    server.files["/a.csv"] = b"9\n8\n"
    result = run(dataset, instance, tags={REFRESH: "true"})
    assert not result.success and unescape(checks(result)["falls"].description or "") == "[9, 8] falls"
    # Training code keeps the last good version, and the refused one can be looked at by its digest.
    current, _ = StoredDataset(open_storage(home / "storage"), dataset.name).pointer()
    assert current == load(dataset.name)["a"].version == good
    assert [sample["n"] for sample in load(dataset.name)["a"]] == [1, 2]
    [told] = failures(result).values()
    refused = told.split(f"{dataset.name}@")[1][:64]
    assert refused != good and [sample["n"] for sample in load(f"{dataset.name}@{refused}")["a"]] == [9, 8]
    # Dagster shows both: the dataset's last materialisation is the good version, its failed check names the other.
    shown = instance.get_latest_materialization_event(key("org/example/two"))
    assert shown and shown.asset_materialization and shown.asset_materialization.tags
    assert shown.asset_materialization.tags["dagster/data_version"] == good
    falling = dg.AssetCheckKey(key("org/example/two"), "falls")
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([falling])[falling]
    assert record.event and not record.event.dagster_event.asset_check_evaluation_data.passed  # type: ignore[union-attr]
    # And the next good bytes are released.
    server.files["/a.csv"] = b"8\n9\n"
    assert run(dataset, instance, tags={REFRESH: "true"}).success
    assert [sample["n"] for sample in load(dataset.name)["a"]] == [8, 9]
