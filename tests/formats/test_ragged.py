"""Ragged arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from counting import calls
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dataset_assets.errors import DecodeError, DefinitionError, SchemaError
from dataset_assets.formats import Ragged, Text
from dataset_assets.testing.formats import digests, written, written_and_opened


def stored(format: Ragged, blocks: list[Any], tmp_path: Path) -> list[Any]:
    column = written_and_opened(format, blocks, tmp_path)
    return [column[i] for i in range(len(column))]


def refused(format: Ragged, blocks: list[Any], tmp_path: Path) -> str:
    with pytest.raises(SchemaError) as caught:
        written(format, blocks, tmp_path)
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["?", "i1", ">i2", "<i4", "i8", "u1", "u2", ">u4", "u8", "<f2", ">f4", "f8"])
@pytest.mark.parametrize("inner", [(), (3,), (1, 2)])
def test_every_number_and_inner_shape_comes_back(dtype: str, inner: tuple[int, ...], tmp_path: Path) -> None:
    values = [np.arange(k * int(np.prod(inner))).reshape(k, *inner).astype(dtype) for k in (0, 2, 1, 0, 5)]
    found = stored(Ragged(shape=inner), [values[:1], values[1:]], tmp_path)
    assert [one.tolist() for one in found] == [one.tolist() for one in values]
    assert {one.dtype for one in found} == {np.dtype(dtype).newbyteorder("<")}
    assert [one.shape for one in found] == [one.shape for one in values]


@given(
    st.sampled_from(["i2", "f4", "?"]).flatmap(
        lambda dtype: st.lists(st.lists(arrays.arrays(dtype, st.integers(0, 5)), max_size=4), max_size=4)
    )
)
@settings(deadline=None, max_examples=60)
def test_any_arrays_come_back_in_any_blocks(tmp_path_factory: pytest.TempPathFactory, blocks: list[Any]) -> None:
    values = [value for block in blocks for value in block]
    declared = Ragged() if any(value.size for value in values) else Ragged("i2")
    column = written_and_opened(declared, blocks, tmp_path_factory.mktemp("ragged"), file_bytes=100)
    for one, other in zip([column[i] for i in range(len(column))], values, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(column.take(np.arange(len(values))[::-1]), values[::-1], strict=True):
        np.testing.assert_array_equal(one, other)


class TestEmptyValues:
    """An empty list has no dtype: np.array([]) is of floats, whoever wrote it."""

    def test_may_come_before_the_dtype_is_known(self, tmp_path: Path) -> None:
        found = stored(Ragged(), [[[], np.array([])], [[]], [[1, 2], []], [[3]]], tmp_path)
        assert [one.tolist() for one in found] == [[], [], [], [1, 2], [], [3]]
        assert {str(one.dtype) for one in found} == {"int64"}

    def test_take_the_dtype_of_the_others_of_their_block(self, tmp_path: Path) -> None:
        found = stored(Ragged(), [[[], [1], np.array([]), []]], tmp_path)
        assert {str(one.dtype) for one in found} == {"int64"} and [one.tolist() for one in found] == [[], [1], [], []]

    def test_have_the_inner_shape(self, tmp_path: Path) -> None:
        found = stored(Ragged(shape=(2,)), [[[]], [[[1, 2]], np.empty((0, 2)), []]], tmp_path)
        assert [one.shape for one in found] == [(0, 2), (1, 2), (0, 2), (0, 2)]

    def test_alone_need_a_declared_dtype(self, tmp_path: Path) -> None:
        assert "Declare it: Ragged(dtype=...)" in refused(Ragged(), [[[], []]], tmp_path / "none")
        assert [one.tolist() for one in stored(Ragged("u1"), [[[], []]], tmp_path / "some")] == [[], []]

    def test_count_in_the_numbers_of_later_errors(self, tmp_path: Path) -> None:
        assert refused(Ragged(), [[[], []], [[], "abc"]], tmp_path).startswith("sample 3: ")


@pytest.mark.parametrize(
    ("format", "blocks", "message"),
    [
        (Ragged(), [[[1], [2, 3]], [[0.5]]], "sample 2: dtype float64, expected int64 as in the samples before it."),
        (Ragged(), [[[1], [0.5]]], "sample 1: dtype float64, expected int64"),
        (Ragged(), [[[1], [[2, 3]]]], "sample 1: shape (1, 2), expected ('n',)."),
        (Ragged(shape=(2,)), [[[1, 2]]], "sample 0: shape (2,), expected ('n', 2)."),
        (Ragged(shape=(2,)), [[[[1, 2, 3]]]], "sample 0: shape (1, 3), expected ('n', 2)."),
        (Ragged(), [[[1], [2, None]]], "sample 1: an array cannot hold"),
        (Ragged(), [[[1], None]], "sample 1: a value is null"),
        (Ragged(), [[[1], 5]], "sample 1: a block must have a length"),
        (Ragged(), [[["a"]]], "sample 0: A Ragged stream holds numbers or booleans, not <U1."),
        (Ragged(), [[[1j]]], "sample 0: A Ragged stream holds numbers or booleans, not complex128."),
        (Ragged(), [[[[1], [2, 3]]]], "sample 0: shape (2,), expected (1,)"),
        (Ragged("uint8"), [[[1], [2, 256]]], "sample 1: 256 does not fit the dtype uint8."),
        (Ragged("int32"), [[[1.0], [0.5]]], "sample 1: 0.5 does not fit the dtype int32."),
        (Ragged("float32"), [[[2**24 + 1]]], "sample 0: 16777217 does not fit the dtype float32."),
        (Ragged("int32"), [[["a"]]], "sample 0: dtype <U1, expected int32 as declared."),
        (Ragged(), [pyarrow.array([[1], None])], "sample 1: a value is null"),
        (Ragged(), [pyarrow.array([[1], [2, None]])], "sample 1: an array cannot hold"),
        (Ragged(), [pyarrow.array([["a"]])], "sample 0: A Ragged stream holds numbers"),
        (Ragged(), [pandas.Series([[1], None])], "sample 1: a value is null"),
    ],
)
def test_what_does_not_fit_is_named_with_its_number(
    format: Ragged, blocks: list[Any], message: str, tmp_path: Path
) -> None:
    assert message in refused(format, blocks, tmp_path)


def test_a_declared_dtype_is_cast_to_as_by_array(tmp_path: Path) -> None:
    found = stored(Ragged("float32"), [[[0.1, float("nan")], [1, 2], [True]]], tmp_path)
    np.testing.assert_array_equal(found[0], np.array([0.1, np.nan], "f4"))
    assert [one.tolist() for one in found[1:]] == [[1, 2], [1]]


BLOCKS = {
    "lists": [[1, 2], [], [3]],
    "arrays": [np.array([1, 2]), np.array([]), np.array([3])],
    "big-endian": [np.array([1, 2], ">i8"), [], [3]],
    "tuples": [(1, 2), (), (3,)],
    "pandas": pandas.Series([[1, 2], [], [3]]),
    "arrow": pyarrow.array([[1, 2], [], [3]]),
    "arrow large": pyarrow.array([[1, 2], [], [3]], pyarrow.large_list(pyarrow.int64())),
    "arrow slice": pyarrow.array([[None], [1, 2], [], [3], None]).slice(1, 3),
    "arrow chunks": pyarrow.chunked_array([[[1, 2]], [], [[], [3]]], pyarrow.list_(pyarrow.int64())),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_values_come_from_any_library_and_are_stored_the_same(name: str, tmp_path: Path) -> None:
    one, _ = written(Ragged(), [BLOCKS[name]], tmp_path / "one")
    other, _ = written(Ragged(), [BLOCKS["lists"]], tmp_path / "other")
    assert digests(one) == digests(other)


def test_blocks_of_equal_length_are_values_too(tmp_path: Path) -> None:
    assert [one.tolist() for one in stored(Ragged(), [np.arange(6).reshape(3, 2)], tmp_path / "array")] == [
        [0, 1],
        [2, 3],
        [4, 5],
    ]
    fixed = pyarrow.array([[1, 2], [3, 4]], pyarrow.list_(pyarrow.int64(), 2))
    assert [one.tolist() for one in stored(Ragged(), [fixed], tmp_path / "arrow")] == [[1, 2], [3, 4]]
    nested = pyarrow.array([[[1, 2]], [[3, 4], [5, 6]]])
    assert [one.tolist() for one in stored(Ragged(shape=(2,)), [nested], tmp_path / "nested")] == [
        [[1, 2]],
        [[3, 4], [5, 6]],
    ]


@pytest.mark.parametrize(
    "declared",
    [{"dtype": "U3"}, {"dtype": "c8"}, {"dtype": "O"}, {"dtype": "M8[s]"}, {"shape": (0,)}, {"shape": (-1,)}],
)
def test_what_is_declared_is_checked_at_once(declared: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError):
        Ragged(**declared)


def test_one_is_equal_to_another_however_it_is_written() -> None:
    assert Ragged("int32", 2) == Ragged("<i4", [2]) == Ragged(np.dtype("i4"), (2,))  # type: ignore[arg-type]


def test_a_stream_may_be_opened_without_its_parameters(tmp_path: Path) -> None:
    parts, _ = written(Ragged(), [[[1, 2], [3]]], tmp_path)
    column = Ragged().open([part.path.open("rb") for part in parts])
    assert column[0].tolist() == [1, 2] and column[0].dtype == np.int64


def test_values_lie_on_the_map_and_cannot_be_written_in(tmp_path: Path) -> None:
    column = written_and_opened(Ragged(), [[[1, 2], [3]]], tmp_path)
    for value in (column[0], column.slice(0, 1)[0], column.take(np.array([0]))[0]):
        assert not value.flags.writeable and not value.flags.owndata


def test_other_files_are_decode_errors(tmp_path: Path) -> None:
    [text], _ = written(Text(), [["a"]], tmp_path / "text")
    for format in (Ragged(), Ragged("i4")):
        with pytest.raises(DecodeError):
            format.open([text.path.open("rb")])
    table = pyarrow.table({"value": pyarrow.array([[1, None]], pyarrow.large_list(pyarrow.int64()))})
    with pyarrow.ipc.new_file(str(tmp_path / "nulls"), table.schema) as sink:
        sink.write_table(table)
    with pytest.raises(DecodeError, match="has nulls"):
        Ragged().open([(tmp_path / "nulls").open("rb")])


def lists(rows: list[Any]) -> Any:
    return pyarrow.array(rows, pyarrow.list_(pyarrow.int64()))


LISTS: dict[str, Any] = {
    "lists": lists,
    "large lists": lambda rows: pyarrow.array(rows, pyarrow.large_list(pyarrow.int64())),
    "a part of lists": lambda rows: lists([[9], *rows, [9]])[1:-1],
    "chunks": lambda rows: pyarrow.chunked_array([lists(part) for part in (rows[:2], [], rows[2:])]),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("dtype", [None, "int8"])
def test_lists_of_arrow_are_written_as_arrays_are_whole_and_not_one_by_one(
    tmp_path: Path, kind: str, dtype: str | None
) -> None:
    rows = [[], [1, 2], [], [3], [4, 5, 6]]
    assert written_as(tmp_path / "a", Ragged(dtype), LISTS[kind](rows)) == written_as(
        tmp_path / "b", Ragged(dtype), rows
    )

    def work(times: int) -> int:
        given = LISTS[kind](rows * times)
        return calls(lambda: written_as(tmp_path / str(times), Ragged(dtype), given))

    assert work(50) < 1.5 * work(1)


def test_lists_of_lists_of_one_size_are_written_as_arrays_are(tmp_path: Path) -> None:
    rows = [[[1, 2], [3, 4]], [], [[5, 6]]]
    fixed = pyarrow.array(rows, pyarrow.list_(pyarrow.list_(pyarrow.int64(), 2)))
    assert written_as(tmp_path / "a", Ragged(shape=(2,)), fixed) == written_as(tmp_path / "b", Ragged(shape=(2,)), rows)
    with pytest.raises(SchemaError, match=r"sample 0.*shape \(2, 2\), expected \('n', 3\)"):
        written_as(tmp_path / "c", Ragged(shape=(3,)), fixed)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1], None], "sample 1.*null"),
        ([[1], [2, 300], [400]], "sample 1.*300 does not fit"),
        ([[1], [], [2, None]], "sample 2"),
    ],
)
def test_a_list_that_does_not_fit_is_named_by_its_row(tmp_path: Path, rows: Any, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        written_as(tmp_path, Ragged("int8"), pyarrow.array(rows, pyarrow.list_(pyarrow.int64())))


def test_the_first_value_that_does_not_fit_is_named_whatever_is_wrong_with_a_later_one(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="sample 1.*300"):
        written_as(tmp_path, Ragged("int8"), [np.array([1]), np.array([300]), np.array([[1]])])


def written_as(folder: Path, kind: Ragged, values: Any) -> Any:
    writer = kind.writer(folder)
    writer.append(values)
    parts, parameters = writer.close()
    return [part.path.read_bytes() for part in parts], parameters
