"""The loader: batches of a view, its position, and its state."""

import sys
import warnings
from functools import cached_property, partial
from itertools import islice
from typing import Any, Callable, Iterator, Mapping

import numpy as np

from dataset_assets.core.extras import needed
from dataset_assets.core.permutation import Rows
from dataset_assets.core.turns import Place, Turns
from dataset_assets.errors import UsageError, nearest
from dataset_assets.loader.arguments import a_device, a_stream, a_view, seconds, whole
from dataset_assets.loader.buffer_pool import BufferPool
from dataset_assets.loader.collate import Collate
from dataset_assets.loader.epoch import Epoch, Made, Plan, Shuffle, marked
from dataset_assets.loader.epoch_order import Buckets
from dataset_assets.loader.output import OUTPUTS, Output, as_output, changed, on_device, said_uneven
from dataset_assets.loader.prefetch import ahead
from dataset_assets.loader.ranks import Ranks
from dataset_assets.loader.reader import Reader, frozen, lengths_of
from dataset_assets.loader.records import Records
from dataset_assets.loader.state import FORMAT, MAJOR, check_place, check_state, drawn
from dataset_assets.loader.stats import Stats
from dataset_assets.loader.steps import Budget, Last, Step
from dataset_assets.reading.convert.arrow import in_schema, schema_of
from dataset_assets.reading.views import View
from dataset_assets.reading.views.document import fingerprint_by_name
from dataset_assets.reading.views.forms import Forms
from dataset_assets.reading.views.rows import Where

Batch = Any
AHEAD = (
    "The batches are made ahead, so this process does not know which ones were used. Count the steps and save "
    "loader.state_at(epoch, steps), or save the state of torchdata's StatefulDataLoader."
)


def recorded(loader: "Loader", epoch: int, consumed: int) -> "Iterator[Made]":
    """Yield the batches after a position; each is recorded in the loader's ledger when it is handed out."""
    ledger = loader.ledger
    if ledger is None:
        yield from loader.batches(epoch, consumed)
        return
    ledger.begin(loader)
    try:
        for batch, after, last in loader.batches(epoch, consumed):
            ledger.consumed(epoch, consumed, after)
            consumed = after
            yield batch, after, last
    finally:
        ledger.flush()


class Loader:
    """Batches of a view's samples: `for batch in Loader(train, 256, shuffle=True, seed=0).epoch(0)`.

    Each rank takes its own `batch_size` of every `batch_size * world` samples of the epoch's order, so all ranks take
    the same number of steps. `last` decides about the samples that do not fill the last step: "keep" yields each once,
    in shorter batches (some may be empty); "drop" leaves them out; "pad" adds the first samples of the order, and the
    stream `real` (for tuples, the last array) is False for these. With a `Budget` as batch size, a batch holds as many
    samples as fit. The rank is that of the process when an iteration begins.

    Each iteration over the loader is an epoch, from its start: the one after the last that began, when its first batch
    is asked for. A state that was just loaded is continued, once.

    `shuffle="blocks"` reads the stored files in a shuffled order, four at a time, and shuffles their rows: for a split
    that fits neither in memory nor in the cache.

    `threads` prepare batches ahead; 0 makes them in the caller's thread. A batch that takes longer than `timeout`
    seconds raises `TimedOut`. `collate` turns a mapping of stream to values into a batch. `copy=False` yields read-only
    arrays, on the stored bytes where the order allows it. `ledger` records which samples were handed out. The position
    is that of the iterator that was used last.
    """

    def __init__(
        self,
        view: View,
        batch_size: "int | Budget",
        *,
        shuffle: Shuffle = False,
        seed: int = 0,
        bucket: Buckets | None = None,
        rank: int | None = None,
        world: int | None = None,
        last: Last = "keep",
        threads: int = 1,
        prefetch: int = 2,
        timeout: float | None = None,
        collate: Callable[[Any], Batch] | None = None,
        output: Output = "numpy",
        device: Any = None,
        copy: bool = True,
        ledger: Records | None = None,
    ) -> None:
        a_view(view)
        self._ranks = Ranks(rank, world)
        size = batch_size if isinstance(batch_size, Budget) else whole("batch_size", batch_size, 1)
        if isinstance(size, Budget):
            a_stream(view, size.stream)
        if bucket is not None:
            if not isinstance(bucket, Buckets):
                raise UsageError(f"bucket is {bucket!r}, not Buckets. Name a stream: bucket=Buckets('tokens').")
            a_stream(view, bucket.stream)
        if bucket is not None and bucket.run is None and isinstance(size, Budget):
            raise UsageError("With a Budget, Buckets have no default run. Give one: Buckets(stream, run=...).")
        self.view, self._settings = view, Plan(size, shuffle, whole("seed", seed), bucket, 0, 1, last)
        self.threads, self.prefetch = whole("threads", threads, 0), whole("prefetch", prefetch, 1)
        self._timeout = timeout if timeout is None else seconds(timeout)
        self.collate, self.device, self.copy = collate, device, copy
        if device is not None and output == "arrow":
            raise UsageError("output='arrow' cannot be on a device. Leave out output='arrow' or device=.")
        self.output: Output = "torch" if device is not None else output
        self.ledger = ledger
        self.turns = Turns()
        self._warned = self._said_uneven = False
        self._stats = Stats()
        self._check()
        self._pool, self._forms = BufferPool(), Forms(view, self.turns.noted, keep=output == "arrow")
        self._epoch: Epoch | None = None
        self._measured: tuple[View, str, Rows] | None = None

    def _check(self) -> None:
        last, shuffle = self._settings.last, self._settings.shuffle
        if shuffle not in (True, False, "blocks"):
            raise UsageError(f"shuffle={shuffle!r} is not known. Use True, False or 'blocks'.")
        if last not in ("keep", "drop", "pad"):
            raise UsageError(f"last={last!r} is not known.{nearest(str(last), ('keep', 'drop', 'pad'))}")
        if self.output not in OUTPUTS:
            raise UsageError(f"output={self.output!r} is not known.{nearest(str(self.output), OUTPUTS)}")
        if self.collate is not None and not callable(self.collate):
            raise UsageError(
                f"collate is {self.collate!r}, not a function. Give one that takes a batch, such as padded('tokens')."
            )
        if self.output == "torch" and not self.copy:
            raise UsageError("output='torch' always copies, because tensors cannot be read-only. Leave out copy=False.")
        if self._timeout is not None and self.threads < 1:
            raise UsageError("timeout needs a background thread. Use threads=1 or more.")
        if self.output == "torch":
            needed("torch", "torch")
        if self.device is not None:
            a_device(self.device)

    @property
    def plan(self) -> Plan:
        """The settings that decide which samples each batch holds, with the rank of this process as it is now."""
        return self._settings.of(*self._ranks.now())

    @property
    def position(self) -> Place:
        """The epoch and the consumed samples of the iterator that was used last, or of a state that was loaded."""
        return self.turns.position

    def __len__(self) -> int:
        """Return the number of steps of the epoch that is being read, else of the next one: the same on every rank."""
        epoch, n = self._of(self.turns.epoch), 0
        plan, size = epoch.plan, epoch.plan.batch_size
        if isinstance(size, int):
            whole, rest = divmod(len(epoch.view), size * plan.world)
            return whole + (rest > 0 and plan.last != "drop")
        for _ in epoch.steps(0):
            n += 1
        return n

    def epoch(self, epoch: int, consumed: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch, after the first `consumed` samples of its global order.

        Raises `UsageError` for a negative epoch, or a position outside the epoch.
        """
        epoch, consumed = whole("epoch", epoch, 0), whole("consumed", consumed, 0)
        if consumed > len(self._of(epoch).view):
            raise UsageError(
                f"consumed is {consumed}, but epoch {epoch} has {len(self._of(epoch).view)} samples. Give that or less."
            )
        return self._run((epoch, consumed))

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration begin this epoch; if a state of it was just loaded, the iteration continues there."""
        self.turns.set_epoch(whole("epoch", epoch, 0))

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the next epoch, which begins when the first one is asked for."""
        return self._run(None)

    def _run(self, place: Place | None) -> Iterator[Batch]:
        turns = self.turns
        epoch, consumed = turns.begin(place)
        self._warn(epoch)
        empty, made = True, recorded(self, epoch, consumed)
        try:
            while (one := self._stats.next_of(made)) is not None:
                batch, after, last = one
                turns.position = (epoch + 1, 0) if last else (epoch, after)
                empty = False
                yield batch
            if empty:
                turns.position = (epoch + 1, 0)
        finally:
            turns.end(epoch)

    def stats(self) -> dict[str, float]:
        """Return what the steps since the last call took in this process: plain numbers, for a logger.

        `steps` were handed out, and `waited_seconds` is how long the caller waited for them. `samples`, `bytes`,
        `decoding_seconds` (gathering, decoding and computing values) and `collating_seconds` (`collate`, conversion and
        the device) are of the batches that were made, by all threads. `fetching_seconds`, `cache_hits` and
        `cache_misses` are of the files of remote storages, in the whole process.
        """
        return self._stats.since()

    def batches(self, epoch: int, consumed: int, every: int = 1) -> Iterator[Made]:
        """Yield the batches after a position, or every n-th of them, each with the position of the next."""
        current = self._of(epoch)
        copied = self.collate.copied if isinstance(self.collate, Collate) else ()
        reader = Reader(current.view, self._pool, self.copy, copied, self._forms, self._stats.made)
        plain = not self.copy and not current.plan.shuffle and current.plan.bucket is None and not current.view.computed
        # Slicing stored bytes is faster than passing the slice between threads.
        threads = 0 if plain and self.collate is None else self.threads
        finish = None if self.copy and self.output == "numpy" and self.collate is None else self._finished
        jobs = current.jobs(consumed, finish, reader, every)
        return ahead(jobs, threads, self.prefetch, self._timeout, helping=not current.view.computed)

    def steps(self, epoch: int, consumed: int) -> Iterator[Step]:
        """Yield this rank's steps after a position, without making their batches."""
        return self._of(epoch).steps(consumed)

    def state_dict(self) -> dict[str, Any]:
        """Return the loader's position and settings as plain JSON.

        Raises `UsageError` if workers of a DataLoader began the last epoch: they make batches ahead of their use.
        """
        if self.turns.ahead:
            raise UsageError(AHEAD)
        return self.state_of(*self.position)

    def state_at(self, epoch: int, steps: int) -> dict[str, Any]:
        """Return the state after some steps of an epoch, for callers that count the steps."""
        epoch, steps = whole("epoch", epoch, 0), whole("steps", steps, 0)
        taken = list(islice(marked(self._of(epoch).steps(0)), max(0, steps - 1), steps))
        if not taken:
            return self.state_of(epoch + (steps > 0), 0)
        ((step, last),) = taken
        return self.state_of(epoch + 1, 0) if last else self.state_of(epoch, step.after)

    def after(self, epoch: int, consumed: int, steps: int) -> int:
        """Return the position some steps after another one, at most the end of the epoch."""
        for step in islice(self._of(epoch).steps(consumed), steps):
            consumed = step.after
        return consumed

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration continue where a state was taken.

        Raises `Conflict` if a field of the state differs from this loader's.
        """
        check_state(state, self.state_of(0, 0), partial(fingerprint_by_name, self.view))
        check_place(state, len(self._of(state["epoch"]).view))
        self.turns.load((state["epoch"], state["consumed"]))

    def fingerprint(self) -> str:
        """Return a digest of everything that decides the samples: the stored bytes and each view on them.

        Raises `UsageError` for a function that has no digest, as `view.fingerprint()` does.
        """
        return self._identity[0]

    def order(self, epoch: int, where: Where) -> Where:
        """Return the rows of the view at some places of an epoch's global order."""
        return self._of(epoch).rows(where)

    def place(self, epoch: int, consumed: int) -> str:
        """Name the dataset, the split and the samples of the batch after a position, for a message."""
        current = self._of(epoch)
        for step in current.steps(consumed):
            return current.place(current.rows(np.arange(step.lo, step.hi)))
        return f"the end of epoch {epoch} of {self.view.dataset} {self.view.split}"

    def state_of(self, epoch: int, consumed: int) -> dict[str, Any]:
        """Return the state at a position."""
        plan = self.plan
        return {
            "format": FORMAT,
            "library": MAJOR,
            "stack": self.fingerprint(),
            "view": list(self._identity[1]),
            "seed": plan.seed,
            "shuffle": plan.shuffle,
            "bucket": plan.bucket and plan.bucket.described(),
            "epoch": epoch,
            "consumed": consumed,
        }

    @cached_property
    def _identity(self) -> tuple[str, list[str]]:
        # Hashing a view with millions of rows takes long, so it is done once.
        return self.view.fingerprint(), drawn(self.view)

    @cached_property
    def _collate(self) -> Collate:
        assert isinstance(self.collate, Collate)
        return self.collate.of(self.view)

    @cached_property
    def _schema(self) -> Any:
        # A batch alone may hold only None, or only whole numbers.
        if not self.view.computed:
            return schema_of(self.view)
        samples = self._forms.first()
        block = self._forms.batch(samples, range(len(samples)))
        return schema_of(self.view, block) if isinstance(block, dict) else schema_of(self.view)

    def _of(self, number: int) -> Epoch:
        plan, kept = self.plan, self._epoch
        if kept is None or kept.number != number or kept.plan != plan:
            self._epoch = kept = Epoch(number, self.view.at_epoch(number), plan, self._lengths)
        return kept

    def _warn(self, epoch: int) -> None:
        current = self._of(epoch)
        if not self._warned and (lost := current.plan.lost(len(current.view))):
            self._warned = True
            warnings.warn(lost, stacklevel=3)

    def _lengths(self, view: View, stream: str) -> Rows:
        if self._measured is None or self._measured[0] is not view or self._measured[1] != stream:
            self._measured = (view, stream, lengths_of(view, stream))
        return self._measured[2]

    def _finished(self, batch: Any) -> Batch:
        if not self.copy:
            batch = changed(batch, frozen)
        ours = isinstance(self.collate, Collate)
        if ours:  # before the conversion, because it works on arrays
            batch = self._collate(batch)
        if self.output == "torch":
            if self.collate is None and not self._said_uneven and (said := said_uneven(batch)):
                self._said_uneven = True
                warnings.warn(said, stacklevel=2)
            batch = as_output(batch, "torch")
        if self.collate is not None and not ours:
            batch = as_output(self.collate(batch), self.output)
        elif self.output == "arrow":
            batch = in_schema(as_output(batch, "arrow"), self._schema)
        return batch if self.device is None else on_device(batch, self.device)

    # What trainers look for on torch's DataLoader. Lightning sets the epoch on the sampler; the Trainer of Hugging Face
    # makes a DataLoader of these to skip the steps that it took before a checkpoint.

    prefetch_factor = None
    """For a DataLoader without workers."""

    @property
    def sampler(self) -> Any:
        """The steps of the next epoch, on which a trainer sets the epoch."""
        return _trainers().Steps(self)

    @property
    def batch_sampler(self) -> Any:
        """The same."""
        return _trainers().Steps(self)

    @property
    def dataset(self) -> Any:
        """The batches by the steps of `batch_sampler`. Its length is the number of samples."""
        return _trainers().Stepped(self)

    @property
    def collate_fn(self) -> Any:
        """Takes the batch of a step out of the list of one in which a DataLoader passes it."""
        return _trainers().only_one

    def __getstate__(self) -> dict[str, Any]:
        # Another process computes these again, which is faster than to send them.
        kept = {name: value for name, value in self.__dict__.items() if name not in ("_collate", "_schema")}
        return {**kept, "_epoch": None, "_measured": None, "_stats": Stats()}

    def __repr__(self) -> str:
        try:
            plan = self.plan
            what = f"{len(self)} steps of {plan.batch_size}, rank {plan.rank} of {plan.world}"
        except UsageError:  # debuggers show a loader also in a process that cannot use it
            what = f"steps of {self._settings.batch_size}, for no rank"
        return f"Loader({what})\n  {self.view!r}"


def _trainers() -> Any:
    if "torch" not in sys.modules:
        raise AttributeError("A loader has this for trainers, which import torch.")
    from dataset_assets.loader import trainers

    return trainers
