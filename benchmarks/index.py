"""The index of a split in many parts: its bytes, and what `load` costs, where the storage is remote.

    python benchmarks/index.py [--parts 100000] [--repeats 3] [--real 2000]

Each part is made of one file and has a file of each of two streams. The storage counts what it is asked. Of `--real`
parts the files are there too, in a folder, where `load` opens them. Seconds are those that this process worked.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Array, Dataset, ForEach, RemoteFile, Split, load, prepare
from dataset_assets.core.canonical import canonical, digest_of, sha256_hex
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.documents import OPENED
from dataset_assets.storage.format_numbers import format_of
from dataset_assets.storage.keys import pointer_key
from dataset_assets.storage.manifest import (
    MadePart,
    SplitIndex,
    StoredFile,
    StoredStream,
    UsedFile,
    Version,
    pointer_to,
)
from dataset_assets.storage.releases import publish_version
from dataset_assets.storage.stored_dataset import StoredDataset

NAME, SAMPLES = "bench.index", 10_000


class Remote(MemoryStorage):
    """A storage that counts as remote, and counts what it is asked."""

    cached = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def __getattribute__(self, name: str) -> Any:
        if name in ("get", "get_whole", "exists", "stat", "list", "entries", "put", "swap", "delete"):
            self.asked[name] += 1
        return super().__getattribute__(name)


def hexed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def stream(dtype: str, shape: list[int], files: list[StoredFile]) -> StoredStream:
    return StoredStream("array", {"dtype": dtype, "shape": shape}, 1, ".npy", tuple(files))


def index_of_parts(files: dict[str, list[StoredFile]], samples: int) -> SplitIndex:
    count = len(files["label"])
    urls = [f"s3://bucket/photographs/train/shard-{k:06}.tar" for k in range(count)]
    used = [
        UsedFile(f"archive[{k}]", f"shard_{k:06}_tar", hexed(f"raw {k}"), 10**8, url, samples)
        for k, url in enumerate(urls)
    ]
    return SplitIndex(
        dataset=NAME,
        split="train",
        version="1",
        samples=samples * count,
        streams={"image": stream("|u1", [8], files["image"]), "label": stream("<i8", [], files["label"])},
        sources=tuple(used),
        arguments={"archive": {"pattern": "s3://bucket/photographs/train/*.tar"}},
        roles={},
        license=None,
        findings=(),
        recipe=hexed("recipe"),
        format=format_of("", 0, in_parts=True),
        parts=tuple(MadePart(hexed(f"part {k}"), samples) for k in range(count)),
    )


def published(storage: Storage, index: SplitIndex) -> int:
    """Release a version of one split; return the bytes of its index."""
    stored, digest, document = StoredDataset(storage, NAME), digest_of(index), canonical(index)
    stored.put_index(index, digest, document)
    version = publish_version(stored, Version(NAME, {"train": digest}))
    storage.swap(pointer_key(NAME), pointer_to(version), None)
    return len(document)


def timed(work: Any, repeats: int) -> tuple[list[float], Any]:
    """Return the seconds that this process worked, which others on the machine do not change much."""
    seconds = []
    for _ in range(repeats):
        began = time.process_time()
        found = work()
        seconds.append(time.process_time() - began)
    return seconds, found


def opened_first(storage: Storage) -> Any:
    """Load as a process does that has opened nothing of the storage yet."""
    for key in storage.list(""):
        OPENED.forget(storage, key)
    asked = getattr(storage, "asked", Counter())
    asked.clear()
    return load(NAME, "train", storage=storage)


def shown(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s [{min(seconds):.2f}-{max(seconds):.2f}]"


def remote(parts: int, repeats: int) -> None:
    names = {
        name: [StoredFile(hexed(f"{name} {k}"), 10**6, SAMPLES) for k in range(parts)] for name in ("image", "label")
    }
    storage = Remote()
    size = published(storage, index_of_parts(names, SAMPLES))
    seconds, view = timed(lambda: opened_first(storage), repeats)
    first = dict(storage.asked)
    again, _ = timed(lambda: load(NAME, "train", storage=storage), 1)
    print(f"{parts:,} parts: index {size / 1e6:.1f} MB, {size / parts:.0f} bytes a part")
    print(f"  load: {seconds[0]:.2f} s of CPU, requests: {first}, {len(view):,} samples; again: {again[0]:.2f} s")
    found, _ = timed(lambda: index_of(view).sources_of(len(view) - 1), repeats)
    print(f"  the file of a sample: {shown(found)}")
    print(f"  peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def numbers(table: BinaryIO) -> Iterator[dict[str, Any]]:
    for line in table:
        yield {"image": np.full(8, int(line), np.uint8), "label": int(line)}


def making(parts: int, folder: Path) -> Counter[str]:
    """Return what a storage is asked when so many parts of one file are made, and when it is run again."""
    folder.mkdir()
    for k in range(parts):
        (folder / f"{k:04}.txt").write_text(f"{k % 256}\n")
    split = Split(numbers, table=ForEach([RemoteFile(path) for path in sorted(folder.iterdir())], files_per_part=1))
    dataset = Dataset(NAME, "Numbers.", {"image": Array("uint8"), "label": Array("int64")}, {"train": split})
    storage = Remote()
    prepare(dataset, storage=storage, jobs=1)
    made, storage.asked = storage.asked, Counter()
    next(iter(sorted(folder.iterdir()))).write_text("7\n")
    prepare(dataset, storage=storage, jobs=1)
    return made + Counter({f"{verb} again": count for verb, count in storage.asked.items()})


def requests_of_a_part(folder: Path) -> None:
    few, many = making(40, folder / "few"), making(80, folder / "many")
    shown = {verb: round((many[verb] - few[verb]) / 40, 2) for verb in sorted(many)}
    print(f"requests for each part, and again when one of them changed: {shown}")


def local(parts: int, repeats: int, folder: Path) -> None:
    """The same of files that are there, of ten samples each."""
    storage, written = LocalStorage(folder / "storage"), {"image": [], "label": []}  # type: ignore[var-annotated]
    rows = {"image": np.zeros((10, 8), np.uint8), "label": np.zeros(10, np.int64)}
    for name, values in rows.items():
        (folder / "storage/bench/index/train" / name).mkdir(parents=True)
        for k in range(parts):
            values[...] = k % 100
            values.reshape(-1)[0] = k % 256
            np.save(path := folder / "one.npy", values)
            digest = sha256_hex(path.read_bytes())
            os.replace(path, folder / "storage/bench/index/train" / name / f"{digest}.npy")
            written[name].append(StoredFile(digest, 128 + values.nbytes, 10))
    published(storage, index_of_parts(written, 10))
    seconds, view = timed(lambda: opened_first(storage), repeats)
    print(f"{parts:,} parts in a folder: load {shown(seconds)}, {len(view):,} samples")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--real", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["DATASET_ASSETS_HOME"] = home
        requests_of_a_part(Path(home))
        local(given.real, given.repeats, Path(home))
        for parts in (given.parts // 10, given.parts):
            remote(parts, given.repeats)


if __name__ == "__main__":
    main()
