"""Parquet, Arrow and numpy files: all that the field's own writers wrote comes back, and nothing less is believed."""

import io
import json
import re
from typing import Any, Callable

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather
from pyarrow import parquet as parquet_files

from dataset_assets.decoding import arrow, json_array, npy, npz, parquet
from dataset_assets.decoding.streams import RETRIEVE_AGAIN
from dataset_assets.errors import DecodeError, UsageError
from dataset_assets.storage import object_file

TABLES = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.none() | st.integers(-(2**63), 2**63 - 1),
            "x": st.floats(allow_nan=False),
            "s": st.none() | st.text(),
            "l": st.lists(st.integers(0, 9), max_size=3),
        }
    ),
    max_size=20,
).map(
    lambda rows: pyarrow.Table.from_pylist(
        rows, pyarrow.schema({"i": "int64", "x": "double", "s": "string", "l": pyarrow.list_(pyarrow.int64())})
    )
)


def as_parquet(table: Any, rows: int = 7) -> bytes:
    parquet_files.write_table(table, made := io.BytesIO(), row_group_size=rows, write_page_checksum=True)
    return made.getvalue()


def as_file(table: Any, rows: int = 7) -> bytes:
    with pyarrow.ipc.new_file(made := io.BytesIO(), table.schema) as writer:
        writer.write_table(table, rows)
    return made.getvalue()


def as_stream(table: Any, rows: int = 7) -> bytes:
    with pyarrow.ipc.new_stream(made := io.BytesIO(), table.schema) as writer:
        writer.write_table(table, rows)
    return made.getvalue()


def as_feather(table: Any, rows: int = 7) -> bytes:
    feather.write_feather(table, made := io.BytesIO(), compression="zstd", chunksize=rows)
    return made.getvalue()


WRITERS: dict[str, tuple[Callable[..., bytes], Callable[..., Any]]] = {
    "parquet": (as_parquet, parquet),
    "file": (as_file, arrow),
    "stream": (as_stream, arrow),
    "feather": (as_feather, arrow),
}


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=15)
@given(TABLES)
def test_what_was_written_comes_back_in_blocks(name: str, table: Any) -> None:
    write, read = WRITERS[name]
    blocks = [*read(io.BytesIO(write(table)))]
    assert pyarrow.Table.from_batches(blocks, table.schema).equals(table)
    some = [*read(io.BytesIO(write(table)), columns=["s", "i"])]
    assert pyarrow.Table.from_batches(some, table.select(["s", "i"]).schema).equals(table.select(["s", "i"]))


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_is_cut_or_damaged_is_refused(name: str) -> None:
    write, read = WRITERS[name]
    table = pyarrow.table({"a": np.arange(500), "s": [f"text {k}" for k in range(500)]})
    data, steps = write(table, 100), np.random.default_rng(1)
    for cut in [0, 1, 8, len(data) - 1, *steps.integers(9, len(data) - 9, 30).tolist()]:
        with pytest.raises(DecodeError):
            _ = [*read(io.BytesIO(data[:cut]))]
    # Only Parquet's pages have checksums; no other file gives a wrong number of rows, or crashes.
    for at in steps.integers(0, len(data), 60).tolist():
        broken = bytearray(data)
        broken[at] ^= 1 << int(steps.integers(8))
        try:
            found = pyarrow.Table.from_batches([*read(io.BytesIO(bytes(broken)))])
        except (DecodeError, pyarrow.ArrowInvalid):
            continue
        assert found.equals(table) or (name != "parquet" and found.num_rows == 500)


@pytest.mark.parametrize("name", WRITERS)
def test_columns_that_are_not_there_are_named(name: str) -> None:
    write, read = WRITERS[name]
    data = write(pyarrow.table({"alpha": [1]}))
    with pytest.raises(DecodeError, match="has no column 'alpa'. Did you mean 'alpha'?"):
        next(iter(read(io.BytesIO(data), columns=["alpa"])))
    twice = pyarrow.table([pyarrow.array([1]), pyarrow.array([2])], names=["a", "a"])
    with pytest.raises(DecodeError, match="several columns named 'a'"):
        _ = [*read(io.BytesIO(write(twice) if name != "feather" else as_file(twice)))]


@pytest.mark.parametrize("read", [parquet, arrow, npy, npz, json_array])
def test_other_files_and_other_things_are_refused(read: Callable[..., Any]) -> None:
    for data in (b"", b"a,b\n1,2\n", b"<html>", b"PK\x03\x04" + bytes(50), bytes(100)):
        with pytest.raises(DecodeError):
            _ = [*read(io.BytesIO(data))]
    with pytest.raises(UsageError, match="is not a file open for reading bytes"):
        _ = [*read("path.parquet")]


def test_parquet_has_blocks_of_the_rows_that_were_asked_for() -> None:
    data = as_parquet(pyarrow.table({"a": range(100)}), 60)
    assert [batch.num_rows for batch in parquet(io.BytesIO(data), rows=40)] == [40, 40, 20]
    with pytest.raises(UsageError, match="rows is 0"):
        _ = [*parquet(io.BytesIO(data), rows=0)]


@settings(max_examples=25)
@given(
    st.sampled_from(["int8", ">i4", "float32", "bool", "datetime64[s]", "complex64"]),
    st.lists(st.integers(0, 4), max_size=2),
    st.integers(0, 50),
    st.booleans(),
)
def test_arrays_come_back_in_blocks(dtype: str, shape: list[int], rows: int, by_columns: bool) -> None:
    array = np.arange(rows * int(np.prod(shape, dtype=int))).astype(dtype).reshape(rows, *shape)
    array = np.asfortranarray(array) if by_columns else array
    np.save(made := io.BytesIO(), array)
    blocks = [block["value"] for block in npy(made)]
    assert np.array_equal(np.concatenate([*blocks, array[:0]]), array)
    for save in (np.savez, np.savez_compressed):
        save(made := io.BytesIO(), a=array, b=np.arange(rows))
        both = [*npz(made)]
        assert np.array_equal(np.concatenate([*(block["a"] for block in both), array[:0]]), array)
        assert [name for block in npz(made, arrays=["b"]) for name in block] == ["b"] * len(both)


def test_large_arrays_are_read_in_several_blocks_of_equal_rows() -> None:
    np.savez(made := io.BytesIO(), x=np.zeros((3000, 1000)), y=np.arange(3000))
    blocks = [*npz(made)]
    assert len(blocks) == 3 and sum(block.samples for block in blocks) == 3000
    assert np.concatenate([block["y"] for block in blocks]).tolist() == list(range(3000))


def test_what_is_no_array_of_values_is_refused() -> None:
    for array, words in [
        (np.array([{}, None]), "a pickle"),
        (np.array(3), "a single value, and no rows"),
    ]:
        np.save(made := io.BytesIO(), array, allow_pickle=True)
        with pytest.raises(DecodeError, match=words):
            _ = [*npy(made)]
    np.save(made := io.BytesIO(), np.arange(10))
    for data in (made.getvalue()[:-1], made.getvalue() + b"x", made.getvalue()[:20]):
        with pytest.raises(DecodeError):
            _ = [*npy(io.BytesIO(data))]
    np.savez(made := io.BytesIO(), a=np.arange(3), b=np.arange(4))
    with pytest.raises(DecodeError, match="different lengths: a has 3, b has 4"):
        _ = [*npz(made)]
    with pytest.raises(DecodeError, match="no array 'c'"):
        _ = [*npz(made, arrays=["c"])]


def test_an_array_of_json_has_objects() -> None:
    rows = [{"a": 1, "b": None}, {"a": 2.5, "c": [1, {"d": "é"}]}]
    assert [*json_array(io.BytesIO(json.dumps(rows).encode()))] == rows
    assert [*json_array(io.BytesIO(b"\xef\xbb\xbf" + json.dumps({"data": rows}).encode()), key="data")] == rows
    for data, words in [
        (b'{"a": 1}', "is an object, not an array"),
        (b'[{"a": 1}, 2]', "Item 1 of the stream is a number, not an object"),
        (b'[{"a": 1, "a": 2}]', "is not JSON"),
        (b'[{"a": 1}', "is not JSON"),
        (b'[{"a": NaN}]', "is not JSON"),
    ]:
        with pytest.raises(DecodeError, match=words):
            _ = [*json_array(io.BytesIO(data))]
    with pytest.raises(DecodeError, match="no object with the key 'rows'"):
        _ = [*json_array(io.BytesIO(b"[]"), key="rows")]


class Damaged:
    """A reader of an object of a storage that is no Parquet file."""

    size = 9

    def whole(self) -> bytes:
        return b"no bytes!"

    def part(self, start: int, stop: int) -> bytes:
        return self.whole()[start:stop]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("remedy", "said"), [(None, RETRIEVE_AGAIN), ("Leave it out.", "Leave it out.")])
def test_what_to_do_about_a_damaged_object_is_what_it_says_itself(remedy: str | None, said: str) -> None:
    with pytest.raises(DecodeError, match=f"as Parquet: .* {re.escape(said)}$"):
        [*parquet(object_file.opened("s3://bucket/a.parquet", Damaged(), remedy=remedy))]
