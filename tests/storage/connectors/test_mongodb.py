"""MongoDB's protocol: the shared suite on secantus, a process of its own that is not mongod."""

import itertools
import multiprocessing
import os
import pickle
import traceback
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from servers import MONGO_USER, SECRET, Place

from dataset_assets.errors import StorageError
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.object_file import WHOLE, Changed
from dataset_assets.testing import StorageTests, storage_state_machine
from dataset_assets.testing.storage import VERBS, content, sha256, some_bytes

SETTINGS = settings(max_examples=6, stateful_step_count=20, deadline=None)
LARGE = some_bytes(3 * WHOLE + 5)
numbers = itertools.count()


@pytest.fixture
def mongo(secantus: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in secantus.environment.items():
        monkeypatch.setenv(name, value)
    return secantus


@pytest.fixture
def store(mongo: Place) -> Storage:
    return open_storage(fresh(mongo))


def fresh(place: Place) -> str:
    """Return the URL of an empty storage."""
    return f"{place.url}tests?bucket=b{os.getpid()}_{next(numbers)}"


class TestMongo(StorageTests):
    @pytest.fixture
    def storage(self, store: Storage) -> Storage:
        return store


def test_mongo_agrees_with_a_dict(mongo: Place) -> None:
    run_state_machine_as_test(storage_state_machine(lambda: open_storage(fresh(mongo))), settings=SETTINGS)


def test_who_reads_a_large_object_goes_on_if_the_same_is_stored_again(store: Storage) -> None:
    store.put("a", LARGE)
    with store.get("a") as file:
        start = file.read(WHOLE)
        store.put("a", LARGE)
        assert start + file.read() == LARGE


@pytest.mark.parametrize("then", ["another", "nothing"])
def test_a_large_object_that_is_replaced_meanwhile_is_never_two_contents_in_one(store: Storage, then: str) -> None:
    store.put("a", LARGE)
    with store.get("a") as file:
        file.read(WHOLE)
        store.put("a", LARGE[::-1]) if then == "another" else store.delete("a")
        with pytest.raises(Changed):
            file.read()


def test_what_was_replaced_or_lost_leaves_no_file(store: Any) -> None:
    store.put("a", b"one")
    store.put("a", b"two")
    store.swap("a", b"three", sha256(b"two"))
    store.swap("a", b"four", sha256(b"never"))
    store.swap("b", b"five", None)
    store.delete("b")
    left = store._call(lambda db: [db[store.bucket][name].count_documents({}) for name in ("files", "chunks")])
    assert left == [1, 1]


def test_a_file_that_lost_a_piece_is_said_to_be_damaged(store: Any) -> None:
    store.put("a", LARGE)
    store._call(lambda db: db[store.bucket].chunks.delete_one({"n": 1}))
    with store.get("a") as file, pytest.raises(StorageError, match="it is damaged"):
        file.read()


def test_a_password_in_the_url_opens_it_and_is_not_shown(secantus: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in secantus.environment:
        monkeypatch.delenv(name, raising=False)
    shown = fresh(secantus).replace("mongodb://", f"mongodb://{MONGO_USER}@")
    storage = open_storage(shown.replace("@", f":{SECRET}@"))
    storage.put("a", b"x")
    assert storage.url == shown
    assert SECRET not in f"{storage} {storage!r} {vars(storage)}" and SECRET.encode() not in pickle.dumps(storage)
    with pytest.raises(StorageError, match="Set MONGODB_USERNAME and MONGODB_PASSWORD"):
        pickle.loads(pickle.dumps(storage)).get("a")
    monkeypatch.setenv("MONGODB_PASSWORD", SECRET)
    assert content(pickle.loads(pickle.dumps(storage)), "a") == b"x"


@pytest.mark.parametrize("verb", ["get", "put"])
def test_a_wrong_password_is_one_error_that_says_so_and_does_not_show_it(
    mongo: Place, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("MONGODB_PASSWORD", "wrong-pa55word")
    with pytest.raises(StorageError, match="refused: .*[Aa]uthentication failed.*Set MONGODB_USERNAME and") as caught:
        VERBS[verb](open_storage(f"{mongo.url}tests?serverSelectionTimeoutMS=60000"), "a")
    assert "wrong-pa55word" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_is_not_there_is_said() -> None:
    url = "mongodb://127.0.0.1:9/database?serverSelectionTimeoutMS=3000"
    with pytest.raises(StorageError, match="127.0.0.1:9/database.* failed: .*Connection refused"):
        open_storage(url).get("a")


def read_there(storage: Storage, results: Any) -> None:
    results.put(content(storage, "a"))


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_another_process_opens_connections_of_its_own(store: Storage, way: str) -> None:
    store.put("a", b"x")
    context: Any = multiprocessing.get_context(way)
    results = context.SimpleQueue()
    child = context.Process(target=read_there, args=(store, results))
    child.start()
    child.join(200)
    assert child.exitcode == 0 and results.get() == b"x"
    assert content(store, "a") == b"x"
