"""A fork waits until no thread is inside a library whose own locks do not survive it, as SQLite's.

A child inherits these locks as they are: one that a thread of its parent held is never opened. It would also believe to
hold the locks on files that its parent holds (https://sqlite.org/howtocorrupt.html, section 2.6).
"""

import os
import threading
from contextlib import contextmanager
from typing import Callable, Iterator


class ForkGate:
    """Threads pass it to use a library. A fork waits for them, at most `seconds`, then calls `close`.

    `spoiled` is True in a child for which that time was too short: the library may not be used there.
    """

    def __init__(self, close: Callable[[], None], seconds: float = 60.0) -> None:
        self._close, self.seconds, self.spoiled = close, seconds, False
        self._changed, self._inside, self._forking, self._is_alone = threading.Condition(), set[int](), 0, False
        os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._begin_child)

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Be inside. A thread that is inside already stays so."""
        thread = threading.get_ident()
        if thread in self._inside:
            yield
            return
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._forking in (0, thread))
                self._inside.add(thread)
            yield
        finally:
            with self._changed:
                self._inside.discard(thread)
                self._changed.notify_all()

    def _before(self) -> None:
        thread, self._is_alone = threading.get_ident(), False
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._forking = thread
            waited = self._changed.wait_for(lambda: self._inside <= {thread}, self.seconds)
        self._is_alone = waited and thread not in self._inside
        if self._is_alone:
            self._close()

    def _after(self) -> None:
        with self._changed:
            self._forking = 0
            self._changed.notify_all()

    def _begin_child(self) -> None:
        # Another thread may have held the old one for a moment.
        self._changed, self._inside, self._forking = threading.Condition(), set(), 0
        self.spoiled = self.spoiled or not self._is_alone
