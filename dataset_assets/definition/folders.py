"""The definition of a registered folder: a split for each partition, and one for what else it holds.

A partition is a folder in `data`. A split has its name where that is allowed, else one made from it. The split `layout`
holds the files beside `data`, and `manifest.json`: the partitions by split, executable files and empty folders.
"""

import json
import re
import tarfile
from hashlib import sha256
from typing import Any, BinaryIO, Iterable, Iterator, Mapping

from dataset_assets.core import registered
from dataset_assets.core.names import LONGEST, check_identifier
from dataset_assets.core.registered import Registered
from dataset_assets.decoding.tar_headers import headers
from dataset_assets.definition.dataset import Dataset, RemoteFile, Split
from dataset_assets.errors import NameNotAllowed
from dataset_assets.formats import Files

LAYOUT = "layout"
"""The split of what lies beside `data`."""
MANIFEST = "manifest.json"
BESIDE = "beside/"
STREAM = "file"
"""The stream of every split: files with their paths, in a partition those below its folder."""


def registered_dataset(name: str) -> Dataset | None:
    """Return the definition of the folder that is registered under a name, or None."""
    record = registered.registered(name)
    return folder_dataset(name, record) if record else None


def folder_dataset(name: str, record: Registered) -> Dataset:
    """Return the definition of a registered folder."""
    tree = RemoteFile(f"folder:{name}", identifier="folder")
    splits = split_names(record.partitions)
    return Dataset(
        name=name,
        summary=f"The folder {name.removeprefix('shared.')}, with the partitions {', '.join(splits)}.",
        streams={STREAM: Files()},
        splits={
            **{split: Split(partition, tree=tree, name=original) for original, split in splits.items()},
            LAYOUT: Split(layout, tree=tree, partitions=splits),
        },
        license=record.license,
        citation=record.citation,
        # Partitions may share files, and may be empty.
        checks={"leakage": "off", "counts": "warn"},
    )


def split_names(partitions: Iterable[str]) -> dict[str, str]:
    """Return the split of each partition.

    >>> split_names(["train", "2020"])
    {'train': 'train', '2020': 'p_2020_73a2af88'}
    """
    found: dict[str, str] = {}
    taken = {LAYOUT}
    for name in sorted(partitions):
        split = name if _is_free(name, taken) else _escaped(name)
        taken.add(split.lower())
        found[name] = split
    return found


def _is_free(name: str, taken: set[str]) -> bool:
    try:
        return check_identifier(name, "split").lower() not in taken
    except NameNotAllowed:
        return False


def _escaped(name: str) -> str:
    words = "_".join(re.findall("[A-Za-z0-9]+", name))[: LONGEST // 2].rstrip("_")
    return "_".join(filter(None, ["p", words, sha256(name.encode()).hexdigest()[:8]]))


def partition(tree: BinaryIO, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the files of a partition, with their paths below its folder."""
    below = f"data/{name}/"
    for info in headers(tree):
        if info.isreg() and info.name.startswith(below):
            yield {STREAM: (info.name[len(below) :], _bytes(tree, info))}


def layout(tree: BinaryIO, partitions: dict[str, str]) -> Iterator[Mapping[str, Any]]:
    """Yield the manifest of a folder, then the files beside its `data`, below `beside`."""
    infos = headers(tree)
    manifest = {
        "partitions": {split: name for name, split in partitions.items()},
        "executable": [info.name for info in infos if info.isreg() and info.mode & 0o100],
        "empty": [info.name for info in infos if info.isdir()],
    }
    yield {STREAM: (MANIFEST, json.dumps(manifest, sort_keys=True).encode())}
    for info in infos:
        if info.isreg() and not info.name.startswith("data/"):
            yield {STREAM: (f"{BESIDE}{info.name}", _bytes(tree, info))}


def _bytes(tree: BinaryIO, info: tarfile.TarInfo) -> bytes:
    # The tar is not compressed, so each file lies in it as it is.
    tree.seek(info.offset_data)
    return tree.read(info.size)
