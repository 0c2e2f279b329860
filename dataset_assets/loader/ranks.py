"""Which of how many processes this one is."""

import os
import sys

from dataset_assets.errors import UsageError
from dataset_assets.loader.arguments import whole


def ranks(rank: int | None = None, world: int | None = None) -> tuple[int, int]:
    """Return rank and world size: as given, else of torch.distributed, else of the environment, else 0 of 1.

    Raises `UsageError` for one without the other, and for a rank that is not in the world.
    """
    if (rank is None) != (world is None):
        raise UsageError("Give both rank and world, or neither.")
    if rank is None or world is None:
        rank, world = _of_torch() or _of_environment()
    rank, world = whole("rank", rank, 0), whole("world", world, 1)
    if rank >= world:
        raise UsageError(f"There is no rank {rank} in a world of {world}. Ranks are counted from 0.")
    return rank, world


def _of_torch() -> tuple[int, int] | None:
    # Whoever has not imported it cannot have initialised it.
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank()), int(distributed.get_world_size())


def _of_environment() -> tuple[int, int]:
    found = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE")}
    if not any(found.values()):
        return 0, 1
    try:
        return int(found["RANK"] or ""), int(found["WORLD_SIZE"] or "")
    except ValueError:
        said = ", ".join(f"{name}={value}" for name, value in found.items())
        raise UsageError(f"The environment has {said}. Set both to numbers, or give rank= and world=.") from None
