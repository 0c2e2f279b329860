"""Stored files that somebody forged: reading one is an error of ours, or gives values that are in it; never a crash.

They are read in a child process, which many share; when one ends it, the file is named and the next child begins.
"""

import io
import struct
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest
from every_format import MADE, TABLE, WORDS
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from reading_child import Child

from dataset_assets.errors import DecodeError
from dataset_assets.formats import Bytes, Table, Text
from dataset_assets.testing.formats import written

OTHERS = pa.table(
    {
        "dictionary": pa.array(["a", "b", "a", None, "b"]).dictionary_encode(),
        "view": pa.array(["short", "a text that is longer than twelve", None, "", "x" * 30], pa.string_view()),
        "list_view": pa.array([[1], [2, 3], None, [], [4]], pa.list_view(pa.int32())),
        "large_list": pa.array([["a"], [], None, ["b"], []], pa.large_list(pa.string())),
        "runs": pa.RunEndEncodedArray.from_arrays([2, 5], ["x", "y"]),
        "union": pa.UnionArray.from_dense(
            pa.array([0, 1, 0, 1, 0], pa.int8()),
            pa.array([0, 0, 1, 1, 2], pa.int32()),
            [pa.array([1, 2, 3]), pa.array(["a", "b"])],
        ),
        "null": pa.nulls(5),
    }
)


def ipc(table: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as file:
        file.write_table(table, max_chunksize=3)
    return sink.getvalue()


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, dict[str, Any], bytes]]:
    """For each kind of file its format, the parameters of that, and its bytes; some of them others wrote."""
    found = {}
    for name, (kind, block) in MADE.items():
        [part], parameters = written(kind, [block], tmp_path_factory.mktemp(name))
        found[name] = (kind.name, parameters, part.path.read_bytes())
    return found | {
        "others' table": ("table", {}, ipc(OTHERS)),
        "compressed": ("table", {}, ipc(TABLE, compression="zstd")),
        "compressed text": (
            "text",
            {},
            ipc(pa.table({"value": pa.array(WORDS, pa.large_string())}), compression="lz4"),
        ),
    }


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    found = Child("forged_child.py", tmp_path_factory.mktemp("home"))
    yield found
    found.end()


ASTRAY = [0, 1, 2, 3, 7, 8, -1, -2, -8, 255, 4096, 2**15, 2**31 - 1, -(2**31), 2**32, 2**40, 2**62, 2**63 - 1, -(2**63)]
Edit = tuple[int, int, int]
SIZES = [0, 1, 2, 4, 4, 8, 8, 8]
EDITS = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.sampled_from(SIZES), st.sampled_from(ASTRAY)), min_size=1, max_size=4
)


def forged(data: bytes, edits: list[Edit]) -> bytes:
    """Return a file with numbers written over others, at multiples of their size; of size 0, cut there."""
    found = bytearray(data)
    for place, size, value in edits:
        if not size:
            del found[place % (len(found) + 1) :]
        elif len(found) >= size:
            at = place % (len(found) // size) * size
            found[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(found)


def check(child: Child, path: Path, kind: str, original: tuple[str, dict[str, Any], bytes], data: bytes) -> None:
    path.write_bytes(data)
    within = original[0] not in ("image", "audio") and "compressed" not in kind
    said = child.read(str(path), original[0], original[1], within)
    # A clock whose ticks are coarse must not give two files of one size one state.
    path.unlink()
    assert said in ("fine", "refused"), f"{kind}: {said}: {data.hex()}"


def test_what_nobody_forged_is_read(originals: Any, child: Child, tmp_path: Path) -> None:
    said = {}
    for kind, (name, parameters, data) in originals.items():
        (tmp_path / "file").write_bytes(data)
        within = name not in ("image", "audio") and "compressed" not in kind
        said[kind] = child.read(str(tmp_path / "file"), name, parameters, within)
    assert said == dict.fromkeys(originals, "fine")


def offsets(*values: int, kind: str = "<i4") -> Any:
    return pa.py_buffer(np.array(values, kind).tobytes())


def text(start: int, stop: int) -> Any:
    """Return three texts whose second one begins and ends where somebody said."""
    return pa.Array.from_buffers(pa.string(), 3, [None, offsets(0, start, stop, 3), pa.py_buffer(b"xyz")])


def lists(kind: Any, start: int, stop: int, wide: str = "<i4") -> Any:
    return pa.Array.from_buffers(kind, 3, [None, offsets(0, start, stop, 3, kind=wide)], children=[pa.array([1, 2, 3])])


def entries(start: int, stop: int) -> Any:
    kind = pa.map_(pa.string(), pa.int64())
    pairs = pa.StructArray.from_arrays(
        [pa.array(["a", "b", "c"]), pa.array([1, 2, 3])], fields=[kind.key_field, kind.item_field]
    )
    return pa.Array.from_buffers(kind, 3, [None, offsets(0, start, stop, 3)], children=[pairs])


def within_struct(inner: Any) -> Any:
    return pa.Array.from_buffers(pa.struct([("a", inner.type)]), 3, [None], children=[inner])


def dictionary(index: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array([0, index, 1], pa.int32()), pa.array(["a", "b"]), safe=False)


def view(length: int, buffer: int, offset: int) -> Any:
    said = struct.pack("<i4sii", length, b"abcd", buffer, offset)
    views = pa.py_buffer(struct.pack("<i12s", 1, b"a") + said + struct.pack("<i12s", 1, b"c"))
    return pa.Array.from_buffers(pa.string_view(), 3, [None, views, pa.py_buffer(b"abcd" * 10)])


def runs(*ends: int) -> Any:
    # Arrow looks at the ends when the array is made.
    said = np.array([1, 2, 3], "<i4")
    children = [pa.Array.from_buffers(pa.int32(), 3, [None, pa.py_buffer(said)]), pa.array(["a", "b", "c"])]
    found = pa.Array.from_buffers(pa.run_end_encoded(pa.int32(), pa.string()), 3, [None], children=children)
    said[:] = ends
    return found


FAR = {"far": (2**30, 2**30 + 8), "near": (4096, 12288), "before": (-(1 << 20), -(1 << 19)), "backwards": (50, 10)}
LEADING = {
    **{f"text, {name}": text(*to) for name, to in FAR.items()},
    **{f"list, {name}": lists(pa.list_(pa.int64()), *to) for name, to in FAR.items()},
    **{f"large list, {name}": lists(pa.large_list(pa.int64()), *to, wide="<i8") for name, to in FAR.items()},
    **{f"map, {name}": entries(*to) for name, to in FAR.items()},
    **{f"struct, {name}": within_struct(text(*to)) for name, to in FAR.items()},
    **{f"dictionary, {index}": dictionary(index) for index in (2, 2**30, -1)},
    **{f"view, {to}": view(*to) for to in ((2**30, 0, 0), (20, 1, 0), (20, 0, 2**30), (20, -1, 0), (-5, 0, 0))},
    **{f"runs, {ends}": runs(*ends) for ends in ((1, 1, 2), (-1, 2, 3), (3, 2, 3))},
    "not UTF-8": pa.Array.from_buffers(pa.string(), 3, [None, offsets(0, 1, 2, 3), pa.py_buffer(b"x\xffz")]),
}


def table_of(array: Any) -> bytes:
    """Return a file of one column, which Arrow writes as it is."""
    sink = io.BytesIO()
    schema = pa.schema([("value", array.type)])
    with pa.ipc.new_file(sink, schema) as file:
        file.write_batch(pa.RecordBatch.from_arrays([array], schema=schema))
    return sink.getvalue()


def test_no_offset_leads_out_of_a_column(child: Child, tmp_path: Path) -> None:
    said = {}
    for name, array in LEADING.items():
        try:
            (tmp_path / name).write_bytes(table_of(array))
        except (pa.ArrowException, OSError):
            # Some arrays Arrow does not even write.
            continue
        said[name] = child.read(str(tmp_path / name), "table", {}, True)
    assert said == dict.fromkeys(said, "refused") and len(said) > 25


def streams_of(start: int, stop: int) -> dict[str, tuple[str, bytes]]:
    """Return a file of each other format that has offsets, of which two were said by somebody."""
    wide = [None, offsets(0, start, stop, 3, kind="<i8")]
    content = pa.py_buffer(b"xyz")
    texts = pa.Array.from_buffers(pa.large_string(), 3, [*wide, content])
    blobs = pa.Array.from_buffers(pa.large_binary(), 3, [*wide, content])
    numbers = pa.Array.from_buffers(pa.large_list(pa.int64()), 3, wide, children=[pa.array([1, 2, 3])])
    found = {name: (name, table_of(blobs)) for name in ("bytes", "image", "audio")}
    found |= {"text": ("text", table_of(texts)), "ragged": ("ragged", table_of(numbers))}
    for which, columns in {"names": [texts, pa.array([b""] * 3, pa.large_binary())], "data": [
            pa.array([""] * 3, pa.large_string()), blobs]}.items():  # fmt: skip
        sink, schema = io.BytesIO(), pa.schema([("name", pa.large_string()), ("data", pa.large_binary())])
        with pa.ipc.new_file(sink, schema) as file:
            file.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
        found[f"files, {which}"] = "files", sink.getvalue()
    return found


def test_no_border_of_text_bytes_arrays_or_files_leads_out_of_them(child: Child, tmp_path: Path) -> None:
    said = {}
    for where, to in FAR.items():
        for name, (format, data) in streams_of(*to).items():
            try:
                (tmp_path / "file").write_bytes(data)
                said[f"{name}, {where}"] = child.read(str(tmp_path / "file"), format, {}, True)
            finally:
                (tmp_path / "file").unlink()
    assert said == dict.fromkeys(said, "refused")


def test_a_column_is_checked_before_any_value_is_made_by_whichever_way(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(table_of(LEADING["not UTF-8"]))
    for read in (
        lambda column: column[0],
        lambda column: column.slice(0, 1),
        lambda column: column.take(np.array([2])),
    ):
        column = Table().open([(tmp_path / "table").open("rb")])
        with pytest.raises(DecodeError, match="is not an Arrow file.*UTF8"):
            read(column)
        with pytest.raises(DecodeError):
            read(column)


BLOCK = struct.Struct("<qiiq")


def blocks_of(data: bytes) -> int:
    """Return where the footer of a file of one batch says where that is."""
    reader = pa.ipc.open_file(data)
    assert reader.num_record_batches == 1
    footer = len(data) - 10 - int.from_bytes(data[-10:-6], "little")
    return next(at for at in range(footer, len(data) - 24, 4)
                if (found := BLOCK.unpack_from(data, at))[0] >= 8 and 0 < found[1] < len(data)
                and found[0] + found[1] + found[3] <= footer and found[3] > 0 and not found[2])  # fmt: skip


@pytest.mark.parametrize("field", [0, 1, 3])
@pytest.mark.parametrize("value", [-1, 0, 1, 2**31 - 1, -(2**31)])
def test_a_footer_that_leads_out_of_its_file_is_refused(field: int, value: int, tmp_path: Path) -> None:
    data = bytearray(ipc(pa.table({"value": pa.array(["abc", "d"], pa.large_string())})))
    at = blocks_of(bytes(data))
    fields = list(BLOCK.unpack_from(data, at))
    fields[field] = value
    BLOCK.pack_into(data, at, *fields)
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(DecodeError, match="is not an Arrow file"):
        Text().open([(tmp_path / "file").open("rb")])


def test_a_few_bytes_that_announce_much_are_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    long = ipc(pa.table({"value": pa.array([bytes(1 << 16)], pa.large_binary())}), compression="zstd")
    at = long.index((1 << 16).to_bytes(8, "little") + b"\x28\xb5\x2f\xfd")
    (tmp_path / "file").write_bytes(long[:at] + (1 << 40).to_bytes(8, "little") + long[at + 8 :])
    with pytest.raises(DecodeError, match="announce 10995116.* bytes"):
        Bytes().open([(tmp_path / "file").open("rb")])


def test_an_extension_type_is_not_asked_for(tmp_path: Path) -> None:
    marked = pa.field("value", pa.string(), metadata={"ARROW:extension:name": "arrow.json"})
    (tmp_path / "file").write_bytes(ipc(pa.table([pa.array(["{}"])], schema=pa.schema([marked]))))
    with pytest.raises(DecodeError, match="extension types"):
        Table().open([(tmp_path / "file").open("rb")])


KINDS = [*MADE, "others' table", "compressed", "compressed text"]


def law(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(deadline=None, max_examples=examples, suppress_health_check=slow)


@given(kind=st.sampled_from(KINDS), edits=EDITS)
@law(400)
@example(kind="table", edits=[(0, 0, 0)])
@example(kind="points", edits=[(553, 2, 1)])
def test_no_forged_file_ends_a_process_or_shows_its_memory(
    originals: Any, child: Child, tmp_path: Path, kind: str, edits: list[Edit]
) -> None:
    check(child, tmp_path / "file", kind, originals[kind], forged(originals[kind][2], edits))


@pytest.mark.soak
@pytest.mark.timeout(0)
@given(kind=st.sampled_from(KINDS), edits=EDITS)
@law(10_000)
def test_none_of_ten_thousand_forged_files_ends_a_process_or_shows_its_memory(
    originals: Any, child: Child, tmp_path: Path, kind: str, edits: list[Edit]
) -> None:
    check(child, tmp_path / "file", kind, originals[kind], forged(originals[kind][2], edits))
