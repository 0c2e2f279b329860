"""The files of a `ForEach` of a pattern: as its source lists them, or as the current version was made of them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from urllib.parse import urlsplit

from dataset_assets.core.names import file_identifier
from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile, Split
from dataset_assets.definition.plain_splits import is_junk
from dataset_assets.errors import NameNotAllowed, Refused, RetrievalError, UsageError
from dataset_assets.retrieval.listed import Listed, Listing
from dataset_assets.retrieval.on_this_machine import SCHEMES
from dataset_assets.retrieval.retriever import retriever_for
from dataset_assets.storage.manifest import SplitIndex
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset

Named = tuple[str, str]
"""The identifier and the URL of a file."""


def with_files(dataset: Dataset, stored: StoredDataset, anew: bool = False) -> Dataset:
    """Return a dataset with the files that its patterns stand for; a pattern that has its files keeps them.

    A source is asked for them if it is on this machine, if they are wanted `anew`, or if the current version was not
    made of the same pattern. Raises `RetrievalError`, and `UsageError` for a source that lists nothing.
    """
    if not anew and (patterns := _unlisted(dataset)):
        far = {
            name: index for name, index in _current(stored).items() if name in patterns and not _is_here(patterns[name])
        }
        dataset = with_recorded(dataset, {name: files_used(dataset, index) for name, index in far.items()})
    return _filled(dataset, {name: _listed(split.pattern or "") for name, split in _unlisted(dataset).items()})


def with_recorded(dataset: Dataset, files: Mapping[str, Sequence[Named]]) -> Dataset:
    """Return a dataset whose patterns stand for the files that were recorded, by split."""
    known = {name: split.pattern or "" for name, split in _unlisted(dataset).items() if files.get(name)}
    return _filled(dataset, {name: [(one, _whole(url, at)) for one, at in files[name]] for name, url in known.items()})


def files_listed(dataset: Dataset) -> dict[str, list[Named]]:
    """Return the files that the patterns of a dataset stand for, by split, to be recorded: without secrets."""
    splits = {name: split.each[1].files for name, split in dataset.splits.items() if split.pattern and split.each}
    return {name: [(file.identifier, redacted(file.urls[0])) for file in files] for name, files in splits.items()}


def files_used(dataset: Dataset, index: SplitIndex) -> list[Named]:
    """Return the files that a split was made of, if it was made of its pattern; else nothing."""
    split = dataset.splits.get(index.split)
    if split is None or split.each is None or (url := split.pattern) is None:
        return []
    argument = split.each[0]
    if index.arguments.get(argument) != {"pattern": redacted(url)}:
        return []
    return [(one.name, one.url) for one in index.sources if one.argument.startswith(f"{argument}[")]


def _unlisted(dataset: Dataset) -> dict[str, Split]:
    splits = dataset.splits.items()
    return {name: split for name, split in splits if split.pattern and split.each and not split.each[1].files}


def _is_here(split: Split) -> bool:
    return urlsplit(split.pattern or "").scheme in SCHEMES


def _filled(dataset: Dataset, files: Mapping[str, Sequence[Named]]) -> Dataset:
    taken = {name.lower(): file for name, file in dataset.files.items()}
    given = {name: _with(split, files[name], taken) for name, split in dataset.splits.items() if name in files}
    return replace(dataset, splits={**dataset.splits, **given}) if given else dataset


def _with(split: Split, files: Sequence[Named], taken: dict[str, RemoteFile | DerivedFile]) -> Split:
    """Return a split with the files of its pattern; `taken` are the files of the dataset by identifier."""
    assert split.each is not None and split.each[1].pattern is not None  # whose files they are
    argument, each = split.each
    keep = split.each[1].pattern.keep
    named = (RemoteFile(url, identifier=name, keep=keep) for name, url in files)
    own = each.listed(_told_apart(file, taken) for file in named)
    return Split(split.function, **{**split.arguments, argument: own})


def _told_apart(file: RemoteFile, taken: dict[str, RemoteFile | DerivedFile]) -> RemoteFile:
    """Return a file, with a digest of its place in its identifier if a different file of the dataset has that."""
    if taken.setdefault(file.identifier.lower(), file) == file:
        return file
    place = urlsplit(file.urls[0])
    renamed = replace(file, identifier=f"{file.identifier}_{_digest(f'{place.hostname}{place.path}')}")
    taken[renamed.identifier.lower()] = renamed
    return renamed


def _whole(pattern: str, url: str) -> str:
    """Return the URL of a file whose secrets, which a query may hold, were left out: they are those of its pattern."""
    return url if redacted(pattern) == pattern else urlsplit(pattern)._replace(path=urlsplit(url).path).geturl()


def _current(stored: StoredDataset) -> Mapping[str, SplitIndex]:
    with suppress(*UNUSABLE, Refused):
        version = stored.current().version
        return {split: stored.index(split, digest) for split, digest in version.splits.items()} if version else {}
    return {}


def _listed(url: str) -> list[Named]:
    """Return the identifiers and URLs of the files that a source lists."""
    retriever = retriever_for(url)
    if not isinstance(retriever, Listing):
        raise UsageError(
            f"{redacted(url)} cannot be listed: its files must be named one by one, ForEach([RemoteFile(...), ...])."
        )
    if settings().offline and urlsplit(url).scheme not in SCHEMES:
        raise RetrievalError(f"The setting `offline` is on, and the files of {redacted(url)} were never listed.")
    found = [one for one in retriever.listed(url) if not is_junk(one.path)]
    if not found:
        raise RetrievalError(f"No file matches {redacted(url)}. Check its name.")
    return [*zip(_identifiers(found), (one.url for one in found))]


def _identifiers(found: list[Listed]) -> list[str]:
    """Return an identifier for each file: that of its name, with a digest of its path where that is taken."""
    names = [_identifier(one.path) for one in found]
    seen = dict[str, int]()
    for name in names:
        seen[name.lower()] = seen.get(name.lower(), 0) + 1
    alone = [seen[name.lower()] == 1 for name in names]
    return [name if own else f"{name}_{_digest(one.path)}" for name, own, one in zip(names, alone, found)]


def _identifier(path: str) -> str:
    try:
        return file_identifier(path.replace("/", "_"))
    except NameNotAllowed:
        return f"file_{_digest(path)}"


def _digest(path: str) -> str:
    return sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:12]
