"""Usage: what is counted is what is there, and what is said to be free is what a collector frees."""

import tiny
from released import Released, everything

from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.usage import usage
from dataset_assets.storage import LocalStorage, Storage
from dataset_assets.storage.keys import place_of


def test_the_sums_are_the_bytes_that_are_there(home, fast_path, another: Storage):
    released = Released(fast_path)
    copy(None, LocalStorage(home / "storage"), another, versions="all", raw=True)
    [found] = usage(another, keep_versions=1, grace_seconds=0)
    sizes = {key: len(data) for key, data in everything(another).items()}
    assert found.dataset == tiny.NAME
    assert found.bytes == sum(sizes.values()) == found.streams + found.raw + found.documents
    assert found.raw == sum(size for key, size in sizes.items() if place_of(key).kind == "raw")  # type: ignore[union-attr]
    new, old = found.versions
    assert (new.version, new.current, old.version, old.current) == (released.new, True, released.old, False)
    assert new.own + old.own + found.shared == found.streams
    assert new.bytes == new.own + found.shared > 0
    [freed] = collect(another, keep_versions=1, grace_seconds=0)
    assert found.free == freed.bytes == sum(sizes.values()) - sum(map(len, everything(another).values())) > 0


def test_what_cannot_be_read_is_said_and_counted(home, fast_path):
    released = Released(fast_path)
    store = LocalStorage(home / "storage")
    store.put(f"org/example/tiny/versions/{released.old}.json", b"damaged")
    [found] = usage(store, keep_versions=3, grace_seconds=0)
    assert "sha256" in str(found.versions[1].problem)
    assert found.bytes == sum(map(len, everything(store).values()))


def test_nothing_uses_nothing(another: Storage):
    assert usage(another, keep_versions=1, grace_seconds=0) == []
