"""Copying: what arrives is what was sent, whatever fails in between, and however many copy at once."""

import itertools
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from released import STEPS, FailsOnce, Released, check_names, everything

from dataset_assets import Array, Dataset, Split, load, prepare
from dataset_assets.core.progress import watched_by
from dataset_assets.errors import (
    CheckFailed,
    Conflict,
    DigestMismatch,
    NotPrepared,
    StorageError,
    StoredFileDamaged,
    UsageError,
)
from dataset_assets.moving.copy import copy
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.pins import pin, pins
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.faults import failing


@pytest.fixture
def released(home: Path, fast_path: Path) -> Released:
    return Released(fast_path)


@pytest.fixture
def source(home: Path, released: Released) -> Storage:
    return LocalStorage(home / "storage")


def test_the_current_version_arrives_whole_and_is_current(source: Storage, another: Storage, released: Released):
    [done] = copy(tiny.NAME, source, another)
    assert (done.versions, done.current) == ((released.new,), released.new)
    assert tiny.plain(load(tiny.NAME, storage=another, verify="all")) == released.samples[released.new]
    with pytest.raises(NotPrepared):
        load(f"{tiny.NAME}@{released.old}", storage=another)


def test_all_with_raw_is_all_there_is(source: Storage, another: Storage):
    copy(None, source, another, versions="all", raw=True)
    assert everything(another) == everything(source)


def test_what_was_copied_with_raw_files_is_prepared_without_any_work(
    source: Storage, another: Storage, released: Released, fast_path: Path
):
    copy(tiny.NAME, source, another, raw=True)
    shutil.rmtree(fast_path / "new")
    before = everything(another)
    assert prepare(released.definitions[1], storage=another)["train"].version == released.new
    assert everything(another) == before


def test_a_pinned_name_copies_that_version_and_moves_no_pointer(source: Storage, another: Storage, released: Released):
    [done] = copy(f"{tiny.NAME}@{released.old}", source, another)
    assert done.current is None
    assert tiny.plain(load(f"{tiny.NAME}@{released.old}", storage=another)) == released.samples[released.old]
    with pytest.raises(NotPrepared):
        load(tiny.NAME, storage=another)


def test_pinned_versions_come_with_their_pins(source: Storage, another: Storage, released: Released):
    pin(f"{tiny.NAME}@{released.old}", source)
    copy(tiny.NAME, source, another, versions="pinned")
    assert pins(StoredDataset(another, tiny.NAME)) == [released.old]
    assert load(f"{tiny.NAME}@{released.old}", storage=another, verify="all")


def test_a_second_copy_moves_only_what_is_missing(source: Storage, another: Storage):
    [first] = copy(tiny.NAME, source, another)
    [second] = copy(tiny.NAME, source, another)
    assert (second.files, second.bytes, second.present) == (0, 0, first.files)
    lost = next(key for key in another.list("") if "/text/" in key)
    another.delete(lost)
    [third] = copy(tiny.NAME, source, another)
    assert third.files == 1 and another.exists(lost)


def test_progress_reaches_the_bytes_that_were_copied(source: Storage, another: Storage):
    seen: list[tuple[str, int, int | None]] = []
    with watched_by(lambda *told: seen.append(told)):
        [done] = copy(tiny.NAME, source, another)
    assert seen[-1] == (tiny.NAME, done.bytes, done.bytes)
    assert [some for _, some, _ in seen] == sorted(some for _, some, _ in seen)


def test_a_damaged_file_is_not_copied_and_nothing_is_released(source: Storage, another: Storage):
    key = next(key for key in source.list("") if "/text/" in key)
    with source.get(key) as file:
        data = bytearray(file.read())
    data[-1] ^= 1
    source.put(key, bytes(data))
    with pytest.raises(DigestMismatch, match=rf"{key} in .* has sha256 .*verify --repair {tiny.NAME}"):
        copy(tiny.NAME, source, another, versions="all")
    with pytest.raises(NotPrepared):
        load(tiny.NAME, storage=another)
    source.delete(key)
    with pytest.raises(StoredFileDamaged, match="is gone"):
        copy(tiny.NAME, source, another, versions="all")


def test_a_copy_onto_itself_or_of_nothing_is_refused(source: Storage, another: Storage):
    with pytest.raises(UsageError, match="both where"):
        copy(tiny.NAME, source, source)
    with pytest.raises(NotPrepared):
        copy(tiny.NAME, another, source)
    with pytest.raises(UsageError, match="versions="):
        copy(tiny.NAME, source, another, versions="some")  # type: ignore[arg-type]


def test_copies_at_once_converge(source: Storage, another: Storage, released: Released):
    failed: list[BaseException] = []

    def act() -> None:
        try:
            copy(tiny.NAME, source, another)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=act) for _ in range(4)]
    [thread.start() for thread in threads]  # type: ignore[func-returns-value]
    [thread.join() for thread in threads]  # type: ignore[func-returns-value]
    assert failed == []
    assert load(tiny.NAME, storage=another, verify="all")["train"].version == released.new
    check_names(another)


def test_who_released_another_version_meanwhile_is_not_overwritten(
    source: Storage, fast_path: Path, released: Released
):
    class Overtaken(LocalStorage):
        def swap(self, key: str, new: bytes, expected: str | None) -> bool:
            prepare(released.definitions[0], storage=self.root)
            return super().swap(key, new, expected)

    with pytest.raises(Conflict):
        copy(tiny.NAME, source, Overtaken(fast_path / "overtaken"))
    assert load(tiny.NAME, storage=fast_path / "overtaken")["train"].version == released.old  # type: ignore[call-overload]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", ["EIO", "ENOSPC", "short-ENOSPC"])
def test_after_any_failing_write_the_target_is_whole_and_a_second_copy_ends_it(
    source: Storage, fast_path: Path, released: Released, fault, step: int
):
    for n in itertools.count(1, step):
        target = LocalStorage(fast_path / "target")
        with failing(n, fault) as calls:
            try:
                copy(tiny.NAME, source, target)
            except StorageError as error:
                assert "again" in str(error)
        released.check(target)
        _ends(source, target, released)
        if not calls.tripped:
            break
    assert n > 50


def _ends(source: Storage, target: LocalStorage, released: Released) -> None:
    copy(tiny.NAME, source, target)
    assert load(tiny.NAME, storage=target, verify="all")["train"].version == released.new
    check_names(target)
    assert [*(target.root / ".scratch").iterdir()] == []
    shutil.rmtree(target.root)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_after_any_failing_call_of_the_target_it_is_whole_and_a_second_copy_ends_it(
    source: Storage, another: Storage, released: Released, after: bool, step: int
):
    for n in itertools.count(1, step):
        for key in [*another.list("")]:
            another.delete(key)
        failing_once = FailsOnce(another, n, after)
        try:
            copy(tiny.NAME, source, failing_once)
        except StorageError:
            assert failing_once.tripped
        released.check(another)
        copy(tiny.NAME, source, another)
        released.check(another, may_be_absent=False)
        if not failing_once.tripped:
            break
    assert n > 20


def test_it_goes_to_servers_and_back(source: Storage, remote: Storage, released: Released, fast_path: Path):
    copy(tiny.NAME, source, remote, versions="all", raw=True)
    copy(None, remote, fast_path / "back", versions="all", raw=True)
    assert everything(LocalStorage(fast_path / "back")) == everything(source)


def test_all_are_copied_but_those_that_were_never_released(home: Path) -> None:
    def one() -> Iterator[Any]:
        yield {"n": 1}

    here, there = MemoryStorage(), MemoryStorage()
    good = Dataset("org.example.good", "x.", {"n": Array("int64")}, {"all": Split(one)})
    prepare(good, storage=here)
    with pytest.raises(CheckFailed):
        prepare(replace(good, name="org.example.never", checks={"mine": lambda views: "no"}), storage=here)
    assert [done.dataset for done in copy(None, here, there)] == ["org.example.good"]
