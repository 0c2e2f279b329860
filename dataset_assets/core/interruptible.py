"""Lets Ctrl-C interrupt library calls that block without checking for signals.

Python delivers signals to the main thread, so calls from it run in a worker thread. An interrupted call keeps running
in its thread, which is a daemon and does not delay the end of the process.
"""

import os
import threading
from queue import SimpleQueue
from typing import Any, Callable, TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.5


class _Call:
    """A call, and its result once the lock is free. A future would take twice as long."""

    __slots__ = ("act", "done", "error", "result")

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act, self.done = act, threading.Lock()
        self.result: Any = None
        self.error: BaseException | None = None
        self.done.acquire()


_idle: dict[int, "SimpleQueue[_Call | None]"] = {}


def interruptibly(act: Callable[[], T]) -> T:
    """Call `act` and return its result; raise its error, or KeyboardInterrupt as soon as it arrives."""
    if threading.current_thread() is not threading.main_thread():
        return act()
    # One queue for each process: a forked child inherits the queue, but not its thread.
    todo, call = _idle.pop(os.getpid(), None) or _start_worker(), _Call(act)
    todo.put(call)
    try:
        # A short timeout: a signal that arrives just before the wait is only noticed after it.
        while not call.done.acquire(timeout=POLL_SECONDS):
            pass
    except BaseException:
        todo.put(None)
        raise
    _idle[os.getpid()] = todo
    if call.error is not None:
        try:
            raise call.error
        finally:
            # Otherwise the error and this frame would refer to each other.
            del call
    result: T = call.result
    return result


def within(seconds: float, act: Callable[[], T]) -> T:
    """Call `act` and return its result. Raises TimeoutError if it takes longer; the call then goes on in its thread."""
    todo, call = _start_worker(), _Call(act)
    todo.put(call)
    todo.put(None)
    if not call.done.acquire(timeout=seconds):
        raise TimeoutError
    if call.error is not None:
        raise call.error
    result: T = call.result
    return result


def _start_worker() -> "SimpleQueue[_Call | None]":
    todo: SimpleQueue[_Call | None] = SimpleQueue()
    threading.Thread(target=_work, args=(todo,), name="dataset_assets-calls", daemon=True).start()
    return todo


def _work(todo: "SimpleQueue[_Call | None]") -> None:
    while (call := todo.get()) is not None:
        try:
            call.result = call.act()
        except BaseException as error:
            call.error = error
        call.done.release()
        del call
