"""Preparing batches ahead on threads, in order; and saying which sample is stuck where one does not come.

The threads are daemons, not those of an executor: Python waits for these at its end, also for one that hangs.
"""

import sys
import threading
import traceback
from collections import deque
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, Iterable, Iterator, Protocol, TypeVar

from dataset_assets.errors import TimedOut

T = TypeVar("T")


class Job(Protocol[T]):
    """Makes some batches; last in what it returns may be the error of the one after them."""

    def __call__(self) -> list[T | Exception]: ...

    def place(self) -> str:
        """Say what is being made, for a message."""
        ...


class Task(Future[list[T | Exception]], Generic[T]):
    """A job that a thread is to do."""

    thread: int | None = None

    def __init__(self, job: Job[T]) -> None:
        super().__init__()
        self.job = job
        self._taken = threading.Lock()

    def take(self) -> bool:
        """Return whether the caller is the first, who is to do it."""
        return self._taken.acquire(blocking=False)

    def do(self) -> None:
        self.thread = threading.get_ident()
        try:
            found = self.job()
        except BaseException as error:
            self.set_exception(error)
        else:
            self.set_result(found)


def ahead(
    jobs: Iterator[Job[T]], threads: int, prefetch: int, timeout: float | None, helping: bool = False
) -> Iterator[T]:
    """Yield what the jobs make, in their order; each thread is up to `prefetch` jobs ahead. 0 threads do it here.

    Without a timeout the caller does what no thread has begun when it is its turn; and, `helping`, what comes after it
    while he would wait.

    Raises what a job raises, when it is its turn, and `TimedOut` if it takes longer than `timeout` seconds from then.
    """
    if threads < 1:
        for job in jobs:
            yield from given(job())
        return
    todo: SimpleQueue[Task[T] | None] = SimpleQueue()
    waiting: deque[Task[T]] = deque()
    for number in range(threads):
        threading.Thread(target=_work, args=(todo,), name=f"dataset_assets-loader-{number}", daemon=True).start()
    try:
        for job in jobs:
            waiting.append(Task(job))
            todo.put(waiting[-1])
            if len(waiting) > prefetch * threads:
                yield from given(_result(waiting.popleft(), timeout, waiting if helping else ()))
        while waiting:
            yield from given(_result(waiting.popleft(), timeout, waiting if helping else ()))
    finally:
        for task in waiting:
            task.take()
        for _ in range(threads):
            todo.put(None)


def given(found: list[T | Exception]) -> Iterator[T]:
    """Yield what a job made, and raise its error after that."""
    for made in found:
        if isinstance(made, Exception):
            raise made
        yield made


def _work(todo: "SimpleQueue[Task[T] | None]") -> None:
    while (task := todo.get()) is not None:
        if task.take():
            task.do()
        # Else its batches were kept until the next task comes.
        del task


def _result(task: Task[T], timeout: float | None, later: Iterable[Task[T]]) -> list[T | Exception]:
    # To wait for a thread takes longer than a short job; but nobody would watch over what the caller does.
    if timeout is None:
        for other in (task, *later):
            if task.done():
                break
            if other.take():
                other.do()
    try:
        return task.result(timeout)
    except TimeoutError as error:
        if task.done():  # the job's own
            raise
        raise TimedOut(
            f"{task.job.place()} was not made within {timeout:g} s{_whereabouts(task.thread)}. Raise timeout= if it "
            "takes as long; else look at what this line waits for."
        ) from error


def _whereabouts(thread: int | None) -> str:
    """Say which line a thread is at."""
    frame = sys._current_frames().get(thread) if thread is not None else None
    if frame is None:
        return ": no thread has begun with it"
    last = traceback.extract_stack(frame)[-1]
    return f"; its thread is in {last.name}, {last.filename}:{last.lineno}"
