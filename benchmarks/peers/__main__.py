"""Ours beside other systems, and all beside the limit: ratios of rates, each taken in one process with the limit.

    python benchmarks/peers [W1 W3 W4 W5] [--systems ours,hdf5] [--repeats 5] [--seconds 0.5]

A system whose package is not installed is left out; `pip install torchdata datasets h5py pylance zarr grain datastack`
brings them. W1 are 60,000 pictures of 28 x 28 bytes, W3 2,000,000 rows of 32 floats, W4 200,000 sequences of 50 to
2,000 tokens, W5 2,000,000 rows of 1,024 floats (8 GB, and again for each system's own form). Batches are of 256, in
tensors, with one torch thread. The results are printed, and kept as JSON and drawn in build/bench, with those of
earlier runs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from systems import NAMES, System
from timing import Epoch, paired
from workloads import BATCH, Workload, workloads

ROOT = Path(__file__).parents[2] / "build" / "bench"
MODES = ("sequential", "shuffled", "shuffled, 2 workers", "samples", "single")
SINGLES = 20_000
LIMIT_S = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=["W1", "W3", "W4"])
    parser.add_argument("--systems", default=",".join(NAMES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--first", help=argparse.SUPPRESS)
    given = parser.parse_args()
    known = workloads(given.root, given.scale)
    if given.one or given.first:
        workload = known[given.workloads[0]]
        if given.one:
            print(json.dumps(measured(given.one, workload, given.repeats, given.seconds)), flush=True)
        else:
            print(json.dumps(first(given.first, workload)), flush=True)
        os._exit(0)  # some systems leave processes or threads that wait
    for name in given.workloads:
        _ = known[name].folder
        kept = given.root / f"{name}.json"
        rows = json.loads(kept.read_text()) if kept.exists() else {}
        for system in given.systems.split(","):
            if missing := [each for each in needs(system) if find_spec(each) is None]:
                print(f"{name} {system}: left out, {', '.join(missing)} is not installed", flush=True)
                continue
            rows[system] = in_process("--one", system, name, given)
            rows[system] |= in_process("--first", system, name, given)
            print(line(name, system, rows[system]), flush=True)
        kept.write_text(json.dumps(rows, indent=1))
        draw(name, rows, given.root / f"{name}.png")


def needs(system: str) -> tuple[str, ...]:
    """Return the packages of a system, from its file's NEEDS: importing it could fail for want of them."""
    for row in (Path(__file__).parent / "systems" / f"{system}.py").read_text().splitlines():
        if row.startswith("NEEDS = "):
            return tuple(json.loads(row[8:].replace("(", "[").replace(",)", ")").replace(")", "]")))
    return ("datasets", "torch")


def in_process(option: str, system: str, workload: str, given: argparse.Namespace) -> dict[str, Any]:
    sizes = ["--repeats", str(given.repeats), "--seconds", str(given.seconds), "--scale", str(given.scale)]
    command = [sys.executable, str(Path(__file__).parent), workload, option, system, *sizes, "--root", str(given.root)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {LIMIT_S} s"}
    last = (done.stdout.splitlines() or [""])[-1]
    return json.loads(last) if last.startswith("{") else {"error": (done.stderr.splitlines() or ["died"])[-1]}


def opened(name: str, workload: Workload) -> tuple[Any, Path]:
    """Return a system's module and its folder, in which it has prepared the workload."""
    module = import_module(f"systems.{name}")
    kept = name.removesuffix("_arrow") if name.startswith("huggingface") else name
    folder = workload.root / kept / f"{workload.name}-{workload.samples}"
    if not (folder / ".done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        module.prepare(workload, folder)
        (folder / ".done").touch()
    return module, folder


def measured(name: str, workload: Workload, repeats: int, seconds: float) -> dict[str, Any]:
    """Return the ratios of one system to the limit, by mode."""
    import numpy as np
    import torch
    from systems import limit

    torch.set_num_threads(1)
    module, folder = opened(name, workload)
    mine, other = module.open(workload, folder), limit.open(workload, folder)
    check(mine, workload)
    singles = np.random.default_rng(7).integers(0, workload.samples, SINGLES).tolist()
    found: dict[str, Any] = {"anon_mb": anonymous()}
    for mode in MODES:
        of_samples, settled = mode in ("samples", "single"), mode == MODES[2]
        pair = [epoch(system, mode, singles) for system in (other, mine)]
        try:
            found[mode] = paired(pair[0], pair[1], repeats, seconds, of_samples, settled)
        except NotImplementedError:
            continue
        except Exception as error:
            found[mode] = {"error": f"{type(error).__name__}: {error}"[:200]}
    return found


def epoch(system: System, mode: str, singles: list[int]) -> Epoch:
    kinds: dict[str, Callable[[], Any]] = {
        "sequential": lambda: system.batches(False, 0),
        "shuffled": lambda: system.batches(True, 0),
        "shuffled, 2 workers": lambda: system.batches(True, 2),
        "samples": system.samples,
        "single": lambda: (system.get(i) for i in singles),
    }
    return kinds[mode]


def check(system: System, workload: Workload) -> None:
    """See that a system gives what is there, in order."""
    import numpy as np

    first = next(iter(system.batches(False, 0)))
    last = min(BATCH, workload.samples)
    expected = workload.x[:last] if workload.dense else workload.tokens[: workload.starts[last]]
    assert np.array_equal(np.asarray(first[0]).reshape(expected.shape), expected)
    assert np.array_equal(np.asarray(first[-1]), workload.y[:BATCH])


def first(name: str, workload: Workload) -> dict[str, Any]:
    """Return how long it takes to open and have a first shuffled batch, with all imported and the files in memory."""
    import torch

    torch.set_num_threads(1)
    module, folder = opened(name, workload)
    began = time.perf_counter()
    next(iter(module.open(workload, folder).batches(True, 0)))
    return {"first_ms": (time.perf_counter() - began) * 1000}


def anonymous() -> int:
    """Return the memory of this process that is no map of a file, in MB."""
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) // 1024 for row in rows if row.startswith("Anonymous"))


def line(workload: str, system: str, row: dict[str, Any]) -> str:
    if "error" in row and len(row) < 3:
        return f"{workload} {system}: {row['error']}"
    cells = [f"{mode} {cell(row[mode])}" for mode in MODES if mode in row]
    return f"{workload} {system}: " + "; ".join(cells) + f"; first {row.get('first_ms', 0):.0f} ms; {row['anon_mb']} MB"


def cell(found: dict[str, Any]) -> str:
    return found["error"] if "error" in found else "{ratio:.2g}x [{least:.2g}-{most:.2g}]".format(**found)


def draw(workload: str, rows: dict[str, Any], path: Path) -> None:
    """Draw the ratios as points with their least and most, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter

    names = [name for name in rows if name != "limit" and any(mode in rows[name] for mode in MODES)]
    figure, axes = pyplot.subplots(1, len(MODES), figsize=(15, 1 + 0.35 * len(names)), sharey=True)
    for axis, mode in zip(axes, MODES):
        for k, name in enumerate(names):
            found = rows[name].get(mode, {})
            if "ratio" in found:
                colour = "tab:red" if name == "ours" else "tab:gray"
                axis.plot([found["least"], found["most"]], [k, k], color=colour, linewidth=2, alpha=0.5)
                axis.plot([found["ratio"]], [k], "o", color=colour)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set(xscale="log", title=mode, xlabel="x limit")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    figure.suptitle(workload)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
