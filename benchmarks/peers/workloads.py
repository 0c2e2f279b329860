"""What every system has to read: arrays of the same values for all, made once.

Dense workloads have rows of one shape; W4 has token sequences of 50 to 2,000. Each sample has a label beside it.
"""

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Iterator

import numpy as np

BATCH = 256
CHUNK = 50_000


@dataclass(frozen=True)
class Workload:
    """Samples of one kind. `shape` is None for token sequences; `root` holds the arrays and each system's files."""

    name: str
    samples: int
    dtype: str
    shape: tuple[int, ...] | None
    root: Path

    @cached_property
    def folder(self) -> Path:
        """Where the arrays lie; they are made if they are not there."""
        folder = self.root / "raw" / f"{self.name}-{self.samples}"
        if not folder.exists():
            making = folder.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            self._make(making)
            making.rename(folder)
        return folder

    @cached_property
    def x(self) -> np.ndarray:
        """Of dense samples: all of them, as a map."""
        return np.load(self.folder / "x.npy", mmap_mode="c")  # torch refuses read-only arrays

    @cached_property
    def y(self) -> np.ndarray:
        """The labels, in memory."""
        return np.load(self.folder / "y.npy")

    @cached_property
    def tokens(self) -> np.ndarray:
        """Of sequences: all tokens one after the other, as a map."""
        return np.load(self.folder / "tokens.npy", mmap_mode="c")

    @cached_property
    def starts(self) -> np.ndarray:
        """Of sequences: where each begins, and the end."""
        return np.load(self.folder / "starts.npy")

    @property
    def dense(self) -> bool:
        return self.shape is not None

    @property
    def width(self) -> int:
        """How many values a dense sample has."""
        return int(np.prod(self.shape or ()))

    @property
    def bytes(self) -> int:
        return (self.x.nbytes if self.dense else self.tokens.nbytes + self.starts.nbytes) + self.y.nbytes

    def __getitem__(self, i: int) -> np.ndarray:
        return self.x[i] if self.dense else self.tokens[self.starts[i] : self.starts[i + 1]]

    def arrow(self, lo: int, hi: int) -> Any:
        """Return some samples as an arrow table, without a copy where that can be."""
        import pyarrow as pa

        if self.dense:
            x = pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(self.x[lo:hi]).reshape(-1)), self.width)
        else:
            starts = self.starts[lo : hi + 1]
            values = np.asarray(self.tokens[starts[0] : starts[-1]])
            x = pa.LargeListArray.from_arrays(pa.array(starts - starts[0]), pa.array(values))
        return pa.table({"x": x, "y": self.y[lo:hi]})

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield the bounds of pieces that fit in memory."""
        for lo in range(0, self.samples, CHUNK):
            yield lo, min(lo + CHUNK, self.samples)

    def orders(self, shuffled: bool) -> list[np.ndarray]:
        """Return the indices of each batch of an epoch."""
        n = self.samples
        order = np.random.default_rng(1).permutation(n) if shuffled else np.arange(n)
        return [order[at : at + BATCH] for at in range(0, n, BATCH)]

    def _make(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        np.save(folder / "y.npy", rng.integers(0, 10, self.samples).astype(np.int64))
        if not self.dense:
            starts = np.concatenate([[0], np.cumsum(rng.integers(50, 2001, self.samples))]).astype(np.int64)
            np.save(folder / "starts.npy", starts)
            np.save(folder / "tokens.npy", rng.integers(0, 50_000, starts[-1], dtype=np.int32))
            return
        x = np.lib.format.open_memmap(folder / "x.npy", "w+", self.dtype, (self.samples, *self.shape))
        for lo, hi in self.pieces():
            shape = (hi - lo, *self.shape)
            whole = np.dtype(self.dtype).kind == "u"
            x[lo:hi] = rng.integers(0, 256, shape, np.uint8) if whole else rng.random(shape, np.float32)
        x.flush()


def workloads(root: Path, scale: float = 1.0) -> dict[str, Workload]:
    """Return the workloads by name; `scale` makes all of them smaller."""
    kinds: list[tuple[str, int, str, tuple[int, ...] | None]] = [
        ("W1", 60_000, "uint8", (28, 28)),
        ("W3", 2_000_000, "float32", (32,)),
        ("W4", 200_000, "int32", None),
        ("W5", 2_000_000, "float32", (1024,)),
    ]
    return {name: Workload(name, int(n * scale), dtype, shape, root) for name, n, dtype, shape in kinds}
