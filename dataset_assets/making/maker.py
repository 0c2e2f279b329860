"""Decides what of a dataset is stored already, and makes what is not.

`prepare` and Dagster's assets both ask a `Maker`, so that they ask a source equally often and make equal digests. What
is stored, known and undamaged is left as it is. What is made lies in a scratch folder until the caller publishes it.
"""

import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Callable
from urllib.parse import urlsplit

from dataset_assets.core.progress import Progress
from dataset_assets.core.scratch import kept_folder, scratch_folder, sweep
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile
from dataset_assets.errors import DigestMismatch, NotFound
from dataset_assets.making.existing import (
    FoundSplit,
    check_raw,
    made_raw,
    made_split,
    publish_raw,
    recorded_raw,
    usable_raw,
)
from dataset_assets.making.inputs import Inputs
from dataset_assets.making.recipe import release_recipe
from dataset_assets.making.shared import of_url, stage_copy, with_digest
from dataset_assets.making.steps import ON_THIS_MACHINE, StagedRaw, StagedSplit, derive, make_split, stage_raw
from dataset_assets.making.version_checks import check_version
from dataset_assets.reading.load import open_split
from dataset_assets.reading.views import Stored
from dataset_assets.storage.manifest import Version
from dataset_assets.storage.raw_files import RawFile
from dataset_assets.storage.stored_dataset import StoredDataset


class Maker:
    """Makes what is missing of one dataset. Use it in a `with` block, at whose end the scratch folder is removed.

    With `refresh` the source of each file is asked whether it changed, and its new bytes are taken.
    """

    def __init__(
        self, dataset: Dataset, stored: StoredDataset, *, refresh: bool = False, progress: Progress | None = None
    ) -> None:
        self.dataset, self.stored, self.refresh, self.progress = dataset, stored, refresh, progress
        self.settings = settings()
        self.inputs = Inputs(dataset, {}, self._open, self._scratch)
        self.splits: dict[str, str] = {}
        self._undamaged: set[str] = set()
        self._stack = ExitStack()
        self._folder: Path | None = None

    def __enter__(self) -> "Maker":
        # Even if there is nothing to make: the last process may have been killed after its work.
        sweep(self.settings.scratch)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    # What the caller has published, or opened.

    def add_raw(self, raw: RawFile, *, undamaged: bool = False) -> None:
        """Use a stored raw file as an input; it is hashed before it is read, unless the caller did so."""
        self.inputs.raws[raw.name] = raw
        if undamaged:
            self._undamaged.add(raw.name)

    def add_split(self, split: str, digest: str, view: Stored | None = None) -> None:
        """Use a stored split as an input, and in the version; it is opened when it is read."""
        self.splits[split] = digest
        if view is not None:
            self.inputs.splits[split] = view

    # What is stored, or else made.

    def raw(self, name: str) -> RawFile | StagedRaw:
        """Return a file if it is stored, as its definition means it; else retrieve or derive it."""
        file = self.dataset.files[name]
        return self._retrieved(file) if isinstance(file, RemoteFile) else self._derived(file)

    def split(self, name: str) -> FoundSplit | StagedSplit:
        """Return a split if this very recipe made it and all its files are stored; else make it."""
        defined = self.dataset.splits[name]
        for source in defined.splits.values():
            self.view(source.split)
        recipe = self.inputs.recipe(name)
        if found := made_split(self.stored, name, recipe):
            return found
        with ExitStack() as stack:
            opened = self.inputs.opened(defined, stack)
            folder, size, used = self._scratch() / name, self.settings.file_bytes, self.inputs.used(name)
            return make_split(self.dataset, name, recipe, used, opened, folder, size, self.progress)

    def version(self, current: Version | None) -> Version:
        """Return the current version if it has these splits and passed these checks; else check a new one."""
        if current and current.recipe == release_recipe(self.dataset, self.splits):
            return current
        return check_version(self.dataset, {split: self.view(split) for split in self.dataset.splits})

    def view(self, split: str) -> Stored:
        """Open a split that was added."""
        if split not in self.inputs.splits:
            self.inputs.splits[split] = open_split(self.stored, split, self.splits[split])
        return self.inputs.splits[split]

    def see_undamaged(self, raw: RawFile) -> None:
        """Hash a stored raw file once; retrieve or derive it again if it is damaged. Raises `DigestMismatch`."""
        if raw.name in self._undamaged:
            return
        try:
            check_raw(self.stored, raw)
        except (DigestMismatch, NotFound):
            staged = self._again(raw)
            if staged.raw.sha256 != raw.sha256:
                raise
            publish_raw(self.stored, staged)
        self._undamaged.add(raw.name)

    def _retrieved(self, file: RemoteFile) -> RawFile | StagedRaw:
        usable = usable_raw(self.stored, file)
        if usable is not None and not self.refresh:
            return usable
        # A refresh takes the new bytes; without one they must be those that were recorded.
        staged = self._staged(file, usable if self.refresh else recorded_raw(self.stored, file), self.refresh)
        if staged is None or usable is not None and _same(staged.raw, usable):
            assert usable is not None  # a source is asked whether it changed only if its file is stored
            if staged is not None:
                staged.published()
            return usable
        return staged

    def _derived(self, file: DerivedFile) -> RawFile | StagedRaw:
        recipe = self.inputs.identity(file)
        return made_raw(self.stored, file.identifier, recipe) or self._derive(file, recipe)

    def _again(self, raw: RawFile) -> StagedRaw:
        """Retrieve or derive a damaged file again."""
        file = self.dataset.files[raw.name]
        if isinstance(file, DerivedFile):
            return self._derive(file, self.inputs.identity(file))
        staged = self._staged(file, raw, refresh=False)
        assert staged is not None  # only a refresh asks whether the source changed
        return staged

    def _staged(self, file: RemoteFile, known: RawFile | None, refresh: bool) -> StagedRaw | None:
        """Retrieve a file, unless another dataset of the storage has it. One process at a time does so."""
        began, root, patience = time.time_ns(), self.settings.scratch, float(self.settings.stall_seconds)
        with ExitStack() as turn:
            key = file.digest or file.urls[0]
            kept = turn.enter_context(kept_folder(root, key, patience)) if _is_far(file) else None
            fetch = partial(
                stage_raw,
                self.dataset,
                file,
                self._scratch(),
                known=known,
                progress=self.progress,
                offline=self.settings.offline,
                kept=kept,
            )
            staged = fetch(refresh=True) if refresh else self._shared(file, known, began, fetch)
            if staged is None:
                return None
            held = self._stack.enter_context(turn.pop_all())
        return replace(staged, published=held.close)

    def _shared(
        self, file: RemoteFile, known: RawFile | None, began: int, fetch: Callable[..., StagedRaw | None]
    ) -> StagedRaw | None:
        """Copy a file from another dataset of the storage, or else retrieve it."""
        if not _is_far(file):
            return fetch()
        copy = partial(stage_copy, self.stored, self.dataset, file, self._scratch())
        if digest := file.digest or (f"sha256:{known.sha256}" if known else None):
            return copy(with_digest(self.stored, digest)) or fetch()
        other = of_url(self.stored, file)
        if other and other.since > began and (staged := copy(other)):
            return staged
        # None: the source says that its file is still the one that the other dataset has.
        return fetch(unless=other.raw.source if other else None) or copy(other) or fetch()

    def _derive(self, file: DerivedFile, recipe: str) -> StagedRaw:
        with ExitStack() as stack:
            return derive(self.dataset, file, self._scratch(), self.inputs.opened(file, stack), recipe)

    def _open(self, raw: RawFile) -> BinaryIO:
        self.see_undamaged(raw)
        return self.stored.open_raw(raw)

    def _scratch(self) -> Path:
        """Return the scratch folder, which is made when it is first needed."""
        if self._folder is None:
            self._folder = self._stack.enter_context(scratch_folder(self.settings.scratch))
        return self._folder


def _is_far(file: RemoteFile) -> bool:
    """Return True if a file may come from another machine."""
    return any(urlsplit(url).scheme not in ON_THIS_MACHINE for url in file.urls)


def _same(raw: RawFile, other: RawFile) -> bool:
    """Say whether two files have the same bytes, and their sources the same validators."""
    return (raw.sha256, raw.source) == (other.sha256, other.source)
