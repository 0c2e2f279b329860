"""Listings that are cut, and parts that are refused or gone: nothing that is needed is removed, left out or hidden."""

import errno
import os
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from children import ended, in_child
from released import everything

from dataset_assets import Array, Dataset, Split, load, prepare
from dataset_assets.cli.describe import stored_names, versions_of
from dataset_assets.errors import DatasetAssetsError, ListingCut, NotPrepared, StorageError
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.usage import usage
from dataset_assets.moving.verify import verifiable, verify
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.connectors.sqlite import SqliteStorage
from dataset_assets.storage.keys import index_key, pin_key, place_of, pointer_key, version_key
from dataset_assets.storage.pins import pin
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.counted"
NOW: dict[str, Any] = {"grace_seconds": 0, "keep_versions": 2}

Rule = Callable[[str, list[str]], list[str]]


class Cut:
    """A storage whose listings a rule shortens, and whose other verbs it refuses for some keys."""

    def __init__(self, storage: Storage, rule: Rule, refused: str = "-") -> None:
        self.storage, self.rule, self.refused, self.url = storage, rule, refused, storage.url

    def list(self, prefix: str) -> Iterator[str]:
        return iter(self.rule(prefix, list(self.storage.list(prefix))))

    def __getattr__(self, verb: str) -> Any:
        def act(key: str, *arguments: Any) -> Any:
            if self.refused in key:
                raise StorageError(errno.EACCES, "refused")
            return getattr(self.storage, verb)(key, *arguments)

        return act


def without(*hidden: str) -> Rule:
    return lambda prefix, keys: [key for key in keys if getattr(place_of(key), "kind", None) not in hidden]


def first(n: int) -> Rule:
    return lambda prefix, keys: keys[:n]


def until(end: str) -> Rule:
    return lambda prefix, keys: sorted(key for key in keys if key < end)


def once(n: int) -> Rule:
    """Shorten the first listing alone."""
    left = [n]
    return lambda prefix, keys: keys[: left.pop()] if left else keys


def numbers(seed: int, split: int) -> Iterator[dict[str, int]]:
    for i in range(5):
        yield {"number": i + 100 * seed + 1000 * split}


def counted(seed: int) -> Dataset:
    splits = {name: Split(numbers, seed=seed, split=k) for k, name in enumerate(("test", "train"))}
    return Dataset(NAME, "Numbers.", {"number": Array("int64")}, splits)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, list[str]]:
    """Four versions: a pinned one, one that nothing keeps, one that is among the newest two, and the current one."""
    storage = MemoryStorage()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATASET_ASSETS_HOME", str(tmp_path_factory.mktemp("home")))
        made = [str(prepare(counted(seed), storage=storage)["train"].version) for seed in range(1, 5)]
    # Those that are stored in the same second are told apart by their digests.
    made = [*sorted(made[:3]), made[3]]
    pin(f"{NAME}@{made[0]}", storage)
    return storage, made


@pytest.fixture(params=["local", "memory", "sqlite"])
def store(request: pytest.FixtureRequest, prepared: tuple[Storage, list[str]], fast_path: Path) -> Storage:
    makes: dict[str, Callable[[], Storage]] = {
        "local": lambda: LocalStorage(fast_path / "store"),
        "memory": MemoryStorage,
        "sqlite": lambda: SqliteStorage(fast_path / "store.db"),
    }
    return filled(makes[request.param](), prepared[0])


@pytest.fixture
def versions(prepared: tuple[Storage, list[str]], home: Path) -> list[str]:
    return prepared[1]


def filled(storage: Storage, source: Storage) -> Storage:
    for key, data in sorted(everything(source).items()):
        storage.put(key, data)
    return storage


def keys_of(storage: Storage, digest: str) -> set[str]:
    """Return the keys that a version needs."""
    version = StoredDataset(storage, NAME).version(digest)
    files = {key for key in storage.list("") if (place := place_of(key)) and place.kind == "stream"}
    found = {version_key(NAME, digest)}
    for split, at in version.splits.items():
        key = index_key(NAME, split, at)
        with storage.get(key) as file:
            text = file.read().decode()
        found |= {key for key in storage.list("") if f"/index/{at}." in key}
        found |= {file for file in files if str(getattr(place_of(file), "digest", "")) in text}
    return found


def planned(storage: Any) -> set[str]:
    """Return what a collector would remove; nothing if it stops at a list that was cut."""
    try:
        return {key for one in collect(storage, dry_run=True, **NOW) for key in one.removed}
    except ListingCut as error:
        assert "Nothing more was removed" in str(error) and error.exit_code == 6
        return set()


def test_a_listing_that_ends_early_removes_nothing_that_is_kept(store: Storage, versions: list[str]) -> None:
    keys, removed = sorted(store.list("")), planned(store)
    assert removed and removed == keys_of(store, versions[1]) - keys_of(store, versions[3])
    needed = {key for digest in (versions[0], versions[3]) for key in keys_of(store, digest)}
    for n in range(len(keys) + 1):
        assert planned(Cut(store, first(n))) <= removed, n
        assert planned(Cut(store, once(n))) <= removed, n
        assert not planned(Cut(store, until(keys[n] if n < len(keys) else "~"))) & needed, n


@pytest.mark.parametrize("step", [9])
def test_it_holds_on_servers(remote: Storage, prepared: Any, versions: list[str], step: int) -> None:
    filled(remote, prepared[0])
    removed = planned(remote)
    for n in range(1, len(list(remote.list(""))), step):
        assert planned(Cut(remote, first(n))) <= removed
    assert planned(Cut(remote, without("version"))) == planned(Cut(remote, without("pin"))) == set()


@pytest.mark.parametrize("hidden", [("pointer",), ("version",), ("pin",), ("index",), ("stream",), ("version", "pin")])
def test_what_is_named_and_not_listed_stops_whoever_needs_the_list(
    store: Storage, versions: list[str], hidden: tuple[str, ...]
) -> None:
    before, cut = everything(store), Cut(store, without(*hidden))
    target = MemoryStorage()
    for act in (
        lambda: collect(cut, **NOW),
        lambda: collect(cut, [NAME], **NOW),
        lambda: usage(cut, keep_versions=1, grace_seconds=0),
        lambda: [verify(name, cut) for name in verifiable(cut)],
    ):
        with pytest.raises(ListingCut, match="is not in the list of what is there"):
            act()
    # The files of streams are copied by their keys, which no listing has to say.
    if hidden != ("stream",):
        with pytest.raises(ListingCut):
            copy(None, cut, target, versions="all")
        with pytest.raises(ListingCut):
            copy(None, cut, target)
    assert everything(store) == before and everything(target).keys() <= before.keys()


def test_the_names_and_the_versions_are_all_listed_or_none(store: Storage, versions: list[str]) -> None:
    with pytest.raises(ListingCut):
        list(stored_names(Cut(store, without("pointer"))))
    for hidden in ("version", "pin"):
        with pytest.raises(ListingCut):
            versions_of(StoredDataset(Cut(store, without(hidden)), NAME))
    assert len(versions_of(StoredDataset(store, NAME))) == 4


def test_a_refusal_stops_and_removes_nothing(store: Storage, versions: list[str]) -> None:
    before = everything(store)
    for part in ("/versions/", "/meta/pins/", "/index/", "current.json"):
        cut = Cut(store, without("pin"), refused=part)
        for act in (
            lambda: collect(cut, **NOW),  # noqa: B023 -- called in this round
            lambda: usage(cut, keep_versions=1, grace_seconds=0),  # noqa: B023
            lambda: copy(None, cut, MemoryStorage(), versions="all"),  # noqa: B023
            lambda: versions_of(StoredDataset(cut, NAME)),  # noqa: B023
        ):
            with pytest.raises(StorageError):
                act()
    assert everything(store) == before


def test_a_version_that_is_released_after_the_list_was_taken_is_seen(store: Storage, versions: list[str]) -> None:
    """As a listing that lags by one release; the next one has it."""
    old = [key for key in store.list("") if key not in keys_of(store, versions[3])]
    left = [old]
    late = Cut(store, lambda prefix, keys: left.pop() if left else keys)
    collect(late, **NOW)
    for digest in (versions[0], versions[2], versions[3]):
        assert load(f"{NAME}@{digest}", storage=store, verify="all")


# What is surely gone.


@pytest.mark.parametrize("split", ["test", "train"])
def test_beside_a_pinned_version_whose_index_is_gone_the_work_goes_on(
    store: Storage, versions: list[str], split: str
) -> None:
    gone = index_key(NAME, split, StoredDataset(store, NAME).version(versions[0]).splits[split])
    needed = keys_of(store, versions[0])
    store.delete(gone)
    [done] = collect(store, **NOW)
    assert done.problem and f"{gone} is gone. What may belong to it stays" in done.problem and not done.stopped
    assert version_key(NAME, versions[1]) in done.removed and not any(map(store.exists, done.removed))
    assert all(map(store.exists, needed - {gone}))
    assert load(NAME, storage=store, verify="all")


def test_beside_a_pinned_version_that_is_gone_the_work_goes_on(store: Storage, versions: list[str]) -> None:
    needed = keys_of(store, versions[0])
    store.delete(version_key(NAME, versions[0]))
    [done] = collect(store, **NOW)
    assert done.problem and f"Version {versions[0]} is gone." in done.problem
    assert version_key(NAME, versions[1]) in done.removed
    # By these it can be made again.
    assert all(map(store.exists, needed - {version_key(NAME, versions[0])}))
    [used] = usage(store, keep_versions=1, grace_seconds=0)
    assert [one.version for one in used.versions if one.problem] == [versions[0]]
    assert versions[0] in verify(NAME, store).left[0].key
    store.delete(pin_key(NAME, versions[0]))
    [done] = collect(store, **NOW)
    assert done.problem is None and needed - {version_key(NAME, versions[0])} - keys_of(store, versions[3]) <= {
        *done.removed, *keys_of(store, versions[2])
    }  # fmt: skip


def test_beside_a_current_version_that_is_gone_the_work_goes_on(store: Storage, versions: list[str]) -> None:
    needed = keys_of(store, versions[3]) - {version_key(NAME, versions[3])}
    store.delete(version_key(NAME, versions[3]))
    [done] = collect(store, **{**NOW, "keep_versions": 1})
    assert done.problem and version_key(NAME, versions[1]) in done.removed
    assert all(map(store.exists, needed))


def test_copying_goes_on_beside_what_is_broken_and_ends_with_its_error(store: Storage, versions: list[str]) -> None:
    store.delete(version_key(NAME, versions[0]))
    store.put(pointer_key("org.example.broken"), b"{")
    target = MemoryStorage()
    with pytest.raises(DatasetAssetsError):
        copy(None, store, target, versions="all")
    assert {document["version"] for document in versions_of(StoredDataset(target, NAME))} == {*versions[1:]}
    errors: list[DatasetAssetsError] = []
    [done] = copy(None, store, MemoryStorage(), versions="pinned", broken=errors)
    assert done.versions == (versions[3],) and [type(error) for error in errors] == [NotPrepared]


# What a connector may not look at.


def unprivileged(act: Callable[[], object]) -> None:
    """Act as a user who is not the owner of what this process made."""

    def without_rights() -> None:
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        act()

    assert ended(in_child(without_rights, wait=False)) == 0


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400, 0o100])
def test_a_folder_that_may_not_be_read_is_not_an_empty_one(fast_path: Path, mode: int) -> None:
    fast_path.chmod(0o755)
    store = LocalStorage(fast_path / "store")
    store.put("a/b/c", b"x")
    os.chmod(store.root / "a/b", mode)

    def look() -> None:
        verbs: list[Callable[[], object]] = []
        if mode != 0o400:
            verbs += [lambda: list(store.list("")), lambda: list(store.list("a/b")), lambda: list(store.strays(0))]
        if mode in (0o000, 0o400):
            verbs += [lambda: store.exists("a/b/c"), lambda: store.stat("a/b/c"), lambda: store.get("a/b/c")]
        for verb in verbs:
            with pytest.raises(StorageError):
                verb()

    try:
        unprivileged(look) if os.geteuid() == 0 or mode != 0o300 else None
    finally:
        os.chmod(store.root / "a/b", 0o755)


def test_a_database_in_a_folder_that_may_not_be_read_is_not_an_empty_one(fast_path: Path) -> None:
    fast_path.chmod(0o755)
    store = SqliteStorage(fast_path / "closed" / "store.db")
    store.put("a", b"x")
    store.path.parent.chmod(0)

    def look() -> None:
        for verb in (lambda: list(store.list("")), lambda: store.exists("a"), lambda: store.stat("a")):
            with pytest.raises(StorageError):
                verb()

    try:
        unprivileged(look)
    finally:
        store.path.parent.chmod(0o755)
