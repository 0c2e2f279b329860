"""What is inferred of the columns of a table: shapes of lists, orders of classes, and the index of a DataFrame."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest

from dataset_assets import Array, Json, Ragged, Table, prepare
from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.sources import dataset_from, source_of
from dataset_assets.storage import MemoryStorage

LISTS = {
    "vectors": (pyarrow.list_(pyarrow.float32(), 2), [[0, 1], [2, 3]], Array("float32", (2,))),
    "squares": (pyarrow.list_(pyarrow.list_(pyarrow.int16(), 2), 1), [[[0, 1]], [[2, 3]]], Array("int16", (1, 2))),
    "flags": (pyarrow.list_(pyarrow.bool_(), 1), [[True], [False]], Array("bool", (1,))),
    "equal": (pyarrow.list_(pyarrow.int64()), [[0, 1], [2, 3]], Ragged("int64")),
    "holes": (pyarrow.list_(pyarrow.int64()), [[0, None], [2]], Json()),
    "fixed_holes": (
        pyarrow.list_(pyarrow.float32(), 2),
        [[0, None], [2, 3]],
        Table({"fixed_holes": pyarrow.list_(pyarrow.float32(), 2)}),
    ),
    "absent": (
        pyarrow.list_(pyarrow.float32(), 2),
        [None, [2, 3]],
        Table({"absent": pyarrow.list_(pyarrow.float32(), 2)}),
    ),
}


@pytest.fixture
def folder(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    return home.parent


def whole(source: Any, **options: Any) -> Any:
    return prepare(dataset_from(source, **options), storage=MemoryStorage())["all"]


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("name", LISTS)
def test_lists_of_one_length_by_their_type_are_arrays(folder: Path, name: str, copy: bool) -> None:
    kind, values, form = LISTS[name]
    column = pyarrow.array(values, kind)
    pyarrow.parquet.write_table(pyarrow.table({name: column}), folder / "lists.parquet")
    made = dataset_from(folder / "lists.parquet", copy=copy)
    assert made.streams[name] == form
    stored = [one[name] for one in whole(folder / "lists.parquet", copy=copy)]
    if isinstance(form, Table):
        assert stored == [{name: value} for value in values]
    else:
        assert [value.tolist() if isinstance(value, np.ndarray) else value for value in stored] == values


def test_the_definition_as_text_shows_the_shape_and_refuses_lists_of_another_length_later(folder: Path) -> None:
    path = folder / "lists.parquet"

    def write(length: int) -> None:
        column = pyarrow.array([[0.0] * length], pyarrow.list_(pyarrow.float32(), length))
        pyarrow.parquet.write_table(pyarrow.table({"v": column}), path)

    write(2)
    made = dataset_from(path)
    assert '"v": Array(dtype="float32", shape=(2,)),' in source_of(made)
    write(3)
    with pytest.raises(SchemaError, match=r"\(3,\)"):
        prepare(made, storage=MemoryStorage())


def test_arrays_of_hugging_face_have_their_shape(folder: Path) -> None:
    squares = np.arange(8.0).reshape(2, 2, 2)
    features = datasets.Features({"m": datasets.Array2D((2, 2), "float32"), "n": datasets.Value("int64")})
    data = datasets.Dataset.from_dict({"m": squares.tolist(), "n": [0, 1]}, features=features)
    data.save_to_disk(str(folder / "saved"))
    for source in (data, folder / "saved"):
        found = whole(source)
        assert np.array_equal(found.to_numpy()["m"], squares) and found.to_numpy()["m"].dtype == np.float32


@pytest.mark.parametrize("form", ["frame", "parquet", "feather", "polars"])
def test_ordered_classes_keep_their_order(folder: Path, form: str) -> None:
    names = ["small", "medium", "large"]
    frame = pandas.DataFrame({"size": pandas.Categorical(["large", "small"], names, ordered=True)})
    if form == "polars":
        source: Any = polars.DataFrame({"size": polars.Series(["large", "small"], dtype=polars.Enum(names))})
    else:
        source = frame if form == "frame" else folder / f"sizes.{form}"
        if form != "frame":
            getattr(frame, f"to_{form}")(source)
    found = whole(source)
    assert found.classes == {"size": tuple(names)} and [one["size"] for one in found] == [2, 0]


def test_classes_without_an_order_are_sorted(home: Path) -> None:
    found = whole(pandas.DataFrame({"size": pandas.Categorical(["b", "a"], ["b", "a"])}))
    assert found.classes == {"size": ("a", "b")}


@pytest.mark.parametrize(
    ("index", "columns"),
    [
        (None, {"x"}),
        (pandas.Index([7, 3]), {"x"}),
        (pandas.Index([7, 3], name="id"), {"id", "x"}),
        (pandas.Index(["a", "b"]), {"column_index", "x"}),
        (pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["word", "number"]), {"word", "number", "x"}),
    ],
)
def test_an_index_that_holds_data_is_a_column_as_reset_index_makes_it(
    home: Path, index: Any, columns: set[str]
) -> None:
    frame = pandas.DataFrame({"x": [1, 2]}, index=index)
    found = whole(frame)
    assert {*found.streams} == columns
    for name in columns - {"x", "column_index"}:
        assert [one[name] for one in found] == frame.reset_index()[name].tolist()


def test_an_index_with_the_name_of_a_column_is_refused() -> None:
    with pytest.raises(UsageError, match="several columns named 'x'. Rename all but one"):
        dataset_from(pandas.DataFrame({"x": [1]}, index=pandas.Index([1], name="x")))
