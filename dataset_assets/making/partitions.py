"""The partitions of files that assets in Dagster write, asked of the source itself where there is no Dagster."""

import glob
import re
from urllib.parse import unquote, urlsplit

from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.partitioned import KEYS, partitioned_files, with_partitions
from dataset_assets.definition.remote_file import PARTITION, RemoteFile
from dataset_assets.errors import RetrievalError


def with_listed_partitions(dataset: Dataset) -> Dataset:
    """Return the dataset with a file for each partition that is at its source.

    Raises `RetrievalError` if a source cannot be listed, so that only Dagster knows its partitions, or has none.
    """
    files = partitioned_files(dataset)
    return with_partitions(dataset, {file.after: listed_partitions(dataset.name, file) for file in files.values()})


def listed_partitions(dataset: str, file: RemoteFile) -> list[str]:
    """Return the partitions whose files are at the source. Raises `RetrievalError` if it has none, or says none."""
    url, asset = file.urls[0], "/".join(file.after)
    places = partitions_at_source(file)
    if places is None:
        scheme = urlsplit(url).scheme
        why = "the setting `offline` is on" if scheme in KEYS else f"a source of {scheme}: cannot be listed"
        raise RetrievalError(
            f"{dataset} has a file for each partition of the asset {asset}: {redacted(url)}. Only Dagster knows the "
            f"partitions, because {why}. Materialize it in the project that has the asset {asset}."
        )
    if not places:
        raise RetrievalError(
            f"{dataset} has a file for each partition of the asset {asset}, and there is none: {redacted(url)}. "
            "Materialize a partition of the asset first."
        )
    return places


def partitions_at_source(file: RemoteFile) -> list[str] | None:
    """Return the partitions whose files are at the source; None if it cannot be listed."""
    url = file.urls[0]
    if not can_list(file):
        return None
    return _on_this_machine(url) if urlsplit(url).scheme == "file" else _in_bucket(url)


def can_list(file: RemoteFile) -> bool:
    """Say whether the source of a file says which partitions it has: a folder here, or a bucket unless offline."""
    scheme = urlsplit(file.urls[0]).scheme
    return scheme == "file" or scheme in KEYS and not settings().offline


def _on_this_machine(url: str) -> list[str]:
    path = unquote(urlsplit(url).path)
    pattern = "*".join(map(glob.escape, path.split(PARTITION)))
    return _matched(path, glob.glob(pattern, include_hidden=True))


def _in_bucket(url: str) -> list[str]:
    # It imports the client of buckets.
    from dataset_assets.retrieval.bucket import objects_below

    return _matched(url, [one.url for one in objects_below(url.replace(PARTITION, "*"))])


def _matched(template: str, places: list[str]) -> list[str]:
    """Return what stands for the partition in each place; if it is there several times, it is the same."""
    first, *others = map(re.escape, template.split(PARTITION))
    known = re.compile(f"{first}(?P<one>[^/]+){'(?P=one)'.join(others)}")
    return [found["one"] for place in places if (found := known.fullmatch(place))]
