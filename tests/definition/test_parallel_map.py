"""A split's function whose work is done by several processes: one result, whatever their number."""

import itertools
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import decoding_work as work
import pytest

from dataset_assets import Array, Dataset, ParallelMap, RemoteFile, Split, View, prepare
from dataset_assets.core.code_digest import code_of
from dataset_assets.core.workers import in_order, jobs, using
from dataset_assets.errors import DatasetAssetsError, DecodeError, DefinitionError, SplitFailed, UsageError
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage import MemoryStorage

STREAMS = {"n": Array("int64"), "process": Array("int64")}


@pytest.fixture
def table(home: Path, tmp_path: Path) -> RemoteFile:
    (path := tmp_path / "table.txt").write_text("".join(f"{n}\n" for n in range(60)))
    return RemoteFile(path)


def made(table: RemoteFile, function: Callable[[int], Any], jobs: int, streams: Any = None) -> View:
    split = Split(ParallelMap(work.rows, function), table=table, count=40)
    dataset = Dataset("org.example.mapped", "Numbers.", streams or {"n": Array("int64")}, {"all": split})
    return prepare(dataset, storage=MemoryStorage(), jobs=jobs)["all"]


def only_n(number: int) -> Any:
    return {"n": work.squared(number)["n"]}


def test_one_digest_whatever_the_number_of_processes(table: RemoteFile) -> None:
    def plain(table: Any, count: int) -> Any:
        for number in work.rows(table, count):
            yield {"n": number * number}

    found = {made(table, only_n, jobs).streams for jobs in (1, 2, 3)}
    views = [made(table, only_n, jobs) for jobs in (1, 2, 3)]
    assert len({view.origin.index for view in views}) == 1 and len(found) == 1
    assert views[1].to_numpy()["n"].tolist() == [n * n for n in range(40)]


def test_the_work_is_done_by_other_processes_and_begins_here(
    table: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "marks").mkdir()
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    monkeypatch.setenv("BEGUN_BY", str(os.getpid()))
    processes = made(table, work.with_another, 2, STREAMS).to_numpy()["process"].tolist()
    assert processes[0] == os.getpid() and len({*processes} - {os.getpid()}) == 2
    assert {*made(table, work.squared, 1, STREAMS).to_numpy()["process"].tolist()} == {os.getpid()}


def test_a_function_may_return_several_samples_or_none(table: RemoteFile) -> None:
    assert made(table, work.several, 2).to_numpy()["n"].tolist() == [n for n in range(40) for _ in range(n % 3)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_names_the_function_and_the_item(table: RemoteFile, jobs: int) -> None:
    with pytest.raises(SplitFailed, match="the function failing raised ValueError for item 30: thirty is bad"):
        made(table, work.failing, jobs, STREAMS)
    with pytest.raises(SplitFailed, match="the function leaving raised SystemExit for item 30: out of here"):
        made(table, work.leaving, jobs, STREAMS)
    with pytest.raises(DecodeError, match="It is cut."):
        made(table, work.undecodable, jobs, STREAMS)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_item_that_fails_is_left_out_where_bad_samples_are(table: RemoteFile, jobs: int) -> None:
    for function, why in (
        (work.failing, "raised ValueError for item 30: thirty is bad"),
        (work.undecodable, "It is cut"),
    ):
        split = Split(ParallelMap(work.rows, function), table=table, count=40)
        dataset = Dataset("org.example.skipping", "Numbers.", STREAMS, {"all": split}, on_error="skip")
        view = prepare(dataset, storage=MemoryStorage(), jobs=jobs)["all"]
        assert view.to_numpy()["n"].tolist() == [n * n for n in range(40) if n != 30]
        [skipped] = index_of(view).bad  # type: ignore[arg-type]
        assert skipped.sample == 30 and why in skipped.why


def test_a_function_may_fill_one_buffer_for_every_item(table: RemoteFile) -> None:
    views = [made(table, work.into_one_buffer, jobs) for jobs in (1, 2)]
    assert views[0].origin.index == views[1].origin.index
    assert views[1].to_numpy()["n"].tolist() == list(range(40))


def test_items_may_come_in_one_buffer(table: RemoteFile) -> None:
    def items() -> Iterator[bytearray]:
        buffer = bytearray(8)
        for number in range(60):
            buffer[:] = number.to_bytes(8, "little")
            yield buffer

    with using(2):
        assert list(in_order(work.number_in, items())) == [{"n": number} for number in range(60)]


def members(table: Any) -> Any:
    with tempfile.TemporaryFile() as file:
        yield from [file] * 40


def test_what_cannot_be_sent_is_named(table: RemoteFile) -> None:
    with using(2), pytest.raises(SplitFailed, match=r"Item \d+, a .*, cannot be sent to another process"):
        list(in_order(work.slowly, members(None)))
    with using(2), pytest.raises(SplitFailed, match="returned for item .* what cannot be sent to another process"):
        list(in_order(work.a_lock, range(40)))


def test_one_split_may_end_while_another_is_made(home: Path) -> None:
    with using(2):
        one, other = in_order(only_n, iter(range(60))), in_order(only_n, iter(range(60)))
        for _ in range(20):
            next(one), next(other)
        one.close()
        assert len(list(other)) == 40


def test_an_item_whose_process_was_killed_is_tried_again_and_then_named(
    table: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILLED_ONCE", str(tmp_path / "mark"))
    assert made(table, work.killed_once, 2, STREAMS).to_numpy()["n"].tolist() == [n * n for n in range(40)]
    assert (tmp_path / "mark").exists()
    with pytest.raises(SplitFailed, match="called killed for item 25 was killed, .* use fewer processes"):
        made(table, work.killed, 2, STREAMS)


def test_few_items_and_results_wait(home: Path) -> None:
    begun: list[int] = []

    def items() -> Any:
        for number in range(10_000):
            begun.append(number)
            yield number

    with using(2):
        results = in_order(only_n, items())
        assert [next(results) for _ in range(30)] == [{"n": n * n} for n in range(30)]
    assert len(begun) < 30 + 300
    results.close()


def test_its_code_is_that_of_both_functions() -> None:
    pairs = itertools.product((work.rows, work.several), (only_n, work.squared))
    assert len(codes := {code_of(ParallelMap(*pair)) for pair in pairs}) == 4
    again = pickle.loads(pickle.dumps(ParallelMap(work.rows, only_n)))
    assert again == ParallelMap(work.rows, only_n) and code_of(again) in codes


def test_wrong_functions_arguments_and_numbers_are_refused(table: RemoteFile) -> None:
    with pytest.raises(DefinitionError, match="Give two: ParallelMap"):
        ParallelMap(work.rows, 3)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="cannot be called with tables"):
        Split(ParallelMap(work.rows, only_n), tables=table)
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(UsageError, match="is not a number of processes"), using(wrong):  # type: ignore[arg-type]
            pass


def test_the_setting_says_how_many(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert jobs() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("DATASET_ASSETS_JOBS", "3")
    assert jobs() == 3
    with using(5):
        assert jobs() == 5
    monkeypatch.setenv("DATASET_ASSETS_JOBS", "-1")
    with pytest.raises(DatasetAssetsError):
        jobs()


SCRIPT = """
import time
from dataset_assets import Array, Dataset, ParallelMap, Split, prepare

def items(count):
    yield from range(count)

def dear(number):
    time.sleep(0.02)
    return {"n": number + 1}

split = Split(ParallelMap(items, dear), count=40)
made = prepare(Dataset("org.example.script", "x.", {"n": Array("int64")}, {"all": split}), jobs=2)
print(made["all"].to_numpy()["n"].sum())
"""


def test_a_script_needs_no_main_guard(home: Path, tmp_path: Path) -> None:
    (path := tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("820\n", "")
