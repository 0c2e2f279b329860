"""A test suite for engines: subclass it."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from dataset_assets.errors import DecodeError, SplitFailed
from dataset_assets.making.engines import Engine


class EngineTests:
    """Tests of the engine interface. Subclass it, and override the fixture; without other processes, the attribute too.

    ```python
    class TestCluster(EngineTests):
        @pytest.fixture
        def engine(self):
            return Cluster()
    ```
    """

    other_processes = True
    """Whether the engine does its tasks in other processes, which may be killed."""

    @pytest.fixture
    def engine(self) -> Engine:
        """Return the engine."""
        raise NotImplementedError("Override the fixture `engine`.")

    def test_each_task_has_one_result(self, engine: Engine) -> None:
        tasks = [(f"number {n}", n) for n in range(12)]
        assert sorted(engine.each(_squared, tasks, 2)) == [n * n for n in range(12)]
        assert [*engine.each(_squared, [], 2)] == []

    def test_a_function_within_a_function_is_sent_too(self, engine: Engine) -> None:
        offset = 5

        def moved(number: int) -> int:
            return number + offset

        assert sorted(engine.each(moved, [(str(n), n) for n in range(4)], 2)) == [5, 6, 7, 8]

    def test_few_tasks_are_taken_before_their_time(self, engine: Engine) -> None:
        taken: list[int] = []

        def tasks() -> Iterator[tuple[str, int]]:
            for number in range(200):
                taken.append(number)
                yield str(number), number

        results = engine.each(_squared, tasks(), 2)
        next(results)
        assert len(taken) < 100
        results.close()  # type: ignore[attr-defined]

    def test_what_the_function_raises_is_raised_as_it_is(self, engine: Engine) -> None:
        with pytest.raises(DecodeError, match="two is cut"):
            [*engine.each(_failing, [(str(n), n) for n in range(4)], 2)]

    def test_a_task_whose_process_is_killed_is_done_once_more(self, engine: Engine, tmp_path: Path) -> None:
        if self.other_processes:
            once = partial(_killed_once, str(tmp_path / "mark"))
            assert sorted(engine.each(once, [(str(n), n) for n in range(4)], 2)) == [0, 1, 4, 9]
            assert (tmp_path / "mark").exists()

    def test_a_task_whose_process_is_killed_twice_is_named(self, engine: Engine) -> None:
        if self.other_processes:
            with pytest.raises(SplitFailed, match="The process that made number 2 was killed"):
                [*engine.each(_killed, [(f"number {n}", n) for n in range(4)], 2)]


def _squared(number: int) -> int:
    return number * number


def _failing(number: int) -> int:
    if number == 2:
        raise DecodeError("two is cut")
    return number


def _killed(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def _killed_once(mark: str, number: int) -> int:
    if number == 2 and not Path(mark).exists():
        Path(mark).touch()
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number
