"""Hugging Face datasets in torch format, a whole batch of indices at once: the way its documentation calls fast."""

from pathlib import Path
from typing import Any

from workloads import Workload

from systems import batch_of
from systems.huggingface_arrow import NEEDS, Arrow, prepare

__all__ = ["NEEDS", "open", "prepare"]


class Torch(Arrow):
    FORMAT = "torch"

    def batch(self, found: Any) -> Any:
        if self.of.dense:
            return found["x"].view(-1, *self.of.shape), found["y"]
        return batch_of(self.of, [each.numpy() for each in found["x"]], found["y"])

    def samples(self) -> Any:
        return ((found["x"], found["y"]) for found in self.data)

    def get(self, i: int) -> Any:
        return self.data[i]


def open(workload: Workload, folder: Path) -> Torch:
    return Torch(workload, folder)
