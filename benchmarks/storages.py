"""A bucket, ours beside the bare client, on one server: python benchmarks/storages.py [rounds] [megabytes]

Each figure is a ratio of speeds within one round, in which both take turns: min - median - max over the rounds. The
server is SeaweedFS on this machine, as the tests start it, so what is measured is the client's cost, not a network.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import obstore

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))

from servers import BUCKET, KEY, SECRET, folder, start_seaweed, started, stopping  # noqa: E402

from dataset_assets import Array, Columns, Dataset, Split, load, prepare  # noqa: E402
from dataset_assets.loader import Loader  # noqa: E402
from dataset_assets.storage import LocalStorage, open_storage  # noqa: E402

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
MEGABYTES = int(sys.argv[2]) if len(sys.argv) > 2 else 256
SIZE, RANGES, RANGE = MEGABYTES << 20, 1_000, 64 << 10
NAME = "org.example.bench"


def main() -> None:
    with folder() as base:
        server, endpoint = started(lambda: start_seaweed(base))
        with stopping(server):
            os.environ.update(
                AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION="us-east-1", AWS_ENDPOINT_URL=endpoint
            )
            with tempfile.TemporaryDirectory() as scratch:
                run(Path(scratch))


def run(scratch: Path) -> None:
    source = scratch / "source"
    source.write_bytes(np.random.default_rng(0).bytes(SIZE))
    storage: Any = open_storage(f"s3://{BUCKET}/bench")
    store = storage.client("")
    storage.put("file", source)
    starts = np.random.default_rng(1).integers(0, SIZE - RANGE, RANGES).tolist()

    compare("sequential read", 0.8, lambda: ours_whole(storage), lambda: bare_whole(store))
    compare("1,000 ranges of 64 KB", 0.8, lambda: ours_ranges(storage, starts), lambda: bare_ranges(store, starts))
    compare("upload", 0.8, lambda: storage.put("up", source), lambda: obstore.put(store, "bench/bare", source))
    source.unlink()
    epochs(scratch, storage)


def ours_whole(storage: Any) -> None:
    with storage.get("file") as file:
        while file.read(1 << 20):
            pass


def bare_whole(store: Any) -> None:
    for _ in obstore.get(store, "bench/file").stream(1 << 20):
        pass


def ours_ranges(storage: Any, starts: list[int]) -> None:
    with storage.get("file") as file:
        for start in starts:
            file.seek(start)
            assert len(file.read(RANGE)) == RANGE


def bare_ranges(store: Any, starts: list[int]) -> None:
    for start in starts:
        assert len(obstore.get_range(store, "bench/file", start=start, length=RANGE)) == RANGE


def epochs(scratch: Path, storage: Any) -> None:
    os.environ.update(DATASET_ASSETS_HOME=str(scratch / "home"), DATASET_ASSETS_FILE_BYTES=str(SIZE // 8))
    local = LocalStorage(scratch / "local")
    dataset = Dataset(
        name=NAME, summary="Pictures.", streams={"image": Array(), "label": Array()}, splits={"train": Split(pictures)}
    )
    prepare(dataset, storage=storage)
    prepare(dataset, storage=local)
    cache = scratch / "home/cache"

    def cold() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        epoch(storage)

    def copied() -> None:
        shutil.rmtree(scratch / "copied", ignore_errors=True)
        copy = LocalStorage(scratch / "copied")
        for key in storage.list(""):
            if key.startswith("com/") or key.startswith("org/"):
                path = copy.root / key
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "wb") as file:
                    for chunk in obstore.get(storage.client(""), f"bench/{key}").stream(1 << 20):
                        file.write(chunk)
        epoch(copy)

    far, near = (load(NAME, "train", storage=one) for one in (storage, local))
    # Ten of them a turn: one takes a tenth of a second.
    compare("later epochs from the cache, to local ones", 0.95, lambda: read(far, 10), lambda: read(near, 10))
    compare("cold shuffled epoch, to copying and reading", 0.7, cold, copied)


def pictures() -> Any:
    random = np.random.default_rng(2)
    for k in range(SIZE >> 20):
        images = random.integers(0, 256, (256, 64, 64), np.uint8)
        yield Columns(image=images, label=np.full(256, k % 10))


def epoch(storage: Any) -> None:
    read(load(NAME, "train", storage=storage))


def read(view: Any, epochs: int = 1) -> None:
    loader = Loader(view, 256, shuffle=True, seed=0)
    for epoch in range(epochs):
        assert sum(len(batch["label"]) for batch in loader.epoch(epoch)) == 256 * (SIZE >> 20)


def compare(what: str, target: float, ours: Callable[[], object], bare: Callable[[], object]) -> None:
    """Run both in turns and print how fast ours is for each unit of the other's speed."""
    ours(), bare()
    ratios, rates = [], []
    for k in range(ROUNDS):
        order = (ours, bare) if k % 2 else (bare, ours)
        took = {act: seconds(act) for act in order}
        ratios.append(took[bare] / took[ours])
        rates.append(MEGABYTES / took[ours])
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"{what:<46} {low:.2f} - {middle:.2f} - {high:.2f}   (to reach {target})", flush=True)


def seconds(act: Callable[[], object]) -> float:
    # Else who forces files to the disk waits for those that the other has left to it.
    os.sync()
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
