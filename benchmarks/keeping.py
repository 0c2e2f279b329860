"""Copying 1 GB from a folder to another against cp and sha256sum of it, collecting 10,000 objects, and SQLite.

    python benchmarks/keeping.py [--megabytes 1024] [--repeats 3] [--folder /tmp]

The two copies take turns within one run; what counts is the ratio of each pair. Goals: copying within 1.5 times, and
less than 5 s of a processor for the collector. 250 datasets of five versions are looked through in a folder and in a
database of SQLite, in turn. Goal: SQLite within 1.5 times.
"""

import argparse
import hashlib
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

import numpy as np

from dataset_assets import Array, Columns, Dataset, Split, prepare
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.usage import usage
from dataset_assets.moving.verify import verify
from dataset_assets.storage import LocalStorage, Storage, open_storage

NAME = "org.example.large"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        copying(Path(folder), chosen.megabytes, chosen.repeats)
        collecting(Path(folder))
        in_sqlite(Path(folder), chosen.repeats)


def copying(folder: Path, megabytes: int, repeats: int) -> None:
    os.environ["DATASET_ASSETS_HOME"] = str(folder / "home")
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (64, 1 << 20), np.uint8)

    def blocks():
        for k in range(0, megabytes, len(noise)):
            noise[:, 0] = k % 251
            yield Columns(row=noise[: megabytes - k])

    prepare(Dataset(NAME, "Large.", {"row": Array()}, {"all": Split(blocks)}))
    source, target = folder / "home/storage", folder / "target"
    ratios = []
    for _ in range(repeats):
        floor = timed(lambda: plain(source, target), target)
        ours = timed(lambda: copy(NAME, source, target), target)
        ratios.append(ours / floor)
        print(f"copy: {megabytes} MB in {ours:.2f} s; cp and sha256: {floor:.2f} s; ratio {ours / floor:.2f}")
    print(f"copy: median ratio {statistics.median(ratios):.2f}, least {min(ratios):.2f} (goal: 1.5)")


def plain(source: Path, target: Path) -> None:
    """Copy the files, force them to the disk, and hash the copies."""
    shutil.copytree(source, target)
    for path in target.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                hashlib.file_digest(file, "sha256")


def timed(act: Callable[[], object], target: Path) -> float:
    began = time.perf_counter()
    act()
    seconds = time.perf_counter() - began
    shutil.rmtree(target)
    return seconds


def collecting(folder: Path) -> None:
    storage = LocalStorage(folder / "home/storage")
    stream = storage.root / "org/example/large/all/row"
    for i in range(10_000):
        (stream / f"{i:064x}.npy").write_bytes(b"")
    began, processor = time.perf_counter(), time.process_time()
    [done] = collect(storage, keep_versions=1, grace_seconds=0)
    wall, processor = time.perf_counter() - began, time.process_time() - processor
    print(f"gc: {len(done.removed)} objects in {wall:.2f} s, {processor:.2f} s of a processor (goal: 5)")


def in_sqlite(folder: Path, repeats: int) -> None:
    storages = [open_storage(str(folder / "many")), open_storage(f"sqlite:///{folder}/many.db")]
    names = [f"org.example.one_{k}" for k in range(250)]
    for storage in storages:
        for start in range(5):
            for name in names:
                split = Split(numbers, start=start)
                prepare(Dataset(name, "Numbers.", {"n": Array()}, {"all": split}), storage=storage)
    verbs: dict[str, Callable[[Storage], object]] = {
        "du": lambda storage: usage(storage, keep_versions=3, grace_seconds=0),
        "gc": lambda storage: collect(storage, keep_versions=3, grace_seconds=0, dry_run=True),
        "verify": lambda storage: [verify(name, storage) for name in names],
    }
    for verb, act in verbs.items():
        turns = [[processor(act, storage) for storage in storages] for _ in range(repeats)]
        ratio = statistics.median(database / plain for plain, database in turns)
        least = " and ".join(f"{min(turn):.2f}" for turn in zip(*turns))
        print(
            f"{verb} of 250 datasets: {least} s of a processor in a folder and in SQLite; ratio {ratio:.2f} (goal: 1.5)"
        )


def numbers(start: int) -> Iterator[Columns]:
    yield Columns(n=np.arange(start, start + 10))


def processor(act: Callable[[Storage], object], storage: Storage) -> float:
    began = time.process_time()
    act(storage)
    return time.process_time() - began


if __name__ == "__main__":
    main()
