"""A split's function in two parts: one that yields cheap items in order, and one that makes samples of each."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from dataset_assets.core.workers import in_order
from dataset_assets.errors import DefinitionError


class ParallelMap:
    """The function of a split whose work is done by several processes: `Split(ParallelMap(rows, decode), file=...)`.

    `items` is called with the arguments of the split, as any function of a split is, and yields items in order here:
    the bytes of a picture, the name of a file. `function` is called with each of them, in one of several processes, and
    returns a sample, a block, or a list of them. What it returns is stored in the order of the items, so the digests
    are the same whatever the number of processes is: `prepare(..., jobs=)`, `--jobs`, or the setting `jobs`.

    `function` must not depend on what it was called with before. If it raises, the split fails with the number of the
    item, or with `Dataset(on_error="skip")` the item is left out and listed.
    """

    # Their code decides what it yields.
    __recipe_parts__ = ("items", "function")

    def __init__(self, items: Callable[..., Any], function: Callable[[Any], Any]) -> None:
        for each in (items, function):
            if not callable(each) or not hasattr(each, "__qualname__"):
                raise DefinitionError(f"{each!r} is not a plain function. Give two: ParallelMap(items, function).")
        self.items, self.function = items, function
        # It stands for the function that is called with the arguments of the split.
        self.__name__, self.__qualname__, self.__module__ = items.__name__, items.__qualname__, items.__module__
        self.__signature__ = inspect.signature(items)

    def __call__(self, **arguments: Any) -> Iterator[Any]:
        """Yield the samples and blocks in order."""
        for result in in_order(self.function, self.items(**arguments)):
            yield from result if isinstance(result, list) else (result,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParallelMap) and (self.items, self.function) == (other.items, other.function)

    def __hash__(self) -> int:
        return hash((self.items, self.function))

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return ParallelMap, (self.items, self.function)

    def __repr__(self) -> str:
        return f"ParallelMap({self.items.__qualname__}, {self.function.__qualname__})"
