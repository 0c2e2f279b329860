"""The inputs of splits: stored files, files that are derived when a split needs them, and other splits."""

from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator, Mapping

from dataset_assets.core import files
from dataset_assets.core.few_open import open_all
from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile, Split, SplitOf
from dataset_assets.definition.links import FileOf
from dataset_assets.making.links import Links
from dataset_assets.making.recipe import derived_recipe, split_recipe
from dataset_assets.making.steps import derive, url_of
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.streaming import open_for_streaming
from dataset_assets.reading.views import Stored
from dataset_assets.storage.manifest import UsedFile
from dataset_assets.storage.raw_files import RawFile

File = RemoteFile | DerivedFile


class Inputs:
    """Opens the inputs of a dataset's splits. A derived file that is not kept is derived once, when it is opened.

    `raws` are the stored files by identifier, `open_raw` opens one of them, `scratch` returns a folder to derive in,
    and `splits` are the views of the splits that other splits are made of; `links` opens those of other datasets.
    `run` is the name of a run whose processes share the work.
    """

    def __init__(
        self,
        dataset: Dataset,
        raws: Mapping[str, RawFile],
        open_raw: Callable[[RawFile], BinaryIO],
        scratch: Callable[[], Path],
        run: str = "",
        links: Links | None = None,
    ) -> None:
        self.links = links
        self.dataset, self.raws, self.open_raw, self.scratch, self.run = dataset, dict(raws), open_raw, scratch, run
        self.transient: dict[str, Path] = {}
        self.splits: dict[str, Stored] = {}
        self._passing: dict[str, Stored] = {}

    def recipe(self, split: str, excluded: str = "") -> str:
        """Return the split's recipe; `excluded` is the digest of what is left out. Opens and derives nothing."""
        return split_recipe(self.dataset, split, self.sources(self.dataset.splits[split]), excluded)

    def identity(self, file: File) -> str:
        """Return what identifies a file in a recipe: its sha256, or the recipe of a derived file."""
        if isinstance(file, RemoteFile):
            return self.raws[file.identifier].sha256
        return "recipe:" + derived_recipe(file, self.sources(file))

    def used(self, split: str) -> list[UsedFile]:
        """Return the split's files as its index names them. Derives those that are missing."""
        found = []
        for argument, file in self.dataset.splits[split].files.items():
            raw = self.raw(file)
            found.append(UsedFile(argument, file.identifier, raw.sha256, raw.bytes, url_of(file)))
        return [*found, *self._used_by_others(split), *self._used_of_links(split)]

    def _used_by_others(self, split: str) -> Iterator[UsedFile]:
        """Yield the files of the splits that this one is made of: their `images` is `whole.images` here."""
        for argument, source in self.dataset.splits[split].splits.items():
            for used in index_of(self.splits[source.split]).sources:
                yield replace(used, argument=f"{argument}.{used.argument}", samples=0)

    def _used_of_links(self, split: str) -> Iterator[UsedFile]:
        """Yield the files of other datasets: those that are linked, and those that linked splits are made of."""
        for argument, link in self.dataset.splits[split].links.items():
            if isinstance(link, FileOf):
                raw = self._links.raw(link)
                yield UsedFile(argument, raw.name, raw.sha256, raw.bytes, raw.url)
            else:
                for used in index_of(self._links.view(link)).sources:
                    yield replace(used, argument=f"{argument}.{used.argument}", samples=0)

    @property
    def _links(self) -> Links:
        assert self.links is not None, "a dataset with links is made in a storage"
        return self.links

    def sources(self, applied: Split | DerivedFile) -> dict[str, list[str]]:
        """Return what identifies each argument that is a file or a split, in a recipe."""
        # The index holds name and URL too, and must depend on nothing but the recipe.
        given = {n: [file.identifier, url_of(file), self.identity(file)] for n, file in applied.files.items()}
        splits = {n: ["split", source.split, self._index(source)] for n, source in applied.splits.items()}
        links = {n: self._links.source(link) for n, link in applied.links.items()}
        return {**given, **splits, **links}

    def _index(self, source: SplitOf) -> str:
        return self.splits[source.split].origin.index

    def opened(self, applied: Split | DerivedFile, stack: ExitStack) -> dict[str, Any]:
        """Open the arguments of a split or derived file that are files or splits, until the stack is closed."""
        opened = open_all([partial(self._open, file) for file in applied.files.values()])
        found: dict[str, Any] = {name: self._hashed(source) for name, source in applied.splits.items()}
        for (name, file), each in zip(applied.files.items(), opened):
            found[name] = _named(stack.enter_context(each), _shown(file, self.raw(file)))
        for name, link in applied.links.items():
            found[name] = self._linked(link, stack)
        return found

    def _linked(self, link: SplitOf | FileOf, stack: ExitStack) -> Any:
        if isinstance(link, FileOf):
            return _named(stack.enter_context(self._links.open(link)), self._links.raw(link).url)
        return self._streaming(self._links.view(link))

    def view(self, applied: Split, argument: str) -> Stored:
        """Return an argument that is a split, hashed once; another process can open it again."""
        source = applied.splits.get(argument)
        view = self.splits[source.split] if source else self._links.view(_split_of(applied.links[argument]))
        self._streaming(view)
        return view

    def linked_key(self, link: FileOf) -> tuple[str, str]:
        """Return the key of a file of another dataset, which is hashed once, and its URL."""
        with self._links.open(link):
            return self._links.key(link), self._links.raw(link).url

    def shown(self, file: File) -> str:
        """Return what errors call a file."""
        return _shown(file, self.raw(file))

    def split_arguments(self, split: str) -> dict[str, Any]:
        """Return the arguments of a split that are no files as its index names them."""
        defined = self.dataset.splits[split]
        splits = {n: {"split": one.split, "index": self._index(one)} for n, one in defined.splits.items()}
        pattern = {defined.each[0]: {"pattern": redacted(defined.pattern)}} if defined.each and defined.pattern else {}
        return {**defined.plain, **splits, **self.link_arguments(split), **pattern}

    def link_arguments(self, split: str) -> dict[str, dict[str, str]]:
        """Return the split's links as its index names them."""
        return {n: self._links.argument(link) for n, link in self.dataset.splits[split].links.items()}

    def _hashed(self, source: SplitOf) -> Stored:
        """Return the view of a split, whose files are hashed once, however many splits are made of it."""
        return self._streaming(self.splits[source.split])

    def _streaming(self, view: Stored) -> Stored:
        index = view.origin.index
        if index not in self._passing:
            self._passing[index] = open_for_streaming(view, self.run)
        return self._passing[index]

    def _open(self, file: File) -> BinaryIO:
        raw = self.raw(file)
        path = self.transient.get(file.identifier)
        return files.opened(path) if path else self.open_raw(raw)

    def raw(self, file: File) -> RawFile:
        """Return the record of a file. Derives it if it is missing."""
        if file.identifier not in self.raws:
            assert isinstance(file, DerivedFile), file
            with ExitStack() as stack:
                staged = derive(self.dataset, file, self.scratch(), self.opened(file, stack))
            self.raws[file.identifier], self.transient[file.identifier] = staged.raw, staged.path
        return self.raws[file.identifier]


def _named(opened: Any, url: str) -> BinaryIO:
    """Let the errors of decoders name the source of a file, not the place where its bytes are stored."""
    with suppress(AttributeError):
        opened.url = url
    found: BinaryIO = opened
    return found


def _split_of(link: SplitOf | FileOf) -> SplitOf:
    assert isinstance(link, SplitOf), link
    return link


def _shown(file: File, raw: RawFile) -> str:
    if isinstance(file, RemoteFile):
        return raw.source.url or url_of(file)
    return f"{file.name}, which {file.function.__qualname__} made,"
