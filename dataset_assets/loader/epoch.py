"""One epoch of a view: the order of its samples, its steps, and the jobs that make its batches."""

from dataclasses import dataclass, replace
from itertools import islice
from threading import Lock
from time import monotonic, perf_counter
from typing import Any, Callable, Iterator, Literal

import numpy as np

from dataset_assets.core.permutation import Permutation, Rows
from dataset_assets.errors import UsageError
from dataset_assets.loader.epoch_order import AsItIs, Bucketed, Buckets, Order, in_blocks
from dataset_assets.loader.reader import CurrentRow, Reader, numbers
from dataset_assets.loader.stats import bytes_of
from dataset_assets.loader.steps import Budget, Last, Step, budget_steps, every_nth, steps_of
from dataset_assets.reading.views import View
from dataset_assets.reading.views.rows import Where

# About the size of a core's cache. One gather fills a block of this size; its batches are views of the block.
BLOCK_BYTES = 2 << 20
# Small batches are made many at a time, but not so many that the first one has to wait for them.
MOST_BATCHES = 256
# The order is computed for many jobs at once: a permutation of a few rows costs as much as one of many.
ORDER_ROWS = 1 << 16
# The first steps whose order is computed; four times as many follow, and so on. A step takes about a microsecond.
FIRST_STEPS = 1 << 10
# How many of the remaining samples are announced to a remote stream, so that it fetches their files in time.
ANNOUNCED = 1 << 10

REAL = "real"
"""The stream that marks the epoch's own samples in a padded batch: False for samples that fill it up."""

Shuffle = bool | Literal["blocks"]


@dataclass(frozen=True)
class Plan:
    """The settings that decide which samples each batch of an epoch holds."""

    batch_size: "int | Budget"
    shuffle: Shuffle
    seed: int
    bucket: Buckets | None
    rank: int
    world: int
    last: Last

    def of(self, rank: int, world: int) -> "Plan":
        """Return the plan of a rank. The default run of buckets is one step of all ranks."""
        bucket = self.bucket
        if bucket is not None and bucket.run is None and isinstance(self.batch_size, int):
            bucket = replace(bucket, run=self.batch_size * world)
        return replace(self, rank=rank, world=world, bucket=bucket)

    def lost(self, samples: int) -> str | None:
        """Return a warning if an epoch of this many samples leaves them all out, or gives some ranks none of them."""
        if not isinstance(self.batch_size, int) or not samples:
            return None
        step, most = self.batch_size * self.world, samples // self.world
        if self.last == "drop" and samples < step:
            smaller = f"batch_size={most} or less, or " if most else ""
            return f"last='drop' leaves out all {samples} samples: a step takes {step}. Give {smaller}last='keep'."
        if self.last == "keep" and samples < self.world:
            return (
                f"In each epoch some of the {self.world} ranks get none of the {samples} samples. Use fewer ranks, or "
                "last='pad'."
            )
        return None


Made = tuple[Any, int, bool]
"""A batch, the position after its step, and whether it is the last one of the epoch."""
Finish = Callable[[Any], Any] | None


class Epoch:
    """One epoch: its order, its steps, and the jobs that make its batches from any position on."""

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
        """Return the rows of the view at some places of the order; places after the last start over at the first."""
        if not isinstance(where, slice) and len(where):
            where = where % len(self.view)
        return self.order.rows(where)

    def steps(self, start: int) -> Iterator[Step]:
        """Yield this rank's steps, starting at a position."""
        plan, n = self.plan, len(self.view)
        if isinstance(plan.batch_size, int):
            return steps_of(plan.batch_size, n, start, plan.rank, plan.world, plan.last)
        lengths = self._lengths(plan.batch_size)

        def at(places: Rows) -> Rows:
            return lengths[self.rows(places)]

        return budget_steps(plan.batch_size.size, at, n, start, plan.rank, plan.world, plan.last)

    def jobs(self, start: int, finish: Finish, reader: Reader, every: int = 1) -> "Iterator[Job]":
        """Yield jobs that make the batches of the steps after `start`; with `every`, of every n-th step."""
        steps = marked(every_nth(self.steps(start), every) if every > 1 else self.steps(start))
        rows_each = self._batch_rows()
        # Computed samples may be slow, so a job is one batch: nobody waits for more than that.
        bytes_each = rows_each * self.view.row_bytes()
        many = 1 if self.view.computed else max(1, min(MOST_BATCHES, int(BLOCK_BYTES / bytes_each)))
        largest = max(1, int(ORDER_ROWS / (rows_each * many)))
        window = min(largest, max(1, FIRST_STEPS // many))
        # Without a shuffle the kernel's own readahead is enough.
        cold = self.plan.shuffle and reader.begin()
        try:
            while upcoming := list(islice(steps, many * window)):
                window = min(largest, 4 * window)
                ordered, at = Window(self, [step for step, _ in upcoming]), 0
                self._announce(upcoming[0][0].lo, reader)
                for k in range(0, len(upcoming), many):
                    some = upcoming[k : k + many]
                    to = at + sum([step.hi - step.lo for step, _ in some])
                    if cold:
                        reader.ahead(ordered.rows(at, to))
                    yield Job(self, reader, finish, ordered, at, to, some)
                    at = to
        finally:
            reader.close()

    def place(self, rows: Where, row: int | None = None) -> str:
        """Name the dataset, the split and some rows, or one row, for a message."""
        if row is not None:
            what = f"sample {row}"
        else:
            some = [str(row) for row in islice(numbers(rows), 5)]
            what = f"a batch of the samples {', '.join([*some[:4], '...'] if len(some) > 4 else some)}"
        return f"{what} of {self.view.dataset} {self.view.split}, epoch {self.number}"

    def _announce(self, first: int, reader: Reader) -> None:
        """Tell remote streams which rows come next, so that they fetch their files in time."""
        if reader.waits:
            left = len(self.view) - first
            places = np.linspace(first, len(self.view) - 1, min(left, ANNOUNCED)).astype(np.intp)
            reader.expect(self.rows(places))

    def _batch_rows(self) -> float:
        """Return the approximate number of samples in a batch."""
        if isinstance(self.plan.batch_size, int):
            return self.plan.batch_size
        return max(1.0, self.plan.batch_size.size / float(self._lengths(self.plan.batch_size).mean()))

    def _lengths(self, budget: Budget) -> Rows:
        lengths = self.lengths(self.view, budget.stream)
        if len(lengths) and lengths.max() > budget.size:
            row = int(lengths.argmax())
            raise UsageError(
                f"Sample {row} of {self.view.dataset} {self.view.split} has length {lengths[row]} in {budget.stream}, "
                f"which exceeds the budget of {budget.size}. Filter such samples out, cut them, or raise the budget."
            )
        return lengths if len(lengths) else np.ones(1, np.intp)


class Window:
    """The rows of some steps, one after the other. The first thread that needs them computes them."""

    def __init__(self, epoch: Epoch, steps: list[Step]) -> None:
        self.epoch, self.steps = epoch, steps
        self._rows: Where | None = None
        self._lock = Lock()

    def rows(self, lo: int, hi: int) -> Where:
        """Return the rows from number `lo` up to `hi`."""
        with self._lock:
            if self._rows is None:
                self._rows = self._computed()
        rows = self._rows
        return rows[lo:hi] if isinstance(rows, np.ndarray) else slice(rows.start + lo, rows.start + hi)

    def _computed(self) -> Where:
        steps = self.steps
        together = all(one.hi == other.lo for one, other in zip(steps, steps[1:]))
        if together and steps[-1].hi <= len(self.epoch.view):
            return self.epoch.rows(slice(steps[0].lo, steps[-1].hi))
        return self.epoch.rows(np.concatenate([np.arange(step.lo, step.hi) for step in steps]))


class Job:
    """Makes the batches of some steps; their rows are numbers `lo` to `hi` of a window."""

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
        self.at = CurrentRow()

    @property
    def rows(self) -> Where:
        """The rows of the view."""
        return self.window.rows(self.lo, self.hi)

    def __call__(self) -> list[Made | Exception]:
        """Return the batches. If one fails, its error comes after those before it, with a note that names its place."""
        try:
            return self._computed() if self.epoch.view.computed else self._cut()
        except Exception as error:
            # Retry the batches of a block one by one, but not after an OSError: the store has been retried already.
            if len(self.steps) > 1 and not isinstance(error, OSError):
                return self._one_by_one()
            error.add_note(f"in {self.place()}")
            raise

    def _computed(self) -> list[Made | Exception]:
        (step, last), began = self.steps[0], perf_counter()
        batch = self._marked(self.reader.computed(self.rows, self.at), step)
        return self._finished([(batch, step, last)], began, batch)

    def _finished(self, batches: list[tuple[Any, Step, bool]], began: float, values: Any) -> list[Made | Exception]:
        """Return the finished batches; count what they took, which began with making these values."""
        finish, made = self.finish, perf_counter()
        done: list[Made | Exception] = [
            (batch if finish is None else finish(batch), step.after, last) for batch, step, last in batches
        ]
        self.reader.spent.add(
            samples=sum([step.hi - step.lo for _, step, _ in batches]),
            bytes=bytes_of(values),
            decoding_seconds=made - began,
            collating_seconds=perf_counter() - made,
        )
        return done

    def _one_by_one(self) -> list[Made | Exception]:
        """Return the batches before the one that raises, then its error, so that no batch is lost."""
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
        at, began = 0, perf_counter()
        streams = list(self.reader.block(self.rows).items())
        batches: list[tuple[Any, Step, bool]] = []
        for step, last in self.steps:
            to = at + step.hi - step.lo
            batches.append((self._marked({name: values[at:to] for name, values in streams}, step), step, last))
            at = to
        return self._finished(batches, began, dict(streams))

    def _marked(self, batch: Any, step: Step) -> Any:
        """Add the stream `real` to a batch if last='pad' may fill it up."""
        if self.epoch.plan.last != "pad":
            return batch
        real = np.arange(step.lo, step.hi) < len(self.epoch.view)
        if isinstance(batch, tuple):
            return (*batch, real)
        if not isinstance(batch, dict):
            return batch, real
        if REAL in batch:
            raise UsageError(
                f"last='pad' adds the stream {REAL!r}, but the view already has a stream of that name. Rename it."
            )
        return {**batch, REAL: real}

    def more(self, timeout: float) -> float:
        """Return the seconds left for the sample by which the forms of the view are found, or since they were."""
        return self.reader.forms.progress + timeout - monotonic()

    def place(self) -> str:
        """Name the dataset, the split and the rows, or the sample that is being made, for a message."""
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
