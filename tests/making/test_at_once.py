"""Files are retrieved at once, a few of each host, and each fails alone."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watched import Watched

from dataset_assets import Array, Dataset, RemoteFile, Split, prepare
from dataset_assets.errors import DatasetAssetsError, RetrievalError
from dataset_assets.making.at_once import PER_HOST, all_retrieved, retrieved, together
from dataset_assets.making.maker import Maker
from dataset_assets.storage import LocalStorage
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing import FaultyServer, Stall


def of(**files: Any) -> Iterator[dict[str, int]]:
    yield {"n": 1}


def dataset(*urls: str) -> Dataset:
    files = {f"file_{k}": RemoteFile(url, identifier=f"f{k}") for k, url in enumerate(urls)}
    return Dataset("org.example.many", "Many files.", {"n": Array()}, {"all": Split(of, **files)})


def maker(defined: Dataset, folder: Path) -> Maker:
    return Maker(defined, StoredDataset(LocalStorage(folder), defined.name))


@pytest.mark.parametrize("per_host", [1, 3])
def test_a_host_is_asked_for_no_more_files_at_once_than_are_allowed(home: Path, per_host: int) -> None:
    names = {f"/{k}.csv": b"%d" % k for k in range(9)}
    with Watched(names, per_host) as one, Watched(names, per_host) as other:
        defined = dataset(*(server.url + name for server in (one, other) for name in names))
        with maker(defined, home / "s") as made:
            found = dict(retrieved(made, defined.remote_files, per_host))
        assert len(found) == 18 and not [error for error in found.values() if isinstance(error, DatasetAssetsError)]
        assert (one.most, other.most) == (per_host, per_host)


class Announced(FaultyServer):
    """Says that it was asked for a second file."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.asked, self.second = 0, threading.Event()

    def reply(self, request: Any) -> Any:
        self.asked += 1
        if self.asked == 2:
            self.second.set()
        return super().reply(request)


def test_the_next_file_is_on_its_way_while_the_caller_stores_one(home: Path) -> None:
    with Announced({f"/{k}.csv": b"%d" % k for k in range(2)}) as server:
        defined = dataset(*(f"{server.url}/{k}.csv" for k in range(2)))
        with maker(defined, home / "s") as made:
            found = retrieved(made, defined.remote_files, per_host=1)
            next(found)
            assert server.second.wait(60)
            assert len([*found]) == 1


def test_a_file_that_is_gone_keeps_no_other_from_coming(home: Path) -> None:
    with FaultyServer({"/0.csv": b"0", "/2.csv": b"2"}) as server:
        defined = dataset(*(f"{server.url}/{k}.csv" for k in range(3)))
        with maker(defined, home / "s") as made:
            found = dict(retrieved(made, defined.remote_files))
    failed = {name: error for name, error in found.items() if isinstance(error, DatasetAssetsError)}
    assert list(failed) == ["f1"] and "404" in str(failed["f1"])
    assert together(failed, of=3) is failed["f1"]
    two = together({"a": RetrievalError("no"), "b": DatasetAssetsError("never")}, of=3)
    assert isinstance(two, RetrievalError) and str(two).startswith("2 of 3 files were not retrieved:")


def test_files_of_the_same_bytes_do_not_wait_for_each_other_for_ever(home: Path) -> None:
    # Each waits for the one that downloads the digest, which is published when the caller has it.
    digest = "sha256:" + "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"
    with FaultyServer({f"/{k}.csv": b"0" for k in range(6)}) as server:
        files = {f"a{k}": RemoteFile(f"{server.url}/{k}.csv", digest=digest) for k in range(6)}
        defined = Dataset("org.example.same", "Equal files.", {"n": Array()}, {"all": Split(of, **files)})
        with maker(defined, home / "s") as made:
            for _, staged in retrieved(made, defined.remote_files):
                assert not isinstance(staged, DatasetAssetsError)
                if hasattr(staged, "published"):
                    made.publish(staged)
        assert len(server.requests) < 6


def test_who_is_interrupted_does_not_wait_for_a_silent_server(home: Path) -> None:
    with FaultyServer({"/0.csv": b"0" * 1000, "/1.csv": b"1" * 1000}) as server:
        server.script("/1.csv", [Stall()])
        defined = dataset(f"{server.url}/0.csv", f"{server.url}/1.csv")
        with maker(defined, home / "s") as made:
            found = retrieved(made, defined.remote_files)
            assert next(found)[0] == "f0"
            found.close()
            # Else the silent one would have been asked again.
            assert [request.path for request in server.requests].count("/1.csv") == 1


def test_prepare_retrieves_at_once_keeps_what_arrived_and_has_one_line_of_progress(home: Path) -> None:
    names = {f"/{k}.csv": b"%d" % k for k in range(9)}
    told: list[tuple[str, int, int | None]] = []
    with Watched(names) as server:
        defined = dataset(*(server.url + name for name in [*names, "/missing.csv"]))
        with pytest.raises(RetrievalError, match="missing.csv"):
            prepare(defined, progress=lambda *said: told.append(said))
        assert 1 < server.most <= PER_HOST
        assert told[-1] == ("10_files", 9, 9) and {what for what, _, _ in told} == {"10_files"}
        server.files["/missing.csv"] = b"9"
        server.forget()
        prepare(defined)
        assert [request.path for request in server.requests if "If-None-Match" not in request.headers] == [
            "/missing.csv"
        ]


def test_one_file_is_retrieved_by_the_thread_that_asks(home: Path) -> None:
    # A thread of another test may still end.
    before = {*threading.enumerate()}
    with FaultyServer({"/a.csv": b"1"}) as server, maker(dataset(f"{server.url}/a.csv"), home / "s") as made:
        for _ in all_retrieved(made, ["f0"]):
            assert [one for one in threading.enumerate() if "retrieval" in one.name and one not in before] == []
