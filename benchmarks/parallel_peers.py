"""Decoding and resizing photographs of many tars in two processes, beside `datasets.map` and LitData's `optimize`.

    python benchmarks/parallel_peers.py [--pictures 20000] [--repeats 3] [--processes 2] [--parts 64]

Each reads the same tars and stores the same arrays: ours as a dataset of parts, `datasets` by `map(num_proc=2)` over
the names of the tars into Arrow files, LitData by `optimize(num_workers=2)` into chunks of 64 MB. All start their
processes within their time. Ours hashes, syncs, checks and releases too. Install datasets and litdata in an environment
of their own. Goal: at least 0.95 of the speed of the faster one.
"""

import argparse
import importlib
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from parallel import SIDE, ours_in_parts, resized, write_tar


def members(path: str) -> Iterator[bytes]:
    with tarfile.open(path) as tar:
        for member in tar:
            yield tar.extractfile(member).read()  # type: ignore[union-attr]


def mapped(batch: dict[str, list[str]]) -> dict[str, Any]:
    return {"image": [resized(data)["image"] for path in batch["path"] for data in members(path)]}


def datasets(paths: list[Path], processes: int) -> None:
    from datasets import Array3D, Dataset, Features  # type: ignore[import-not-found, attr-defined, unused-ignore]

    with tempfile.TemporaryDirectory(dir=paths[0].parent) as folder:
        given = Dataset.from_dict({"path": [str(path) for path in paths]})
        made = given.map(
            mapped,
            batched=True,
            batch_size=1,
            num_proc=processes,
            remove_columns=["path"],
            features=Features({"image": Array3D((SIDE, SIDE, 3), "uint8")}),
            cache_file_name=f"{folder}/made.arrow",
        )
        assert np.asarray(made[0]["image"]).shape == (SIDE, SIDE, 3)


def optimized(path: str) -> Iterator[dict[str, Any]]:
    for data in members(path):
        yield resized(data)


def litdata(paths: list[Path], processes: int) -> None:
    import litdata  # type: ignore[import-not-found, unused-ignore]

    with tempfile.TemporaryDirectory(dir=paths[0].parent) as folder:
        litdata.optimize(optimized, [str(path) for path in paths], folder, num_workers=processes, chunk_bytes="64MB")


RUNS = {"ours": ours_in_parts, "datasets": datasets, "litdata": litdata}


def seconds(name: str, folder: Path, chosen: argparse.Namespace) -> float:
    """Return how long a run takes in a fresh process, without the imports that each needs."""
    command = [sys.executable, __file__, "--run", name, "--folder", str(folder), "--processes", str(chosen.processes)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def run(name: str, folder: Path, processes: int) -> None:
    if name != "ours":
        importlib.import_module(name)
    paths, began = sorted(folder.glob("*.tar")), time.perf_counter()
    RUNS[name](paths, processes)
    print(time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--parts", type=int, default=64)
    parser.add_argument("--peers", default="datasets,litdata")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        run(chosen.run, Path(chosen.folder), chosen.processes)
        return
    with tempfile.TemporaryDirectory() as folder:
        for k in range(chosen.parts):
            write_tar(Path(folder) / f"photos-{k:03}.tar", chosen.pictures // chosen.parts)
        names, ratios = ["ours", *chosen.peers.split(",")], []
        for _ in range(chosen.repeats):
            took = {name: seconds(name, Path(folder), chosen) for name in names}
            ratios.append(min(took[name] for name in names[1:]) / took["ours"])
            print(", ".join(f"{name} {one:.1f} s" for name, one in took.items()), flush=True)
        print(f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}] of the speed of the faster one")


if __name__ == "__main__":
    main()
