"""Removing: a dataset is absent or whole, whatever stops it; what depends on it is named; what is kept needs force."""

import itertools
import os
import shutil
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import tiny
from children import ended, in_child
from released import FailsOnce, Released, everything

from dataset_assets import Dataset, load, prepare
from dataset_assets.core.canonical import canonical, digest_of
from dataset_assets.core.progress import watched_by
from dataset_assets.errors import (
    Conflict,
    DatasetAssetsError,
    DecodeError,
    NameNotAllowed,
    NewerFormat,
    NotPrepared,
    Refused,
    StorageError,
    UsageError,
)
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.rm import rm
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.aliases import write_aliases
from dataset_assets.storage.gc_lease import collecting
from dataset_assets.storage.keys import alias_key, collector_key, pointer_key, version_key
from dataset_assets.storage.manifest import pointer_to
from dataset_assets.storage.pins import pin
from dataset_assets.storage.stored_dataset import StoredDataset

ALIAS = "org.example.little"
NAME = tiny.NAME


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp("released")
    return Released(folder, LocalStorage(folder / "source"))


@pytest.fixture(scope="module")
def source(released: Released) -> Storage:
    """Both versions, the old one pinned, their raw files and an alias."""
    found = released.storage
    assert isinstance(found, LocalStorage)
    pin(f"{NAME}@{released.old}", found)
    write_aliases(StoredDataset(found, NAME), [ALIAS])
    return found


def filled(source: Storage, target: Storage) -> Storage:
    copy(None, source, target, versions="all", raw=True, aliases=True)
    return target


def check(released: Released, storage: Storage) -> None:
    """See that each name is absent or whole."""
    for name in (NAME, ALIAS, f"{NAME}@{released.old}", f"{NAME}@{released.new}"):
        try:
            views = load(name, storage=storage, verify="all")
        except NotPrepared:
            continue
        assert tiny.plain(views) == released.samples[str(views["train"].version)]  # type: ignore[attr-defined]


def test_all_of_a_dataset_goes_and_nothing_else(source: Storage, another: Storage, released: Released) -> None:
    foreign = {"org/example/tiny/notes/x.txt": b"mine", "org/example/tinier/raw/a/source.json": b"{}", "README": b""}
    for key, data in foreign.items():
        another.put(key, data)
    filled(source, another)
    before = everything(another)
    dry = rm(NAME, another, dry_run=True)
    assert everything(another) == before
    seen: list[Any] = []
    with watched_by(lambda *said: seen.append(said)):
        done = rm(NAME, another)
    assert (done.removed, done.bytes, done.depends) == (dry.removed, dry.bytes, dry.depends)
    assert done.removed[:2] == [pointer_key(NAME), alias_key(ALIAS)] and done.current is None
    assert everything(another) == foreign and {*done.removed} == {*before} - {*foreign}
    assert done.bytes == sum(len(before[key]) for key in done.removed)
    assert seen[-1] == (NAME, len(done.removed), len(done.removed))
    for name in (NAME, ALIAS):
        with pytest.raises(NotPrepared):
            load(name, storage=another)
    with pytest.raises(NotPrepared, match="dataset-assets ls"):
        rm(NAME, another)


class FailsToChange(FailsOnce):
    """Fails at the n-th removal or swap."""

    def _call(self, verb: str, *arguments: Any) -> Any:
        changes = verb in ("delete", "swap")
        return super()._call(verb, *arguments) if changes else getattr(self.storage, verb)(*arguments)


def test_all_of_a_dataset_goes_from_a_server(source: Storage, remote: Storage) -> None:
    filled(source, remote)
    assert len(load(ALIAS, storage=remote)["train"]) == 6
    rm(NAME, remote)
    assert [*remote.list("")] == []


@pytest.mark.parametrize("name", [NAME, f"{NAME}@new", f"{NAME}/raw/numbers_csv"])
def test_a_removal_that_fails_at_any_change_leaves_all_whole_or_absent_and_goes_on(
    name: str, source: Storage, released: Released
) -> None:
    name = name.replace("@new", f"@{released.new}")
    full, clean = everything(filled(source, MemoryStorage())), filled(source, MemoryStorage())
    rm(name, clean, force=True)
    for n, after in itertools.product(range(1, 100), (False, True) if name == NAME else (False,)):
        storage = of(full)
        failing = FailsToChange(storage, n, after)
        with suppress(StorageError):
            rm(name, failing, force=True)
        check(released, storage)
        # All that it was to remove may be gone; of a version, files may be left that gc removes.
        with suppress(NotPrepared):
            rm(name, storage, force=True)
        check(released, storage)
        if "@" in name:
            collect(storage, grace_seconds=0)
        left = {key: data for key, data in everything(storage).items() if key != collector_key(NAME)}
        assert left == everything(clean), (n, after)
        if not failing.tripped:
            break
    assert n > 3 and not failing.tripped


def of(objects: dict[str, bytes]) -> MemoryStorage:
    found = MemoryStorage()
    for key, data in objects.items():
        found.put(key, data)
    return found


def test_what_depends_on_a_dataset_is_named_before_it_goes(
    source: Storage, released: Released, home: Path, fast_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = LocalStorage(fast_path / "there")
    filled(source, storage)
    raw = next(storage.root.glob("org/example/tiny/raw/numbers_csv/[0-9a-f]*"))
    user = tiny.small(raw.as_uri())
    made_of_it = Dataset("org.example.user", user.summary, dict(user.streams), dict(user.splits))
    version = prepare(made_of_it, storage=storage)["train"].version  # type: ignore[attr-defined]

    class Watched(LocalStorage):
        def delete(self, key: str) -> None:
            assert f"org.example.user@{version} was made of it." in caplog.text
            super().delete(key)

    done = rm(NAME, Watched(storage.root))
    assert done.depends == [
        f"{NAME}@{released.old} is pinned.",
        f"{ALIAS} is an alias of {NAME}.",
        f"org.example.user@{version} was made of it.",
    ]
    assert load("org.example.user", storage=storage, verify="all")


def test_the_current_version_goes_only_by_force_and_the_newest_whole_one_becomes_current(
    source: Storage, another: Storage, released: Released
) -> None:
    filled(source, another)
    before = everything(another)
    for digest, why in ((released.new, "the current version"), (released.old, "pinned")):
        with pytest.raises(Refused, match=rf"{why}\. .*: dataset-assets rm --force {NAME}@{digest}"):
            rm(f"{NAME}@{digest}", another)
    assert everything(another) == before
    done = rm(f"{NAME}@{released.new}", another, force=True)
    assert done.current == released.old
    assert tiny.plain(load(ALIAS, storage=another, verify="all")) == released.samples[released.old]
    with pytest.raises(NotPrepared, match="There is no version"):
        rm(f"{NAME}@{released.new}", another, force=True)
    # The files of the old version are all that is left, and the raw files that were retrieved last.
    collected = collect(another, keep_versions=1, grace_seconds=0)
    assert [key for one in collected for key in one.removed] == []
    last = rm(f"{NAME}@{released.old}", another, force=True)
    assert last.current is None and last.removed[0] == pointer_key(NAME)
    assert {key.split("/")[3] for key in everything(another) if key.startswith("org")} == {"raw"}


def test_a_damaged_or_refused_version_does_not_become_current(source: Storage, released: Released) -> None:
    storage = filled(source, MemoryStorage())
    version = StoredDataset(storage, NAME).version(released.old)
    storage.delete(_stream_of(storage, version))
    done = rm(f"{NAME}@{released.new}", storage, force=True)
    assert done.current is None and not storage.exists(pointer_key(NAME))


def _stream_of(storage: Storage, version: Any) -> str:
    index = StoredDataset(storage, NAME).index("train", version.splits["train"])
    return index.key_of("text", index.streams["text"].files[0])


def test_a_raw_file_that_a_version_is_made_of_goes_only_by_force_and_is_not_downloaded_in_vain(
    source: Storage, another: Storage, released: Released
) -> None:
    filled(source, another)
    file = f"{NAME}/raw/numbers_csv"
    with pytest.raises(Refused, match=rf"Version \w+ of {NAME} is made of {file} and 1 more.*rm --force {file}"):
        rm(file, another)
    done = rm(file, another, force=True)
    assert len(done.removed) == 2 and done.current == released.new
    assert not any("numbers_csv" in key and "source" not in key for key in another.list("org/example/tiny/raw"))
    check(released, another)
    before = everything(another)
    assert prepare(released.definitions[1], storage=another)["train"].version == released.new  # type: ignore[attr-defined]
    assert everything(another) == before
    with pytest.raises(NotPrepared):
        rm(file, another, force=True)
    for name in (released.old, released.new):
        rm(f"{NAME}@{name}", another, force=True)
    # Nothing is made of it any more.
    assert rm(f"{NAME}/raw/numbers_csv", another).removed == ["org/example/tiny/raw/numbers_csv/source.json"]
    with pytest.raises(NotPrepared):
        rm(f"{NAME}/raw/numbers", another)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        (
            ALIAS,
            UsageError,
            rf"{ALIAS} is an alias of {NAME}\. Nothing was removed\. .*: dataset-assets rm {NAME}\Z",
        ),
        (f"{ALIAS}/raw/numbers_csv", UsageError, rf": dataset-assets rm {NAME}/raw/numbers_csv\Z"),
        (f"{ALIAS}@{'0' * 64}", UsageError, rf": dataset-assets rm {NAME}@{'0' * 64}\Z"),
        ("org.example.other", NotPrepared, r"dataset-assets ls\Z"),
        (f"{NAME}@{'0' * 64}", NotPrepared, rf"dataset-assets versions {NAME}\Z"),
        (f"{NAME}/raw/number_csv", NotPrepared, "Did you mean 'numbers_csv'"),
        ("org.example.mails[to=a/raw/b@c]", NotPrepared, r"mails\[to=a%2Fraw%2Fb%40c\] is not in"),
        (f"{NAME}/raw/../x", NameNotAllowed, f"dataset-assets info {NAME}$"),
        (f"{NAME}/raw/", NameNotAllowed, "is not the name of a raw file"),
        (f"{NAME}/train", NameNotAllowed, "is not a qualified name"),
        ("../../etc", NameNotAllowed, "is not a qualified name"),
    ],
)
def test_what_cannot_be_removed_is_said_and_nothing_goes(
    name: str, error: type[Exception], said: str, source: Storage
) -> None:
    storage = filled(source, MemoryStorage())
    before = everything(storage)
    with pytest.raises(error, match=said):
        rm(name, storage, force=True)
    assert everything(storage) == before


# Damage


DAMAGES = {
    "a truncated pointer": lambda keys: {pointer_key(NAME): b'{"version": "'},
    "no pointer": lambda keys: {pointer_key(NAME): None},
    "truncated versions": lambda keys: {key: b"{" for key in keys if "/versions/" in key},
    "no indexes": lambda keys: {key: None for key in keys if "/index/" in key},
    "truncated records and pins": lambda keys: {key: b"" for key in keys if "source" in key or "/pins/" in key},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_dataset_goes(damage: str, source: Storage) -> None:
    storage = filled(source, MemoryStorage())
    for key, data in DAMAGES[damage]([*storage.list("")]).items():  # type: ignore[no-untyped-call]
        storage.delete(key) if data is None else storage.put(key, data)
    rm(NAME, storage)
    assert everything(storage) == {}


def test_a_damaged_pointer_may_have_named_the_version_and_a_newer_one_is_left(
    source: Storage, released: Released
) -> None:
    storage = filled(source, MemoryStorage())
    storage.put(pointer_key(NAME), b'{"version": "')
    with pytest.raises(DecodeError, match=f"dataset-assets prepare {NAME}"):
        rm(f"{NAME}@{released.new}", storage)
    assert rm(f"{NAME}@{released.new}", storage, force=True).current == released.old
    check(released, storage)
    newer = {"version": released.old, "format": 2}
    storage.put(pointer_key(NAME), canonical({**newer, "seal": digest_of(newer)}))
    for name in (NAME, f"{NAME}@{released.old}"):
        with pytest.raises(NewerFormat):
            rm(name, storage, force=True)


def test_files_that_a_damaged_version_may_name_stay(source: Storage, released: Released) -> None:
    storage = filled(source, MemoryStorage())
    storage.put(version_key(NAME, released.new), b"{")
    before = {*storage.list("")}
    done = rm(f"{NAME}@{released.old}", storage, force=True)
    assert [key.split("/")[3] for key in done.removed] == ["meta", "versions"]
    assert before - {*storage.list("")} == {*done.removed}


# Links, rights, and others at the same time


@pytest.mark.parametrize("part", ["org/example/tiny", "org", "org/example/tiny/train", "org/example/tiny/current.json"])
@pytest.mark.parametrize("inside", [True, False])
def test_nothing_goes_through_a_link(source: Storage, fast_path: Path, part: str, inside: bool) -> None:
    storage = LocalStorage(fast_path / "there")
    filled(source, storage)
    real = (storage.root if inside else fast_path) / "elsewhere"
    shutil.move(storage.root / part, real)
    (storage.root / part).symlink_to(real)
    files = {path for path in fast_path.rglob("*") if path.is_file()}
    for name in (NAME, f"{NAME}/raw/numbers_csv"):
        with pytest.raises((Refused, StorageError), match="link|list"):
            rm(name, storage, force=True)
    left = {path for path in fast_path.rglob("*") if path.is_file() and not path.name.endswith(".lock")}
    assert {path for path in files if not path.name.endswith(".lock")} <= left


def test_a_storage_that_cannot_be_written_to_is_an_error_and_stays(source: Storage) -> None:
    storage = filled(source, MemoryStorage())
    before = everything(storage)
    with pytest.raises(StorageError, match="read-only"):
        rm(NAME, _ReadOnly(storage))
    assert everything(storage) == before


class _ReadOnly(FailsOnce):
    def __init__(self, storage: Storage) -> None:
        super().__init__(storage, 0, False)

    def _call(self, verb: str, *arguments: Any) -> Any:
        if verb in ("put", "swap", "delete"):
            raise StorageError(30, "The storage is read-only. Name another one.")
        return getattr(self.storage, verb)(*arguments)


def test_a_removal_waits_for_a_collector(source: Storage) -> None:
    storage = filled(source, MemoryStorage())
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(rm(NAME, storage)))
    with collecting(StoredDataset(storage, NAME), 60):
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() and storage.exists(pointer_key(NAME))
    thread.join()
    assert len(done) == 1 and everything(storage) == {}


@pytest.mark.parametrize("others", [True, False])
def test_a_version_that_is_released_meanwhile_stays_current(source: Storage, released: Released, others: bool) -> None:
    storage = filled(source, MemoryStorage())
    if not others:
        rm(f"{NAME}@{released.old}", storage, force=True)
    moved = pointer_to("0" * 64)

    class Moving(FailsOnce):
        def get(self, key: str) -> BinaryIO:
            # Records are read after the pointer.
            if key.endswith("source.json") and storage.exists(collector_key(NAME)):
                storage.put(pointer_key(NAME), moved)
            return super().get(key)

    before = everything(storage)
    with pytest.raises(Conflict, match=rf"dataset-assets versions {NAME}\Z"):
        rm(f"{NAME}@{released.new}", Moving(storage, 0, False), force=True)
    assert everything(storage) == {**before, pointer_key(NAME): moved}


def test_a_release_during_a_removal_is_whole_or_refused(source: Storage, released: Released, home: Path) -> None:
    storage = MemoryStorage()
    filled(source, storage)
    ended: list[BaseException | None] = []

    def release() -> None:
        try:
            prepare(released.definitions[0], storage=storage)
            ended.append(None)
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=release)

    class Slow(FailsOnce):
        def delete(self, key: str) -> None:
            if not thread.ident:
                thread.start()
                thread.join(0.3)
            super().delete(key)

    rm(NAME, Slow(storage, 0, False))
    thread.join()
    assert ended == [None] or isinstance(ended[0], DatasetAssetsError), ended
    check(released, storage)
    assert prepare(released.definitions[0], storage=storage)
    check(released, storage)


def test_a_file_that_is_gone_takes_the_lease_of_a_killed_removal_with_it(source: Storage, fast_path: Path) -> None:
    storage = filled(source, LocalStorage(fast_path / "storage"))
    name, lease = f"{NAME}/raw/numbers_csv", collector_key(NAME)
    rm(name, storage, force=True)
    process = in_child(lambda: left_by_a_kill(storage), wait=False)
    assert ended(process) == -signal.SIGKILL and storage.exists(lease)
    with pytest.raises(NotPrepared):
        rm(name, storage, dry_run=True)
    assert storage.exists(lease)
    with pytest.raises(NotPrepared):
        rm(name, storage)
    assert not storage.exists(lease)


def left_by_a_kill(storage: Storage) -> None:
    with collecting(StoredDataset(storage, NAME), 0.2):
        os.kill(os.getpid(), signal.SIGKILL)
