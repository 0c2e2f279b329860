"""Streams of parts are joined with their values unchanged, or refused with the names of two parts."""

import datetime
import decimal
import io
import random
import re
import wave
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate, permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import PIL.Image
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import Array, Audio, Bytes, Files, Image, Json, Ragged, Table, Text
from dataset_assets.errors import SchemaError
from dataset_assets.formats import Format, Misfit, format_named
from dataset_assets.making.merging import Merger
from dataset_assets.making.steps import stored_stream
from dataset_assets.storage.manifest import StoredStream
from dataset_assets.testing.formats import equal

ROWS = Table()
NUMBERS = st.integers(-9, 9)
VALUES = st.one_of(
    *(
        st.just(st.one_of(st.none(), some))
        for some in (
            NUMBERS,
            st.floats(-1, 1),
            st.text("ab", max_size=2),
            st.lists(st.one_of(st.none(), NUMBERS), max_size=2),
            st.lists(st.text("ab", max_size=2), max_size=2),
            st.fixed_dictionaries({"a": st.one_of(st.none(), NUMBERS), "b": st.lists(st.floats(-1, 1), max_size=1)}),
        )
    )
)
PARTS = st.lists(VALUES.flatmap(lambda values: st.lists(values, min_size=1, max_size=3)), min_size=1, max_size=4)


def joined(
    parts: Sequence[Any], folder: Path, kind: Format = ROWS, order: Sequence[int] | None = None
) -> tuple[dict[str, Any], list[Any]]:
    """The parameters and the values of parts with these blocks, after they were written and joined in this order."""
    kept: dict[str, Path] = {}

    def written(label: str, block: Any) -> StoredStream:
        writer = kind.part_writer(folder / label)
        writer.append(block)
        files, parameters = writer.close()
        kept.update({file.sha256: file.path for file in files})
        return stored_stream(kind, files, parameters)

    def opened(name: str, stream: StoredStream) -> list[Any]:
        return [kept[file.sha256].open("rb") for file in stream.files]

    def stored(name: str, stream: StoredStream, paths: Sequence[Path]) -> None:
        kept.update({file.sha256: path for file, path in zip(stream.files, paths)})

    made = [(f"p{k}", {"row": written(f"p{k}", parts[k])}) for k in (range(len(parts)) if order is None else order)]
    whole = Merger({"row": kind}, folder, opened, stored).merged(made)["row"]
    column = format_named(kind.name, whole.parameters).open(opened("row", whole))
    return dict(whole.parameters), [column[k] for k in range(len(column))]


def of_rows(parts: Sequence[Sequence[Any]], folder: Path) -> tuple[dict[str, Any], list[Any]]:
    """The fields and the values of parts whose rows have one field with these values."""
    parameters, rows = joined([[{"value": value} for value in values] for values in parts], folder)
    return parameters, [row["value"] for row in rows]


@settings(max_examples=60, deadline=None)
@given(PARTS)
def test_parts_have_the_values_that_they_were_given_or_are_refused_by_name(parts: list[list[Any]]) -> None:
    with TemporaryDirectory() as folder:
        try:
            parameters, values = of_rows(parts, Path(folder) / "joined")
        except SchemaError as error:
            assert "only nulls" in str(error) or "p0" in str(error) and "p1" in str(error) or len(parts) > 2
            with pytest.raises(SchemaError):
                whole(parts, Path(folder) / "whole")
        else:
            assert values == [value for part in parts for value in part]
            assert parameters == whole(parts, Path(folder) / "whole")


def whole(parts: Sequence[Sequence[Any]], folder: Path) -> dict[str, Any]:
    """The parameters of a stream with all values, written at once."""
    writer = Table().writer(folder)
    writer.append([{"value": value} for part in parts for value in part])
    return writer.close()[1]


@pytest.mark.parametrize("nulls", [[None], [[None]], [[]], [{"a": None}]])
def test_what_has_only_nulls_in_a_part_takes_the_type_of_the_others(nulls: list[Any], tmp_path: Path) -> None:
    value = {"[None]": 1, "[[None]]": [1], "[[]]": [1], "[{'a': None}]": {"a": 1}}[str(nulls)]
    for k, parts in enumerate(([nulls, [value]], [[value], nulls], [nulls, nulls, [value], nulls])):
        _, values = of_rows(parts, tmp_path / str(k))
        assert values == [one for part in parts for one in part]


def test_equal_types_are_joined_whatever_their_keys_are(tmp_path: Path) -> None:
    parts = [[{"Size, mm": k, "a: b": "c"}] for k in range(2)]
    assert of_rows(parts, tmp_path)[1] == [one for part in parts for one in part]


def test_a_field_without_any_value_is_refused(tmp_path: Path) -> None:
    for k, parts in enumerate(([[None]], [[None], [None, None]])):
        with pytest.raises(SchemaError, match="stream row: sample 0: value has only nulls. Declare its type"):
            of_rows(parts, tmp_path / str(k))


def test_types_that_differ_inside_are_refused_by_the_names_of_two_parts(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="the part of p0 has a table of value: list<item: int64>, that of p1 has"):
        of_rows([[[1]], [["a"]]], tmp_path / "0")
    with pytest.raises(SchemaError, match="the part of p0 beside that of p1: sample 0"):
        of_rows([[2**53 + 1], [0.5]], tmp_path / "1")


def arrow(kind: pyarrow.DataType, value: Any) -> pyarrow.Table:
    """Rows with one value, of this type, in two fields."""
    return pyarrow.table({"value": pyarrow.array([value, None], kind), "other": [1, 2]})


def leaves() -> st.SearchStrategy[list[tuple[pyarrow.DataType, Any]]]:
    """Types that hold a value, which may have one type in common."""
    day = datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC)
    exact = [
        pyarrow.decimal128(3, 1),
        pyarrow.decimal128(20, 15),
        pyarrow.decimal128(38, 2),
        pyarrow.decimal256(50, 30),
    ]
    zones = ("UTC", "Europe/Berlin", "Asia/Tokyo")
    alike = {
        "number": ([pyarrow.int8(), pyarrow.uint8(), pyarrow.int64(), pyarrow.uint64(), pyarrow.float32()], 7),
        "decimal": (exact, decimal.Decimal("7.5")),
        "time": ([pyarrow.timestamp(unit, zone) for unit in ("s", "us") for zone in zones], day),
        "date": ([pyarrow.date32(), pyarrow.date64()], day.date()),
        "span": ([pyarrow.duration("s"), pyarrow.duration("ns")], datetime.timedelta(3)),
        "bytes": ([pyarrow.binary(), pyarrow.binary(2)], b"ab"),
        "text": ([pyarrow.string(), pyarrow.large_string()], "a"),
    }
    return st.sampled_from([[(kind, value) for kind in kinds] for kinds, value in alike.values()])


def nested(one: tuple[pyarrow.DataType, Any]) -> st.SearchStrategy[tuple[pyarrow.DataType, Any]]:
    """A type with this one inside."""
    kind, value = one
    pairs = [("a", kind), ("b", pyarrow.bool_())]
    return st.sampled_from(
        [
            (pyarrow.list_(kind), [value, value]),
            (pyarrow.list_(kind), []),
            (pyarrow.list_(kind, 2), [value, None]),
            (pyarrow.list_(kind, 1), [value]),
            (pyarrow.map_(pyarrow.string(), kind), [("k", value)]),
            (pyarrow.struct(pairs), {"a": value, "b": True}),
            (pyarrow.struct(pairs[::-1]), {"a": value, "b": False}),
        ]
    )


TABLES = leaves().flatmap(
    lambda alike: st.lists(
        st.sampled_from(alike).flatmap(lambda one: st.one_of(st.just(one), nested(one), nested(one).flatmap(nested))),
        min_size=2,
        max_size=3,
    )
)
TABLES = TABLES.map(lambda kinds: [arrow(*one) for one in kinds]).flatmap(
    lambda tables: st.lists(st.booleans(), min_size=len(tables), max_size=len(tables)).map(
        lambda turned: [one.select(["other", "value"]) if turn else one for one, turn in zip(tables, turned)]
    )
)


def picture(mode: str, side: int) -> bytes:
    file = io.BytesIO()
    PIL.Image.new(mode, (side, 3)).save(file, "PNG")
    return file.getvalue()


def sound(rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        opened.writeframes(bytes(8))
    return file.getvalue()


BLOCKS: dict[Format, list[Any]] = {
    Array(): [["a"], ["abc"], [b"ab"], [1], [2.5], [[1, 2]], [["ab", "c"]]],
    Ragged(): [[[]], [[], []], [[1, 2]], [[1.5]], [[], [True]], [np.zeros(0, "i2")]],
    Ragged(shape=(None, 2)): [[np.zeros((0, 4, 2))], [np.zeros((1, 3, 2), "i4")], [[]], [np.ones((2, 1, 2), "f4")]],
    Image(): [[picture("L", 2)], [picture("RGB", 2)], [picture("RGB", 4)], [picture("RGBA", 4), picture("L", 4)]],
    Audio(): [[sound(8000)], [sound(8000)], [sound(16000)]],
    Text(): [["a"], ["b", ""]],
    Bytes(): [[b"a"], [b""]],
    Json(): [[{"a": [1]}], [None], ["a"]],
    Files(): [[("a", b"")], [("b", b"1")]],
}
"""Blocks of values for each format, one of which is a part."""
PARTED = st.one_of(
    st.tuples(st.just(Table()), TABLES),
    st.sampled_from([*BLOCKS]).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(st.sampled_from(BLOCKS[kind]), min_size=2, max_size=4))
    ),
)


def outcome(kind: Format, parts: list[Any], order: Sequence[int], folder: Path) -> Any:
    """The parameters and the values, or the type of the error, which names two parts or says what to declare."""
    try:
        parameters, values = joined(parts, folder, kind, order)
    except SchemaError as error:
        assert len({*re.findall(r"\bp\d\b", str(error))}) == 2 or "Declare it" in str(error)
        return SchemaError
    sizes = [len(parts[k]) for k in order]
    starts = dict(zip(order, [0, *accumulate(sizes)]))
    return parameters, [value for k in sorted(order) for value in values[starts[k] : starts[k] + len(parts[k])]]


@settings(max_examples=80, deadline=None)
@given(PARTED, st.randoms(use_true_random=False))
def test_the_order_of_parts_changes_neither_the_type_nor_a_value(
    parted: tuple[Format, list[Any]], chance: random.Random
) -> None:
    kind, parts = parted
    order = chance.sample(range(len(parts)), len(parts))
    with TemporaryDirectory() as folder:
        first = outcome(kind, parts, range(len(parts)), Path(folder) / "first")
        again = outcome(kind, parts, order, Path(folder) / "again")
    assert first == again if SchemaError in (first, again) else equal(first, again), (first, again)


@settings(max_examples=80, deadline=None)
@given(PARTED)
def test_it_does_not_matter_which_parts_are_merged_first(parted: tuple[Format, list[Any]]) -> None:
    kind, parts = parted
    with TemporaryDirectory() as folder:
        found = [parameters_of(kind, block, Path(folder) / str(k)) for k, block in enumerate(parts)]
    for one, other in permutations(found, 2):
        assert merged(kind, one, other) == merged(kind, other, one)
    for one, other, third in permutations(found, 3):
        assert merged(kind, merged(kind, one, other), third) == merged(kind, one, merged(kind, other, third))
    assert all(merged(kind, one, one) == one for one in found)


def parameters_of(kind: Format, block: Any, folder: Path) -> Any:
    writer = kind.part_writer(folder)
    writer.append(block)
    return writer.close()[1]


def merged(kind: Format, first: Any, second: Any) -> Any:
    """The merged parameters, or None if there are none, also for one of both."""
    with suppress(Misfit):
        return None if first is None or second is None else kind.merge(first, second)
    return None


def test_a_part_of_empty_arrays_takes_the_dtype_of_the_others(tmp_path: Path) -> None:
    numbers = np.array([1, 2], "i2")
    for k, parts in enumerate(([[[]], [numbers]], [[numbers], [[], []]], [[[]], [[]], [numbers], [[]]])):
        parameters, values = joined(parts, tmp_path / str(k), Ragged())
        assert parameters == {"dtype": "<i2", "shape": []}
        assert [value.tolist() for value in values] == [list(value) for part in parts for value in part]
        assert {value.dtype for value in values} == {np.dtype("i2")}


def test_arrays_that_are_all_empty_need_a_declared_dtype(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="stream row: There are no values to take a dtype from. Declare it"):
        joined([[[]], [[]]], tmp_path, Ragged())
    assert joined([[[]], [[]]], tmp_path / "declared", Ragged("i2"))[0] == {"dtype": "<i2", "shape": []}


def test_an_error_names_the_two_parts_that_differ(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="the part of p1 has .*value: int64, that of p2 has .*value: string"):
        of_rows([[None], [1], ["a"]], tmp_path)
