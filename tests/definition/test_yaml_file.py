"""Definitions in YAML: tables, JSON lines and files become datasets; what is wrong is named by line and key."""

import io
import json
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media import picture

from dataset_assets import Dataset, View, dataset_from_yaml, prepare
from dataset_assets.definition import registry
from dataset_assets.definition.yaml_model import Written
from dataset_assets.errors import DefinitionError, NameNotAllowed, UsageError
from dataset_assets.storage import open_storage

TABLE = """\
name: org.example.reviews
summary: Five book reviews.
kind: table
read: {nulls: ["NA"], delimiter: ";"}
streams:
  text: text
  stars: {format: array, dtype: uint8}
  share: {format: array, dtype: float32, from: price}
  part: {format: array, dtype: uint8, classes: [train, test]}
  row: {format: table, fields: {stars: int64, price: double, day: "date32[day]", good: bool, old: double}}
splits:
  all: {url: reviews.csv}
divisions:
  - {whole: all, ratios: {train: 0.6, test: 0.4}, seed: 3}
  - {whole: all, operation: stratified_split, by: part, ratios: {one: 0.5, two: 0.5}}
sample: text
target: stars
tags: [text]
license: CC0-1.0
checks: {leakage: off}
"""
ROWS = """\
text;stars;price;day;good;old;part
Good.;4;1.5;2026-01-31;true;NA;train
Dull.;2;2;2026-02-01;False;1;test
"Long; dull.";1;.5;2026-02-02;true;NA;test
Fine.;3;1e1;2026-02-03;true;2;train
"""


def made(folder: Path, text: str, files: dict[str, bytes]) -> dict[str, View]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return prepare(written(folder, text), storage=open_storage("memory://yaml"))


def written(folder: Path, text: str) -> Dataset:
    (folder / "a.yaml").write_text(text)
    return dataset_from_yaml(folder / "a.yaml")


def test_rows_of_a_table_are_read_as_the_streams_say(tmp_path: Path) -> None:
    splits = made(tmp_path, TABLE, {"reviews.csv": ROWS.encode()})
    whole = splits["all"]
    assert column(whole, "text") == ["Good.", "Dull.", "Long; dull.", "Fine."]
    assert whole.to_arrow()["stars"].to_pylist() == [4, 2, 1, 3] and whole.to_arrow()["stars"].type == "uint8"
    assert column(whole, "share") == [1.5, 2.0, 0.5, 10.0] and whole.to_arrow()["share"].type == "float32"
    assert column(whole, "part") == [0, 1, 1, 0]
    rows = column(whole, "row")
    assert rows[1]["day"].isoformat() == "2026-02-01" and [row["old"] for row in rows] == [None, 1.0, None, 2.0]
    assert [row["good"] for row in rows] == [True, False, True, True]
    assert len(splits["train"]) + len(splits["test"]) == 4 == len(splits["one"]) + len(splits["two"])
    assert sorted(column(splits["one"], "part")) == [0, 1]


def column(view: View, stream: str) -> list[Any]:
    return [sample[stream] for sample in view]


LINES = """\
name: org.example.lines
summary: Two lines.
kind: json_lines
streams:
  text: {format: text, from: body}
  label: {format: array, classes: [no, yes], dtype: uint8}
  extra: json_values
  pair: {format: table, fields: {a: int64, b: string}}
splits:
  train: {url: lines.zip, member: data/train.jsonl, unwrap: true}
"""


def test_a_missing_number_of_an_array_is_nan(tmp_path: Path) -> None:
    table = made(tmp_path, TABLE, {"reviews.csv": ROWS.replace(";1.5;", ";NA;").encode()})["all"]
    lines = "name: org.example.w\nsummary: W.\nkind: json_lines\nstreams: {w: {format: array, dtype: float64}}\n"
    lines += "splits: {all: {url: w.jsonl}}\n"
    weights = made(tmp_path, lines, {"w.jsonl": b'{"w": null}\n{"w": 2}\n'})["all"]
    assert np.isnan(table[0]["share"]) and np.isnan(weights[0]["w"]) and weights[1]["w"] == 2.0


def test_json_lines_in_an_archive_are_read_by_key(tmp_path: Path) -> None:
    lines = [
        {"body": "x", "label": "yes", "extra": {"k": [1, None]}, "a": 1, "b": "s"},
        {"body": "y", "label": "no", "extra": None, "a": 2},
    ]
    splits = made(
        tmp_path, LINES, {"lines.zip": zipped({"v1/data/train.jsonl": "\n".join(map(json.dumps, lines)).encode()})}
    )
    train = splits["train"]
    assert column(train, "text") == ["x", "y"] and column(train, "label") == [1, 0]
    assert column(train, "extra") == [{"k": [1, None]}, None]
    assert column(train, "pair") == [{"a": 1, "b": "s"}, {"a": 2, "b": None}]


FILES = """\
name: org.example.pets
summary: Pictures of pets.
kind: files
streams:
  picture: {format: image, mode: RGB}
  kind: {format: array, dtype: uint8, classes: [cat, dog], from: folder}
  path: {format: text, from: path}
splits:
  train: {url: pets.zip, members: "*.png", below: train, unwrap: true}
  test: {url: pets.zip, members: "*.png", below: test, unwrap: true}
"""


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


PETS = {
    "pets/train/cat/1.png": picture(), "pets/train/dog/a/2.png": picture(), "pets/train/dog/._2.png": b"junk",
    "pets/train/notes.txt": b"no picture", "pets/test/dog/3.png": picture(), "pets/test/__MACOSX/3.png": b"junk",
}  # fmt: skip


def test_files_of_an_archive_are_read_with_their_folder_as_class(tmp_path: Path) -> None:
    splits = made(tmp_path, FILES, {"pets.zip": zipped(PETS)})
    train, test = splits["train"], splits["test"]
    assert column(train, "path") == ["cat/1.png", "dog/a/2.png"] and column(train, "kind") == [0, 1]
    assert column(test, "path") == ["dog/3.png"] and test[0]["picture"].shape[2] == 3


def test_a_folder_of_texts_is_read_too(tmp_path: Path) -> None:
    for name, text in {"good/1.txt": "Gut.", "bad/2.txt": "Schlecht: Öde."}.items():
        (tmp_path / "texts" / name).parent.mkdir(parents=True)
        (tmp_path / "texts" / name).write_text(text)
    text = """\
name: org.example.texts
summary: Texts.
kind: files
streams:
  text: text
  kind: {format: array, dtype: uint8, classes: [good, bad], from: folder}
  file: {format: files, from: content}
splits:
  all: {url: texts/}
"""
    whole = made(tmp_path, text, {})["all"]
    assert sorted(zip(column(whole, "kind"), column(whole, "text"))) == [(0, "Gut."), (1, "Schlecht: Öde.")]
    assert {member.name for member in column(whole, "file")} == {"good/1.txt", "bad/2.txt"}


@pytest.mark.parametrize(
    "text, data, why",
    [
        (TABLE, ROWS.replace("Good.;4", "Good.;four"), "has 'four' in column 'stars', where stream 'stars'"),
        (TABLE, ROWS.replace("Good.;4", "Good.;1_0"), "has '1_0' in column 'stars'"),
        (TABLE, ROWS.replace("Good.;4", "Good.;400"), "stars"),
        (
            TABLE,
            ROWS.replace("Good.;4", "Good.;NA"),
            "'stars' is missing, and an array of uint8.*dtype: float64",
        ),
        (TABLE, ROWS.replace(";true;NA", ";ja;NA"), "has 'ja' in column 'good'.*add it to read.nulls"),
        (TABLE, ROWS.replace("train", "trian"), "Stream 'part' has no class 'trian'. Did you mean 'train'?"),
        (TABLE, ROWS.replace("price", "prize"), "has no column 'price', of which stream 'share' is made. Did you mean"),
    ],
)
def test_data_that_does_not_fit_is_an_error_with_its_column(tmp_path: Path, text: str, data: str, why: str) -> None:
    with pytest.raises(match=why):
        made(tmp_path, text, {"reviews.csv": data.encode()})


@pytest.mark.parametrize(
    "files, why",
    [
        ({"pets/train/1.png": picture(), "pets/test/dog/3.png": picture()}, "folder of each file, and '1.png'"),
        ({"pets/train/cow/1.png": picture(), "pets/test/dog/3.png": picture()}, "Stream 'kind' has no class 'cow'"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_an_error(tmp_path: Path, files: dict[str, bytes], why: str) -> None:
    with pytest.raises(match=why):
        made(tmp_path, FILES, {"pets.zip": zipped(files)})


WRONG: list[tuple[str, str, int, str, str]] = [
    # What is replaced, by what, the line, the key, and what is said.
    ("target: stars", "target: star", 17, "target", "Did you mean 'stars'"),
    ("target: stars", "targte: stars", 1, "the file", "'targte', which is not known. Did you mean 'target'"),
    ("target: stars", "refresh: daily", 17, "refresh", "five fields"),
    ("leakage: off", "leakage: maybe", 20, "checks.leakage", "'maybe', expected one of"),
    ("leakage: off", "leak: off", 20, "checks", "Did you mean 'leakage'"),
    ("target: stars", "owners: [1]", 17, "owners.0", "is 1, expected text"),
    ("target: stars", "job: yes", 17, "job", "'yes', expected true or false"),
    ("name: org.example.reviews", "name: Reviews", 1, "name", "not a qualified name"),
    ("name: org.example.reviews\n", "", 1, "the file", "has no field 'name'"),
    ("kind: table", "kind: tabel", 3, "kind", "expected one of 'table'"),
    ("  text: text", "  te-xt: text", 6, "streams.te-xt", "letters, digits"),
    ("  text: text", "  text: txt", 6, "streams.text.format", "which is no format. Did you mean 'text'"),
    ("  text: text", "  text: json_values", 6, "streams.text", "needs a type"),
    ("dtype: uint8}", "dtyp: uint8}", 7, "streams.stars", "'dtyp', which is not known. Did you mean 'dtype'"),
    ("dtype: uint8}", "dtype: uint9}", 7, "streams.stars", "not a dtype of numpy"),
    ("from: price", "from: [price]", 8, "streams.share.from", "the name of a column"),
    ("price: double", "price: doubl", 10, "streams.row.fields.price", "doubl"),
    ("url: reviews.csv", "urls: reviews.csv", 12, "splits.all", "'urls', which is not known. Did you mean 'url'"),
    ("url: reviews.csv", "url: a.csv, digest: 'sha256:12'", 12, "splits.all", "digest"),
    ("url: reviews.csv", "url: 'http://a.example/b'", 12, "splits.all", "http"),
    ("url: reviews.csv", "url: []", 12, "splits.all.url", "is empty"),
    ("url: reviews.csv", "url: a.zip, below: x", 12, "splits.all.below", "is not for this kind"),
    ("whole: all", "whole: al", 14, "divisions.0.whole", "Did you mean 'all'"),
    ("train: 0.6", "train: 0.7", 14, "divisions.0", "sum to 1.1"),
    ("train: 0.6", "train: many", 14, "divisions.0.ratios.train", "expected a number"),
    ("{one: 0.5", "{test: 0.5", 15, "divisions.1.ratios", "names 'test', which is a split already"),
    ("stratified_split, by: part", "group_split", 15, "divisions.1", "has no field 'by'"),
    ('delimiter: ";"', 'delimiter: ""', 4, "read", "delimiter"),
    ('nulls: ["NA"]', "nulls: NA", 4, "read.nulls", "expected"),
    ("summary: Five", "summary: Five: more", 2, "", "not YAML"),
    ("text: text", "text: !!python/name:os.system ''", 6, "", "tag"),
]  # fmt: skip


@pytest.mark.parametrize("old, new, line, key, why", WRONG, ids=[f"{new} ({line})" for _, new, line, _, _ in WRONG])
def test_a_mistake_is_named_by_its_line_and_key(
    tmp_path: Path, old: str, new: str, line: int, key: str, why: str
) -> None:
    assert old in TABLE
    with pytest.raises((DefinitionError, NameNotAllowed)) as caught:
        written(tmp_path, TABLE.replace(old, new, 1))
    message = str(caught.value)
    assert f"a.yaml, line {line}{', ' if key else ''}{key}: " in message and why in message, message


def test_a_file_may_say_all_that_a_dataset_may_but_the_axes_of_a_family() -> None:
    assert {field.name for field in fields(Dataset)} - {field.name for field in fields(Written)} == {"axes"}


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(DefinitionError, match="longer than"):
        dataset_from_yaml("/dev/zero")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UsageError, match="cannot be read .*Write the path of a YAML file"):
            dataset_from_yaml(path)


def test_a_file_of_the_setting_is_found_by_name_and_a_broken_one_costs_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yml"
    good.write_text(TABLE.replace("reviews", "found"))
    bad.write_text(TABLE.replace("kind: table", "kind: 1"))
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", f"{bad}:{good}")
    registry._known_in.cache_clear()
    registry._own.cache_clear()
    registry._datasets_in.cache_clear()
    assert registry.find("org.example.found").splits == dataset_from_yaml(good).splits
    assert "bad.yml, line 3, kind: is 1, expected one of" in caplog.text


def test_an_equal_file_makes_nothing_again_and_a_changed_one_makes_its_splits(tmp_path: Path) -> None:
    def digests(text: str) -> dict[str, Any]:
        return {
            name: split.fingerprint() for name, split in made(tmp_path, text, {"reviews.csv": ROWS.encode()}).items()
        }

    first = digests(TABLE)
    assert digests(TABLE.replace("Five book", "5 book")) == first
    assert digests(TABLE.replace("dtype: float32", "dtype: float64")) != first
