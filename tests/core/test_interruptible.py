"""Waiting so that Ctrl-C ends it, whatever a library does meanwhile."""

import os
import signal
import threading
from contextlib import suppress

import pytest

from dataset_assets.core.interruptible import interruptibly


def test_what_it_returns_and_raises_comes_through() -> None:
    assert interruptibly(lambda: 5) == 5
    with pytest.raises(StopIteration):
        interruptibly(lambda: next(iter([])))
    with pytest.raises(KeyError, match="missing"):
        interruptibly(lambda: {}["missing"])


def test_one_thread_does_all_that_the_main_thread_asks_for_and_others_do_their_own() -> None:
    asked = {interruptibly(threading.get_ident) for _ in range(5)}
    assert len(asked) == 1 and threading.get_ident() not in asked
    found: list[tuple[int, int]] = []
    other = threading.Thread(target=lambda: found.append((interruptibly(threading.get_ident), threading.get_ident())))
    other.start()
    other.join()
    assert found[0][0] == found[0][1]
    assert interruptibly(lambda: interruptibly(threading.get_ident)) in asked, "it may ask again inside"


def test_ctrl_c_ends_the_wait_and_the_next_call_is_another_threads() -> None:
    go = threading.Event()
    first = interruptibly(threading.get_ident)

    def press_and_wait() -> None:
        # By the other thread: this one is then inside `raises`.
        os.kill(os.getpid(), signal.SIGINT)
        go.wait(280)

    with pytest.raises(KeyboardInterrupt):
        interruptibly(press_and_wait)
    assert interruptibly(threading.get_ident) != first
    left = {thread.ident: thread for thread in threading.enumerate()}[first]
    go.set()
    left.join(60)
    assert not left.is_alive(), "the thread that was left ends when its call does"


def test_a_forked_child_asks_a_thread_of_its_own() -> None:
    assert interruptibly(lambda: 1) == 1
    child = os.fork()
    if not child:
        with suppress(BaseException):
            os._exit(interruptibly(lambda: 7))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
