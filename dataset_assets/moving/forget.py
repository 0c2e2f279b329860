"""Takes samples out of a dataset on request, such as those of a person who asked for it, and keeps them out.

The values by which they are found are recorded first, as salted digests. Then a version without the samples is made and
released, of the dataset and of every stored dataset that is made of it; until then the old versions stay readable. Then
the record is in force, so that older versions are not opened any more, and what only they use is removed. After a kill
the same command goes on.
"""

from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Iterable, Iterator, Mapping, NamedTuple

from dataset_assets.core.names import plain_name
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.in_place import is_in_place
from dataset_assets.definition.registry import find
from dataset_assets.errors import DatasetAssetsError, IntegrityError, Refused, UsageError, nearest
from dataset_assets.formats.columns import values_of
from dataset_assets.making.prepare import prepare
from dataset_assets.making.terms import see_accepted
from dataset_assets.moving.outdated import remove_outdated
from dataset_assets.reading.load import open_split
from dataset_assets.reading.streaming import streaming_columns
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.aliases import named
from dataset_assets.storage.exclusions import Rule, add, are_within, enforce, exclusions, rules_for, text_of
from dataset_assets.storage.gc_lease import SECONDS
from dataset_assets.storage.keys import contents, excluded_key
from dataset_assets.storage.links import see_no_link
from dataset_assets.storage.manifest import Version
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset

BLOCK = 1 << 14


@dataclass
class Forgotten:
    """What was taken out, or would be.

    `samples` counts those of the version that was current, by split; `derived` are the datasets that are made of this
    one, and `made` those of which a version was made now. `versions` were removed, as `name@digest`. `remaining` says
    what may still hold samples.
    """

    name: str
    samples: dict[str, int] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)
    derived: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    current: str | None = None
    versions: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    bytes: int = 0
    remaining: list[str] = field(default_factory=list)


def forget(
    dataset: str | Dataset,
    values: Mapping[str, str | int | Iterable[str | int]],
    storage: "str | Storage",
    *,
    raw: bool = False,
    dry_run: bool = False,
    lease_seconds: float = SECONDS,
) -> Forgotten:
    """Take the samples out that have one of these values in a stream; with `dry_run` only report what would be done.

    `values` maps streams of texts, whole numbers or classes to one value or several. With `raw` the retrieved files
    that the samples came from are removed too; they are retrieved again when they are needed. Raises `NotPrepared` if
    the dataset is not stored, `UnknownDataset` if it, or one that is made of it, has no definition here, `UsageError`
    if no sample of any stored version has such a value or if a split would lose all its samples, `Refused` if terms are
    not accepted or values stay where they are, and the errors of `prepare`.

    >>> forget("com.example.faces", {"person": ["ann"]}, "/data/assets", dry_run=True).samples
    {'train': 3, 'test': 0}
    """
    store = open_storage(storage)
    stored = named(store, dataset.name if isinstance(dataset, Dataset) else dataset)
    wanted, found = _by_number(stored, _wanted(stored.name, values)), Forgotten(stored.name)
    _count(stored, wanted, found)
    rules = rules_for(stored, {stream: some for stream, some in wanted.items() if some})
    is_new = not are_within(rules, exclusions(stored).every)
    if is_new and not any(found.samples.values()) and not _is_in_older(stored, wanted):
        raise UsageError(
            f"No sample of {stored.name} has such a value: {_listed(found.unmatched)}. Nothing was recorded. Write a "
            "value as it is in the stream: its case and its spaces count."
        )
    links = _links_in(store)
    every = [stored, *_derived(stored, links)]
    definitions = [dataset if isinstance(dataset, Dataset) else find(stored.name, store)]
    definitions += [find(one.name, store) for one in every[1:]]
    found.derived = [one.name for one in every[1:]]
    found.remaining = [*_readers_of_files(every, links)]
    _see_stored(definitions[0])  # a derived dataset leaves none out of its own objects
    if is_new:
        _see_left(definitions[0], stored, found)
    if dry_run:
        found.current = stored.pointer().version
        found.versions = [f"{one.name}@{digest}" for one in every for digest in sorted(one.versions())]
        return found
    for definition in definitions:
        see_accepted(definition, store.url)
    for one in every:
        see_no_link(store, [excluded_key(one.name)])
        add(one, rules)
    for definition, one in zip(definitions, every):
        with _advising():
            before = one.pointer().version
            prepare(definition, storage=store)
            found.made += [one.name] if one.pointer().version != before else []
    for one in every:
        version = _released(one)
        _see_gone(one, version, rules)
        enforce(one, version.excluded)
    for one in every:
        removed = remove_outdated(one, raw=raw, lease_seconds=lease_seconds)
        found.versions += removed.versions
        found.removed += removed.keys
        found.bytes += removed.bytes
        found.remaining += removed.remaining
    found.current = stored.pointer().version
    return found


@contextmanager
def _advising() -> Iterator[None]:
    """Add to an error of making that the request is not done yet."""
    try:
        yield
    except DatasetAssetsError as error:
        if len(error.args) == 1:
            error.args = (
                f"{error.args[0]} What is to be forgotten is recorded, and the older versions stay until it is done: "
                "when this is mended, run the same forget again.",
            )
        raise


def _wanted(name: str, values: Any) -> dict[str, set[str]]:
    """Return the texts of the values of each stream. Raises `UsageError` if they are none."""
    example = "{'id': ['17', '18']}"
    if not isinstance(values, Mapping):
        raise UsageError(f"{values!r:.80} are not values of a stream. Write them as in {example}.")
    found: dict[str, set[str]] = {}
    for stream, some in values.items():
        several = [some] if isinstance(some, (str, bytes)) or not isinstance(some, Iterable) else [*some]
        for value in several:
            if text_of(value) is None:
                raise UsageError(f"{value!r:.80} is no text and no whole number. Write values as in {example}.")
        found[stream] = {text for value in several if (text := text_of(value)) is not None}
    if not any(found.values()):
        raise UsageError(f"No samples of {name} are named. Give values of a stream: {example}.")
    return found


def _by_number(stored: StoredDataset, wanted: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the values with the numbers of classes in place of their names, as the streams have them."""
    numbers: dict[str, dict[str, str]] = {}
    for split in _released(stored).splits.items():
        for name, stream in stored.index(*split).streams.items():
            classes = stream.parameters.get("classes") or ()
            numbers[name] = {label: str(k) for k, label in enumerate(classes) if not label.isdecimal()}
    return {name: {numbers.get(name, {}).get(text, text) for text in some} for name, some in wanted.items()}


def _is_in_older(stored: StoredDataset, wanted: Mapping[str, set[str]]) -> bool:
    """Return whether an older version that can be read has a sample with a wanted value."""
    seen = {*_released(stored).splits.items()}
    for digest in stored.versions():
        with suppress(*UNUSABLE, Refused):
            for split in {*stored.version(digest).splits.items()} - seen:
                for stream, texts in wanted.items():
                    # It may have had other streams.
                    with suppress(UsageError):
                        if any(_having(stored, *split, {stream: texts})):
                            return True
                seen.add(split)
    return False


def _see_stored(dataset: Dataset) -> None:
    """Raise `Refused` for a split whose values stay where they are: making it with samples left out is refused."""
    if in_place := [split for split, defined in dataset.splits.items() if is_in_place(defined)]:
        raise Refused(
            f"{dataset.name}, split {in_place[0]}, reads objects where they are, and no samples can be taken out of "
            "those. Nothing was recorded. Define the dataset with copy=True, prepare it, and run the same forget again."
        )


def _see_left(dataset: Dataset, stored: StoredDataset, found: Forgotten) -> None:
    """Raise `UsageError` if a split would lose all its samples, which its checks refuse to release."""
    sizes = {split: stored.index(split, digest).samples for split, digest in _released(stored).splits.items()}
    emptied = [split for split in dataset.splits if 0 < found.samples.get(split, 0) == sizes[split]]
    if emptied and dataset.severity("counts") == "error":
        raise UsageError(
            f"All samples of {stored.name}, split {emptied[0]}, would be taken out, and a split without samples is not "
            "released. Nothing was recorded. Take the split out of the definition, or give it the check counts='warn' "
            "(checks={'counts': 'warn'}), and run the same forget again."
        )


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - 3} more" if len(values) > 3 else ""
    return ", ".join(repr(value)[:80] for value in values[:3]) + more


def _released(stored: StoredDataset) -> Version:
    version = stored.current().version
    if version is None:
        raise stored.absent()
    return version


def _count(stored: StoredDataset, wanted: Mapping[str, set[str]], found: Forgotten) -> None:
    """Count the samples with a wanted value in the current version, and note the values that none has."""
    left = {(stream, value) for stream, some in wanted.items() for value in some}
    for split, digest in sorted(_released(stored).splits.items()):
        rows: Counter[int] = Counter()
        for row, stream, text in _having(stored, split, digest, wanted):
            rows[row] += 1
            left.discard((stream, text))
        found.samples[split] = len(rows)
    found.unmatched = sorted(value for _, value in left)


def _having(
    stored: StoredDataset, split: str, digest: str, wanted: Mapping[str, set[str]]
) -> Iterator[tuple[int, str, str]]:
    """Yield the row, the stream and the text of each wanted value of a split."""
    columns = streaming_columns(open_split(stored, split, digest))
    for stream, texts in wanted.items():
        if stream not in columns:
            raise UsageError(f"{stored.name} has no stream {stream!r}.{nearest(stream, columns)}")
        column = columns[stream]
        for lo in range(0, len(column), BLOCK):
            block = [*map(text_of, values_of(column.slice(lo, min(lo + BLOCK, len(column)))))]
            if None in block:
                raise UsageError(
                    f"Stream {stream} of {stored.name} has values that are no text and no whole number, by which no "
                    "sample can be found. Name a stream of ids."
                )
            yield from ((lo + k, stream, text) for k, text in enumerate(block) if text in texts)


def _see_gone(stored: StoredDataset, version: Version, rules: Iterable[Rule]) -> None:
    """Raise `IntegrityError` if a new version still has a value that was to be taken out."""
    for rule in rules:
        if plain_name(rule.dataset) != plain_name(stored.name):
            continue
        for split, digest in version.splits.items():
            column = streaming_columns(open_split(stored, split, digest))[rule.stream]
            for lo in range(0, len(column), BLOCK):
                if any(map(rule.has, values_of(column.slice(lo, min(lo + BLOCK, len(column)))))):
                    raise IntegrityError(
                        f"{stored.name}, split {split}: samples that were to be taken out are still there. The older "
                        "versions were left as they are. Please report this."
                    )


class _Links(NamedTuple):
    """The plain names of the datasets whose splits a dataset takes, and of those whose files it takes."""

    splits: set[str]
    files: set[str]


def _links_in(storage: Storage) -> dict[str, _Links]:
    """Return the links of the current version of each dataset, by its plain name."""
    return {name: _links_of(StoredDataset(storage, name)) for name in contents(storage.list(""))[0]}


def _links_of(stored: StoredDataset) -> _Links:
    found = _Links(set(), set())
    with suppress(*UNUSABLE, Refused):
        version = stored.current().version
        for split in version.splits.items() if version else ():
            for given in stored.index(*split).arguments.values():
                if isinstance(given, Mapping) and isinstance(name := given.get("dataset"), str):
                    (found.splits if "split" in given else found.files).add(plain_name(name))
    return found


def _derived(stored: StoredDataset, links: Mapping[str, _Links]) -> list[StoredDataset]:
    """Return the stored datasets that are made of splits of this one, also through others; inputs come first."""
    found = {plain_name(stored.name): stored}
    while more := {name for name, used in links.items() if name not in found and used.splits & found.keys()}:
        found |= {name: StoredDataset(stored.storage, name).own_named() for name in sorted(more)}
    return [*found.values()][1:]


def _readers_of_files(every: list[StoredDataset], links: Mapping[str, _Links]) -> Iterator[str]:
    """Yield a sentence for each dataset that reads retrieved files of these itself."""
    names = {plain_name(one.name) for one in every}
    for name, used in sorted(links.items()):
        for source in sorted(used.files & names):
            yield f"{name} reads a retrieved file of {source} itself; take the samples out of it too"
