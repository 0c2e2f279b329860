"""How cost grows when the work doubles: no cliffs.

    python benchmarks/growth.py [--repeats 5] [--only NAME]

Each line doubles the work of one thing, and prints the exponent of its growth, the logarithm to base 2 of the ratio,
beside the one that is allowed: 0 is flat, 1 linear, 2 quadratic. CPU seconds are the least of some repeats. It fails if
a line exceeds what is allowed by more than noise. The tests do the same with counts of calls in place of seconds.
"""

import argparse
import gc
import io
import math
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence
from unittest.mock import patch

import numpy as np
import pyarrow

from dataset_assets import Array, Columns, Dataset, Loader, Ragged, Split, Table, Text, View, load, prepare, view_of
from dataset_assets.checks.duplicates import proposed
from dataset_assets.decoding import csv_rows
from dataset_assets.moving.gc import collect
from dataset_assets.moving.usage import usage
from dataset_assets.moving.verify import verify
from dataset_assets.storage import MemoryStorage, Storage, open_storage

Work = Callable[[], Any]
NOISE = 0.35
"""By how much the exponent of counts may exceed what is allowed."""
BUSY = 0.6
"""By how much that of seconds may, on a machine that does other things."""
KEPT: dict[str, Any] = {"keep_versions": 3, "grace_seconds": 0.0}


@dataclass(frozen=True)
class Case:
    """Work of a size, and the exponent that its growth may have; `small` is a size for counting calls."""

    make: Callable[[int], Work]
    size: int
    small: int
    allowed: float = 1


def drained(items: Any) -> None:
    for _ in items:
        pass


def numbers(size: int) -> View:
    return view_of(x=np.arange(size), y=np.zeros(size, np.uint8))


def first_batch(size: int) -> Work:
    view = numbers(size)
    return lambda: next(iter(Loader(view, 1, shuffle=True, seed=0, threads=0)))


def epoch(size: int) -> Work:
    view = numbers(size)
    return lambda: drained(Loader(view, 256, shuffle=True, seed=0, threads=0))


def batches(size: int) -> Work:
    view = numbers(size)
    return lambda: drained(view.shuffle(0).batch(256))


def mixture(size: int) -> Work:
    view = numbers(size)
    parts = [view[k::50] for k in range(50)]

    def work() -> None:
        mixed = parts[0].mix(*parts[1:], weights=[1] * 50, seed=0, stop=size)
        drained(Loader(mixed, 256, shuffle=True, seed=0, threads=0))

    return work


def of_a_stack(act: Callable[[View], Any]) -> Callable[[int], Work]:
    def make(height: int) -> Work:
        view = view_of(x=[1, 2], y=[3, 4])
        for _ in range(height):
            view = view.only("x").zip(view.only("y"))
        # Anew each time: what a view found out about those below is kept.
        return lambda: act(view.at_epoch(0)[:])

    return make


def high_stack(height: int) -> Work:
    view = numbers(1000)
    for seed in range(height):
        view = view.shuffle(seed)
    return lambda: [view[k] for k in range(100)]


def written(kind: Any, block: Any) -> Work:
    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            writer = kind.writer(Path(folder) / "stream")
            writer.append(block)
            writer.close()

    return work


def structs(rows: int) -> Work:
    arrays = [pyarrow.array(np.arange(rows, dtype="float32") + k) for k in range(100)]
    return written(Table(), pyarrow.StructArray.from_arrays(arrays, [f"c{k}" for k in range(100)]))


def struct_columns(columns: int) -> Work:
    arrays = [pyarrow.array(np.arange(500, dtype="float32") + k) for k in range(columns)]
    return written(Table(), pyarrow.StructArray.from_arrays(arrays, [f"c{k}" for k in range(columns)]))


def lists(rows: int) -> Work:
    borders = np.arange(0, 8 * rows + 1, 8)
    return written(Ragged(), pyarrow.LargeListArray.from_arrays(borders, pyarrow.array(np.arange(8 * rows))))


def leaking(rows: int) -> Work:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 2**63, rows, dtype=np.uint64) for _ in range(2))
    return lambda: proposed(one, other)


def hash_split(rows: int) -> Work:
    view = numbers(rows)
    return lambda: view.hash_split((0.8, 0.2), by="x")


def group_split(rows: int) -> Work:
    view = view_of(group=np.arange(rows) // 3)
    return lambda: view.group_split((0.8, 0.2), by="group")


def wide_csv(columns: int) -> Work:
    line = ",".join(map(str, range(columns)))
    text = "\n".join([line, *[line] * 3]).encode()
    return lambda: drained(csv_rows(io.BytesIO(text)))


# What is prepared and loaded


def counted(start: int, size: int) -> Iterator[Any]:
    for lo in range(0, size, 1000):
        yield Columns(number=np.arange(start + lo, start + min(lo + 1000, size)))


def told(size: int) -> Iterator[Any]:
    for k in range(size):
        yield {"text": f"text {k}", "row": {"a": k, "b": 0.5}, "array": np.arange(4), "tokens": [1] * (k % 5)}


def numbered(start: int = 0, size: int = 10) -> Dataset:
    return Dataset(
        "org.example.grown", "G.", {"number": Array("int64")}, {"all": Split(counted, start=start, size=size)}
    )


def of_parts(parts: int, storage: Storage) -> None:
    with patch.dict(os.environ, DATASET_ASSETS_FILE_BYTES="800"):
        prepare(numbered(size=100 * parts), storage=storage)


def load_parts(parts: int) -> Work:
    storage = stored_on_disk()
    of_parts(parts, storage)
    return lambda: load("org.example.grown", storage=storage)["all"][0]


def read_parts(parts: int) -> Work:
    storage = stored_on_disk()
    of_parts(parts, storage)
    view = load("org.example.grown", storage=storage)["all"]
    return lambda: drained(view.shuffle(0).batch(256))


def load_streams(streams: int) -> Work:
    storage, names = stored_on_disk(), [f"c{k}" for k in range(streams)]
    dataset = Dataset(
        "org.example.wide", "W.", {name: Array("int64") for name in names}, {"all": Split(wide, n=streams)}
    )
    prepare(dataset, storage=storage)
    return lambda: load("org.example.wide", storage=storage)["all"][0]


def wide(n: int) -> Iterator[Any]:
    yield Columns({f"c{k}": np.arange(4) for k in range(n)})


def by_samples(size: int) -> Work:
    streams = {"text": Text(), "row": Table(), "array": Array(), "tokens": Ragged("int64")}
    dataset = Dataset("org.example.told", "T.", streams, {"all": Split(told, size=size)})
    return lambda: prepare(dataset, storage=MemoryStorage())


def versions(count: int, storage: Storage) -> Storage:
    for start in range(count):
        prepare(numbered(start), storage=storage)
    return storage


def prepare_beside(count: int) -> Work:
    storage, starts = versions(count, MemoryStorage()), iter(range(10**6, 10**9))
    return lambda: prepare(numbered(next(starts)), storage=storage)


def of_sqlite(act: Callable[[Storage], Any]) -> Callable[[int], Work]:
    def make(count: int) -> Work:
        storage = versions(count, open_storage(f"sqlite:///{_folder()}/grown.db"))
        return lambda: act(storage)

    return make


_FOLDERS: list[Any] = []


def _folder() -> str:
    _FOLDERS.append(tempfile.TemporaryDirectory())
    return str(_FOLDERS[-1].name)


def stored_on_disk() -> Storage:
    return open_storage(_folder())


CASES: dict[str, Case] = {
    "first batch of 1 of n samples": Case(first_batch, 1_000_000, 10_000, 0),
    "a shuffled epoch of the loader": Case(epoch, 2_000_000, 50_000),
    "a shuffled epoch of batch()": Case(batches, 2_000_000, 50_000),
    "a shuffled mixture of 50": Case(mixture, 1_000_000, 200_000),
    "repr of n views with one parent": Case(of_a_stack(repr), 40, 6),
    "lineage of n views with one parent": Case(of_a_stack(lambda view: view.lineage(0)), 40, 6),
    "a batch of n views with one parent": Case(of_a_stack(lambda view: view.batch(2)[0]), 40, 6),
    "fingerprint of n views with one parent": Case(of_a_stack(lambda view: view.fingerprint()), 40, 6),
    "a report on n views, of which each reads those below": Case(of_a_stack(lambda view: view.report()), 20, 6, 2),
    "a sample through n shuffles": Case(high_stack, 100, 20),
    "n rows of structs": Case(structs, 20_000, 200, 1),
    "structs of n columns": Case(struct_columns, 500, 50),
    "n lists": Case(lists, 200_000, 200, 1),
    "what two splits of n share": Case(leaking, 2_000_000, 1000),
    "hash_split of n different keys": Case(hash_split, 200_000, 2000),
    "group_split of n / 3 groups": Case(group_split, 1_000_000, 3000),
    "csv_rows of n columns": Case(wide_csv, 10_000, 500),
    "load of n files": Case(load_parts, 500, 40),
    "a shuffled epoch of n files": Case(read_parts, 500, 40),
    "load of n streams": Case(load_streams, 200, 20),
    "making n samples, one by one": Case(by_samples, 10_000, 100),
    "prepare beside n versions": Case(prepare_beside, 40, 4, 0.2),
    "du of n versions in SQLite": Case(of_sqlite(lambda storage: usage(storage, **KEPT)), 80, 4),
    "gc of n versions in SQLite": Case(of_sqlite(lambda storage: collect(storage, dry_run=True, **KEPT)), 80, 4),
    "verify of n versions in SQLite": Case(of_sqlite(lambda storage: verify("org.example.grown", storage)), 80, 4),
}


def exponent(one: float, two: float) -> float:
    """Return the exponent of growth when the work doubles."""
    return math.log2(max(two, 1e-9) / max(one, 1e-9))


def seconds(works: Sequence[Work], repeats: int) -> list[float]:
    """Return the least CPU seconds of some repeats of each work, which take turns."""
    found = [math.inf] * len(works)
    for _ in range(repeats + 1):
        for k, work in enumerate(works):
            gc.collect()
            began = time.process_time()
            work()
            found[k] = min(found[k], time.process_time() - began)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="measure what has this in its name")
    given, failed = parser.parse_args(), []
    print(f"{'what':54} {'n':>9} {'seconds':>9} {'of 2 n':>9} {'exponent':>8} {'allowed':>7}")
    for name, case in CASES.items():
        if given.only not in name:
            continue
        one, two = seconds([case.make(size) for size in (case.size, 2 * case.size)], given.repeats)
        found = exponent(one, two)
        wrong = found > case.allowed + BUSY
        print(f"{name:54} {case.size:9} {one:9.4f} {two:9.4f} {found:8.2f} {case.allowed:7}{' <-' * wrong}", flush=True)
        failed += [name] * wrong
    for folder in _FOLDERS:
        with suppress(OSError):
            folder.cleanup()
    if failed:
        print(f"Growth is larger than allowed: {', '.join(failed)}.", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home, patch.dict(os.environ, DATASET_ASSETS_HOME=home):
        sys.exit(main())
