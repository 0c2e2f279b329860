"""Splits that yield sample by sample, against `datasets.Dataset.from_generator` and the bare generator.

    python benchmarks/samples.py [--samples 100000] [--repeats 5]

Microseconds of CPU time for a sample, the least of several runs that take turns. Goals: at most twice the time of
`from_generator`, and no more than it where an array makes that slow. It is measured where `datasets` is installed.
"""

import argparse
import os
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np

from dataset_assets import Array, Dataset, Ragged, Split, Table, Text, prepare
from dataset_assets.formats import Format
from dataset_assets.storage import open_storage

VECTORS = [np.full(16, k, np.float32) for k in range(64)]
TOKENS = [np.arange(n, dtype=np.int32) for n in range(5, 40)]

Make = Callable[[int], Any]
KINDS: dict[str, tuple[Format, Make, float]] = {
    "text": (Text(), lambda i: f"some words of sample {i}", 2),
    "table": (Table(), lambda i: {"a": i, "b": i / 3, "c": "abc"}, 2),
    "number": (Array(), lambda i: i, 2),
    "array": (Array(), lambda i: VECTORS[i % 64], 1),
    "ragged": (Ragged(), lambda i: TOKENS[i % 35], 1),
}


def yielded(make: Make, count: int) -> Iterator[dict[str, Any]]:
    for i in range(count):
        yield {"x": make(i)}


def ours(kind: str, count: int, folder: Path) -> None:
    form, make, _ = KINDS[kind]
    split = Split(lambda: yielded(make, count))
    prepare(Dataset("bench.by.samples", "Samples.", {"x": form}, {"all": split}), storage=open_storage(folder))


def theirs(kind: str, count: int, folder: Path) -> None:
    import datasets

    make = KINDS[kind][1]
    datasets.Dataset.from_generator(lambda: yielded(make, count), cache_dir=str(folder))


def bare(kind: str, count: int, folder: Path) -> None:
    for _ in yielded(KINDS[kind][1], count):
        pass


def microseconds(act: Callable[[str, int, Path], None], kind: str, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        act(kind, count, Path(folder) / "made")
        return (time.process_time() - began) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    acts = {"ours": ours, "bare generator": bare}
    if find_spec("datasets"):
        os.environ["HF_HUB_OFFLINE"] = "1"
        import datasets

        datasets.disable_progress_bars()
        acts["from_generator"] = theirs
    for kind, (*_, goal) in KINDS.items():
        turns = [
            {name: microseconds(act, kind, given.samples) for name, act in acts.items()} for _ in range(given.repeats)
        ]
        least = {name: min(turn[name] for turn in turns) for name in acts}
        line = "   ".join(f"{name} {value:5.2f} us" for name, value in least.items())
        ratio = f"   {least['ours'] / least['from_generator']:.2f} (goal: {goal})" if "from_generator" in least else ""
        print(f"{kind:<8} {line}{ratio}", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["DATASET_ASSETS_HOME"] = home
        main()
