"""The limit: one thread that gathers rows of a map into one and the same array."""

from pathlib import Path
from typing import Any, Iterator

import numpy as np
import torch
from workloads import BATCH, Workload

NEEDS = ()


def prepare(workload: Workload, folder: Path) -> None:
    """The arrays are read as they are."""


class Limit:
    def __init__(self, workload: Workload) -> None:
        self.of = workload

    def batches(self, shuffled: bool, workers: int) -> Iterator[Any]:
        return self._dense(shuffled) if self.of.dense else self._sequences(shuffled)

    def samples(self) -> Iterator[Any]:
        of = self.of
        if of.dense:
            for lo in range(0, of.samples, 4096):
                yield from zip(torch.from_numpy(of.x[lo : lo + 4096]).unbind(0), of.y[lo : lo + 4096].tolist())
            return
        starts, labels, tokens = of.starts.tolist(), of.y.tolist(), of.tokens
        for i in range(of.samples):
            yield tokens[starts[i] : starts[i + 1]], labels[i]

    def get(self, i: int) -> Any:
        return self.of[i], self.of.y[i]

    def _dense(self, shuffled: bool) -> Iterator[Any]:
        of = self.of
        x, y = np.empty((BATCH, *of.shape), of.dtype), np.empty(BATCH, np.int64)
        as_x, as_y = torch.from_numpy(x), torch.from_numpy(y)
        for k, rows in enumerate(of.orders(shuffled)):
            size = len(rows)
            if shuffled:
                # mode: with "raise", the default, numpy fills a second buffer first.
                np.take(of.x, rows, 0, out=x[:size], mode="clip")
                np.take(of.y, rows, 0, out=y[:size], mode="clip")
            else:
                x[:size], y[:size] = of.x[k * BATCH : k * BATCH + size], of.y[k * BATCH : k * BATCH + size]
            yield as_x[:size], as_y[:size]

    def _sequences(self, shuffled: bool) -> Iterator[Any]:
        of, room = self.of, np.empty(2000 * BATCH, self.of.dtype)
        tensor = torch.from_numpy(room)
        for rows in of.orders(shuffled):
            lows, highs, at = of.starts[rows], of.starts[rows + 1], 0
            for lo, hi in zip(lows.tolist(), highs.tolist()):
                room[at : at + hi - lo] = of.tokens[lo:hi]
                at += hi - lo
            yield tensor[:at], torch.from_numpy(highs - lows), torch.from_numpy(of.y[rows])


def open(workload: Workload, folder: Path) -> Limit:
    return Limit(workload)
