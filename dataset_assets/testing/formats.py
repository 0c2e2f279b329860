"""A test suite for formats: subclass it."""

import gc
import io
import json
import multiprocessing
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Callable, Mapping, Sequence

import numpy as np
import pytest

from dataset_assets.core import files
from dataset_assets.errors import DecodeError, SchemaError
from dataset_assets.formats import FILE_BYTES, Format, Member, Part, format_named
from dataset_assets.formats.columns import Column, values_of
from dataset_assets.formats.decoded import stored_values

LARGE = 7 << 20
PROC = Path("/proc/self")

Blocks = Sequence[Any]


class FormatTests:
    """Tests of the format interface. Subclass it, and override two fixtures: a format and some values.

    ```python
    class TestPictures(FormatTests):
        @pytest.fixture
        def format(self):
            return Pictures(quality=90)

        @pytest.fixture
        def values(self):
            return [picture(width=8), picture(width=31), ...]     # at least five, not all equal
    ```
    """

    @pytest.fixture
    def format(self) -> Format:
        """Return the format. Undeclared parameters are taken from the values."""
        raise NotImplementedError("Override the fixture `format`.")

    @pytest.fixture
    def values(self) -> list[Any]:
        """Return at least five values as they appear in samples."""
        raise NotImplementedError("Override the fixture `values`.")

    def same(self, read: Any, written: Any) -> bool:
        """Return True if a value read equals the value written."""
        return equal(read, written)

    def read_elsewhere(self, path: Path) -> Sequence[Any] | None:
        """Return the values of a file as a standard tool reads them, or None without such a tool."""
        return None

    def check(self, column: Column, values: Sequence[Any]) -> None:
        """Compare a whole column with the values written."""
        assert len(column) == len(values)
        self.check_each([column[i] for i in range(len(column))], values)

    def check_each(self, read: Sequence[Any], written: Sequence[Any]) -> None:
        """Compare values read with values written."""
        assert len(read) == len(written)
        for i, (one, other) in enumerate(zip(read, written)):
            assert self.same(one, other), f"value {i} was written as {other!r} and read as {one!r}"

    def test_it_is_a_plain_value(self, format: Format) -> None:
        assert isinstance(format.name, str) and format.suffix.startswith(".") and format.version >= 1
        assert pickle.loads(pickle.dumps(format)) == format
        assert hash(format) == hash(pickle.loads(pickle.dumps(format)))

    def test_what_is_written_is_read(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        self.check(written_and_opened(format, [values], tmp_path), values)

    def test_values_may_come_one_by_one(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        self.check(written_and_opened(format, [[value] for value in values], tmp_path), values)

    def test_values_may_come_in_blocks_of_any_size(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        blocks = [values[:1], values[1:4], [], values[4:]]
        self.check(written_and_opened(format, blocks, tmp_path), values)

    def test_many_blocks_are_read_as_one(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        self.check(written_and_opened(format, [values] * 100, tmp_path), values * 100)

    def test_small_files_follow_each_other(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        parts, parameters = written(format, [values, values[::-1]], tmp_path, file_bytes=1)
        assert len(parts) > 1
        self.check(opened(format, parts, parameters), values + values[::-1])

    def test_a_part_says_what_it_holds(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        parts, parameters = written(format, [values], tmp_path, file_bytes=1)
        assert sum(part.samples for part in parts) == len(values)
        for part in parts:
            assert part.path.suffix == format.suffix and part.path.stat().st_size == part.bytes
            assert files.sha256_of(part.path) == part.sha256
            assert len(opened(format, [part], parameters)) == part.samples

    @pytest.mark.parametrize("file_bytes", [1, FILE_BYTES], ids=["in many files", "in one file"])
    def test_all_ways_to_read_agree(self, format: Format, values: list[Any], tmp_path: Path, file_bytes: int) -> None:
        column = written_and_opened(format, [values], tmp_path, file_bytes)
        size = len(values)
        for lo in range(size + 1):
            for hi in range(lo, size + 1):
                self.check_each(values_of(column.slice(lo, hi)), values[lo:hi])
        for rows in ([0], [size - 1, 0], [2, 2, 2], list(range(size)), list(range(size))[::-1], [1, size - 1] * size):
            self.check_each(values_of(column.take(np.array(rows))), [values[i] for i in rows])
        assert len(column.take(np.array([], np.intp))) == 0
        self.check_each(list(column), values)  # type: ignore[call-overload]

    @pytest.mark.parametrize("file_bytes", [1, FILE_BYTES], ids=["in many files", "in one file"])
    def test_there_is_nothing_past_the_end(
        self, format: Format, values: list[Any], tmp_path: Path, file_bytes: int
    ) -> None:
        column = written_and_opened(format, [values], tmp_path, file_bytes)
        with pytest.raises(IndexError):
            column[len(values)]
        with pytest.raises(IndexError):
            column.take(np.array([0, len(values)]))

    def test_its_parameters_make_it_again(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        parts, parameters = written(format, [values], tmp_path)
        resolved = format_named(format.name, json.loads(json.dumps(parameters, allow_nan=False)))
        assert resolved == format_named(format.name, resolved.parameters())
        assert json.dumps(resolved.parameters(), sort_keys=True) == json.dumps(parameters, sort_keys=True)
        self.check(resolved.open(_handles(parts)), values)
        assert format_named(format.name, json.loads(json.dumps(format.parameters()))) == format

    def test_what_was_resolved_writes_the_same(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        parts, parameters = written(format, [values], tmp_path / "one")
        again, resolved = written(format_named(format.name, parameters), [values], tmp_path / "two")
        assert (digests(again), resolved) == (digests(parts), parameters)

    def test_parts_of_a_stream_merge_to_the_whole(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        _, whole = written(format, [values], tmp_path / "whole")
        first, second, third = (
            _parameters_of_part(format, block, tmp_path / name)
            for name, block in (("first", values[:2]), ("second", values[2:3]), ("third", values[3:]))
        )
        one = format.merge(format.merge(first, second), third)
        other = format.merge(third, format.merge(second, first))
        assert one == other == whole
        format.see_complete(one)

    @pytest.mark.parametrize("file_bytes", [1, 4096, FILE_BYTES])
    def test_equal_values_give_equal_files_in_whatever_blocks_they_come(
        self, format: Format, values: list[Any], tmp_path: Path, file_bytes: int
    ) -> None:
        many = values * 7
        first, parameters = written(format, [many], tmp_path / "first", file_bytes)
        for number, size in enumerate((1, 3, 10, len(many))):
            blocks = [many[lo : lo + size] for lo in range(0, len(many), size)]
            again, others = written(format, blocks, tmp_path / str(number), file_bytes)
            assert (digests(again), others) == (digests(first), parameters)

    def test_files_name_no_library_and_no_version(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        parts, _ = written(format, [values], tmp_path)
        names = {"numpy", "pyarrow", "pandas", sys.version.split()[0], np.__version__}
        names |= {sys.modules[name].__version__ for name in ("pyarrow", "pandas") if name in sys.modules}
        for part in parts:
            assert not [name for name in names if name.encode() in part.path.read_bytes()]

    def test_its_files_are_those_of_its_ecosystem(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        parts, _ = written(format, [values], tmp_path, file_bytes=1)
        found = [self.read_elsewhere(part.path) for part in parts]
        if None not in found:
            self.check_each([value for part in found for value in part or ()], values)

    def test_an_empty_stream_is_one_file_or_an_error(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        try:
            parts, parameters = written(format, [[]], tmp_path)
        except SchemaError:
            return
        column = opened(format, parts, parameters)
        assert [part.samples for part in parts] == [0]
        assert len(column) == len(column.slice(0, 0)) == len(column.take(np.array([], np.intp))) == 0
        with pytest.raises(IndexError):
            column[0]

    def test_an_empty_stream_that_is_declared_is_one_file(
        self, format: Format, values: list[Any], tmp_path: Path
    ) -> None:
        _, parameters = written(format, [values], tmp_path / "some")
        parts, _ = written(format_named(format.name, parameters), [], tmp_path / "none")
        assert len(opened(format, parts, parameters)) == 0 and len(parts) == 1

    @pytest.mark.parametrize("file_bytes", [1, FILE_BYTES], ids=["in many files", "in one file"])
    def test_it_reads_from_memory_as_from_files(
        self, format: Format, values: list[Any], tmp_path: Path, file_bytes: int
    ) -> None:
        parts, parameters = written(format, [values], tmp_path, file_bytes)
        self.check(opened(format, parts, parameters, lambda path: io.BytesIO(path.read_bytes())), values)
        self.check(opened(format, parts, parameters, _Unmapped), values)

    def test_it_reads_on_when_its_files_are_closed(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        parts, parameters = written(format, [values], tmp_path)
        handles = _handles(parts)
        column = format_named(format.name, parameters).open(handles)
        for handle in handles:
            handle.close()
        self.check(column, values)

    @pytest.mark.parametrize("file_bytes", [1, FILE_BYTES], ids=["in many files", "in one file"])
    def test_writing_in_what_was_read_changes_nothing(
        self, format: Format, values: list[Any], tmp_path: Path, file_bytes: int
    ) -> None:
        parts, parameters = written(format, [values], tmp_path, file_bytes)
        column = opened(format, parts, parameters)
        everything = np.arange(len(values))
        for found in (column[0], column.slice(0, len(values)), column.take(everything), column.take(everything[:1])):
            for array in _arrays_in(found):
                try:
                    array[...] = np.zeros((), array.dtype)
                except ValueError:
                    assert not array.flags.writeable
        self.check(column, values)
        assert [files.sha256_of(part.path) for part in parts] == digests(parts)

    @pytest.mark.parametrize("damage", ["empty", "half", "no end", "a byte more", "a page", "zeros"])
    def test_a_damaged_file_is_a_decode_error(
        self, format: Format, values: list[Any], tmp_path: Path, damage: str
    ) -> None:
        [part], parameters = written(format, [values], tmp_path)
        data = part.path.read_bytes()
        broken = {
            "empty": b"",
            "half": data[: len(data) // 2],
            "no end": data[:-1],
            "a byte more": data + b"\0",
            "a page": b"<!DOCTYPE html>\n<html><title>Sign in</title></html>",
            "zeros": bytes(len(data)),
        }[damage]
        for place in (_file_of(tmp_path / "broken", broken), io.BytesIO(broken)):
            with pytest.raises(DecodeError):
                format_named(format.name, parameters).open([place])

    def test_a_stream_without_files_is_a_decode_error(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        _, parameters = written(format, [values], tmp_path)
        with pytest.raises(DecodeError):
            format_named(format.name, parameters).open([])

    @pytest.mark.skipif(not (PROC / "fd").exists(), reason="looks into /proc")
    def test_it_leaves_no_file_open(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        written(format, [values], tmp_path / "warm", file_bytes=1)
        before = _open_files()
        parts, parameters = written(format, [values], tmp_path / "closed", file_bytes=1)
        given_up = format.writer(tmp_path / "given up", 1)
        given_up.append(values)
        given_up.discard()
        del given_up
        assert _open_files() == before
        column = opened(format, parts, parameters)
        assert len(_open_files()) <= len(before) + len(parts)
        del column
        assert _open_files() == before

    def test_what_was_read_can_be_written_again(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        first, parameters = written(format, [values * 9], tmp_path / "first")
        column = stored_values(opened(format, first, parameters))
        blocks = [column.slice(0, 5), column.take(np.arange(5, len(column)))]
        again, _ = written(format_named(format.name, parameters), blocks, tmp_path / "again")
        assert digests(again) == digests(first)

    @pytest.mark.skipif(not (PROC / "smaps").exists(), reason="looks into /proc")
    def test_opening_a_large_file_reads_almost_nothing(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        few, parameters = written(format, [values * 500], tmp_path / "few")
        column = opened(format, few, parameters)
        block = stored_values(column).slice(0, len(column))
        times = max(1, LARGE // max(few[0].bytes - 2000, 1))
        [part], parameters = written(format_named(format.name, parameters), [block] * times, tmp_path / "many")
        column = opened(format, [part], parameters)
        assert len(column) == part.samples
        looked_at = _mapped_pages(part.path)
        # A kernel may map 2 MB around a byte that is read.
        assert looked_at < part.bytes // 3, f"{looked_at} of {part.bytes} bytes"
        middle = len(column) // 2
        assert self.same(column[middle], values[middle % len(values)])

    def test_threads_read_the_same(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        column = written_and_opened(format, [values] * 50, tmp_path, 4096)
        size = len(values)

        def look(k: int) -> None:
            rows = (np.arange(100) * (k + 1)) % len(column)
            self.check_each(values_of(column.take(rows)), [values[i % size] for i in rows.tolist()])
            self.check_each([column[i] for i in rows.tolist()], [values[i % size] for i in rows.tolist()])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(look, range(8)))

    @pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="has no fork")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_forked_process_reads_the_same(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        column = written_and_opened(format, [values], tmp_path, file_bytes=1)
        self.check(column, values)
        fork = multiprocessing.get_context("fork")
        here, there = fork.Pipe()
        child = fork.Process(target=_tell, args=(there, column))
        child.start()
        self.check_each(_told(here, child), values * 2)

    def test_a_spawned_process_reads_the_same(self, format: Format, values: list[Any], tmp_path: Path) -> None:
        parts, parameters = written(format, [values], tmp_path, file_bytes=1)
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        paths = [part.path for part in parts]
        child = spawn.Process(target=_open_and_tell, args=(there, format.name, parameters, paths))
        child.start()
        self.check_each(_told(here, child), values * 2)


def written(
    format: Format, blocks: Blocks, folder: Path, file_bytes: int = FILE_BYTES
) -> tuple[list[Part], dict[str, Any]]:
    """Write blocks of values into a folder; return the files and the parameters of the stream."""
    writer = format.writer(folder / "stream", file_bytes)
    try:
        for block in blocks:
            writer.append(block)
        return writer.close()
    finally:
        writer.discard()


def _parameters_of_part(format: Format, block: Any, folder: Path) -> dict[str, Any]:
    writer = format.part_writer(folder)
    try:
        writer.append(block)
        return writer.close()[1]
    finally:
        writer.discard()


def opened(
    format: Format,
    parts: Sequence[Part],
    parameters: Mapping[str, Any],
    opening: Callable[[Path], Any] | None = None,
) -> Column:
    """Open the files of a stream as `load` does, by the name and parameters of the format."""
    places = _handles(parts) if opening is None else [opening(part.path) for part in parts]
    return format_named(format.name, parameters).open(places)


def written_and_opened(format: Format, blocks: Blocks, folder: Path, file_bytes: int = FILE_BYTES) -> Column:
    """Write blocks of values and open the files."""
    return opened(format, *written(format, blocks, folder, file_bytes))


def digests(parts: Sequence[Part]) -> list[str]:
    """Return the digests of files."""
    return [part.sha256 for part in parts]


def equal(one: Any, other: Any) -> bool:
    """Return True if two values are the same: arrays with equal dtype, NaN equals NaN, members equal pairs.

    A byte order, and the type of a plain number, are not part of a value.
    """
    if isinstance(one, Member):
        other = (other.name, other.data) if isinstance(other, Member) else other
        return (one.name, bytes(one.data)) == (other[0], bytes(other[1]))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        one, other = np.asarray(one), np.asarray(other)
        if one.shape != other.shape or one.dtype.newbyteorder("<") != other.dtype.newbyteorder("<"):
            return False
        return all(equal(a, b) for a, b in zip(one.ravel().tolist(), other.ravel().tolist()))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, (bytes, bytearray, memoryview)):
        return isinstance(other, (bytes, bytearray, memoryview)) and bytes(one) == bytes(other)
    return bool(one == other) or bool(one != one and other != other)


class _Unmapped(io.RawIOBase):
    """A file that is neither on a disk nor in memory, like a remote file."""

    def __init__(self, path: Path) -> None:
        self.held = io.BytesIO(path.read_bytes())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.held.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        return self.held.readinto(buffer)


def _arrays_in(found: Any) -> list[Any]:
    if isinstance(found, np.ndarray):
        return [found]
    return [value for value in found if isinstance(value, np.ndarray)] if isinstance(found, list) else []


def _handles(parts: Sequence[Part]) -> list[BinaryIO]:
    # The column closes the files.
    return [part.path.open("rb") for part in parts]


def _file_of(path: Path, data: bytes) -> BinaryIO:
    path.write_bytes(data)
    return path.open("rb")


def _open_files() -> list[str]:
    """Return the open files of this process, without sockets, which belong to other code."""
    gc.collect()
    links = [os.readlink(link) for link in (PROC / "fd").iterdir() if link.is_symlink()]
    return sorted(link for link in links if link.startswith("/"))


def _mapped_pages(path: Path) -> int:
    """Return how many bytes of a file are resident in this process's memory maps."""
    lines = iter((PROC / "smaps").read_text().splitlines())
    return sum(1024 * int(next(line for line in lines if line.startswith("Rss:")).split()[1]) for line in lines
               if line.endswith(f" {path}"))  # fmt: skip


def _tell(there: Any, column: Column) -> None:
    there.send([column[i] for i in range(len(column))] + values_of(column.take(np.arange(len(column)))))
    there.close()


def _open_and_tell(there: Any, name: str, parameters: Mapping[str, Any], paths: Sequence[Path]) -> None:
    _tell(there, format_named(name, parameters).open([path.open("rb") for path in paths]))


def _told(here: Any, child: Any) -> list[Any]:
    assert here.poll(240), "the child process did not answer"
    found: list[Any] = here.recv()
    child.join(240)
    assert child.exitcode == 0
    return found
