"""Engines: who does the work of the parts of a split. Ours, and those of plugins in the group `engines`."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Protocol, TypeVar

from dataset_assets.core import plugins
from dataset_assets.core.lazy import Table
from dataset_assets.core.settings import settings
from dataset_assets.errors import UsageError, nearest

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Calls a function for many tasks. `EngineTests` in `dataset_assets.testing` says what it must keep."""

    shares_disk: ClassVar[bool]
    """Whether its processes read and write the folders of this one."""

    def each(self, function: Callable[[T], R], tasks: Iterable[tuple[str, T]], jobs: int) -> Iterator[R]:
        """Yield the result of each task when it ends, in any order; `jobs` of them are done at a time.

        Few tasks are taken before their time. Function and tasks travel by cloudpickle. What the function raises is
        raised. A task whose process is killed is done once more, alone; if that is killed too, a `SplitFailed` has the
        name of the task. When the iterator is closed, the work ends.
        """
        ...


ENGINES: Table[type[Any]] = Table(
    {
        "here": f"{__name__}.here:Here",
        "processes": f"{__name__}.processes:Processes",
        "ray": f"{__name__}.ray_tasks:RayTasks",
    }
)
"""Our engines by their names."""

_asked: ContextVar[str | None] = ContextVar("engine", default=None)


@contextmanager
def using_engine(name: str | None) -> Iterator[None]:
    """Use this engine in the block; None: that of the setting `engine`. Raises `UsageError` if it is not known."""
    token = _asked.set(None if name is None else see_known(name))
    try:
        yield
    finally:
        _asked.reset(token)


def engine() -> Engine:
    """Return the engine that was asked for, or that of the setting. Raises `UsageError`."""
    found: Engine = _found(_asked.get() or settings().engine)()
    return found


def see_known(name: str) -> str:
    """Return the name of an engine. Raises `UsageError` if it is not known."""
    _found(name)
    return name


def _found(name: str) -> Any:
    kind = (ENGINES.get(name) or plugins.provided("engines", name)) if isinstance(name, str) else None
    if kind is None:
        known = [*ENGINES, *plugins.names("engines")]
        raise UsageError(f"engine={name!r:.80} is not known.{nearest(str(name), known)} Use one of {', '.join(known)}.")
    return kind
