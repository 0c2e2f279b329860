"""JSON values: whatever JSON holds comes back exactly; all else is refused with its path."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import Loader
from dataset_assets.errors import DecodeError, SchemaError
from dataset_assets.formats import Json, Text
from dataset_assets.formats.json_values import text_of
from dataset_assets.reading.views import Origin, Stored
from dataset_assets.testing.formats import written, written_and_opened

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=6), st.integers(1, 6))
@settings(deadline=None, max_examples=60)
def test_any_values_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[Any], size: int) -> None:
    blocks = [values[lo : lo + size] for lo in range(0, len(values), size)]
    column = written_and_opened(Json(), blocks, tmp_path_factory.mktemp("json"), file_bytes=60)
    found = [column[i] for i in range(len(column))]
    # The representation shows the order of keys, the type of each number and the sign of zero.
    assert repr(found) == repr(values) == repr(list(column.slice(0, len(column))))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "sample 1: value: the number nan, which JSON does not have"),
        ({"a": [0, -math.inf]}, "sample 1: value.a[1]: the number -inf"),
        ((1, 2), "sample 1: value: a tuple ((1, 2)), which JSON does not have"),
        ({"a": {1: 2}}, "sample 1: value.a: the key 1 is a int, expected text"),
        ([{"b": np.int64(1)}], "sample 1: value[0].b: a int64"),
        (b"x", "sample 1: value: a bytes (b'x')"),
        ("\ud800", "sample 1: the text cannot be encoded as UTF-8"),
        (10**5000, "sample 1: value: Exceeds the limit (4300 digits)"),
    ],
    ids=["nan", "inf", "tuple", "key", "numpy", "bytes", "surrogate", "digits"],
)
def test_what_json_does_not_hold_is_refused_with_its_path(value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaError) as caught:
        written(Json(), [[{"a": 1}, value]], tmp_path)
    assert message in str(caught.value)


def test_values_nested_deeper_than_the_setting_are_refused(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(250):
        deep = [deep]
    with pytest.raises(SchemaError, match="nested deeper than max_json_depth=200"):
        written(Json(), [[deep]], tmp_path)


@pytest.mark.parametrize("text", ["{", "NaN", "[Infinity]", "", "1" * 5000])
def test_a_text_that_is_not_json_is_a_decode_error(text: str, tmp_path: Path) -> None:
    [part], _ = written(Text(), [[text]], tmp_path)
    with pytest.raises(DecodeError, match="A text is not JSON"):
        Json().open([part.path.open("rb")])[0]


def test_arrow_reads_texts_by_every_way_and_pandas_reads_values(tmp_path: Path) -> None:
    values = [{"a": 1}, {"b": [1, {"c": 2**70}]}, None, "x"]
    column = written_and_opened(Json(), [values], tmp_path)
    view = Stored(Origin("org.example.json", "all", "1" * 64), {"j": column})
    texts = list(map(text_of, values))
    for part, expected in ((view, texts), (view[::-1], texts[::-1]), (view.concat(view), texts * 2)):
        batches = Loader(part, 2, output="arrow").epoch(0)
        tables = [part.to_arrow(), pyarrow.table(part), pyarrow.concat_tables(batches)]
        assert [table.schema.field("j").type for table in tables] == [pyarrow.large_string()] * 3
        assert [table.column("j").to_pylist() for table in tables] == [expected] * 3
    assert view.to_pandas()["j"].tolist() == values == view.to_numpy()["j"].tolist()
    assert polars.from_arrow(view.to_arrow())["j"].str.json_path_match("$.a").to_list()[0] == "1"
