"""The inputs of parts, as another process can open them: files by their path or their key, splits as views."""

import pickle
from collections.abc import Callable
from pathlib import Path

from dataset_assets.core import files
from dataset_assets.definition.dataset import DerivedFile, RemoteFile
from dataset_assets.definition.links import FileOf
from dataset_assets.definition.split import Split
from dataset_assets.making.inputs import Inputs
from dataset_assets.making.part import Input
from dataset_assets.making.parts import Part
from dataset_assets.reading.views import View
from dataset_assets.storage.raw_files import RawFile
from dataset_assets.storage.storage import Storage, open_object
from dataset_assets.storage.stored_dataset import StoredDataset


def travels(storage: Storage) -> bool:
    """Say whether another process can use a storage."""
    try:
        pickle.dumps(storage)
    except Exception:  # a connector may raise anything
        return False
    return True


class PartInputs:
    """Finds the inputs of the parts of one split. Damaged files are retrieved again before they are used.

    `folder` takes copies of files whose storage another process cannot use.
    """

    def __init__(
        self,
        split: Split,
        stored: StoredDataset,
        inputs: Inputs,
        see_undamaged: Callable[[RawFile], None],
        folder: Path,
        copies: bool,
    ) -> None:
        self.split, self.stored, self.inputs, self.see_undamaged = split, stored, inputs, see_undamaged
        self.folder, self.copies = folder, copies
        assert split.each is not None  # only such a split has parts
        self.argument, self.each = split.each

    def of(self, part: Part) -> list[tuple[str, Input | View]]:
        """Return what the function is called with, once for each, and a name for it."""
        if part.files:
            return [(file.identifier, self._file(file, part.recipe)) for file in part.files]
        view = self.inputs.view(self.split, self.argument)
        return [(part.label, view[part.rows.start : part.rows.stop])]

    def others(self) -> dict[str, Input | View]:
        """Return the other arguments that are files and splits."""
        found: dict[str, Input | View] = {}
        for name in (self.split.splits | self.split.links).keys() - {self.argument}:
            link = self.split.links.get(name)
            found[name] = self._link(link) if isinstance(link, FileOf) else self.inputs.view(self.split, name)
        alone = {name: file for name, file in self.split.files.items() if name in self.split.arguments}
        return found | {name: self._file(file, "others") for name, file in alone.items()}

    def _file(self, file: RemoteFile | DerivedFile, folder: str) -> Input:
        raw = self.inputs.raw(file)
        if file.identifier not in self.inputs.transient:
            self.see_undamaged(raw)
        url = self.inputs.shown(file)
        if path := self.inputs.transient.get(file.identifier):
            return Input(url, path)
        return self._stored(url, self.stored.raw_key(raw), folder)

    def _link(self, link: FileOf) -> Input:
        key, url = self.inputs.linked_key(link)
        return self._stored(url, key, "others")

    def _stored(self, url: str, key: str, folder: str) -> Input:
        if not self.copies:
            return Input(url, storage=self.stored.storage, key=key)
        path = self.folder / f"inputs-{folder}" / key.replace("/", "-")
        if not path.exists():
            files.make_folder(path.parent)
            with open_object(self.stored.storage, key, whole=True) as file, files.Written(path) as written:
                for chunk in files.chunks_of(file):
                    written.write(chunk)
        return Input(url, path)
