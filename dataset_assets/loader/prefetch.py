"""Prepares batches ahead on threads, in order, and names the sample that takes too long.

The threads are daemons. Python waits for the threads of an executor when it exits, even for one that hangs. Here it
waits for at most `ENDING_SECONDS`: if a thread is inside of a library of C++ then, such as pyarrow, the process aborts.
"""

import atexit
import os
import sys
import threading
import time
import traceback
from collections import deque
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Generic, Iterable, Iterator, Protocol, TypeVar

from dataset_assets.errors import TimedOut

T = TypeVar("T")

ENDING_SECONDS = 2.0

_busy: set[int] = set()
_ending = threading.Event()


class Job(Protocol[T]):
    """Makes some batches. The last item of the list may be the error of the next batch."""

    def __call__(self) -> list[T | Exception]: ...

    def place(self) -> str:
        """Name the samples of the job, for a message."""
        ...

    def more(self, timeout: float) -> float:
        """Return the seconds for which to wait beyond a timeout, if something beside the batches had to be made."""
        ...


class Task(Future[list[T | Exception]], Generic[T]):
    """A job in the queue, and its result."""

    thread: int | None = None

    def __init__(self, job: Job[T]) -> None:
        super().__init__()
        self.job = job
        self._taken = threading.Lock()

    def take(self) -> bool:
        """Return True for the first caller, which then does the job."""
        return self._taken.acquire(blocking=False)

    def do(self) -> None:
        self.thread = threading.get_ident()
        try:
            batches = self.job()
        except BaseException as error:
            self.set_exception(error)
        else:
            self.set_result(batches)


def ahead(
    jobs: Iterator[Job[T]], threads: int, prefetch: int, timeout: float | None, helping: bool = False
) -> Iterator[T]:
    """Yield the batches of the jobs, in order. Each thread works up to `prefetch` jobs ahead; 0 threads work here.

    Without a timeout, the caller's thread does the next job if no thread has begun it; with `helping`, it does later
    jobs instead of waiting.

    Raises the error of a job when its turn comes, and `TimedOut` if it takes longer than `timeout` seconds from then.
    """
    if threads < 1:
        for job in jobs:
            yield from batches_of(job())
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
                yield from batches_of(_result(waiting.popleft(), timeout, waiting if helping else ()))
        while waiting:
            yield from batches_of(_result(waiting.popleft(), timeout, waiting if helping else ()))
    finally:
        for task in waiting:
            task.take()
        for _ in range(threads):
            todo.put(None)


def batches_of(result: list[T | Exception]) -> Iterator[T]:
    """Yield the batches that a job made, then raise its error if it has one."""
    for batch in result:
        if isinstance(batch, Exception):
            raise batch
        yield batch


def _work(todo: "SimpleQueue[Task[T] | None]") -> None:
    while (task := todo.get()) is not None:
        _busy.add(threading.get_ident())
        try:
            if not _ending.is_set() and task.take():
                task.do()
        finally:
            _busy.discard(threading.get_ident())
        # Otherwise its batches would stay in memory until the next task comes.
        del task


def _end() -> None:
    _ending.set()
    until = time.monotonic() + ENDING_SECONDS
    while _busy and time.monotonic() < until:
        time.sleep(0.005)


atexit.register(_end)
# The threads of the parent are not in the child.
os.register_at_fork(after_in_child=_busy.clear)


def _result(task: Task[T], timeout: float | None, later: Iterable[Task[T]]) -> list[T | Exception]:
    # Waiting for a thread takes longer than a short job. With a timeout the caller has to wait, to watch the clock.
    if timeout is None:
        for other in (task, *later):
            if task.done():
                break
            if other.take():
                other.do()
        return task.result()
    # An error of the job may be a TimeoutError too, so the wait is told apart from the result.
    seconds = timeout
    while not wait([task], seconds).done:
        if (seconds := task.job.more(timeout)) <= 0:
            raise _timed_out(task, timeout)
    return task.result()


def _timed_out(task: Task[T], timeout: float) -> TimedOut:
    return TimedOut(
        f"{task.job.place()} was not made within {timeout:g} s{_whereabouts(task.thread)}. Raise timeout= if it "
        "needs more time; otherwise see what this line waits for."
    )


def _whereabouts(thread: int | None) -> str:
    """Name the line that a thread is executing, for a message."""
    frame = sys._current_frames().get(thread) if thread is not None else None
    if frame is None:
        return ": no thread has started it"
    last = traceback.extract_stack(frame)[-1]
    return f"; its thread is in {last.name}, {last.filename}:{last.lineno}"
