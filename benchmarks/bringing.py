"""Bringing files: `dataset_from` and `prepare`, beside the field's readers and `datasets.load_dataset`.

    python benchmarks/bringing.py [--rows 400000] [--repeats 5] [--only csv]

Each case is timed in turn with its floor and with `load_dataset`, in fresh processes that have imported what they need;
what counts is the ratio of each pair. `prepare` is the definition that `dataset_from` made before: reading, checking,
writing and hashing the streams. `with look` adds what `dataset_from` takes. The floors:

* csv, parquet: pyarrow reads the file, and writes it as Arrow IPC, synced. Goals 0.7 and 0.8.
* jsonl, and nested, whose rows have an object in them: `json.loads` of each line, and nothing else. Goal 0.7.
* images: the bytes of each file are read, and nothing else. Goal 0.9.
* placed: pyarrow scans Parquet files; here, an epoch of a `Loader` shuffled by blocks over them in place. Goal 0.8.

`load_dataset` is the goal 1.0 of each.
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

PARTS = 4


def make(folder: Path, rows: int) -> None:
    import numpy as np
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet
    from PIL import Image

    rng = np.random.default_rng(0)
    words = np.array(["owl", "finch", "heron", "kingfisher", "wren"])
    table = pyarrow.table(
        {
            "id": np.arange(rows),
            **{f"x{k}": rng.normal(size=rows) for k in range(8)},
            "kind": words[rng.integers(0, len(words), rows)],
            "note": [f"row {k} of many, with some text" for k in range(rows)],
        }
    )
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    pyarrow.parquet.write_table(table, folder / "rows.parquet")
    with open(folder / "rows.jsonl", "w") as flat, open(folder / "nested.jsonl", "w") as nested:
        for row in table.slice(0, rows // 4).to_pylist():
            flat.write(json.dumps(row) + "\n")
            nested.write(json.dumps(row | {"nested": {"a": [1, 2], "b": row["kind"]}}) + "\n")
    (folder / "placed").mkdir()
    numbers = table.drop_columns(["kind", "note"])
    for k in range(PARTS):
        part = numbers.slice(k * rows // PARTS, rows // PARTS)
        pyarrow.parquet.write_table(part, folder / "placed" / f"{k}.parquet", row_group_size=65536)
    for k in range(max(rows // 400, 8)):
        place = folder / "images" / ("cat", "dog")[k % 2] / f"{k}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (24, 24, 3), np.uint8).repeat(10, 0).repeat(10, 1)
        Image.fromarray(noise).save(place, quality=90)


SOURCES = {
    "csv": "rows.csv", "parquet": "rows.parquet", "jsonl": "rows.jsonl", "nested": "nested.jsonl", "images": "images",
    "placed": "placed",
}  # fmt: skip


def floor(case: str, source: Path, work: Path) -> float:
    import pyarrow
    import pyarrow.csv
    import pyarrow.dataset
    import pyarrow.parquet

    began = time.perf_counter()
    if case in ("csv", "parquet"):
        read = {"csv": pyarrow.csv.read_csv, "parquet": pyarrow.parquet.read_table}[case]
        with open(work / "out.arrow", "wb") as file:
            table = read(source)
            with pyarrow.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
            file.flush()
            os.fsync(file.fileno())
    elif case in ("jsonl", "nested"):
        with open(source, "rb") as file:
            for line in file:
                json.loads(line)
    elif case == "images":
        for path in sorted(source.rglob("*.jpg")):
            path.read_bytes()
    else:
        for batch in pyarrow.dataset.dataset(source, format="parquet").to_batches():
            len(batch)
    return time.perf_counter() - began


def ours(case: str, source: Path, work: Path) -> tuple[float, float]:
    """Return the time of `prepare`, and that of it and the look before it."""
    os.environ["DATASET_ASSETS_HOME"] = str(work)
    os.environ["XDG_CONFIG_HOME"] = str(work / "config")
    # pyarrow imports pandas with the first array that it makes, if it is installed; `datasets` imports it too.
    import pandas  # noqa: F401
    import pyarrow.csv  # noqa: F401
    import pyarrow.json  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import dataset_assets.formats.image  # noqa: F401
    import dataset_assets.making.prepare  # noqa: F401
    import dataset_assets.sources.infer  # noqa: F401
    from dataset_assets import Loader, dataset_from, prepare

    more = {"target": "kind"} if case in ("csv", "parquet", "jsonl", "nested") else {}
    began = time.perf_counter()
    dataset = dataset_from(source, name="bench.rows", copy=case != "placed", **more)
    looked = time.perf_counter()
    view = prepare(dataset)["all"]
    done = time.perf_counter()
    if case != "placed":
        return done - looked, done - began
    took = []
    for epoch in range(2):
        began = time.perf_counter()
        for batch in Loader(view, 4096, shuffle="blocks", seed=epoch):
            len(batch["id"])
        took.append(time.perf_counter() - began)
    return took[0], took[1]


def theirs(case: str, source: Path, work: Path) -> float:
    os.environ["HF_HOME"] = str(work)
    import datasets

    datasets.disable_progress_bars()
    kinds = {
        "csv": "csv",
        "parquet": "parquet",
        "jsonl": "json",
        "nested": "json",
        "images": "imagefolder",
        "placed": "parquet",
    }
    given = {"data_dir": str(source)} if source.is_dir() else {"data_files": str(source)}
    began = time.perf_counter()
    found = datasets.load_dataset(kinds[case], split="train", cache_dir=str(work / "cache"), **given)
    if case == "placed":
        began = time.perf_counter()
        for _ in found.to_iterable_dataset(num_shards=PARTS).shuffle(seed=0).with_format("numpy").iter(4096):
            pass
    return time.perf_counter() - began


def timed(kind: str, case: str, folder: Path) -> list[float]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as work:
        command = [sys.executable, __file__, "--child", kind, "--only", case, "--folder", str(folder), "--work", work]
        out = subprocess.run(command, capture_output=True, text=True)
        if out.returncode:
            sys.exit(out.stderr)
        return [float(word) for word in out.stdout.split()[-2:]]


def shown(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=SOURCES)
    for name in ("--child", "--folder", "--work"):
        parser.add_argument(name)
    given = parser.parse_args()
    if given.child:
        source, work = Path(given.folder) / SOURCES[given.only], Path(given.work)
        found = {"floor": floor, "ours": ours, "theirs": theirs}[given.child](given.only, source, work)
        print(*(found if isinstance(found, tuple) else (found, found)))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        make(Path(folder), given.rows)
        for case in [given.only] if given.only else SOURCES:
            ratios: dict[str, list[float]] = {}
            for _ in range(given.repeats):
                floor_s, ours_s, theirs_s = (timed(kind, case, Path(folder)) for kind in ("floor", "ours", "theirs"))
                names = ("epoch 1", "epoch 2") if case == "placed" else ("prepare", "with look")
                for name, seconds in zip(names, ours_s):
                    ratios.setdefault(f"{name} / floor", []).append(floor_s[0] / seconds)
                    ratios.setdefault(f"{name} / load_dataset", []).append(theirs_s[0] / seconds)
            print(case, *(f"{name} {shown(found)}" for name, found in ratios.items()), sep="; ", flush=True)


if __name__ == "__main__":
    main()
