"""Text, SQLite, WebDataset, TFRecord, safetensors, Excel and HDF5: what the field's own writers wrote comes back."""

import doctest
import gzip
import io
import json
import sqlite3
import struct
import tarfile
import tempfile
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

import crc32c as reference
import h5py
import numpy as np
import openpyxl
import pytest
import tfrecord as tfrecord_package
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as save_safetensors
from webdataset import TarWriter

from dataset_assets import Array, Bytes, Dataset, RemoteFile, Split, Text, prepare
from dataset_assets.decoding import crc32c as crc32c_module
from dataset_assets.decoding import excel, hdf5, npy, safetensors, sqlite, text, tfrecord, webdataset
from dataset_assets.decoding import sqlite_file as sqlite_module
from dataset_assets.decoding import text_file as text_module
from dataset_assets.decoding import webdataset_file as webdataset_module
from dataset_assets.decoding.crc32c import crc32c
from dataset_assets.errors import DecodeError, Refused, UsageError
from dataset_assets.storage import MemoryStorage

PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
EXCEL = (
    st.none()
    | st.integers(-(2**53), 2**53)
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.booleans()
)


def rounded(value: Any) -> Any:
    """Return what openpyxl writes of a number: 16 digits, which are too few for some."""
    return float(f"{value:.16g}") if isinstance(value, float) else value


@pytest.mark.parametrize("module", [crc32c_module, sqlite_module, text_module, webdataset_module])
def test_the_examples_of_the_readers_hold(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


def rows_of(blocks: Any) -> list[dict[str, Any]]:
    return [dict(zip(block, values)) for block in blocks for values in zip(*(block[name] for name in block))]


def texts(data: bytes, **options: Any) -> list[str]:
    return [one["text"] for one in rows_of(text(io.BytesIO(data), **options))]


# Text


@settings(max_examples=40)
@given(
    st.lists(PLAIN, max_size=5), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.sampled_from(["utf-8", "utf-16"])
)
def test_lines_come_back_as_they_were_written(lines: list[str], end: str, last: bool, encoding: str) -> None:
    whole = end.join(lines) + end * last
    data, given = whole.encode(encoding), {} if encoding == "utf-8" else {"encoding": encoding}
    expected = whole.removesuffix(end).split(end) if whole else []
    assert texts(data, **given) == texts(gzip.compress(data), **given) == expected
    assert texts(data, by="file", **given) == [whole.removeprefix("\ufeff") if given == {} else whole]


def test_paragraphs_have_empty_lines_between_them() -> None:
    data = b"\n\none\nmore\r\n \n\ntwo\n"
    assert texts(data, by="paragraph") == ["one\nmore", "two"]
    # The marks of other systems are characters of a line.
    assert texts("a\x0bb\u2028c\rd\n".encode()) == ["a\x0bb\u2028c\rd"]
    assert texts(b"") == [] and texts(b"\n") == [""]


def test_text_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DecodeError, match="is not text in this encoding on line 1 or soon after"):
        texts(b"a\n\xff\xfe\n")
    with pytest.raises(UsageError, match="by='word' is not known. Use 'line', 'paragraph' or 'file'"):
        texts(b"", by="word")
    monkeypatch.setenv("DATASET_ASSETS_MAX_LINE_BYTES", str(1 << 16))
    for by in ("line", "paragraph"):
        with pytest.raises(DecodeError, match="more than 65536 characters.*MAX_LINE_BYTES"):
            texts(b"a" * 70_000, by=by)
    assert len(texts(b"a\n" * 70_000)) == 70_000
    stays = io.BytesIO(b"a\n")
    _ = [*text(stays)]
    assert not stays.closed


# SQLite


VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | PLAIN | st.binary(max_size=9)


def database(rows: Any, more: str = "") -> bytes:
    made = sqlite3.connect(":memory:")
    made.execute('create table "a ""table""" (x, "y z")')
    made.executemany('insert into "a ""table""" values (?, ?)', rows)
    made.executescript(more)
    return made.serialize()


@settings(max_examples=25)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=8))
def test_rows_of_sqlite_come_back(rows: Any) -> None:
    data = database(rows)
    expected = [{"x": x, "y z": y} for x, y in rows]
    assert [*sqlite(io.BytesIO(data))] == [*sqlite(io.BytesIO(gzip.compress(data)))] == expected


def test_a_query_reads_and_does_nothing_else() -> None:
    data = database([(1, "a"), (2, "b")], 'create view v as select x * 2 as twice from "a ""table"""')
    assert [*sqlite(io.BytesIO(data), table="v")] == [{"twice": 2}, {"twice": 4}]
    query = 'select x from "a ""table""" where x > :low'
    assert [*sqlite(io.BytesIO(data), query=query, parameters={"low": 1})] == [{"x": 2}]
    for wrong, words in [
        ("delete from v", "cannot be run"), ("attach 'o' as o", "cannot be run"), ("select 1 a, 2 a", "named 'a'"),
        ("pragma user_version", "cannot be run"), ("select z from v", "no such column"), ("", "gives no rows"),
        ("select decode from v", "no such column: decode"), ("select decode(1) from v", "no such function: decode"),
    ]:  # fmt: skip
        with pytest.raises(UsageError, match=words):
            _ = [*sqlite(io.BytesIO(data), query=wrong or "-- nothing")]
    with pytest.raises(UsageError, match="has 2 tables. Name one: table="):
        _ = [*sqlite(io.BytesIO(data))]
    with pytest.raises(UsageError, match="no table 'w'"):
        _ = [*sqlite(io.BytesIO(data), table="w")]


def test_a_damaged_database_is_refused() -> None:
    data = database([(k, "text" * 200) for k in range(200)])
    for wrong in (b"", b"SQLite", data[:90], data[:-1], data[: len(data) // 2], data + bytes(4096), b"x" + data[1:]):
        with pytest.raises(DecodeError):
            _ = [*sqlite(io.BytesIO(wrong))]
    broken = bytearray(data)
    broken[8192:8200] = b"\xff" * 8
    with pytest.raises(DecodeError):
        _ = [*sqlite(io.BytesIO(bytes(broken)))]


# WebDataset


SAMPLES = st.lists(
    st.fixed_dictionaries(
        {"jpg": st.binary(max_size=20), "txt": PLAIN, "cls": st.integers(0, 9), "json": st.dictionaries(PLAIN, PLAIN)}
    ),
    max_size=6,
)


def written(samples: list[dict[str, Any]], **options: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a.tar{'.gz' if options.get('compress') else ''}"
        with TarWriter(path, **options) as writer:
            for number, sample in enumerate(samples):
                writer.write({"__key__": f"folder/sample{number:03}", **sample})
        return Path(path).read_bytes()


@settings(max_examples=15)
@given(SAMPLES, st.booleans())
def test_samples_of_webdataset_come_back(samples: list[dict[str, Any]], compress: bool) -> None:
    data = written(samples, compress=compress)
    if not samples:
        return
    assert [*webdataset(io.BytesIO(data))] == [
        {"key": f"folder/sample{number:03}", **dict(sorted(sample.items()))} for number, sample in enumerate(samples)
    ]


def test_arrays_of_webdataset_come_back() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    (found,) = webdataset(io.BytesIO(written([{"npy": array, "seg.png": b"p"}])))
    assert np.array_equal(found["npy"], array) and found["seg_png"] == b"p"


@pytest.mark.parametrize("shape", [(0,), (0, 3), (0, 2, 0), (3, 0)])
def test_an_empty_array_of_webdataset_has_its_shape_and_type(shape: tuple[int, ...]) -> None:
    np.save(made := io.BytesIO(), np.zeros(shape, "<f4"))
    [sample] = webdataset(io.BytesIO(tarred(["1.npy"], made.getvalue())))
    assert sample["npy"].shape == shape and sample["npy"].dtype == "<f4"


def tarred(names: list[str], data: bytes = b"1") -> bytes:
    with tarfile.open(fileobj=(made := io.BytesIO()), mode="w") as archive:
        for name in names:
            (info := tarfile.TarInfo(name)).size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tarred(["1.txt", "2.txt", "1.cls"]), "files of the sample '1' in two places. Sort the archive"),
        (tarred(["1.txt", "1.TXT"]), "two values 'txt' of the sample '1'"),
        (tarred(["1.txt", "README"]), "'README', whose name has no ending"),
        (tarred(["1.cls"], b"one"), "the stream has '1.cls', which cannot be read as cls"),
        (tarred(["1.json"], b'{"a": 1, "a": 2}'), "the stream has '1.json', which cannot be read as json"),
        (tarred(["1.txt"])[:400], "."),
    ],
)
def test_a_wrong_webdataset_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        _ = [*webdataset(io.BytesIO(data))]
    assert [*webdataset(io.BytesIO(tarred([".1.txt", "__meta__.json", "a.b/2.txt"])))] == [{"key": "a.b/2", "txt": "1"}]


# TFRecord


@settings(max_examples=30)
@given(st.integers(0, 40_000), st.integers(0, 2**32 - 1))
def test_the_checksum_is_that_of_its_reference(size: int, seed: int) -> None:
    data = np.random.default_rng(seed).bytes(size)
    assert crc32c(data) == reference.crc32c(data)


FEATURES = st.dictionaries(
    PLAIN,
    st.tuples(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40), st.just("int"))
    | st.tuples(st.lists(st.floats(width=32, allow_nan=False), max_size=5), st.just("float"))
    | st.tuples(st.lists(st.binary(max_size=9), max_size=4), st.just("byte")),
    max_size=4,
)


def recorded(records: list[dict[str, Any]]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        writer = tfrecord_package.TFRecordWriter(f"{folder}/a")
        for record in records:
            writer.write(record)
        writer.close()
        return Path(folder, "a").read_bytes()


@settings(max_examples=40)
@given(st.lists(FEATURES, max_size=4))
def test_records_come_back(records: list[dict[str, Any]]) -> None:
    data = recorded(records)
    for packed in (data, gzip.compress(data)):
        found = [*tfrecord(io.BytesIO(packed))]
        assert [{name: list(values) for name, values in one.items()} for one in found] == [
            {name: values for name, (values, _) in one.items()} for one in records
        ]
    kinds = {"int": np.int64, "float": np.float32}
    for one, record in zip(found, records):
        for name, (values, kind) in record.items():
            assert not values or kind == "byte" or one[name].dtype == kinds[kind]


def test_a_feature_of_one_value_is_that_value() -> None:
    data = recorded([{"label": ([3], "int"), "image": ([b"png"], "byte"), "box": ([0.5, 1.0], "float")}])
    (found,) = tfrecord(io.BytesIO(data), single=["label", "image"])
    assert (found["label"], found["image"], found["box"].tolist()) == (3, b"png", [0.5, 1.0])
    with pytest.raises(DecodeError, match="has 2 values of 'box', and not one. Leave it out of single="):
        _ = [*tfrecord(io.BytesIO(data), single=["box"])]


def test_a_record_file_that_is_cut_or_damaged_is_refused() -> None:
    data = recorded([{"image": ([bytes(range(256)) * 40], "byte")}, {"n": ([1], "int")}])
    for at in (*range(0, 30), 6000, len(data) - 1):
        broken = bytearray(data)
        broken[at] ^= 1
        with pytest.raises(DecodeError, match="damaged"):
            _ = [*tfrecord(io.BytesIO(bytes(broken)))]
        if at and at != 10_284:
            with pytest.raises(DecodeError, match="truncated"):
                _ = [*tfrecord(io.BytesIO(data[:at]))]

    def framed(record: bytes) -> bytes:
        mask = tfrecord_package.TFRecordWriter.masked_crc
        size = struct.pack("<Q", len(record))
        return size + mask(size) + record + mask(record)

    for record in (
        b"\x0a\xff",
        b"\x0a\x02\x0a\x05",
        b"text that is none",
        b"\x08\x01\x0b",
        b"\x0a\x07\x0a\x05\x12\x03\x1a\x01\x80",
    ):
        with pytest.raises(DecodeError, match="Record 0 of the stream is no tf.train.Example"):
            _ = [*tfrecord(io.BytesIO(framed(record)))]


# safetensors


@settings(max_examples=25)
@given(
    st.dictionaries(
        PLAIN.filter(bool),
        st.tuples(st.sampled_from(["<f4", "<i8", "u1", "?", "<f2"]), st.integers(1, 3)),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 20),
)
def test_arrays_of_safetensors_come_back(kinds: dict[str, Any], rows: int) -> None:
    arrays = {name: np.arange(rows * width).reshape(rows, width).astype(kind) for name, (kind, width) in kinds.items()}
    blocks = [*safetensors(io.BytesIO(save_safetensors(arrays, {"made": "here"})))]
    for name, array in arrays.items():
        found = np.concatenate([array[:0], *(block[name] for block in blocks)])
        assert found.dtype == array.dtype and np.array_equal(found, array)


def forged(header: Any, body: bytes) -> bytes:
    said = json.dumps(header).encode()
    return struct.pack("<Q", len(said)) + said + body


def _of_rows(kind: str, rows: int) -> tuple[Callable[..., Any], bytes]:
    """Return a reader, and a small file that states so many rows of 0 bytes."""
    made = io.BytesIO()
    if kind == "safetensors":
        return safetensors, forged({"x": {"dtype": "I64", "shape": [rows, 0], "data_offsets": [0, 0]}}, b"")
    if kind == "hdf5":
        with h5py.File(made, "w") as file:
            file.create_dataset("x", shape=(rows, 0), dtype="f4")
        return hdf5, made.getvalue()
    header = {"descr": "<f4", "fortran_order": kind == "npy of columns", "shape": (rows, 0)}
    np.lib.format.write_array_header_1_0(made, header)
    return npy, made.getvalue()


@pytest.mark.parametrize("kind", ["safetensors", "hdf5", "npy", "npy of columns"])
def test_rows_of_no_bytes_do_not_go_on_for_ever(kind: str) -> None:
    read, few = _of_rows(kind, 3)
    assert sum(len(block["x" if "npy" not in kind else "value"]) for block in read(io.BytesIO(few))) == 3
    read, many = _of_rows(kind, 1 << 50)
    assert len(many) < 4096
    with pytest.raises(DecodeError, match=f"{1 << 50} rows of 0 bytes each. .*max_decoded_bytes"):
        next(iter(read(io.BytesIO(many))))


def test_wrong_safetensors_are_refused() -> None:
    data = save_safetensors({"a": np.arange(4.0), "b": np.arange(3)})
    with pytest.raises(DecodeError, match="different lengths"):
        _ = [*safetensors(io.BytesIO(data))]
    assert [*rows_of(safetensors(io.BytesIO(data), arrays=["b"]))] == [{"b": 0}, {"b": 1}, {"b": 2}]
    with pytest.raises(DecodeError, match="no array 'c'"):
        _ = [*safetensors(io.BytesIO(data), arrays=["c"])]

    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    assert len(rows_of(safetensors(io.BytesIO(forged({"a": one}, bytes(8)))))) == 2
    for wrong, words in [
        (forged({"a": one}, bytes(9)), "its arrays have 8 bytes, and the file has 9"),
        (forged({"a": one}, bytes(7)), "the file has 7"),
        (forged({"a": {**one, "shape": [3]}}, bytes(8)), "has 8 bytes, which are not those"),
        (forged({"a": {**one, "shape": [2**62, 4]}}, bytes(8)), "has 8 bytes, which are not those"),
        (forged({"a": {**one, "dtype": "BF16"}}, bytes(8)), "holds BF16, which numpy has no type for"),
        (forged({"a": {**one, "shape": []}}, bytes(8)), "is a single value"),
        (forged({"a": {**one, "data_offsets": [4, 12]}}, bytes(12)), "have gaps"),
        (forged({"a": {**one, "shape": [-2]}}, bytes(8)), "is wrong"),
        (forged({"a": 3}, b""), "cannot be read as safetensors"),
        (b"\xff" * 8 + data, "is not a safetensors file, or is cut"),
        (data[:20], "or is cut"),
        (b"", "or is cut"),
    ]:
        with pytest.raises(DecodeError, match=words):
            _ = [*safetensors(io.BytesIO(wrong))]


# Excel


def book(rows: list[list[Any]], **more: list[list[Any]]) -> bytes:
    made = openpyxl.Workbook()
    for name, some in {"birds": rows, **more}.items():
        page = made.active if name == "birds" else made.create_sheet()
        page.title = name
        for row in some:
            page.append(row)
    made.save(out := io.BytesIO())
    return out.getvalue()


@settings(max_examples=20)
@given(st.lists(st.tuples(EXCEL, PLAIN.filter(lambda one: not one.startswith("=") and "_x" not in one)), max_size=6))
def test_rows_of_excel_come_back(rows: list[Any]) -> None:
    found = [*excel(io.BytesIO(book([["x", "a text"], *map(list, rows)])))]
    assert found == [{"x": rounded(x), "a text": y or None} for x, y in rows if not (x is None and not y)]


def test_an_empty_text_of_a_formula_is_none_and_a_formula_without_a_value_is_refused() -> None:
    data, made = book([["x", "y"], [1, '=IF(A2=1,"","z")']]), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            # As spreadsheet programs save the formula: with its type, and an empty value.
            new.writestr(name, old.read(name).replace(b'<c r="B2"><f>', b'<c r="B2" t="str"><f>'))
    assert [*excel(made)] == [{"x": 1, "y": None}]
    with pytest.raises(DecodeError, match="formula without a stored value in cell B2"):
        _ = [*excel(io.BytesIO(data))]


def test_sheets_dates_and_errors_of_excel(monkeypatch: pytest.MonkeyPatch) -> None:
    data = book([["when", "n"], [datetime(2020, 1, 2), 1], [None, "#N/A"], [], ["x", 2.5]], other=[[1, 2]])
    with pytest.raises(UsageError, match="has the sheets birds, other. Name one: sheet="):
        _ = [*excel(io.BytesIO(data))]
    assert [*excel(io.BytesIO(data), sheet="birds")] == [
        {"when": datetime(2020, 1, 2), "n": 1}, {"when": "x", "n": 2.5},
    ]  # fmt: skip
    assert [*excel(io.BytesIO(data), sheet="other", header=False, columns=["a", "b"])] == [{"a": 1, "b": 2}]
    for rows, words in [
        ([["a"], ["=1+1"]], "formula without a stored value in cell A2 of birds"),
        ([["a"], [1, 2]], "a value beside its columns in row 2"),
        ([["a", "a"], [1, 2]], "several columns named 'a'"),
        ([["a", None, "b"], [1, 2, 3]], "does not name each column"),
        ([], "does not name each column"),
    ]:
        with pytest.raises(DecodeError, match=words):
            _ = [*excel(io.BytesIO(book(rows)))]
    for wrong in (b"", b"PK\x03\x04" + bytes(50), data[:-30], data[: len(data) // 2]):
        with pytest.raises(DecodeError):
            _ = [*excel(io.BytesIO(wrong), sheet="birds")]
    monkeypatch.setenv("DATASET_ASSETS_MAX_VALUE_BYTES", str(1 << 20))
    with zipfile.ZipFile(large := io.BytesIO(book([["a"], [1]])), "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", bytes(2 << 20))
    with pytest.raises(DecodeError, match="sharedStrings.xml of the stream has more than 1048576 bytes"):
        _ = [*excel(large)]


# HDF5


def stored(arrays: dict[str, Any], **options: Any) -> bytes:
    with h5py.File(made := io.BytesIO(), "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, **options)
    return made.getvalue()


@settings(max_examples=12)
@given(
    st.integers(0, 60),
    st.sampled_from(["<f4", ">i2", "u1", "?", "<c8"]),
    st.booleans(),
    st.lists(PLAIN.filter(lambda one: "\0" not in one)),
)
def test_arrays_of_hdf5_come_back(rows: int, kind: str, chunked: bool, words: list[str]) -> None:
    array = np.arange(rows * 6).reshape(rows, 2, 3).astype(kind)
    options: Any = {"chunks": True, "compression": "gzip", "fletcher32": True} if chunked and rows else {}
    blocks = [*hdf5(io.BytesIO(stored({"a/x": array, "y": np.arange(rows)}, **options)))]
    found = np.concatenate([array[:0], *(block["a/x"] for block in blocks)])
    assert all(block["a/x"].dtype == array.dtype for block in blocks) and np.array_equal(found, array)
    assert [one for block in blocks for one in block["y"]] == [*range(rows)]
    if words:
        data = stored({"words": np.array(words, h5py.string_dtype())})
        assert [one["words"] for one in rows_of(hdf5(io.BytesIO(data)))] == words


def test_wrong_hdf5_is_refused(tmp_path: Path) -> None:
    data = stored({"a": np.arange(4), "b": np.arange(3), "c": 3})
    with pytest.raises(DecodeError, match="is a single value"):
        _ = [*hdf5(io.BytesIO(data))]
    with pytest.raises(DecodeError, match=r"different lengths: a has 4, b has 3.*with arrays=\[\"a\"\]"):
        _ = [*hdf5(io.BytesIO(data), arrays=["a", "b"])]
    with pytest.raises(DecodeError, match="no array 'd'"):
        _ = [*hdf5(io.BytesIO(data), arrays=["d"])]
    for wrong in (b"", data[:100], data[:-1], b"x" * 1000):
        with pytest.raises(DecodeError):
            _ = [*hdf5(io.BytesIO(wrong))]
    with h5py.File(huge := io.BytesIO(), "w") as file:
        file.create_dataset("x", (2**42,), "f8", chunks=(1024,))
        file.create_dataset("row", (1, 2**40), "f8", chunks=(1, 1024))
    for name, setting in (("x", "max_decoded_bytes"), ("row", "max_value_bytes")):
        with pytest.raises(DecodeError, match=setting):
            _ = [*hdf5(huge, arrays=[name])]
    with h5py.File(loop := io.BytesIO(), "w") as file:
        file["a/b"] = file["/"]
    with pytest.raises(DecodeError):
        _ = [*hdf5(loop)]
    secret = tmp_path / "secret"
    secret.write_bytes(b"12345678")
    with h5py.File(made := io.BytesIO(), "w") as file:
        file.create_dataset("x", (8,), "u1", external=str(secret))
    with h5py.File(linked := io.BytesIO(), "w") as file:
        file["x"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    with h5py.File(virtual := io.BytesIO(), "w") as file:
        layout = h5py.VirtualLayout((8,), "u1")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (8,))
        file.create_virtual_dataset("x", layout)
    for sly in (made, linked, virtual):
        with pytest.raises(Refused):
            _ = [*hdf5(sly)]


# All


@pytest.mark.parametrize("read", [sqlite, webdataset, tfrecord, safetensors, excel, hdf5])
def test_other_files_and_other_things_are_refused(read: Callable[..., Any]) -> None:
    for data in (b"a,b\n1,2\n" * 40, b"<html>", b"PK\x03\x04" + bytes(50), bytes(100), gzip.compress(b"x" * 99)):
        with pytest.raises(DecodeError):
            assert [*read(io.BytesIO(data))] != []
    with pytest.raises(UsageError, match="is not a file open for reading bytes"):
        _ = [*read("a path")]


def test_a_reader_is_the_function_of_a_split(home: Path) -> None:
    folder = home.parent
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / "a.tfrecord").write_bytes(recorded([{"x": ([b"a"], "byte"), "n": ([1], "int")}]))
    (folder / "a.sqlite").write_bytes(database([(1, "a")], 'alter table "a ""table""" rename column "y z" to y'))
    for function, name, streams, options, expected in [
        (text, "a.txt", {"text": Text()}, {}, [{"text": "one"}, {"text": "two"}]),
        (tfrecord, "a.tfrecord", {"x": Bytes(), "n": Array("int64")}, {"single": ["x", "n"]}, [{"n": 1, "x": b"a"}]),
        (sqlite, "a.sqlite", {"x": Array("int64"), "y": Text()}, {}, [{"x": 1, "y": "a"}]),
    ]:  # fmt: skip
        split = Split(function, file=RemoteFile((folder / name).as_uri()), **options)
        made = Dataset("org.example.read", "R.", streams, {"all": split})
        assert [*prepare(made, storage=MemoryStorage())["all"]] == expected
