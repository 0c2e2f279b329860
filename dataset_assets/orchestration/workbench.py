"""What a body works with: its files, opened when they are needed and whole, and a scratch folder."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Mapping

from dataset_assets.core.scratch import scratch_folder, sweep
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset, RemoteFile
from dataset_assets.errors import DigestMismatch, NotFound
from dataset_assets.making.inputs import File, Inputs
from dataset_assets.making.steps import RawFile, StagedRaw, derive, stage_raw
from dataset_assets.orchestration.handover import OpenedRaw, Upstream
from dataset_assets.orchestration.io_manager import StorageIOManager


class Workbench:
    """The inputs of one step; what it made of them is gone at the end of the block, unless it was stored."""

    def __init__(
        self, dataset: Dataset, connector: StorageIOManager, opened: Mapping[str, OpenedRaw | Upstream]
    ) -> None:
        self.dataset, self.connector = dataset, connector
        self.given = list(opened.values())
        self.found = {handle.raw.name: handle for handle in self.given if isinstance(handle, OpenedRaw)}
        self.whole = {name for name, handle in self.found.items() if handle.hashed}
        raws = {name: handle.raw for name, handle in self.found.items()}
        self.inputs = Inputs(dataset, raws, self._open, self.folder)
        self.inputs.splits |= {given.view.split: given.view for given in self.given if isinstance(given, Upstream)}
        self.stack = ExitStack()
        self._folder: Path | None = None

    def __enter__(self) -> "Workbench":
        # Also where nothing is to be done: the last run may have been killed after its work.
        sweep(settings().scratch)
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.close()

    @property
    def began(self) -> str:
        """The dataset's pointer when this run began with it, as far as its steps know; empty: there was none."""
        seen = [given.began for given in self.given if given.began is not None]
        return seen[0] if seen else self.connector.pointer(self.dataset) or ""

    def folder(self) -> Path:
        """Return the scratch folder, made when it is first asked for."""
        if self._folder is None:
            self._folder = self.stack.enter_context(scratch_folder(settings().scratch))
        return self._folder

    def _open(self, raw: RawFile) -> BinaryIO:
        if raw.name not in self.whole:
            self._see_that_it_is_whole(raw)
        return self.found[raw.name].open()

    def _see_that_it_is_whole(self, raw: RawFile) -> None:
        """Hash a file that was stored some time ago, before anything is made of it; get it again if it was damaged."""
        try:
            self.connector.check_raw(self.dataset, raw)
        except (DigestMismatch, NotFound):
            staged = self._again(self.dataset.files[raw.name], raw)
            if staged.raw.sha256 != raw.sha256:
                raise
            self.connector.mend(self.dataset, staged)
        self.whole.add(raw.name)

    def _again(self, file: File, raw: RawFile) -> StagedRaw:
        if isinstance(file, RemoteFile):
            staged = stage_raw(self.dataset, file, self.folder(), known=raw)
            assert staged is not None  # only a refresh asks whether the source is unchanged
            return staged
        with ExitStack() as stack:
            return derive(
                self.dataset, file, self.folder(), self.inputs.opened(file, stack), self.inputs.identity(file)
            )
