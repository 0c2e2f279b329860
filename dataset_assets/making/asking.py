"""Decides whether the source of a stored file is asked if it changed, and with which validators."""

from contextlib import suppress

from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import RemoteFile
from dataset_assets.making.provisional import is_proven
from dataset_assets.making.raw_files import is_as_meant
from dataset_assets.retrieval.on_this_machine import file_of, folder_of, is_unchanged
from dataset_assets.storage.raw_files import RawFile, Source
from dataset_assets.storage.stored_dataset import StoredDataset


def question(stored: StoredDataset, file: RemoteFile, raw: RawFile, *, refresh: bool, offline: bool) -> Source | None:
    """Return the validators with which the source of a stored file is asked now; None if it is not asked.

    Without validators, the source is asked for its bytes, whatever they are.

    * A file or folder on this machine is looked at in every run, unless its digest is declared.
    * Bytes that are not proven are asked for again: those that are doubted whatever the source says of them, others
      if the source has no strong ETag, or a different one.
    * Any other source is asked in a refresh only. If the bytes are gone that were to stay, a refresh brings them back.
    """
    anew = Source(raw.source.url)
    unchanged = _looked_at(file, raw) if refresh or file.digest is None else None
    if unchanged is not None:
        # A refresh asks the mirrors that come first, too.
        first = raw.source.url == redacted(file.urls[0])
        return None if unchanged and (not refresh or first and is_as_meant(stored, file, raw)) else anew
    if file.digest is not None or is_proven(stored, raw):
        asks = refresh or (file.digest is None and folder_of(_url_of(file, raw)) is not None)
        return (raw.source if is_as_meant(stored, file, raw) else anew) if asks else None
    if refresh or raw.state == "doubted" or not stored.has_raw(raw):
        return anew
    strong = (raw.source.etag or "").startswith('"')
    return None if offline else Source(raw.source.url, raw.source.etag if strong else None)


def _looked_at(file: RemoteFile, raw: RawFile) -> bool | None:
    """Say whether the file on this machine that gave the bytes still has them; None if there is no such file."""
    path = file_of(_url_of(file, raw))
    # A file that may not be read, or that vanishes now, leaves what is stored.
    with suppress(OSError):
        return is_unchanged(path, raw.sha256) if path else None
    return None


def _url_of(file: RemoteFile, raw: RawFile) -> str:
    """Return the URL that gave the bytes; an empty text if the definition no longer has it."""
    return next((url for url in file.urls if redacted(url) == raw.source.url), "")
