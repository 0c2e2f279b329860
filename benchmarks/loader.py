"""The loader against what the machine can do: ratios inside one run, medians of several, one thread of numpy and torch.

    python benchmarks/loader.py [--repeats 9] [--only W1]

W1 is 60,000 pictures of 28 x 28 bytes, W3 two million rows of 32 floats, as files of Array streams. The limit is
`np.take(map, order, out=buffer)` into one buffer that is used again, with its permutation; in order, a slice that is
copied into it. The loader's batches are the caller's own.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

import numpy as np

from dataset_assets import View
from dataset_assets.formats import Array
from dataset_assets.loader import Loader
from dataset_assets.reading.views import Origin, Stored

BATCH = 256
WORKLOADS = {"W1": (60_000, (28, 28), np.uint8), "W3": (2_000_000, (32,), np.float32)}


def stored(folder: Path, name: str) -> dict[str, Path]:
    n, shape, dtype = WORKLOADS[name]
    paths = {"x": folder / f"{name}-x.npy", "y": folder / f"{name}-y.npy"}
    if not paths["y"].exists():
        x = np.lib.format.open_memmap(paths["x"], "w+", dtype, (n, *shape))
        for lo in range(0, n, 50_000):
            x[lo : lo + 50_000] = np.random.default_rng(lo).integers(0, 256, (min(50_000, n - lo), *shape))
        np.save(paths["y"], np.arange(n))
    return paths


def opened(paths: dict[str, Path]) -> View:
    return Stored(Origin("bench", "all", "0"), {name: Array().open([open(path, "rb")]) for name, path in paths.items()})


def limit_shuffled(maps: dict[str, np.ndarray], epoch: int) -> Iterator[Any]:
    order = np.random.default_rng(epoch).permutation(len(maps["y"]))
    out = {name: np.empty((BATCH, *rows.shape[1:]), rows.dtype) for name, rows in maps.items()}
    for lo in range(0, len(order), BATCH):
        some = order[lo : lo + BATCH]
        yield {name: np.take(rows, some, 0, out=out[name][: len(some)], mode="clip") for name, rows in maps.items()}


def limit_in_order(maps: dict[str, np.ndarray], epoch: int) -> Iterator[Any]:
    out = {name: np.empty((BATCH, *rows.shape[1:]), rows.dtype) for name, rows in maps.items()}
    for lo in range(0, len(maps["y"]), BATCH):
        batch = {}
        for name, rows in maps.items():
            some = rows[lo : lo + BATCH]
            batch[name] = out[name][: len(some)]
            np.copyto(batch[name], some)
        yield batch


def seconds(make: Callable[[int], Iterable[Any]], epoch: int, epochs: int) -> float:
    started = time.perf_counter()
    for k in range(epochs):
        for _ in make(epoch + k):
            pass
    return (time.perf_counter() - started) / epochs


def compared(ours: Callable[[int], Iterable[Any]], limit: Callable[[int], Iterable[Any]], repeats: int, n: int) -> str:
    """Return the median of the paired ratios limit / ours, whose order changes from one to the next."""
    epochs = max(1, 300_000 // n)
    ratios, rates = [], []
    for k in range(repeats + 1):
        pair = {}
        for which in (ours, limit) if k % 2 else (limit, ours):
            pair[which] = seconds(which, k, epochs)
        if k:  # the first one maps the pages
            ratios.append(pair[limit] / pair[ours])
            rates.append(n / pair[ours] / 1e6)
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]  {statistics.median(rates):.1f} M/s"


def first_batch(paths: dict[str, Path], repeats: int) -> str:
    taken = []
    for k in range(repeats):
        started = time.perf_counter()
        next(Loader(opened(paths), BATCH, shuffle=True, seed=k).epoch(0))
        taken.append(1000 * (time.perf_counter() - started))
    return f"{statistics.median(taken):.1f} ms [{min(taken):.1f}-{max(taken):.1f}]"


def restored(view: View, at: float, repeats: int) -> str:
    """Return the median ratio of restore and first batch to a fresh first batch."""
    ratios = []
    for k in range(repeats):
        state = {**Loader(view, BATCH, shuffle=True, seed=1).state_dict(), "epoch": 3 + k}
        state["consumed"] = int(len(view) * at)
        found = {}
        for fresh in (True, False) if k % 2 else (False, True):
            loader = Loader(view, BATCH, shuffle=True, seed=1)
            started = time.perf_counter()
            if not fresh:
                loader.load_state_dict(state)
            next(iter(loader))
            found[fresh] = time.perf_counter() - started
        ratios.append(found[False] / found[True])
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"


def anonymous() -> float:
    """Return the megabytes of memory that are of no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", choices=sorted(WORKLOADS))
    parser.add_argument("--folder", type=Path, help="keep the files here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in [arguments.only] if arguments.only else WORKLOADS:
            measured(name, arguments.folder or Path(folder), arguments.repeats)


def measured(name: str, folder: Path, repeats: int) -> None:
    paths = stored(folder, name)
    print(f"{name:<4} open + first shuffled batch     {first_batch(paths, repeats)}")
    before = anonymous()
    view = opened(paths)
    maps = {stream: np.load(path, mmap_mode="r") for stream, path in paths.items()}
    n = len(view)
    for threads in (1, 0, 2):
        loader = Loader(view, BATCH, shuffle=True, seed=0, threads=threads)
        result = compared(loader.epoch, lambda epoch: limit_shuffled(maps, epoch), repeats, n)
        print(f"{name:<4} shuffled, {threads} threads            {result}")
    result = compared(
        lambda epoch: iter(view.shuffle(epoch).batch(BATCH)), lambda e: limit_shuffled(maps, e), repeats, n
    )
    print(f"{name:<4} shuffled, view.shuffle.batch   {result}")
    print(f"{name:<4} memory beyond the map          {anonymous() - before:.0f} MB")
    for copy, threads in ((True, 1), (True, 0), (False, 1)):
        loader = Loader(view, BATCH, threads=threads, copy=copy)
        result = compared(loader.epoch, lambda epoch: limit_in_order(maps, epoch), repeats, n)
        print(f"{name:<4} in order, copy={copy!s:<5}, {threads} thread {result}")
    for at in (0.1, 0.5, 0.95):
        print(f"{name:<4} restore at {at:<4}                {restored(view, at, 15)} of a fresh first batch")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
