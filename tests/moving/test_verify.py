"""Verifying: a flipped bit anywhere is found, and after a repair everything has the digests that it had."""

import shutil
from pathlib import Path

import pytest
import tiny
from released import Released, everything

from dataset_assets.definition import registry
from dataset_assets.errors import NotPrepared
from dataset_assets.moving.copy import copy
from dataset_assets.moving.verify import repair, verify
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.keys import place_of
from dataset_assets.storage.pins import pin


@pytest.fixture
def released(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Released:
    found = Released(fast_path)
    # As a plugin's definition is found, without installing one for each test.
    monkeypatch.setattr(registry, "find", lambda name: found.definitions[1])
    return found


@pytest.fixture
def store(home: Path, released: Released, another: Storage) -> Storage:
    copy(None, LocalStorage(home / "storage"), another, versions="all", raw=True)
    return another


def flip(storage: Storage, key: str) -> None:
    with storage.get(key) as file:
        data = bytearray(file.read())
    data[len(data) // 2] ^= 1
    storage.put(key, bytes(data))


def kinds(storage: Storage, dataset: str = tiny.NAME) -> dict[str, str]:
    """Return one key of each kind, of the current version where there are several."""
    from dataset_assets import load

    current = load(dataset, storage=storage)["train"]
    index = f"org/example/tiny/train/index/{current.origin.index}.json"  # type: ignore[attr-defined]
    found = {place.kind: key for key in storage.list("") if (place := place_of(key))}
    stream = next(key for key in streams_of(storage, index))
    return {**found, "index": index, "stream": stream, "version": f"org/example/tiny/versions/{current.version}.json"}


def streams_of(storage: Storage, index: str) -> list[str]:
    with storage.get(index) as file:
        text = file.read().decode()
    places = [place for key in storage.list("") if (place := place_of(key)) and place.kind == "stream"]
    return [place.key for place in places if place.digest in text]


def test_what_is_whole_is_said_to_be(store: Storage, released: Released):
    found = verify(tiny.NAME, store)
    assert found.damaged == [] and found.versions == sorted([released.old, released.new])
    assert found.files > 8 and found.bytes > 0


@pytest.mark.parametrize("kind", ["pointer", "version", "index", "stream", "raw", "source"])
def test_a_flipped_bit_of_any_kind_is_found_and_made_again(store: Storage, kind: str):
    before, key = everything(store), kinds(store)[kind]
    if kind == "raw":
        key = next(k for k in before if "/raw/numbers_csv/" in k and before[k] == tiny.CHANGED)
    flip(store, key)
    found = verify(tiny.NAME, store)
    assert key in [damage.key for damage in found.damaged]
    assert repair(found, store).left == []
    assert {damage.key: damage.repaired for damage in found.damaged}[key] == "made again"
    after = everything(store)
    # The record says when it was retrieved, and by whom.
    assert {k: v for k, v in after.items() if "source.json" not in k} == {
        k: v for k, v in before.items() if "source.json" not in k
    }
    assert verify(tiny.NAME, store).damaged == []


def test_a_damaged_derived_file_that_is_kept_is_made_again(store: Storage):
    before = everything(store)
    key = next(k for k in before if "/raw/backwards_csv/" in k and b"70," in before[k] and "source" not in k)
    flip(store, key)
    assert repair(verify(tiny.NAME, store), store).left == []
    assert everything(store)[key] == before[key]


def test_what_only_an_old_version_names_is_fetched_from_elsewhere(store: Storage, released: Released):
    backup = MemoryStorage()
    copy(None, store, backup, versions="all", raw=True)
    before = everything(store)
    for key in before:
        place = place_of(key)
        if place and place.kind in ("stream", "raw", "index", "version"):
            flip(store, key)
    found = verify(tiny.NAME, store)
    assert len(found.damaged) >= 2
    assert repair(found, store, backup).left == []
    assert everything(store) == before
    assert all("fetched from memory:" in str(damage.repaired) for damage in found.damaged)


def test_what_nobody_can_make_again_is_left_and_the_reason_said(store: Storage, released: Released):
    old = f"{tiny.NAME}@{released.old}"
    mine = set(verify_keys(store, old)) - set(verify_keys(store, f"{tiny.NAME}@{released.new}"))
    key = sorted(mine)[0]
    flip(store, key)
    damaged = everything(store)[key]
    found = repair(verify(tiny.NAME, store), store)
    assert [damage.key for damage in found.left] == [key]
    assert "--from URL" in str(found.left[0].reason)
    assert everything(store)[key] == damaged


def verify_keys(storage: Storage, pinned: str) -> list[str]:
    from dataset_assets.moving.parcel import parcel

    return [*parcel(pinned, storage).pieces]


def test_a_raw_file_whose_source_is_gone_stays_as_it_is(store: Storage, fast_path: Path):
    before = everything(store)
    key = next(k for k in before if "/raw/numbers_csv/" in k and before[k] == tiny.CHANGED)
    flip(store, key)
    shutil.rmtree(fast_path / "new")
    damaged = everything(store)
    found = repair(verify(tiny.NAME, store), store)
    assert [damage.key for damage in found.left] == [key] and "cannot be read" in str(found.left[0].reason)
    assert everything(store) == damaged


def test_a_file_that_is_gone_is_found(store: Storage):
    key = kinds(store)["stream"]
    store.delete(key)
    found = verify(tiny.NAME, store)
    assert "is gone" in found.damaged[0].problem
    assert repair(found, store).left == [] and store.exists(key)


def test_what_is_not_there_is_an_error(another: Storage):
    with pytest.raises(NotPrepared):
        verify(tiny.NAME, another)


def test_a_version_alone_is_looked_at_if_it_is_named(store: Storage, released: Released):
    pin(f"{tiny.NAME}@{released.old}", store)
    assert verify(f"{tiny.NAME}@{released.old}", store).versions == [released.old]
