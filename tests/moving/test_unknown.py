"""What no definition and no version knows is listed; of it, only what is asked for, old, ours and unused goes."""

import threading
from pathlib import Path
from typing import Any

import pytest
import tiny
from released import Released, everything

from dataset_assets.errors import NotFound, Refused
from dataset_assets.moving.copy import copy
from dataset_assets.moving.unknown import FOREIGN, remove_unknown, unknown
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.aliases import write_aliases
from dataset_assets.storage.gc_lease import collecting
from dataset_assets.storage.keys import place_of, pointer_key, version_key
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = tiny.NAME
HEX = "0" * 64
STRAY = f"org/example/tiny/train/text/{HEX}.arrow"
LONELY = f"registry/image/raw/camera/{'1' * 64}"
RECORD = "registry/image/raw/camera/source.json"
FOREIGNERS = ["README.md", RECORD, "org/example/tiny/notes/x.txt", "meta/probe", LONELY[:-1]]
KNOWN = ["experiments/one/current.json", "values/mine/x.npy", "aliases/no.such.json"]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp("unknown")
    found = Released(folder, LocalStorage(folder / "source"))
    write_aliases(StoredDataset(LocalStorage(folder / "source"), NAME), ["org.example.little"])
    return found


@pytest.fixture
def store(released: Released, home: Path) -> Storage:
    return filled(released, MemoryStorage())


def filled(released: Released, storage: Storage) -> Storage:
    assert isinstance(released.storage, LocalStorage)
    copy(None, released.storage, storage, versions="all", raw=True, aliases=True)
    for key in (STRAY, LONELY, *FOREIGNERS, *KNOWN):
        storage.put(key, key.encode())
    return storage


def test_what_nothing_knows_is_listed_with_its_size(store: Storage) -> None:
    before = everything(store)
    found = {one.key: one for one in unknown(store, grace_seconds=0)}
    assert {*found} == {STRAY, LONELY, *FOREIGNERS}
    assert all(one.bytes == len(one.key) for one in found.values())
    assert [key for key, one in found.items() if one.stays is None] == sorted([STRAY, LONELY])
    assert {found[key].stays for key in FOREIGNERS} == {FOREIGN}
    young = {one.key: one.stays for one in unknown(store)}
    assert "younger than the grace period of 7 days" in str(young[STRAY])
    assert {one.key for one in unknown(store, [NAME, "org.example.little"])} == {STRAY, FOREIGNERS[2]}
    assert everything(store) == before


def test_only_what_is_listed_and_asked_for_goes(
    released: Released, tmp_path_factory: pytest.TempPathFactory, home: Path, another: Storage
) -> None:
    store = filled(released, another)
    before = everything(store)
    keys = [LONELY, STRAY, STRAY]
    assert [one.key for one in remove_unknown(store, keys, grace_seconds=0, dry_run=True)] == [STRAY, LONELY]
    assert everything(store) == before
    assert [one.key for one in remove_unknown(store, keys, grace_seconds=0)] == [STRAY, LONELY]
    after = everything(store)
    assert before.keys() - after.keys() == {STRAY, LONELY} and after.items() <= before.items()
    released.check(store_of_ours(after), may_be_absent=False)
    with pytest.raises(NotFound, match="gc --unknown"):
        remove_unknown(store, [STRAY], grace_seconds=0)


def store_of_ours(objects: dict[str, bytes]) -> Storage:
    found = MemoryStorage()
    for key, data in objects.items():
        if place_of(key):
            found.put(key, data)
    return found


def test_no_key_that_is_used_foreign_or_young_goes_nor_any_beside_it(store: Storage) -> None:
    before = everything(store)
    of_kinds = {place.kind if (place := place_of(key)) else key: key for key in before}
    used = [key for key in of_kinds.values() if key not in (STRAY, LONELY)]
    strange = ["../../etc/passwd", "/etc/passwd", "", "org/example/tiny", "a" * 2000, f"org/example/tiny/{HEX}"]
    for key in [*used, *strange]:
        with pytest.raises(Refused, match=r"stays, because .* Nothing was removed\. .*: dataset-assets gc --unknown"):
            remove_unknown(store, [STRAY, key], grace_seconds=0)
    with pytest.raises(Refused, match="younger than the grace period"):
        remove_unknown(store, [STRAY])
    assert everything(store) == before


def test_a_file_that_a_part_names_stays(store: Storage) -> None:
    part = f"org/example/tiny/train/parts/{'2' * 64}.json"
    store.put(part, b'{"files": ["' + HEX.encode() + b'"]}')
    assert not {STRAY, part} & {one.key for one in unknown(store, grace_seconds=0)}
    with pytest.raises(Refused):
        remove_unknown(store, [STRAY], grace_seconds=0)


@pytest.mark.parametrize("kind", ["version", "index"])
def test_nothing_goes_that_a_damaged_document_may_name(store: Storage, kind: str) -> None:
    keys = store.list("org/example/tiny")
    damaged = next(key for key in keys if (place := place_of(key)) and place.kind == kind)
    store.put(damaged, b"{")
    with pytest.raises(Refused, match="a document that may name it cannot be read"):
        remove_unknown(store, [STRAY], grace_seconds=0)


def test_files_of_a_young_index_stay(store: Storage, released: Released) -> None:
    """A writer stored its index, of files that were there for long, and not its version yet."""
    version = StoredDataset(store, NAME).version(released.old)
    files = [key for key in store.list("org/example/tiny/test/text")]
    store.delete(version_key(NAME, released.old))
    index = f"org/example/tiny/test/index/{version.splits['test']}.json"
    old = {one.key: one.stays for one in unknown(store, [NAME], grace_seconds=0)}
    assert old[index] is None and any(old.get(key, "") is None for key in files)
    found = {one.key: one.stays for one in unknown(store, [NAME], grace_seconds=3600)}
    assert index not in found and not {*files} & {*found}


def test_what_a_definition_has_is_known(store: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / f"tiny_in_{type(store).__name__.lower()}.py"
    store.delete(pointer_key(NAME))
    for key in [*store.list("org/example/tiny/versions")]:
        store.delete(key)
    assert len(unknown(store, [NAME], grace_seconds=0)) > 10
    module.write_text(f"import tiny\ntiny_one = tiny.small({tmp_path.as_uri()!r})\n")
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(module))
    assert [one.key for one in unknown(store, [NAME], grace_seconds=0)] == [FOREIGNERS[2]]


def test_a_removal_waits_for_a_collector(released: Released, home: Path) -> None:
    store, done = MemoryStorage(), list[Any]()
    store.put(LONELY, b"x")
    thread = threading.Thread(target=lambda: done.append(remove_unknown(store, [LONELY], grace_seconds=0)))
    with collecting(StoredDataset(store, "registry.image"), 60):
        thread.start()
        thread.join(0.4)
        assert thread.is_alive() and store.exists(LONELY)
    thread.join()
    assert [one.key for [one] in done] == [LONELY] and everything(store) == {}


def test_nothing_goes_through_a_link(home: Path, tmp_path: Path) -> None:
    store = LocalStorage(tmp_path / "store")
    store.put(LONELY, b"x")
    (tmp_path / "store/registry").rename(tmp_path / "store/moved")
    (tmp_path / "store/registry").symlink_to(tmp_path / "store/moved")
    with pytest.raises(Refused, match="symbolic link"):
        remove_unknown(store, [LONELY], grace_seconds=0)
    assert (tmp_path / "store/moved").exists()
