"""From a source to a dataset: no value differs from what the field's readers read, and what is not known is refused."""

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas
import polars
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pictures

from dataset_assets import Dataset, prepare
from dataset_assets.errors import CheckFailed, DecodeError, SchemaError, UsageError
from dataset_assets.sources import dataset_from
from dataset_assets.storage import MemoryStorage
from dataset_assets.testing.server import FaultyServer

FRAME = pandas.DataFrame(
    {
        "id": [1, 2, 3, 4, 5, 6],
        "size (cm)": [1.5, None, 2.0, 3.0, 4.0, 5.0],
        "species": ["finch", "owl"] * 3,
        "when": pandas.to_datetime(["2020-01-01"] * 5 + [None]),
        "n": pandas.array([1, None, 3, 4, 5, 2**52], "Int64"),
        "note": ["plain", 'a "quoted",\nnewline', "é", "x", "y", "z"],
        "flag": [True, False] * 3,
    }
)


def made(source: Any, **options: Any) -> Any:
    return prepare(dataset_from(source, **options), storage=MemoryStorage())


def plain(value: Any) -> Any:
    """Return a value as Python's, with None for what is missing."""
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else pandas.Timestamp(value)
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if value is None or value is pandas.NaT or value is pandas.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def rows_of(frame: Any) -> list[dict[str, Any]]:
    return [{key: plain(value) for key, value in row.items()} for row in frame.to_dict("records")]


def check(view: Any, frame: Any) -> None:
    """See that a view has the values of a DataFrame, whose columns may have other characters in their names."""
    names = {"size (cm)": "size_cm"}
    expected = [{names.get(key, key): value for key, value in row.items()} for row in rows_of(frame)]
    assert [{key: plain(value) for key, value in sample.items()} for sample in view] == [
        {key: row[key] for key in sorted(row)} for row in expected
    ]


@pytest.fixture
def folder(home: Path) -> Path:
    return home.parent


@pytest.mark.parametrize(
    "kind", ["csv", "tsv", "csv.gz", "parquet", "feather", "pandas", "arrow", "polars", "datasets"]
)
def test_a_table_has_the_values_that_pandas_reads(kind: str, folder: Path) -> None:
    path = folder / f"birds.{kind}"
    table = pyarrow.Table.from_pandas(FRAME)
    source: Any = path
    match kind:
        case "csv" | "tsv" | "csv.gz":
            FRAME.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
        case "parquet":
            FRAME.to_parquet(path)
        case "feather":
            FRAME.to_feather(path)
        case _:
            source = {
                "pandas": FRAME, "arrow": table, "polars": polars.from_arrow(table), "datasets": datasets.Dataset(table)
            }[kind]  # fmt: skip
    view = made(source)["all"]
    check(view, FRAME)
    assert isinstance(view.batch(6)[0]["size_cm"], np.ndarray)


def test_json_has_the_values_that_it_holds(folder: Path) -> None:
    rows = [
        {"a": 1, "b": "x", "c": [1, 2], "d": {"e": [None, {"f": "é"}]}, "g": 1, "h": None, "i": [], "k": "t"},
        {"a": 2, "b": None, "c": [3], "d": {}, "g": "two", "h": None, "i": [0.5], "j": 2**70, "k": "u"},
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "rows.json").write_text(json.dumps(rows))
    for name in ("rows.jsonl", "rows.json"):
        view = made(folder / name)["all"]
        assert [plain(sample) for sample in view] == [dict.fromkeys("abcdghijk") | plain(row) for row in rows]
        assert view[0]["c"].dtype == np.int64 and view[0]["a"] == 1


VALUES = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6),
    st.lists(st.none() | st.integers(-(2**53), 2**53), min_size=1, max_size=6),
    st.lists(st.none() | st.floats(allow_nan=False), min_size=1, max_size=6),
    st.lists(st.none() | st.text(), min_size=1, max_size=6),
    st.lists(st.none() | st.booleans(), min_size=1, max_size=6),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.booleans(), min_size=1, max_size=6),
    st.lists(
        st.lists(st.integers(0, 9)) | st.none() | st.dictionaries(st.text(), st.integers()), min_size=1, max_size=6
    ),
)


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_any_values_of_json_come_back(values: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            patch.setenv("DATASET_ASSETS_HOME", f"{folder}/home")
            path = Path(folder) / "values.jsonl"
            path.write_text("".join(json.dumps({"value": value}) + "\n" for value in values))
            assert [plain(sample["value"]) for sample in made(path)["all"]] == values


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**53), 2**53), FLOATS, st.text("ab, é")), min_size=1, max_size=8))
def test_a_parquet_file_of_any_rows_has_its_values(rows: list[Any]) -> None:
    table = pyarrow.table({name: [row[k] for row in rows] for k, name in enumerate("ixs")})
    view = made(table)["all"]
    assert [(sample["i"], sample["x"], sample["s"]) for sample in view] == rows


def test_public_tables_have_the_values_that_pandas_reads(home: Path) -> None:
    """Tables that packages carry. The first line of some has the number of rows, and no names."""
    folder = Path(str(files("sklearn.datasets") / "data"))
    tables = sorted(folder.glob("*.csv*"))
    assert len(tables) >= 5
    compared = 0
    for path in tables:
        try:
            view = made(path, name="local.public")["all"]
        except DecodeError:  # its first line says how many rows and columns follow
            continue
        frame = pandas.read_csv(path)
        for stream, column in zip(sorted(frame.columns), view.streams):
            ours, theirs = [plain(sample[column]) for sample in view], [plain(value) for value in frame[stream]]
            # Its default reader of numbers is one bit less exact than Arrow's.
            assert ours == theirs or np.allclose(ours, theirs, rtol=1e-15), (path, column)
        compared += 1
    assert compared


def test_a_target_of_texts_becomes_classes_and_is_divided_equally(folder: Path) -> None:
    FRAME.to_csv(folder / "birds.csv", index=False)
    views = made(folder / "birds.csv", target="species", splits={"train": 2 / 3, "test": 1 / 3})
    assert {split: len(view) for split, view in views.items()} == {"all": 6, "train": 4, "test": 2}
    assert views["train"].classes == {"species": ("finch", "owl")} and views["train"].roles["target"] == "species"
    assert sorted(sample["species"] for sample in views["test"]) == [0, 1]


def test_categories_and_class_labels_keep_their_names(home: Path) -> None:
    frame = pandas.DataFrame({"kind": pandas.Categorical(["b", "a", "b"]), "x": [1.0, 2.0, 3.0]})
    view = made(frame)["all"]
    assert view.classes == {"kind": ("a", "b")} and [sample["kind"] for sample in view] == [1, 0, 1]
    labels = datasets.Features({"label": datasets.ClassLabel(names=["no", "yes"])})
    view = made(datasets.Dataset.from_dict({"label": [1, 0]}, features=labels))["all"]
    assert view.classes == {"label": ("no", "yes")} and [sample["label"] for sample in view] == [1, 0]


def picture(path: Path, mode: str, side: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pictures.new(mode, (side, side + 1)).save(path)


def test_a_folder_of_pictures_has_splits_and_classes(folder: Path) -> None:
    for k, (split, kind, name, mode) in enumerate(
        (split, kind, name, mode)
        for split in ("train", "test")
        for kind in ("cat", "dog")
        for name, mode in (("1.png", "L"), ("2.jpg", "RGB"), ("3.PNG", "RGBA"))
    ):
        picture(folder / "pets" / split / kind / name, mode, k + 3)
    (folder / "pets" / "train" / ".DS_Store").write_bytes(b"junk")
    views = made(folder / "pets")
    assert {split: len(view) for split, view in views.items()} == {"train": 6, "test": 6}
    assert views["train"].classes == {"label": ("cat", "dog")}
    assert [sample["image"].shape for sample in views["train"]][:3] == [(4, 3, 1), (5, 4, 3), (6, 5, 4)]
    assert [sample["label"] for sample in views["test"]] == [0, 0, 0, 1, 1, 1]


def test_a_folder_is_looked_at_in_every_run(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def texts() -> list[str]:
        return [sample["text"] for sample in prepare(dataset_from(folder / "texts"))["all"]]

    place = folder / "texts" / "a"
    place.mkdir(parents=True)
    (place / "1.txt").write_text("one")
    assert texts() == texts() == ["one"] and not caplog.text
    (place / "1.txt").write_text("ONE")
    assert texts() == ["ONE"] and "has changed; its new bytes are used" in caplog.text
    (place / "2.txt").write_text("two")
    assert texts() == ["ONE", "two"]
    (folder / "texts" / "b").mkdir()
    (folder / "texts" / "b" / "3.txt").write_text("three")
    assert texts() == ["ONE", "two", "three"]


def test_equal_rows_of_two_parts_are_said_and_checks_may_be_given(folder: Path) -> None:
    frame = pandas.DataFrame({"x": [1] * 8})
    parts = {"a": 0.5, "b": 0.5}
    defined = dataset_from(frame, name="org.example.twice", splits=parts)
    assert defined.checks == {"leakage": "warn"} and len(prepare(defined)["a"]) == 4
    strict = dataset_from(frame, name="org.example.strict", splits=parts, checks={"leakage": "error"})
    with pytest.raises(CheckFailed, match="leakage"):
        prepare(strict)


def test_a_folder_of_texts_and_of_tables(folder: Path) -> None:
    for k in range(4):
        path = folder / "texts" / ("good" if k % 2 else "bad") / f"{k}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text {k}")
    views = made(folder / "texts", splits={"fit": 0.5, "rest": 0.5})
    assert sorted(sample["text"] for sample in views["all"]) == [f"text {k}" for k in range(4)]
    assert [*views] == ["all", "fit", "rest"] and len(views["fit"]) == 2
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-0"):
        (folder / "tables").mkdir(exist_ok=True)
        FRAME.iloc[[int(name[-1])] if name.startswith("test") else [1 + int(name[10])]].to_parquet(
            folder / "tables" / f"{name}.parquet"
        )
    views = made(folder / "tables")
    check(views["train"], FRAME.iloc[[1, 2]])
    check(views["test"], FRAME.iloc[[0]])


def test_lists_patterns_and_mappings_of_splits(folder: Path) -> None:
    for k in range(3):
        FRAME.iloc[2 * k : 2 * k + 2].to_csv(folder / f"part_{k}.csv", index=False)
    check(made([folder / "part_0.csv", folder / "part_2.csv"])["all"], FRAME.iloc[[0, 1, 4, 5]])
    check(made(str(folder / "part_*.csv"))["all"], FRAME)
    check(made(str(folder / "part_{1,2}.csv"))["all"], FRAME.iloc[2:])
    views = made(
        {"train": folder / "part_0.csv", "test": FRAME.iloc[2:4]}
        if False
        else {"train": FRAME.iloc[:2], "test": FRAME.iloc[2:4]}
    )
    check(views["train"], FRAME.iloc[:2])
    check(views["test"], FRAME.iloc[2:4])
    saved = datasets.DatasetDict(
        {"train": datasets.Dataset.from_dict({"a": [1, 2]}), "test": datasets.Dataset.from_dict({"a": [3]})}
    )
    saved.save_to_disk(str(folder / "saved"))
    assert {split: [row["a"] for row in view] for split, view in made(folder / "saved").items()} == {
        "train": [1, 2],
        "test": [3],
    }


def test_files_of_one_name_lie_in_several_folders(folder: Path) -> None:
    for k, split in enumerate(("train", "test")):
        path = folder / "a folder" / split / "data.csv"
        path.parent.mkdir(parents=True)
        path.write_text(f"x\n{k}\n")
    for source in (folder / "a folder", (folder / "a folder").as_uri()):
        assert {split: view[0]["x"] for split, view in made(source).items()} == {"train": 0, "test": 1}
    several = [folder / "a folder" / split / "data.csv" for split in ("train", "test")]
    assert [one["x"] for one in made(several)["all"]] == [0, 1]


def test_a_name_is_a_name_also_beside_a_folder_of_that_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "org.scikit_learn.digits").mkdir()
    assert len(prepare("org.scikit_learn.digits", storage=MemoryStorage())["all"]) == 1797


def test_arrays_keep_their_shapes(folder: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(8, 2, 3)).astype(np.float32), np.arange(8)
    np.savez(folder / "a.npz", x=x, y=y)
    for source in (folder / "a.npz", {"x": x, "y": y}):
        view = made(source, target="y")["all"]
        assert view[3]["x"].dtype == np.float32 and np.array_equal(view[3]["x"], x[3]) and view[3]["y"] == 3
        assert view.roles == {"sample": "x", "target": "y"}


def test_a_url_is_looked_at_and_then_retrieved(home: Path) -> None:
    with FaultyServer({"/birds.csv": FRAME.to_csv(index=False).encode()}) as server:
        definition = dataset_from(server.url + "/birds.csv", target="species")
        assert definition.name == "local.birds"
        view = prepare(definition, storage=MemoryStorage())["all"]
        assert len(view) == 6 and view.classes["species"] == ("finch", "owl")


def test_what_was_inferred_is_fixed(folder: Path) -> None:
    path = folder / "birds.csv"
    path.write_text("id,kind\n1,a\n2,b\n")
    definition = dataset_from(path, target="kind")
    for text, words in [
        ("id,kind\n1,a\nx,b\n", "id"),
        ("id,kind\n1,c\n", "Stream 'kind' has no class 'c'"),
        ("id,kind\n,a\n", "Stream 'id' has a missing value"),
        ("no,kind\n1,a\n", "a column 'id' that the file does not have"),
        ("id,kind,more\n1,a,2\n", "There is a column 'more', which was not there"),
    ]:
        path.write_text(text)
        with pytest.raises((SchemaError, DecodeError), match=words):
            prepare(definition, storage=MemoryStorage(), refresh=True)
    (folder / "rows.jsonl").write_text('{"a": 1}\n')
    definition = dataset_from(folder / "rows.jsonl")
    (folder / "rows.jsonl").write_text('{"a": 1, "b": 2}\n')
    with pytest.raises(SchemaError, match="There is a column 'b', which was not there"):
        prepare(definition, storage=MemoryStorage())


def _mixed(folder: Path) -> Path:
    picture(folder / "mixed" / "1.png", "L", 3)
    (folder / "mixed" / "labels.csv").write_text("a,b\n")
    return folder / "mixed"


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (lambda f: f / "brids.csv", "/birds.csv'?"),
        (lambda f: "data/*.csv", "is not there"),
        (lambda f: 3, "is nothing that a dataset can be made from: give a path or URL"),
        (lambda f: iter([]), "is nothing that a dataset can be made from"),
        (lambda f: [], "is nothing that a dataset can be made from"),
        (lambda f: [1, 2], "is nothing that a dataset can be made from"),
        (_mixed, "holds files of several kinds: 1 of image, and labels.csv"),
        (_empty, "has no files. Name a folder with data."),
        (lambda f: [f / "birds.csv", f / "rows.jsonl"], "of several kinds. Give files of one kind"),
        (lambda f: f / "model.pkl", "is of no kind that can be looked at"),
        (lambda f: {"a": [1, 2], "b": [1]}, "This is no table"),
        (lambda f: {"a": np.zeros((2, 2), object)}, "holds object values"),
        (lambda f: pandas.DataFrame([[1, 2]], columns=["a", "a"]), "several columns named 'a'. Rename all but one."),
        (lambda f: pandas.DataFrame({"a": [1, "x"]}), "Give each column values of one type"),
        (lambda f: f / "header.csv", "has no rows, so nothing can be inferred"),
    ],
)
def test_what_is_no_source_is_refused_in_words(source: Any, words: str, folder: Path) -> None:
    (folder / "birds.csv").write_text("a,b\n1,2\n")
    (folder / "header.csv").write_text("a,b\n")
    (folder / "rows.jsonl").write_text('{"a": 1}\n')
    (folder / "model.pkl").write_bytes(b"\x80")
    with pytest.raises(UsageError) as refused:
        dataset_from(source(folder))
    assert words in str(refused.value)


@pytest.mark.parametrize("ending", ["parquet", "arrow", "npz", "xlsx", "h5", "db", "tfrecord", "safetensors", "tar"])
def test_a_damaged_file_is_refused_whatever_its_kind(ending: str, folder: Path) -> None:
    for data in (b"PAR1PK\x03\x04 nothing of the kind", b"", bytes(3000)):
        (folder / f"a.{ending}").write_bytes(data)
        with pytest.raises((DecodeError, UsageError)):
            dataset_from(folder / f"a.{ending}")


def test_options_that_do_not_fit_say_what_there_is(folder: Path) -> None:
    FRAME.to_csv(folder / "birds.csv", index=False)
    with pytest.raises(UsageError, match="no column 'specie', which should be the target. Did you mean 'species'?"):
        dataset_from(folder / "birds.csv", target="specie")
    with pytest.raises(UsageError, match="has the splits train, test already. Leave out splits="):
        dataset_from({"train": FRAME, "test": FRAME}, splits={"a": 1.0})
    named = dataset_from(folder / "birds.csv", name="org.example.birds", license="CC0-1.0")
    assert isinstance(named, Dataset) and named.license == "CC0-1.0"


def test_columns_become_streams_by_names_that_are_allowed(home: Path) -> None:
    view = made(pandas.DataFrame({"index": [1], "2020": [2], "a b": [3], "parts": [4]}))["all"]
    assert view[0] == {"a_b": 3, "column_2020": 2, "column_index": 1, "column_parts": 4}
    with pytest.raises(SchemaError, match="Two columns would be the stream 'a_b'"):
        dataset_from(pandas.DataFrame({"a b": [1], "a-b": [2]}))


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_header_without_commas_says_the_delimiter(mark: str, folder: Path) -> None:
    (folder / "a.csv").write_text(f"id{mark}text\n1{mark}a, b\n2{mark}c\n")
    assert [(one["id"], one["text"]) for one in made(folder / "a.csv")["all"]] == [(1, "a, b"), (2, "c")]


def test_options_go_to_the_decoder(folder: Path) -> None:
    (folder / "a.csv").write_bytes("1,café\n2,thé\n".encode("latin-1"))
    options = {"encoding": "latin-1", "header": False, "columns": ["id", "word"]}
    assert [one["word"] for one in made(folder / "a.csv", options=options)["all"]] == ["café", "thé"]
    (folder / "a.json").write_text('{"data": [{"x": 1}]}')
    assert made(folder / "a.json", options={"key": "data"})["all"][0] == {"x": 1}


def test_what_is_in_memory_is_stored_once(home: Path) -> None:
    for _ in range(2):
        dataset_from(FRAME)
    assert len(os.listdir(home / "sources")) == 1


def test_groups_stay_together_and_hashes_decide_by_the_value(folder: Path) -> None:
    rows = [{"patient": f"p{k // 3}", "x": k} for k in range(30)]
    pandas.DataFrame(rows).to_csv(folder / "a.csv", index=False)
    halves = {"train": 0.6, "test": 0.4}
    for by in ("group_by", "hash_by"):
        views = made(folder / "a.csv", splits=halves, **{by: "patient"})
        train, test = ({one["patient"] for one in views[split]} for split in ("train", "test"))
        assert train and test and not train & test and len(views["train"]) + len(views["test"]) == 30
    for wrong, words in [
        ({"group_by": "patien", "splits": halves}, "There is no stream 'patien'. Did you mean 'patient'?"),
        ({"group_by": "patient", "hash_by": "x", "splits": halves}, "Give one of them"),
        ({"hash_by": "patient"}, "Give splits= too"),
    ]:
        with pytest.raises(UsageError, match=words):
            dataset_from(folder / "a.csv", **wrong)


@pytest.mark.parametrize("copy", [True, False])
def test_a_snapshot_of_hugging_face_is_a_source(
    home: Path, tmp_path: Path, copy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    cache = tmp_path / "datasets--owner--birds"
    snapshot = cache / "snapshots" / "4f2c"
    (cache / "blobs").mkdir(parents=True)
    for kind, ending in (("pictures", "png"), ("tables", "parquet")):
        for n in range(4):
            link = snapshot / kind / ("train", "test")[n % 2] / "owl" / f"{n}.{ending}"
            link.parent.mkdir(parents=True, exist_ok=True)
            blob = cache / "blobs" / f"{kind}{n}"
            if ending == "png":
                Pictures.new("RGB", (4, 4 + n)).save(blob, "png")
            else:
                pandas.DataFrame({"n": [n]}).to_parquet(blob)
            link.symlink_to(os.path.relpath(blob, link.parent))
    found = made(snapshot / "pictures", copy=copy)
    assert sorted(one["image"].shape[0] for one in found["train"]) == [4, 6]
    assert found["test"].classes["label"] == ("owl",) and len(found["test"]) == 2
    found = made(snapshot / "tables", copy=copy)
    assert {split: [one["n"] for one in view] for split, view in found.items()} == {"train": [0, 2], "test": [1, 3]}
