"""Bytes without a declared digest are provisional until a split of them is published: a mended source heals by itself.

What a test does by a `way` is done by `prepare` and by Dagster.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Iterator

import dagster as dg
import pytest
from orchestrated import failures, run

from dataset_assets import Array, Dataset, DerivedFile, RemoteFile, Split, SplitOf, load, prepare
from dataset_assets.cli.describe import describe
from dataset_assets.decoding import json_lines
from dataset_assets.errors import DatasetAssetsError
from dataset_assets.making.provisional import is_proven, released_sources, set_state
from dataset_assets.orchestration.refresh import REFRESH
from dataset_assets.storage import open_storage
from dataset_assets.storage.raw_files import State
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.server import ChangeEtag, Fault, FaultyServer, NoLength, Reply, Status

NAME = "org.example.first"
GOOD = b'{"n": 1}\n{"n": 2}\n'
Way = Callable[..., str]


def from_prepare(dataset: Dataset, storage: Path, refresh: bool = False) -> str:
    """Prepare a dataset; return the error, or an empty text."""
    try:
        prepare(dataset, storage=storage, refresh=refresh)
    except DatasetAssetsError as error:
        return str(error)
    return ""


def from_dagster(dataset: Dataset, storage: Path, refresh: bool = False) -> str:
    tags = {REFRESH: "true"} if refresh else {}
    with dg.DagsterInstance.ephemeral() as instance:
        return "\n".join(failures(run(dataset, instance, storage=storage.as_uri(), tags=tags)).values())


@pytest.fixture(params=[from_prepare, from_dagster])
def way(request: pytest.FixtureRequest, home: Path) -> Way:
    found: Way = request.param
    return found


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/a.jsonl": GOOD}) as server:
        yield server


class Bad(Fault):
    """An answer with other bytes, whose headers are those of the right ones."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def change(self, reply: Reply) -> None:
        reply.body = self.body


def objects(table: Any) -> Iterator[Any]:
    for row in json_lines(table):
        yield {"n": row["n"]}


def some(table: Any) -> Iterator[Any]:
    for row in json_lines(table):
        if "n" in row:
            yield {"n": row["n"]}


def upper(table: Any) -> Iterator[bytes]:
    yield table.read().upper()


def copied(whole: Any) -> Any:
    return whole


def small(views: Any) -> str | None:
    return "a number is too large" if max(sample["n"] for sample in views["all"]) > 9 else None


def dataset(server: FaultyServer, function: Any = objects, **more: Any) -> Dataset:
    splits = {"all": Split(function, table=RemoteFile(f"{server.url}/a.jsonl"))}
    return Dataset(NAME, "Numbers.", {"n": Array("int64")}, splits, **more)


def derived(server: FaultyServer) -> Dataset:
    loud = DerivedFile("loud.jsonl", upper, table=RemoteFile(f"{server.url}/a.jsonl"))
    return replace(
        dataset(server), splits={"all": Split(lower, table=loud), "copy": Split(copied, whole=SplitOf("all"))}
    )


def lower(table: Any) -> Iterator[Any]:
    for row in json_lines(table):
        yield {"n": row["N"]}


DEFINED: dict[str, tuple[Callable[[FaultyServer], Dataset], bytes]] = {
    "cut, so that it cannot be decoded": (dataset, GOOD[:12]),
    "cut below a derived file": (derived, GOOD[:12]),
    "an error as JSON, of which no sample is made": (lambda server: dataset(server, some), b'{"error": "busy"}\n'),
    "refused by a check of the author": (lambda server: dataset(server, checks={"small": small}), b'{"n": 10}\n'),
}


@pytest.mark.parametrize("kind", DEFINED)
def test_a_mended_source_heals_by_a_plain_run_though_its_validators_stayed(
    kind: str, way: Way, server: FaultyServer, fast_path: Path
) -> None:
    make, bad = DEFINED[kind]
    defined, storage = make(server), fast_path / "storage"
    server.script("/a.jsonl", [Bad(bad)])
    said = way(defined, storage)
    command = f"If {server.url}/a.jsonl sent wrong bytes, ask again with: dataset-assets prepare {NAME}"
    assert command in " ".join(said.split()) and "/raw/" not in said
    stored = StoredDataset(open_storage(storage), NAME)
    assert describe(defined, stored.storage)["files"]["a_jsonl"]["state"] == "provisional"

    assert way(defined, storage) == ""
    assert [sample["n"] for sample in load(NAME, storage=storage)["all"]] == [1, 2]
    assert describe(defined, stored.storage)["state"] == "complete"
    clean = prepare(defined, storage=fast_path / "clean")["all"].version
    assert load(NAME, storage=storage)["all"].version == clean
    raw = stored.raw("a_jsonl")
    assert raw and raw.state == ""
    server.forget()
    server.files["/a.jsonl"] = b"something else"
    assert from_prepare(defined, storage) == "" and server.requests == []


def test_what_one_dataset_could_not_decode_is_not_copied_to_another(
    server: FaultyServer, home: Path, fast_path: Path
) -> None:
    server.script("/a.jsonl", [Bad(GOOD[:12])])
    assert "sent wrong bytes" in from_prepare(dataset(server), fast_path)
    assert from_prepare(replace(dataset(server), name="org.example.second"), fast_path) == ""


ANSWERS: dict[str, tuple[list[Any], list[bool]]] = {
    "a strong ETag": ([], [False, True]),
    "no ETag": ([ChangeEtag(None), ChangeEtag(None)], [False, False]),
    "a weak ETag": ([ChangeEtag('W/"weak"'), ChangeEtag('W/"weak"')], [False, False]),
    "no length, so that it may be cut": ([NoLength()], [False, False]),
}


def failing(table: Any) -> Iterator[Any]:
    raise ValueError("a bug of the author")
    yield {}


@pytest.mark.parametrize(
    "answer, way", [*((answer, from_prepare) for answer in ANSWERS), ("a strong ETag", from_dagster)]
)
def test_after_a_bug_of_the_author_the_source_is_asked_if_it_changed(
    answer: str, way: Way, server: FaultyServer, home: Path, fast_path: Path
) -> None:
    faults, conditions = ANSWERS[answer]
    server.script("/a.jsonl", faults)
    assert "a bug of the author" in way(dataset(server, failing), fast_path / "storage")
    assert way(dataset(server), fast_path / "storage") == ""
    assert [request.headers["If-None-Match"] is not None for request in server.requests] == conditions
    assert len(load(NAME, storage=fast_path / "storage")["all"]) == 2


def test_what_only_the_function_finds_wrong_is_retrieved_again_by_a_refresh(
    way: Way, server: FaultyServer, fast_path: Path
) -> None:
    # The validators are those of the right bytes: nothing but the error shows that these are cut.
    server.script("/a.jsonl", [Bad(b'{"m": 1}\n')])
    for _ in range(2):
        assert f"prepare --refresh {NAME}" in way(dataset(server), fast_path / "storage")
    assert way(dataset(server), fast_path / "storage", refresh=True) == ""


def test_provisional_bytes_are_used_while_their_server_does_not_answer(
    home: Path, server: FaultyServer, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "a bug" in from_prepare(dataset(server, failing), fast_path / "storage")
    server.script("/a.jsonl", [Status(404)])
    assert from_prepare(dataset(server), fast_path / "storage") == ""
    assert "a bug" in from_prepare(dataset(server, failing), fast_path / "offline")
    monkeypatch.setenv("DATASET_ASSETS_OFFLINE", "1")
    server.forget()
    assert from_prepare(dataset(server), fast_path / "offline") == "" and server.requests == []


def test_bytes_of_a_release_are_not_asked_for_again_when_a_check_refuses_them(
    way: Way, server: FaultyServer, fast_path: Path
) -> None:
    server.files["/a.jsonl"] = b'{"n": 10}\n'
    assert way(dataset(server), fast_path / "storage") == ""
    server.forget()
    for _ in range(2):
        said = way(dataset(server, checks={"small": small}), fast_path / "storage")
        assert "too large" in said and "ask again" not in said
    assert server.requests == []


def test_what_a_released_index_names_is_proven_whatever_its_record_says(
    way: Way, server: FaultyServer, fast_path: Path
) -> None:
    stored = StoredDataset(open_storage(fast_path / "storage"), NAME)
    assert way(dataset(server), fast_path / "storage") == ""
    raw = stored.raw("a_jsonl")
    assert raw and released_sources(stored) == {("a_jsonl", raw.sha256)}
    server.forget()
    states: tuple[State, ...] = ("provisional", "doubted")
    for state in states:
        set_state(stored, [raw], state)
        marked = stored.raw("a_jsonl")
        assert marked and marked.state == state and is_proven(stored, marked)
        assert describe(dataset(server), stored.storage)["state"] == "complete"
        assert way(dataset(server), fast_path / "storage") == ""
        cleared = stored.raw("a_jsonl")
        assert cleared and cleared.state == ""
    assert server.requests == []


def test_a_split_alone_proves_its_bytes_in_dagster(home: Path, server: FaultyServer, fast_path: Path) -> None:
    storage = fast_path / "storage"
    with dg.DagsterInstance.ephemeral() as instance:
        selection = [dg.AssetKey(f"org/example/first/{name}".split("/")) for name in ("raw/a_jsonl", "all", "all/n")]
        assert run(dataset(server), instance, storage=storage.as_uri(), selection=selection).success
    raw = StoredDataset(open_storage(storage), NAME).raw("a_jsonl")
    assert raw and raw.state == ""
    set_state(StoredDataset(open_storage(storage), NAME), [raw], "provisional")
    assert is_proven(StoredDataset(open_storage(storage), NAME), replace(raw, state="provisional"))
    assert not is_proven(StoredDataset(open_storage(storage), NAME), replace(raw, state="doubted"))


def test_a_state_is_not_written_into_the_record_of_other_bytes(home: Path, server: FaultyServer) -> None:
    prepare(dataset(server))
    stored = StoredDataset(open_storage(home / "storage"), NAME)
    raw = stored.raw("a_jsonl")
    assert raw
    set_state(stored, [replace(raw, sha256="0" * 64)], "doubted")
    assert stored.raw("a_jsonl") == raw
