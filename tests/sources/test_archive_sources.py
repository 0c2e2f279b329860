"""Readers by the ending or the first bytes of a file, and archives of files."""

import gzip
import io
import sqlite3
import tarfile
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import openpyxl
import pandas
import pyarrow
import pytest
import tfrecord
from PIL import Image as Pictures
from safetensors.numpy import save_file

from dataset_assets import Json, dataset_from, prepare
from dataset_assets.errors import UsageError
from dataset_assets.sources import source_of
from dataset_assets.sources.infer import inferred
from dataset_assets.storage import MemoryStorage


def views(source: Any, **options: Any) -> Any:
    return prepare(dataset_from(source, **options), storage=MemoryStorage())


@pytest.fixture
def folder(home: Path) -> Path:
    return home.parent


def tarred(files: dict[str, bytes]) -> bytes:
    with tarfile.open(fileobj=(made := io.BytesIO()), mode="w") as archive:
        for name, data in files.items():
            (info := tarfile.TarInfo(name)).size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(made := io.BytesIO(), "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def picture(side: int) -> bytes:
    Pictures.new("RGB", (side, side)).save(made := io.BytesIO(), "png")
    return made.getvalue()


@pytest.mark.parametrize("name", ["a.db", "a.sqlite.gz", "a"])
def test_a_database_is_a_source(name: str, folder: Path) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("create table birds (n, note, kind)")
    database.executemany("insert into birds values (?, ?, ?)", [(1, "é", "b"), (None, None, "a")])
    data = database.serialize()
    (folder / name).write_bytes(pyarrow.compress(data, "gzip", asbytes=True) if name.endswith(".gz") else data)
    view = views(folder / name, target="kind")["all"]
    assert [*view][0] == {"n": 1.0, "note": "é", "kind": 1} and view.classes == {"kind": ("a", "b")}
    assert np.isnan(view[1]["n"]) and view[1]["note"] is None


def test_a_sheet_is_a_source(folder: Path) -> None:
    frame = pandas.DataFrame({"when": [datetime(2020, 1, 2), None], "n": [1, 2], "x": [1.5, None], "s": ["a", "b"]})
    book = openpyxl.Workbook()
    for row in [[*frame], *([None if pandas.isna(v) else v for v in row] for row in frame.astype(object).values)]:
        book.active.append(row)
    book.save(folder / "a.xlsx")
    view = views(folder / "a.xlsx")["all"]
    assert view[0] == {"when": np.datetime64("2020-01-02"), "n": 1, "x": 1.5, "s": "a"}
    assert np.isnat(view[1]["when"]) and np.isnan(view[1]["x"])


@pytest.mark.parametrize("ending", ["h5", "safetensors"])
def test_arrays_of_other_fields_are_a_source(ending: str, folder: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(8, 2, 3)).astype(np.float32), np.arange(8)
    if ending == "h5":
        with h5py.File(folder / "a.h5", "w") as file:
            file["data/x"], file["y"], file["word"] = x, y, np.array(["a", "é"] * 4, h5py.string_dtype())
    else:
        save_file({"data/x": x, "y": y}, folder / "a.safetensors")
    view = views(folder / f"a.{ending}", target="y")["all"]
    assert view[3]["data_x"].dtype == np.float32 and np.array_equal(view[3]["data_x"], x[3]) and view[3]["y"] == 3
    assert view.roles["target"] == "y" and (ending != "h5" or view[1]["word"] == "é")


def test_records_of_tensorflow_are_a_source(folder: Path) -> None:
    writer = tfrecord.TFRecordWriter(str(folder / "a.tfrecord"))
    for k in range(3):
        writer.write(
            {"image/encoded": ([picture(k + 1)], "byte"), "label": ([k], "int"), "box": ([0.5] * (k + 1), "float")}
        )
    writer.close()
    view = views(folder / "a.tfrecord", target="label")["all"]
    assert [(one["image_encoded"].shape[0], one["label"], one["box"].tolist()) for one in view] == [
        (1, 0, [0.5]),
        (2, 1, [0.5, 0.5]),
        (3, 2, [0.5, 0.5, 0.5]),
    ]


def test_shards_of_webdataset_are_a_source(folder: Path) -> None:
    for shard in range(2):
        files = {}
        for k in range(2):
            key = f"{shard}{k}"
            files |= {f"{key}.png": picture(k + 1), f"{key}.cls": b"%d" % k, f"{key}.json": b'{"a": [1]}'}
        (folder / f"train-{shard}.tar").write_bytes(tarred(files))
    for source in (str(folder / "train-*.tar"), [folder / "train-0.tar", folder / "train-1.tar"]):
        view = views(source, target="cls")["all"]
        assert [(one["key"], one["png"].shape[0], one["cls"]) for one in view] == [
            ("00", 1, 0), ("01", 2, 1), ("10", 1, 0), ("11", 2, 1),
        ]  # fmt: skip
        assert view[0]["json"] == {"a": [1]} and isinstance(dataset_from(source).streams["json"], Json)
    assert len(views(folder / "train-0.tar")["all"]) == 2


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_an_archive_of_files_has_splits_and_classes(name: str, folder: Path) -> None:
    files = {f"{split}/{kind}/1.txt": f"{split} {kind}".encode() for split in ("train", "test") for kind in ("a", "b")}
    files["__MACOSX/x"] = b"junk"
    data = zipped(files) if name == "a.zip" else tarred(files)
    (folder / name).write_bytes(pyarrow.compress(data, "gzip", asbytes=True) if name.endswith("gz") else data)
    found = views(folder / name)
    assert {split: [(one["text"], one["label"]) for one in view] for split, view in found.items()} == {
        "test": [("test a", 0), ("test b", 1)],
        "train": [("train a", 0), ("train b", 1)],
    }
    with pytest.raises(UsageError, match="There is no stream 'x'"):
        dataset_from(folder / name, target="x")


def written(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    data = zipped(files) if name.endswith(".zip") else tarred(files)
    data = pyarrow.compress(data, "gzip", asbytes=True) if name.endswith("gz") else data
    (folder / name).write_bytes(data)
    return folder / name


REVIEWS = {
    path: path.encode()
    for path in (f"{split}/{kind}/{k}.txt" for split in ("test", "train") for kind in ("neg", "pos") for k in range(2))
}


@pytest.mark.parametrize("name", ["reviews.zip", "reviews.tar", "reviews.tar.gz"])
@pytest.mark.parametrize("top", ["", "reviews", "./reviews", "data/reviews"])
def test_a_folder_that_all_members_are_in_is_looked_through(name: str, top: str, folder: Path) -> None:
    junk = {f"{top or '.'}/.DS_Store": b"", "__MACOSX/reviews/._0.txt": b"", f"{top or '.'}/train/Thumbs.db": b""}
    path = written(folder, name, junk | {f"{top}/{path}".lstrip("/"): data for path, data in REVIEWS.items()})
    found = views(path)
    assert {split: [one["label"] for one in view] for split, view in found.items()} == {
        "test": [0, 0, 1, 1],
        "train": [0, 0, 1, 1],
    }
    assert found["train"].classes == {"label": ("neg", "pos")}


@pytest.mark.parametrize("name", ["shard.tar", "shard.tar.gz", "shard.tgz"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"._1.png": b"a Mac", ".DS_Store": b"a Mac", "__MACOSX/._1.png": b"a Mac"},
        {"./3.png": picture(3), "./3.cls": b"2"},
        {"__meta__.json": b"{}"},
    ],
)
def test_samples_of_webdataset_may_lack_a_file_beside_hidden_ones(
    more: dict[str, bytes], name: str, folder: Path
) -> None:
    files = {"1.png": picture(1), "1.cls": b"0", "2.png": picture(2), **more}
    data = tarred(files)
    (folder / name).write_bytes(data if name.endswith(".tar") else gzip.compress(data))
    found = views(folder / name)["all"]
    assert [*found.streams] == ["cls", "key", "png"]
    assert [one["key"] for one in found] == ["1", "2", "3"][: len(found)]
    assert found[0]["cls"] == 0 and np.isnan(found[1]["cls"]) and found[1]["png"].shape == (2, 2, 3)


def test_a_tar_of_pictures_with_equal_names_in_two_kinds_is_a_folder_of_pictures(folder: Path) -> None:
    files = {"cat/1.png": picture(1), "cat/1.jpg": picture(2), "dog/2.png": picture(3)}
    (folder / "pets.tar").write_bytes(tarred(files))
    assert [*views(folder / "pets.tar")["all"].streams] == ["image", "label"]


def test_a_folder_of_one_folder_is_looked_through(folder: Path) -> None:
    for path, data in REVIEWS.items():
        (folder / "in" / "reviews" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / "reviews" / path).write_bytes(data)
    assert {split: len(view) for split, view in views(folder / "in").items()} == {"test": 4, "train": 4}
    assert views(folder / "in" / "reviews" / "train" / "pos")["all"].streams == ("text",)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ("README.md", "Not divided into test, train, because README.md is in none of these folders"),
        ("train/neg/more/1.txt", "No labels, because not every file is directly in the folder of a class"),
    ],
)
def test_folders_that_are_not_taken_are_named(
    odd: str, words: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(folder, "a.zip", REVIEWS | {odd: b"text"})
    found = inferred(path)
    assert "label" not in found.streams and words in found.why["text"] and words in caplog.text


@pytest.mark.parametrize("files", [("train.csv", "test.csv"), ("a/x.parquet", "a/LICENSE"), ("a.csv", "b.json")])
@pytest.mark.parametrize("name", ["tables.zip", "tables.tar.gz", "tables"])
def test_tables_are_never_read_as_opaque_files(files: tuple[str, ...], name: str, folder: Path) -> None:
    table = b"x\n1\n"
    if name == "tables":
        for file in files:
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / file).write_bytes(table)
    else:
        written(folder, name, dict.fromkeys(files, table))
    if name == "tables" and files[0] == "train.csv":
        assert {*dataset_from(folder / name).splits} == {"test", "train"}
        return
    with pytest.raises(UsageError, match="holds tables, such as .*Unpack it|holds tables, such as .*Give"):
        dataset_from(folder / name)


def test_an_option_that_a_reader_does_not_take_is_refused(folder: Path) -> None:
    (folder / "a.csv").write_text("x\n1\n")
    (folder / "a.jsonl").write_text('{"x": 1}\n')
    reviews = [written(folder, name, REVIEWS) for name in ("r.zip", "r.tar", "r.tar.gz", "r.tgz")]
    shard = written(folder, "w.tar", {"1.txt": b"a", "1.cls": b"0"})
    for path, option, words in [
        (
            folder / "a.csv",
            "sep",
            "read by csv_blocks, which has no option 'sep'. It takes columns, .*delimiter",
        ),
        (folder / "a.csv", "delimeter", "Did you mean 'delimiter'"),
        (folder / "a.jsonl", "key", "It takes none"),
        (shard, "unwrap", "It takes none"),
        *(
            (path, option, f"Text, which has no option '{option}'")
            for path in reviews
            for option in ("unwrap", "members")
        ),
    ]:
        with pytest.raises(UsageError, match=words):
            dataset_from(path, options={option: True})


def test_lines_of_a_text_are_a_source(folder: Path) -> None:
    (folder / "a.txt.zst").write_bytes(pyarrow.compress("one\n\ntwo é\n".encode(), "zstd", asbytes=True))
    assert [one["text"] for one in views(folder / "a.txt.zst")["all"]] == ["one", "", "two é"]
    found = views(folder / "a.txt.zst", options={"by": "paragraph"}, splits={"train": 0.5, "test": 0.5})
    assert {one["text"] for one in [*found["train"], *found["test"]]} == {"one", "two é"}
    assert 'options={"by": "paragraph"}' in source_of(dataset_from(folder / "a.txt.zst", options={"by": "paragraph"}))
