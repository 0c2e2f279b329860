"""The loader: a view, epoch by epoch, in batches, with a state that says exactly where it is.

The order is arithmetic (`dataset_assets.orders`), so going on at any place costs what beginning costs. Positions are
counted in the global order of an epoch, never per rank: a state saved on 2 ranks is exact on 3.
"""

import hashlib
import os
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Callable, Iterator, Literal, Mapping

import numpy as np

from dataset_assets.errors import Conflict, UsageError, nearest
from dataset_assets.orders import Permutation
from dataset_assets.pool import Pool
from dataset_assets.samples import Columns
from dataset_assets.views import Narrowed, Selected, Stored, View
from dataset_assets.views.blocks import owned
from dataset_assets.views.ordering import Where, in_order

Batch = Any
Last = Literal["keep", "drop", "pad"]
FORMAT = 1
# Of the library: raised when an order changes, so that no state goes on with other samples.
MAJOR = 0
# About what stays in a core's cache: one gather fills it, and its batches are views of it.
BLOCK_BYTES = 2 << 20
ORDER_ROWS = 1 << 16


class Loader:
    """Batches of a view's samples: `for batch in Loader(train, 256, shuffle=True, seed=0).epoch(0)`.

    Each rank takes its own `batch_size` of every `batch_size * world` samples of the epoch's order, so all ranks take
    equally many steps. Of what is left over at the end, `last="keep"` gives every sample once, in shorter batches (some
    may be empty), "drop" nothing, and "pad" fills up with the order's first samples. Iterating the loader itself
    continues where its state is, through epoch after epoch.

    `collate` makes a batch of a mapping of stream to values; `threads` prepares batches ahead, and 0 does all in the
    caller's. With `device`, or `output="torch"`, batches hold tensors.
    """

    def __init__(
        self,
        view: View,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        rank: int | None = None,
        world: int | None = None,
        last: Last = "keep",
        threads: int = 1,
        prefetch: int = 2,
        collate: Callable[[Mapping[str, Any]], Batch] | None = None,
        output: Literal["numpy", "torch"] = "numpy",
        device: Any = None,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"A batch has at least one sample, not {batch_size}.")
        if last not in ("keep", "drop", "pad"):
            raise UsageError(f"last={last!r} is no rule.{nearest(str(last), ('keep', 'drop', 'pad'))}")
        self.view, self.batch_size, self.shuffle, self.seed = view, batch_size, shuffle, seed
        self.rank, self.world = ranks(rank, world)
        self.last: Last = last
        self.threads, self.prefetch, self.collate = threads, max(1, prefetch), collate
        self.output = "torch" if device is not None else output
        self.device = device
        self._at_epoch = self._consumed = 0
        self._pool = Pool()

    def __len__(self) -> int:
        """Return the steps of an epoch, the same on every rank."""
        whole, rest = divmod(len(self.view), self.batch_size * self.world)
        return whole + (rest > 0 and self.last != "drop")

    def epoch(self, epoch: int, consumed: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch, after the first `consumed` samples of its global order."""
        self._at_epoch, self._consumed = epoch, consumed
        return self._run()

    def __iter__(self) -> Iterator[Batch]:
        """Yield what is left of the epoch that the state is in; at its end the next one begins."""
        return self._run()

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is, as plain JSON; taking it changes nothing."""
        return {
            "format": FORMAT,
            "library": MAJOR,
            "stack": self.fingerprint(),
            "seed": self.seed,
            "epoch": self._at_epoch,
            "consumed": self._consumed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken; `Conflict` names the field in which it is not of this loader."""
        mine = self.state_dict()
        for field in ("format", "library", "stack", "seed"):
            if state.get(field) != mine[field]:
                raise Conflict(
                    f"The state has {field} {state.get(field)!r}, this loader {mine[field]!r}: it would not go on with "
                    "the same samples. Build the loader on the same version and stack, or begin anew."
                )
        self._at_epoch, self._consumed = int(state["epoch"]), int(state["consumed"])

    def fingerprint(self) -> str:
        """Return a digest of what decides the order of samples: the stack, its bytes, and whether it is shuffled."""
        text = f"{_described(self.view)}|{len(self.view)}|{self.shuffle}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def order(self, epoch: int, where: Where) -> Where:
        """Return which rows of the view stand at some places of an epoch's global order."""
        return Permutation(len(self.view), self.seed, epoch).rows(where) if self.shuffle else where

    def _run(self) -> Iterator[Batch]:
        epoch, size = self._at_epoch, len(self.view)
        end = self._end(size)
        if self._consumed >= end:
            epoch, self._consumed = epoch + (self._consumed > 0), 0
            self._at_epoch = epoch
        for batch, consumed in self._ahead(self._blocks(epoch, self._consumed, end)):
            self._consumed = min(consumed, end)
            if self._consumed >= end:
                self._at_epoch, self._consumed = epoch + 1, 0
            yield batch

    def _end(self, size: int) -> int:
        """Return how many samples of the order an epoch consumes, over all ranks."""
        step = self.batch_size * self.world
        return size - size % step if self.last == "drop" else size

    def _blocks(self, epoch: int, start: int, end: int) -> Iterator[Callable[[], list[tuple[Batch, int]]]]:
        """Yield jobs, each of which makes several batches with the position after each."""
        step = self.batch_size * self.world
        many = max(1, BLOCK_BYTES // (self.batch_size * row_bytes(self.view)))
        # The order is computed for many jobs at once: a permutation of few rows costs as much as one of many.
        window = many * max(1, ORDER_ROWS // (self.batch_size * many))
        for first in range(start, end, step * window):
            spans = [self._mine(lo, end) for lo in range(first, min(first + step * window, end), step)]
            rows, at = self._rows(epoch, spans), 0
            for k in range(0, len(spans), many):
                counts = [span.stop - span.start for span in spans[k : k + many]]
                to = at + sum(counts)
                part = rows[at:to] if isinstance(rows, np.ndarray) else slice(rows.start + at, rows.start + to)
                yield partial(self._made, part, counts, first + (k + 1) * step)
                at = to

    def _rows(self, epoch: int, spans: list[slice]) -> Where:
        """Return the view's rows of some spans of places, one after the other."""
        if self.world == 1 and self.last != "pad":
            return self.order(epoch, slice(spans[0].start, spans[-1].stop))
        places = np.concatenate([np.arange(span.start, span.stop) for span in spans])
        return self.order(epoch, places % max(1, len(self.view)))

    def _made(self, rows: Where, counts: list[int], position: int) -> list[tuple[Batch, int]]:
        block = gathered(self.view, rows, self._pool)
        found, at = [], 0
        for count in counts:
            found.append((self._batch({name: values[at : at + count] for name, values in block.items()}), position))
            at += count
            position += self.batch_size * self.world
        return found

    def _mine(self, lo: int, end: int) -> slice:
        """Return this rank's places of the step that begins at `lo`."""
        step = self.batch_size * self.world
        if lo + step <= end or self.last == "pad":
            first = lo + self.rank * self.batch_size
            return slice(first, first + self.batch_size)
        cuts = [lo + (end - lo) * rank // self.world for rank in range(self.world + 1)]
        return slice(cuts[self.rank], cuts[self.rank + 1])

    def _batch(self, part: dict[str, Any]) -> Batch:
        made = part if self.output == "numpy" else tensors(part, self.device)
        return made if self.collate is None else self.collate(made)

    def _ahead(self, jobs: Iterator[Callable[[], list[tuple[Batch, int]]]]) -> Iterator[tuple[Batch, int]]:
        if self.threads < 1:
            for job in jobs:
                yield from job()
            return
        with ThreadPoolExecutor(self.threads, "dataset_assets-loader") as pool:
            waiting: deque[Future[list[tuple[Batch, int]]]] = deque()
            try:
                for job in jobs:
                    waiting.append(pool.submit(job))
                    if len(waiting) > self.prefetch * self.threads:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def __repr__(self) -> str:
        return f"Loader({len(self)} steps of {self.batch_size}, rank {self.rank} of {self.world})\n  {self.view!r}"


def ranks(rank: int | None, world: int | None) -> tuple[int, int]:
    """Return rank and world size: as given, else of torch.distributed, else of the environment, else 0 of 1."""
    if (rank is None) != (world is None):
        raise UsageError("Give both rank and world, or neither.")
    if rank is None or world is None:
        distributed = sys.modules.get("torch.distributed")
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            rank, world = int(distributed.get_rank()), int(distributed.get_world_size())
        else:
            rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if not 0 <= rank < world:
        raise UsageError(f"There is no rank {rank} in a world of {world}.")
    return rank, world


def gathered(view: View, rows: Where, pool: Pool) -> Columns:
    """Return the values at some rows as blocks of the caller's own; arrays lie in pooled memory."""
    stored, where, streams = resolved(view, rows)
    if stored is None:
        return Columns({name: owned(block) for name, block in view.rows(rows).items()})
    found: dict[str, Any] = {}
    for name in streams:
        column = stored.columns[name]
        found[name] = pool.gather(column.rows, where) if hasattr(column, "rows") else _block(column, where)
    return Columns(found)


def resolved(view: View, where: Where) -> tuple[Stored | None, Where, tuple[str, ...]]:
    """Return the stored split below a stack that only rearranges, the rows of it, and the streams; None for others."""
    streams: tuple[str, ...] | None = None
    while isinstance(view, (Selected, Narrowed)):
        if isinstance(view, Selected):
            where = in_order(view.order, where)
        else:
            streams = streams or view.streams
        view = view.parent
    if not isinstance(view, Stored):
        return None, where, ()
    return view, where, streams or view.streams


def row_bytes(view: View) -> int:
    """Return about how many bytes a sample has."""
    if not len(view):
        return 1
    first = view.rows(slice(0, 1))
    return sum(block.nbytes if isinstance(block, np.ndarray) else 4096 for block in first.values()) or 1


def tensors(part: Mapping[str, Any], device: Any) -> dict[str, Any]:
    """Return a batch's arrays as tensors, pinned and copied without waiting if there is a device."""
    import torch

    found: dict[str, Any] = {}
    for name, values in part.items():
        if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
            tensor = torch.from_numpy(values)
            if device is not None:
                host = tensor.pin_memory() if torch.device(device).type == "cuda" else tensor
                tensor = host.to(device, non_blocking=True)
            found[name] = tensor
        else:
            found[name] = values
    return found


def _block(column: Any, where: Where) -> Any:
    return column.slice(where.start, where.stop) if isinstance(where, slice) else column.take(where)


def _described(view: View) -> str:
    """Return what decides a view's samples: the digests it stands on and how it is stacked."""
    if isinstance(view, Stored):
        return f"{view.dataset}/{view.split}@{view.origin.index}"
    own = type(view).__name__
    if isinstance(view, Selected):
        order = view.order
        own += repr(order) if isinstance(order, range) else hashlib.sha256(order.tobytes()).hexdigest()
    change = getattr(view, "change", None)
    if change is not None:
        own += f"{getattr(change, '__module__', '')}.{getattr(change, '__qualname__', type(change).__qualname__)}"
    return f"{own}({','.join(_described(parent) for parent in view.parents)})"
