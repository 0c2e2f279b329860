"""torchdata.nodes: a sampler of index batches, gathers on threads, a queue of what is ready."""

from typing import Any

import torchdata.nodes as nodes
from workloads import Workload

from systems import torch_gather
from systems.torch_gather import Gather, prepare

NEEDS = ("torch", "torchdata")
__all__ = ["NEEDS", "open", "prepare"]


class Nodes(Gather):
    def batches(self, shuffled: bool, workers: int) -> Any:
        order = nodes.SamplerWrapper(self.of.orders(shuffled))
        mapped = nodes.ParallelMapper(order, self.take, num_workers=max(1, workers), method="thread", in_order=True)
        return nodes.Loader(nodes.Prefetcher(mapped, prefetch_factor=4))


def open(workload: Workload, folder: Any) -> torch_gather.Gather:
    return Nodes(workload)
