"""The rank of this process, and the number of ranks."""

import os
import sys
from typing import Any

from dataset_assets.core.turns import in_worker
from dataset_assets.errors import UsageError
from dataset_assets.loader.arguments import whole

RankOf = tuple[int, int]
"""A rank, and the number of ranks."""


def ranks(rank: int | None = None, world: int | None = None) -> RankOf:
    """Return rank and world size: as given, else from torch.distributed, else from the environment, else 0 of 1.

    Raises `UsageError` for a rank without a world or the reverse, and for a rank outside the world.
    """
    return given(rank, world) or _checked(*(_of_torch() or _of_environment() or (0, 1)))


def given(rank: int | None, world: int | None) -> RankOf | None:
    """Return rank and world as they were given, or None if neither was. Raises `UsageError` as `ranks` does."""
    if (rank is None) != (world is None):
        present, missing = ("rank", "world") if world is None else ("world", "rank")
        raise UsageError(f"{present} is given without {missing}. Give both rank and world, or neither.")
    return None if rank is None or world is None else _checked(rank, world)


class Ranks:
    """The rank of the process that asks, as it is then: one that was given stays, in every process.

    In a pickle it goes to the workers of torch's DataLoader, which have the rank of their parent. Any other process
    has to have a rank of its own, if the sender had one of several.
    """

    def __init__(self, rank: int | None, world: int | None) -> None:
        self.given = given(rank, world)
        self._sender: RankOf | None = None

    def now(self) -> RankOf:
        """Return rank and world. Raises `UsageError` for another process than that of the sender without a rank."""
        own = self.given or _of_torch()
        if own is None and self._sender is not None and in_worker():
            return self._sender
        own = own or _of_environment()
        if own is None and self._sender is not None and self._sender[1] > 1:
            rank, world = self._sender
            raise UsageError(
                f"The loader came from rank {rank} of {world} and is used in a process without a rank. Give rank= and "
                "world= when you make it, or call torch.distributed.init_process_group() before you iterate."
            )
        return _checked(*(own or (0, 1)))

    def __getstate__(self) -> dict[str, Any]:
        try:
            return {"given": self.given, "_sender": self.now()}
        except UsageError:
            return self.__dict__


def _checked(rank: int, world: int) -> RankOf:
    rank, world = whole("rank", rank, 0), whole("world", world, 1)
    if rank >= world:
        raise UsageError(f"rank is {rank}, but world is {world}. Give a rank from 0 to {world - 1}.")
    return rank, world


def _of_torch() -> RankOf | None:
    # A program that has not imported torch.distributed has not initialised it.
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank()), int(distributed.get_world_size())


def _of_environment() -> RankOf | None:
    variables = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE")}
    if not any(variables.values()):
        return None
    try:
        return int(variables["RANK"] or ""), int(variables["WORLD_SIZE"] or "")
    except ValueError:
        values = ", ".join(f"{name}={value}" for name, value in variables.items())
        raise UsageError(f"The environment has {values}. Set both to numbers, or give rank= and world=.") from None
