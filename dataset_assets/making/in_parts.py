"""Makes a split in parts: those that are not stored yet, by an engine, and then the index of all of them.

A part's files are stored first, then its record; the index and the pointer follow when all parts are there. So a run
may be killed anywhere, and the next one makes what has no record.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from dataset_assets.checks.built_in import check_split
from dataset_assets.checks.classes import added_up, labelled
from dataset_assets.core.progress import Progress, report, split_label
from dataset_assets.core.workers import jobs
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import UsageError, at
from dataset_assets.making.engines import Engine, engine
from dataset_assets.making.engines.here import Here
from dataset_assets.making.excluding import Excluder
from dataset_assets.making.inputs import Inputs
from dataset_assets.making.merging import Merger
from dataset_assets.making.part import Input, PartOrder, make_part, store_part
from dataset_assets.making.part_inputs import PartInputs, travels
from dataset_assets.making.parts import Part, parts_of
from dataset_assets.making.skipping import LISTED
from dataset_assets.making.steps import StagedSplit, stored_stream
from dataset_assets.reading.load import columns_of
from dataset_assets.reading.stored_files import StoredFiles
from dataset_assets.storage.format_numbers import format_of
from dataset_assets.storage.keys import stream_key
from dataset_assets.storage.manifest import MadePart, Skipped, SplitIndex, StoredStream, UsedFile
from dataset_assets.storage.part_record import ClassesFound, PartRecord
from dataset_assets.storage.raw_files import RawFile
from dataset_assets.storage.storage import open_object, put_all
from dataset_assets.storage.stored_dataset import StoredDataset


class InParts:
    """Makes one split of a dataset in parts. `folder` is empty, and removed by the caller."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        stored: StoredDataset,
        inputs: Inputs,
        see_undamaged: Callable[[RawFile], None],
        folder: Path,
        file_bytes: int,
        excluder: Excluder,
        progress: Progress | None,
    ) -> None:
        self.dataset, self.split, self.stored, self.inputs = dataset, split, stored, inputs
        self.folder, self.file_bytes, self.excluder = folder, file_bytes, excluder
        self.tell, self.defined = progress or report, dataset.splits[split]
        self.travels, self.engine = travels(stored.storage), engine()
        self.see_undamaged = see_undamaged

    def made(self, recipe: str) -> StagedSplit:
        """Make the parts that are missing, and return the split, whose files are stored. Raises as `make_split`."""
        parts = [*parts_of(self.dataset, self.split, self.inputs, self.excluder.digest)]
        records = self.stored.parts(self.split, [part.recipe for part in parts])
        # A collector leaves the files of a record that is young.
        self.stored.put_parts(records.values())
        self._make([part for part in parts if part.recipe not in records], records)
        with at(f"{self.dataset.name}, split {self.split}"):
            streams = self._streams(parts, records)
        made = [records[part.recipe] for part in parts]
        index = self._index(recipe, parts, made, streams)
        columns = columns_of(StoredFiles(self.stored.storage, index))
        findings = check_split(index.samples, index.streams, columns, _classes(made, index.streams))
        return StagedSplit(replace(index, findings=findings), {})

    def _make(self, missing: Sequence[Part], records: dict[str, PartRecord]) -> None:
        what = split_label(self.dataset.name, self.split)
        done = sum(record.samples for record in records.values())
        for staged in (
            self._engine().each(make_part, self._orders(missing), min(jobs(), len(missing))) if missing else ()
        ):
            if staged.files is not None:
                store_part(self.stored, staged)
            for left in (staged.record.recipe, f"inputs-{staged.record.recipe}"):
                shutil.rmtree(self.folder / left, ignore_errors=True)
            records[staged.record.recipe] = staged.record
            done += staged.record.samples
            self.tell(what, done, None)

    def _engine(self) -> Engine:
        """Return the engine; a split of splits whose storage only this process can use is made here."""
        has_views = bool(self.defined.splits or self.defined.links)
        return Here() if has_views and not self.travels else self.engine

    def _orders(self, missing: Sequence[Part]) -> Iterator[tuple[str, PartOrder]]:
        given = PartInputs(
            self.defined, self.stored, self.inputs, self.see_undamaged, self.folder, copies=not self.travels
        )
        for part in missing:
            label = f"the part of {part.label} of {self.dataset.name}, split {self.split}"
            order = PartOrder(
                dataset=self.dataset.name,
                split=self.split,
                recipe=part.recipe,
                streams=dict(self.dataset.streams),
                function=self.defined.function,
                plain=self.defined.plain,
                argument=given.argument,
                each=given.of(part),
                others=given.others(),
                skips=self.dataset.skips,
                excluder=self.excluder,
                file_bytes=self.file_bytes,
                folder=self.folder if self.engine.shares_disk else None,
                store=self.stored.storage if self.travels else None,
            )
            self._see_reachable(order)
            yield label, order

    def _see_reachable(self, order: PartOrder) -> None:
        """Raise `UsageError` if the processes of an engine on other machines cannot open a file."""
        files = [given for given in (*(each for _, each in order.each), *order.others.values())]
        if order.folder is None and (order.store is None or any(isinstance(f, Input) and f.path for f in files)):
            raise UsageError(
                f"The parts of {self.dataset.name}, split {self.split}, are made on other machines, which cannot open "
                "all of their files. Use a storage with a URL, and files with keep=True; or use --engine processes."
            )

    def _streams(self, parts: Sequence[Part], records: Mapping[str, PartRecord]) -> dict[str, StoredStream]:
        made = [(part.label, records[part.recipe].streams) for part in parts if records[part.recipe].samples]
        if not made:
            return self._empty()
        return Merger(self.dataset.streams, self.folder, self._open, self._put, self.file_bytes).merged(made)

    def _empty(self) -> dict[str, StoredStream]:
        """Return the streams of a split without samples."""
        found = {}
        for name, kind in self.dataset.streams.items():
            with at(f"stream {name}"):
                files, parameters = kind.writer(self.folder / f"empty-{name}", self.file_bytes).close()
            found[name] = stored_stream(kind, files, parameters)
            self._put(name, found[name], [file.path for file in files])
        return found

    def _open(self, name: str, stream: StoredStream) -> list[Any]:
        return [open_object(self.stored.storage, key) for key in self._keys(name, stream)]

    def _put(self, name: str, stream: StoredStream, paths: Sequence[Path]) -> None:
        put_all(self.stored.storage, dict(zip(self._keys(name, stream), paths, strict=True)))

    def _keys(self, name: str, stream: StoredStream) -> list[str]:
        return [stream_key(self.dataset.name, self.split, name, one.sha256, stream.suffix) for one in stream.files]

    def _index(
        self, recipe: str, parts: Sequence[Part], records: Sequence[PartRecord], streams: Mapping[str, StoredStream]
    ) -> SplitIndex:
        made = tuple(MadePart(part.recipe, record.samples) for part, record in zip(parts, records))
        skipped = sum(record.skipped for record in records)
        return SplitIndex(
            dataset=self.dataset.name,
            split=self.split,
            version=self.dataset.version,
            samples=sum(record.samples for record in records),
            streams=streams,
            sources=tuple(self._sources(records)),
            arguments=self.inputs.split_arguments(self.split),
            roles=dict(self.dataset.roles),
            license=self.dataset.license,
            findings=(),
            recipe=recipe,
            format=format_of(self.excluder.digest, skipped, in_parts=bool(made)),
            excluded=self.excluder.digest,
            skipped=skipped,
            bad=tuple(_bad(records)),
            parts=made,
        )

    def _sources(self, records: Sequence[PartRecord]) -> Iterator[UsedFile]:
        """Yield the files that the split is made of, each of the `ForEach` with its samples."""
        assert self.defined.each is not None  # only such a split has parts
        argument, each = self.defined.each
        counts = [count for record in records for count in record.each] if each.files else []
        known = {f"{argument}[{k}]": count for k, count in enumerate(counts)}
        for used in self.inputs.used(self.split):
            yield replace(used, samples=known.get(used.argument, 0))


def _classes(records: Sequence[PartRecord], streams: Mapping[str, StoredStream]) -> dict[str, ClassesFound]:
    """Return the classes of the split, of those streams whose classes all parts know."""
    made = [record for record in records if record.samples]
    known = [name for name in labelled(streams) if all(name in record.classes for record in made)]
    return {name: added_up((record.samples, record.classes[name]) for record in made) for name in known}


def _bad(records: Sequence[PartRecord]) -> Iterator[Skipped]:
    """Yield the first bad samples of the split, numbered among all that its function yielded."""
    starts = accumulate((record.yielded for record in records), initial=0)
    every = (replace(one, sample=start + one.sample) for start, record in zip(starts, records) for one in record.bad)
    for _, one in zip(range(LISTED), every):
        yield one
