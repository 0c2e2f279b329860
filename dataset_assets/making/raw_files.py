"""Raw files of a dataset that are stored already, and whether they are the ones that its definition means."""

from types import MappingProxyType
from typing import Mapping

from dataset_assets.core import files
from dataset_assets.core.commands import command
from dataset_assets.core.redact import redacted
from dataset_assets.definition.remote_file import RemoteFile
from dataset_assets.errors import DigestMismatch, NotPrepared
from dataset_assets.storage.raw_files import RawFile, Source
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset


def meant_raw(stored: StoredDataset, file: RemoteFile) -> RawFile | None:
    """Return the record of a raw file if it is of the bytes that the definition means; they may be gone."""
    raw = stored.raw(file.identifier)
    if raw is None:
        return None
    if file.digest is None:
        return raw if raw.url == redacted(file.urls[0]) else None
    return raw if file.digest in (raw.digest, f"sha256:{raw.sha256}") else None


def is_as_meant(
    stored: StoredDataset, file: RemoteFile, raw: RawFile, sizes: Mapping[str, int] = MappingProxyType({})
) -> bool:
    """Return True if the bytes of a recorded file are stored, or need not stay; `sizes` are those of a listing."""
    return not file.keep or stored.has_raw(raw, sizes)


def recorded_raw(stored: StoredDataset, file: RemoteFile) -> RawFile | None:
    """Return the record of the first retrieval of this URL; if it is lost, what the current version says of it."""
    url = redacted(file.urls[0])
    raw = stored.raw(file.identifier)
    if raw is not None:
        return raw if raw.url == url else None
    current = stored.current().version
    for split, digest in current.splits.items() if current else ():
        try:
            sources = stored.index(split, digest).own_sources
        except UNUSABLE:
            continue
        for used in sources:
            if (used.name, used.url) == (file.identifier, url):
                return RawFile(used.name, used.sha256, used.bytes, url, None, Source(url))
    return None


def made_raw(stored: StoredDataset, file: str, recipe: str) -> RawFile | None:
    """Return the record of a derived file if this recipe made it; its bytes may be gone."""
    raw = stored.raw(file)
    return raw if raw and raw.digest == recipe else None


def check_raw(stored: StoredDataset, raw: RawFile) -> None:
    """Hash a stored raw file. Raises `DigestMismatch` if it changed, `NotPrepared` if it is gone."""
    key, url = stored.raw_key(raw), stored.storage.url
    again = command(f"prepare --refresh {stored.name}", url)
    try:
        with stored.open_raw(raw, whole=True) as opened:
            found = files.sha256_in(opened)
    except FileNotFoundError as error:
        raise NotPrepared(f"The raw file {key} is gone from {url}. Make it again with: {again}") from error
    if found != raw.sha256:
        raise DigestMismatch(
            f"The raw file {key} in {url} has sha256 {found}. Delete it, and make it again with: {again}"
        )
