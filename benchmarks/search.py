"""Finding one of 5,000 definitions in 20 plugins, and searching them all: CPU seconds of a process of its own.

    python benchmarks/search.py [--packages 20] [--each 250] [--repeats 5]

Goals on a quiet machine, beside 500 others (--each 25): `info NAME` in less than 0.3 s of CPU, `search WORD` in 0.4.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MODULE = """
from dataset_assets import Dataset, Split, Text

def words():
    yield {{"word": "one"}}

for i in range({each}):
    name = f"org.many{number}.words_{{i}}"
    globals()[f"words_{{i}}"] = Dataset(name, "Words.", {{"word": Text()}}, {{"all": Split(words)}}, tags=("text",))
"""


def install(site: Path, number: int, each: int) -> None:
    (site / f"many_{number}.py").write_text(MODULE.format(number=number, each=each))
    info = site / f"many{number}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: many{number}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[dataset_assets.datasets]\norg.many{number} = many_{number}\n")


def cpu_seconds(site: Path, *arguments: str) -> float:
    # Compiled as by an installer, whatever this environment says; the first run does it.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(site / "compiled")}
    environment = {**os.environ, **compiled, "PYTHONPATH": str(site), "DATASET_ASSETS_HOME": str(site / "home")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "dataset_assets", *arguments]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=20)
    parser.add_argument("--each", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        for verb in (["--help"], ["search", "digits"], ["info", "com.lecun.mnist"]):
            measure(site, arguments.repeats, *verb)
        print(f"beside {arguments.packages * arguments.each} others:")
        for number in range(arguments.packages):
            install(site, number, arguments.each)
        for verb in (["--help"], ["info", f"org.many{arguments.packages - 1}.words_3"], ["search", "words"]):
            measure(site, arguments.repeats, *verb)


def measure(site: Path, repeats: int, *verb: str) -> None:
    cpu_seconds(site, *verb)
    taken = [cpu_seconds(site, *verb) for _ in range(repeats)]
    print(f"{' '.join(verb):<28} {statistics.median(taken):.2f} [{min(taken):.2f}-{max(taken):.2f}] s of CPU")


if __name__ == "__main__":
    main()
