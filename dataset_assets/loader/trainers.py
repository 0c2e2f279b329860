"""What trainers look for on torch's DataLoader, for a loader: they set the epoch there, and skip steps after a resume.

This module imports torch, and is imported by that of `Loader`.
"""

from typing import Any, Iterator

from torch.utils.data import Dataset, SequentialSampler

from dataset_assets.core.turns import Place
from dataset_assets.loader.steps import Step


class Steps(SequentialSampler):
    """The steps of the loader's next epoch, as a sampler: each is the list of one place.

    To trainers it is in order: the loader shuffles, and they must not.
    """

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        self.loader = loader

    @property
    def sampler(self) -> "Steps":
        """A batch sampler has a sampler, on which Lightning sets the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Let the loader's next iteration begin this epoch."""
        self.loader.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        epoch, consumed = self.loader.turns.begin()
        for step in self.loader.steps(epoch, consumed):
            yield [(epoch, consumed)]
            consumed = step.after


class Stepped(Dataset[Any]):
    """The batches of a loader by their places: those that follow each other are read in one go."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self._next: Place | None = None
        self._batches: Iterator[Any] = iter(())
        self._steps: Iterator[Step] = iter(())

    def __len__(self) -> int:
        """Return the number of samples, which trainers report."""
        return len(self.loader.view)

    def __getitem__(self, place: Place) -> Any:
        if place != self._next or place[1] == 0:
            self._batches, self._steps = self.loader.epoch(*place), self.loader.steps(*place)
        self._next = None  # if this batch raises
        batch = next(self._batches)
        self._next = (place[0], next(self._steps).after)
        return batch


def only_one(batches: list[Any]) -> Any:
    """Return the batch that a step made."""
    (batch,) = batches
    return batch
