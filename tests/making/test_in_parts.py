"""A split of many files is made in parts, anywhere and in any order: one digest, and nothing is made twice."""

import logging
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import part_work as work
import pytest
from children import in_child

from dataset_assets import Array, Dataset, ForEach, Image, RemoteFile, Split, SplitOf, Table, Text, load, prepare
from dataset_assets.errors import CheckFailed, DecodeError, DefinitionError, SchemaError, SplitFailed, UsageError
from dataset_assets.making import engines
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.rm import rm
from dataset_assets.moving.usage import usage
from dataset_assets.moving.verify import repair, verify
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.keys import part_key
from dataset_assets.storage.manifest import SplitIndex
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.many"
STREAMS = {"number": Array("int64"), "text": Text()}


class Shuffled:
    """Makes the parts here, in another order."""

    shares_disk = True

    def each(self, function: Callable[[Any], Any], tasks: Iterable[tuple[str, Any]], jobs: int) -> Iterator[Any]:
        every = [task for _, task in tasks]
        random.Random(1).shuffle(every)
        yield from map(function, every)


engines.ENGINES["shuffled"] = Shuffled


@pytest.fixture
def tables(home: Path, fast_path: Path) -> list[RemoteFile]:
    """64 files of a few lines; some have none."""
    return [written(fast_path / f"table-{k:02}.txt", [3 * k + n for n in range(k % 4)]) for k in range(64)]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], int]:
    """Returns how many files were read since it was called last."""
    monkeypatch.setenv("COUNTED", str(tmp_path / "counted"))

    def count() -> int:
        path = tmp_path / "counted"
        found = len(path.read_bytes()) if path.exists() else 0
        path.unlink(missing_ok=True)
        return found

    return count


def written(path: Path, numbers: Iterable[Any]) -> RemoteFile:
    path.write_text("".join(f"{number}\n" for number in numbers))
    return RemoteFile(path)


def many(files: list[RemoteFile], function: Any = work.lines, streams: Any = STREAMS, **more: Any) -> Dataset:
    step = more.pop("files_per_part", 1)
    return Dataset(
        NAME, "Numbers.", streams, {"all": Split(function, table=ForEach(files, files_per_part=step))}, **more
    )


def index_in(view: Any) -> SplitIndex:
    return index_of(view)


def test_one_digest_whoever_makes_the_parts_and_in_whatever_order(tables: list[RemoteFile], home: Path) -> None:
    ways = {"here": MemoryStorage(), "shuffled": MemoryStorage(), "processes": LocalStorage(home / "s")}
    views = {way: prepare(many(tables), storage=store, engine=way, jobs=2)["all"] for way, store in ways.items()}
    indexes = {view.origin.index for view in views.values()}
    assert len(indexes) == 1 and len(index_in(views["here"]).parts) == 64
    assert views["processes"].to_numpy()["number"].tolist() == [3 * k + n for k in range(64) for n in range(k % 4)]


def test_the_index_says_which_file_gave_which_samples(tables: list[RemoteFile]) -> None:
    index = index_in(prepare(many(tables, files_per_part=5), storage=MemoryStorage(), jobs=1)["all"])
    assert [used.samples for used in index.sources] == [k % 4 for k in range(64)]
    assert [used.argument for used in index.sources[:2]] == ["table[0]", "table[1]"]
    assert [[used.name for used in index.sources_of(row)] for row in (0, 5, 95)] == [
        ["table_01_txt"],
        ["table_03_txt"],
        ["table_63_txt"],
    ]
    assert [part.samples for part in index.parts][:2] == [0 + 1 + 2 + 3 + 0, 1 + 2 + 3 + 0 + 1]


def test_only_the_part_of_a_file_that_changed_is_made_again(
    tables: list[RemoteFile], made: Callable[[], int], fast_path: Path
) -> None:
    storage = MemoryStorage()
    before = prepare(many(tables), storage=storage, jobs=1)["all"]
    assert made() == 64
    written(fast_path / "table-07.txt", [1, 2])
    after = prepare(many(tables), storage=storage, refresh=True, jobs=1)["all"]
    assert made() == 1 and len(after) == len(before) - 1
    clean = prepare(many(tables), storage=MemoryStorage(), jobs=1)["all"]
    assert clean.origin.index == after.origin.index


def test_a_run_that_was_killed_goes_on_with_the_parts_that_are_missing(
    tables: list[RemoteFile], made: Callable[[], int], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILLED_AT", "table_40_txt")
    assert in_child(lambda: prepare(many(tables), jobs=1)) == -signal.SIGKILL
    assert made() == 41
    monkeypatch.delenv("KILLED_AT")
    view = prepare(many(tables), jobs=1)["all"]
    assert made() == 64 - 40
    assert view.origin.index == prepare(many(tables), storage=MemoryStorage(), jobs=1)["all"].origin.index


def test_a_process_that_is_killed_is_said_by_name_and_its_part_made_again(
    tables: list[RemoteFile],
    made: Callable[[], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("KILLED_AT", "table_07_txt")
    monkeypatch.setenv("KILLED_ONCE", str(tmp_path / "once"))
    with caplog.at_level(logging.WARNING):
        view = prepare(many(tables[:9]), storage=MemoryStorage(), jobs=2)["all"]
    assert f"the part of table_07_txt of {NAME}, split all" in caplog.text and len(view) == sum(k % 4 for k in range(9))


def test_a_process_that_ends_by_itself_is_said_with_its_exit_code(tables: list[RemoteFile]) -> None:
    with pytest.raises(SplitFailed, match="made the part of table_0[01]_txt of .* ended with exit code 7, also when"):
        prepare(many(tables[:2], work.leaving), storage=MemoryStorage(), jobs=2)


def test_parts_of_a_split_are_runs_of_its_samples(tables: list[RemoteFile]) -> None:
    whole = Split(work.lines, table=ForEach(tables))
    runs = Split(work.doubled, numbers=ForEach(SplitOf("all"), samples=10))
    storage = MemoryStorage()
    views = prepare(Dataset(NAME, "Numbers.", STREAMS, {"all": whole, "twice": runs}), storage=storage, jobs=2)
    assert views["twice"].to_numpy()["number"].tolist() == (2 * views["all"].to_numpy()["number"]).tolist()
    assert [part.samples for part in index_in(views["twice"]).parts] == [10] * 9 + [6]
    assert all(used.argument.startswith("numbers.table[") for used in index_in(views["twice"]).sources)


def test_types_that_parts_found_are_widened_or_refused_by_name(home: Path, fast_path: Path) -> None:
    texts = [written(fast_path / f"t{k}.txt", [text]) for k, text in enumerate(["ab", "abcdef", "c"])]
    view = prepare(many(texts, work.texts, {"text": Array()}), storage=MemoryStorage(), jobs=1)["all"]
    assert view.to_numpy()["text"].tolist() == ["ab", "abcdef", "c"]
    rows = [written(fast_path / f"r{k}.txt", [value]) for k, value in enumerate([1, 2.5, 3])]
    view = prepare(many(rows, work.rows, {"row": Table()}), storage=MemoryStorage(), jobs=1)["all"]
    assert [view[k]["row"]["value"] for k in range(3)] == [1.0, 2.5, 3.0]
    with pytest.raises(SchemaError, match="stream value: the part of r0_txt has array <i8, that of r1_txt has array"):
        prepare(many(rows, work.values, {"value": Array()}), storage=MemoryStorage(), jobs=1)
    written(fast_path / "r1.txt", [None])
    view = prepare(many(rows, work.rows, {"row": Table()}), storage=MemoryStorage(), jobs=1)["all"]
    assert [view[k]["row"]["value"] for k in range(3)] == [1, None, 3]
    with pytest.raises(SchemaError, match="split all: stream row: sample 0: value has only nulls"):
        prepare(many(rows[1:2], work.rows, {"row": Table()}), storage=MemoryStorage(), jobs=1)


def test_pictures_of_parts_keep_what_all_have_in_common(home: Path, fast_path: Path) -> None:
    sizes = [written(fast_path / f"{k}.txt", [side]) for k, side in enumerate([4, 4, 6])]
    same = prepare(many(sizes[:2], work.pictures, {"picture": Image()}), storage=MemoryStorage(), jobs=1)["all"]
    assert index_in(same).streams["picture"].parameters == {"mode": "RGB", "shape": [4, 4]}
    mixed = prepare(many(sizes, work.pictures, {"picture": Image()}), storage=MemoryStorage(), jobs=1)["all"]
    assert index_in(mixed).streams["picture"].parameters == {"mode": "RGB"}
    assert [mixed[k]["picture"].shape for k in range(3)] == [(4, 4, 3), (4, 4, 3), (6, 6, 3)]


def test_bad_samples_are_counted_and_named_over_all_parts(home: Path, fast_path: Path) -> None:
    files = [written(fast_path / f"b{k}.txt", lines) for k, lines in enumerate([[1, "x"], ["y", 2], []])]
    view = prepare(many(files, on_error="skip"), storage=MemoryStorage(), jobs=1)["all"]
    index = index_in(view)
    assert (index.samples, index.skipped, [bad.sample for bad in index.bad]) == (2, 2, [1, 2])
    assert index.bad[1].source.endswith("b1.txt")
    with pytest.raises(DecodeError, match=r"split all: b0_txt: .*x is no number"):
        prepare(many(files), storage=MemoryStorage(), jobs=1)


def test_without_any_samples_the_split_is_empty(home: Path, fast_path: Path) -> None:
    files = [written(fast_path / f"e{k}.txt", []) for k in range(2)]
    view = prepare(many(files, checks={"counts": "off"}), storage=MemoryStorage(), jobs=1)["all"]
    assert len(view) == 0 and view.streams == ("number", "text")


def test_others_are_given_to_every_call(home: Path, tables: list[RemoteFile], fast_path: Path) -> None:
    names = written(fast_path / "names.txt", ["a", "b"])
    split = Split(work.named, table=ForEach(tables[:8], files_per_part=3), names=names, prefix="n")
    dataset = Dataset(NAME, "Numbers.", STREAMS, {"all": split})
    view: Any = prepare(dataset, storage=MemoryStorage(), jobs=2)["all"]
    assert {view[k]["text"] for k in range(len(view))} == {"na,b"}
    assert [used.name for used in view.lineage(1)[0].files] == ["table_02_txt", "names_txt"]


def old(storage: LocalStorage) -> None:
    """Make all that is stored a day older than the grace period."""
    for path in storage.root.rglob("*"):
        os.utime(path, times=(time.time() - 8 * 86_400,) * 2)


def records(storage: Storage) -> list[str]:
    return [place.key for place in StoredDataset(storage, NAME).listed().of("part")]


def test_records_stay_while_an_index_needs_them_and_are_collected_then(tables: list[RemoteFile], home: Path) -> None:
    storage = LocalStorage(home / "s")
    prepare(many(tables[:4]), storage=storage, jobs=1)
    old(storage)
    assert collect(storage)[0].removed == [] and len(records(storage)) == 4
    other = many([*tables[:3], tables[5]])
    new = prepare(other, storage=storage, jobs=1)["all"]
    assert len(records(storage)) == 5
    old(storage)
    [done] = collect(storage, keep_versions=1)
    gone = [key for key in done.removed if "/parts/" in key]
    assert len(gone) == 1 and len(records(storage)) == 4 and not done.problem
    assert [*load(NAME, "all", storage=storage).to_numpy()["number"]] == [*new.to_numpy()["number"]]


def test_parts_without_an_index_are_kept_for_the_grace_and_then_collected(
    tables: list[RemoteFile], home: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[], int]
) -> None:
    storage = LocalStorage(home / "storage")
    monkeypatch.setenv("KILLED_AT", "table_06_txt")
    assert in_child(lambda: prepare(many(tables[:8]), storage=storage, jobs=1)) == -signal.SIGKILL
    streams = {key for key in storage.list("") if "/all/number/" in key}
    assert collect(storage)[0].removed == [] and {*storage.list("")} >= streams
    old(storage)
    assert {*collect(storage)[0].removed} >= streams | {*records(storage)} and records(storage) == []
    monkeypatch.delenv("KILLED_AT")
    made()
    prepare(many(tables[:8]), storage=storage, jobs=1)
    assert made() == 8


def test_moving_needs_no_records(tables: list[RemoteFile], home: Path, made: Callable[[], int]) -> None:
    storage, other = LocalStorage(home / "s"), LocalStorage(home / "o")
    prepare(many(tables[:8]), storage=storage, jobs=1)
    assert made() == 8
    copy(NAME, storage, other)
    assert records(other) == [] and len(load(NAME, "all", storage=other)) == 12
    assert prepare(many(tables[:8]), storage=other, jobs=1) and made() == 0
    [used] = usage(storage, keep_versions=3, grace_seconds=0)
    assert used.documents > sum(storage.stat(key).bytes for key in records(storage)) > 0
    rm(NAME, storage)
    assert [*storage.list("")] == []


def test_a_damaged_record_is_found_and_its_part_made_again(
    tables: list[RemoteFile], home: Path, made: Callable[[], int], fast_path: Path
) -> None:
    storage = LocalStorage(home / "s")
    index = index_in(prepare(many(tables[:8]), storage=storage, jobs=1)["all"])
    storage.put(key := part_key(NAME, "all", index.parts[0].recipe), b"{}")
    found = verify(NAME, storage)
    assert [damage.key for damage in found.damaged] == [key]
    assert repair(found, storage).left == [] and len(records(storage)) == 7
    made()
    written(fast_path / "table-07.txt", [1])
    prepare(many(tables[:8]), storage=storage, refresh=True, jobs=1)
    assert made() == 2


def test_classes_are_counted_where_a_part_is_made_and_not_read_again(home: Path, fast_path: Path) -> None:
    files = [written(fast_path / f"labels-{k}.txt", numbers) for k, numbers in enumerate(([0, 2], [], [1, 7, 0, 9]))]
    streams: Any = {"number": Array("int64", classes=("a", "b", "c", "d")), "text": Text()}
    storage = Stored()
    with pytest.raises(CheckFailed, match="number has 2 values that are none of its 4 classes, first 7 in sample 3"):
        prepare(many(files, streams=streams), storage=storage, jobs=1)
    assert storage.read and not [key for key in storage.read if "/number/" in key]
    key = next(
        key for key in storage.list("") if "/parts/" in key and b'"classes":{"number"' in stored_in(storage, key)
    )
    assert b"first" in stored_in(storage, key)


class Stored(MemoryStorage):
    """Counts as remote, so that a file is opened when it is read, and notes what is read."""

    cached = True

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def get(self, key: str) -> Any:
        self.read.append(key)
        return super().get(key)


def stored_in(storage: MemoryStorage, key: str) -> bytes:
    with storage.get(key) as file:
        return bytes(file.read())


def test_a_record_without_classes_is_used_and_the_stream_is_read(
    home: Path, fast_path: Path, made: Callable[[], int]
) -> None:
    files = [written(fast_path / f"labels-{k}.txt", [k, k]) for k in range(3)]
    streams: Any = {"number": Array("int64", classes=("a", "b", "c", "d")), "text": Text()}
    storage = MemoryStorage()
    prepare(many(files, streams=streams), storage=storage, jobs=1)
    stored = StoredDataset(storage, NAME)
    for key in records(storage):
        record = stored.part("all", key.rpartition("/")[2].removesuffix(".json"))
        assert record and record.classes
        stored.put_part(replace(record, classes={}))
    made()
    written(fast_path / "labels-2.txt", [1])
    view = prepare(many(files, streams=streams), storage=storage, refresh=True, jobs=1)["all"]
    assert made() == 1
    assert [one.message for one in index_in(view).findings if one.check == "classes"] == [
        "number has no sample of c, d."
    ]


def test_wrong_engines_and_values_are_refused(tables: list[RemoteFile]) -> None:
    with pytest.raises(UsageError, match="engine='proceses' is not known. Did you mean 'processes'?"):
        prepare(many(tables), engine="proceses")
    for jobs in (0, -1, 10**9, 1.5, True):
        with pytest.raises(UsageError, match="is not a number of processes. Give 1 to 1024"):
            prepare(many(tables), jobs=jobs)  # type: ignore[arg-type]
    for wrong in ([], ["a.csv"], "a.csv", [tables[0], tables[0]]):
        with pytest.raises(DefinitionError, match="ForEach"):
            ForEach(wrong)
    for step in (0, -1, True, 1.5):
        with pytest.raises(DefinitionError, match="write files_per_part=1 or more"):
            ForEach(tables, files_per_part=step)
    with pytest.raises(DefinitionError, match="samples=10_000"):
        ForEach(SplitOf("all"))
    with pytest.raises(DefinitionError, match="table and names are both ForEach"):
        Split(work.named, table=ForEach(tables), names=ForEach(tables), prefix="")


def test_in_dagster_a_split_in_parts_is_one_step_with_the_same_digest(tables: list[RemoteFile], home: Path) -> None:
    import dagster as dg
    from orchestrated import run, versions

    dataset = many(tables[:6], files_per_part=2)
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(dataset, instance, (home / "dagster").as_uri())
    here: Any = prepare(dataset, storage=MemoryStorage(), jobs=1)["all"]
    assert done.success and versions(done)["org/example/many/all"] == here.origin.index
    assert len(records(LocalStorage(home / "dagster"))) == 3
