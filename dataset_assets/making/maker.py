"""Decides what of a dataset is stored already, and makes what is not.

`prepare` and Dagster's assets both ask a `Maker`, so that they ask a source equally often and make equal digests. What
is stored, known and undamaged is left as it is. What is made lies in a scratch folder until the caller publishes it.
"""

import logging
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Callable, Collection, Iterable, Iterator, NoReturn

from dataset_assets.core import files
from dataset_assets.core.commands import command
from dataset_assets.core.progress import Progress
from dataset_assets.core.scratch import kept_folder, scratch_folder, sweep
from dataset_assets.core.settings import settings
from dataset_assets.definition.check_names import SKIPPED
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile, Split
from dataset_assets.definition.in_place import is_in_place
from dataset_assets.errors import DecodeError, DigestMismatch, NotFound, RetrievalError, SchemaError, SplitFailed
from dataset_assets.making.asking import question
from dataset_assets.making.by_host import is_far, urls_of
from dataset_assets.making.divided import divide, stores_rows
from dataset_assets.making.excluding import Excluder
from dataset_assets.making.existing import FoundSplit, made_split, publish_raws
from dataset_assets.making.in_parts import InParts
from dataset_assets.making.in_place import make_in_place
from dataset_assets.making.inputs import Inputs
from dataset_assets.making.links import Links
from dataset_assets.making.patterns import with_files
from dataset_assets.making.provisional import is_proven, released_sources, set_state
from dataset_assets.making.raw_files import check_raw, is_as_meant, made_raw, meant_raw, recorded_raw
from dataset_assets.making.recipe import release_recipe
from dataset_assets.making.shared import of_url, stage_copy, with_digest
from dataset_assets.making.steps import StagedRaw, StagedSplit, derive, make_split, stage_raw, url_of
from dataset_assets.making.terms import see_accepted
from dataset_assets.making.version_checks import check_version, refuse, split_findings
from dataset_assets.reading.load import open_split
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.views import Stored, View
from dataset_assets.retrieval.on_this_machine import SCHEMES, file_of, folder_of
from dataset_assets.storage.contest import warn_of_single_writer
from dataset_assets.storage.exclusions import Exclusions, exclusions
from dataset_assets.storage.manifest import Version
from dataset_assets.storage.raw_files import RawFile, Source, State
from dataset_assets.storage.releases import publish_version
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset

log = logging.getLogger(__name__)


class Maker:
    """Makes what is missing of one dataset. Use it in a `with` block, at whose end the scratch folder is removed.

    With `refresh` the source of each file is asked whether it changed, and its new bytes are taken; otherwise that of
    the files in `ask`, by default those that an asset in Dagster writes, if there is a network. The makers of one
    `run`, which may be processes, hash a split once that several splits are made of. With `anew` patterns are listed.
    """

    def __init__(
        self,
        dataset: Dataset,
        stored: StoredDataset,
        *,
        refresh: bool = False,
        ask: Collection[str] | None = None,
        progress: Progress | None = None,
        run: str = "",
        anew: bool = False,
    ) -> None:
        self.stored, self.settings, self.run = stored.remembering(), settings(), run
        self.dataset = dataset = with_files(dataset, self.stored, refresh or anew)
        self.refresh, self.progress, self.files = refresh, progress, dataset.files
        written = [name for name, file in dataset.remote_files.items() if file.after and not self.settings.offline]
        self.ask = {*(written if ask is None else ask)}
        self.inputs = Inputs(dataset, {}, self._open, self._scratch, run, Links(stored.storage))
        self.splits: dict[str, str] = {}
        self._undamaged: set[str] = set()
        self._stack = ExitStack()
        self._folder: Path | None = None
        # Several threads may retrieve files.
        self._making = Lock()

    def __enter__(self) -> "Maker":
        # Even if there is nothing to make: the last process may have been killed after its work.
        sweep(self.settings.scratch)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @cached_property
    def exclusions(self) -> Exclusions:
        """What is to be left out of every split."""
        return exclusions(self.stored)

    # What the caller has published, or opened.

    def add_raw(self, raw: RawFile, *, undamaged: bool = False) -> None:
        """Use a stored raw file as an input; it is hashed before it is read, unless the caller did so."""
        self.inputs.raws[raw.name] = raw
        if undamaged:
            self._undamaged.add(raw.name)

    def publish(self, *staged: StagedRaw) -> None:
        """Store what was made of files, and use it as inputs. Those that are not kept are read in scratch."""
        for one, raw in zip(staged, publish_raws(self.stored, staged)):
            if one.keep:
                self.add_raw(raw, undamaged=True)
            else:
                self.use(raw, one.path)

    def use(self, raw: RawFile, path: Path) -> None:
        """Read a file that is not kept at a path, where its bytes are."""
        self.inputs.transient[raw.name] = path
        self.add_raw(raw, undamaged=True)

    def add_split(self, split: str, digest: str, view: Stored | None = None) -> None:
        """Use a stored split as an input, and in the version; it is opened when it is read."""
        self.splits[split] = digest
        if view is not None:
            self.inputs.splits[split] = view

    # What is stored, or else made.

    def raw(self, name: str) -> RawFile | StagedRaw:
        """Return a file if it is stored, as its definition means it; else retrieve or derive it."""
        file = self.files[name]
        return self._retrieved(file) if isinstance(file, RemoteFile) else self._derived(file)

    def split(self, name: str) -> FoundSplit | StagedSplit:
        """Return a split if this very recipe made it and all its files are stored; else make it."""
        if found := self.found(name):
            return found
        defined, recipe = self.dataset.splits[name], self.inputs.recipe(name, self.exclusions.digest)
        with self._advising(defined):
            if stores_rows(defined):
                return self._divided(name, recipe)
            if is_in_place(defined):
                return make_in_place(self.dataset, name, recipe, self.stored, self._excluder, self.progress)
            made = self._in_parts(name, recipe) if defined.each else self._whole(name, recipe)
        findings = split_findings(self.dataset, made.index)
        for finding in findings if made.index.skipped else ():
            if finding.check == f"{name}.{SKIPPED}":
                log.warning("%s, split %s: %s", self.dataset.name, name, finding.message)
        if any(not finding.passed and finding.severity == "error" for finding in findings):
            return made
        return replace(made, proven=[raw for raw in self._undeclared(defined) if raw.state])

    def _whole(self, name: str, recipe: str) -> StagedSplit:
        with ExitStack() as stack:
            opened = self.inputs.opened(self.dataset.splits[name], stack)
            folder, size, used = self._scratch() / name, self.settings.file_bytes, self.inputs.used(name)
            links, excluded = self.inputs.link_arguments(name), self._excluder
            return make_split(self.dataset, name, recipe, used, opened, folder, size, self.progress, links, excluded)

    def _in_parts(self, name: str, recipe: str) -> StagedSplit:
        given = self.stored, self.inputs, self.see_undamaged, self._scratch() / name, self.settings.file_bytes
        return InParts(self.dataset, name, *given, self._excluder, self.progress).made(recipe)

    def _divided(self, name: str, recipe: str) -> StagedSplit:
        used, digest, folder = self.inputs.used(name), self._excluder.digest, self._scratch() / name
        with ExitStack() as stack:
            opened = self.inputs.opened(self.dataset.splits[name], stack)
            return divide(self.dataset, name, recipe, used, opened, folder, digest)

    @property
    def _excluder(self) -> Excluder:
        return Excluder.of(self.dataset, self.stored, self.exclusions)

    def found(self, name: str) -> FoundSplit | None:
        """Return a split if this very recipe made it and all its files are stored."""
        for source in self.dataset.splits[name].splits.values():
            self.view(source.split)
        return made_split(self.stored, name, self.inputs.recipe(name, self.exclusions.digest))

    def version(self, current: Version | None) -> Version:
        """Return the current version if it has these splits and passed these checks; else check a new one."""
        if current and current.recipe == release_recipe(self.dataset, self.splits):
            return current
        views = {split: self.view(split) for split in self.dataset.splits}
        return check_version(self.dataset, views, lambda: self._views_of(current))

    def _views_of(self, version: Version | None) -> dict[str, View]:
        """Open the splits of a version that can be read."""
        found: dict[str, View] = {}
        for split, digest in version.splits.items() if version else ():
            with suppress(*UNUSABLE):
                found[split] = open_split(self.stored, split, digest)
        return found

    def unproven(self) -> list[RawFile]:
        """Return the retrieved files that a release proves, because it is made of them."""
        files = [name for name, file in self.dataset.remote_files.items() if file.digest is None]
        found = [self.inputs.raws.get(name) or self.stored.raw(name) for name in files]
        return [raw for raw in found if raw and raw.state]

    def refuse(self, version: Version) -> NoReturn:
        """Store a version that failed a check, so that its digest opens it. Raises `CheckFailed`."""
        advice = self.doubt(version.splits)
        refuse(self.dataset, version, publish_version(self.stored, version), advice)

    def doubt(self, splits: Iterable[str]) -> str:
        """Note that splits of these bytes failed a check, unless a release has the bytes; return advice on it."""
        released, names = released_sources(self.stored), set[str]()
        for split in splits:
            for used in index_of(self.view(split)).sources:
                file = self.files.get(used.name)
                # A file of another dataset may have the same name.
                if file and used.url == url_of(file) and (used.name, used.sha256) not in released:
                    names |= {used.name} if isinstance(file, RemoteFile) else {*file.remote_files}
        raws = [raw for name in sorted(names) if (raw := self.stored.raw(name)) and raw.digest is None]
        set_state(self.stored, raws, "doubted")
        return f"If {urls_of(raws)} sent wrong bytes, ask again with: {self._command()}" if urls_of(raws) else ""

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
            self.publish(staged)
        self._undamaged.add(raw.name)

    def _retrieved(self, file: RemoteFile) -> RawFile | StagedRaw:
        raw = meant_raw(self.stored, file)
        if raw is None:
            recorded = recorded_raw(self.stored, file)
            # A refresh takes the new bytes, and so does a file here; a server must send those that were recorded.
            here = file_of(file.urls[0]) or folder_of(file.urls[0])
            free = self._asks(file) or here is not None
            staged = self._staged(file, None if free else recorded, self._asks(file))
            assert staged is not None  # a source is asked whether it changed only if it was recorded
            return self._arrived(file, staged, recorded)
        asked = question(self.stored, file, raw, refresh=self._asks(file), offline=self.settings.offline)
        return raw if asked is None else self._asked(file, raw, asked)

    def _asks(self, file: RemoteFile) -> bool:
        return self.refresh or file.identifier in self.ask

    def _asked(self, file: RemoteFile, raw: RawFile, asked: Source) -> RawFile | StagedRaw:
        """Ask a source for its bytes, unless its validators are those that are given."""
        try:
            staged = self._staged(file, replace(raw, source=asked), refresh=True)
        except RetrievalError:
            # New bytes, which nothing says are wrong, are used while their server does not answer.
            if self._asks(file) or raw.state != "provisional" or asked.url.partition(":")[0] in SCHEMES:
                raise
            return raw
        if staged is None:
            return raw
        if _same(staged.raw, raw) and is_as_meant(self.stored, file, raw):
            staged.published()
            if not staged.keep:
                self.use(raw, staged.path)
            return raw
        return self._arrived(file, staged, raw)

    def _arrived(self, file: RemoteFile, staged: StagedRaw, before: RawFile | None) -> StagedRaw:
        """Return retrieved bytes with their state; say so if they are not those that were known before."""
        if before and before.sha256 == staged.raw.sha256:
            return _in_state(staged, before.state)
        if before and not self._asks(file):
            log.warning("%s: %s has changed; its new bytes are used.", self.dataset.name, staged.raw.source.url)
        return _in_state(staged, "" if file.digest else "provisional")

    def _derived(self, file: DerivedFile) -> RawFile | StagedRaw:
        recipe = self.inputs.identity(file)
        found = made_raw(self.stored, file.identifier, recipe)
        # Bytes that are gone are made again when they are needed.
        if found and (not self.refresh or self.stored.has_raw(found)):
            return found
        with self._advising(file):
            return self._derive(file, recipe)

    def _again(self, raw: RawFile) -> StagedRaw:
        """Retrieve or derive a damaged file again."""
        file = self.files[raw.name]
        if isinstance(file, DerivedFile):
            return self._derive(file, self.inputs.identity(file))
        staged = self._staged(file, raw, refresh=False)
        assert staged is not None  # only a refresh asks whether the source changed
        return _in_state(staged, raw.state)

    def _staged(self, file: RemoteFile, known: RawFile | None, refresh: bool) -> StagedRaw | None:
        """Retrieve a file, unless another dataset of the storage has it. One process at a time does so."""
        began, root, patience = time.time_ns(), self.settings.scratch, float(self.settings.stall_seconds)
        with ExitStack() as turn:
            key = file.digest or file.urls[0]
            kept = turn.enter_context(kept_folder(root, key, patience)) if is_far(file) else None
            fetch = partial(
                stage_raw,
                self.dataset,
                file,
                self._scratch(),
                known=known,
                progress=self.progress,
                offline=self.settings.offline,
                kept=kept,
                storage=self.stored.storage.url,
            )
            staged = self._anew(file, known, fetch) if refresh else self._shared(file, known, began, fetch)
            if staged is None or staged.copied:
                return staged
            held = self._stack.enter_context(turn.pop_all())
        return replace(staged, published=held.close)

    def _anew(
        self, file: RemoteFile, known: RawFile | None, fetch: Callable[..., StagedRaw | None]
    ) -> StagedRaw | None:
        """Ask the source of a file whether it changed; copy what another dataset of the storage retrieved since."""
        other = of_url(self.stored, file) if known and known.source.etag and is_far(file) else None
        if not known or not other or other.raw.sha256 == known.sha256 or not other.raw.source.etag:
            return fetch(refresh=True)
        found = fetch(refresh=True, known=replace(known, source=other.raw.source))
        copy = partial(stage_copy, self.stored, self.dataset, file, self._scratch())
        # None: the source says that its file is the one that the other dataset has.
        return found or copy(other) or fetch(refresh=True)

    def _shared(
        self, file: RemoteFile, known: RawFile | None, began: int, fetch: Callable[..., StagedRaw | None]
    ) -> StagedRaw | None:
        """Copy a file from another dataset of the storage, or else retrieve it."""
        if not is_far(file):
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

    @contextmanager
    def _advising(self, applied: Split | DerivedFile) -> Iterator[None]:
        """Add to an error of a function how to retrieve its files again; doubt new ones that cannot be decoded."""
        try:
            yield
        except (DecodeError, SchemaError, SplitFailed) as error:
            raws = self._undeclared(applied)
            new = [raw for raw in raws if not is_proven(self.stored, raw)]
            decoding = isinstance(error, DecodeError)
            set_state(self.stored, new if decoding else (), "doubted")
            if (urls := urls_of(new or (raws if decoding else []))) and len(error.args) == 1:
                command = self._command("" if new and decoding else "--refresh ")
                error.args = (f"{error.args[0]} If {urls} sent wrong bytes, ask again with: {command}",)
            raise

    def _undeclared(self, applied: Split | DerivedFile) -> list[RawFile]:
        """Return the retrieved files without a declared digest of which a split or file is made."""
        files = [name for name, file in applied.remote_files.items() if file.digest is None]
        return [self.inputs.raws[name] for name in files if name in self.inputs.raws]

    def _command(self, option: str = "") -> str:
        return command(f"prepare {option}{self.dataset.name}", self.stored.storage.url)

    def _open(self, raw: RawFile) -> BinaryIO:
        self.see_undamaged(raw)
        path = self.inputs.transient.get(raw.name)
        return files.opened(path) if path else self.stored.open_raw(raw)

    def _scratch(self) -> Path:
        """Return the scratch folder, which is made when it is first needed. Raises `Refused` without the terms."""
        with self._making:
            if self._folder is None:
                see_accepted(self.dataset, self.stored.storage.url)
                warn_of_single_writer(self.stored.storage)
                self._folder = self._stack.enter_context(scratch_folder(self.settings.scratch))
            return self._folder


def _same(raw: RawFile, other: RawFile) -> bool:
    """Say whether two files have the same bytes, and their sources the same validators."""
    return (raw.sha256, raw.source) == (other.sha256, other.source)


def _in_state(staged: StagedRaw, state: State) -> StagedRaw:
    return replace(staged, raw=replace(staged.raw, state=state))
