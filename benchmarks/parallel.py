"""Decoding and resizing photographs in two processes, beside a bare pool that writes the same arrays.

    python benchmarks/parallel.py [--pictures 20000] [--repeats 3] [--processes 2] [--parts 64]

Of one tar by `ParallelMap`: both read the tar here and write one npy file. Of `--parts` tars by `ForEach`: both write a
file for each. Ours hashes, syncs, checks and releases them too. The processes of the pool are started within its time,
as ours are. Goals: at least 0.85 of the speed of the pool for one tar, and 0.9 for many.
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

from dataset_assets import Array, Dataset, ForEach, ParallelMap, RemoteFile, Split, prepare
from dataset_assets.decoding import archive_members

SIDE = 64


def pictures(archive: BinaryIO) -> Iterator[bytes]:
    for member in archive_members(archive, "*.jpg"):
        yield member.read()


def resized(data: bytes) -> dict[str, Any]:
    return {"image": np.asarray(Picture.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE)))}


def all_resized(archive: BinaryIO) -> Iterator[dict[str, Any]]:
    yield from map(resized, pictures(archive))


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


def ours_in_parts(paths: list[Path], processes: int) -> None:
    split = Split(all_resized, archive=ForEach([RemoteFile(path, keep=False) for path in paths], files_per_part=1))
    with tempfile.TemporaryDirectory(dir=paths[0].parent) as home:
        os.environ["DATASET_ASSETS_HOME"] = home
        dataset = Dataset("org.example.photos", "Photographs.", {"image": Array("uint8")}, {"all": split})
        prepare(dataset, jobs=processes)


def one_array(path: str) -> None:
    with tarfile.open(path) as tar:
        found = [resized(tar.extractfile(member).read())["image"] for member in tar]  # type: ignore[union-attr]
    np.save(f"{path}.npy", np.stack(found))


def bare_in_parts(paths: list[Path], processes: int) -> None:
    from loky import ProcessPoolExecutor

    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(one_array, map(str, paths)))


def seconds(run: Any, *arguments: Any) -> float:
    began = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--parts", type=int, default=64)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photos.tar"
        write_tar(path, chosen.pictures)
        compare("one tar", chosen, bare, ours, path, chosen.pictures)
        paths = [path.with_name(f"photos-{k:03}.tar") for k in range(chosen.parts)]
        for one in paths:
            write_tar(one, chosen.pictures // chosen.parts)
        compare(f"{chosen.parts} tars", chosen, bare_in_parts, ours_in_parts, paths)


def compare(what: str, chosen: argparse.Namespace, bare: Any, ours: Any, given: Any, *more: Any) -> None:
    ratios = []
    for _ in range(chosen.repeats):
        pool = seconds(bare, given, chosen.processes, *more)
        mine, one = seconds(ours, given, chosen.processes), seconds(ours, given, 1)
        ratios.append(pool / mine)
        print(f"{what}: pool {pool:.1f} s, ours {mine:.1f} s, ours in one process {one:.1f} s", flush=True)
    print(f"{what}: {statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}] of the speed of the pool")


if __name__ == "__main__":
    main()
