"""Preparing 1 GB of arrays in blocks, against writing the same bytes, hashing them and forcing them to the disk.

    python benchmarks/preparing.py [--megabytes 1024] [--repeats 5]

Both run in turn in fresh processes of one run; what counts is the ratio of each pair. Goal: at least 0.5, in < 300 MB.
"""

import argparse
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BLOCK = 64 << 20


def block(k: int):
    import numpy as np

    return np.random.Generator(np.random.PCG64(k)).integers(0, 256, BLOCK, np.uint8).reshape(-1, 1 << 16)


def blocks(count):
    # One random block, changed a little each time: generating must not be what is measured.
    base = block(0)
    for k in range(count):
        base[:, 0] = k
        yield base


def floor(folder: Path, count: int) -> None:
    """Write the bytes, hash the file, force it to the disk."""
    path = folder / "floor.bin"
    with open(path, "wb", buffering=0) as file:
        for part in blocks(count):
            file.write(part)
        with open(path, "rb") as read:
            hashlib.file_digest(read, "sha256")
        os.fsync(file.fileno())
    path.unlink()


def samples(blocks_count):
    from dataset_assets import Columns

    for part in blocks(blocks_count):
        yield Columns(row=part)


def ours(folder: Path, count: int) -> None:
    """Prepare the bytes as a dataset."""
    from dataset_assets import Array, Dataset, Split, prepare

    os.environ["DATASET_ASSETS_HOME"] = str(folder)
    dataset = Dataset(
        "bench.rows", "Random rows.", {"row": Array()}, {"all": Split(samples, blocks_count=count)}, checks={}
    )
    prepare(dataset)


def child(kind: str, folder: Path, count: int) -> None:
    import numpy  # noqa: F401  both sides pay for it before the clock runs

    began = time.perf_counter()
    {"floor": floor, "ours": ours}[kind](folder, count)
    print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured(kind: str, megabytes: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        command = [sys.executable, __file__, "--child", kind, "--folder", folder, "--megabytes", str(megabytes)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return float(out[0]), float(out[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments.child, arguments.folder, arguments.megabytes * (1 << 20) // BLOCK)
    ratios, peaks = [], []
    for _ in range(arguments.repeats):
        floor_seconds, floor_peak = measured("floor", arguments.megabytes)
        our_seconds, our_peak = measured("ours", arguments.megabytes)
        ratios.append(floor_seconds / our_seconds)
        peaks.append(our_peak)
        print(f"floor {floor_seconds:6.2f} s {floor_peak:5.0f} MB", end="   ")
        print(f"ours {our_seconds:6.2f} s {our_peak:5.0f} MB   {ratios[-1]:.2f}x")
    spread = f"[{min(ratios):.2f}-{max(ratios):.2f}]"
    print(f"prepare at {statistics.median(ratios):.2f}x {spread} of the floor, peak {max(peaks):.0f} MB")
    return None


if __name__ == "__main__":
    main()
