"""Converters: out of views and into them, with the real libraries; what is copied, what is shared, who reads what."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import duckdb
import numpy as np
import pandas
import polars
import pyarrow
import pytest
import sklearn.linear_model
import sklearn.model_selection
import torch

from dataset_assets import Dataset, Loader, View, load, prepare, view_from_json, view_of
from dataset_assets.encoding import OneHot, Scaled
from dataset_assets.errors import NotInstalled, SchemaError, UsageError
from dataset_assets.reading.views import Origin, Stored
from dataset_assets.testing import check_view
from dataset_assets.testing.formats import equal
from dataset_assets.testing.views import LAWS, it_is_read_back_from_json, stored_stack


@pytest.fixture(autouse=True, scope="module")
def quiet() -> None:
    datasets.disable_progress_bars()


def numbers(n: int = 10) -> View:
    roles = {"sample": "image", "target": "label", "tag": "label"}
    origin = Origin("org.example.numbers", "train", "1" * 64, None, roles, {"label": ("a", "b", "c")})
    held = view_of(image=np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3), label=np.arange(n) % 3)
    return Stored(origin, held.columns)


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def values_at(column: pyarrow.ChunkedArray) -> list[int]:
    """Where the numbers of each chunk are, below any lists."""
    found = []
    for chunk in column.chunks:
        places = chunk
        offset = chunk.offset
        while pyarrow.types.is_fixed_size_list(places.type):
            offset *= places.type.list_size
            places = places.values
        found.append(places.buffers()[1].address + (offset + places.offset) * places.type.bit_width // 8)
    return found


# Arrow


def test_arrow_lies_on_the_memory_of_the_view() -> None:
    view = numbers()
    table = view.to_arrow()
    for name in ("image", "label"):
        assert values_at(table.column(name)) == [address(view.columns[name].rows)]
    part = view[4:9].to_arrow()
    assert values_at(part.column("image")) == [address(view.columns["image"].rows[4:])]
    assert part.column("image").to_pylist() == view.to_numpy()["image"][4:9].tolist()


def test_arrow_lies_on_the_map_of_the_stored_files(home: Any, dataset: Dataset) -> None:
    view = prepare(dataset)["train"]
    mapped = view.columns["image"].slice(0, 6)
    assert values_at(view.to_arrow().column("image")) == [address(mapped)]
    borders, text = view.columns["text"].chunks[0]
    found = view.to_arrow().column("text").chunk(0).buffers()
    assert [found[1].address, found[2].address] == [address(borders), address(np.frombuffer(text, np.uint8))]
    assert view[2:5].to_arrow().column("text").to_pylist() == [sample["text"] for sample in view[2:5]]
    assert view.to_arrow().column("file")[1].as_py() == {"name": "1.txt", "data": b"1,b\n"}
    del view, mapped, borders, text, found
    table = load(dataset.name)["train"].to_arrow()
    # The table keeps the map alive by itself.
    assert table.column("image").to_pylist()[5] == np.full((2, 3), 2.5, np.float32).tolist()


def test_a_stream_in_many_files_is_a_chunk_for_each_without_a_copy() -> None:
    view = stored_stack(5, many_files=True).view
    parts = view.columns["image"].parts
    assert len(parts) == 5
    assert values_at(view.only("image").to_arrow().column("image")) != []
    assert values_at(view.to_arrow().column("image")) == [address(part.rows) for part in parts]


@pytest.mark.parametrize("many_files", [False, True])
def test_arrow_holds_what_the_samples_hold(many_files: bool) -> None:
    stack = stored_stack(5, many_files)
    for view, samples in ((stack.view, stack.samples), (stack.view[::-1], stack.samples[::-1]), (stack.view[1:1], [])):
        rows = view.to_arrow().to_pylist()
        assert len(rows) == len(samples)
        for row, sample in zip(rows, samples):
            assert row["image"] == sample["image"].tolist() and row["tokens"] == sample["tokens"].tolist()
            assert (row["number"], row["text"], row["a"], row["b"]) == (
                sample["number"], sample["text"], sample["row"]["a"], sample["row"]["b"])  # fmt: skip


def test_fields_with_the_name_of_a_stream_have_the_tables_in_front_as_in_pandas() -> None:
    view = view_of(a=[1], row=pyarrow.table({"a": [2], "b": [3]}))
    assert view.to_arrow().to_pylist() == [{"a": 1, "row_a": 2, "b": 3}]
    assert view.to_pandas().columns.tolist() == ["a", "row_a", "b"]


def test_what_arrow_has_no_type_for_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="The values of stream z have no Arrow type"):
        view_of(z=np.array([1j])).to_arrow()


def test_the_stream_of_batches_is_read_block_by_block() -> None:
    asked = []

    def watched(block: Any) -> Any:
        asked.append(1)
        return block

    view = view_of(n=np.arange(200_000)).map(watched)
    reader = pyarrow.RecordBatchReader.from_stream(view)
    first = reader.read_next_batch()
    assert 0 < len(first) <= len(asked) < 200_000
    assert sum(map(len, reader)) + len(first) == 200_000


def test_polars_and_duckdb_and_pandas_read_a_view() -> None:
    view = numbers()
    frame = polars.from_arrow(view.to_arrow())
    assert frame["label"].to_list() == view.to_numpy()["label"].tolist()
    assert np.array_equal(np.array(frame["image"].to_list()), view.to_numpy()["image"])
    assert polars.DataFrame(pyarrow.RecordBatchReader.from_stream(view)).equals(frame)
    found = view.to_arrow()  # noqa: F841  DuckDB finds it by its name
    counted = "select label, count(*) from found group by label order by label"
    assert duckdb.sql(counted).fetchall() == [(0, 4), (1, 3), (2, 3)]
    assert duckdb.from_arrow(pyarrow.table(view)).aggregate("sum(label)").fetchall() == [(9,)]
    assert pandas.DataFrame.from_arrow(view.only("label"))["label"].tolist() == view.to_numpy()["label"].tolist()


LONG = ["x" * 2000] * 6000


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ({"a": 1}, {"a": 1, "extra": 2}, "Stream m, value 5999: a mapping has the keys a, extra"),
        ({"a": 1}, {"a": 0.5}, "Stream m: a value of the samples .* to 5999 needs the Arrow type struct<a: double>"),
        (["007"], [7], "Stream m"),
        (1, "1", "Stream m"),
    ],
)
def test_a_late_value_of_another_type_ends_the_stream_of_batches(first: Any, last: Any, message: str) -> None:
    view = view_of(m=[first] * 5999 + [last], text=LONG)
    with pytest.raises(pyarrow.ArrowInvalid, match=message):
        pyarrow.RecordBatchReader.from_stream(view).read_all()
    if not isinstance(last, dict) or "extra" in last:
        with pytest.raises(SchemaError, match="Stream m"):
            view.to_arrow()


@pytest.mark.parametrize("last", ["x", [1], {"a": None}, [{"b": [0.5]}], 7])
def test_values_after_many_nulls_have_their_type_in_the_stream_of_batches(last: Any) -> None:
    empty: Any = [] if isinstance(last, list) else None
    view = view_of(m=[empty] * 5999 + [last], text=LONG)
    table = pyarrow.RecordBatchReader.from_stream(view).read_all()
    assert table.schema == view.to_arrow().schema and table.column("m")[5999].as_py() == last


def test_a_stream_has_one_arrow_type_by_every_way() -> None:
    view = stored_stack(5, many_files=False).view
    ways = [view.to_arrow(), pyarrow.table(view), view[::-1].to_arrow(), next(iter(Loader(view, 2, output="arrow")))]
    assert len({str(table.schema) for table in ways}) == 1


# numpy and pandas


def test_numpy_goes_in_without_a_copy_and_comes_out_as_ones_own() -> None:
    array = np.arange(12.0).reshape(6, 2)
    view = view_of(x=array, y=list("abcdef"))
    assert address(view.rows(slice(2, 4))["x"]) == address(array[2:])
    found = view[::-1].to_numpy()
    assert found["x"].tolist() == array[::-1].tolist() and found["y"].tolist() == list("fedcba")
    found["x"][:] = -1
    assert array[0, 1] == view[0]["x"][1] == 1


def test_pandas_has_a_column_for_each_stream_of_its_own() -> None:
    view = numbers()
    frame = view[2:5].to_pandas()
    assert frame["label"].tolist() == [2, 0, 1] and frame["image"][1].tolist() == view[3]["image"].tolist()
    frame["label"] = 9
    assert view[2]["label"] == 2
    assert view_of(view.to_pandas())[3]["label"] == 0


def test_large_whole_numbers_beside_nulls_are_not_rounded() -> None:
    view = view_of(row=pyarrow.table({"a": [2**53 + 1, None], "b": [1, None]}))
    assert view.to_pandas()["a"].tolist() == view.to_numpy()["row"]["a"].tolist() == [2**53 + 1, None]
    assert view.to_pandas()["b"].dtype == view.to_numpy()["row"]["b"].dtype == np.float64


# Hugging Face


def test_a_dataset_of_hugging_face_has_the_samples_and_the_classes_on_the_same_memory() -> None:
    view = numbers()
    found = view.to_hf()
    assert found.features["label"].names == ["a", "b", "c"] and found.split == "train" and len(found) == 10
    assert found["label"][:] == view.to_numpy()["label"].tolist()
    assert np.array_equal(found.with_format("numpy")[:]["image"], view.to_numpy()["image"])
    assert values_at(found.data.column("image")) == [address(view.columns["image"].rows)]


def test_a_dataset_of_hugging_face_is_a_view_that_reads_when_asked() -> None:
    again = view_of(numbers().to_hf())
    assert dict(again.classes) == {"label": ("a", "b", "c")}
    assert equal([sample["label"] for sample in again], numbers().to_numpy()["label"].tolist())
    assert np.array_equal(np.array(again[::-1].to_numpy()["image"].tolist()), numbers().to_numpy()["image"][::-1])
    held = {"n": [1, None, 3], "f": [0.5, None, 1.5], "t": ["a", None, "c"], "k": [1, 2, 3]}
    check_view(view_of(datasets.Dataset.from_dict(held)))
    check_view(view_of(datasets.Dataset.from_dict(held).shuffle(seed=0)))


# scikit-learn


def test_scikit_learn_trains_on_what_it_is_given() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    view = view_of(x=rng.normal(size=(60, 2, 2)) + 4 * y[:, None, None], y=y)
    x, target = view.to_sklearn(sample="x", target="y")
    assert x.shape == (60, 4) and target.tolist() == y.tolist()
    assert sklearn.linear_model.LogisticRegression().fit(x, target).score(x, target) > 0.95
    x[:] = 0
    assert view[0]["x"].any()


@pytest.mark.parametrize(
    "splitter",
    [
        sklearn.model_selection.KFold(3, shuffle=True, random_state=0),
        sklearn.model_selection.StratifiedGroupKFold(2),
        sklearn.model_selection.TimeSeriesSplit(3),
        sklearn.model_selection.LeavePGroupsOut(2),
    ],
    ids=lambda splitter: type(splitter).__name__,
)
def test_the_splitters_of_scikit_learn_give_rows_of_a_view(splitter: Any) -> None:
    view = numbers(24)
    labels, groups = view.to_numpy()["label"], np.arange(24) // 6
    for fit_rows, held_out_rows in splitter.split(labels, labels, groups):
        fit, held_out = view[fit_rows], view[held_out_rows]
        assert fit.to_numpy()["label"].tolist() == labels[fit_rows].tolist() and fit.roles == view.roles
        traced = [entry.row for part in (fit, held_out) for i in range(len(part)) for entry in part.lineage(i)]
        assert traced == [*fit_rows, *held_out_rows] and len(set(traced)) == len(traced)


def test_a_bunch_names_its_columns_and_classes() -> None:
    table = view_of(row=pyarrow.table({"k": ["a", "b", None], "x": [1.0, None, 3.0]}), y=["u", "v", "u"])
    view = table.encode(table.fit_encoders({"row.k": OneHot(missing="ignore"), "row.x": Scaled(missing="fill")}))
    found = view[::-1].to_sklearn(sample="row", target="y", bunch=True)
    assert found.feature_names == ["row.k=a", "row.k=b", "row.x"] and found.target.tolist() == ["u", "v", "u"]
    assert found.data.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, -1]]
    assert numbers().to_sklearn(bunch=True).target_names == ["a", "b", "c"]
    assert numbers().to_sklearn(bunch=True).feature_names[:2] == ["image[0]", "image[1]"]
    x, _ = view_of(row=pyarrow.table({"a": [1, None], "b": [1.5, 2.5]}), y=[0, 1]).to_sklearn(sample="row", target="y")
    assert equal(x.tolist(), [[1.0, 1.5], [float("nan"), 2.5]])


def test_what_scikit_learn_cannot_take_says_to_encode_it() -> None:
    table = view_of(row=pyarrow.table({"k": ["a", "b"]}), t=["x", "y"], y=[0, 1])
    with pytest.raises(SchemaError, match="field row.k of memory all: .*OneHot or Ordinal"):
        table.to_sklearn(sample="row", target="y")
    with pytest.raises(SchemaError, match=r"Encode it: view.encode"):
        table.to_sklearn(sample="t", target="y")
    with pytest.raises(UsageError, match="has no sample stream"):
        table.to_sklearn()


# In


def test_a_data_frame_is_a_view_with_a_stream_for_each_column() -> None:
    frame = pandas.DataFrame({"n": [1, 2, 3], "f": [0.5, np.nan, 2.5], "t": ["a", None, "c"]}, index=[5, 6, 7])
    frame["c"] = pandas.Categorical(["x", "y", "x"])
    view = view_of(frame)
    assert view.streams == ("n", "f", "t", "c")
    assert equal(view[1], {"n": 2, "f": float("nan"), "t": None, "c": "y"})
    check_view(view)
    assert np.shares_memory(view.rows(slice(0, 3))["n"], frame["n"].to_numpy())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pandas.DataFrame({"n": [1]}, index=pandas.Index([7], name="id")), "index .*id.* with reset_index"),
        (pandas.DataFrame({"n": [1]}, index=["x"]), "The DataFrame's index of .* is not stored"),
        (pyarrow.table([[1], [2]], ["n", "n"]), "two columns of the same name among n, n"),
        (polars.DataFrame({"n": [object()]}, schema={"n": polars.Object}), "holds Python objects"),
        ({"n": polars.Series([object()], dtype=polars.Object)}, "holds Python objects"),
    ],
)
def test_a_table_that_a_view_would_not_show_whole_is_refused(source: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        view_of(source)


def test_objects_of_a_data_frame_are_read_as_they_are() -> None:
    mappings, texts = [{"x": 1}, {"y": 2}], [b"a", "b"]
    view = view_of(pandas.DataFrame({"m": mappings, "t": texts, "l": [[1], [2, 3]]}))
    assert list(view) == [{"m": m, "t": t, "l": one} for m, t, one in zip(mappings, texts, [[1], [2, 3]])]


def test_a_table_of_arrow_is_a_view_on_its_memory() -> None:
    table = pyarrow.table({"n": pyarrow.chunked_array([[1, 2], [3]]), "i": [1, None, 3], "f": [1.5, None, 2.5],
                           "t": ["a", "b", None], "l": [[1], [], [2, 3]]})  # fmt: skip
    view = view_of(table)
    check_view(view)
    assert equal(view[1], {"n": 2, "i": None, "f": float("nan"), "t": "b", "l": []})
    one = pyarrow.table({"n": [1, 2, 3]})
    assert address(view_of(one).rows(slice(0, 3))["n"]) == one.column("n").chunk(0).buffers()[1].address
    assert view_of(one.to_batches()[0]).to_numpy()["n"].tolist() == [1, 2, 3]
    assert view_of(polars.DataFrame({"n": [1, 2]}))[1] == {"n": 2}


def check_sequence(view: View, samples: Any = None) -> None:
    """All laws but that of JSON, in which no sequence in memory is: a test below says so."""
    expected = list(view) if samples is None else samples
    for law in LAWS:
        if law is not it_is_read_back_from_json:
            law(view, expected)


class Squares(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """A map-style dataset that notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < 6:
            raise IndexError(i)
        self.asked.append(i)
        return torch.full((2,), float(i * i)), i


def test_a_dataset_of_torch_is_a_view_that_asks_for_what_is_read() -> None:
    source = Squares()
    view = view_of(source, names=("x", "i"))
    assert len(view) == 6 and view.streams == ("x", "i") and source.asked == []
    part = view[::-2].only("i")
    assert list(part) == [{"i": 5}, {"i": 3}, {"i": 1}] and source.asked == [5, 3, 1]
    assert view[2]["x"].tolist() == [4.0, 4.0] and view[2]["i"] == 2
    check_sequence(view)
    assert view_of(Squares())[1][1] == 1


def test_a_stack_on_a_sequence_has_a_fingerprint_but_is_not_opened_from_json() -> None:
    view = view_of([{"a": 1}, {"a": 2}])
    assert view.shuffle(0).fingerprint() != view.shuffle(1).fingerprint()
    with pytest.raises(UsageError, match="a sequence in memory, which its document does not contain"):
        view_from_json(view.to_json())


def test_a_dataset_of_torch_goes_there_and_back() -> None:
    view = numbers()
    check_sequence(view_of(view.to_torch()), list(view))
    for one, other in zip(view_of(view.to_torch()).to_torch(), view.to_torch(), strict=True):
        assert torch.equal(one["image"], other["image"]) and one["label"] == other["label"]


def test_sequences_mappings_and_views_are_views() -> None:
    samples = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    check_sequence(view_of(samples), samples)
    assert view_of({"a": [1, 2]})[1] == {"a": 2}
    assert view_of([3, 4], names=("n",)).to_numpy()["n"].tolist() == [3, 4]
    assert list(view_of(np.array([3, 4]))) == [3, 4]
    view = numbers()
    assert view_of(view) is view
    with pytest.raises(UsageError, match="needs a source with len"):
        view_of(iter([1]))
    with pytest.raises(SchemaError, match="2 values, but there are 3 names"):
        view_of([(1, 2)], names=("a", "b", "c"))[0]
    assert equal(list(pickle.loads(pickle.dumps(view_of(samples)))), samples)


MASKED = np.ma.array([1, 2], mask=[0, 1])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: view_of(x=MASKED), SchemaError, "stream x: An array has masked values"),
        (lambda: view_of(x=[MASKED, MASKED]), SchemaError, "masked values"),
        (lambda: view_of(x=[np.ma.masked, 1]), SchemaError, "masked values"),
        (lambda: view_of([{"x": MASKED}])[0], SchemaError, "masked values"),
        (lambda: view_of(MASKED)[1], SchemaError, "masked values"),
        (lambda: view_of("data.csv"), UsageError, "'data.csv' is not data. Read it first"),
        (lambda: view_of(Path("data.csv")), UsageError, "is not data"),
        (lambda: view_of(b"data"), UsageError, "is not data"),
        (lambda: view_of(None), UsageError, "None is not data"),
        (lambda: view_of(pandas.Series([1])), UsageError, r"A Series has no streams. Name one: view_of\(x=source\)"),
        (lambda: view_of(polars.Series([1])), UsageError, "has no streams"),
        (lambda: view_of({"train": numbers()}), UsageError, "train is a Stored, which has streams of its own"),
        (lambda: view_of({"a": datasets.Dataset.from_dict({"x": [1]})}), UsageError, "a is a Dataset"),
        (
            lambda: view_of(datasets.DatasetDict(a=datasets.Dataset.from_dict({"x": [1]}))),
            UsageError,
            r"A DatasetDict has several splits: a. Make a view of one: view_of\(source\['a'\]\)",
        ),
        (
            lambda: view_of(pyarrow.table({"p": pyarrow.array(pandas.period_range("2020-01", periods=2, freq="M"))})),
            SchemaError,
            "which Arrow holds as plain numbers",
        ),
    ],
)
def test_what_is_not_data_or_would_be_changed_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


PERIODS = pandas.period_range("2020-01", periods=2, freq="M")
ZONED = pandas.Timestamp("2020-01-01", tz="UTC")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, 2], [True, 2]),
        ([[], [1, 2]], [[], [1, 2]]),
        ([np.int64(2**60 + 1), 0.5], [2**60 + 1, 0.5]),
        (np.ma.array([1, 2]), [1, 2]),
        (pandas.Series([1, None], dtype="Int64"), [1, None]),
        (pandas.Series(["a", None]), ["a", None]),
        (pandas.Series(PERIODS), list(PERIODS)),
        (pandas.Series([ZONED]), [ZONED]),
        (pyarrow.array([1, None]), [1, None]),
        (pyarrow.chunked_array([[1], [None]]), [1, None]),
        (polars.Series([1, None]), [1, None]),
        (torch.tensor([1.5], requires_grad=True), [1.5]),
    ],
    ids=lambda values: type(values).__name__,
)
def test_a_column_keeps_its_values_and_their_types(values: Any, expected: list[Any]) -> None:
    view = view_of(x=values)
    read = [sample["x"] for sample in view]
    assert read == expected and list(map(type, read)) == [type(view[i]["x"]) for i in range(len(view))]
    assert [isinstance(value, bool) for value in read] == [isinstance(value, bool) for value in expected]


def test_a_frame_of_periods_has_periods() -> None:
    assert view_of(pandas.DataFrame({"p": PERIODS}))[1] == {"p": PERIODS[1]}


# What is not installed


@pytest.mark.parametrize(
    ("call", "module", "extra"),
    [
        ("view.to_torch()", "torch", "torch"),
        ("view.to_hf()", "datasets", "hf"),
        ("view.to_pandas()", "pandas", "pandas"),
        ("view.to_sklearn(sample='n', target='n', bunch=True)", "sklearn", "sklearn"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(call: str, module: str, extra: str) -> None:
    # A process in which the package is not found, as where it was never installed.
    code = f"""
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Without())
from dataset_assets import view_of
from dataset_assets.errors import NotInstalled
view = view_of(n=[1, 2])
try:
    {call}
except NotInstalled as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install 'dataset_assets[{extra}]'" in found.stdout and module in found.stdout
    assert issubclass(NotInstalled, ImportError)


def test_views_and_encoders_bring_no_library_that_was_not_asked_for() -> None:
    code = (
        "import sys, dataset_assets.encoding as e; from dataset_assets import view_of; "
        "from dataset_assets.reading.views import encoded; v = view_of(n=[1.0, 2.0]); "
        "v.encode(v.fit_encoders({'n': e.Scaled()})).to_sklearn(sample='n', target='n'); "
        "print([m for m in ('torch', 'datasets', 'pandas', 'sklearn', 'polars', 'duckdb') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
