"""One epoch of a view: its order, cut into steps, and the jobs that make its batches."""

from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Any, Callable, Iterator, Literal

import numpy as np

from dataset_assets.core.permutation import Permutation, Rows
from dataset_assets.errors import UsageError
from dataset_assets.loader.blocks import in_blocks
from dataset_assets.loader.epoch_order import AsItIs, Bucketed, Buckets, Order
from dataset_assets.loader.reader import At, Reader, numbers
from dataset_assets.loader.steps import Budget, Last, Step, budget_steps, every_nth, steps_of
from dataset_assets.reading.views import View
from dataset_assets.reading.views.rows import Where

# About what stays in a core's cache: one gather fills it, and its batches are views of it.
BLOCK_BYTES = 2 << 20
# The order is computed for many jobs at once: a permutation of few rows costs as much as one of many.
ORDER_ROWS = 1 << 16
# So many of the samples that are still to come tell a remote stream which of its files these lie in.
ANNOUNCED = 1 << 10

REAL = "real"
"""The stream that says of a batch which may be filled up which samples are the epoch's own."""

Shuffle = bool | Literal["blocks"]


@dataclass(frozen=True)
class Plan:
    """What decides which samples stand in which batch of an epoch."""

    batch_size: "int | Budget"
    shuffle: Shuffle
    seed: int
    bucket: Buckets | None
    rank: int
    world: int
    last: Last


Made = tuple[Any, int, bool]
"""A batch, the position after its step, and whether that was the last one of the epoch."""
Finish = Callable[[Any], Any] | None


class Epoch:
    """One epoch: `batches` from a position on."""

    def __init__(self, number: int, view: View, plan: Plan, lengths: Callable[[View, str], Rows]) -> None:
        self.number, self.view, self.plan, self.lengths = number, view, plan, lengths
        self.order = self._order()

    def _order(self) -> Order:
        plan = self.plan
        order: Order = AsItIs()
        if plan.shuffle == "blocks":
            order = in_blocks(self.view, plan.seed, self.number)
        elif plan.shuffle:
            order = Permutation(len(self.view), plan.seed, self.number)
        if plan.bucket is None:
            return order
        lengths = self.lengths(self.view, plan.bucket.stream)
        return Bucketed(order, lengths, plan.bucket, plan.seed if plan.shuffle else None, self.number)

    def rows(self, where: Where) -> Where:
        """Return which rows of the view stand at some places; places beyond the last begin anew."""
        if not isinstance(where, slice) and len(where):
            where = where % len(self.view)
        return self.order.rows(where)

    def steps(self, start: int) -> Iterator[Step]:
        """Yield this rank's steps from a position on."""
        plan, n = self.plan, len(self.view)
        if isinstance(plan.batch_size, int):
            return steps_of(plan.batch_size, n, start, plan.rank, plan.world, plan.last)
        lengths = self._lengths(plan.batch_size)

        def at(places: Rows) -> Rows:
            return lengths[self.rows(places)]

        return budget_steps(plan.batch_size.size, at, n, start, plan.rank, plan.world, plan.last)

    def jobs(self, start: int, finish: Finish, reader: Reader, every: int = 1) -> "Iterator[Job]":
        """Yield jobs, each of which makes the batches of some steps; with `every`, of every n-th."""
        steps = marked(every_nth(self.steps(start), every) if every > 1 else self.steps(start))
        rows_each = self._batch_rows()
        # A sample that is computed takes as long as it takes: then nobody waits for more than a batch.
        many = 1 if self.view.computed else max(1, int(BLOCK_BYTES / (rows_each * self.view.row_bytes())))
        window = many * max(1, int(ORDER_ROWS / (rows_each * many)))
        # In the order of the file the kernel reads ahead by itself.
        cold = self.plan.shuffle and reader.begin()
        try:
            while found := list(islice(steps, window)):
                ordered, at = Window(self, [step for step, _ in found]), 0
                self._announce(found[0][0].lo, reader)
                for k in range(0, len(found), many):
                    some = found[k : k + many]
                    to = at + sum([step.hi - step.lo for step, _ in some])
                    if cold:
                        reader.ahead(ordered.rows(at, to))
                    yield Job(self, reader, finish, ordered, at, to, some)
                    at = to
        finally:
            reader.close()

    def place(self, rows: Where, row: int | None = None) -> str:
        """Say which dataset, split and rows, or which one of them, in words."""
        if row is not None:
            what = f"sample {row}"
        else:
            some = [str(row) for row in islice(numbers(rows), 5)]
            what = f"a batch of the samples {', '.join([*some[:4], '...'] if len(some) > 4 else some)}"
        return f"{what} of {self.view.dataset} {self.view.split}, epoch {self.number}"

    def _announce(self, first: int, reader: Reader) -> None:
        """Tell remote streams about which rows come next, so that their files are there by then."""
        if reader.waits:
            left = len(self.view) - first
            places = np.linspace(first, len(self.view) - 1, min(left, ANNOUNCED)).astype(np.intp)
            reader.expect(self.rows(places))

    def _batch_rows(self) -> float:
        """Return about how many samples a batch has."""
        if isinstance(self.plan.batch_size, int):
            return self.plan.batch_size
        return max(1.0, self.plan.batch_size.size / float(self._lengths(self.plan.batch_size).mean()))

    def _lengths(self, budget: Budget) -> Rows:
        found = self.lengths(self.view, budget.stream)
        if len(found) and found.max() > budget.size:
            row = int(found.argmax())
            raise UsageError(
                f"Sample {row} of {self.view.dataset} {self.view.split} has length {found[row]} in {budget.stream}, "
                f"and the budget is {budget.size}. Filter such samples out, cut them, or raise the budget."
            )
        return found if len(found) else np.ones(1, np.intp)


class Window:
    """The rows of some steps, one after the other; computed by whoever asks first."""

    def __init__(self, epoch: Epoch, steps: list[Step]) -> None:
        self.epoch, self.steps = epoch, steps
        self._found: Where | None = None
        self._lock = Lock()

    def rows(self, lo: int, hi: int) -> Where:
        """Return the rows from number `lo` up to `hi`."""
        with self._lock:
            if self._found is None:
                self._found = self._computed()
        found = self._found
        return found[lo:hi] if isinstance(found, np.ndarray) else slice(found.start + lo, found.start + hi)

    def _computed(self) -> Where:
        steps = self.steps
        together = all(one.hi == other.lo for one, other in zip(steps, steps[1:]))
        if together and steps[-1].hi <= len(self.epoch.view):
            return self.epoch.rows(slice(steps[0].lo, steps[-1].hi))
        return self.epoch.rows(np.concatenate([np.arange(step.lo, step.hi) for step in steps]))


class Job:
    """Makes the batches of some steps, whose rows are those from number `lo` up to `hi` of a window."""

    def __init__(
        self,
        epoch: Epoch,
        reader: Reader,
        finish: Finish,
        window: Window,
        lo: int,
        hi: int,
        steps: list[tuple[Step, bool]],
    ) -> None:
        self.epoch, self.reader, self.finish, self.steps = epoch, reader, finish, steps
        self.window, self.lo, self.hi = window, lo, hi
        self.at = At()

    @property
    def rows(self) -> Where:
        """The rows of the view."""
        return self.window.rows(self.lo, self.hi)

    def __call__(self) -> list[Made | Exception]:
        """Return the batches, and the error of one that cannot be made. It says where in the epoch it was."""
        try:
            if self.epoch.view.computed:
                (step, last), finish = self.steps[0], self.finish
                batch = self._marked(self.reader.computed(self.rows, self.at), step)
                return [(batch if finish is None else finish(batch), step.after, last)]
            return self._cut()
        except Exception as error:
            # A block is all or nothing. A store that was waited for is not waited for again.
            if len(self.steps) > 1 and not isinstance(error, OSError):
                return self._one_by_one()
            error.add_note(f"in {self.place()}")
            raise

    def _one_by_one(self) -> list[Made | Exception]:
        """Return the batches before the one that raises, and its error, so that these are not lost."""
        made, at = list[Made | Exception](), self.lo
        for step in self.steps:
            to = at + step[0].hi - step[0].lo
            try:
                made += Job(self.epoch, self.reader, self.finish, self.window, at, to, [step])()
            except Exception as error:
                return [*made, error]
            at = to
        return made

    def _cut(self) -> list[Made | Exception]:
        finish, at = self.finish, 0
        streams = list(self.reader.block(self.rows).items())
        made: list[Made | Exception] = []
        for step, last in self.steps:
            to = at + step.hi - step.lo
            batch = self._marked({name: values[at:to] for name, values in streams}, step)
            made.append((batch if finish is None else finish(batch), step.after, last))
            at = to
        return made

    def _marked(self, batch: Any, step: Step) -> Any:
        """Add to a batch which of its samples are the epoch's own, if others may fill it up."""
        if self.epoch.plan.last != "pad":
            return batch
        real = np.arange(step.lo, step.hi) < len(self.epoch.view)
        if isinstance(batch, tuple):
            return (*batch, real)
        if not isinstance(batch, dict):
            return batch, real
        if REAL in batch:
            raise UsageError(f"last='pad' adds the stream {REAL!r}, and the view has one of that name. Rename it.")
        return {**batch, REAL: real}

    def place(self) -> str:
        """Say which dataset, split and rows, and which sample if one is being made."""
        return self.epoch.place(self.rows, self.at.row)


def marked(steps: Iterator[Step]) -> Iterator[tuple[Step, bool]]:
    """Yield each step, and whether it is the last one."""
    before = next(steps, None)
    for step in steps:
        assert before is not None
        yield before, False
        before = step
    if before is not None:
        yield before, True
