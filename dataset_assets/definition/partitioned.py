"""A file that stands for many: one for each partition of the asset in Dagster that writes them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

from dataset_assets.core.names import file_identifier
from dataset_assets.definition.dataset import Dataset, Split
from dataset_assets.definition.for_each import ForEach
from dataset_assets.definition.remote_file import PARTITION, RemoteFile, is_partitioned
from dataset_assets.errors import DefinitionError

KEYS = ("s3", "gs", "az")
"""The schemes whose URLs hold the key of an object as it is; others are percent-encoded."""

Partitions = Mapping[tuple[str, ...], Iterable[str]]
"""The partitions of assets, by the parts of their keys."""


def partitioned_files(dataset: Dataset) -> dict[str, RemoteFile]:
    """Return the files of a dataset that stand for many, by identifier."""
    return {name: file for name, file in dataset.remote_files.items() if is_partitioned(file)}


def of_partition(file: RemoteFile, partition: str) -> RemoteFile:
    """Return the file of one partition. Raises `DefinitionError` if its key cannot be part of a URL."""
    scheme = urlsplit(file.urls[0]).scheme
    # A / would be a folder: who lists the source would not find the file.
    if {"?", "#", "*", "/"} & {*partition} and scheme in KEYS or "/" in partition and scheme == "file":
        raise DefinitionError(f"The partition {partition!r} of {'/'.join(file.after)} has one of / ? # *. Rename it.")
    return replace(
        file,
        name=_inserted(file.name, partition),
        mirrors=tuple(_inserted(mirror, partition) for mirror in file.mirrors),
        identifier=_identifier(file, partition),
    )


def with_partitions(dataset: Dataset, partitions: Partitions) -> Dataset:
    """Return the dataset with the files of these partitions in place of those that stand for them.

    Those of other assets stay. Raises `DefinitionError` if two partitions have files of one name.
    """
    if not any(file.after in partitions for file in partitioned_files(dataset).values()):
        return dataset
    splits = {name: _split(split, partitions) for name, split in dataset.splits.items()}
    return replace(dataset, splits=splits)


def _split(split: Split, partitions: Partitions) -> Split:
    if split.each is None or not split.each[1].files:
        return split
    argument, each = split.each
    files = [one for file in each.files for one in _files(file, partitions)]
    return Split(split.function, **{**split.arguments, argument: ForEach(files, files_per_part=each.step or None)})


def _files(file: Any, partitions: Partitions) -> Iterator[Any]:
    if is_partitioned(file) and file.after in partitions:
        yield from (of_partition(file, partition) for partition in sorted(partitions[file.after]))
    else:
        yield file


def _inserted(url: str, partition: str) -> str:
    raw = urlsplit(url).scheme in KEYS
    return url.replace(PARTITION, partition if raw else quote(partition, safe=""))


def _identifier(file: RemoteFile, partition: str) -> str:
    """Return the name of the file with the partition in it, if that is where it is; else behind its identifier."""
    last = file.name.rpartition("/")[2]
    if PARTITION in last and file.identifier == file_identifier(last):
        return file_identifier(last.replace(PARTITION, partition.replace("/", "_")))
    return file_identifier(f"{file.identifier}_{partition.replace('/', '_')}")
