"""The engine of this machine: other processes, which are loky's."""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import chain, islice
from typing import Any, ClassVar

from dataset_assets.core.workers import is_alone, killed, killed_again, lacks_pool, new_pool
from dataset_assets.making.engines import R, T
from dataset_assets.making.engines.here import Here
from dataset_assets.making.engines.sending import called, packed

log = logging.getLogger(__name__)


class Processes:
    """Does the tasks in other processes of this machine. A single task is done in this one."""

    shares_disk: ClassVar[bool] = True

    def each(self, function: Callable[[T], R], tasks: Iterable[tuple[str, T]], jobs: int) -> Iterator[R]:
        """Yield the result of each task when it ends."""
        waiting = iter(tasks)
        first = [*islice(waiting, 2)]
        every = chain(first, waiting)
        if len(first) < 2 or is_alone(jobs) or lacks_pool(jobs):
            yield from Here().each(function, every, jobs)
            return
        with_names = ((name, packed(name, function, task)) for name, task in every)
        yield from _Pool(jobs).results(with_names)


class _Pool:
    """Processes that are replaced when one of them is killed."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.pool: Any = None
        self.running: dict[Future[Any], tuple[str, bytes]] = {}

    def results(self, tasks: Iterator[tuple[str, bytes]]) -> Iterator[Any]:
        try:
            while True:
                # One more than there are processes, which begins when a process is free.
                for name, task in islice(tasks, self.jobs + 1 - len(self.running)):
                    self.running[self._begun(task, self.jobs)] = name, task
                if not self.running:
                    return
                ended, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in ended:
                    if isinstance(future.exception(), killed()):
                        yield from self._again()
                        break
                    del self.running[future]
                    yield future.result()
        finally:
            self._end()

    def _begun(self, task: bytes, count: int) -> "Future[Any]":
        if self.pool is None:
            self.pool = new_pool(count)
        try:
            found: Future[Any] = self.pool.submit(called, task)
        except killed() as error:
            found = Future()
            found.set_exception(error)
        return found

    def _again(self) -> Iterator[Any]:
        """Yield the results of all tasks under way: with one process, all others end."""
        lost = []
        for future, each in self.running.items():
            if isinstance(future.exception(), killed()):
                lost.append(each)
            else:
                yield future.result()
        self.running = {}
        log.warning(
            "A process was killed while it made one of these, which are made again, each alone: %s.",
            ", ".join(name for name, _ in lost),
        )
        self._end()
        for name, task in lost:
            try:
                yield self._begun(task, 1).result()
            except killed() as error:
                raise killed_again(f"made {name}", "the part", error) from error
        self._end()

    def _end(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=False, kill_workers=True)
            self.pool = None
