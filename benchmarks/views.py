"""Reading through stacks of views, against one view, the map, and loops that others write.

    python benchmarks/views.py [--samples 60000] [--repeats 7]

All run in turn in one process; what counts is the median of the ratios of each turn. Goals are beside each. DataStack's
own loop is measured where it is installed (`pip install --no-deps datastack==0.0.13`), `torch.unbind` where torch is.
"""

import argparse
import random
import statistics
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np

from dataset_assets import View
from dataset_assets.formats import Array
from dataset_assets.reading.views import Origin, Stored
from dataset_assets.testing.formats import written


def stored(folder: Path, samples: int, width: int) -> tuple[View, Any, Any]:
    """Return a view of two streams that lie in files, and the maps of these."""
    rng = np.random.default_rng(0)
    values = {"x": rng.integers(0, 255, (samples, width), np.uint8), "y": rng.integers(0, 10, samples)}
    columns, maps = {}, []
    for name, array in values.items():
        kind = Array()
        (folder / name).mkdir()
        parts, parameters = written(kind, [array], folder / name, 1 << 30)
        columns[name] = Array(**parameters).open([part.path.open("rb") for part in parts])
        maps.append(np.load(parts[0].path, mmap_mode="r"))
    return Stored(Origin("org.example.measured", "all", "0" * 64, roles={"target": "y"}), columns), *maps


class PerSample:
    """A loop as DataStack has it: each sample an object that the iterator is asked for, by its index, in a view."""

    def __init__(self, columns: list[Any], indices: list[int]) -> None:
        self.columns, self.indices = columns, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> tuple[Any, ...]:
        row = self.indices[i]
        return tuple(column[row] for column in self.columns)


def per_sample_loop(columns: list[Any], count: int) -> None:
    rows = PerSample(columns, list(range(count)))
    for i in range(len(rows)):
        rows[i]


def unbound_loop(x: Any, y: Any) -> None:
    """Split whole arrays into rows at once, which numpy does sooner than `torch.unbind`, and go over the pairs."""
    for _ in zip(list(np.asarray(x)), list(np.asarray(y))):
        pass


def of_others(x: Any, y: Any) -> dict[str, Callable[[], None]]:
    """Return the loops of libraries that are installed, on values in memory."""
    found: dict[str, Callable[[], None]] = {}
    x, y = np.array(x), np.array(y)
    if find_spec("torch"):
        import torch

        def unbound() -> Iterator[Any]:
            for lo in range(0, len(x), 4096):
                yield from zip(torch.from_numpy(x[lo : lo + 4096]).unbind(0), y[lo : lo + 4096].tolist())

        found["torch.unbind"] = lambda: gone_through(unbound())
    if find_spec("data_stack"):
        from data_stack.dataset.iterator import SequenceDatasetIterator

        rows = SequenceDatasetIterator([x, y.tolist()])
        found["DataStack"] = lambda: gone_through(rows[i] for i in range(len(rows)))
    return found


def gone_through(rows: Any) -> None:
    for _ in rows:
        pass


def iterated(view: View) -> None:
    for _ in view:
        pass


def reported(view: View) -> None:
    view.report()


def rows_read(view: View, places: list[int]) -> None:
    for i in places:
        view[i]


def map_rows_read(x: Any, y: Any, places: list[int]) -> None:
    for i in places:
        x[i], y[i]


def stacked(view: View, levels: int) -> View:
    kinds: list[Callable[[View], View]] = [
        lambda below: below.shuffle(1),
        lambda below: below[::-1],
        lambda below: below.random_split((0.9999, 0.0001))[0],
        lambda below: below.shuffle(2),
    ]
    for level in range(levels):
        view = kinds[level % 4](view)
    return view


Times = dict[str, list[float]]


def timed(runs: dict[str, Callable[[], None]], repeats: int) -> Times:
    """Return the seconds of each, all of them run in turn."""
    times: Times = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:  # the first turn warms the pages, and computes orders
                times[name].append(time.perf_counter() - start)
    return times


def ratio(times: Times, slow: str, fast: str) -> float:
    """Return how many times as long one takes as another."""
    return statistics.median(one / other for one, other in zip(times[slow], times[fast]))


GOALS = (
    ("4 rearranging views to one", "one", "four", ">= 0.9"),
    ("20 rearranging views to one", "one", "twenty", ">= 0.75"),
    ("random single sample to a row of each map", "map", "random", ">= 0.8"),
    ("iteration to the loop over unbound rows", "unbound", "plain", ">= 0.7"),
    ("iteration to torch.unbind, 4,096 at a time", "torch.unbind", "plain", ">= 0.7"),
    ("iteration to DataStack's own", "DataStack", "plain", ">= 1.0"),
    ("iteration to a per-sample loop on maps", "per sample", "plain", ">= 1.0"),
    ("iteration to a per-sample loop in memory", "per sample in memory", "plain", ">= 1.0"),
    ("a sample of 1,000 parts to one of 10", "of 10 parts", "of 1000 parts", "> 0.5: O(log parts)"),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        view, x, y = stored(Path(folder), given.samples, 784)
        places = [random.Random(0).randrange(given.samples) for _ in range(20_000)]
        parts = view[:0].concat(*(view[k::1000] for k in range(1000)))
        ten = view[:0].concat(*(view[k::10] for k in range(10)))
        one, four, twenty = (stacked(view, levels) for levels in (1, 4, 20))
        found = timed(
            {
                "one": lambda: iterated(one),
                "four": lambda: iterated(four),
                "twenty": lambda: iterated(twenty),
                "plain": lambda: iterated(view),
                "unbound": lambda: unbound_loop(x, y),
                "per sample": lambda: per_sample_loop([x, y], given.samples),
                "per sample in memory": lambda: per_sample_loop([np.asarray(x), np.asarray(y)], given.samples),
                "random": lambda: rows_read(view, places),
                "map": lambda: map_rows_read(x, y, places),
                "of 10 parts": lambda: rows_read(ten, places),
                "of 1000 parts": lambda: rows_read(parts, places),
                "report": lambda: reported(four.concat(one)),
            }
            | of_others(x, y),
            given.repeats,
        )
    report, plain = (statistics.median(found[name]) for name in ("report", "plain"))
    print(f"report of {len(four) + len(one):,} samples: {report:.3f} s   goal < 1 s")
    print(f"plain iteration: {given.samples / plain:,.0f} samples/s")
    # A split leaves some out: what has fewer samples is not faster for it.
    shares = {"four": len(four) / len(one), "twenty": len(twenty) / len(one)}
    for what, slow, fast, goal in GOALS:
        if slow in found:
            print(f"{what:45} {ratio(found, slow, fast) * shares.get(fast, 1):5.2f}   goal {goal}")


if __name__ == "__main__":
    main()
