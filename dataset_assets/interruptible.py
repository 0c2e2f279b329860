"""Calls of libraries that listen to no signal while they wait, made so that Ctrl-C ends the wait.

Only the main thread is told of signals, so only what it asks for is done by another one. Who is interrupted leaves the
call where it is: its thread is a daemon, which nobody waits for.
"""

import os
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Callable, TypeVar

T = TypeVar("T")

Asked = tuple[Callable[[], Any], "Future[Any]"] | None
_idle: dict[int, "SimpleQueue[Asked]"] = {}


def interruptibly(act: Callable[[], T]) -> T:
    """Return what `act` returns, or raise what it raises, or KeyboardInterrupt when that comes."""
    if threading.current_thread() is not threading.main_thread():
        return act()
    # By process: a forked child has the queue, and not the thread.
    todo = _idle.pop(os.getpid(), None) or _begun()
    done: Future[T] = Future()
    todo.put((act, done))
    try:
        return done.result()
    finally:
        if done.done():
            _idle[os.getpid()] = todo
        else:
            todo.put(None)
        # Else what it raised would hold this frame, and this frame it.
        del done


def _begun() -> "SimpleQueue[Asked]":
    todo: SimpleQueue[Asked] = SimpleQueue()
    threading.Thread(target=_work, args=(todo,), name="dataset_assets-calls", daemon=True).start()
    return todo


def _work(todo: "SimpleQueue[Asked]") -> None:
    while (asked := todo.get()) is not None:
        act, done = asked
        try:
            found = act()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(found)
            del found
        del asked, act, done
