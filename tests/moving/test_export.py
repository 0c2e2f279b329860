"""Exports: what other tools read is what was stored, with licences and citations."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
from foldered import META, flower, held

from dataset_assets import Array, Dataset, Image, Json, Split, Table, Text, View, load, prepare, view_of
from dataset_assets.core import registered
from dataset_assets.errors import Conflict, NameNotAllowed, UsageError
from dataset_assets.moving.export import KINDS, export
from dataset_assets.moving.export_values import file_of, suffix_of
from dataset_assets.moving.register import register

NAME = "org.example.pictures"


def picture(i: int) -> bytes:
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.new("RGB", (3 + i % 2, 2), (i, 0, 0)).save(buffer, "PNG" if i % 3 else "JPEG")
    return buffer.getvalue()


def samples(first: int, count: int) -> Iterator[dict[str, Any]]:
    for i in range(first, first + count):
        yield {
            "image": picture(i),
            "label": i % 2,
            "text": f"täxt {i}",
            "row": np.arange(3, dtype="float32") + i,
            "extra": {"n": i, "list": [i] * (i % 3)},
        }


@pytest.fixture
def pictures(home: Path) -> Dataset:
    dataset = Dataset(
        NAME,
        "Pictures.",
        {"image": Image(), "label": Array(classes=("a/cat", "dog")), "text": Text(), "row": Array(), "extra": Json()},
        {"train": Split(samples, first=0, count=12), "test": Split(samples, first=50, count=3)},
        sample="image",
        target="label",
        license="CC-BY-4.0",
        citation="Pictures, 1999",
    )
    prepare(dataset)
    return dataset


def test_parquet_holds_what_to_arrow_gives_with_pictures_as_their_files(pictures: Dataset, fast_path: Path):
    from pyarrow import parquet

    root = export(NAME, fast_path / "out", "parquet")
    assert sorted(path.name for path in root.iterdir()) == [
        "README.md",
        "sources.json",
        "test.parquet",
        "train.parquet",
    ]
    table, view = parquet.read_table(root / "train.parquet"), load(NAME, "train")
    expected = view.only("label", "text", "row", "extra").to_arrow()
    assert table.select(expected.column_names).combine_chunks().equals(expected.combine_chunks())
    assert table.column("image").to_pylist() == [picture(i) for i in range(12)]
    assert "CC-BY-4.0" in (root / "README.md").read_text()


def test_hugging_face_loads_equal_samples(pictures: Dataset, fast_path: Path, monkeypatch: pytest.MonkeyPatch):
    datasets = pytest.importorskip("datasets")
    root = export(NAME, fast_path / "out", "huggingface")
    found = datasets.load_dataset(str(root), cache_dir=str(fast_path / "hf"))
    assert {split: len(found[split]) for split in found} == {"train": 12, "test": 3}
    assert found["train"].features["label"].names == ["a/cat", "dog"]
    for ours, theirs in zip(load(NAME, "train"), found["train"]):
        assert np.array_equal(ours["image"], np.asarray(theirs["image"]))
        assert (ours["label"], ours["text"]) == (theirs["label"], theirs["text"])
        assert ours["row"].tolist() == theirs["row"] and ours["extra"] == json.loads(theirs["extra"])
    head = (root / "README.md").read_text()
    assert "license: cc-by-4.0" in head and "split: train" in head


def test_files_lie_by_split_and_class_with_all_other_streams_beside(pictures: Dataset, fast_path: Path):
    root = export(NAME, fast_path / "out", "files")
    rows = [json.loads(line) for line in (root / "train/metadata.jsonl").read_text().splitlines()]
    assert [(root / "train" / row["file_name"]).read_bytes() for row in rows] == [picture(i) for i in range(12)]
    assert (rows[0]["file_name"], rows[1]["file_name"]) == ("a_cat/00000000.jpg", "dog/00000001.png")
    assert rows[5] == {
        "file_name": rows[5]["file_name"], "label": 1, "text": "täxt 5", "row": [5.0, 6.0, 7.0],
        "extra": {"n": 5, "list": [5, 5]},
    }  # fmt: skip


def test_tars_hold_a_file_for_each_stream_and_are_read_as_web_dataset(pictures: Dataset, fast_path: Path):
    datasets = pytest.importorskip("datasets")
    root = export(NAME, fast_path / "out", "webdataset")
    with tarfile.open(root / "train-000000.tar") as tar:
        names = tar.getnames()
        assert names[:2] == ["000000000.extra.json", "000000000.image.jpg"] and len(names) == 60
        row = np.load(io.BytesIO(tar.extractfile("000000007.row.npy").read()))
        assert row.dtype == np.float32 and row.tolist() == [7.0, 8.0, 9.0]
    # That reader takes no pictures of two kinds.
    plain = export(load(NAME, "train").only("label", "text"), fast_path / "plain", "webdataset")
    files = {"train": str(plain / "train-*.tar")}
    read = datasets.load_dataset("webdataset", data_files=files, split="train", streaming=True)
    found = [(one["__key__"], one["text.txt"], one["label.cls"]) for one in read]
    assert found[:2] == [("000000000", "täxt 0", 0), ("000000001", "täxt 1", 1)] and len(found) == 12
    again = export(NAME, fast_path / "again", "webdataset")
    assert held(again) == held(root)


def test_tars_take_names_of_any_length_and_those_of_short_names_stay_as_they_were(home: Path, fast_path: Path):
    suffix, stream = "s" * 180, "t" * 150
    folder = fast_path / "flower"
    (folder / "data/train").mkdir(parents=True)
    (folder / f"data/train/a.{suffix}").write_bytes(b"long")
    (folder / "data/train/b.bin").write_bytes(b"short")
    register(folder)
    views = {"train": load("shared.flower", "train"), "texts": view_of({stream: ["x", "ü"]})}
    root = export(views, fast_path / "out", "webdataset")
    expected = {
        "train": {f"000000000.file.{suffix}": b"long", "000000001.file.bin": b"short"},
        "texts": {f"000000000.{stream}.txt": b"x", f"000000001.{stream}.txt": "ü".encode()},
    }
    for split in views:
        with tarfile.open(root / f"{split}-000000.tar") as tar:
            assert {name: tar.extractfile(name).read() for name in tar.getnames()} == expected[split]  # type: ignore[union-attr]
        read = pytest.importorskip("webdataset").WebDataset(str(root / f"{split}-000000.tar"), shardshuffle=False)
        found = {f"{one['__key__']}.{name}": one[name] for one in read for name in one if not name.startswith("__")}
        assert found == expected[split]
    with pytest.raises(UsageError, match="too long for a file. Export the view as webdataset"):
        export(named_by_class("c" * 300), fast_path / "files", "files")
    short = (root / "train-000000.tar").read_bytes()
    info = tarfile.TarInfo("000000001.file.bin")
    info.size, info.mode = 5, 0o644
    assert info.tobuf(tarfile.USTAR_FORMAT) + b"short" in short


def named_by_class(name: str) -> View:
    streams = {"image": Image(), "label": Array(classes=(name,))}
    split = Split(lambda: iter([{"image": picture(1), "label": 0}]))
    return prepare(Dataset("org.example.long", "x", streams, {"all": split}, target="label"))["all"]


@pytest.mark.parametrize("kind", ["croissant", "huggingface"])
def test_croissant_is_valid_and_reads_equal_records(pictures: Dataset, fast_path: Path, kind: str):
    mlcroissant = pytest.importorskip("mlcroissant")
    root = export(NAME, fast_path / "out", kind, croissant=True)
    found = mlcroissant.Dataset(jsonld=str(root / "croissant.json"))
    assert not found.metadata.issues.errors
    assert found.metadata.license == ["CC-BY-4.0"]
    view = load(NAME, "test")
    for ours, theirs in zip(view, found.records("test"), strict=True):
        assert np.array_equal(ours["image"], np.asarray(theirs["test/image"]))
        assert (ours["label"], ours["text"].encode()) == (theirs["test/label"], theirs["test/text"])
        assert ours["row"].tolist() == [*theirs["test/row"]]


def test_a_view_is_exported_from_its_document(pictures: Dataset, fast_path: Path):
    view = load(NAME, "train").shuffle(1).take(5)
    (fast_path / "view.json").write_text(view.to_json())
    root = export(str(fast_path / "view.json"), fast_path / "out", "files")
    rows = [json.loads(line) for line in (root / "train/metadata.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == [sample["text"] for sample in view]
    places = [root / "train" / row["file_name"] for row in rows]
    assert [path.read_bytes() for path in places] == [picture(row["extra"]["n"]) for row in rows]


def doubled(sample: dict[str, Any]) -> dict[str, Any]:
    return {"image": sample["image"] // 2, "label": sample["label"]}


def test_what_a_function_made_is_exported_as_it_is_read(pictures: Dataset, fast_path: Path):
    from pyarrow import parquet

    view = load(NAME, "train").map(doubled)
    root = export(view, fast_path / "out", "parquet")
    table = parquet.read_table(root / "train.parquet")
    assert table.column("image").to_pylist() == [sample["image"].tolist() for sample in view]


def test_sources_name_all_that_went_in(pictures: Dataset, home: Path, fast_path: Path):
    register(flower(fast_path / "flower"))
    root = export("flower", fast_path / "flowers", "files")
    assert (root / "train/rose/1.bin").read_bytes() == b"rose"
    [source] = json.loads((root / "sources.json").read_text())
    assert (source["license"], source["citation"]) == (META["license"], META["citation"])
    assert {path.name for path in root.iterdir() if path.is_dir()} == {"train", "empty", "p_2020_73a2af88"}
    # As on another machine, which pulled it.
    registered.forget("shared.flower")
    root = export("flower", fast_path / "later", "parquet", croissant=True)
    [source] = json.loads((root / "sources.json").read_text())
    assert (source["license"], source["citation"]) == (META["license"], META["citation"])
    assert json.loads((root / "croissant.json").read_text())["citeAs"] == META["citation"]
    both = view_of({"label": [1, 0]}).concat(load(NAME, "test").only("label"))
    sources = json.loads((export(both, fast_path / "both", "parquet") / "sources.json").read_text())
    assert [one["license"] for one in sources if one["dataset"] == NAME] == ["CC-BY-4.0"]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (lambda view: {"../../evil": view}, NameNotAllowed, "cannot be the name of a split"),
        (lambda view: {"a/b": view}, NameNotAllowed, "cannot be the name of a split"),
        (lambda view: {"": view}, NameNotAllowed, "cannot be the name of a split"),
        (lambda view: {3: view}, NameNotAllowed, "cannot be the name of a split"),
        (lambda view: {"good": view, "a": [1]}, UsageError, "a is a list, not a view"),
        (lambda view: {}, UsageError, "the mapping is empty"),
    ],
)
@pytest.mark.parametrize("kind", [*KINDS])
def test_an_export_writes_only_splits_and_only_into_its_folder(
    home: Path, fast_path: Path, given: Any, error: type[UsageError], words: str, kind: str
):
    to = fast_path / "deep/down/out"
    with pytest.raises(error, match=words):
        export(given(view_of({"n": [1]})), to, kind)
    assert not (fast_path / "deep").exists()


def test_a_view_of_several_splits_of_hugging_face_is_exported_under_an_identifier(home: Path, fast_path: Path):
    datasets = pytest.importorskip("datasets")
    view = view_of(datasets.Dataset.from_dict({"n": [1]}, split="train+test"))
    assert (export(view, fast_path / "out", "parquet") / "train_test.parquet").is_file()


def test_files_of_one_name_are_exported_below_their_numbers(home: Path, fast_path: Path):
    folder = fast_path / "flower"
    (folder / "data/train/rose").mkdir(parents=True)
    (folder / "data/train/metadata.jsonl").write_bytes(b"{}")
    (folder / "data/train/rose/1").write_bytes(b"rose")
    register(folder)
    root = export(load("shared.flower", "train").repeat(2), fast_path / "out", "files")
    rows = [json.loads(line)["file_name"] for line in (root / "train/metadata.jsonl").read_text().splitlines()]
    assert rows == ["00000000/metadata.jsonl", "rose/1", "00000002/metadata.jsonl", "00000003/rose/1"]
    assert [(root / "train" / row).read_bytes() for row in rows] == [b"{}", b"rose"] * 2


def test_parquet_files_of_the_data_are_no_records_of_an_export_as_files(home: Path, fast_path: Path):
    folder = flower(fast_path / "flower")
    (folder / "data/train/table.parquet").write_bytes(b"PAR1")
    register(folder)
    root = export("flower", fast_path / "out", "files", croissant=True)
    found = json.loads((root / "croissant.json").read_text())
    assert found["recordSet"] == []
    assert "train/table.parquet" in [one["@id"] for one in found["distribution"]]


def test_a_folder_that_is_not_new_and_a_kind_that_is_not_known_are_refused(pictures: Dataset, fast_path: Path):
    (fast_path / "out").mkdir()
    export(NAME, fast_path / "out", "parquet")
    with pytest.raises(Conflict, match="is not an empty folder"):
        export(NAME, fast_path / "out", "parquet")
    with pytest.raises(UsageError, match="Did you mean 'parquet'"):
        export(NAME, fast_path / "new", "parket")
    numbers = Dataset("org.example.n", "N.", {"n": Table()}, {"all": Split(tables)})
    prepare(numbers)
    with pytest.raises(UsageError, match="no pictures, sounds or files"):
        export("org.example.n", fast_path / "new", "files")
    assert sorted(path.name for path in fast_path.iterdir() if path.name != "home") == ["out"]
    assert set(KINDS) == {"parquet", "huggingface", "files", "webdataset", "croissant"}


def tables() -> Iterator[dict[str, Any]]:
    yield {"n": {"a": 1}}


def test_values_get_the_suffix_that_others_expect():
    assert suffix_of(b"RIFF1234WEBP") == "webp" and suffix_of(b"RIFF1234WAVE") == "wav" and suffix_of(b"x") == "bin"
    assert file_of("ä", "value", False) == ("txt", "ä".encode()) and file_of(np.int64(3), "value", True) == (
        "cls",
        b"3",
    )
    assert file_of({"b": 1, "a": None}, "value", False) == ("json", b'{"a": null, "b": 1}')
