"""Making: samples are gathered as they were yielded, in little memory, at the speed of the disk."""

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pytest
from conftest import url
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import (
    Array,
    Bytes,
    Columns,
    Dataset,
    DerivedFile,
    Files,
    Ragged,
    RemoteFile,
    Split,
    Table,
    Text,
    prepare,
)
from dataset_assets.errors import SchemaError
from dataset_assets.formats import Format, Part
from dataset_assets.making.sample_writer import HELD_BYTES, HELD_SAMPLES, SampleWriter
from dataset_assets.testing import FaultyServer
from dataset_assets.testing.datasets import idx_bytes


class Kept:
    """A writer that keeps the blocks."""

    def __init__(self) -> None:
        self.blocks: list[Any] = []

    def append(self, values: Any) -> None:
        self.blocks.append(values)

    def close(self) -> tuple[list[Part], dict[str, Any]]:
        return [], {}

    def discard(self) -> None:
        pass


def gathered(streams: dict[str, Format], yielded: Iterator[Any]) -> dict[str, list[Any]]:
    writers = {name: Kept() for name in streams}
    found = SampleWriter(streams, writers, "function")
    for value in yielded:
        found.add(value)
    found.close()
    return {name: writer.blocks for name, writer in writers.items()}


def flat(blocks: list[Any]) -> list[Any]:
    return [value for block in blocks for value in block]


# --- gathering


def test_samples_become_blocks_in_order() -> None:
    blocks = gathered({"x": Array()}, ({"x": k} for k in range(3 * HELD_SAMPLES + 5)))["x"]
    assert [len(block) for block in blocks] == [HELD_SAMPLES] * 3 + [5]
    assert flat(blocks) == list(range(3 * HELD_SAMPLES + 5))


def test_samples_and_blocks_may_follow_each_other() -> None:
    def mixed() -> Iterator[Any]:
        yield {"x": 0}
        yield Columns(x=[1, 2])
        yield {"x": 3}
        yield {"x": 4}

    assert [list(block) for block in gathered({"x": Array()}, mixed())["x"]] == [[0], [1, 2], [3, 4]]


def reusing(make: Callable[[], Any], change: Callable[[Any, int], None], wrap: Callable[[Any], Any]) -> list[Any]:
    """Return what is gathered from a function that uses one buffer for all samples."""

    def samples() -> Iterator[Any]:
        buffer = make()
        sample = {"x": None}
        for k in range(5):
            change(buffer, k)
            sample["x"] = wrap(buffer)
            yield sample

    return flat(gathered({"x": Bytes()}, samples())["x"])


def set_first(buffer: Any, k: int) -> None:
    buffer[0] = k


@pytest.mark.parametrize(
    ("make", "wrap", "expected"),
    [
        (lambda: bytearray(1), lambda b: b, lambda k: bytes([k])),
        (lambda: bytearray(1), memoryview, lambda k: bytes([k])),
        (lambda: [0], lambda b: b, lambda k: [k]),
        (lambda: [[9]], lambda b: b, lambda k: [k]),
        (lambda: [0, "a"], tuple, lambda k: (k, "a")),
        (lambda: {0: None}, lambda b: b, lambda k: {0: k}),
        (lambda: {0: None}, lambda b: {"inner": [b]}, lambda k: {"inner": [{0: k}]}),
        (lambda: [None], lambda b: ("name", b), lambda k: ("name", [k])),
    ],
)
def test_a_buffer_that_is_used_again_changes_no_sample_before(make: Any, wrap: Any, expected: Any) -> None:
    assert reusing(make, set_first, wrap) == [expected(k) for k in range(5)]


def test_an_array_that_is_used_again_changes_no_sample_before(home: Path) -> None:
    def frames() -> Iterator[Any]:
        frame = np.zeros((2, 2), np.uint8)
        for k in range(5):
            frame[:] = k
            yield {"x": frame, "tokens": frame[0, : k % 3]}

    found = prepare(
        Dataset("org.example.again", "S.", {"x": Array(), "tokens": Ragged("uint8")}, {"all": Split(frames)})
    )["all"]
    assert [int(sample["x"][0, 0]) for sample in found] == list(range(5))
    assert [sample["tokens"].tolist() for sample in found] == [[k] * (k % 3) for k in range(5)]


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(1 << 20, np.uint8),
        b"x" * (1 << 20),
        "x" * (1 << 20),
        ("name", b"x" * (1 << 20)),
        {"a": "x" * (1 << 20)},
        ["x" * (1 << 20)],
        [["x" * (1 << 20)]],
        bytearray(1 << 20),
        list(range(1 << 15)),
        {"a": {"b": [b"x" * (1 << 20)]}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_large_values_are_held_to_a_few_megabytes(value: Any) -> None:
    blocks = gathered({"x": Bytes()}, ({"x": value} for _ in range(20)))["x"]
    assert max(len(block) for block in blocks) <= HELD_BYTES >> 20


VALUES = st.one_of(st.integers(-5, 5), st.floats(allow_nan=False, width=16), st.booleans())


@given(st.lists(VALUES, min_size=1, max_size=10))
@settings(deadline=None)
def test_numbers_of_two_kinds_are_never_in_one_block(values: list[Any]) -> None:
    blocks = gathered({"x": Array()}, ({"x": value} for value in values))["x"]
    assert flat(blocks) == values
    assert all(len(set(map(type, block))) == 1 for block in blocks)


@pytest.mark.parametrize("before", [1, HELD_SAMPLES - 1, HELD_SAMPLES, HELD_SAMPLES + 1])
@pytest.mark.parametrize(
    ("first", "then"), [(1, 1.5), (1.5, 1), (True, 1), (np.uint8(1), np.int16(1)), ([1, 2], [1.5, 2]), ([1], [1, 2])]
)
def test_a_change_of_kind_is_refused_wherever_it_comes(home: Path, before: int, first: Any, then: Any) -> None:
    def samples() -> Iterator[Any]:
        yield from ({"x": first} for _ in range(before))
        yield {"x": then}

    with pytest.raises(SchemaError, match=f"sample {before}"):
        prepare(Dataset("org.example.kinds", "S.", {"x": Array()}, {"all": Split(samples)}))


def test_a_declared_dtype_takes_numbers_of_all_kinds_in_large_blocks() -> None:
    blocks = gathered({"x": Array("float32")}, ({"x": k if k % 2 else k + 0.5} for k in range(2 * HELD_SAMPLES)))["x"]
    assert [len(block) for block in blocks] == [HELD_SAMPLES, HELD_SAMPLES]


# --- files


def test_a_derived_file_of_a_derived_file_is_made_once_and_only_if_needed(home: Path, fast_path: Path) -> None:
    (fast_path / "n.txt").write_bytes(b"123")
    marks = fast_path / "marks"

    def doubled(source: Any, marks: str) -> Iterator[bytes]:
        with open(marks, "a") as file:
            file.write("x")
        yield source.read() * 2

    def digits(source: Any, first: int) -> Iterator[Any]:
        yield from ({"x": int(digit)} for digit in source.read().decode()[first:])

    once = DerivedFile("once.txt", doubled, source=RemoteFile(url(fast_path) + "n.txt"), marks=str(marks))
    twice = DerivedFile("twice.txt", doubled, source=once, marks=str(marks))
    splits = {"a": Split(digits, source=twice, first=0), "b": Split(digits, source=twice, first=6)}
    dataset = Dataset("org.example.chain", "S.", {"x": Array()}, splits, checks={"leakage": "off"})
    found = prepare(dataset)
    assert [sample["x"] for sample in found["a"]] == [1, 2, 3] * 4
    assert len(found["b"]) == 6
    assert marks.read_text() == "xx"
    prepare(dataset)
    assert marks.read_text() == "xx"


def test_every_kind_of_block_is_taken(home: Path) -> None:
    def blocks() -> Iterator[Any]:
        import pandas
        import pyarrow

        yield Columns(x=np.array([1, 2]), t=["a", "b"])
        yield pandas.DataFrame({"x": [3], "t": ["c"]})
        yield pyarrow.RecordBatch.from_pydict({"x": [4], "t": ["d"]})
        yield pyarrow.table({"t": ["e"], "x": [5]})
        yield {"x": 6, "t": "f"}
        yield Columns(x=np.zeros(0, np.int64), t=[])

    found = prepare(Dataset("org.example.blocks", "S.", {"x": Array(), "t": Text()}, {"all": Split(blocks)}))["all"]
    assert [(sample["x"], sample["t"]) for sample in found] == list(zip(range(1, 7), "abcdef"))


def test_an_empty_file_of_every_format_is_read_back(home: Path) -> None:
    def nothing() -> Iterator[Any]:
        yield from ()

    streams = {
        "a": Array("int64", (2,)),
        "t": Text(),
        "b": Bytes(),
        "r": Ragged("int64"),
        "n": Table({"n": "int64"}),
        "f": Files(),
    }
    found = prepare(Dataset("org.example.empty", "S.", streams, {"all": Split(nothing)}, checks={"counts": "warn"}))[
        "all"
    ]
    assert len(found) == 0
    assert list(found) == []


# --- what it costs

LARGE = """
import re, sys
import numpy as np
from dataset_assets import Array, Bytes, Columns, Dataset, Split, Text, prepare
kind, megabytes = sys.argv[1], int(sys.argv[2])
def blocks(part, megabytes):
    chance = np.random.default_rng(part)
    for k in range(megabytes // 10):
        yield Columns(x=chance.integers(0, 255, (10, 1_000_000), np.uint8), label=np.arange(10) % 3)
def samples(part, megabytes):
    chance = np.random.default_rng(part)
    for k in range(megabytes * 100):
        x, blob = chance.integers(0, 255, 5_000, np.uint8), chance.bytes(1500)
        yield {"x": x, "label": k % 3, "text": "é%06d" % k * 400, "blob": blob}
streams = {"x": Array(), "label": Array(classes=("a", "b", "c"))}
if kind == "samples":
    streams |= {"text": Text(), "blob": Bytes()}
made = globals()[kind]
splits = {name: Split(made, part=part, megabytes=megabytes // 2) for part, name in enumerate(("train", "test"))}
dataset = Dataset("org.example.large", "S.", streams, splits, sample="blob" if kind == "samples" else "x")
prepare(dataset)
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


def peak_of(kind: str, megabytes: int, home: Path) -> float:
    """Return the most megabytes that a process had, preparing so many."""
    environment = {**os.environ, "DATASET_ASSETS_HOME": str(home / f"{kind}{megabytes}")}
    run = [sys.executable, "-c", LARGE, kind, str(megabytes)]
    return int(subprocess.run(run, env=environment, capture_output=True, text=True, check=True, cwd=home).stdout) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize(("kind", "most"), [("blocks", 180), ("samples", 320)])
def test_memory_does_not_grow_with_the_dataset(fast_path: Path, kind: str, most: float) -> None:
    half, whole = peak_of(kind, 150, fast_path), peak_of(kind, 300, fast_path)
    print(f"{kind}: {half:.0f} MB for 150 MB, {whole:.0f} MB for 300 MB")
    assert whole < most
    # 150 MB more of data, and less than half of that in memory: what Python's allocator keeps varies by 50 MB.
    assert whole - half < 75


PREPARED = """
import sys
from dataset_assets import Array, Columns, Dataset, RemoteFile, Split, prepare
from dataset_assets.decoding import idx
def digits(images, labels):
    yield Columns(image=idx(images), label=idx(labels))
def file(name):
    return RemoteFile(name, mirrors=(sys.argv[1],))
def part(name):
    return Split(digits, images=file(name + "-images.gz"), labels=file(name + "-labels.gz"))
splits = {name: part(name) for name in ("train", "test")}
streams = {"image": Array(), "label": Array(classes=tuple("0123456789"))}
prepare(Dataset("org.example.digits", "S.", streams, splits, sample="image", target="label"))
"""
OPENED = """
import sys
from dataset_assets import load
assert load("org.example.digits", "train")[0]["image"].shape == (28, 28)
"""
HEAVY = """
print(*[name for name in ("pyarrow", "pandas", "dagster", "requests") if name in sys.modules])
"""


def heavy_imports(code: str, home: Path, *arguments: str) -> list[str]:
    """Return the large packages that a fresh process imported; how long it takes is for benchmarks/mnist.py."""
    environment = {**os.environ, "DATASET_ASSETS_HOME": str(home)}
    run = [sys.executable, "-c", code + HEAVY, *arguments]
    return subprocess.run(
        run, env=environment, capture_output=True, text=True, check=True, cwd=home.parent
    ).stdout.split()


def test_what_is_not_needed_is_not_imported(fast_path: Path) -> None:
    files = {}
    for split, count in (("train", 600), ("test", 100)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
        files[f"/{split}-images.gz"] = gzip.compress(idx_bytes(images))
        files[f"/{split}-labels.gz"] = gzip.compress(idx_bytes(np.arange(count) % 10))
    with FaultyServer(files) as server:
        assert heavy_imports(PREPARED, fast_path / "home", server.url + "/") == ["requests"]
    assert heavy_imports(OPENED, fast_path / "home") == []
