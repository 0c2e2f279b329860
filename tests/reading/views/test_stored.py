"""Stored streams and raw files of a view, as files that other libraries read; and how much memory a record costs."""

import io
import json
import multiprocessing
import pickle
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Mapping

import numpy as np
import pandas
import pyarrow
import pytest

from dataset_assets import Array, Columns, Dataset, Files, RemoteFile, Split, Table, Text, View, prepare
from dataset_assets.errors import NotFound, UnknownStream, UsageError
from dataset_assets.storage import LocalStorage
from dataset_assets.testing import check_view
from dataset_assets.testing.formats import equal

h5py = pytest.importorskip("h5py")

WORDS = ["one", "zwölf", "three\nlines\r\n", "", "five"]
TABLE = "a,b\n" + "".join(f"{k},{k / 2}\n" for k in range(5))


def samples(table: BinaryIO, archive: BinaryIO, volume: BinaryIO, first: int) -> Iterator[Any]:
    frame = pandas.read_csv(table)[first:]
    with zipfile.ZipFile(archive) as zipped:
        members = [(name, zipped.read(name)) for name in zipped.namelist()][first:]
    with h5py.File(volume) as opened:
        yield Columns(image=opened["images"][first:], word=WORDS[first:], row=frame, member=members)


@pytest.fixture
def views(home: Path, fast_path: Path) -> Mapping[str, View]:
    """A prepared dataset whose raw files are a csv, a zip and an h5, at file: URLs, in a folder as storage."""
    published = fast_path / "published"
    published.mkdir()
    (published / "table.csv").write_text(TABLE, "utf-8")
    with zipfile.ZipFile(published / "archive.zip", "w") as zipped:
        for k, word in enumerate(WORDS):
            zipped.writestr(f"{k}.txt", word)
    with h5py.File(published / "volume.h5", "w") as volume:
        volume["images"] = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    names = {"table": "table.csv", "archive": "archive.zip", "volume": "volume.h5"}
    raw = {argument: RemoteFile((published / name).as_uri()) for argument, name in names.items()}
    dataset = Dataset(
        name="org.example.streams",
        summary="Five samples out of three files.",
        streams={"image": Array(), "word": Text(), "row": Table(), "member": Files()},
        splits={"all": Split(samples, **raw, first=0), "rest": Split(samples, **raw, first=2)},
        checks={"leakage": "off"},
    )
    return prepare(dataset, storage=LocalStorage(fast_path / "store"))


@pytest.fixture
def view(views: Mapping[str, View]) -> View:
    return views["all"]


def test_a_prepared_view_keeps_all_laws(views: Mapping[str, View]) -> None:
    for view in views.values():
        check_view(view)
    check_view(views["all"].concat(views["rest"])[::-2])


class TestAStoredStream:
    def test_is_a_file_that_is_read_anywhere(self, view: View) -> None:
        with view.open("image") as file:
            assert isinstance(file, io.BufferedReader) and file.seekable() and not file.writable()
            whole = file.read()
            assert file.tell() == len(whole) and file.read(1) == b""
            buffer = bytearray(10)
            assert file.seek(-20, io.SEEK_END) == len(whole) - 20
            assert file.readinto(buffer) == 10 and buffer == whole[-20:-10]
            assert file.seek(0) == 0 and file.read(6) == b"\x93NUMPY"

    def test_is_read_by_numpy(self, view: View) -> None:
        with view.open("image") as file:
            assert np.array_equal(np.load(file, allow_pickle=False), view.to_numpy()["image"])

    def test_is_read_by_arrow_and_pandas(self, view: View) -> None:
        with view.open("row") as file:
            assert pyarrow.ipc.open_file(file).read_all().to_pydict() == {"a": [*range(5)], "b": [0, 0.5, 1, 1.5, 2]}
        with view.open("row") as file:
            assert pandas.read_feather(file)["b"].tolist() == [0, 0.5, 1, 1.5, 2]
        with view.open("word") as file:
            assert pyarrow.ipc.open_file(file).read_all()["value"].to_pylist() == WORDS

    def test_is_opened_through_every_stack(self, view: View) -> None:
        stacks: list[View] = [
            view[::-1], view.map(str), view.only("image"), view.batch(2), view[:2].concat(view[3:]),
            view.tuples("image"), view.only("word").zip(view.only("image")), view[::-1].map(str)[1:],
        ]  # fmt: skip
        with view.open("image") as file:
            whole = file.read()
        for stack in stacks:
            with stack.open("image") as file:
                assert file.read() == whole

    def test_is_that_of_the_view_it_is_from(self, views: Mapping[str, View]) -> None:
        one, other = views["all"][2:].only("word"), views["rest"].only("image")
        with one.zip(other).open("image") as file:
            assert len(np.load(file)) == 3
        with pytest.raises(UsageError, match="combines several splits"):
            views["all"].concat(views["rest"]).open("image")
        with pytest.raises(UsageError, match="combines several splits"):
            one.zip(other).open_raw("table")

    def test_that_is_none_is_named_with_its_neighbour(self, view: View) -> None:
        with pytest.raises(UnknownStream, match="no stream 'imag'. Did you mean 'image'?"):
            view.open("imag")
        with pytest.raises(NotFound, match="there is no part 7"):
            view.open("image", part=7)


class TestARawFile:
    def test_is_read_by_pandas(self, view: View) -> None:
        with view.open_raw("table") as file:
            assert pandas.read_csv(file)["a"].tolist() == [*range(5)]
        with view.open_raw("table", encoding="utf-8") as file:
            assert pandas.read_csv(file)["b"].tolist() == [0, 0.5, 1, 1.5, 2]

    def test_is_read_as_text(self, view: View) -> None:
        with view.open_raw("table", encoding="utf-8") as file:
            assert isinstance(file, io.TextIOBase) and file.readlines() == TABLE.splitlines(keepends=True)
            assert file.seek(0) == 0 and file.read() == TABLE
        with view[::-1].open_raw("table", encoding="utf-16") as file, pytest.raises(UnicodeError):
            file.read()

    def test_is_read_by_h5py(self, view: View) -> None:
        with view.map(str).open_raw("volume") as file, h5py.File(file) as volume:
            assert volume["images"][3, 1].tolist() == view[3]["image"][1].tolist()

    def test_is_read_by_zipfile(self, view: View) -> None:
        with view.open_raw("archive") as file, zipfile.ZipFile(file) as zipped:
            assert zipped.read("1.txt").decode() == WORDS[1] and zipped.testzip() is None

    def test_that_is_none_is_named_with_its_neighbour(self, view: View) -> None:
        with pytest.raises(NotFound, match="has no raw file 'tabel'. Did you mean 'table'?"):
            view.open_raw("tabel")


class TestAnotherProcess:
    def test_gets_the_place_and_not_the_bytes(self, view: View) -> None:
        data = pickle.dumps(view[[4, 0, 4]].only("image", "word"))
        assert len(data) < 2000 and b"zw" not in data and view.version is not None and view.version.encode() in data

    @pytest.mark.parametrize("method", ["spawn", "fork"])
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_reads_the_same(self, view: View, method: str) -> None:
        stack = view[[4, 0, 4]].concat(view[1:3]).tuples("image", "word", "row")
        # Reading first: what the parent has open must not matter.
        expected = list(stack)
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert equal(pool.apply(list, (stack,)), expected)

    def test_or_thread_reads_the_same(self, view: View) -> None:
        expected = list(view)
        with ThreadPoolExecutor(8) as pool:
            for found in pool.map(lambda _: list(view[::-1]), range(32)):
                assert equal(found, expected[::-1])


MEASURE = """
import io, json, sys
import numpy as np
from dataset_assets.formats import Array, Bytes, Files, Text
from dataset_assets.storage import LocalStorage
from dataset_assets.reading.views import Opener, Origin, Stored

def memory(field):
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith(field))

def cost(ask):
    before = memory("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")
    ask()
    return memory("VmHWM") - before

class InFolder(Opener):
    def stream(self, stream, part):
        return LocalStorage(sys.argv[1]).get(stream)
    raw = None

def on(folder):
    opened = lambda name: [open(f"{folder}/{name}", "rb")]
    columns = {"array": Array().open(opened("array")), "bytes": Bytes().open(opened("bytes"))}
    return Stored(Origin("org.example.large", "all", ""), columns, InFolder()), Files().open(opened("files"))

def read(folder):
    view, files = on(folder)
    middle = len(view) // 2
    sample = view[middle]
    shuffled = view.select([middle + 1, 3]).map(dict)[0]
    assert sample["array"].nbytes == len(sample["bytes"]) == shuffled["array"].nbytes
    with view.open("array") as file:
        file.seek(-100, io.SEEK_END)
        file.read(100)
    with files[middle].open() as file:
        file.seek(5)
        file.read(10)

read(sys.argv[2])
print(json.dumps(cost(lambda: read(sys.argv[1]))))
"""


class Sparse:
    """A file in which zeros take no room."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if len(view) > 1 << 20:
            return self.file.seek(len(view), io.SEEK_CUR) and len(view)
        return self.file.write(view)

    def tell(self) -> int:
        return self.file.tell()

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def large_files(folder: Path, rows: int) -> None:
    """Write three files of so many rows of 64 kB each, all zeros."""
    folder.mkdir()
    row = 1 << 16
    with (folder / "array").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (rows, row)})
        file.truncate(file.tell() + rows * row)
    borders = pyarrow.py_buffer(np.arange(rows + 1, dtype=np.int64) * row)
    zeros = pyarrow.py_buffer(np.zeros(rows * row, np.uint8))
    data = pyarrow.Array.from_buffers(pyarrow.large_binary(), rows, [None, borders, zeros])
    names = pyarrow.array([str(k) for k in range(rows)], pyarrow.large_string())
    for name, table in (("bytes", {"value": data}), ("files", {"name": names, "data": data})):
        batch = pyarrow.RecordBatch.from_pydict(table)
        sink = Sparse(folder / name)
        with pyarrow.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        sink.close()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="looks into /proc")
def test_a_record_of_a_file_of_one_gigabyte_costs_less_than_five_megabytes(tmp_path: Path) -> None:
    large_files(tmp_path / "large", 1 << 14)
    large_files(tmp_path / "small", 32)
    for path in (tmp_path / "large").iterdir():
        assert path.stat().st_size > 1 << 30
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "large"), str(tmp_path / "small")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert 0 < json.loads(run.stdout) < 5_000_000, run.stdout
