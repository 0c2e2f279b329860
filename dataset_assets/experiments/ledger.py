"""A ledger: which samples a loader handed out, exactly, in a few bytes; and the same batches again from it."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from dataset_assets.core import files
from dataset_assets.core.documents import UNFIT, Count, parsed, read_as
from dataset_assets.errors import Conflict, DecodeError, NotFound, UsageError
from dataset_assets.experiments.run import Run
from dataset_assets.experiments.used import used_by
from dataset_assets.loader import Buckets, Budget, Loader
from dataset_assets.loader.state import check_state
from dataset_assets.reading.load import view_from_json
from dataset_assets.reading.views import View
from dataset_assets.reading.views.document import fingerprint_by_name
from dataset_assets.storage import Storage

FORMAT = 1
WRITTEN_EVERY = 1.0
"""A file is written at most once in this many seconds, and at the end of each epoch."""

Entry = dict[str, Any]


class Ledger:
    """Records what a loader hands out: `Loader(view, 256, ledger=Ledger("run.json"))`, or `Ledger(run)`.

    It holds the dataset versions, the stack, the seed, and the positions that were consumed, by epoch. With several
    ranks, each writes a file of its own, such as `run.rank1.json`. A process that is killed loses what it read since
    the file was written last: a second, or more on a slow disk, where the file is written less often.
    """

    def __init__(self, target: "str | Path | Run") -> None:
        self.run = target if isinstance(target, Run) else None
        self.path = None if isinstance(target, Run) else Path(target)
        self.entries: list[Entry] = target.used if isinstance(target, Run) else []
        self._now: Entry | None = None
        self._due = 0.0

    def begin(self, loader: Loader) -> None:
        """Begin to record a loader: in the entry of an earlier one that gives the same batches, or in a new one."""
        if self._now is None and self.path is not None:
            self.path = _of_rank(self.path, loader)
            self.entries = _read(self.path) if self.path.exists() else []
        entry = _entry(loader)
        same = [old for old in self.entries if "consumed" in old and _plan(old) == _plan(entry)]
        self._now = same[-1] if same else entry
        if not same:
            self.entries.append(entry)

    def consumed(self, epoch: int, start: int, stop: int) -> None:
        """Record that the samples from one position of an epoch's order to another were handed out."""
        assert self._now is not None
        ranges = self._now["consumed"]
        if ranges and ranges[-1][0] == epoch and ranges[-1][2] == start:
            ranges[-1][2] = stop
        else:
            ranges.append([epoch, start, stop])
        if self.path is not None and time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write the file now. It does nothing for the ledger of a run, which is written when the run is persisted."""
        if self.path is None:
            return
        began = time.monotonic()
        with files.whole(self.path) as file:
            file.write(json.dumps({"ledger": FORMAT, "entries": self.entries}, indent=1).encode())
        # On a slow disk, less often: writing takes a hundredth of the time.
        now = time.monotonic()
        self._due = now + max(WRITTEN_EVERY, 100 * (now - began))

    def replay(
        self, view: View | None = None, *, storage: "str | Storage | None" = None, **options: Any
    ) -> Iterator[Any]:
        """Yield the batches that were handed out, again, on any machine that has the data.

        `view` is needed if the stack holds functions or values in memory. `options` are arguments of the loader that do
        not decide which samples are read, such as `collate`. Raises `Conflict` that names what differs.
        """
        entries = self.entries or (_read(self.path) if self.path else [])
        recorded = [entry for entry in entries if "consumed" in entry]
        if not recorded:
            raise NotFound(f"{self.path or self.run} records no loader. Pass it to one with Loader(..., ledger=...).")
        for entry in recorded:
            order = _order_of(entry)
            yield from _replayed(entry, order, view or _view_of(entry, storage), options)

    def __repr__(self) -> str:
        return f"Ledger({self.path or self.run})"


def _entry(loader: Loader) -> Entry:
    plan, state = loader.plan, loader.state_of(0, 0)
    size = plan.batch_size
    return {
        **used_by(loader.view),
        "state": state,
        "batch_size": size if isinstance(size, int) else asdict(size),
        "rank": plan.rank,
        "world": plan.world,
        "last": plan.last,
        "consumed": [],
    }


def _plan(entry: Entry) -> Any:
    return [entry.get(name) for name in ("state", "batch_size", "rank", "world", "last")]


def _of_rank(path: Path, loader: Loader) -> Path:
    return path if loader.plan.world == 1 else path.with_name(f"{path.stem}.rank{loader.plan.rank}{path.suffix}")


def _read(path: Path) -> list[Entry]:
    try:
        with files.opened(path) as file:
            found = parsed(file.read())
        if found["ledger"] != FORMAT:
            raise ValueError("its format is not known")
        entries: list[Entry] = [*read_as(Sequence[Mapping[str, Any]], found["entries"])]
    except FileNotFoundError:
        raise NotFound(
            f"There is no ledger {path}. Record one with Loader(..., ledger=Ledger({str(path)!r}))."
        ) from None
    except (ValueError, LookupError, TypeError) as error:
        raise DecodeError(f"{path} is not a ledger: {error}. Give the file that Ledger(path) wrote.") from error
    return entries


def _view_of(entry: Entry, storage: "str | Storage | None") -> View:
    if entry["stack"] is None:
        raise UsageError(
            "The recorded stack holds functions or values in memory, which the ledger does not. Build the same view "
            "and pass it: replay(view)."
        )
    return view_from_json(entry["stack"], storage=storage)


def _order_of(entry: Entry) -> dict[str, Any]:
    """Return the arguments of the loader that an entry recorded. Raises `DecodeError`."""
    try:
        read_as(Sequence[tuple[Count, Count, Count]], entry["consumed"])
        read_as(str | None, entry["stack"])
        state, size = read_as(Mapping[str, Any], entry["state"]), entry["batch_size"]
        return {
            "batch_size": size if isinstance(size, int) else Budget(**size),
            "shuffle": state["shuffle"],
            "seed": state["seed"],
            "bucket": Buckets(**state["bucket"]) if state["bucket"] else None,
            **{name: entry[name] for name in ("rank", "world", "last")},
        }
    except UNFIT as error:
        raise DecodeError(
            f"An entry of a ledger is not valid: {error}. Read it with the release that wrote it."
        ) from error


def _replayed(entry: Entry, order: dict[str, Any], view: View, options: dict[str, Any]) -> Iterator[Any]:
    loader = Loader(view, **order, **options)
    try:
        check_state(entry["state"], loader.state_of(0, 0), lambda: fingerprint_by_name(view))
    except Conflict as error:
        raise Conflict(f"The batches cannot be the same. {error}") from None
    for epoch, start, stop in entry["consumed"]:
        yield from _range(loader, epoch, start, stop)


def _range(loader: Loader, epoch: int, start: int, stop: int) -> Iterator[Any]:
    for batch, after, last in loader.batches(epoch, start):
        yield batch
        if last or after >= stop:
            return
