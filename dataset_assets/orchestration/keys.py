"""How things of a dataset are named in Dagster: keys are storage folders, groups keep equal last parts apart."""

import dagster as dg

from dataset_assets.index import StoredStream, sha256_hex
from dataset_assets.names import key_parts

IO = "dataset_io"
"""The resource key of the storage connector."""

DATASET, SPLIT, STREAM, FILE = (f"dataset_assets/{kind}" for kind in ("dataset", "split", "stream", "file"))
"""Metadata of an asset's definition that says what it is."""

INDEX = "dataset_assets/index"
"""Metadata of a materialisation: the digest of the split's index."""


def key(dataset: str, *rest: str) -> dg.AssetKey:
    """Return the asset key of a dataset, or of something of it."""
    return dg.AssetKey(list(key_parts(dataset, *rest)))


def group(dataset: str, *rest: str) -> str:
    """Return the group of something of a dataset; Dagster draws the parts as a tree."""
    return "/".join(key_parts(dataset, *rest))


def op_name(dataset: str, *rest: str) -> str:
    """Return a name for the step that makes something; no two datasets give the same one."""
    return "__".join(key_parts(dataset, *rest))


def stream_version(stream: StoredStream) -> str:
    """Return the data version of a stream: the digest of its file, or of their list."""
    digests = [file.sha256 for file in stream.files]
    return digests[0] if len(digests) == 1 else sha256_hex(",".join(digests).encode())
