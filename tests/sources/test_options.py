"""Errors of decoders and formats say what is written in `dataset_from(options=...)`, and name the file."""

import io
import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from media import picture

from dataset_assets import Image, load, prepare
from dataset_assets.errors import DatasetAssetsError, DecodeError, UsageError
from dataset_assets.sources import dataset_from, source_of
from dataset_assets.sources.options import as_options
from dataset_assets.storage import MemoryStorage


@pytest.fixture
def folder(home: Path) -> Path:
    return home.parent


def refused(source: Any, **options: Any) -> str:
    with pytest.raises(DatasetAssetsError) as error:
        dataset_from(source, **options)
    return str(error.value)


def latin(path: Path) -> None:
    path.write_bytes("name,x\nJosé,1\n".encode("latin-1"))


def wide(path: Path) -> None:
    path.write_bytes("name,x\nJosé,1\n".encode("utf-16"))


def keyed(path: Path) -> None:
    path.write_text(json.dumps({"about": ["birds"], "none": [], "rows": [{"a": 1}]}))


def tables(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("create table birds (x)")
        database.execute("insert into birds values (1)")
        database.execute("create table trees (x)")
    database.close()


def sheets(path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "2019"
    book.active.append(["a"])
    book.active.append([1])
    book.create_sheet("2020")
    book.save(path)


def arrays(path: Path) -> None:
    np.savez(path, a=np.zeros(3), b=np.zeros(4))


@pytest.mark.parametrize(
    ("name", "write", "options"),
    [
        ("a.csv", latin, {"encoding": "latin-1"}),
        ("b.csv", wide, {"encoding": "utf-16"}),
        ("c.csv", lambda path: path.write_text("a,a\n3,4\n"), {"header": False, "columns": ["id", "text"]}),
        ("d.json", keyed, {"key": "rows"}),
        ("e.db", tables, {"table": "birds"}),
        ("f.xlsx", sheets, {"sheet": "2019"}),
        ("g.npz", arrays, {"arrays": ["a"]}),
        ("h.csv", lambda path: path.write_text('a\n"x" y\n"z" 1\n'), {"quoting": None}),
    ],
)
def test_an_error_says_the_options_with_which_the_file_is_read(
    folder: Path, name: str, write: Any, options: dict[str, Any]
) -> None:
    write(folder / name)
    shown = refused(folder / name)
    assert name in shown and f"options={json.dumps(options).replace('false', 'False').replace('null', 'None')}" in shown
    assert len(prepare(dataset_from(folder / name, options=options), storage=MemoryStorage())["all"])


def test_only_the_arguments_of_the_decoder_are_options() -> None:
    names = ["header", "columns"]
    assert as_options("header=False, columns=['a', 'b'].", names) == 'options={"header": False, "columns": ["a", "b"]}.'
    assert as_options("target='x', subheader=1, header", names) == "target='x', subheader=1, header"
    assert as_options("key='x'", []) == "key='x'"


@pytest.mark.parametrize(
    ("name", "text"), [("header.csv", "a,b\n"), ("none.jsonl", "\n"), ("none.json", "[]"), ("none.tsv", "a\tb\n")]
)
def test_a_file_without_rows_is_named(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    assert f"{folder / name} has no rows" in refused(folder / name)


def test_a_folder_of_pictures_takes_the_options_of_pictures(folder: Path) -> None:
    for kind, mode in (("cat", "L"), ("dog", "RGBA")):
        (folder / "pets" / kind).mkdir(parents=True)
        (folder / "pets" / kind / "1.png").write_bytes(picture("PNG", 4, 5, mode=mode))
    pets = dataset_from(folder / "pets", options={"mode": "RGB"})
    assert pets.streams["image"] == Image("RGB") and 'Image(mode="RGB")' in source_of(pets)
    assert [one["image"].shape for one in prepare(pets, storage=MemoryStorage())["all"]] == [(4, 5, 3), (4, 5, 3)]
    assert "has no option 'size'. It takes mode, shape, check, most_pixels." in refused(
        folder / "pets", options={"size": 8}
    )
    assert 'options={"mode": "grey"} is not known' in refused(folder / "pets", options={"mode": "grey"})


@pytest.mark.parametrize("files", [["1.heic", "2.png"], ["1.tiff", "2.png", "3.png"]])
def test_pictures_that_are_not_read_are_named_with_what_to_do(folder: Path, files: list[str]) -> None:
    (folder / "pets").mkdir()
    for name in files:
        (folder / "pets" / name).write_bytes(picture("PNG", 4, 4))
    assert f"holds {files[0]}, a picture of a kind that is not read. Write it as PNG" in refused(folder / "pets")
    assert "Write it as PNG" in refused(folder / "pets" / files[0])
    assert "Give the folder" in refused(folder / "pets" / "2.png")


def test_a_folder_of_pictures_that_are_not_read_has_files_and_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "scans").mkdir()
    (folder / "scans" / "1.tif").write_bytes(b"II*\0")
    assert [*dataset_from(folder / "scans").streams] == ["file"]
    assert "1.tif is of a kind that is not read" in caplog.text and "dataset-assets new" in caplog.text


def test_a_damaged_member_of_an_archive_is_named_with_its_archive(folder: Path) -> None:
    with tarfile.open(folder / "shard.tar", "w") as archive:
        for name, data in {"1.cls": b"0", "1.json": b"{}", "2.cls": b"one", "2.json": b"{}"}.items():
            (info := tarfile.TarInfo(name)).size = len(data)
            archive.addfile(info, io.BytesIO(data))
    with pytest.raises(DecodeError, match=f"{folder}/shard.tar has '2.cls', which cannot be read as cls"):
        dataset_from(folder / "shard.tar")


@pytest.mark.parametrize("opens", [prepare, load])
def test_a_path_or_a_url_where_a_name_belongs_says_what_to_type(folder: Path, opens: Any) -> None:
    (folder / "birds.csv").write_text("a\n1\n")
    for given in (str(folder / "birds.csv"), "https://example.org/birds.csv", "s3://lake/*.parquet"):
        with pytest.raises(DatasetAssetsError) as error:
            opens(given)
        assert f"prepare(dataset_from({given!r}))" in str(error.value)


def test_a_file_that_is_not_there_is_named_with_its_folder(home: Path) -> None:
    with pytest.raises(DatasetAssetsError, match=f"No dataset is named brids.csv, and {Path.cwd()}/brids.csv is not"):
        prepare("brids.csv")


def test_a_table_where_a_dataset_belongs_says_what_to_type() -> None:
    with pytest.raises(UsageError, match=r"A dict is not a dataset. Make one of it: prepare\(dataset_from"):
        prepare({"a": [1]})  # type: ignore[arg-type]
