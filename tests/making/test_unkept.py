"""Files with `keep=False`: their bytes are nowhere in the storage; what needs them retrieves them, and checks them."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import dagster as dg
import pytest
from orchestrated import files_in, run

from dataset_assets import Array, Dataset, DerivedFile, FileOf, RemoteFile, Split, load, prepare
from dataset_assets.definition import registry
from dataset_assets.errors import DefinitionError, DigestMismatch
from dataset_assets.moving.verify import repair, verify
from dataset_assets.storage import open_storage
from dataset_assets.testing.server import FaultyServer

NAME = "org.example.passing"


def lines(table: BinaryIO, part: int) -> Iterator[Any]:
    for line in table:
        yield {"n": int(line) * (part + 1)}


def dataset(url: str, *, keep: bool = False, parts: int = 2, version: str = "1", derived: bool = False) -> Dataset:
    table: Any = RemoteFile(url, identifier="n_txt", keep=keep)
    if derived:
        table = DerivedFile("copy.txt", same, table=table)
    splits = {f"part{part}": Split(lines, table=table, part=part) for part in range(parts)}
    return Dataset(NAME, "Numbers.", {"n": Array("int64")}, splits, version=version, checks={"leakage": "off"})


def same(table: BinaryIO) -> Iterator[bytes]:
    yield table.read()


def numbers(split: str = "part0") -> list[int]:
    found: list[int] = load(NAME, split).to_numpy()["n"].tolist()
    return found


def raws(home: Path) -> list[str]:
    return [path.name for path in (home / "storage").rglob("raw/*/*")]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/n.txt": b"1\n2\n"}) as server:
        yield server


@pytest.mark.parametrize("derived", [False, True])
def test_only_the_record_of_the_file_is_stored_and_the_index_is_that_of_a_kept_file(
    derived: bool, home: Path, server: FaultyServer
) -> None:
    found = prepare(dataset(f"{server.url}/n.txt", derived=derived))
    assert raws(home) == ["source.json"]
    assert len(server.requests) == 1
    kept = prepare(dataset(f"{server.url}/n.txt", keep=True, derived=derived), storage=(home / "other").as_uri())
    assert {n: v.origin.index for n, v in found.items()} == {n: v.origin.index for n, v in kept.items()}


def test_what_nobody_needs_is_not_asked_for(home: Path, server: FaultyServer) -> None:
    prepare(dataset(f"{server.url}/n.txt"))
    before, asked = files_in(home / "storage"), len(server.requests)
    prepare(dataset(f"{server.url}/n.txt"))
    assert len(server.requests) == asked and files_in(home / "storage") == before
    prepare(dataset(f"{server.url}/n.txt"), refresh=True)
    assert server.requests[asked:][0].headers["If-None-Match"], "a refresh asks whether it changed"
    assert len(server.requests) == asked + 1 and files_in(home / "storage") == before


def test_a_new_split_of_a_file_takes_the_bytes_that_were_recorded(home: Path, server: FaultyServer) -> None:
    prepare(dataset(f"{server.url}/n.txt", parts=1))
    prepare(dataset(f"{server.url}/n.txt", parts=2))
    assert len(server.requests) == 2 and numbers("part1") == [2, 4]
    old = files_in(home / "storage")
    server.files["/n.txt"] = b"7\n8\n"
    with pytest.raises(DigestMismatch, match=f"not the .* that was recorded .* prepare --refresh {NAME}"):
        prepare(dataset(f"{server.url}/n.txt", parts=3))
    assert files_in(home / "storage") == old
    prepare(dataset(f"{server.url}/n.txt", parts=3), refresh=True)
    assert [numbers(f"part{part}") for part in range(3)] == [[7, 8], [14, 16], [21, 24]]
    assert raws(home) == ["source.json"]


def test_a_file_here_that_changed_gives_a_new_version_of_every_split(home: Path, tmp_path: Path) -> None:
    (path := tmp_path / "n.txt").write_bytes(b"1\n2\n")
    old = prepare(dataset(path.as_uri()))["part0"].version
    path.write_bytes(b"3\n")
    prepare(dataset(path.as_uri()))
    assert numbers("part0") == [3] and numbers("part1") == [6]
    assert load(f"{NAME}@{old}", "part1").to_numpy()["n"].tolist() == [2, 4]


def test_dagster_makes_the_same_and_stores_no_more(home: Path, server: FaultyServer) -> None:
    url = f"{server.url}/n.txt"
    expected = {n: v.origin.index for n, v in prepare(dataset(url), storage=(home / "other").as_uri()).items()}
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(dataset(url), instance).success
        assert {n: v.origin.index for n, v in load(NAME).items()} == expected
        assert raws(home) == ["source.json"]
        server.files["/n.txt"] = b"7\n8\n"
        assert run(dataset(url), instance).success
        assert numbers() == [1, 2]
        assert run(dataset(url), instance, tags={"dataset_assets/refresh": "true"}).success
        assert numbers() == [7, 8] and numbers("part1") == [14, 16]


@pytest.mark.parametrize("changed", [False, True])
def test_repair_retrieves_the_file_again_or_says_what_it_cannot_mend(
    changed: bool, home: Path, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = dataset(f"{server.url}/n.txt")
    # As a plugin's definition is found, without installing one.
    monkeypatch.setattr(registry, "find", lambda name: definition)
    prepare(definition)
    storage = open_storage(home / "storage")
    [stream] = (home / "storage").rglob("part0/n/*.npy")
    os.chmod(stream, 0o600)
    stream.write_bytes(damaged := bytes(stream.stat().st_size))
    if changed:
        server.files["/n.txt"] = b"7\n8\n"
    [damage] = repair(verify(NAME, storage), storage).damaged
    if changed:
        assert "prepare --refresh" in str(damage.reason) and stream.read_bytes() == damaged
    else:
        assert damage.repaired and load(NAME, "part0", verify="all").to_numpy()["n"].tolist() == [1, 2]
    assert raws(home) == ["source.json"]


def test_another_dataset_cannot_take_a_file_that_does_not_stay(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = dataset("https://example.org/n.txt")
    monkeypatch.setattr(registry, "defined", lambda name: definition if name == NAME else None)
    split = Split(lines, table=FileOf(NAME, "n_txt"), part=0)
    with pytest.raises(DefinitionError, match="is not stored. Define it there with keep=True"):
        prepare(Dataset("org.example.other", "x.", {"n": Array("int64")}, {"all": split}))


@pytest.mark.parametrize("keep", [0, "no", 1.0])
def test_keep_is_true_or_false(keep: Any) -> None:
    with pytest.raises(DefinitionError, match="Write keep=True or keep=False"):
        RemoteFile("https://example.org/a", keep=keep)


def test_the_record_of_a_file_that_was_kept_before_is_used(home: Path, server: FaultyServer) -> None:
    url = f"{server.url}/n.txt"
    prepare(dataset(url, keep=True, parts=1))
    prepare(dataset(url, parts=2))
    assert len(server.requests) == 1, "its bytes are still there"
    kept = replace(dataset(url, keep=True, parts=2), version="2")
    prepare(kept)
    assert len(server.requests) == 1
