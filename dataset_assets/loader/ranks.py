"""The rank of this process, and the number of ranks."""

import os
import sys

from dataset_assets.errors import UsageError
from dataset_assets.loader.arguments import whole


def ranks(rank: int | None = None, world: int | None = None) -> tuple[int, int]:
    """Return rank and world size: as given, else from torch.distributed, else from the environment, else 0 of 1.

    Raises `UsageError` for a rank without a world or the reverse, and for a rank outside the world.
    """
    if (rank is None) != (world is None):
        given, missing = ("rank", "world") if world is None else ("world", "rank")
        raise UsageError(f"{given} is given without {missing}. Give both rank and world, or neither.")
    if rank is None or world is None:
        rank, world = _of_torch() or _of_environment()
    rank, world = whole("rank", rank, 0), whole("world", world, 1)
    if rank >= world:
        raise UsageError(f"rank is {rank}, but world is {world}. Give a rank from 0 to {world - 1}.")
    return rank, world


def _of_torch() -> tuple[int, int] | None:
    # A program that has not imported torch.distributed has not initialised it.
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank()), int(distributed.get_world_size())


def _of_environment() -> tuple[int, int]:
    variables = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE")}
    if not any(variables.values()):
        return 0, 1
    try:
        return int(variables["RANK"] or ""), int(variables["WORLD_SIZE"] or "")
    except ValueError:
        values = ", ".join(f"{name}={value}" for name, value in variables.items())
        raise UsageError(f"The environment has {values}. Set both to numbers, or give rank= and world=.") from None
