"""Stored files that somebody forged: reading one is an error of ours, or gives values that are in it; never a crash.

They are read in a child process, which many share; when one ends it, the file is named and the next child begins.
"""

import io
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import media
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dataset_assets.formats import Array, Audio, Bytes, Files, Format, Image, Ragged, Table, Text
from dataset_assets.testing.formats import written

SECONDS = 60
WORDS = ["one", "", "zwölf", "🐈" * 5, "end"]
TABLE = pa.table(
    {
        "text": pa.array(["a", None, "ccc", "", "ee"]),
        "large": pa.array(WORDS, pa.large_string()),
        "bytes": pa.array([b"a", b"\xff", None, b"", b"12345"]),
        "list": pa.array([[1, 2], [], None, [3], [4, 5]]),
        "lists": pa.array([[["a"], []], None, [], [["bc", None]], [[]]]),
        "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "yy"}, {"a": 4, "b": None}, {"a": 5, "b": ""}]),
        "map": pa.array([[("k", 1)], [], None, [("l", 2), ("m", None)], []], pa.map_(pa.string(), pa.int32())),
        "fixed": pa.array([[1, 2], [3, 4], None, [5, 6], [7, 8]], pa.list_(pa.int16(), 2)),
        "binary": pa.array([b"abc", None, b"def", b"ghi", b"jkl"], pa.binary(3)),
        "flag": pa.array([True, None, False, True, True]),
        "time": pa.array([0, None, 10**15, -5, 7], pa.timestamp("us", "Europe/Berlin")),
        "date": pa.array([0, 1, None, -1, 20000], pa.date32()),
        "decimal": pa.array([1, None, 2, 3, 4], pa.decimal128(10, 2)),
    }
)
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
MADE: dict[str, tuple[Format, Any]] = {
    "numbers": (Array(), np.arange(40, dtype="<i4").reshape(5, 8)),
    "records": (Array(), np.zeros(5, [("a", "<f4"), ("b", "S3")])),
    "text": (Text(), WORDS),
    "bytes": (Bytes(), [b"ab", b"", b"\0\xff", bytes(range(100)), b"e"]),
    "ragged": (Ragged(), [np.arange(k, dtype="<f4") for k in range(5)]),
    "points": (Ragged(shape=(2,)), [np.ones((k, 2), "<i2") * k for k in range(5)]),
    "flags": (Ragged(), [np.ones(k, bool) for k in range(5)]),
    "table": (Table(), TABLE),
    "files": (Files(), [("a.txt", b"hello"), ("b", b""), ("c/d", bytes(50))]),
    "image": (Image(), [media.picture("PNG", seed=k) for k in range(2)]),
    "jpeg": (Image(), [media.picture("JPEG", seed=k) for k in range(2)]),
    "audio": (Audio(), [media.sound(seed=k) for k in range(2)]),
}


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


class Child:
    """A process that reads files until one of them ends it."""

    def __init__(self, home: Path) -> None:
        self.home, self.process = home, None  # type: Path, subprocess.Popen[str] | None

    def read(self, path: Path, name: str, parameters: dict[str, Any], within: bool = True) -> str:
        """Return what came of a file, or how the child ended."""
        process = self.process = self.process or self._begun()
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps([str(path), name, parameters, within]) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        if ready and (line := process.stdout.readline()):
            return str(json.loads(line))
        self.end()
        code = process.returncode
        return f"ended by {signal.Signals(-code).name}" if ready and code < 0 else f"ended with {code}, or hung"

    def _begun(self) -> "subprocess.Popen[str]":
        command = [sys.executable, str(Path(__file__).parent / "forged_child.py")]
        more = {"DATASET_ASSETS_HOME": str(self.home), "PYTHONWARNINGS": "ignore"}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True,
                                env={**os.environ, **more})  # fmt: skip

    def end(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    found = Child(tmp_path_factory.mktemp("home"))
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
    said = child.read(path, original[0], original[1], within)
    # A clock whose ticks are coarse must not give two files of one size one state.
    path.unlink()
    assert said in ("fine", "refused"), f"{kind}: {said}: {data.hex()}"


def test_what_nobody_forged_is_read(originals: Any, child: Child, tmp_path: Path) -> None:
    said = {}
    for kind, (name, parameters, data) in originals.items():
        (tmp_path / "file").write_bytes(data)
        within = name not in ("image", "audio") and "compressed" not in kind
        said[kind] = child.read(tmp_path / "file", name, parameters, within)
    assert said == dict.fromkeys(originals, "fine")


KINDS = [*MADE, "others' table", "compressed", "compressed text"]


def law(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(deadline=None, max_examples=examples, suppress_health_check=slow)


@given(kind=st.sampled_from(KINDS), edits=EDITS)
@law(400)
@example(kind="table", edits=[(0, 0, 0)])
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
