"""JPEG pictures from a stream, against the bare decoder in a loop: ratios of rates, taken in turn in one process.

Beside the ratio of rates stands that of CPU seconds (bare / ours), which other work on the machine does not change.

    python benchmarks/images.py [--repeats 7] [--pictures 256]

Goals: at least 0.9 of the bare decoder on one core, and 1.6 of it on two idle ones, where a block is decoded in
threads. Each number of cores is a process of its own that may use so many. The pictures are crops of photographs that
scikit-learn carries, of 256 x 256 pixels.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator

import numpy as np


def pictures(count: int) -> list[bytes]:
    import PIL.Image
    import sklearn.datasets

    found = []
    photographs = [array for array in sklearn.datasets.load_sample_images().images]
    where = np.random.default_rng(0)
    for k in range(count):
        photograph = photographs[k % len(photographs)]
        top, left = (int(where.integers(0, size - 256)) for size in photograph.shape[:2])
        out = io.BytesIO()
        PIL.Image.fromarray(photograph[top : top + 256, left : left + 256]).save(out, "JPEG", quality=90)
        found.append(out.getvalue())
    return found


def measured(repeats: int, count: int) -> dict[str, list[tuple[float, float]]]:
    """Return the pictures a second, and a second of CPU, of each way to read them, for each repeat."""
    import simplejpeg

    from dataset_assets import Dataset, Image, Split, load, prepare
    from dataset_assets.loader import Loader

    values = pictures(count)

    def crops() -> Iterator[dict[str, bytes]]:
        for value in values:
            yield {"image": value}

    dataset = Dataset("bench.pictures", "Crops.", {"image": Image()}, {"all": Split(crops)})
    with tempfile.TemporaryDirectory() as folder:
        prepare(dataset, storage=f"file://{folder}")
        view = load("bench.pictures", "all", storage=f"file://{folder}")
        loader = Loader(view, 32, shuffle=True, threads=1)
        column = view.columns["image"]  # type: ignore[attr-defined]
        rows = np.arange(count)

        def bare() -> None:
            for value in values:
                simplejpeg.decode_jpeg(value, "RGB")

        def blocks() -> None:
            for lo in range(0, count, 32):
                column.take(rows[lo : lo + 32])

        def epoch() -> None:
            for _ in loader.epoch(0):
                pass

        ways = {"bare decoder": bare, "blocks of 32": blocks, "loader, batches of 32": epoch}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for repeat in range(repeats + 1):
            for name, way in ways.items():
                began, busy = time.perf_counter(), time.process_time()
                way()
                passed, worked = time.perf_counter() - began, time.process_time() - busy
                if repeat:  # the first is for the threads to start and the memory to come
                    found[name].append((count / passed, count / worked))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--cores", type=int, help="Measure in this process, on so many cores.")
    asked = parser.parse_args()
    if asked.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.cores])
        print(json.dumps(measured(asked.repeats, asked.pictures)))
        return
    for cores in range(1, min(2, len(os.sched_getaffinity(0))) + 1):
        again = [sys.executable, str(Path(__file__)), "--cores", str(cores)]
        again += ["--repeats", str(asked.repeats), "--pictures", str(asked.pictures)]
        found = json.loads(subprocess.run(again, check=True, capture_output=True, text=True).stdout)
        print(f"{cores} core{'s' * (cores > 1)}, load {os.getloadavg()[0]:.1f}")
        for name, rates in found.items():
            ratios = [[ours / bare for ours, bare in zip(*pair)] for pair in zip(rates, found["bare decoder"])]
            wall, busy = zip(*ratios)
            rate, spread = statistics.median(rate for rate, _ in rates), f"[{min(wall):.2f}-{max(wall):.2f}]"
            print(f"  {name:<22} {rate:6.0f} pictures/s   {statistics.median(wall):.2f} x {spread}   "
                  f"CPU {statistics.median(busy):.2f} x")  # fmt: skip


if __name__ == "__main__":
    main()
