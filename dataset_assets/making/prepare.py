"""Preparing: make what is missing of a dataset and release it, without Dagster."""

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Collection, Iterator, Mapping

from dataset_assets.core.scratch import scratch_folder, sweep
from dataset_assets.core.settings import Settings, settings
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile
from dataset_assets.definition.registry import find
from dataset_assets.errors import (
    CheckFailed,
    DatasetAssetsError,
    DigestMismatch,
    NotFound,
    StorageError,
    UsageError,
)
from dataset_assets.making import checks as checking
from dataset_assets.making.inputs import Inputs
from dataset_assets.making.recipe import release_recipe
from dataset_assets.making.steps import Progress, RawFile, derive, make_split, stage_raw
from dataset_assets.reading.load import index_of, load, open_split, passing_columns
from dataset_assets.reading.views import Stored, View
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.manifest import Finding, SplitIndex, Version, raw_key
from dataset_assets.storage.releases import (
    check_raw,
    current_version,
    made_raw,
    made_split,
    publish_raw,
    publish_split,
    publish_version,
    recorded_raw,
    release,
    usable_raw,
)


def prepare(
    dataset: str | Dataset,
    *,
    storage: "str | Storage | None" = None,
    refresh: bool = False,
    progress: Progress | None = None,
) -> Mapping[str, View]:
    """Retrieve, make, check and release what is missing of a dataset; return what `load` returns.

    Whatever was done before is left as it is: if nothing is missing, nothing is written. With `refresh` the source of
    each file is asked whether it changed, and of what did a new version is made; other bytes than those of a declared
    digest stay a `DigestMismatch`. Raises `CheckFailed` if a check fails at ERROR; then the version that was current
    stays so, and the refused one can be opened by its digest.
    """
    definition = find(dataset) if isinstance(dataset, str) else dataset
    if not isinstance(definition, Dataset):
        raise UsageError(f"{dataset!r} is no dataset. Give one, or its name: prepare('io.github.rasbt.mnist_5k').")
    chosen = settings()
    store = open_storage(chosen.storage if storage is None else storage)
    current, released, pointer = current_version(store, definition.name)
    with _Workshop(definition, store, chosen, refresh, progress) as workshop, _nothing_vanishing():
        splits = workshop.splits()
    if not (current and current.recipe == release_recipe(definition, splits)):
        views = {split: open_split(store, definition.name, split, digest) for split, digest in splits.items()}
        version = check_version(definition, views)
        if version.refused:
            refuse_or_pass(version, publish_version(store, version))
        released = release(store, version, pointer)
    return load(f"{definition.name}@{released}", storage=store)


def restore_raw(dataset: Dataset, names: Collection[str], *, storage: Storage) -> None:
    """Hash raw files, and retrieve or derive again those that are damaged; each is what it was, or `DigestMismatch`."""
    with _Workshop(dataset, storage, settings(), False, None) as workshop:
        workshop.restore(names)


def check_version(dataset: Dataset, views: Mapping[str, Stored]) -> Version:
    """Run the checks on the splits of a version to be; nothing is written."""
    # In the order of the definition, whoever asks: the findings are part of the version's digest.
    views = {split: views[split] for split in dataset.splits}
    findings = [finding for split, view in views.items() for finding in split_findings(dataset, index_of(view))]
    findings += version_findings(dataset, views)
    splits = {split: view.origin.index for split, view in views.items()}
    return Version(dataset.name, splits, tuple(findings), release_recipe(dataset, splits))


def split_findings(dataset: Dataset, index: SplitIndex) -> list[Finding]:
    """Return what was found when a split was made, as bad as the definition takes it."""
    return [
        Finding(f"{index.split}.{finding.check}", finding.passed, finding.message, severity)
        for finding in index.findings
        if (severity := dataset.severity(finding.check)) != "off"
    ]


def version_checks(dataset: Dataset) -> list[str]:
    """Return the names of the checks across splits, and of the dataset's own."""
    own = [name for name, check in dataset.checks.items() if callable(check)]
    return [*(name for name in checking.VERSION_CHECKS if dataset.severity(name) != "off"), *own]


def version_findings(dataset: Dataset, views: Mapping[str, Stored]) -> list[Finding]:
    """Run the checks across splits, and the dataset's own."""
    found = []
    for name in version_checks(dataset):
        check = dataset.checks.get(name)
        if callable(check):
            found.append(checking.run_own(name, check, views))
        else:
            columns = {split: passing_columns(view) for split, view in views.items()}
            sources = {split: dataset.sources_of(split) for split in views}
            leakage = checking.check_leakage(columns, dataset.roles, sources=sources)
            found.append(replace(leakage, severity=dataset.severity(name)))
    return found


def refuse_or_pass(version: Version, digest: str) -> None:
    """Raise `CheckFailed` if the version may not be released."""
    if version.refused:
        errors = [f for f in version.findings if not f.passed and f.severity == "error"]
        failed = [f"{finding.check}: {finding.message}" for finding in errors]
        accepted = ", ".join(dict.fromkeys(f"{finding.check!r}: 'warn'" for finding in errors))
        raise CheckFailed(
            f"{version.dataset} was not released. {' '.join(failed)} Look at it as {version.dataset}@{digest}; mend "
            f"the definition, or accept it there with checks={{{accepted}}}."
        )


@contextmanager
def _nothing_vanishing() -> Iterator[None]:
    """Say it in an error of ours if somebody takes away what is being worked on."""
    try:
        yield
    except FileNotFoundError as error:
        if isinstance(error, DatasetAssetsError):
            raise
        raise StorageError(
            error.errno,
            f"{error.filename} was taken away while it was needed. Nothing was published; run it again, and "
            "see that nobody cleans the scratch folder of living processes.",
        ) from error


class _Workshop:
    """Makes the splits of one dataset, in a scratch folder that is made when there is something to make."""

    def __init__(
        self, dataset: Dataset, storage: Storage, chosen: Settings, refresh: bool, progress: Progress | None
    ) -> None:
        self.dataset, self.storage, self.settings, self.progress = dataset, storage, chosen, progress
        self.refresh = refresh
        self.stack = ExitStack()
        self.inputs = Inputs(dataset, {}, self._open, self._scratch)
        self.whole: set[str] = set()
        self._folder: Path | None = None

    def __enter__(self) -> "_Workshop":
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def splits(self) -> dict[str, str]:
        """Return the digest of each split's index; what is not there is retrieved and made."""
        # Also where nothing is to be done: the last run may have been killed after its work.
        sweep(self.settings.scratch)
        self._find_raws()
        found, sources = {}, {name for split in self.dataset.splits for name in self.dataset.sources_of(split)}
        for split in self.dataset.split_order:
            found[split] = self._split(split)
            if split in sources:
                self.inputs.splits[split] = open_split(self.storage, self.dataset.name, split, found[split])
        return found

    def restore(self, names: Collection[str]) -> None:
        """See that these raw files are whole."""
        if names:
            self._find_raws()
        for raw in [self.inputs.raws[name] for name in names if name in self.inputs.raws]:
            self._see_that_it_is_whole(raw)

    def _find_raws(self) -> None:
        for name, file in self.dataset.files.items():
            if isinstance(file, RemoteFile):
                usable = usable_raw(self.storage, self.dataset, file)
                self.inputs.raws[name] = usable if usable and not self.refresh else self._retrieved(file, usable)
            elif file.keep:
                recipe = self.inputs.identity(file)
                self.inputs.raws[name] = made_raw(self.storage, self.dataset, name, recipe) or self._derived(
                    file, recipe
                )

    def _split(self, split: str) -> str:
        recipe = self.inputs.recipe(split)
        if made := made_split(self.storage, self.dataset, split, recipe):
            return made[1]
        with ExitStack() as stack:
            opened = self.inputs.opened(self.dataset.splits[split], stack)
            folder, size, used = self._scratch() / split, self.settings.file_bytes, self.inputs.used(split)
            staged = make_split(self.dataset, split, recipe, used, opened, folder, size, self.progress)
        return publish_split(self.storage, staged)

    def _retrieved(self, file: RemoteFile, usable: RawFile | None = None) -> RawFile:
        """Retrieve a file; in a refresh, leave one as it is whose source says that it is unchanged."""
        known = usable if self.refresh else recorded_raw(self.storage, self.dataset, file)
        folder, offline = self._scratch(), self.settings.offline
        staged = stage_raw(
            self.dataset, file, folder, known=known, refresh=self.refresh, progress=self.progress, offline=offline
        )
        if staged is None:
            assert usable is not None  # a source is asked whether it changed only if its file is there
            return usable
        self.whole.add(file.identifier)
        return publish_raw(self.storage, self.dataset, staged)

    def _derived(self, file: DerivedFile, recipe: str) -> RawFile:
        with ExitStack() as stack:
            staged = derive(self.dataset, file, self._scratch(), self.inputs.opened(file, stack), recipe)
        self.whole.add(file.identifier)
        return publish_raw(self.storage, self.dataset, staged)

    def _open(self, raw: RawFile) -> BinaryIO:
        if raw.name not in self.whole:
            self._see_that_it_is_whole(raw)
        return self.storage.get(raw_key(self.dataset.name, raw.name, raw.sha256))

    def _see_that_it_is_whole(self, raw: RawFile) -> None:
        """Hash a file that was stored some time ago, before anything is made of it; get it again if it was damaged."""
        try:
            check_raw(self.storage, self.dataset, raw)
            self.whole.add(raw.name)
        except (DigestMismatch, NotFound):
            file = self.dataset.files[raw.name]
            again = self._retrieved(file) if isinstance(file, RemoteFile) else self._derived(file, raw.digest or "")
            if again.sha256 != raw.sha256:
                raise

    def _scratch(self) -> Path:
        if self._folder is None:
            self._folder = self.stack.enter_context(scratch_folder(self.settings.scratch))
        return self._folder
