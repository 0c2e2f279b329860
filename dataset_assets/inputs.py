"""The files that splits are made of: those at hand, and those that are derived of them when a split needs them."""

from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Callable, Mapping

from dataset_assets.definition import Dataset, DerivedFile, RemoteFile, Split
from dataset_assets.index import UsedFile
from dataset_assets.making import RawFile, derive, url_of
from dataset_assets.recipe import derived_recipe, split_recipe

File = RemoteFile | DerivedFile


class Inputs:
    """Answers, for one dataset, what a split is made of; transient files are derived once, when they are opened.

    `raws` are the files at hand by identifier, `open_raw` opens one of them, `scratch` gives a folder to derive in.
    """

    def __init__(
        self,
        dataset: Dataset,
        raws: Mapping[str, RawFile],
        open_raw: Callable[[RawFile], BinaryIO],
        scratch: Callable[[], Path],
    ) -> None:
        self.dataset, self.raws, self.open_raw, self.scratch = dataset, dict(raws), open_raw, scratch
        self.transient: dict[str, Path] = {}

    def recipe(self, split: str) -> str:
        """Return the split's recipe; nothing is opened or derived for it."""
        return split_recipe(self.dataset, split, self._sources(self.dataset.splits[split]))

    def identity(self, file: File) -> str:
        """Return what stands for a file's content in a recipe: its sha256, or for a derived file how it is made."""
        if isinstance(file, RemoteFile):
            return self.raws[file.identifier].sha256
        return "recipe:" + derived_recipe(file, self._sources(file))

    def used(self, split: str) -> list[UsedFile]:
        """Return the split's files as its index names them; derives those that are not there yet."""
        found = []
        for argument, file in self.dataset.splits[split].files.items():
            raw = self.raw(file)
            found.append(UsedFile(argument, file.identifier, raw.sha256, raw.bytes, url_of(file)))
        return found

    def _sources(self, applied: Split | DerivedFile) -> dict[str, list[str]]:
        # Name and URL are in the index too, and that may depend on nothing but the recipe.
        return {n: [file.identifier, url_of(file), self.identity(file)] for n, file in applied.files.items()}

    def opened(self, applied: Split | DerivedFile, stack: ExitStack) -> dict[str, BinaryIO]:
        """Open the file arguments of a split or derived file, until the stack is closed."""
        return {name: stack.enter_context(self.open(file)) for name, file in applied.files.items()}

    def open(self, file: File) -> BinaryIO:
        """Open one file."""
        raw = self.raw(file)
        path = self.transient.get(file.identifier)
        return open(path, "rb") if path else self.open_raw(raw)

    def raw(self, file: File) -> RawFile:
        """Return what is known of a file, after deriving it if need be."""
        if file.identifier not in self.raws:
            assert isinstance(file, DerivedFile), file
            with ExitStack() as stack:
                staged = derive(self.dataset, file, self.scratch(), self.opened(file, stack))
            self.raws[file.identifier], self.transient[file.identifier] = staged.raw, staged.path
        return self.raws[file.identifier]
