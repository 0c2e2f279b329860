"""All that is done with what is stored, on every connector: weigh, verify, mend, examine, copy, bundle, collect."""

import io
import itertools
from pathlib import Path
from typing import Any

import pytest
import tiny
from released import Released, everything

from dataset_assets import load, prepare
from dataset_assets.cli.doctor import Probe, examine
from dataset_assets.definition import registry
from dataset_assets.errors import DatasetAssetsError, NotPrepared, StoredFileDamaged
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.unbundle import unbundle
from dataset_assets.moving.usage import usage
from dataset_assets.moving.verify import repair, verify
from dataset_assets.storage import CONNECTORS, LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.keys import place_of

NOW = {"keep_versions": 1, "grace_seconds": 0}


@pytest.fixture
def released(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Released:
    found = Released(fast_path)
    # As a plugin's definition is found, without installing one for each test.
    monkeypatch.setattr(registry, "find", lambda name: found.definitions[1])
    return found


@pytest.fixture
def store(home: Path, released: Released, every: Storage) -> Storage:
    """Both versions, and the raw files, on each connector."""
    copy(None, LocalStorage(home / "storage"), every, versions="all", raw=True)
    return every


def test_each_scheme_that_opens_is_among_them(request: pytest.FixtureRequest) -> None:
    from conftest import CONNECTORS as tried

    schemes = {"local": "file", "memory": "memory", "sqlite": "sqlite", "seaweed": "s3", "azurite": "az"}
    schemes |= {"google": "gs", "postgres": "postgresql+psycopg2", "secantus": "mongodb"}
    assert {schemes[name] for name in tried} == set(CONNECTORS) - {"postgresql"}


def test_what_is_stored_is_weighed_verified_and_mended(store: Storage, released: Released) -> None:
    whole = everything(store)
    [weighed] = usage(store, **NOW)
    assert weighed.bytes == sum(map(len, whole.values())) == weighed.streams + weighed.raw + weighed.documents
    assert verify(tiny.NAME, store).damaged == []
    index = index_of_current(store)
    stream = next(key for key in whole if (place := place_of(key)) and place.kind == "stream" and place.digest in index)
    store.put(stream, whole[stream][:-1] + bytes([whole[stream][-1] ^ 1]))
    found = verify(tiny.NAME, store)
    assert [damage.key for damage in found.damaged] == [stream]
    assert repair(found, store).left == []
    store.delete(stream)
    assert repair(verify(tiny.NAME, store), store, LocalStorage(released_storage())).left == []
    assert {key: data for key, data in everything(store).items() if "source.json" not in key} == {
        key: data for key, data in whole.items() if "source.json" not in key
    }


def index_of_current(storage: Storage) -> str:
    """Return the text of the current version's index of a split."""
    view: Any = load(tiny.NAME, "train", storage=storage)
    with storage.get(f"org/example/tiny/train/index/{view.origin.index}.json") as file:
        return file.read().decode()


def released_storage() -> Path:
    from dataset_assets.core.settings import settings

    return settings().home / "storage"


def test_it_is_examined_and_nothing_is_left(every: Storage, home: Path) -> None:
    probe = Probe(every).run()
    assert probe.listed and probe.conditional and abs(probe.skew) < 60
    assert list(every.list("")) == []
    if not isinstance(every, MemoryStorage):
        said = {one.what: one for one in examine(every.url)}
        assert said["storage"].state == said["storage swaps"].state == said["clock"].state == "ok", said


def test_it_goes_to_another_storage_and_into_a_bundle_and_back(store: Storage, released: Released) -> None:
    other, back = MemoryStorage(), MemoryStorage()
    [there] = copy(tiny.NAME, store, other, versions="all", raw=True)
    assert everything(other) == everything(store) and there.current == released.new
    [again] = copy(tiny.NAME, store, other, versions="all", raw=True)
    assert again.files == 0 and again.present == there.files
    tar = io.BytesIO()
    bundle([tiny.NAME], store, tar, versions="all")
    tar.seek(0)
    unbundle(tar, back)
    assert tiny.plain(load(tiny.NAME, storage=back, verify="all")) == released.samples[released.new]
    for key in [*store.list("")]:
        store.delete(key)
    tar.seek(0)
    unbundle(tar, store)
    assert tiny.plain(load(tiny.NAME, storage=store, verify="all")) == released.samples[released.new]
    assert tiny.plain(load(f"{tiny.NAME}@{released.old}", storage=store)) == released.samples[released.old]


def test_a_reader_of_a_collected_version_reads_all_of_it_or_is_told(store: Storage, released: Released) -> None:
    old = f"{tiny.NAME}@{released.old}"
    read, unread = load(old, storage=store), load(old, storage=store)
    assert tiny.plain(read) == released.samples[released.old]
    [done] = collect(store, **NOW)
    assert done.kept == [released.new] and done.removed
    assert tiny.plain(read) == released.samples[released.old], "what was opened is read on"
    told = 0
    for split, expected in released.samples[released.old].items():
        for i, sample in enumerate(expected):
            try:
                assert tiny.plain({"one": [unread[split][i]]})["one"] == [sample]
            except DatasetAssetsError as error:
                assert isinstance(error, StoredFileDamaged) and "prepare" in str(error)
                told += 1
    assert told in (0, 10), "all of it, or none"
    with pytest.raises(NotPrepared, match=f"collected, it was never made there.* dataset-assets versions {tiny.NAME}"):
        load(old, storage=store)
    assert tiny.plain(load(tiny.NAME, storage=store, verify="all")) == released.samples[released.new]
    assert collect(store, **NOW)[0].removed == []


class Meanwhile(MemoryStorage):
    """Another storage, in which a collector is at work each time before something is put."""

    def __init__(self, storage: Storage, grace_seconds: float) -> None:
        super().__init__()
        self.storage, self.grace_seconds, self.runs = storage, grace_seconds, 0
        self.url, self.cached = storage.url, getattr(storage, "cached", False)
        for verb in ("get", "exists", "stat", "list", "delete", "swap"):
            setattr(self, verb, getattr(storage, verb))

    def put(self, key: str, source: Path | bytes) -> None:
        self.runs += 1
        collect(self.storage, keep_versions=1, grace_seconds=self.grace_seconds)
        self.storage.put(key, source)


def test_a_writer_between_its_data_and_its_index_keeps_them(every: Storage, released: Released) -> None:
    prepare(released.definitions[1], storage=every)
    writer = Meanwhile(every, grace_seconds=3600)
    assert prepare(released.definitions[0], storage=writer)["train"].version == released.old
    assert writer.runs > 8
    assert tiny.plain(load(tiny.NAME, storage=every, verify="all")) == released.samples[released.old]
    assert verify(tiny.NAME, every).damaged == []


def test_without_a_grace_a_writer_is_told_and_readers_keep_the_last_good_version(
    every: Storage, released: Released
) -> None:
    prepare(released.definitions[1], storage=every)
    try:
        prepare(released.definitions[0], storage=Meanwhile(every, grace_seconds=0))
    except DatasetAssetsError as error:
        assert error.exit_code in (3, 4, 6, 7), error
    released.check(every, may_be_absent=False)
    for digest in itertools.chain([released.old], [released.new]):
        try:
            assert tiny.plain(load(f"{tiny.NAME}@{digest}", storage=every, verify="all")) == released.samples[digest]
        except NotPrepared:
            pass
