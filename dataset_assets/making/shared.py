"""Finds bytes that another dataset of the same storage has, so that no source is asked for them twice.

A note in the home says in which dataset the bytes of a URL, and those of a digest, were stored last. It is only a hint:
the bytes are hashed when they are copied. A URL without a digest is still asked whether its file changed, except by a
process that waited for another one to download it.
"""

import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dataset_assets.core import files
from dataset_assets.core.canonical import canonical, sha256_hex
from dataset_assets.core.documents import UNFIT, Count, parsed, read_as
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset, RemoteFile
from dataset_assets.errors import DatasetAssetsError, NoSpace
from dataset_assets.making.steps import DERIVED, StagedRaw, place_of, url_of, verified
from dataset_assets.storage.raw_files import RawFile
from dataset_assets.storage.stored_dataset import StoredDataset


@dataclass(frozen=True)
class Elsewhere:
    """A raw file as some dataset of the storage has it; `since` is when it was noted, in ns."""

    dataset: str
    raw: RawFile
    since: Count = 0


def note_raw(stored: StoredDataset, raw: RawFile) -> None:
    """Note where the bytes of a URL and of a digest are, unless they are derived.

    A note that cannot be written is left out.
    """
    if raw.url.startswith(DERIVED):
        return
    for key in dict.fromkeys((f"sha256:{raw.sha256}", raw.digest or raw.url, raw.url)):
        path = _place(stored, key)
        part = path.with_suffix(f".{secrets.token_hex(6)}.part")
        with suppress(OSError):
            files.make_folder(path.parent)
            note = files.Written(part)
            note.write(canonical(Elsewhere(stored.name, raw)))
            # Not synced: a note that a power failure takes costs one download.
            note.discard()
            files.move(part, path)


def with_digest(stored: StoredDataset, digest: str) -> Elsewhere | None:
    """Return where the bytes of a digest were stored last."""
    return _read(_place(stored, digest))


def of_url(stored: StoredDataset, file: RemoteFile) -> Elsewhere | None:
    """Return where the bytes of a file's URL were stored last; None if they could not be decoded there."""
    found = _read(_place(stored, url_of(file)))
    return None if found and _is_doubted(stored, found) else found


def stage_copy(
    stored: StoredDataset, dataset: Dataset, file: RemoteFile, folder: Path, elsewhere: Elsewhere | None
) -> StagedRaw | None:
    """Copy the bytes into the scratch folder. Return None if they are gone, or are not those that were noted."""
    if elsewhere is None:
        return None
    raw, path = elsewhere.raw, place_of(folder, file)
    try:
        with (
            StoredDataset(stored.storage, elsewhere.dataset).open_raw(raw, whole=True) as source,
            files.Written(path) as out,
        ):
            for chunk in files.chunks_of(source):
                out.write(chunk)
        verified(path, file, raw, dataset.name, stored.storage.url)
    except NoSpace:
        raise
    except (DatasetAssetsError, OSError):
        files.remove(path)
        return None
    record = replace(raw, name=file.identifier, url=url_of(file), digest=file.digest, retrieved="")
    return StagedRaw(record, path, bool(file.keep), copied=True)


def _is_doubted(stored: StoredDataset, elsewhere: Elsewhere) -> bool:
    with suppress(DatasetAssetsError):
        there = StoredDataset(stored.storage, elsewhere.dataset).raw(elsewhere.raw.name)
        return there is not None and there.sha256 == elsewhere.raw.sha256 and there.state == "doubted"
    return False


def _place(stored: StoredDataset, key: str) -> Path:
    return settings().home / "retrieved" / f"{sha256_hex(f'{stored.storage.url} {key}'.encode())}.json"


def _read(path: Path) -> Elsewhere | None:
    with suppress(OSError, *UNFIT):
        noted: Elsewhere = read_as(Elsewhere, parsed(path.read_bytes()))
        return replace(noted, since=path.stat().st_mtime_ns)
    return None
