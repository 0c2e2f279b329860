"""Decoding and resizing photographs of one tar in two processes, beside a bare pool that writes the same arrays.

    python benchmarks/parallel.py [--pictures 20000] [--repeats 3] [--processes 2]

Both read the tar here and write one npy file. Ours hashes, syncs, checks and releases it too. Goal: at least 0.85 of
the speed of the pool, whose processes are started within its time, as ours are.
"""

import argparse
import io
import os
import statistics
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import numpy as np
from PIL import Image as Picture

from dataset_assets import Array, Dataset, ParallelMap, RemoteFile, Split, prepare
from dataset_assets.decoding import archive_members

SIDE = 64


def pictures(archive: BinaryIO) -> Iterator[bytes]:
    for member in archive_members(archive, "*.jpg"):
        yield member.read()


def resized(data: bytes) -> dict[str, Any]:
    return {"image": np.asarray(Picture.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE)))}


def write_tar(path: Path, count: int) -> None:
    rng, encoded = np.random.default_rng(0), []
    for _ in range(50):
        photo = io.BytesIO()
        low = Picture.fromarray(rng.integers(0, 256, (40, 32, 3), dtype=np.uint8))
        low.resize((320, 240)).save(photo, "JPEG", quality=85)
        encoded.append(photo.getvalue())
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            info = tarfile.TarInfo(f"{number:06}.jpg")
            info.size = len(encoded[number % 50])
            tar.addfile(info, io.BytesIO(encoded[number % 50]))


def ours(path: Path, processes: int) -> None:
    split = Split(ParallelMap(pictures, resized), archive=RemoteFile(path, keep=False))
    with tempfile.TemporaryDirectory(dir=path.parent) as home:
        os.environ["DATASET_ASSETS_HOME"] = home
        dataset = Dataset("org.example.photos", "Photographs.", {"image": Array("uint8")}, {"all": split})
        prepare(dataset, jobs=processes)


def bare(path: Path, processes: int, count: int) -> None:
    from loky import ProcessPoolExecutor

    out = np.lib.format.open_memmap(path.with_name("bare.npy"), "w+", np.uint8, (count, SIDE, SIDE, 3))
    with ProcessPoolExecutor(processes) as pool, tarfile.open(path) as tar:
        data = (tar.extractfile(member).read() for member in tar)  # type: ignore[union-attr]
        for number, sample in enumerate(pool.map(resized, data, chunksize=32)):
            out[number] = sample["image"]
    out.flush()


def seconds(run: Any, *arguments: Any) -> float:
    began = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photos.tar"
        write_tar(path, chosen.pictures)
        ratios = []
        for _ in range(chosen.repeats):
            pool = seconds(bare, path, chosen.processes, chosen.pictures)
            mine, one = seconds(ours, path, chosen.processes), seconds(ours, path, 1)
            ratios.append(pool / mine)
            print(f"pool {pool:.1f} s, ours {mine:.1f} s, ours in one process {one:.1f} s")
        print(f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}] of the speed of the pool")


if __name__ == "__main__":
    main()
