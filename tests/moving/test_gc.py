"""Collecting: what is kept stays whole, what is not goes, whoever reads and writes meanwhile."""

import itertools
import logging
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import tiny
from children import ended, in_child
from folding import FoldingStorage
from released import STEPS, FailsOnce, Released, check_names, everything

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split, load, prepare
from dataset_assets.errors import (
    Conflict,
    DatasetAssetsError,
    NotPrepared,
    SplitFailed,
    StorageError,
    StoredFileDamaged,
)
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.storage import Entry, LocalStorage, MemoryStorage, Stat, Storage
from dataset_assets.storage.gc_lease import collecting, wait_for_collector
from dataset_assets.storage.keys import collector_key, contents, place_of, pointer_key
from dataset_assets.storage.manifest import sealed, unsealed
from dataset_assets.storage.pins import pin, pins, unpin
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.faults import failing

NOW = {"grace_seconds": 0}
SOON_OVER = {"grace_seconds": 0, "lease_seconds": 0.8}
OLD = 1_000_000.0


@pytest.fixture
def released(home: Path, fast_path: Path) -> Released:
    return Released(fast_path)


@pytest.fixture
def store(home: Path, released: Released) -> LocalStorage:
    return LocalStorage(home / "storage")


@pytest.fixture
def copied(store: LocalStorage, another: Storage) -> Storage:
    """Both versions, and the raw files, in a storage of each kind."""
    copy(None, store, another, versions="all", raw=True)
    return another


def versions(storage: Storage) -> set[str]:
    found, _ = contents(storage.list(""))
    return {place.digest for there in found.values() for place in there.of("version")}


def test_the_current_version_stays_and_the_old_one_goes(copied: Storage, released: Released):
    [done] = collect(copied, keep_versions=1, **NOW)
    assert done.kept == [released.new] and done.problem is None
    assert done.bytes > 0 and not any(map(copied.exists, done.removed))
    assert versions(copied) == {released.new}
    released.check(copied, may_be_absent=False)
    [again] = collect(copied, keep_versions=1, **NOW)
    assert again.removed == []


def test_a_collected_version_is_not_found_and_the_error_says_so(copied: Storage, released: Released):
    collect(copied, keep_versions=1, **NOW)
    with pytest.raises(NotPrepared, match="it was collected, it was never made there"):
        load(f"{tiny.NAME}@{released.old}", storage=copied)


def test_a_dry_run_says_the_same_and_changes_nothing(copied: Storage):
    before = everything(copied)
    [planned] = collect(copied, keep_versions=1, dry_run=True, **NOW)
    assert everything(copied) == before
    [done] = collect(copied, keep_versions=1, **NOW)
    assert (planned.removed, planned.bytes) == (done.removed, done.bytes)
    assert {*before} - {*everything(copied)} == {*done.removed}


def test_the_last_few_stay(copied: Storage, released: Released):
    collect(copied, keep_versions=2, **NOW)
    assert versions(copied) == {released.old, released.new}


def test_what_is_younger_than_the_grace_stays(copied: Storage):
    before = everything(copied)
    collect(copied, keep_versions=1, grace_seconds=3600)
    assert everything(copied) == before


def test_pinned_versions_stay_until_they_are_unpinned(copied: Storage, released: Released):
    pinned = f"{tiny.NAME}@{released.old}"
    pin(pinned, copied)
    collect(copied, keep_versions=1, **NOW)
    assert tiny.plain(load(pinned, storage=copied, verify="all")) == released.samples[released.old]
    unpin(pinned, copied)
    unpin(pinned, copied)
    assert pins(StoredDataset(copied, tiny.NAME)) == []
    collect(copied, keep_versions=1, **NOW)
    assert versions(copied) == {released.new}
    with pytest.raises(NotPrepared):
        pin(pinned, copied)


def test_provisional_bytes_go_after_the_grace_and_are_not_copied(home: Path, folder: Path, another: Storage):
    def numbers(table: BinaryIO) -> Iterator[object]:
        for line in table:
            yield {"n": int(line)}

    file = folder / "n.txt"
    splits = {"all": Split(numbers, table=RemoteFile(file.as_uri()))}
    dataset = Dataset("org.example.fresh", "Numbers.", {"n": Array()}, splits)
    store = LocalStorage(home / "storage")
    file.write_bytes(b"1\n")
    prepare(dataset)
    [proven] = [key for key in store.list("org/example/fresh/raw") if not key.endswith("source.json")]
    file.write_bytes(b"no number\n")
    with pytest.raises(SplitFailed):
        prepare(dataset)
    before = everything(store)
    copy(None, store, another, versions="all", raw=True)
    assert [key for key in another.list("org/example/fresh/raw")] == [proven]
    collect(store, keep_versions=1, grace_seconds=3600)
    assert everything(store) == before
    collect(store, keep_versions=1, **NOW)
    assert [*store.list("org/example/fresh/raw")] == [proven]
    file.write_bytes(b"1\n2\n")
    assert len(prepare(dataset)["all"]) == 2


def test_age_is_by_the_stores_clock(store: LocalStorage, released: Released):
    """What is old by it goes, what is young stays, wherever this machine's clock stands."""

    class Behind(LocalStorage):
        def stat(self, key: str) -> Stat:
            found = super().stat(key)
            return Stat(found.bytes, found.modified - OLD)

        def entries(self, prefix: str, deep: bool = True) -> Iterator[Entry]:
            for entry in super().entries(prefix, deep):
                yield entry._replace(modified=entry.modified - OLD)

    # By this machine's clock everything is twelve days old.
    behind = Behind(store.root)
    before = everything(store)
    assert collect(behind, keep_versions=1, dry_run=True)[0].removed
    collect(behind, keep_versions=1)
    assert everything(store) == before


def test_a_reader_keeps_the_version_that_it_opened(store: LocalStorage, released: Released):
    views = load(f"{tiny.NAME}@{released.old}")
    collect(store, keep_versions=1, **NOW)
    assert tiny.plain(views) == released.samples[released.old]


def test_a_reader_of_a_database_reads_on_or_is_told(copied: Storage, released: Released):
    views = load(f"{tiny.NAME}@{released.old}", storage=copied)
    collect(copied, keep_versions=1, **NOW)
    try:
        assert tiny.plain(views) == released.samples[released.old]
    except DatasetAssetsError as error:
        assert error.exit_code in (3, 4, 6)


STRANGERS = (
    f"registry/image/blobs/sha256/{'0' * 64}",
    f"registry/image/raw/camera/{'1' * 64}",
    "registry/image/raw/camera/source.json",
    "org/example/tiny/raw/camera/source.json",
)
"""Files of another program, with names such as we give."""


def test_files_of_others_that_look_like_ours_are_left(copied: Storage, caplog: pytest.LogCaptureFixture):
    for key in STRANGERS:
        copied.put(key, b'{"three": "years"}')
    found = collect(copied, keep_versions=1, **NOW)
    assert not {*STRANGERS} & {key for one in found for key in one.removed}
    assert all(map(copied.exists, STRANGERS))
    assert "says that dataset_assets made registry.image: it is left" in caplog.text


def test_what_a_killed_writer_left_goes_when_it_is_old(copied: Storage, released: Released):
    stray = f"org/example/tiny/train/text/{'0' * 64}.arrow"
    copied.put(stray, b"of a writer that was killed between data and index")
    collect(copied, keep_versions=1, grace_seconds=3600)
    assert copied.exists(stray)
    collect(copied, keep_versions=1, **NOW)
    assert not copied.exists(stray)


def test_files_of_a_young_index_stay_though_they_are_old(store: LocalStorage, released: Released):
    """A writer has stored its index, of files that were there for long, and not its version yet."""
    for key in store.list(""):
        os.utime(store.root / key, (0, 0))
    indexes = [key for key in store.list("") if (place := place_of(key)) and place.kind == "index"]
    index = next(key for key in indexes if key not in _current_keys(store))
    os.utime(store.root / index)
    store.delete(f"org/example/tiny/versions/{released.old}.json")
    collect(store, keep_versions=1)
    assert prepare(released.definitions[0])["train"].version == released.old
    released.check(store, may_be_absent=False)


def _current_keys(store: Storage) -> set[str]:
    index = load(tiny.NAME, storage=store)
    return {f"org/example/tiny/{split}/index/{view.origin.index}.json" for split, view in index.items()}  # type: ignore[attr-defined]


def test_a_dataset_whose_current_version_cannot_be_read_is_left(copied: Storage, released: Released):
    copied.put(pointer_key(tiny.NAME), b"damaged")
    before = everything(copied)
    [done] = collect(copied, keep_versions=1, **NOW)
    assert done.problem and "prepare" in done.problem
    assert everything(copied) == before


def test_what_is_no_datasets_is_left(copied: Storage):
    for key in ("README.md", "org/example/tiny/notes/x.txt", "meta/probe"):
        copied.put(key, b"somebody's own")
    collect(copied, keep_versions=1, **NOW)
    assert all(map(copied.exists, ("README.md", "org/example/tiny/notes/x.txt", "meta/probe")))


def test_names_that_are_not_there_are_an_error(another: Storage):
    with pytest.raises(NotPrepared):
        collect(another, ["org.example.tiny"])
    assert collect(another) == []


# Collectors and writers at once.


def test_who_releases_what_a_collector_is_removing_waits_and_does_not_release_it(
    store: LocalStorage, released: Released
):
    ended_with: list[BaseException | None] = []

    def writer() -> None:
        try:
            prepare(released.definitions[0])
            ended_with.append(None)
        except DatasetAssetsError as error:
            ended_with.append(error)

    thread = threading.Thread(target=writer)

    class Slow(LocalStorage):
        def delete(self, key: str) -> None:
            if not thread.ident:
                # The writer finds the old version's indexes and files, which are about to be removed, and makes none.
                thread.start()
                assert waits.wait(60) and ended_with == []
            super().delete(key)

    with waiting_for_a_collector() as waits:
        collect(Slow(store.root), keep_versions=1, grace_seconds=0, lease_seconds=60)
    thread.join()
    [error] = ended_with
    assert isinstance(error, (NotPrepared, StoredFileDamaged))
    assert load(tiny.NAME, verify="all")["train"].version == released.new
    assert prepare(released.definitions[0])["train"].version == released.old
    released.check(store, may_be_absent=False)


@contextmanager
def waiting_for_a_collector() -> Iterator[threading.Event]:
    """Give an event that is set when somebody says that it waits for the end of a collector."""
    waits, logger = threading.Event(), logging.getLogger("dataset_assets.storage.gc_lease")
    handler = logging.Handler()
    handler.emit = lambda record: waits.set()  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield waits
    finally:
        logger.removeHandler(handler)


def test_a_second_collector_is_told_that_there_is_one(copied: Storage):
    with collecting(StoredDataset(copied, tiny.NAME), 60) as hold:
        hold()
        looks = itertools.count()

        class Beating(FailsOnce):
            def get(self, key: str):  # noqa: ANN202
                if key == collector_key(tiny.NAME) and next(looks) > 0:
                    copied.put(key, os.urandom(8))
                return super().get(key)

        with pytest.raises(Conflict, match=f"Another collector is at work .*: process {os.getpid()} on "):
            collect(Beating(copied, 10**9, False), keep_versions=1, **NOW)


def test_a_collector_that_lost_its_note_stops(copied: Storage):
    with pytest.raises(Conflict), collecting(StoredDataset(copied, tiny.NAME), 0.8) as hold:
        copied.put(collector_key(tiny.NAME), b"another's")
        # At the latest when half of its time is over.
        for _ in range(600):
            hold()
            time.sleep(0.1)
    assert copied.exists(collector_key(tiny.NAME))


def kill_a_collector(store: Storage, seconds: float) -> None:
    def act() -> None:
        with collecting(StoredDataset(store, tiny.NAME), seconds):
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(act) == -signal.SIGKILL
    assert store.exists(collector_key(tiny.NAME))


def test_C4_the_note_of_a_collector_that_was_killed_on_this_machine_holds_nobody(
    store: LocalStorage, caplog: pytest.LogCaptureFixture
):
    kill_a_collector(store, 600)
    began = time.monotonic()
    wait_for_collector(StoredDataset(store, tiny.NAME))
    assert time.monotonic() - began < 60
    assert re.search(r"process \d+ on \S+ did not finish collecting org.example.tiny", caplog.text)
    collect(store, keep_versions=1, grace_seconds=0)
    assert not store.exists(collector_key(tiny.NAME))


UNKNOWN = {
    "another machine": {"machine": "another", "host": "far"},
    "a machine that was rebooted": {"machine": "00000000-0000"},
}


@pytest.mark.parametrize("owner", UNKNOWN)
def test_C4_the_note_of_a_collector_of_which_nothing_is_known_is_believed_for_a_while_only(
    store: LocalStorage, owner: str, caplog: pytest.LogCaptureFixture
):
    kill_a_collector(store, 0.5)
    key = collector_key(tiny.NAME)
    note = unsealed(store.get(key).read(), key, tiny.NAME)
    note["owner"] |= UNKNOWN[owner]
    store.put(key, sealed(note))
    began = time.monotonic()
    wait_for_collector(StoredDataset(store, tiny.NAME))
    assert 0.4 < time.monotonic() - began < 60
    assert f"process {note['owner']['process']} on {note['owner']['host']} is collecting" in caplog.text
    collect(store, keep_versions=1, **NOW)
    assert not store.exists(key)


def test_C4_a_collector_whose_number_another_process_has_holds_nobody(store: LocalStorage):
    kill_a_collector(store, 600)
    key = collector_key(tiny.NAME)
    note = unsealed(store.get(key).read(), key, tiny.NAME)
    note["owner"]["process"] = os.getpid()
    store.put(key, sealed(note))
    began = time.monotonic()
    wait_for_collector(StoredDataset(store, tiny.NAME))
    assert time.monotonic() - began < 60


def test_C4_a_collector_that_was_stopped_until_others_went_on_removes_nothing_more(copied: Storage):
    """Its lease is abandoned, and it goes on after that."""
    stored = StoredDataset(copied, tiny.NAME)
    before = everything(copied)

    class Stopped(FailsOnce):
        """Stops its process once the lease is written, until another process went on."""

        stopped = False

        def delete(self, key: str) -> None:
            raise AssertionError(f"{key} was removed")

        def swap(self, key: str, new: bytes, expected: str | None) -> bool:
            done = super().swap(key, new, expected)
            if not self.stopped:
                self.stopped = True
                wait_for_collector(stored)
            return done

    with pytest.raises(Conflict, match="took over"):
        collect(Stopped(copied, 10**9, False), keep_versions=1, **SOON_OVER)
    assert {key: data for key, data in everything(copied).items() if key in before} == before
    collect(copied, keep_versions=1, **NOW)
    assert not copied.exists(collector_key(tiny.NAME))


def test_a_collector_that_looks_for_long_keeps_its_lease(copied: Storage):
    with collecting(StoredDataset(copied, tiny.NAME), 0.5) as hold:
        seen = set()
        until = time.monotonic() + 60
        while len(seen) < 5 and time.monotonic() < until:
            seen.add(copied.get(collector_key(tiny.NAME)).read())
            time.sleep(0.02)
        hold()
    assert len(seen) > 4


def test_C4_the_note_of_a_collector_that_was_killed_at_its_end_goes_with_the_next_one(store: LocalStorage):
    collect(store, keep_versions=1, **NOW)
    kill_a_collector(store, 600)
    [done] = collect(store, keep_versions=1, dry_run=True, **NOW)
    assert done.removed == [] and store.exists(collector_key(tiny.NAME))
    [done] = collect(store, keep_versions=1, **NOW)
    assert done.removed == [] and not store.exists(collector_key(tiny.NAME))


def test_C4_a_note_that_is_empty_is_believed_for_a_while_only(store: LocalStorage):
    store.put(collector_key(tiny.NAME), b"")
    began = time.monotonic()
    collect(store, keep_versions=1, **SOON_OVER)
    assert 0.7 < time.monotonic() - began < 60
    assert not store.exists(collector_key(tiny.NAME))


@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_at_any_removal_all_that_is_kept_is_whole_and_a_second_run_ends_it(
    store: LocalStorage, released: Released, fast_path: Path, step: int
):
    before = everything(store)
    clean = LocalStorage(fast_path / "clean")
    shutil.copytree(store.root, clean.root)
    collect(clean, keep_versions=1, **NOW)
    for n in itertools.count(1, step):
        one = LocalStorage(fast_path / "one")
        shutil.copytree(store.root, one.root)

        def act(n: int = n, one: LocalStorage = one) -> None:
            with failing(n, "kill"):
                collect(one, keep_versions=1, **NOW)

        died = in_child(act)
        assert died in (0, -signal.SIGKILL)
        assert tiny.plain(load(tiny.NAME, storage=one.root, verify="all")) == released.samples[released.new]
        left = everything(one)
        # Nothing that is left names what is gone.
        copy_of_all = LocalStorage(fast_path / "copy")
        copy(None, one, copy_of_all, versions="all")
        assert {key: left[key] for key in left if key in before} == {key: before[key] for key in left if key in before}
        collect(one, keep_versions=1, **NOW)
        assert everything(one) == everything(clean)
        shutil.rmtree(one.root)
        shutil.rmtree(copy_of_all.root)
        if died == 0:
            break
    assert n > 15


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_after_any_failing_call_all_that_is_kept_is_whole(copied: Storage, released: Released, after: bool, step: int):
    whole = everything(copied)
    for n in itertools.count(1, step):
        for key in {*whole} - {*copied.list("")}:
            copied.put(key, whole[key])
        once = FailsOnce(copied, n, after)
        try:
            collect(once, keep_versions=1, **NOW)
        except StorageError:
            assert once.tripped
        copied.delete(collector_key(tiny.NAME))
        released.check(copied, may_be_absent=False)
        if not once.tripped:
            break
    assert versions(copied) == {released.new}
    assert n > 20


def test_collectors_and_writers_at_once_never_leave_a_damaged_version(store: LocalStorage, released: Released):
    """Without any grace, so that what writers store is taken from under them: they may fail, readers may not."""
    until = time.monotonic() + 6

    def collector() -> None:
        while time.monotonic() < until:
            collect(store, keep_versions=1, grace_seconds=0, lease_seconds=20)

    def writer(k: int) -> None:
        while time.monotonic() < until:
            for definition in (released.definitions[k], released.definitions[1 - k]):
                try:
                    prepare(definition)
                except DatasetAssetsError as error:
                    assert error.exit_code in (3, 4, 6, 7), error

    children = [in_child(collector, wait=False), *(in_child(lambda k=k: writer(k), wait=False) for k in (0, 1))]
    seen = 0
    while time.monotonic() < until or seen < 6:
        try:
            views = load(tiny.NAME)
            assert tiny.plain(views) == released.samples[str(views["train"].version)]
            seen += 1
        except DatasetAssetsError as error:
            # Between the pointer and the files somebody collected the version; it was current a moment ago.
            assert error.exit_code in (3, 4)
    assert [ended(child) for child in children] == [0, 0, 0]
    released.check(store, may_be_absent=False)
    assert prepare(released.definitions[0])["train"].version == released.old
    released.check(store, may_be_absent=False)
    check_names(store)


def test_it_works_on_servers(store: LocalStorage, remote: Storage, released: Released):
    copy(None, store, remote, versions="all", raw=True)
    [done] = collect(remote, keep_versions=1, grace_seconds=0)
    assert done.kept == [released.new] and done.removed
    assert tiny.plain(load(tiny.NAME, storage=remote, verify="all")) == released.samples[released.new]
    collect(remote, keep_versions=1, grace_seconds=3600)


def test_two_thousand_objects_take_little_of_a_processor(store: LocalStorage):
    folder = store.root / "org/example/tiny/train/text"
    for i in range(2_000):
        (folder / f"{i:064x}.arrow").write_bytes(b"")
    began = time.process_time()
    [done] = collect(store, keep_versions=1, grace_seconds=0)
    assert len(done.removed) > 2_000
    assert time.process_time() - began < 5  # about 0.3


# A disk that does not tell cases apart.


def counted(numbers: list[int], stream: str) -> Iterator[Columns]:
    yield Columns(**{stream: np.array(numbers)})


@pytest.mark.parametrize("renamed", [("Train", "train"), ("TRAIN", "Train")])
def test_on_a_disk_that_folds_case_a_renamed_split_or_stream_stays(
    home: Path, fast_path: Path, renamed: tuple[str, str]
) -> None:
    storage = FoldingStorage(fast_path / "folding")
    for name, numbers in zip(renamed, ([1, 2], [3, 4, 5])):
        stream = f"{name}_x"
        splits = {name: Split(counted, numbers=numbers, stream=stream)}
        prepare(Dataset("org.example.folded", "Numbers.", {stream: Array("int64")}, splits), storage=storage)
        for done in collect(storage, keep_versions=1, **NOW):
            assert done.problem is None
        found = load("org.example.folded", storage=storage, verify="all")
        assert {split: view.to_numpy()[stream].tolist() for split, view in found.items()} == {name: numbers}


# A writer that stands still for a week.


class Stopping(MemoryStorage):
    """Before the n-th call that writes, a week passes, and somebody collects."""

    stop_at = 0

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.aged = 0, dict[str, float]()

    def put(self, key: str, source: Path | bytes) -> None:
        self._stop()
        super().put(key, source)
        self.aged.pop(key, None)

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        self._stop()
        self.aged.pop(key, None)
        return super().swap(key, new, expected)

    def stat(self, key: str) -> Stat:
        found = super().stat(key)
        return found._replace(modified=found.modified - self.aged.get(key, 0))

    def _stop(self) -> None:
        self.calls += 1
        if self.calls == self.stop_at:
            self.stop_at = 0
            self.aged = dict.fromkeys(self.list(""), 7 * 86_400.0)
            for done in collect(self, keep_versions=1, grace_seconds=86_400):
                assert done.problem is None


@pytest.mark.parametrize("verb", ["prepare", "copy", "pin"])
def test_a_writer_that_stands_still_for_a_week_before_any_call_leaves_a_whole_version(
    verb: str, store: LocalStorage, released: Released
) -> None:
    for n in itertools.count(1):
        storage = Stopping()
        # The old version is current and the new one is on its way, or stored beside it to be pinned.
        prepare(released.definitions[0], storage=storage)
        if verb == "pin":
            copy(f"{tiny.NAME}@{released.new}", store, storage)
        storage.calls, storage.stop_at = 0, n
        with suppress(NotPrepared, StorageError, StoredFileDamaged, Conflict):
            if verb == "prepare":
                prepare(released.definitions[1], storage=storage)
            elif verb == "copy":
                copy(tiny.NAME, store, storage, make_current=True)
            else:
                pin(f"{tiny.NAME}@{released.new}", storage)
        if storage.stop_at:
            assert n > (1 if verb == "pin" else 7)
            break
        assert load(tiny.NAME, storage=storage, verify="all")
        for digest in pins(StoredDataset(storage, tiny.NAME)):
            assert load(f"{tiny.NAME}@{digest}", storage=storage, verify="all")
        for done in collect(storage, keep_versions=1, grace_seconds=86_400):
            assert done.problem is None


def test_the_note_of_a_recipe_whose_index_never_came_goes() -> None:
    dataset = Dataset("org.example.numbers", "Numbers.", {"n": Array()}, {"all": Split(three_numbers)})
    prepare(dataset, storage=(storage := MemoryStorage()))
    note = next(key for key in storage.list("") if place_of(key).kind == "recipe")  # type: ignore[union-attr]
    with storage.get(note) as file:
        storage.put(lonely := re.sub(r"index/[0-9a-f]{64}", f"index/{'1' * 64}", note), file.read())
    (found,) = collect(storage, **NOW)
    assert found.removed == [lonely] and storage.exists(note)


def three_numbers() -> Iterator[dict[str, int]]:
    yield from ({"n": n} for n in range(3))
