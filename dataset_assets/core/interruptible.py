"""Calls of libraries that listen to no signal while they wait, made so that Ctrl-C ends the wait.

Only the main thread is told of signals, so only what it asks for is done by another one. Who is interrupted leaves the
call where it is: its thread is a daemon, which nobody waits for.
"""

import os
import threading
from queue import SimpleQueue
from typing import Any, Callable, TypeVar

T = TypeVar("T")

TURN_SECONDS = 0.5


class _Call:
    """What is to be done, and what came of it once the lock is free. A future would take twice as long."""

    __slots__ = ("act", "done", "error", "result")

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act, self.done = act, threading.Lock()
        self.result: Any = None
        self.error: BaseException | None = None
        self.done.acquire()


_idle: dict[int, "SimpleQueue[_Call | None]"] = {}


def interruptibly(act: Callable[[], T]) -> T:
    """Return what `act` returns, or raise what it raises, or KeyboardInterrupt when that comes."""
    if threading.current_thread() is not threading.main_thread():
        return act()
    # By process: a forked child has the queue, and not the thread.
    todo, call = _idle.pop(os.getpid(), None) or _begun(), _Call(act)
    todo.put(call)
    try:
        # By turns: a signal that comes on the way into the wait is not noticed before its end.
        while not call.done.acquire(timeout=TURN_SECONDS):
            pass
    except BaseException:
        todo.put(None)
        raise
    _idle[os.getpid()] = todo
    if call.error is not None:
        try:
            raise call.error
        finally:
            # Else the error would hold this frame, and this frame the error.
            del call
    result: T = call.result
    return result


def within(seconds: float, act: Callable[[], T]) -> T:
    """Return what `act` returns; raise TimeoutError if it takes longer, and leave it where it is."""
    todo, call = _begun(), _Call(act)
    todo.put(call)
    todo.put(None)
    if not call.done.acquire(timeout=seconds):
        raise TimeoutError
    if call.error is not None:
        raise call.error
    result: T = call.result
    return result


def _begun() -> "SimpleQueue[_Call | None]":
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
