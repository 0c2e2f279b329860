"""What the plugin offers does what its kind promises, by the suites that dataset_assets ships."""

import doctest
import json
import multiprocessing
import sqlite3
import tempfile
from pathlib import Path
from typing import Any, Sequence

import pytest
from birdhouse import typed_rows as typed_rows_module
from birdhouse.birds import birds
from birdhouse.json_lines import Json
from birdhouse.sqlite_storage import SqliteStorage
from birdhouse.sqlite_table import TableRetriever
from birdhouse.typed_rows import typed_rows
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from dataset_assets import Dataset, RemoteFile, Split, Text, prepare
from dataset_assets.decoding import csv_rows, decoder
from dataset_assets.errors import RetrievalError, SchemaError, StorageError, UsageError
from dataset_assets.making.existing import publish_raw
from dataset_assets.making.steps import stage_raw
from dataset_assets.retrieval import fetch_first, retriever_for
from dataset_assets.storage import MemoryStorage, open_storage
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing import DatasetTests, FormatTests, StorageTests, storage_state_machine
from dataset_assets.testing.storage import sha256

CSV = b"""\
species,grams,year,month,note
robin,18.5,2021,1,"sang, twice"
great tit,17.0,2022,4,
house sparrow,30.25,2023,4,"with ""others\"""
robin,19,2023,12,
"""


class TestBirds(DatasetTests):
    ends_are_seen = False

    @pytest.fixture
    def dataset(self):
        return birds

    @pytest.fixture
    def raw_files(self):
        return {"birds_csv": CSV}


class TestJson(FormatTests):
    @pytest.fixture
    def format(self):
        return Json()

    @pytest.fixture
    def values(self):
        return [{"b": [1, 2.5, None], "a": "ü\n\u2028"}, [], "text", 7, None, {"nested": {"deep": True}}]

    def read_elsewhere(self, path: Path) -> Sequence[Any]:
        with open(path, "rb") as file:
            return [json.loads(line) for line in file][:-1]


class TestSqliteStorage(StorageTests):
    @pytest.fixture
    def storage(self, tmp_path: Path):
        return SqliteStorage(tmp_path / "a folder" / "objects.db")


def test_the_storage_agrees_with_a_dict(tmp_path: Path) -> None:
    machine = storage_state_machine(lambda: SqliteStorage(Path(tempfile.mkdtemp(dir=tmp_path), "objects.db")))
    run_state_machine_as_test(machine, settings=settings(max_examples=10, stateful_step_count=20, deadline=None))


def test_of_many_processes_that_swap_one_wins(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "objects.db")
    storage.put("a", b"old")
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        new = [b"new %d" % i for i in range(4)]
        was_set = pool.starmap(storage.swap, [("a", some, sha256(b"old")) for some in new])
    assert was_set.count(True) == 1
    with storage.get("a") as file:
        assert file.read() == new[was_set.index(True)]


def test_a_file_that_is_no_database_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "objects.db").write_text("something else entirely, but long enough to be one" * 50)
    with pytest.raises(StorageError, match="not a database"):
        SqliteStorage(tmp_path / "objects.db").put("a", b"x")
    with pytest.raises(UsageError):
        open_storage("sqlitestore://host/x.db")


@pytest.mark.parametrize("value", [{1, 2}, (1, 2), float("nan"), {"a": b"x"}, {1: "a number as a key"}])
def test_what_json_cannot_say_is_refused_and_named(value: Any, tmp_path: Path) -> None:
    writer = Json().writer(tmp_path / "stream")
    with pytest.raises(SchemaError, match="sample 1: "):
        writer.append(["fine", value])
    writer.discard()


# The retriever.


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "some birds.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE birds (name TEXT, grams REAL)")
        made.executemany("INSERT INTO birds VALUES (?, ?)", [(f"bird {i}", i / 2) for i in range(2500)])
    made.close()
    return path


def url_of(path: Path, table: str = "birds") -> str:
    return f"sqlitetable://{path.as_posix().replace(' ', '%20')}?table={table}"


def changed(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE birds SET grams = 1 WHERE name = 'bird 7'")
    database.close()


def test_a_table_is_read_as_csv_and_again_only_when_it_changed(database: Path, tmp_path: Path) -> None:
    into, url = tmp_path / "birds.csv", url_of(database)
    assert isinstance(retriever_for(url), TableRetriever)
    known = fetch_first([url], into)
    lines = into.read_text().splitlines()
    assert (lines[0], lines[1], lines[-1], len(lines)) == ("name,grams", "bird 0,0.0", "bird 2499,1249.5", 2501)
    into.unlink()
    assert fetch_first([url], into, known) is None and not into.exists()
    changed(database)
    again = fetch_first([url], into, known)
    assert again and again.etag != known.etag and "bird 7,1.0" in into.read_text()


def test_progress_is_told(database: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    fetch_first([url_of(database)], tmp_path / "birds.csv", report=lambda *of: told.append(of))
    assert len(told) == 4 and told[-1] == ((tmp_path / "birds.csv").stat().st_size, None)


def test_a_refresh_asks_the_database_whether_anything_changed(database: Path, tmp_path: Path) -> None:
    file = RemoteFile(url_of(database), identifier="birds_csv")
    dataset = Dataset("org.example.birdhouse.others", "Birds.", {"name": Text()}, {"all": Split(names, table=file)})
    storage = MemoryStorage()
    known = publish_raw(StoredDataset(storage, dataset.name), stage_raw(dataset, file, tmp_path / "one"))
    assert stage_raw(dataset, file, tmp_path / "two", known=known, refresh=True) is None
    changed(database)
    staged = stage_raw(dataset, file, tmp_path / "three", known=known, refresh=True)
    assert staged and staged.raw.sha256 != known.sha256


def names(table: Any) -> Any:
    for row in csv_rows(table):
        yield {"name": row["name"]}


@pytest.mark.parametrize(
    "kind, url",
    [
        (RetrievalError, "sqlitetable:///nowhere/birds.db?table=birds"),
        (RetrievalError, "sqlitetable://{path}?table=fish"),
        (RetrievalError, "sqlitetable://{path}?table=birds%22%3B%20DROP%20TABLE%20birds%3B--"),
        (UsageError, "sqlitetable://{path}"),
        (UsageError, "sqlitetable://host{path}?table=birds"),
    ],
)
def test_what_cannot_be_read_is_told(kind: type[Exception], url: str, database: Path, tmp_path: Path) -> None:
    with pytest.raises(kind, match="sqlitetable://"):
        fetch_first([url.format(path=str(database).replace(" ", "%20"))], tmp_path / "into")
    assert not (tmp_path / "into").exists()


# All of it together.


def test_the_decoder_is_found_by_its_name() -> None:
    assert decoder("typed_rows") is typed_rows
    assert not doctest.testmod(typed_rows_module).failed


def test_the_dataset_is_made_of_its_table_and_kept_in_its_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_HOME", str(tmp_path))
    views = prepare("org.example.birdhouse.birds", storage=f"sqlitestore://{tmp_path}/objects.db")
    assert {split: len(view) for split, view in views.items()} == {"train": 4, "test": 2}
    assert views["test"][0]["bird"] == {"grams": 16.5, "when": [2023, 2], "note": None}
    assert views["train"][0]["bird"]["note"] == "sang, twice"
    assert views["train"].to_numpy()["species"].tolist() == [2, 0, 1, 2]
