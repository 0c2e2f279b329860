"""A script that leaves iterators behind ends as any script does."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SCRIPT = """
import sys
import numpy as np
from dataset_assets import load, prepare, view_of
from dataset_assets.loader import Loader
sys.path.insert(0, sys.argv[1])
import one

prepare(one.dataset, storage=sys.argv[2])
left = []
for output in ("numpy", "torch", "arrow"):
    for view in (load(one.dataset.name, "all", storage=sys.argv[2]), view_of(n=np.arange(5000)).map(dict)):
        for threads in (0, 1, 3):
            iterator = iter(Loader(view, 32, shuffle=True, threads=threads, output=output))
            next(iterator)
            left.append(iterator)
from torch.utils.data import DataLoader
from dataset_assets.loader import Batches
left.append(iter(DataLoader(Batches(Loader(view, 32)), batch_size=None, num_workers=1)))
next(left[-1])
print("done", flush=True)
"""

DEFINITION = """
from pathlib import Path
from dataset_assets import Array, Dataset, RemoteFile, Split
from dataset_assets.decoding import csv_rows


def numbers(table):
    for row in csv_rows(table):
        yield {"n": int(row["n"])}


table = RemoteFile(Path(__file__).with_name("numbers.csv"))
dataset = Dataset(
    name="org.example.numbers", summary="Numbers.", streams={"n": Array("int64")},
    splits={"all": Split(numbers, table=table)},
)
"""


@pytest.mark.parametrize("runs", [1, pytest.param(500, marks=pytest.mark.soak)])
def test_a_script_with_iterators_that_it_left_ends_well(fast_path: Path, runs: int) -> None:
    (fast_path / "one.py").write_text(DEFINITION)
    (fast_path / "numbers.csv").write_text("n\n" + "\n".join(map(str, range(3000))))
    command = [sys.executable, "-c", SCRIPT, str(fast_path), f"sqlite:///{fast_path}/store.db"]

    def run(number: int) -> tuple[int, str, str]:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
        return ended.returncode, ended.stdout, ended.stderr

    run(0)  # prepares the dataset
    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(run, range(runs)))
    assert found == {(0, "done\n", "")}


INSIDE_CPP = """
import io, time
import pyarrow, pyarrow.parquet
from dataset_assets import view_of
from dataset_assets.loader import Loader

pyarrow.parquet.write_table(pyarrow.table({"x": [1, 2, 3]}), out := io.BytesIO())

class Slow(io.BytesIO):
    def read(self, *size):
        time.sleep(0.1)
        return super().read(*size)

def read(sample):
    return {"x": len(pyarrow.parquet.read_table(Slow(out.getvalue()), use_threads=False))}

left = iter(Loader(view_of(i=list(range(64))).map(read), 1, threads=2))
next(left)
"""


def test_a_script_ends_well_while_a_thread_is_inside_of_a_library_of_cpp() -> None:
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", INSIDE_CPP], capture_output=True, text=True, timeout=250)
        assert (ended.returncode, ended.stderr) == (0, "")
