"""The files of a stream as one array: the same values as one file has, and nothing between the files is ever read."""

import gc
import io
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.errors import DecodeError
from dataset_assets.formats import Array
from dataset_assets.formats import adjoined as adjoined_module
from dataset_assets.formats.adjoined import Adjoined, adjoined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are adjoined on Linux")

SHAPES: list[tuple[str, tuple[int, ...]]] = [
    ("<i8", ()), ("u1", (28, 28)), ("<f4", (1024,)), ("<i2", (3, 5)), ("S3", ()), ("<U2", (3,)), ("<f8", (4097,)),
]  # fmt: skip


def written(folder: Path, parts: list[np.ndarray[Any, Any]]) -> list[Path]:
    """Write arrays as the files of one stream."""
    found = []
    for number, rows in enumerate(parts):
        writer = Array(rows.dtype.str, rows.shape[1:]).writer(folder / str(number), 1 << 30)
        writer.append(rows)
        found += [part.path for part in writer.close()[0]]
    return found


def opened(paths: list[Path]) -> Any:
    return Array().open([path.open("rb") for path in paths])


def rows_of(count: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    chance = np.random.default_rng(count)
    return chance.integers(0, 100, (count, *shape)).astype(dtype)


@given(
    counts=st.lists(st.integers(0, 40), min_size=2, max_size=6),
    kind=st.sampled_from(SHAPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_reads_as_one_file_does(
    counts: list[int], kind: tuple[str, tuple[int, ...]], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = rows_of(sum(counts), *kind)
    column = opened(written(tmp_path_factory.mktemp("adjoined"), np.split(whole, np.cumsum(counts)[:-1])))
    assert isinstance(column, Adjoined) and len(column) == len(whole)
    chance = np.random.default_rng(seed)
    rows = chance.integers(0, len(whole), 50) if len(whole) else np.zeros(0, np.intp)
    assert np.array_equal(column.take(rows), whole[rows])
    out = np.empty((len(rows), *whole.shape[1:]), whole.dtype)
    assert column.take(rows, out) is out and np.array_equal(out, whole[rows])
    lo, hi = sorted(chance.integers(0, len(whole) + 1, 2))
    assert np.array_equal(column.slice(lo, hi), whole[lo:hi])
    assert all(np.array_equal(column[i], whole[i]) for i in rows[:5].tolist())
    for outside in (-1, len(whole), len(whole) + 1, 1 << 40):
        with pytest.raises(IndexError):
            column.take(np.array([outside]))


def maps_of(folder: Path) -> int:
    return sum(str(folder) in line for line in Path("/proc/self/maps").read_text().splitlines())


def test_the_files_are_mapped_until_the_last_array_on_them_is_gone(tmp_path: Path) -> None:
    # What other tests left is closed before descriptors are counted.
    gc.collect()
    whole, open_before = rows_of(100, "<f4", (3,)), len(os.listdir("/proc/self/fd"))
    column = opened(written(tmp_path, np.split(whole, 4)))
    assert maps_of(tmp_path) == 4 and len(os.listdir("/proc/self/fd")) == open_before
    part = column.slice(30, 40)
    del column
    gc.collect()
    assert np.array_equal(part, whole[30:40])
    del part
    gc.collect()
    assert maps_of(tmp_path) == 0


def test_they_cannot_be_written_to(tmp_path: Path) -> None:
    part = opened(written(tmp_path, np.split(rows_of(100, "<f4", (3,)), 4))).slice(30, 40)
    with pytest.raises(ValueError, match="read-only"):
        part[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        part.flags.writeable = True


def test_a_forked_child_reads_them_and_leaves_them_to_its_parent(tmp_path: Path) -> None:
    whole = rows_of(100, "<f4", (3,))
    column = opened(written(tmp_path, np.split(whole, 4)))
    rows = np.arange(99, -1, -1)
    child = os.fork()
    if not child:
        same = np.array_equal(column.take(rows), whole[rows])
        del column
        gc.collect()
        os._exit(not (same and maps_of(tmp_path) == 0))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(column.take(rows), whole[rows])


def test_files_in_memory_or_of_no_bytes_are_read_one_by_one(tmp_path: Path) -> None:
    paths = written(tmp_path, np.split(rows_of(100, "<f4", (3,)), 4))
    assert adjoined([io.BytesIO(path.read_bytes()) for path in paths]) is None
    column = Array().open([io.BytesIO(path.read_bytes()) for path in paths])
    assert np.array_equal(column.take(np.arange(100)), rows_of(100, "<f4", (3,)))
    assert len(opened(written(tmp_path / "none", [np.zeros((5, 0)), np.zeros((7, 0))]))) == 12


@pytest.mark.parametrize("damage", ["shorter", "longer", "another dtype", "no header"])
def test_what_is_wrong_with_a_file_is_said(damage: str, tmp_path: Path) -> None:
    paths = written(tmp_path, np.split(rows_of(100, "<f4", (3,)), 4))
    data = paths[2].read_bytes()
    other = written(tmp_path / "other", [rows_of(25, "<i4", (3,))])[0].read_bytes()
    changed = {"shorter": data[:-1], "longer": data + b"1", "another dtype": other, "no header": data[50:]}
    paths[2].unlink()
    paths[2].write_bytes(changed[damage])
    with pytest.raises(DecodeError):
        opened(paths)


OPENED = """
import sys; from test_adjoined import *
column = opened([Path(path) for path in sys.argv[1:]])
print(type(column).__name__, column.take(np.arange(len(column))[::-1]).sum())
"""


def opened_under(what: int, limit: int, paths: list[Path]) -> "subprocess.CompletedProcess[str]":
    """Open a stream in a process that may have only so much of something."""
    return subprocess.run(
        [sys.executable, "-c", OPENED, *map(str, paths)], cwd=Path(__file__).parent, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(what, (limit, limit)),
    )  # fmt: skip


def test_where_addresses_are_limited_they_are_read_one_by_one(tmp_path: Path) -> None:
    whole = rows_of(60, "u1", (5,))
    paths = written(tmp_path, np.split(whole, 20))
    for limit, kind in ((resource.RLIM_INFINITY, "Adjoined"), (8 << 30, "Chained")):
        found = opened_under(resource.RLIMIT_AS, limit, paths)
        assert found.stdout.split() == [kind, str(whole.sum())], found.stderr


def test_very_many_files_are_read_one_by_one_so_that_there_are_maps_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adjoined_module, "MOST_FILES", 3)
    paths = written(tmp_path, np.split(rows_of(100, "<f4", (3,)), 4))
    assert isinstance(opened(paths[:3]), Adjoined) and not isinstance(opened(paths), Adjoined)
    # Each of these ends at a page, and takes one map as it does alone.
    whole = rows_of(100, "<f4", (4,))
    (other := tmp_path / "whole").mkdir()
    column = opened(written(other, np.split(whole, 4)))
    assert isinstance(column, Adjoined) and np.array_equal(column.take(np.arange(99, -1, -3)), whole[99::-3])


def test_what_a_process_has_too_many_of_is_said(tmp_path: Path) -> None:
    paths = written(tmp_path, np.split(rows_of(100, "<f4", (3,)), 4))
    with paths[0].open("r+b") as file:
        file.truncate(64 << 30)
    said = opened_under(resource.RLIMIT_AS, 8 << 30, paths).stderr.splitlines()[-1]
    assert said.startswith("dataset_assets.errors.StorageError") and "vm.max_map_count" in said and "ulimit -v" in said


def test_too_many_open_files_are_said(tmp_path: Path) -> None:
    paths = written(tmp_path, [rows_of(10, "<f4", (3,))])
    code = (
        "import os\nfrom pathlib import Path\nfrom dataset_assets.storage import LocalStorage\n"
        f"store = LocalStorage(Path({str(tmp_path)!r}))\n"
        "try:\n    while True: os.dup(0)\nexcept OSError: pass\n"
        f"store.get({str(paths[0].relative_to(tmp_path))!r})"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)),
    )  # fmt: skip
    assert "StorageError" in found.stderr and "ulimit -n 65536" in found.stderr, found.stderr
