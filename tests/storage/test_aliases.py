"""Aliases: another name opens the same dataset, in every storage and without its definition; nobody's is taken."""

import io
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from released import FailsOnce

from dataset_assets import Array, Columns, Dataset, Split, load, prepare
from dataset_assets.core.canonical import canonical, digest_of
from dataset_assets.errors import Conflict, DecodeError, DefinitionError, NameNotAllowed, NewerFormat, NotPrepared
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect, collect_aliases
from dataset_assets.moving.rm import rm
from dataset_assets.moving.unbundle import unbundle
from dataset_assets.moving.usage import usage
from dataset_assets.moving.verify import verify
from dataset_assets.storage import MemoryStorage, Storage
from dataset_assets.storage.aliases import aliases_in, aliases_of, own_name, write_aliases
from dataset_assets.storage.keys import alias_key, alias_of
from dataset_assets.storage.manifest import sealed
from dataset_assets.storage.pins import pin, pins, unpin
from dataset_assets.storage.stored_dataset import StoredDataset

NAME, ALIAS, SECOND = "org.example.numbers", "net.alias.numbers", "net.alias.second"


def rows(seed: int) -> Any:
    yield Columns(number=np.arange(3) + seed)


def numbers(*aliases: str, name: str = NAME, seed: int = 0) -> Dataset:
    return Dataset(name, "Numbers.", {"number": Array()}, {"all": Split(rows, seed=seed)}, aliases=aliases)


@pytest.fixture
def store(home: Path) -> Storage:
    found = MemoryStorage()
    prepare(numbers(ALIAS, SECOND), storage=found)
    return found


def first(name: str, storage: Storage) -> int:
    return int(load(name, storage=storage)["all"][0]["number"])


def test_every_reader_and_verb_takes_an_alias(home: Path, another: Storage) -> None:
    views = prepare(numbers(ALIAS, SECOND), storage=another)
    digest = views["all"].version  # type: ignore[attr-defined]
    for name in (NAME, ALIAS, f"{ALIAS}@{digest}"):
        view = load(name, "all", storage=another, verify="all")
        assert (view.origin.dataset, view.origin.version, len(view)) == (NAME, digest, 3)  # type: ignore[attr-defined]
    pin(ALIAS, another)
    assert pins(StoredDataset(another, NAME)) == [digest]
    unpin(f"{ALIAS}@{digest}", another)
    assert pins(StoredDataset(another, NAME)) == []
    assert verify(ALIAS, another).name == NAME
    assert verify(f"{ALIAS}@{digest}", another).name == f"{NAME}@{digest}"
    assert [one.dataset for one in collect(another, [ALIAS, NAME, SECOND])] == [NAME]
    assert [one.dataset for one in usage(another, [ALIAS], keep_versions=3, grace_seconds=0)] == [NAME]
    there = MemoryStorage()
    [copied] = copy(ALIAS, another, there)
    assert (copied.dataset, copied.aliases) == (NAME, ()) and aliases_in(there) == {}
    into = io.BytesIO()
    assert bundle([ALIAS, NAME], another, into) == [f"{NAME}@{digest}"]
    assert aliases_in(another) == {ALIAS: NAME, SECOND: NAME}
    before = {key: another.stat(key) for key in another.list("")}
    prepare(numbers(ALIAS, SECOND), storage=another)
    assert {key: another.stat(key) for key in another.list("")} == before


def test_aliases_are_written_to_a_dataset_that_was_released_without_them(store: Storage) -> None:
    prepare(numbers(ALIAS, "net.alias.third"), storage=store)
    assert aliases_of(StoredDataset(store, NAME)) == [ALIAS, SECOND, "net.alias.third"]


def test_a_name_of_another_datasets_alias_is_a_conflict_and_its_alias_stays(store: Storage) -> None:
    other = numbers("net.alias.free", ALIAS, name="org.example.other", seed=5)
    said = rf"{ALIAS} is an alias of {NAME} in .*, and stays so.* aliases of org.example.other; .* rm {NAME}"
    for _ in range(2):
        with pytest.raises(Conflict, match=said):
            prepare(other, storage=store)
        assert first(ALIAS, store) == 0 and aliases_in(store) == {ALIAS: NAME, SECOND: NAME}
        with pytest.raises(NotPrepared):
            load("org.example.other", storage=store)
    rm(NAME, store)
    prepare(other, storage=store)
    assert first(ALIAS, store) == 5


def test_of_two_datasets_that_want_one_alias_at_once_one_has_it(home: Path) -> None:
    store, ended = MemoryStorage(), list[Any]()
    names = [f"org.example.n{i}" for i in range(4)]
    for i, name in enumerate(names):
        prepare(numbers(name=name, seed=i), storage=store)

    def take(name: str) -> None:
        try:
            write_aliases(StoredDataset(store, name), [ALIAS])
            ended.append(name)
        except Conflict:
            pass

    threads = [threading.Thread(target=take, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [*aliases_in(store).values()] == ended


class Interrupted(FailsOnce):
    """A storage in which another process stores an alias just before the n-th call."""

    def __init__(self, storage: Storage, n: int, alias: bytes) -> None:
        super().__init__(storage, 0, False)
        self.n, self.calls, self.alias = n, 0, alias

    def _call(self, verb: str, *arguments: Any) -> Any:
        self.calls += 1
        if self.calls == self.n:
            self.storage.put(alias_key("net.alias.new"), self.alias)
        return super()._call(verb, *arguments)


def test_an_alias_that_another_dataset_takes_at_any_moment_stays_its_own(store: Storage) -> None:
    prepare(numbers(name="org.example.other", seed=5), storage=store)
    taken = sealed({"alias": "net.alias.new", "dataset": "org.example.other"})
    free = Interrupted(store, 0, taken)
    write_aliases(StoredDataset(free, NAME), ["net.alias.new"])
    assert first("net.alias.new", store) == 0 and free.calls > 4
    for n in range(1, free.calls + 1):
        store.delete(alias_key("net.alias.new"))
        with pytest.raises(Conflict):
            write_aliases(StoredDataset(Interrupted(store, n, taken), NAME), ["net.alias.new"])
        assert first("net.alias.new", store) == 5


def test_a_datasets_own_name_always_wins(store: Storage, caplog: pytest.LogCaptureFixture) -> None:
    prepare(numbers(name=ALIAS, seed=7), storage=store)
    assert first(ALIAS, store) == 7 and own_name(store, ALIAS) == ALIAS
    # And a name that a stored dataset has becomes no alias.
    prepare(numbers(NAME, ALIAS, name="org.example.more", seed=9), storage=store)
    assert f"{NAME} is itself a dataset in {store.url}, so it is no alias" in caplog.text
    assert first(NAME, store) == 0 and not store.exists(alias_key(NAME))
    # By its digest too: the dataset does not have the versions of the other one.
    digest = load(NAME, storage=store)["all"].version  # type: ignore[attr-defined]
    with pytest.raises(NotPrepared):
        load(f"{ALIAS}@{digest}", storage=store)
    rm(ALIAS, store)
    assert first(ALIAS, store) == 0


def test_an_alias_is_followed_one_step(store: Storage) -> None:
    store.put(alias_key("net.alias.far"), sealed({"alias": "net.alias.far", "dataset": ALIAS}))
    with pytest.raises(NotPrepared, match=rf"{ALIAS} is not in .* net.alias.far is an alias of it. .*prepare {ALIAS}$"):
        load("net.alias.far", storage=store)
    assert own_name(store, "net.alias.far") == ALIAS


def document(**fields: Any) -> bytes:
    return canonical({**fields, "seal": digest_of(fields)})


GOOD = {"alias": ALIAS, "dataset": NAME, "format": 1}
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "cut": sealed({"alias": ALIAS, "dataset": NAME})[:-5],
    "not sealed": canonical(GOOD),
    "another alias": document(**{**GOOD, "alias": SECOND}),
    "a path": document(**{**GOOD, "dataset": "../../etc/passwd"}),
    "upper case": document(**{**GOOD, "dataset": "org.example.Numbers"}),
    "a reserved name": document(**{**GOOD, "dataset": "experiments.numbers"}),
    "a version": document(**{**GOOD, "dataset": f"{NAME}@{'0' * 64}"}),
    "a list": document(**{**GOOD, "dataset": [NAME]}),
    "no dataset": document(alias=ALIAS, format=1),
    "one field more": document(**GOOD, more=1),
    "huge": document(**GOOD, more="x" * (1 << 20)),
    "deep": b'{"a":' * 5000,
    "a long name": document(**{**GOOD, "dataset": "a." + "b" * 300}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_alias_is_an_error_of_that_name_alone_and_is_replaced(kind: str, store: Storage) -> None:
    store.put(alias_key(ALIAS), HOSTILE[kind])
    with pytest.raises(DecodeError, match=f"^{alias_key(ALIAS)} .*dataset-assets prepare {ALIAS}$"):
        load(ALIAS, storage=store)
    with pytest.raises(DecodeError):
        rm(ALIAS, store)
    assert first(SECOND, store) == first(NAME, store) == 0
    assert aliases_in(store) == {SECOND: NAME}
    assert collect_aliases(store, grace_seconds=0) is None
    prepare(numbers(ALIAS), storage=store)
    assert first(ALIAS, store) == 0


def test_an_alias_of_a_later_release_is_left(store: Storage, caplog: pytest.LogCaptureFixture) -> None:
    newer = document(**{**GOOD, "format": 2})
    store.put(alias_key(ALIAS), newer)
    with pytest.raises(NewerFormat, match="Upgrade"):
        load(ALIAS, storage=store)
    with pytest.raises(NewerFormat):
        prepare(numbers(ALIAS), storage=store)
    assert aliases_in(store) == {SECOND: NAME} and "has format 2" in caplog.text


@pytest.mark.parametrize(
    "alias", ["experiments.x", "aliases.x", "org.example.raw", "Org.Example", "mnist", "a.b@c", ""]
)
def test_an_alias_is_a_name_that_a_dataset_may_have(alias: str) -> None:
    with pytest.raises((NameNotAllowed, DefinitionError), match=NAME):
        numbers(alias)


def test_keys_of_aliases() -> None:
    assert alias_of(alias_key(ALIAS)) == ALIAS
    for key in ("aliases/x.json", "aliases/a.b/c.json", "aliases/a.b", "aliases/../a.b.json", "org/aliases/a.b.json"):
        assert alias_of(key) is None


def test_copies_and_bundles_bring_aliases_only_when_asked(store: Storage) -> None:
    into = io.BytesIO()
    bundle([NAME], store, into)
    for there in (MemoryStorage(), MemoryStorage()):
        copy(None, store, there)
        unbundle(io.BytesIO(into.getvalue()), there)
        assert aliases_in(there) == {}
        [done] = copy(NAME, store, there, aliases=True)
        assert done.aliases == (ALIAS, SECOND) and aliases_in(there) == {ALIAS: NAME, SECOND: NAME}
    there = MemoryStorage()
    [done] = unbundle(io.BytesIO(into.getvalue()), there, aliases=True)
    assert {*done.aliases} == {ALIAS, SECOND} and first(ALIAS, there) == 0


def test_a_copy_or_bundle_takes_no_alias_from_another_dataset(store: Storage) -> None:
    into, there = io.BytesIO(), MemoryStorage()
    bundle([NAME], store, into)
    prepare(numbers(ALIAS, name="org.example.other", seed=5), storage=there)
    before = [*there.list("")]
    for act in (
        lambda: copy(None, store, there, aliases=True),
        lambda: unbundle(io.BytesIO(into.getvalue()), there, aliases=True),
    ):
        with pytest.raises(Conflict, match=f"{ALIAS} is an alias of org.example.other"):
            act()
        assert [*there.list("")] == before and first(ALIAS, there) == 5


@pytest.mark.parametrize(
    "aliases", [{ALIAS: "org.example.other"}, {"../x": NAME}, {ALIAS: None}, [ALIAS], "x", {"": NAME}]
)
def test_a_bundle_with_strange_aliases_is_refused(
    store: Storage, aliases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataset_assets.moving import bundle as module

    real = module.canonical

    def forged(value: Any) -> bytes:
        return real({**value, "aliases": aliases} if isinstance(value, dict) and "bundle" in value else value)

    monkeypatch.setattr(module, "canonical", forged)
    into = io.BytesIO()
    bundle([NAME], store, into)
    monkeypatch.undo()
    there = MemoryStorage()
    with pytest.raises(DecodeError, match="Nothing was stored"):
        unbundle(io.BytesIO(into.getvalue()), there)
    assert [*there.list("")] == []


def test_gc_keeps_the_aliases_of_stored_datasets_and_removes_others_after_the_grace(store: Storage) -> None:
    collect(store, grace_seconds=0)
    assert collect_aliases(store, grace_seconds=0) is None
    rm(NAME, store)
    assert aliases_in(store) == {}
    store.put(alias_key(ALIAS), sealed({"alias": ALIAS, "dataset": NAME}))
    assert collect_aliases(store, grace_seconds=3600) is None
    dry = collect_aliases(store, grace_seconds=0, dry_run=True)
    assert dry and dry.removed == [alias_key(ALIAS)] and store.exists(alias_key(ALIAS))
    assert collect_aliases(store, grace_seconds=0) == dry and [*store.list("")] == []


def test_a_storage_that_cannot_be_written_to_is_still_prepared_from(
    store: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(MemoryStorage):
        def swap(self, key: str, new: bytes, expected: str | None) -> bool:
            from dataset_assets.errors import StorageError

            raise StorageError(30, "The storage is read-only.")

    full = Full()
    for key in store.list(""):
        with store.get(key) as file:
            full.put(key, file.read())
    with caplog.at_level(logging.WARNING):
        assert len(prepare(numbers("net.alias.third"), storage=full)["all"]) == 3
    assert f"The aliases of {NAME} are not stored" in caplog.text
