"""What records the samples that a loader hands out."""

from typing import Any, Protocol


class Records(Protocol):
    """Records what a loader hands out, as `dataset_assets.experiments.Ledger` does."""

    def begin(self, loader: Any) -> None:
        """Begin to record a loader."""
        ...

    def consumed(self, epoch: int, start: int, stop: int) -> None:
        """Record that the samples from one position of an epoch's order to another were handed out."""
        ...

    def flush(self) -> None:
        """Write what was recorded: an epoch ended, or is left."""
        ...
