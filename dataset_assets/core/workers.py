"""Calls a function in worker processes, and gives its results in order.

The processes are loky's: they are started without a fork, so that scripts without a main guard, notebooks and threads
do not matter, and functions of `__main__` travel by cloudpickle.
"""

import logging
import os
import pickle
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from itertools import chain, islice
from typing import Any

from dataset_assets.core.bad_sample import BadSample
from dataset_assets.core.settings import settings
from dataset_assets.errors import DatasetAssetsError, DecodeError, SchemaError, SplitFailed, UsageError

HERE_SECONDS = 0.2
"""For how long the work is done in this process: many inputs are done by then, and starting others takes longer."""
CALL_SECONDS = 0.1
MOST_ITEMS = 256
AHEAD = 2
"""How many calls for each process are under way or wait."""
IDLE_SECONDS = 30
MOST_JOBS = 1024

log = logging.getLogger(__name__)

_asked: ContextVar[int | None] = ContextVar("jobs", default=None)


@contextmanager
def using(jobs: int | None) -> Iterator[None]:
    """Use this many processes in the block; None: as many as the setting `jobs` says. Raises `UsageError`."""
    if jobs is not None and (not isinstance(jobs, int) or isinstance(jobs, bool) or not 1 <= jobs <= MOST_JOBS):
        raise UsageError(f"jobs={jobs!r} is not a number of processes. Give 1 to {MOST_JOBS}.")
    token = _asked.set(jobs)
    try:
        yield
    finally:
        _asked.reset(token)


def jobs() -> int:
    """Return how many processes are used: as asked for, or as the setting `jobs` says, where 0 is one a core."""
    return _asked.get() or min(settings().jobs, MOST_JOBS) or _cores()


def in_order(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Yield the function's result for each item, in order; few items and results are held at a time.

    An item whose sample the function cannot make gives a `BadSample` with the error. An item whose process is killed is
    tried once more alone.
    """
    numbered = enumerate(items)
    began, count = time.monotonic(), jobs()
    alone = is_alone(count)
    for number, item in numbered:
        yield _named(function, number, item)
        if not alone and time.monotonic() - began > HERE_SECONDS:
            alone = lacks_pool(count)
            if not alone:
                break
    yield from _Crew(function, count).results(numbered)


def is_alone(count: int) -> bool:
    """Say whether this process does all the work: by choice, or because it may start no other."""
    processes = sys.modules.get("multiprocessing.process")
    return count == 1 or (processes is not None and processes.current_process().daemon)


def lacks_pool(count: int) -> bool:
    """Say, and warn, that the package is not installed by which other processes are started."""
    if lacking := find_spec("loky") is None:
        log.warning("One process works, where %s could: pip install 'dataset_assets[parallel]'.", count)
    return lacking


def new_pool(count: int) -> Any:
    """Start so many processes. Each uses its share of the cores."""
    from loky import ProcessPoolExecutor

    for name in ("stdout", "stderr"):
        # A program without a terminal may have none, and loky flushes both before it starts a process.
        if (stream := getattr(sys, name)) is None or getattr(stream, "closed", False):
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    threads = str(max(1, _cores() // count))
    return ProcessPoolExecutor(count, timeout=IDLE_SECONDS, env={"OMP_NUM_THREADS": threads})


class _Crew:
    """Worker processes that call one function."""

    def __init__(self, function: Callable[[Any], Any], count: int) -> None:
        self.function, self.count, self.size = function, count, 1
        self.pool: Any = None

    def results(self, numbered: Iterator[tuple[int, Any]]) -> Iterator[Any]:
        """Yield the results of numbered items in order."""
        sent = ((number, self._sent(number, item)) for number, item in numbered)
        running: deque[tuple[Future[Any] | None, list[tuple[int, bytes]]]] = deque()
        try:
            while True:
                while len(running) < AHEAD * self.count and (some := list(islice(sent, self.size))):
                    running.append((self._begun(some), some))
                if not running:
                    return
                future, some = running.popleft()
                try:
                    if future is None:
                        raise killed()("It could not begin.")
                    seconds, results = future.result()
                except killed():
                    # All that was under way is lost with the pool.
                    lost = [some, *(more for _, more in running)]
                    running.clear()
                    yield from chain.from_iterable(self._one_by_one(more) for more in lost)
                    continue
                self._resize(seconds, len(some))
                yield from map(pickle.loads, results)
        finally:
            self._end()

    def _sent(self, number: int, item: Any) -> bytes:
        """Return an item as bytes, before the next one is made, which may fill the same buffer."""
        import cloudpickle

        try:
            data: bytes = cloudpickle.dumps(item)
        except Exception as error:
            raise SplitFailed(
                f"Item {number}, a {type(item).__name__}, cannot be sent to another process ({error}). Yield bytes, "
                "texts, numbers or arrays, such as member.read(), or use one process: --jobs 1."
            ) from error
        return data

    def _begun(self, some: list[tuple[int, bytes]]) -> "Future[Any] | None":
        """Begin a call; return None if the processes have ended."""
        if self.pool is None:
            self.pool = new_pool(self.count)
        try:
            begun: Future[Any] = self.pool.submit(_called, self.function, some)
        except killed():
            return None
        return begun

    def _one_by_one(self, some: list[tuple[int, bytes]]) -> Iterator[Any]:
        """Yield the results of items that were lost, each called alone, so that the one that kills is known."""
        for number, item in some:
            self._end()
            try:
                begun = self._begun([(number, item)])
                assert begun is not None, "new processes live"
                yield from map(pickle.loads, begun.result()[1])
            except killed() as error:
                raise killed_again(f"called {_name(self.function)} for item {number}", "the item", error) from error

    def _resize(self, seconds: float, count: int) -> None:
        """Let a call take so long that handing it over does not matter."""
        if seconds < CALL_SECONDS / 2 and count == self.size:
            self.size = min(self.size * 2, MOST_ITEMS)
        elif seconds > CALL_SECONDS * 2:
            self.size = max(1, self.size // 2)

    def _end(self) -> None:
        """Stop the processes, whose work nobody wants."""
        if self.pool is not None:
            self.pool.shutdown(wait=False, kill_workers=True)
            self.pool = None


def _cores() -> int:
    """Return how many cores this process may use."""
    # Only Linux says it.
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _called(function: Callable[[Any], Any], some: list[tuple[int, bytes]]) -> tuple[float, list[Any]]:
    """Return the seconds and results of a call for some items; this runs in a worker."""
    began = time.monotonic()
    # Each is pickled before the next call, which may fill the same buffer.
    results = [_packed(function, number, _named(function, number, pickle.loads(item))) for number, item in some]
    return time.monotonic() - began, results


def _packed(function: Callable[[Any], Any], number: int, result: Any) -> bytes:
    """Return a result as bytes. Raises `SplitFailed` for one that cannot be sent to another process."""
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(result)
    except Exception as error:
        raise SplitFailed(
            f"the function {_name(function)} returned for item {number} what cannot be sent to another process "
            f"({type(error).__name__}: {error}). Return arrays, numbers, texts and bytes, or use one process: --jobs 1."
        ) from error
    return data


def _named(function: Callable[[Any], Any], number: int, item: Any) -> Any:
    """Return the function's result, or a `BadSample` for an item of which it makes none."""
    try:
        return function(item)
    except (DecodeError, SchemaError) as error:
        return BadSample(error, error=error)
    except DatasetAssetsError:
        raise
    except (Exception, SystemExit) as error:
        why = f": {text}" if (text := str(error).rstrip(".")) else ""
        said = f"the function {_name(function)} raised {type(error).__name__} for item {number}{why}"
        failed = SplitFailed(f"{said}. Correct it.")
        failed.__cause__ = error
        return BadSample(said, error=failed)


def _name(function: Callable[[Any], Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def killed() -> type[Exception]:
    """Return the error of a call that was lost because a process was killed."""
    from loky.process_executor import BrokenProcessPool

    found: type[Exception] = BrokenProcessPool
    return found


def killed_again(work: str, what: str, error: Exception) -> SplitFailed:
    """Return the error for work whose process ended twice; `error` has the exit code of the process, or not."""
    code = re.search(r"\{(SIG\w+|EXIT)\((-?\d+)\)\}", str(error))
    if code and code[1] != "SIGKILL":
        how = f"exit code {code[2]}" if code[1] == "EXIT" else code[1]
        return SplitFailed(
            f"The process that {work} ended with {how}, also when it was the only one. The function, or a library that "
            "it uses, ends it or crashes: correct that."
        )
    return SplitFailed(
        f"The process that {work} was killed, also when it was the only one. Perhaps {what} needs more memory than "
        "there is: use fewer processes (--jobs 1), or smaller parts."
    )
