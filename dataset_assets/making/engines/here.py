"""The engine without other processes."""

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

from dataset_assets.making.engines import R, T


class Here:
    """Does one task after another in this process."""

    shares_disk: ClassVar[bool] = True

    def each(self, function: Callable[[T], R], tasks: Iterable[tuple[str, T]], jobs: int) -> Iterator[R]:
        """Yield the result of each task in order."""
        for _, task in tasks:
            yield function(task)
