"""How often a storage is asked: a piece of work costs a few requests, and one for each file that it moves."""

import os
from collections import Counter
from typing import Any, Callable, Iterator

import numpy as np
import pytest
from servers import Place, Proxy

from dataset_assets import Array, Columns, Dataset, Split, load, prepare
from dataset_assets.cli import describe
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.remotes import listed_names
from dataset_assets.moving.usage import usage
from dataset_assets.moving.verify import verify
from dataset_assets.reading.load import open_version
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.keys import place_of
from dataset_assets.storage.stored_dataset import StoredDataset

NAME, FILES = "org.example.numbers", 30
ROWS, FILE_BYTES = 100, 800


def numbers(files: int) -> Iterator[Columns]:
    for i in range(files):
        yield Columns(number=np.arange(ROWS) + i * ROWS)


@pytest.fixture
def dataset() -> Dataset:
    """A dataset of `FILES` files in one stream."""
    return Dataset(
        NAME, "Numbers.", {"number": Array()}, {"train": Split(numbers, files=FILES)}, checks={"leakage": "off"}
    )


class Requests:
    """Counts the requests of some work, by verb; a GET of a list is a LIST."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy

    def of(self, act: Callable[[], Any]) -> Counter[str]:
        self.proxy.requests.clear()
        act()
        return Counter("LIST" if "list-type" in path else method for method, path in self.proxy.requests)


@pytest.fixture
def requests(proxy: Proxy) -> Requests:
    return Requests(proxy)


@pytest.fixture
def place(seaweed: Place, proxy: Proxy, home: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where to put storages, behind the proxy."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", str(FILE_BYTES))
    return f"{seaweed.url}requests/{os.urandom(4).hex()}"


def work(dataset: Dataset, place: str, files: int) -> dict[str, tuple[Callable[[], Any], dict[str, int]]]:
    """Return pieces of work in their order, with the most requests of each."""
    one, two = f"{place}/one", f"{place}/two"

    def stored() -> StoredDataset:
        return StoredDataset(open_storage(one), NAME)

    def paths() -> list[str]:
        _, _, digest = open_version(stored())
        return describe.paths_of(describe.version_document(stored().remembering(), digest), "train")

    few = {"GET": 6, "LIST": 4, "HEAD": 1}
    return {
        "prepare": (
            lambda: prepare(dataset, storage=one),
            {"PUT": files + 8, "GET": 12, "LIST": 8, "HEAD": 2, "POST": 1},
        ),
        "prepare again": (lambda: prepare(dataset, storage=one), {"GET": 6, "LIST": 2}),
        "ls": (lambda: [describe.current_document(*one) for one in describe.stored_datasets(open_storage(one))], few),
        "info": (lambda: describe.describe(dataset, open_storage(one)), few),
        "path": (paths, few),
        "versions": (lambda: describe.versions_of(stored()), few),
        "usage": (
            lambda: usage(open_storage(one), keep_versions=3, grace_seconds=9e9),
            {"GET": 12, "LIST": 16, "HEAD": 4},
        ),
        "gc": (lambda: collect(open_storage(one)), {"GET": 8, "LIST": 10, "HEAD": 3}),
        "copy": (lambda: copy(NAME, one, two), {"PUT": files + 4, "GET": files + 12, "LIST": 6, "HEAD": 3}),
        "copy again": (lambda: copy(NAME, one, two), {"PUT": 3, "GET": 8, "LIST": 4}),
        "verify": (lambda: verify(NAME, open_storage(one)), {"GET": files + 4, "LIST": 4, "HEAD": 2}),
        "bundle": (
            lambda: bundle([NAME], open_storage(one), open(os.devnull, "wb")),
            {"GET": files + 5, "HEAD": 2, "LIST": 2},
        ),
        "load and hash": (lambda: load(NAME, storage=one, verify="all"), {"GET": files + 3}),
    }


def test_work_on_many_files_takes_few_requests(dataset: Dataset, place: str, requests: Requests) -> None:
    found, too_many = {}, {}
    for name, (act, most) in work(dataset, place, FILES).items():
        found[name] = requests.of(act)
        if any(count > most.get(verb, 0) for verb, count in found[name].items()):
            too_many[name] = (found[name], most)
    assert not too_many
    index = StoredDataset(open_storage(f"{place}/one"), NAME).index("train", index_digest(f"{place}/one"))
    assert len(index.streams["number"].files) == FILES and found["prepare"]["PUT"] > FILES


def index_digest(storage: str) -> str:
    view: Any = load(NAME, "train", storage=storage)
    return str(view.origin.index)


def test_an_epoch_takes_one_request_for_each_file_and_the_next_one_none(
    dataset: Dataset, place: str, requests: Requests
) -> None:
    view = prepare(dataset, storage=f"{place}/one")["train"]
    name = f"{NAME}@{view.version}"
    assert requests.of(lambda: view.to_numpy()) == {"GET": FILES}
    assert requests.of(lambda: load(name, storage=f"{place}/one")["train"].to_numpy()) == {}
    assert requests.of(lambda: load(NAME, storage=f"{place}/one")["train"].to_numpy()) == {"GET": 1}


def test_names_are_listed_by_one_request_for_each_that_may_be_a_dataset(place: str, requests: Requests) -> None:
    storage = open_storage(f"{place}/names")
    for name in ("shared/one", "shared/two", "shared/deep/three", "org/example/four"):
        for key in ("current.json", "train/index/x.json", "train/value/x.npy"):
            storage.put(f"{name}/{key}", b"x")
    for key in ("shared/unreleased/train/x", "aliases/org.example.y.json", "experiments/e/current.json", "old.tgz"):
        storage.put(key, b"x")
    found: list[str] = []
    asked = requests.of(lambda: found.extend(listed_names(storage)))
    assert found == ["org.example.four", "shared.deep.three", "shared.old", "shared.one", "shared.two"]
    # A folder that is no dataset costs a listing, and a request more shows that it is whole.
    assert asked["HEAD"] <= 8 and asked["LIST"] <= 2 * 8


# What is asked less often is still seen.


@pytest.fixture
def far(dataset: Dataset, place: str) -> Storage:
    storage = open_storage(f"{place}/one")
    prepare(dataset, storage=storage)
    return storage


def files_of(storage: Storage) -> list[str]:
    return sorted(key for key in storage.list("") if "/train/number/" in key)


@pytest.mark.parametrize("data", [None, b"another size"], ids=["gone", "of another size"])
def test_a_file_that_a_stranger_took_or_changed_is_made_again(
    dataset: Dataset, far: Storage, data: bytes | None
) -> None:
    key = files_of(far)[7]
    with far.get(key) as file:
        before = file.read()
    far.delete(key) if data is None else far.put(key, data)
    assert [damage.key for damage in verify(NAME, far).damaged] == [key]
    prepare(dataset, storage=far)
    with far.get(key) as file:
        assert file.read() == before
    assert not verify(NAME, far).damaged


def test_a_document_that_a_stranger_took_is_made_again_in_the_process_that_had_read_it(
    dataset: Dataset, far: Storage
) -> None:
    before = sorted(far.list(""))
    # A note beside an index only saves requests.
    for key in [key for key in before if (place := place_of(key)) and place.kind in ("index", "version")]:
        far.delete(key)
        prepare(dataset, storage=far)
        assert sorted(far.list("")) == before
        assert not verify(NAME, far).damaged
