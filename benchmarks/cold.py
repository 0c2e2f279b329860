"""Shuffled epochs of a file that is not in memory: against a sequential read of it, and where it does not fit.

    python benchmarks/cold.py [--rows 250000] [--repeats 5]

Rows are of 4 KB. `fits`: the whole epoch, and its first batch, against reading the file from its beginning to its end
(goal: 0.7x). `too large`: the same in a control group that may hold a quarter of it, against asking for the same rows
and gathering them with nothing else (goal: 0.8x); left out where this user may make no such group. Each repeat drops
the file from the page cache first, and takes all of them in turn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WIDTH, BATCH, CHUNK = 4096, 256, 10_000
GROUPS = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
PART = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=250_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(KINDS[given.one[0]](Path(given.one[1]))))
        return
    build = Path(__file__).parents[1] / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as home:
        make(Path(home), given.rows)
        compare("fits", "epoch", "scan", Path(home), given.repeats, None)
        limit = given.rows * WIDTH // 4
        if group := limited(limit):
            compare("too large", "part", "asked", Path(home), given.repeats, group)
            group.rmdir()
        else:
            print("too large: left out, this user may make no control group")


def make(home: Path, rows: int) -> None:
    from dataset_assets import Array, Columns, Dataset, Split, prepare

    def samples(rows: int):
        for lo in range(0, rows, CHUNK):
            yield Columns(x=np.random.default_rng(lo).integers(0, 256, (min(CHUNK, rows - lo), WIDTH), np.uint8))

    prepare(Dataset("bench.cold", "Rows.", {"x": Array()}, {"all": Split(samples, rows=rows)}), storage=home.as_uri())


def compare(what: str, ours: str, other: str, home: Path, repeats: int, group: Path | None) -> None:
    found: dict[str, list[dict[str, float]]] = {ours: [], other: []}
    for _ in range(repeats):
        for kind in found:
            evict(home)
            found[kind].append(measured(kind, home, group))
    ratios = [mine["rate"] / its["rate"] for mine, its in zip(found[ours], found[other])]
    first = statistics.median(mine["first_ms"] for mine in found[ours])
    rate = statistics.median(mine["rate"] for mine in found[ours])
    print(
        f"{what}: {rate:,.0f} rows a second, {statistics.median(ratios):.2f}x [{min(ratios):.2f}-{max(ratios):.2f}] of "
        f"{other}; first batch after {first:.0f} ms",
        flush=True,
    )


def measured(kind: str, home: Path, group: Path | None) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", kind, str(home)]
    join = (lambda: (group / "cgroup.procs").write_text(str(os.getpid()))) if group else None
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=join)
    return json.loads(done.stdout)


def limited(size: int) -> Path | None:
    """Return a control group that may use so many bytes beside what Python itself needs."""
    for root in GROUPS:
        group = root / f"bench-{os.getpid()}"
        for name in ("memory.limit_in_bytes", "memory.max"):
            try:
                group.mkdir(exist_ok=True)
                (group / name).write_text(str(size + (150 << 20)))
                return group
            except OSError:
                continue
        if group.exists():
            group.rmdir()
    return None


def evict(home: Path) -> None:
    for path in home.rglob("*.npy"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def loaded(home: Path, rows: int | None = None) -> dict[str, float]:
    """Read a shuffled epoch, or its first rows, by the Loader."""
    from dataset_assets import load
    from dataset_assets.loader import Loader

    began, first, done = time.perf_counter(), 0.0, 0
    view = load("bench.cold", storage=home.as_uri())["all"]
    for batch in Loader(view, BATCH, shuffle=True).epoch(0):
        first = first or time.perf_counter() - began
        done += len(batch["x"])
        if rows and done >= rows:
            break
    return {"rate": done / (time.perf_counter() - began), "first_ms": first * 1000}


def scan(home: Path) -> dict[str, float]:
    """Read the files from their beginning to their end."""
    paths = sorted(home.rglob("*.npy"))
    buffer, began = bytearray(4 << 20), time.perf_counter()
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return {"rate": sum(path.stat().st_size for path in paths) / WIDTH / (time.perf_counter() - began), "first_ms": 0}


def asked(home: Path) -> dict[str, float]:
    """Ask for the rows of several batches by `posix_fadvise`, gather those that were asked for before, and again."""
    [path] = home.rglob("*.npy")
    began, rows = time.perf_counter(), np.load(path, mmap_mode="r")
    order = np.random.default_rng(0).permutation(len(rows))[:PART]
    buffer, ahead = np.empty((BATCH, WIDTH), np.uint8), 2048
    offset = path.stat().st_size - rows.nbytes
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)

        def ask(some: np.ndarray) -> None:
            for row in some.tolist():
                os.posix_fadvise(file.fileno(), offset + row * WIDTH, WIDTH, os.POSIX_FADV_WILLNEED)

        ask(order[:ahead])
        for at in range(0, len(order), ahead):
            ask(order[at + ahead : at + 2 * ahead])
            for lo in range(at, min(at + ahead, len(order)), BATCH):
                some = order[lo : lo + BATCH]
                np.take(rows, some, 0, out=buffer[: len(some)], mode="clip")
    return {"rate": len(order) / (time.perf_counter() - began), "first_ms": 0}


KINDS = {"epoch": loaded, "part": lambda home: loaded(home, PART), "scan": scan, "asked": asked}


if __name__ == "__main__":
    main()
