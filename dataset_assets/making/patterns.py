"""The files of a `ForEach` of a pattern: as its source lists them, or as the current version was made of them."""

from collections.abc import Mapping
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


def with_files(dataset: Dataset, stored: StoredDataset, anew: bool = False) -> Dataset:
    """Return a dataset with the files that its patterns stand for.

    A source is asked for them if it is on this machine, if they are wanted `anew`, or if the current version was not
    made of the same pattern. Raises `RetrievalError`, and `UsageError` for a source that lists nothing.
    """
    if not dataset.has_patterns:
        return dataset
    indexes = {} if anew else _current(stored)
    before = {file for split in dataset.splits.values() if split.pattern and split.each for file in split.each[1].files}
    taken = {name.lower(): file for name, file in dataset.files.items() if file not in before}
    splits = {name: _with_files(split, indexes.get(name), taken) for name, split in dataset.splits.items()}
    return replace(dataset, splits=splits)


def _current(stored: StoredDataset) -> Mapping[str, SplitIndex]:
    with suppress(*UNUSABLE, Refused):
        version = stored.current().version
        return {split: stored.index(split, digest) for split, digest in version.splits.items()} if version else {}
    return {}


def _with_files(split: Split, index: SplitIndex | None, taken: dict[str, RemoteFile | DerivedFile]) -> Split:
    """Return a split with the files of its pattern; `taken` are the files of the dataset by identifier."""
    if (url := split.pattern) is None or split.each is None:
        return split
    argument, each = split.each
    found = None if urlsplit(url).scheme in SCHEMES else _recorded(argument, url, index)
    assert each.pattern is not None  # whose URL it is
    keep = each.pattern.keep
    listed = (RemoteFile(one, identifier=name, keep=keep) for name, one in found or _listed(url))
    own = each.listed(_told_apart(file, taken) for file in listed)
    return Split(split.function, **{**split.arguments, argument: own})


def _told_apart(file: RemoteFile, taken: dict[str, RemoteFile | DerivedFile]) -> RemoteFile:
    """Return a file, with a digest of its place in its identifier if a different file of the dataset has that."""
    if taken.setdefault(file.identifier.lower(), file) == file:
        return file
    place = urlsplit(file.urls[0])
    renamed = replace(file, identifier=f"{file.identifier}_{_digest(f'{place.hostname}{place.path}')}")
    taken[renamed.identifier.lower()] = renamed
    return renamed


def _recorded(argument: str, url: str, index: SplitIndex | None) -> list[tuple[str, str]] | None:
    """Return the identifiers and URLs of the files that a split was made of, if it was made of this pattern."""
    if index is None or index.arguments.get(argument) != {"pattern": redacted(url)}:
        return None
    # An index has no secrets, which a query may hold.
    place, used = urlsplit(url), [one for one in index.sources if one.argument.startswith(f"{argument}[")]
    return [(one.name, place._replace(path=urlsplit(one.url).path).geturl()) for one in used]


def _listed(url: str) -> list[tuple[str, str]]:
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
