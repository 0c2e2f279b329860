"""Text, bytes and files, and the Arrow files that they are in."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.core import files
from dataset_assets.errors import DecodeError, NoSpace, SchemaError
from dataset_assets.formats import Bytes, Files, Format, Member, Table, Text, arrow
from dataset_assets.formats.canonical import canonical, row_bytes
from dataset_assets.formats.members import SpanFile
from dataset_assets.testing.formats import digests, written, written_and_opened

WORDS = ["one", "", "zwölf", "🐈" * 5, "end"]


def stored(format: Format, block: Any, tmp_path: Path) -> list[Any]:
    column = written_and_opened(format, [block], tmp_path)
    return [column[i] for i in range(len(column))]


def refused(format: Format, blocks: list[Any], tmp_path: Path) -> str:
    with pytest.raises(SchemaError) as caught:
        written(format, blocks, tmp_path)
    return str(caught.value)


TEXT_BLOCKS = {
    "list": WORDS,
    "tuple": tuple(WORDS),
    "numpy": np.array(WORDS),
    "numpy objects": np.array(WORDS, object),
    "pandas": pandas.Series(WORDS),
    "pandas objects": pandas.Series(WORDS, dtype=object),
    "pandas categories": pandas.Series(WORDS, dtype="category"),
    "pandas rows": pandas.DataFrame({"a": ["x", *WORDS]})["a"].iloc[1:],
    "arrow": pyarrow.array(WORDS),
    "arrow large": pyarrow.array(WORDS, pyarrow.large_string()),
    "arrow slice": pyarrow.array(["x", *WORDS, "y"]).slice(1, len(WORDS)),
    "arrow chunks": pyarrow.chunked_array([WORDS[:2], [], WORDS[2:]]),
    "arrow dictionary": pyarrow.array(WORDS).dictionary_encode(),
    "arrow dictionary chunks": pyarrow.chunked_array([WORDS[:2], WORDS[2:]]).dictionary_encode(),
}


@pytest.mark.parametrize("name", TEXT_BLOCKS)
def test_text_comes_from_any_library_and_is_stored_the_same(name: str, tmp_path: Path) -> None:
    assert stored(Text(), TEXT_BLOCKS[name], tmp_path / "read") == WORDS
    one, _ = written(Text(), [TEXT_BLOCKS[name]], tmp_path / "one")
    other, _ = written(Text(), [WORDS], tmp_path / "other")
    assert digests(one) == digests(other)


BYTES_BLOCKS = {
    "list": [b"ab", b"", b"\0\xff"],
    "other buffers": [bytearray(b"ab"), memoryview(b""), memoryview(b"x\0\xff")[1:]],
    "numpy objects": np.array([b"ab", b"", b"\0\xff"], object),
    "pandas": pandas.Series([b"ab", b"", b"\0\xff"]),
    "arrow": pyarrow.array([b"ab", b"", b"\0\xff"]),
    "arrow slice": pyarrow.array([b"zzz", b"ab", b"", b"\0\xff", b"q"], pyarrow.large_binary()).slice(1, 3),
}


@pytest.mark.parametrize("name", BYTES_BLOCKS)
def test_bytes_come_from_any_library_and_are_stored_the_same(name: str, tmp_path: Path) -> None:
    assert stored(Bytes(), BYTES_BLOCKS[name], tmp_path / "read") == [b"ab", b"", b"\0\xff"]
    one, _ = written(Bytes(), [BYTES_BLOCKS[name]], tmp_path / "one")
    other, _ = written(Bytes(), [BYTES_BLOCKS["list"]], tmp_path / "other")
    assert digests(one) == digests(other)


@pytest.mark.parametrize(
    ("format", "block", "message"),
    [
        (Text(), ["a", None], "sample 3: a value is null"),
        (Text(), ["a", 5], "sample 3: a value is a int, expected str."),
        (Text(), [b"a"], "sample 2: a value is a bytes, expected str."),
        (Text(), [float("nan")], "sample 2: a value is a float, expected str."),
        (Text(), ["a", "b", "\ud800"], "sample 4: the text cannot be encoded as UTF-8 (surrogates not allowed)."),
        (Text(), pandas.Series(["a", None]), "sample 3: a value is null"),
        (Text(), pandas.Series([1, 2]), "sample 2: a value is Arrow's int64, expected large_string."),
        (Text(), pandas.Series(["a", 5], dtype=object), "sample 2 or one soon after"),
        (Text(), pyarrow.array(["a", None]), "sample 3: a value is null"),
        (Text(), pyarrow.array([None]), "sample 2: a value is null"),
        (Text(), pyarrow.array([b"a"]), "sample 2: a value is Arrow's binary, expected large_string."),
        (Text(), pyarrow.array([["a"]]), "sample 2: a value is Arrow's list"),
        (Text(), np.array([1, 2]), "sample 2: a value is a int64, expected str."),
        (Bytes(), ["a"], "sample 2: a value is a str, expected bytes."),
        (Bytes(), [b"a", None], "sample 3: a value is null"),
        (Bytes(), [5], "sample 2: a value is a int, expected bytes."),
        (Bytes(), [[1, 2]], "sample 2: a value is a list, expected bytes."),
        (Bytes(), pyarrow.array(["a"]), "sample 2: a value is Arrow's string, expected large_binary."),
        (Files(), [b"data"], "sample 2: the value is a bytes, expected a pair (name, bytes)."),
        (Files(), [("a", b"x"), ("b", b"x", 1)], "sample 3: the value is a tuple, expected a pair (name, bytes)."),
        (Files(), [(b"a", b"x")], "sample 2: a value is a bytes, expected str."),
        (Files(), [("a", "x")], "sample 2: a value is a str, expected bytes."),
        (Files(), ["ab"], "sample 2: the value is a str, expected a pair (name, bytes)."),
    ],
)
def test_what_does_not_fit_is_named_with_its_number(format: Format, block: Any, message: str, tmp_path: Path) -> None:
    good = {"text": "a", "bytes": b"a", "files": ("a", b"a")}[format.name]
    assert refused(format, [[good, good], block], tmp_path).startswith(message)


@given(st.lists(st.lists(st.text(), max_size=4), max_size=4))
@settings(deadline=None, max_examples=60)
def test_any_text_comes_back_in_any_blocks(tmp_path_factory: pytest.TempPathFactory, blocks: list[list[str]]) -> None:
    values = [value for block in blocks for value in block]
    column = written_and_opened(Text(), blocks, tmp_path_factory.mktemp("text"), file_bytes=40)
    assert [column[i] for i in range(len(column))] == column.slice(0, len(column)) == values
    assert column.take(np.arange(len(values))[::-1]) == values[::-1]


class TestMembers:
    @pytest.fixture
    def archive(self) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("a.txt", "hello " * 1000)
        return file.getvalue()

    def open(self, data: bytes, tmp_path: Path) -> Member:
        return stored(Files(), [("before", b"xyz"), ("it", data), ("after", b"xyz")], tmp_path)[1]

    def test_are_opened_by_zipfile(self, archive: bytes, tmp_path: Path) -> None:
        with zipfile.ZipFile(self.open(archive, tmp_path).open()) as zipped:
            assert zipped.read("a.txt") == b"hello " * 1000

    def test_are_opened_by_pillow(self, tmp_path: Path) -> None:
        image = pytest.importorskip("PIL.Image")
        file = io.BytesIO()
        image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(file, "PNG")
        with image.open(self.open(file.getvalue(), tmp_path).open()) as found:
            assert np.asarray(found).tolist() == np.arange(48).reshape(6, 8).tolist()

    def test_are_opened_by_h5py(self, tmp_path: Path) -> None:
        h5py = pytest.importorskip("h5py")
        file = io.BytesIO()
        with h5py.File(file, "w") as made:
            made["x"] = np.arange(1000)
        with h5py.File(self.open(file.getvalue(), tmp_path).open(), "r") as found:
            assert found["x"][500:503].tolist() == [500, 501, 502]

    def test_are_opened_by_numpy_and_pandas_and_as_text(self, tmp_path: Path) -> None:
        file = io.BytesIO()
        np.save(file, np.arange(5))
        assert np.load(self.open(file.getvalue(), tmp_path / "npy").open()).tolist() == [0, 1, 2, 3, 4]
        table = self.open(b"a,b\n1,2\n", tmp_path / "csv")
        assert pandas.read_csv(table.open()).to_dict("list") == {"a": [1], "b": [2]}
        assert io.TextIOWrapper(table.open(), "utf-8").readlines() == ["a,b\n", "1,2\n"]

    def test_are_not_read_before_they_are_asked_for(self, tmp_path: Path) -> None:
        member = self.open(b"0123456789", tmp_path)
        assert isinstance(member.data, memoryview) and member.data.readonly
        assert repr(member) == "Member('it', 10 bytes)"

    def test_pickle_as_their_bytes(self, tmp_path: Path) -> None:
        member = self.open(b"0123456789", tmp_path)
        assert pickle.loads(pickle.dumps(member)) == member

    def test_are_equal_if_name_and_bytes_are(self) -> None:
        assert Member("a", memoryview(b"x")) == Member("a", memoryview(b"x")) != Member("a", memoryview(b"y"))
        assert len({Member("a", memoryview(b"x")), Member("a", memoryview(b"x"))}) == 1

    @given(st.binary(max_size=20), st.data())
    def test_are_read_as_any_file_is(self, data: bytes, more: st.DataObject) -> None:
        file, plain = io.BufferedReader(SpanFile(memoryview(data), "x"), 4), io.BytesIO(data)
        for _ in range(5):
            offset, whence = more.draw(st.integers(-25, 25)), more.draw(st.sampled_from([0, 1, 2]))
            count = more.draw(st.integers(-1, 25))
            there = {0: 0, 1: plain.tell(), 2: len(data)}[whence] + offset
            if there < 0:
                with pytest.raises(ValueError, match="cannot seek|negative|I/O"):
                    file.seek(offset, whence)
                file.seek(plain.tell())
                continue
            assert file.seek(offset, whence) == plain.seek(there)
            assert file.read(count) == plain.read(count) and file.tell() == plain.tell()


class TestBatches:
    """Arrow leaves much open; equal values have equal bytes all the same."""

    DIRTY = [
        pyarrow.table({"value": pyarrow.array([True, False, True, True, False]).slice(1, 3)}),
        pyarrow.table({"value": pyarrow.array([True] * 3 + [None, False]).slice(2, 3)}),
        pyarrow.table({"value": pyarrow.array([1, 2, 3, 4]).slice(1, 2)}),
        pyarrow.table({"value": pyarrow.array([1, None, 3, 4], pyarrow.int16()).slice(1, 3)}),
        pyarrow.table({"value": pyarrow.array(["a", "bc", "", "def"]).slice(1, 2)}),
        pyarrow.table({"value": pyarrow.array(["a", None, "", "def"], pyarrow.large_string()).slice(1, 3)}),
        pyarrow.table({"value": pyarrow.array([b"a", b"b", None]).slice(0, 2)}),
        pyarrow.table({"value": pyarrow.array([[1, 2], [], [3]], pyarrow.large_list(pyarrow.int8())).slice(1, 2)}),
        pyarrow.table({"value": pyarrow.array([[1, None], None, [3]]).slice(1, 2)}),
        pyarrow.table({"value": pyarrow.array([["a", None], ["b"], ["c", "d"]]).slice(1, 2)}),
        pyarrow.table({"value": pyarrow.array([{"a": 1, "b": None}, {"a": 2, "b": "x"}, None]).slice(1, 2)}),
        pyarrow.table({"value": pyarrow.array([0, 5, None], pyarrow.timestamp("us", "UTC")).slice(1, 2)}),
        pyarrow.table({"value": pyarrow.array([None, None], pyarrow.float64())}),
        pyarrow.table({"value": pyarrow.array([b"abc", None, b"def"], pyarrow.binary(3)).slice(1)}),
        pyarrow.table({"value": pyarrow.chunked_array([["a"], ["b", None]])}),
    ]

    @pytest.mark.parametrize("table", DIRTY, ids=lambda table: str(table.schema.field(0).type))
    def test_have_one_form_for_one_content(self, table: Any) -> None:
        fresh = pyarrow.table({"value": pyarrow.array(table.column(0).to_pylist(), table.column(0).type)})
        assert self.bytes_of(table) == self.bytes_of(fresh)
        batch = canonical(table)
        batch.validate(full=True)
        assert batch.to_pylist() == table.to_pylist()

    def test_hold_nothing_under_nulls(self) -> None:
        valid = pyarrow.py_buffer(b"\x05")
        numbers = pyarrow.Array.from_buffers(pyarrow.int8(), 3, [valid, pyarrow.py_buffer(b"\x01\x63\x03")])
        texts = pyarrow.Array.from_buffers(
            pyarrow.string(),
            3,
            [valid, pyarrow.py_buffer(np.array([0, 1, 7, 8], "i4")), pyarrow.py_buffer(b"asecretb")],
        )
        found = self.bytes_of(pyarrow.table({"n": numbers, "t": texts}))
        assert b"secret" not in found and b"\x01\x63\x03" not in found
        assert found == self.bytes_of(
            pyarrow.table({"n": pyarrow.array([1, None, 3], pyarrow.int8()), "t": ["a", None, "b"]})
        )

    def test_end_at_the_same_rows_in_whatever_blocks_they_come(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        values = ["x" * int(n) for n in rng.integers(0, 300, 500)]
        wanted: list[str] | None = None
        for size in (1, 7, 100, 500):
            blocks = [values[lo : lo + size] for lo in range(0, 500, size)]
            parts, _ = written(Text(), blocks, tmp_path / str(size), file_bytes=5000)
            wanted = wanted or digests(parts)
            assert digests(parts) == wanted and len(parts) > 10

    def test_are_sized_by_their_values_alone(self) -> None:
        table = pyarrow.table({"a": [1, None], "b": ["xyz", None], "c": [[1, 2], None], "d": [True, None],
                               "e": [{"x": 1, "y": "z"}, None]})  # fmt: skip
        assert row_bytes(table).tolist() == [8 + 11 + 24 + 1 + 40, 8 + 8 + 8 + 1 + 40]

    def test_hold_many_small_blocks_in_little_time(self, tmp_path: Path) -> None:
        writer = Text().writer(tmp_path / "stream")
        for k in range(3000):
            writer.append([str(k)])
        assert len(writer.held) + len(writer.small) < 150
        [part], _ = writer.close()
        assert part.samples == 3000

    @staticmethod
    def bytes_of(table: Any) -> bytes:
        file = io.BytesIO()
        with pyarrow.ipc.new_file(file, table.schema) as sink:
            sink.write_batch(canonical(table))
        return file.getvalue()


def test_a_batch_is_written_when_it_is_full_and_no_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "BATCH_BYTES", 1000)
    writer = Bytes().writer(tmp_path / "stream")
    for k in range(1, 40):
        writer.append([bytes(92)])
        assert sum(table.num_rows for table in [*writer.held, *writer.small]) == k % 10
    [part], _ = writer.close()
    assert pyarrow.ipc.open_file(str(part.path)).num_record_batches == 4


def test_an_error_of_the_disk_is_one_of_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(operation: str, path: Path, count: int) -> None:
        if operation == "write" and count > 1000:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "hook", full)
    writer = Bytes().writer(tmp_path / "stream")
    writer.append([bytes(10_000)])
    with pytest.raises(NoSpace):
        writer.close()
    writer.discard()


BORDERS = np.array([0, 3, 7], "i8").tobytes()
HOSTILE = {
    "a border beyond the end": (BORDERS, np.array([0, 3, 2**40], "i8").tobytes()),
    "a border before the last": (BORDERS, np.array([3, 3, 0], "i8").tobytes()),
    "a negative border": (BORDERS, np.array([-9, 3, 7], "i8").tobytes()),
    "more rows than it has": ((2).to_bytes(8, "little"), (10**9).to_bytes(8, "little")),
    "another column": (b"value\0", b"other\0"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("format", [Text(), Table()], ids=["text", "table"])
def test_a_hostile_file_is_a_decode_error(format: Format, what: str, tmp_path: Path) -> None:
    [part], _ = written(Text(), [["abc", "defg"]], tmp_path)
    old, new = HOSTILE[what]
    data = part.path.read_bytes()
    assert old in data
    (tmp_path / "file.arrow").write_bytes(data.replace(old, new))
    if format == Table():
        format = Table({"value": "string"})
    with pytest.raises(DecodeError):
        format.open([(tmp_path / "file.arrow").open("rb")])


def test_what_others_wrote_is_read_if_it_is_what_it_says(tmp_path: Path) -> None:
    table = pyarrow.table({"value": pyarrow.array(["abc", "def"], pyarrow.large_string())})
    for number, options in enumerate((None, pyarrow.ipc.IpcWriteOptions(compression="lz4"))):
        path = tmp_path / str(number)
        with pyarrow.ipc.new_file(str(path), table.schema, options=options) as sink:
            sink.write_table(table, max_chunksize=1)
        assert list(Text().open([path.open("rb")])) == ["abc", "def"]  # type: ignore[call-overload]


def test_nulls_and_bytes_that_are_no_text_are_decode_errors(tmp_path: Path) -> None:
    for values, at_once in (([b"a", None], True), ([b"a", b"\xff"], False)):
        array = pyarrow.array(values, pyarrow.large_binary())
        array = pyarrow.Array.from_buffers(pyarrow.large_string(), 2, array.buffers(), array.null_count)
        path = tmp_path / "file.arrow"
        with pyarrow.ipc.new_file(str(path), pyarrow.schema([("value", array.type)])) as sink:
            sink.write_batch(pyarrow.RecordBatch.from_arrays([array], ["value"]))
        with pytest.raises(DecodeError):
            column = Text().open([path.open("rb")])
            assert not at_once
            column.slice(0, 2)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_damage_is_anything_but_a_decode_error_or_other_values(data: st.DataObject) -> None:
    file = io.BytesIO()
    values = pyarrow.array(["abc", "", "defg"], pyarrow.large_string())
    with pyarrow.ipc.new_file(file, pyarrow.schema([("value", values.type)])) as sink:
        sink.write_batch(pyarrow.RecordBatch.from_arrays([values], ["value"]))
    whole = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        column = Text().open([io.BytesIO(bytes(whole))])
        for i in range(min(len(column), 10)):
            column[i]
        column.slice(0, min(len(column), 10))
    except (DecodeError, IndexError):
        pass
