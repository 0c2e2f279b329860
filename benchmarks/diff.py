"""Comparing two versions of 1,000,000 samples: seconds, CPU seconds and memory, in fresh processes.

    python benchmarks/diff.py [--samples 1000000]

The versions differ in 1,100 samples and in their length. Goals: less than 10 s, and less than 500 MB.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

NAME, BLOCK = "org.example.many", 50_000
STREAMS = ("streams", "table")


def blocks(samples, changed, table):
    import numpy as np

    from dataset_assets import Columns

    rng = np.random.default_rng(1)
    for lo in range(0, samples, BLOCK):
        numbers = np.arange(lo, lo + BLOCK)
        image, label = rng.integers(0, 255, (BLOCK, 16), dtype=np.uint8), rng.integers(0, 10, BLOCK)
        share = rng.random(BLOCK)
        if changed and lo == BLOCK:
            label[:1000], share[5000:5100] = (label[:1000] + 1) % 10, 9
        text = [f"line {number}: some words, about as many as people write in one line" for number in numbers]
        if not table:
            yield Columns(image=image, label=label, share=share, text=text)
            continue
        import pyarrow

        fields = {"number": numbers, "label": label, "share": share, "twice": share * 2, "text": text}
        yield Columns(row=pyarrow.table(fields))


def versions(samples: int, table: bool) -> list[str]:
    from dataset_assets import Array, Dataset, Split, Table, Text, prepare

    classes = Array(classes=tuple("0123456789"))
    streams = {"row": Table()} if table else {"image": Array(), "label": classes, "share": Array(), "text": Text()}
    found = []
    for count, changed in ((samples, False), (samples - BLOCK, True)):
        split = Split(blocks, samples=count, changed=changed, table=table)
        made = prepare(Dataset(NAME, "Many.", streams, {"all": split}, sample=None if table else "text"))
        found.append(f"{NAME}@{made['all'].version}")
    return found


def compare(a: str, b: str) -> None:
    from dataset_assets import diff

    before, began = time.process_time(), time.perf_counter()
    found = diff(a, b)
    seconds, cpu = time.perf_counter() - began, time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{seconds:.1f} s, {cpu:.1f} CPU s, {peak:.0f} MB: {found['total']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("versions", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.versions:
        compare(*given.versions)
    for kind in () if given.versions else STREAMS:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["DATASET_ASSETS_HOME"] = folder
            print(f"{kind}: ", end="", flush=True)
            subprocess.run([sys.executable, __file__, *versions(given.samples, kind == "table")], check=True)


if __name__ == "__main__":
    main()
