"""Data versions are digests: what goes stale when something changes, what is done again and mended, who is last."""

import hashlib
import shutil
from pathlib import Path
from typing import Any, Callable, Iterator

import dagster as dg
import pytest
import tiny
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from orchestrated import (
    NUMBERED,
    Calls,
    failures,
    files_in,
    group,
    key,
    lines,
    made,
    numbered,
    rows,
    run,
    two_files,
    versions,
)

from dataset_assets import Array, Columns, Dataset, DerivedFile, RemoteFile, Split, load, prepare
from dataset_assets.orchestration import definitions
from dataset_assets.orchestration.refresh import REFRESH
from dataset_assets.testing import FaultyServer

TWO = "org/example/two"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/a.csv": b"1\n2\n", "/b.csv": b"3\n4\n", "/numbers.csv": tiny.NUMBERS}) as server:
        yield server


def stale(dataset: Dataset, instance: dg.DagsterInstance) -> set[str]:
    """Return the assets that the UI shows as out of date."""
    graph = definitions(datasets=[dataset]).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    found = graph.get_all_asset_keys()
    return {key.to_user_string() for key in found if resolver.get_status(key) != StaleStatus.FRESH}


def test_the_same_bytes_leave_everything_fresh(home: Path, server: FaultyServer, instance: dg.DagsterInstance) -> None:
    dataset = two_files(server.url)
    assert stale(dataset, instance) == {
        TWO,
        *(f"{TWO}/{name}" for name in ("a", "b", "a/n", "b/n", "raw/a_csv", "raw/b_csv")),
    }
    assert run(dataset, instance).success
    assert stale(dataset, instance) == set()
    assert run(dataset, instance, selection=group(f"{TWO}/raw")).success
    assert stale(dataset, instance) == set()
    # Also where all was lost and is retrieved again.
    for path in (home / "storage").rglob("*_csv/*"):
        path.unlink()
    assert run(dataset, instance, selection=group(f"{TWO}/raw")).success
    assert stale(dataset, instance) == set()


def test_new_bytes_make_stale_what_uses_them_and_nothing_else(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset = two_files(server.url)
    first = run(dataset, instance)
    before = files_in(home / "storage" / TWO / "b")
    server.files["/a.csv"] = b"1\n2\n5\n"
    raw = group(f"{TWO}/raw")
    assert run(dataset, instance, selection=raw, tags={REFRESH: "true"}).success
    assert stale(dataset, instance) == {f"{TWO}/a/n"}
    second = run(dataset, instance)
    assert stale(dataset, instance) == set()
    changed = {name for name, version in versions(second).items() if versions(first)[name] != version}
    assert changed == {TWO, f"{TWO}/a", f"{TWO}/a/n", f"{TWO}/raw/a_csv"}
    assert files_in(home / "storage" / TWO / "b") == before
    assert [sample["n"] for sample in load("org.example.two")["a"]] == [1, 2, 5]


def test_bytes_whose_record_was_deleted_are_retrieved_as_new(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset = two_files(server.url)
    assert run(dataset, instance, selection=group(f"{TWO}/raw")).success
    (home / "storage" / TWO / "raw" / "a_csv" / "source.json").unlink()
    server.files["/a.csv"] = b"7\n"
    result = run(dataset, instance)
    assert result.success
    assert versions(result)[f"{TWO}/raw/a_csv"] == hashlib.sha256(b"7\n").hexdigest()
    assert stale(dataset, instance) == set()


def test_other_bytes_than_were_recorded_come_in_by_a_refresh_only(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset = two_files(server.url)
    assert run(dataset, instance).success
    server.files["/a.csv"] = b"7\n"
    for path in (home / "storage" / TWO / "raw" / "a_csv").glob("[0-9a-f]*"):
        path.unlink()
    # They are retrieved when they are needed.
    assert run(dataset, instance).success
    shutil.rmtree(home / "storage" / TWO / "a" / "n")
    refused = run(dataset, instance)
    assert not refused.success
    assert "prepare --refresh" in failures(refused)["org__example__two__a"]
    assert run(dataset, instance, tags={REFRESH: "true"}).success
    assert [sample["n"] for sample in load("org.example.two")["a"]] == [7]


def doubled(first: int, last: int) -> Iterator[Columns]:
    yield from rows(2 * first, 2 * last)


def test_the_code_version_is_that_of_the_splits_function(home: Path, instance: dg.DagsterInstance) -> None:
    def codes(dataset: Dataset) -> dict[str, Any]:
        graph = definitions(datasets=[dataset]).resolve_asset_graph()
        return {found.to_user_string(): graph.get(found).code_version for found in graph.get_all_asset_keys()}

    key = NUMBERED.replace(".", "/")
    one, other = codes(numbered()), codes(numbered(of=doubled))
    assert {name for name in one if one[name] == other[name]} == {key}
    assert codes(numbered()) == one
    assert codes(numbered(train=21))[f"{key}/train"] != one[f"{key}/train"]
    assert codes(numbered(train=21))[f"{key}/test"] == one[f"{key}/test"]
    assert codes(numbered(checks={"leakage": "warn"}))[key] != one[key]
    assert run(numbered(), instance).success
    assert stale(numbered(of=doubled), instance) >= {f"{key}/train/x", f"{key}/test/y"}
    assert stale(numbered(), instance) == set()


def test_the_code_version_of_a_derived_file_counts_its_arguments(server: FaultyServer) -> None:
    def cut(table: Any, after: int) -> Iterator[bytes]:
        yield table.read()[:after]

    def code(after: int) -> Any:
        derived = DerivedFile("some.csv", cut, keep=True, table=RemoteFile(f"{server.url}/a.csv"), after=after)
        dataset = Dataset("org.example.cut", "C.", {"n": Array()}, {"all": Split(lines, table=derived)})
        return (
            definitions(datasets=[dataset]).resolve_asset_graph().get(key("org/example/cut/raw/some_csv")).code_version
        )

    assert code(2) == code(2) != code(4)


def test_a_function_whose_work_is_stored_is_not_called_again(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    derived, made_again = Calls(), Calls()

    def upper(table: Any) -> Iterator[bytes]:
        derived()
        yield table.read()

    def counted(table: Any, last: int) -> Iterator[dict[str, int]]:
        made_again()
        yield from [*lines(table)][:last]

    def dataset(last: int) -> Dataset:
        file = DerivedFile("upper.csv", upper, keep=True, table=RemoteFile(f"{server.url}/a.csv"))
        splits = {"all": Split(counted, table=file, last=last)}
        return Dataset("org.example.counted", "C.", {"n": Array()}, splits)

    for _ in range(3):
        assert run(dataset(2), instance).success
    assert (derived.count, made_again.count) == (1, 1)
    assert run(dataset(1), instance).success
    assert (derived.count, made_again.count) == (1, 2)
    # Going back is no work either: what was made is still there.
    assert run(dataset(2), instance).success
    assert (derived.count, made_again.count) == (1, 2)
    assert len(load("org.example.counted")["all"]) == 2


@pytest.mark.parametrize("name", ["numbers_csv", "backwards_csv"])
@pytest.mark.parametrize("harm", ["damaged", "gone"])
def test_a_raw_file_that_was_harmed_is_mended_before_anything_is_made_of_it(
    name: str, harm: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance, fast_path: Path
) -> None:
    folder = home / "storage" / tiny.NAME.replace(".", "/") / "raw" / name
    url = server.url + "/"
    assert run(tiny.tiny(url), instance).success
    [stored] = folder.glob("[0-9a-f]" * 8 + "*")
    sound = stored.read_bytes()
    stored.unlink()
    if harm == "damaged":
        stored.write_bytes(b"9" + sound[1:])
    changed = tiny.tiny(url, version="2")
    # Not by its own step, which looks at sizes only: by the step that needs it.
    groups = [f"{tiny.NAME.replace('.', '/')}/{split}" for split in ("train", "test")]
    result = run(changed, instance, selection=group(*groups))
    assert result.success, failures(result)
    assert stored.read_bytes() == sound
    assert run(changed, instance).success
    clean = prepare(changed, storage=fast_path / "clean")
    assert load(tiny.NAME)["train"].version == clean["train"].version


def releasing_meanwhile(between: Callable[[], None]) -> Callable[..., Iterator[Columns]]:
    def slowly(first: int, last: int) -> Iterator[Columns]:
        between()
        yield from rows(first, last)

    return slowly


@pytest.mark.parametrize("other", ["prepare", "dagster"])
def test_a_run_that_is_late_does_not_move_the_pointer_back(
    other: str, home: Path, instance: dg.DagsterInstance
) -> None:
    def release() -> None:
        if other == "prepare":
            prepare(numbered(train=15))
        else:
            assert run(numbered(train=15), instance).success

    result = run(numbered(of=releasing_meanwhile(release)), instance)
    assert not result.success
    [told] = failures(result).values()
    assert "Conflict" in told and "was released by somebody else" in told
    assert len(load(NUMBERED)["train"]) == 15
    # Run again it begins with what is released now, and may replace it.
    assert run(numbered(of=releasing_meanwhile(lambda: None)), instance).success
    assert len(load(NUMBERED)["train"]) == 20


def test_two_runs_that_make_the_same_do_not_conflict(home: Path, instance: dg.DagsterInstance) -> None:
    calls = Calls()

    def again() -> None:
        calls()
        if calls.count == 1:
            assert run(dataset, instance).success

    dataset = numbered(of=releasing_meanwhile(again))
    result = run(dataset, instance)
    assert result.success and made(result)
    assert len(load(NUMBERED)["train"]) == 20
