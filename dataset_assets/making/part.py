"""Makes one part of a split, in this process or another: its stream files, and then its record."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Sequence

from dataset_assets.checks.classes import classes_in, labelled
from dataset_assets.core import files
from dataset_assets.core.scratch import scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.errors import at
from dataset_assets.formats import Format, format_named
from dataset_assets.making.excluding import Excluder
from dataset_assets.making.running import run
from dataset_assets.making.sample_writer import SampleWriter
from dataset_assets.making.skipping import Skipper
from dataset_assets.making.steps import stored_stream
from dataset_assets.reading.views import View
from dataset_assets.storage.manifest import StoredStream
from dataset_assets.storage.part_record import ClassesFound, PartRecord
from dataset_assets.storage.storage import Storage, open_object, put_all
from dataset_assets.storage.stored_dataset import StoredDataset


@dataclass(frozen=True)
class Input:
    """A file that a part is made of: at a path of this machine, or in a storage. `url` names it in errors."""

    url: str
    path: Path | None = None
    storage: Storage | None = field(default=None, repr=False)
    key: str = ""

    def open(self) -> BinaryIO:
        """Open the file."""
        if self.path is None:
            assert self.storage is not None  # one of both is given
            opened = open_object(self.storage, self.key)
        else:
            opened = files.opened(self.path)
        with suppress(AttributeError):
            opened.url = self.url  # type: ignore[attr-defined]
        return opened


@dataclass(frozen=True)
class PartOrder:
    """All that another process needs to make a part. The function is called once for each of `each`.

    With `store` the files and the record are stored there; without it they are left in the folder.
    """

    dataset: str
    split: str
    recipe: str
    streams: Mapping[str, Format]
    function: Callable[..., Any]
    plain: Mapping[str, Any]
    argument: str
    each: Sequence[tuple[str, Input | View]]
    """The name of each file, or of a run of samples, and what is opened."""
    others: Mapping[str, Input | View]
    """The other arguments, which are opened again for each call."""
    skips: bool
    excluder: Excluder
    file_bytes: int
    folder: Path | None
    """Where the files are written; None: in the scratch folder of the machine that makes the part."""
    store: Storage | None


@dataclass(frozen=True)
class StagedPart:
    """A part that was made: its record, and the files of each stream; None: all of it is stored already."""

    record: PartRecord
    files: Mapping[str, Sequence[Path]] | None


def make_part(order: PartOrder) -> StagedPart:
    """Make a part, anew if a killed process left some of it."""
    if order.folder is None:
        with scratch_folder(settings().scratch) as scratch:
            return make_part(replace(order, folder=scratch))
    folder = order.folder / order.recipe
    shutil.rmtree(folder, ignore_errors=True)
    with at(f"{order.dataset}, split {order.split}"):
        staged = _written(order, folder)
    if order.store is None:
        return staged
    store_part(StoredDataset(order.store, order.dataset), staged)
    shutil.rmtree(folder, ignore_errors=True)
    return StagedPart(staged.record, None)


def store_part(stored: StoredDataset, staged: StagedPart) -> None:
    """Store the files of a part, and then its record."""
    record, files_of = staged.record, staged.files or {}
    paths = [path for name in record.streams for path in files_of[name]]
    keys = [key for name in record.streams for key in record.keys(stored.name, name)]
    put_all(stored.storage, dict(zip(keys, paths, strict=True)))
    stored.put_part(record)


def _written(order: PartOrder, folder: Path) -> StagedPart:
    with ExitStack() as stack:
        writers = {name: kind.part_writer(folder / name, order.file_bytes) for name, kind in order.streams.items()}
        for writer in writers.values():
            stack.callback(writer.discard)
        skipper = Skipper(order.streams, folder) if order.skips else None
        written = SampleWriter(order.streams, writers, order.function.__qualname__, order.excluder, skipper)
        counts = [_call(order, *each, written) for each in order.each]
        # Without samples there is nothing to take a dtype from; the other parts have them.
        with at(_span([name for name, _ in order.each])):
            closed = written.close() if written.samples else {}
    streams = {name: stored_stream(order.streams[name], *result) for name, result in closed.items()}
    paths = {name: [part.path for part in parts] for name, (parts, _) in closed.items()}
    record = PartRecord(
        split=order.split,
        recipe=order.recipe,
        samples=written.samples,
        yielded=written.yielded,
        each=tuple(counts),
        streams=streams,
        skipped=skipper.skipped if skipper else 0,
        bad=tuple(skipper.bad) if skipper else (),
        classes={
            name: _classes(streams[name], len(classes), paths[name]) for name, classes in labelled(streams).items()
        },
    )
    return StagedPart(record, paths)


def _classes(stream: StoredStream, classes: int, paths: Sequence[Path]) -> ClassesFound:
    """Return the classes that occur in a stream, while its files are on this machine."""
    kind = format_named(stream.format, stream.parameters)
    return classes_in(kind.open([files.opened(path) for path in paths]), classes)


def _span(names: Sequence[str]) -> str:
    """Return which files or runs of samples a part is made of, in words."""
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _call(order: PartOrder, name: str, each: Input | View, written: SampleWriter) -> int:
    """Call the function for one file; return how many samples were made of it."""
    before = written.samples
    if written.skipper and isinstance(each, Input):
        written.skipper.source = each.url

    def done() -> str:
        return f"{written.samples - before} samples of {name}"

    with at(name), _opened({**order.others, order.argument: each}) as opened:
        for yielded in run(order, opened, done, order.skips):
            written.add(yielded)
        written.flush()
    return written.samples - before


@contextmanager
def _opened(inputs: Mapping[str, Input | View]) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(given.open()) if isinstance(given, Input) else given
            for name, given in inputs.items()
        }
