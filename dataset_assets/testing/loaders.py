"""A test suite for any data loader with an exact state: subclass it for yours."""

import json
import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import islice
from typing import Any, Callable, ClassVar, Iterator, Mapping, TypeVar

import pytest

T = TypeVar("T")

SMALL = 4096
"""The size limit of a state as JSON, in bytes."""


class LoaderTests:
    """Tests of a loader. Subclass it, and let `loader` return your shuffled loader over the rows 0 to `samples` - 1.

    Each iteration of the loader is an epoch, from its start: the one after the last that began, when its first batch is
    asked for. It has `state_dict` and `load_state_dict`; a state that was loaded is continued once. `exact` lists the
    changes under which its states stay exact; `refused` lists the changes that it refuses, with a word of the error
    message.

    ```python
    class TestMyLoader(LoaderTests):
        exact = {"process"}

        def loader(self, samples, batch_size, **changes):
            return MyLoader(np.arange(samples), batch_size)

        def rows(self, batch):
            return batch.tolist()
    ```
    """

    samples: ClassVar[int] = 23
    batch_size: ClassVar[int] = 4
    exact: ClassVar[frozenset[str] | set[str]] = frozenset({"process", "threads", "ranks", "batch_size"})
    """The changes under which a state stays exact: of process, threads, ranks and batch size."""
    refused: ClassVar[Mapping[str, str]] = {}
    """The changes under which a state is refused, each with the word for it in the error message."""

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Any:
        """Return a new loader, always the same one; `changes` may hold threads, rank and world."""
        raise NotImplementedError("Override loader().")

    def rows(self, batch: Any) -> list[int]:
        """Return the rows in a batch."""
        raise NotImplementedError("Override rows().")

    def expected(self) -> list[int]:
        """Return the rows that an epoch must have, in any order."""
        return list(range(self.samples))

    # Epochs

    def test_an_epoch_is_each_sample_once(self) -> None:
        loader = self.made()
        for _ in range(3):
            self.same(sorted(self.read(loader)), sorted(self.expected()))

    def test_epochs_differ_and_are_the_same_again(self) -> None:
        first, second = self.stream(2)[: self.size()], self.stream(2)[self.size() :]
        assert first != second, "two epochs have the same order"
        self.same(self.stream(2), first + second, "a second loader")

    def test_an_iteration_that_is_left_costs_no_sample(self) -> None:
        loader = self.made()
        next(iter(loader))
        self.same(self.read(loader), self.after(self.size()), "the next epoch")
        for _ in loader:
            break
        self.same(sorted(self.read(loader)), sorted(self.expected()))

    def test_an_iterator_that_is_not_used_takes_no_epoch(self) -> None:
        loader = self.made()
        unused = [iter(loader) for _ in range(2)]
        self.same(self.read(loader), self.stream(1), "the first epoch")
        unused.append(iter(loader))
        self.same(self.read(loader), self.after(self.size()), "the next epoch")

    # States

    def test_a_state_is_small_plain_json(self) -> None:
        for _, _, state in self.positions(2):
            text = json.dumps(state)
            assert json.loads(text) == state
            assert len(text) < SMALL, f"the state has {len(text)} bytes"

    def test_taking_states_does_not_disturb(self) -> None:
        loader, found = self.made(), []
        for _ in range(2):
            loader.state_dict()
            for batch in loader:
                loader.state_dict()
                found += self.rows(batch)
                loader.state_dict()
        self.same(found, self.stream(2))

    def test_it_goes_on_exactly_at_every_position(self) -> None:
        for _, at, state in self.positions(2):
            self.same(self.tail(state, self.made()), self.after(at), f"after {at} samples")

    def test_a_used_loader_takes_a_state_as_a_new_one_does(self) -> None:
        for _, at, state in self.positions(1):
            loader = self.made()
            next(iter(loader))
            self.same(self.tail(state, loader), self.after(at), f"after {at} samples")

    def test_a_state_before_the_first_batch_is_the_beginning(self) -> None:
        self.same(self.tail(copied(self.made().state_dict()), self.made()), self.after(0), "before an iteration")
        loader = self.made()
        begun = iter(loader)
        self.same(self.tail(copied(loader.state_dict()), self.made()), self.after(0), "before the first batch")
        del begun

    def test_an_early_break_goes_on_where_it_was(self) -> None:
        loader = self.made()
        found = []
        for batch in loader:
            found += self.rows(batch)
            break
        self.same(self.tail(copied(loader.state_dict()), self.made()), self.after(len(found)))

    def test_a_resume_may_be_resumed(self) -> None:
        for _, at, state in self.positions(1):
            loader = self.made()
            loader.load_state_dict(state)
            self.same(self.tail(copied(loader.state_dict()), self.made()), self.after(at), f"after {at} samples")
            more = []
            for batch in islice(loader, 2):
                more += self.rows(batch)
            if more:
                again, where = self.tail(copied(loader.state_dict()), self.made()), at + len(more)
                self.same(again, self.after(where), f"after {at} and {len(more)} samples")

    def test_a_state_is_continued_once(self) -> None:
        *_, (_, at, state) = islice(self.positions(1), 3)
        loader = self.made()
        loader.load_state_dict(state)
        next(iter(loader))
        self.same(self.read(loader), self.after(self.size()), f"after {at} samples, the next epoch")

    # States under changes

    def test_it_goes_on_in_another_process(self) -> None:
        self.if_exact("process")
        places = list(self.positions(1))
        found = elsewhere(_tails, self, [state for _, _, state in places])
        for (_, at, _), rows in zip(places, found):
            self.same(rows, self.after(at), f"after {at} samples")

    @pytest.mark.parametrize("threads", [(0, 2), (2, 0), (1, 3)])
    def test_it_goes_on_with_other_threads(self, threads: tuple[int, int]) -> None:
        self.if_exact("threads")
        for _, at, state in self.positions(1, threads=threads[0]):
            self.same(self.tail(state, self.made(threads=threads[1])), self.after(at), f"after {at} samples")

    @pytest.mark.parametrize("worlds", [(1, 2), (2, 1), (2, 3), (3, 2), (4, 4)])
    def test_it_goes_on_with_other_ranks(self, worlds: tuple[int, int]) -> None:
        self.if_exact("ranks")
        before, after = worlds
        for steps in range(self.steps(before)):
            seen, states = [], []
            for rank in range(before):
                loader = self.made(rank=rank, world=before)
                seen += [row for batch in islice(loader, steps) for row in self.rows(batch)]
                states.append(copied(loader.state_dict()))
            assert all(state == states[0] for state in states), "ranks at a common step have different states"
            counts = set()
            for rank in range(after):
                loader = self.made(rank=rank, world=after)
                loader.load_state_dict(states[0])
                batches = [self.rows(batch) for batch in loader]
                counts.add(len(batches))
                seen += sum(batches, [])
            self.same(sorted(seen), sorted(self.expected()), f"after {steps} steps")
            assert len(counts) == 1, f"ranks take {sorted(counts)} steps"

    def test_it_goes_on_with_another_batch_size(self) -> None:
        self.if_exact("batch_size")
        for _, at, state in self.positions(1):
            for size in (1, self.batch_size - 1, self.batch_size + 3, 2 * self.samples):
                loader = self.loader(self.samples, size)
                self.same(self.tail(state, loader), self.after(at), f"after {at} samples, batches of {size}")

    def test_what_is_not_exact_is_refused_by_name(self) -> None:
        changed = {
            "batch_size": lambda: self.loader(self.samples, self.batch_size + 1),
            "ranks": lambda: self.made(rank=0, world=2),
            "threads": lambda: self.made(threads=2),
        }
        for _, _, state in self.positions(1):
            for change, name in self.refused.items():
                with pytest.raises(Exception, match=name):
                    changed[change]().load_state_dict(state)

    # Helpers

    def made(self, **changes: Any) -> Any:
        """Return a loader of the suite's size."""
        return self.loader(self.samples, self.batch_size, **changes)

    def same(self, found: list[int], expected: list[int], where: str = "an epoch") -> None:
        """Assert that rows are those expected, in their order; the message says how many are missing or too many."""
        assert found == expected, f"{where}: {difference(found, expected)}"

    def read(self, loader: Any) -> list[int]:
        """Return the rows of one iteration."""
        return [row for batch in loader for row in self.rows(batch)]

    def size(self) -> int:
        """Return the number of samples in an epoch."""
        return len(self.expected())

    def steps(self, world: int) -> int:
        """Return the number of steps in an epoch with this number of ranks."""
        return sum(1 for _ in self.made(rank=0, world=world))

    def stream(self, epochs: int) -> list[int]:
        """Return the rows of some epochs of a loader without interruption."""
        loader = self.made()
        return [row for _ in range(epochs) for row in self.read(loader)]

    def positions(self, epochs: int, **changes: Any) -> Iterator[tuple[int, int, Any]]:
        """Yield (step, samples before it, state) for each position; the state has been through JSON."""
        loader, at, number = self.made(**changes), 0, 0
        yield number, at, copied(loader.state_dict())
        for _ in range(epochs):
            for batch in loader:
                at, number = at + len(self.rows(batch)), number + 1
                yield number, at, copied(loader.state_dict())

    def tail(self, state: Any, loader: Any) -> list[int]:
        """Return the next rows after a state, as many as one epoch has; they may come from several epochs."""
        loader.load_state_dict(state)
        rows: list[int] = []
        for _ in range(4):
            for batch in loader:
                rows += self.rows(batch)
                if len(rows) >= self.size():
                    return rows[: self.size()]
        return rows

    def after(self, at: int) -> list[int]:
        """Return the rows that must follow after `at` samples."""
        return self._whole()[at : at + self.size()]

    def _whole(self) -> list[int]:
        if "_stream" not in self.__dict__:
            self.__dict__["_stream"] = self.stream(4)
        rows: list[int] = self.__dict__["_stream"]
        return rows

    def if_exact(self, change: str) -> None:
        """Skip the test if the loader does not promise exact states under this change."""
        if change not in self.exact:
            pytest.skip(f"the loader does not promise exact states under a change of {change}")


def failures(suite: type[LoaderTests]) -> list[str]:
    """Run a suite without pytest and return the names of failed tests, to show that it detects a wrong loader."""
    failed = []
    for name in sorted(name for name in dir(suite) if name.startswith("test_")):
        method = getattr(suite, name)
        for mark in getattr(method, "pytestmark", [pytest.mark.parametrize("none", [None])]):
            for argument in mark.args[1]:
                try:
                    getattr(suite(), name)(*([] if argument is None else [argument]))
                except pytest.skip.Exception:
                    continue
                # pytest.fail.Exception is not an Exception.
                except (Exception, pytest.fail.Exception) as error:
                    failed.append(f"{name}: {type(error).__name__}")
    return sorted(set(failed))


def difference(found: list[int], expected: list[int]) -> str:
    """Return how rows differ from those expected, in words."""
    missing, more = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    if missing or more:
        return f"{missing.total()} of {len(expected)} samples missing, {more.total()} too many"
    at = next(k for k, (row, other) in enumerate(zip(found, expected)) if row != other)
    return f"the samples have another order from position {at}"


def copied(state: Any) -> Any:
    """Return a state after a round trip through JSON."""
    return json.loads(json.dumps(state))


def elsewhere(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a new Python process and return its result."""
    return _process().submit(function, *arguments).result(240)


@cache
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _tails(tests: LoaderTests, states: list[Any]) -> list[list[int]]:
    return [tests.tail(state, tests.made()) for state in states]
