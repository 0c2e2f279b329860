"""The names of assets in Dagster: a key is a folder of the storage, a group tells equal last parts apart."""

import dagster as dg

from dataset_assets.core.canonical import digest_of, sha256_hex
from dataset_assets.core.names import key_parts
from dataset_assets.core.redact import redacted
from dataset_assets.storage.manifest import SplitIndex

IO = "dataset_io"
"""The resource key of the connector of the storage that the settings name; that of any other begins with it."""

PREFIXES = ("dataset_assets/", "dagster/io_manager_key")
"""What the names of metadata begin with that our own functions and the IO manager read in a definition."""

DATASET, SPLIT, STREAM, FILE = (f"dataset_assets/{kind}" for kind in ("dataset", "split", "stream", "file"))
"""Metadata of an asset's definition that says what it is."""

AFTER = "dataset_assets/after"
"""Metadata of a materialisation: the data version of the asset that writes a raw file, when its source was asked."""

PARTITIONS = "dataset_assets/partitions"
"""Metadata of a materialisation of all raw files: pairs of an asset's key and its partitions that had files."""

LISTED = "dataset_assets/listed"
"""Metadata of a materialisation of all raw files: those that each pattern stands for, packed, by split."""

FILES = "dataset_assets/files"
"""Metadata of the definition of an asset that is all raw files of a dataset: how many."""

NEEDS, FAILED = "dataset_assets/needs", "dataset_assets/failed"
"""Metadata of a materialisation of all raw files: a digest of what each split needs, and why files are missing."""

REFRESH = "dataset_assets/refresh"
"""Metadata of a dataset's asset: the cron line of its refresh. Also the tag of a run that asks sources for changes."""

UNMADE = "dataset_assets/refresh_unmade"
"""Metadata of a dataset's asset: the schedule makes it, too, if it was never made."""

WANTED = "dataset_assets/wanted"
"""Metadata of an input: the split of a release that it wants."""

OURS = "dataset_assets/ours"
"""Tag of our steps whose inputs are splits: they get the pointer that the run began with too."""

INDEX = "dataset_assets/index"
"""Metadata of a materialisation: the digest of the split's index."""

POINTER = "dataset_assets/pointer"
"""Metadata of a materialisation: the dataset's pointer when its run began with it; empty where there was none."""

ARRIVED = "dataset_assets/arrived"
"""Metadata of a raw file's materialisation: whether it was hashed and stored just then."""


def io_key(storage: str) -> str:
    """Return the resource key of a storage: two storages of one project differ, and the same one has the same key."""
    if not storage:
        return IO
    url = f"env:{storage.env_var_name}" if isinstance(storage, dg.EnvVar) else redacted(storage)
    return f"{IO}_{sha256_hex(url.encode())[:8]}"


def key(dataset: str, *rest: str) -> dg.AssetKey:
    """Return the asset key of a dataset, or of something of it."""
    return dg.AssetKey(list(key_parts(dataset, *rest)))


def remote_key(what: str, dataset: str) -> dg.AssetKey:
    """Return the key of a dataset as it is in a remote."""
    return dg.AssetKey([what, *key_parts(dataset)])


def source_key(dataset: str) -> dg.AssetKey:
    """Return the key of the sources of a dataset's files."""
    return dg.AssetKey(["source", *key_parts(dataset)])


def group(dataset: str, *rest: str) -> str:
    """Return the group of something of a dataset. Not every Dagster of ours takes a `/` in it."""
    return op_name(dataset, *rest)


def op_name(dataset: str, *rest: str) -> str:
    """Return a name for the step that makes something; no two datasets give the same one."""
    return "__".join(key_parts(dataset, *rest))


def job_name(dataset: str) -> str:
    """Return a name for the job of a dataset that none of its steps has, whatever its splits are called."""
    return f"dataset_assets__{op_name(dataset)}"


def stream_version(index: SplitIndex, stream: str) -> str:
    """Return the data version of a stream: the digest of its file, or of their list; with that of row numbers."""
    digests = [file.sha256 for file in index.streams[stream].files]
    digests += [index.rows.file.sha256] if index.rows else []
    digests += [digest_of(index.placed)] if index.placed else []
    return digests[0] if len(digests) == 1 else sha256_hex(",".join(digests).encode())
