"""Arrays: every dtype and shape, what is refused and why, and files that mean harm."""

import ast
import doctest
import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dataset_assets.core import files
from dataset_assets.errors import DecodeError, DefinitionError, NoSpace, SchemaError
from dataset_assets.formats import Array, Misfit, values_of
from dataset_assets.formats import npy as npy_module
from dataset_assets.formats.array import ArrayColumn
from dataset_assets.formats.npy import header
from dataset_assets.formats.rows import as_rows
from dataset_assets.testing.formats import digests, written, written_and_opened

DTYPES = [
    "?", "i1", "<i2", ">i4", "<i8", "u1", ">u2", "<u4", "u8", "<f2", ">f4", "<f8", "<c8", ">c16", "<M8[D]", ">M8[ns]",
    "<m8[s]", "S5", "<U4", ">U2", "V3",
    [("a", "<f4"), ("b", ">i2", (2, 3)), ("c", [("d", "?"), ("e", "S2")])],
]  # fmt: skip


def stored(values: Any, tmp_path: Path, format: Array | None = None) -> Any:
    return written_and_opened(format or Array(), [values], tmp_path)


def refused(blocks: list[Any], tmp_path: Path, format: Array | None = None) -> str:
    with pytest.raises(SchemaError) as caught:
        written(format or Array(), blocks, tmp_path)
    return str(caught.value)


@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 2), (0,), (2, 0)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_and_shape_comes_back(dtype: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = np.zeros((4, *shape), dtype)
    if rows.dtype.kind in "iufc":
        rows[...] = rng.integers(0, 100, rows.shape)
    elif rows.dtype.kind in "SU":
        rows[...] = ["a", "bc", "", "d"][len(shape)]
    column = stored(rows, tmp_path)
    again = column.slice(0, 4)
    assert again.shape == rows.shape and again.dtype.newbyteorder("=") == rows.dtype.newbyteorder("=")
    assert (
        again.tolist() == rows.tolist()
        if rows.dtype.kind != "V"
        else again.tobytes() == rows.astype(again.dtype).tobytes()
    )
    assert len(list(column)) == 4 and np.shape(column[0]) == shape


@given(arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)))
@settings(deadline=None, max_examples=150)
def test_any_array_is_what_numpy_reads_from_its_file(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> None:
    folder = tmp_path_factory.mktemp("any")
    if rows.dtype.char in "gG" or not rows.dtype.itemsize or not len(rows):
        return
    parts, _ = written(Array(), [rows[:1], rows[1:]], folder)
    found = np.load(parts[0].path, allow_pickle=False)
    np.testing.assert_array_equal(found, rows)
    assert found.dtype == rows.dtype.newbyteorder("<")


def test_numbers_are_pythons_own(tmp_path: Path) -> None:
    for values in ([1, 2], [True, False], [0.5, 1.0], np.array([1, 2], "f2")):
        column = stored(values, tmp_path / str(len(str(values))))
        assert [type(column[0])] == [type(values_of(column.slice(0, 1))[0])] == [type(np.asarray(values)[0].item())]


@pytest.mark.parametrize("dtype", ["u1", "<f8", ">i4", [("a", "i1"), ("b", ">f8")]], ids=str)
@pytest.mark.parametrize("count", [0, 1, 10**6])
def test_a_header_is_the_one_that_numpy_writes(dtype: Any, count: int) -> None:
    packed = np.dtype(dtype).newbyteorder("<")
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(packed), "fortran_order": False, "shape": (count, 3)}
    )
    assert header(packed, (count, 3)) == file.getvalue()
    assert len(header(packed, (10**15, 3))) == len(header(packed, (count, 3)))


def test_field_names_may_be_in_any_script(tmp_path: Path) -> None:
    rows = np.array([(1,), (2,)], [("größe 🐈", "i4")])
    parts, parameters = written(Array(), [rows], tmp_path)
    assert np.load(parts[0].path)["größe 🐈"].tolist() == [1, 2]
    assert Array(**parameters).open([parts[0].path.open("rb")])[1].tolist() == (2,)


def test_padding_between_fields_is_not_stored(tmp_path: Path) -> None:
    aligned = np.zeros(3, np.dtype([("a", "i1"), ("b", "f8")], align=True))
    aligned.view(np.uint8)[:] = 7
    first, _ = written(Array(), [aligned], tmp_path / "first")
    packed = np.empty(3, [("a", "i1"), ("b", "f8")])
    packed["a"], packed["b"] = aligned["a"], aligned["b"]
    second, _ = written(Array(), [packed], tmp_path / "second")
    assert first[0].sha256 == second[0].sha256


def test_files_end_at_the_same_rows_in_whatever_blocks_they_come(tmp_path: Path) -> None:
    rows = np.arange(100)
    one, _ = written(Array(), [rows], tmp_path / "one", file_bytes=240)
    other, _ = written(Array(), [rows[:7], rows[7:50], rows[50:]], tmp_path / "other", file_bytes=240)
    assert [part.samples for part in one] == [30, 30, 30, 10]
    assert [part.sha256 for part in one] == [part.sha256 for part in other]


class TestWhatIsDeclared:
    def test_is_what_values_are_cast_to(self, tmp_path: Path) -> None:
        column = stored([1, 2.0, True, np.int64(3), np.array(4, "f4")], tmp_path, Array("int8"))
        assert column.slice(0, 5).dtype == np.int8 and list(column) == [1, 2, 1, 3, 4]

    def test_rounds_floats(self, tmp_path: Path) -> None:
        assert stored([0.1], tmp_path, Array("float32"))[0] == float(np.float32(0.1))

    @pytest.mark.parametrize(
        ("dtype", "block", "at"),
        [
            ("uint8", [1, 256], 1),
            ("uint8", [0, 1, -1], 2),
            ("int32", [0.5], 0),
            ("int64", np.array([0, 2**63], "u8"), 1),
            ("float32", [1, 2**24 + 1], 1),
            ("float32", [1.0, 1e39], 1),
            ("bool", [1, 0, 2], 2),
            ("<U2", ["a", "abc"], 1),
            ("M8[D]", np.array(["2020-01-01", "2020-01-01T12"], "M8[h]"), 1),
            ("uint8", [np.zeros(2, "i4"), np.array([3, 300], "i8")], 1),
        ],
    )
    def test_names_the_first_value_that_does_not_fit(self, dtype: str, block: Any, at: int, tmp_path: Path) -> None:
        first = block[:1] if at else []
        message = refused([first, first, block], tmp_path, Array(dtype))
        assert message.startswith(f"sample {2 * len(first) + at}: ") and "does not fit the dtype" in message

    @pytest.mark.parametrize("block", [["1"], [b"1"], np.array(["2020-01-01"], "M8[D]"), [None], [1, None], ["a", 1]])
    def test_takes_nothing_of_another_kind(self, block: Any, tmp_path: Path) -> None:
        refused([block], tmp_path, Array("int64"))

    def test_is_the_shape_too(self, tmp_path: Path) -> None:
        assert refused([[[1, 2]]], tmp_path, Array(shape=(3,))).startswith(
            "sample 0: shape (2,), expected (3,) as declared."
        )

    def test_may_be_one_number_for_a_shape_and_is_equal_however_it_is_written(self) -> None:
        assert Array("float32", 3) == Array("<f4", (3,)) == Array(np.dtype("f4"), [3])  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "declared",
        [{"shape": (-1,)}, {"shape": "ab"}, {"classes": "abc"}, {"classes": (1, 2)}, {"classes": ("a", "a")},
         {"dtype": "O"}, {"dtype": "U"}, {"dtype": "nonsense"}],
    )  # fmt: skip
    def test_is_checked_at_once(self, declared: dict[str, Any]) -> None:
        with pytest.raises(DefinitionError):
            Array(**declared)


class TestWhatIsNotDeclared:
    @pytest.mark.parametrize(
        ("blocks", "message"),
        [
            ([[1, 2], [3], [4.5]], "sample 3: dtype float64, expected int64 as in the samples before it."),
            ([[1, 2], np.array([3], "i4")], "sample 2: dtype int32, expected int64"),
            ([[np.zeros(2, "u1"), np.zeros(2, "u1"), np.zeros(2, "i1")]], "sample 2: dtype int8, expected uint8"),
            ([[np.float32(1), np.float64(2)]], "sample 1: dtype float64, expected float32"),
            ([[[1, 2]], [[3, 4], [5]]], "sample 2: shape (1,), expected (2,)"),
            ([[[1, 2]], [[3, 4, 5]]], "sample 1: shape (3,), expected (2,)"),
            ([[1, 2], [3, None]], "sample 3: an array cannot hold NoneType, int."),
            ([[1, "a"]], "sample 1: an array cannot hold int, str."),
            ([[True, 2]], "sample 1: an array cannot hold bool, int."),
            ([[{"a": 1}]], "sample 0: an array cannot hold dict."),
            ([[2**70]], "some whole numbers do not fit in 64 bits."),
            ([[2**63, -1]], "some whole numbers do not fit in 64 bits."),
            ([[2**53 + 1, 0.5]], "floats cannot hold all the whole numbers among them."),
            ([[b"a\0"]], "some text or bytes end in NUL"),
            ([["a\0"]], "some text or bytes end in NUL"),
            ([[[1, 2], [3, "x"]]], "an array cannot hold int, str."),
        ],
    )
    def test_is_that_of_the_first_and_stays_so(self, blocks: list[Any], message: str, tmp_path: Path) -> None:
        found = refused(blocks, tmp_path)
        assert message in found and found.startswith("sample ")

    def test_takes_shorter_strings(self, tmp_path: Path) -> None:
        assert list(written_and_opened(Array(), [["abc"], ["d", ""]], tmp_path)) == ["abc", "d", ""]

    def test_takes_whole_numbers_among_floats_of_a_block(self, tmp_path: Path) -> None:
        assert list(written_and_opened(Array(), [[1, 0.5]], tmp_path)) == [1.0, 0.5]

    @pytest.mark.parametrize("dtype", ["longdouble", "clongdouble", "O"])
    def test_is_no_dtype_that_differs_between_machines(self, dtype: str, tmp_path: Path) -> None:
        refused([np.zeros(2, dtype)], tmp_path)

    def test_has_to_be_for_an_empty_stream(self, tmp_path: Path) -> None:
        assert "Declare it: Array(dtype=...)" in refused([], tmp_path)


class TestBlocks:
    def test_of_pandas(self, tmp_path: Path) -> None:
        for number, series in enumerate(
            [
                pandas.Series([1, 2]),
                pandas.Series([1, 2], dtype="Int64"),
                pandas.Series([1, 2], dtype="category"),
                pandas.Series([1, 2], dtype=pandas.ArrowDtype(pyarrow.int64())),
                pandas.Index([1, 2]),
            ]
        ):
            column = stored(series, tmp_path / str(number))
            assert column.slice(0, 2).dtype == np.int64 and list(column) == [1, 2]
        assert stored(pandas.DataFrame({"a": [1, 2], "b": [3, 4]}), tmp_path / "frame").slice(0, 2).tolist() == [
            [1, 3],
            [2, 4],
        ]

    @pytest.mark.parametrize(
        "series",
        [
            pandas.Series([1, None], dtype="Int64"),
            pandas.Series(["a", "b"]),
            pandas.Series(["a", "b"], dtype="category"),
            pandas.Series(pandas.to_datetime(["2020-01-01"]).tz_localize("UTC")),
            pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}),
            pandas.DataFrame(index=[1, 2]),
        ],
        ids=["null", "text", "categories", "zone", "two dtypes", "no columns"],
    )
    def test_of_pandas_that_no_array_holds(self, series: Any, tmp_path: Path) -> None:
        refused([series], tmp_path)

    @pytest.mark.parametrize(
        ("block", "expected"),
        [
            (pyarrow.array([1, 2]), [1, 2]),
            (pyarrow.array([9, 1, 2, 9]).slice(1, 2), [1, 2]),
            (pyarrow.chunked_array([[1], [], [2]]), [1, 2]),
            (pyarrow.array([True, False, True]).slice(1), [False, True]),
            (pyarrow.array([1, 2, 1]).dictionary_encode(), [1, 2, 1]),
            (pyarrow.array([[1, 2], [3, 4], [5, 6]], pyarrow.list_(pyarrow.int16(), 2)).slice(1), [[3, 4], [5, 6]]),
            (pyarrow.array([b"ab", b"cd"], pyarrow.binary(2)).slice(1), [b"cd"]),
            (pyarrow.array([18262], pyarrow.date32()), [np.datetime64("2020-01-01")]),
            (pyarrow.chunked_array([pyarrow.array([np.float16(0.5)], pyarrow.float16())]), [0.5]),
        ],
    )
    def test_of_arrow(self, block: Any, expected: list[Any], tmp_path: Path) -> None:
        found = stored(block, tmp_path).slice(0, len(block))
        assert [bytes(one) if found.dtype.kind == "V" else one.tolist() for one in found] == [
            one.tolist() if isinstance(one, np.generic) else one for one in expected
        ]

    @pytest.mark.parametrize(
        "block",
        [
            pyarrow.array([1, None]),
            pyarrow.array(["a"]),
            pyarrow.array([[1]]),
            pyarrow.array([[1, None]], pyarrow.list_(pyarrow.int8(), 2)),
            pyarrow.array([None]),
            pyarrow.array([{"a": 1}]),
        ],
        ids=lambda block: str(block.type),
    )
    def test_of_arrow_that_no_array_holds(self, block: Any, tmp_path: Path) -> None:
        refused([block], tmp_path)

    def test_of_tensors(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch")
        assert list(stored(torch.arange(3), tmp_path / "block")) == [0, 1, 2]
        assert stored([torch.zeros(2), torch.ones(2)], tmp_path / "list").slice(0, 2).tolist() == [[0, 0], [1, 1]]
        assert "does not convert to an array" in refused([[torch.zeros(2, requires_grad=True)]], tmp_path / "gradient")

    def test_that_are_masked_are_refused(self, tmp_path: Path) -> None:
        hidden = np.ma.masked_array([1, 2], [False, True])
        assert "it is masked" in refused([hidden], tmp_path / "block")
        assert refused([[np.ma.masked_array([1]), hidden[1:]]], tmp_path / "list").startswith("sample 1: it is masked")
        assert list(stored(np.ma.masked_array([1, 2]), tmp_path / "none masked")) == [1, 2]

    def test_that_are_one_value_are_refused(self, tmp_path: Path) -> None:
        assert "a block must have a length" in refused([np.array(5)], tmp_path)
        with pytest.raises(Misfit):
            as_rows("abc")

    def test_may_be_changed_afterwards(self, tmp_path: Path) -> None:
        writer = Array().writer(tmp_path / "stream")
        rows = np.zeros(3)
        for k in range(3):
            rows[:] = k
            writer.append(rows)
        [part], _ = writer.close()
        assert np.load(part.path).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


class Harm:
    def __reduce__(self) -> Any:
        return os.mkdir, ("pickle was run",)


def npy(text: str | bytes, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return b"\x93NUMPY" + version + len(raw).to_bytes(2 if version == b"\x01\x00" else 4, "little") + raw + data


def described(descr: str, shape: str = "(2,)", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


HOSTILE = {
    "objects": npy(described("'|O'"), pickle.dumps([Harm(), Harm()])),
    "objects in a field": npy(described("[('a', '|O')]"), bytes(16)),
    "objects by number": npy(described("'O8'"), bytes(16)),
    "columns first": npy(described("'<f8'", "(2, 1)", "True"), bytes(16)),
    "huge shape": npy(described("'<f8'", "(2305843009213693952,)")),
    "shape that overflows to nothing": npy(described("'<f8'", "(4611686018427387904, 4)")),
    "shape beyond any integer": npy(described("'<f8'", f"({10**30}, 0)")),
    "negative shape": npy(described("'<f8'", "(-1,)")),
    "two negative lengths": npy(described("'<f8'", "(-1, -2)"), bytes(16)),
    "shape of floats": npy(described("'<f8'", "(2.0,)"), bytes(16)),
    "shape of booleans": npy(described("'<f8'", "(True,)"), bytes(8)),
    "shape that is a list": npy(described("'<f8'", "[2]"), bytes(16)),
    "no rows": npy(described("'<f8'", "()"), bytes(8)),
    "endless rows of nothing": npy(described("'|S0'", "(1000000000000,)")),
    "fields of nothing": npy(described("[]", "(1000000000000,)")),
    "a dtype with a shape": npy(described("('<f8', (2,))", "(1,)"), bytes(16)),
    "a dtype that is none": npy(described("'nonsense'"), bytes(16)),
    "a dtype that is a number": npy(described("5"), bytes(16)),
    "a dtype that is a mapping": npy(described("{'names': ['a'], 'formats': ['O']}"), bytes(16)),
    "an empty field": npy(described("[()]"), bytes(16)),
    "deep nesting": npy("(" * 5000 + ")" * 5000),
    "deep minus": npy("-" * 9000 + "1"),
    "deep fields": npy(described("[('a', " * 90 + "'<f8'" + ")]" * 90, "(1,)"), bytes(7)),
    "code": npy("__import__('os').mkdir('code was run')"),
    "another key": npy(described("'<f8'").replace("}", "'more': 1}"), bytes(16)),
    "a key less": npy("{'descr': '<f8', 'shape': (2,)}", bytes(16)),
    "no mapping": npy("[1, 2]"),
    "no text": npy(b"\xff\xfe\0\0"),
    "no UTF-8": npy(b"\xff\xfe", version=b"\x03\x00"),
    "long header": npy(b" " * 20_000 + described("'<f8'").encode(), bytes(16), b"\x02\x00"),
    "a header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    "version 9": npy(described("'<f8'"), bytes(16), b"\x09\x00"),
    "data cut off": npy(described("'<f8'"), bytes(15)),
    "data too long": npy(described("'<f8'"), bytes(17)),
    "header cut off": npy(described("'<f8'"))[:20],
    "length cut off": b"\x93NUMPY\x01\x00\x10",
    "magic only": b"\x93NUMPY",
    "nothing": b"",
    "a pickle": pickle.dumps(Harm()),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_a_decode_error(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.npy").write_bytes(HOSTILE[what])
    for file in (io.BytesIO(HOSTILE[what]), (tmp_path / "file.npy").open("rb")):
        with pytest.raises(DecodeError):
            Array().open([file])
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_damage_to_a_header_is_anything_but_a_decode_error_or_an_array(data: st.DataObject) -> None:
    whole = bytearray(header(np.dtype([("a", "<f4"), ("b", "<i2", (2,))]), (2,)) + bytes(16))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 17))] = data.draw(st.integers(0, 255))
    try:
        column = Array().open([io.BytesIO(bytes(whole))])
    except DecodeError:
        return
    assert len(column) * column.slice(0, 0).dtype.itemsize <= len(whole)


def test_headers_of_other_versions_and_writers_are_read() -> None:
    rows = np.arange(6, dtype="<i4").reshape(3, 2)
    for version in ((1, 0), (2, 0), (3, 0)):
        file = io.BytesIO()
        np.lib.format.write_array(file, rows, version)
        assert Array().open([file]).slice(0, 3).tolist() == rows.tolist()


def test_an_error_of_the_disk_is_one_of_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(operation: str, path: Path, count: int) -> None:
        if operation == "write" and count > 1000:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "hook", full)
    writer = Array().writer(tmp_path / "stream")
    with pytest.raises(NoSpace):
        writer.append(np.zeros(10_000))
    writer.discard()


def test_a_gather_may_go_into_memory_that_is_given() -> None:
    column = ArrayColumn(np.arange(20).reshape(10, 2))
    out = np.empty((3, 2), int)
    assert column.take(np.array([9, 0, 9]), out) is out and out.tolist() == [[18, 19], [0, 1], [18, 19]]
    with pytest.raises(IndexError):
        column.take(np.array([0, 10]), np.empty((2, 2), int))
    with pytest.raises(IndexError):
        column.take(np.array([0, -1]), np.empty((2, 2), int))


def test_parameters_are_text_that_numpy_reads(tmp_path: Path) -> None:
    _, parameters = written(Array(), [np.zeros(1, [("a", [("b", ">f4", (2,))])])], tmp_path)
    assert np.dtype(ast.literal_eval(parameters["dtype"])) == np.dtype([("a", [("b", "<f4", (2,))])])


def test_the_examples_run() -> None:
    found = doctest.testmod(npy_module)
    assert found.attempted and not found.failed


@pytest.mark.parametrize("values", [["a", "", "abc", "zz", "abcd"], [b"", b"x", b"xyz"]])
def test_longer_strings_widen_the_dtype_wherever_a_block_ends(values: list[Any], tmp_path: Path) -> None:
    """T1: as if all had come in one block, also where the first ones are in finished files."""
    for file_bytes in (4, 1 << 30):
        expected, parameters = written(Array(), [values], tmp_path / f"one {file_bytes}", file_bytes)
        found, others = written(Array(), [[value] for value in values], tmp_path / f"many {file_bytes}", file_bytes)
        assert (digests(found), others) == (digests(expected), parameters)
    assert written_and_opened(Array(), [[value] for value in values], tmp_path / "read").slice(0, 9).tolist() == values


CLASSES = ("cat", "dog")
NAMED = [
    ["cat", "dog", "cat"],
    np.array(["cat", "dog", "cat"]),
    np.array(["cat", "dog", "cat"], object),
    pyarrow.array(["cat", "dog", "cat"]),
    pyarrow.array(["cat", "dog", "cat"]).dictionary_encode(),
    pandas.Series(["cat", "dog", "cat"]),
    pandas.Series(["cat", "dog", "cat"], dtype="category"),
    [0, 1, 0],
    np.array([0, 1, 0]),
]


@pytest.mark.parametrize("dtype", ["uint8", None])
@pytest.mark.parametrize("names", NAMED)
def test_names_of_classes_become_their_numbers(names: Any, dtype: str | None, tmp_path: Path) -> None:
    kind = Array(dtype, classes=CLASSES)
    writer = kind.writer(tmp_path)
    writer.append(names)
    [part], _ = writer.close()
    assert np.load(part.path).tolist() == [0, 1, 0]


@pytest.mark.parametrize("wrong", [["cat", "dig"], np.array(["cat", "dig"]), ["cat", None], ["cat", 1]])
def test_a_name_that_is_no_class_is_refused(wrong: Any, tmp_path: Path) -> None:
    writer = Array("uint8", classes=CLASSES).writer(tmp_path)
    with pytest.raises(SchemaError, match="sample 1: .* is not one of the classes"):
        writer.append(wrong)
    writer.discard()
