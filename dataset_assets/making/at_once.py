"""Retrieves several files of a dataset at once: a few of each host, and each fails alone."""

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from threading import Event, Lock, Thread
from typing import Callable, Iterable, Iterator, Mapping

from dataset_assets.core.progress import Progress, report
from dataset_assets.errors import DatasetAssetsError, RetrievalError, StorageError
from dataset_assets.making.by_host import TO_A_HOST, host_of
from dataset_assets.making.maker import Maker
from dataset_assets.making.steps import StagedRaw
from dataset_assets.storage.raw_files import RawFile

CONNECTIONS = 16
"""How many files are retrieved at once, of all hosts together."""
PER_HOST = TO_A_HOST

_TICK_SECONDS = 0.5
_LEAVING_SECONDS = 2.0

Retrieved = RawFile | StagedRaw | DatasetAssetsError


class _Stopped(BaseException):
    """Ends a download whose caller was interrupted; another process may continue it."""


def retrieved(
    maker: Maker, names: Iterable[str], per_host: int = PER_HOST, tick: Callable[[], None] = lambda: None
) -> Iterator[tuple[str, Retrieved]]:
    """Yield each file with what `Maker.raw` returns or raises for it, in the order in which they end.

    The next file begins when the caller is given one, so few wait in the scratch folder. `tick` is called about
    every half second by the thread of the caller, which retrieves the only file itself, so that an interrupt ends it.
    """
    chosen = [*names]
    if len(chosen) == 1:
        with _ticking(maker, tick):
            yield chosen[0], _outcome(partial(maker.raw, chosen[0]))
        return
    waiting, running, stopped = _by_host(maker, chosen), dict[Future[RawFile | StagedRaw], tuple[str, str]](), Event()
    tell = maker.progress or report

    def told(what: str, done: int, total: int | None) -> None:
        if stopped.is_set():
            raise _Stopped
        tell(what, done, total)

    def begin() -> None:
        for host, name in _next(waiting, [host for host, _ in running.values()], per_host):
            running[_begun(partial(maker.raw, name))] = host, name

    maker.progress = told
    try:
        begin()
        while running:
            ended, _ = wait(running, _TICK_SECONDS, FIRST_COMPLETED)
            tick()
            for future in ended:
                name = running.pop(future)[1]
                begin()
                yield name, _outcome(future.result)
    finally:
        stopped.set()
        # A download notices it at its next bytes; nobody waits for a silent server.
        wait(running, _LEAVING_SECONDS)
        maker.progress = tell


@contextmanager
def _ticking(maker: Maker, tick: Callable[[], None]) -> Iterator[None]:
    """Call `tick` when something is read."""
    before = maker.progress
    tell = before or report

    def told(what: str, done: int, total: int | None) -> None:
        tell(what, done, total)
        tick()

    maker.progress = told
    try:
        yield
    finally:
        maker.progress = before


def all_retrieved(
    maker: Maker, names: Iterable[str], tick: Callable[[], None] = lambda: None
) -> Iterator[tuple[str, Retrieved]]:
    """Yield each file as `retrieved` does; many files have one line of progress."""
    chosen = [*names]
    if len(chosen) <= PER_HOST:
        yield from retrieved(maker, chosen, tick=tick)
        return
    before = maker.progress
    maker.progress = line = _OneLine(before or report, len(chosen))
    try:
        yield from retrieved(maker, chosen, tick=tick)
    finally:
        line.end()
        maker.progress = before


class _OneLine:
    """Reports the progress of many files as that of one."""

    def __init__(self, tell: Progress, count: int) -> None:
        self.tell, self.mutex, self.what = tell, Lock(), f"{count}_files"
        self.read: dict[str, int] = {}
        self.sum = 0

    def __call__(self, what: str, done: int, total: int | None) -> None:
        with self.mutex:
            self.sum += done - self.read.get(what, 0)
            self.read[what] = done
            self.tell(self.what, self.sum, None)

    def end(self) -> None:
        """Report that all is read that is going to be."""
        if self.read:
            self.tell(self.what, self.sum, self.sum)


def together(errors: Mapping[str, DatasetAssetsError], of: int) -> DatasetAssetsError:
    """Return one error for files that were not retrieved: one that can be tried again, if one of them can."""
    *_, last = errors.values()
    # Without the terms, for example, each file is refused in the same words.
    if len({str(error) for error in errors.values()}) == 1:
        return last
    passing = [error for error in errors.values() if isinstance(error, (RetrievalError, StorageError))]
    kind = RetrievalError if passing else type(last)
    lines = "".join(f"\n  {name}: {error}" for name, error in errors.items())
    return kind(f"{len(errors)} of {of} files were not retrieved:{lines}")


def _by_host(maker: Maker, names: Iterable[str]) -> dict[str, deque[str]]:
    found: dict[str, deque[str]] = {}
    for name in names:
        url = getattr(maker.files[name], "urls", ("",))[0]
        found.setdefault(host_of(url), deque()).append(name)
    return found


def _next(waiting: dict[str, deque[str]], busy: list[str], per_host: int) -> Iterator[tuple[str, str]]:
    """Take the files that may begin now."""
    for host in [*waiting]:
        while waiting[host] and len(busy) < CONNECTIONS and busy.count(host) < per_host:
            busy.append(host)
            yield host, waiting[host].popleft()
        if not waiting[host]:
            del waiting[host]
        if len(busy) >= CONNECTIONS:
            return


def _begun(make: Callable[[], RawFile | StagedRaw]) -> "Future[RawFile | StagedRaw]":
    """Begin to make a file in a thread that does not delay the end of the process, as those of an executor do."""
    future: Future[RawFile | StagedRaw] = Future()

    def work() -> None:
        try:
            future.set_result(make())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=copy_context().run, args=(work,), name="dataset_assets-retrieval", daemon=True).start()
    return future


def _outcome(make: Callable[[], RawFile | StagedRaw]) -> Retrieved:
    try:
        return make()
    except DatasetAssetsError as error:
        return error
