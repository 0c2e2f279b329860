"""What a split, and a dataset's version, are made of: canonical JSON named by its own sha256, and one pointer.

Written after the data and never changed. No time, host, mirror or library version is in it, so two machines that
prepare the same bytes get the same digest.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Mapping

from dataset_assets.errors import DecodeError, DigestMismatch, NewerFormat, NotPrepared
from dataset_assets.names import check_dataset_name, check_identifier, storage_key
from dataset_assets.storage import Storage

FORMAT = 1
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredFile:
    """One file of a stream."""

    sha256: str
    bytes: int
    samples: int


@dataclass(frozen=True)
class StoredStream:
    """A stream as it was written."""

    format: str
    parameters: Mapping[str, Any]
    writer: int
    suffix: str
    files: tuple[StoredFile, ...]

    @property
    def bytes(self) -> int:
        """The bytes of all its files."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class UsedFile:
    """A file that a split was made of; if it was kept, `name` is its folder below the dataset's raw files."""

    argument: str
    name: str
    sha256: str
    bytes: int
    url: str


@dataclass(frozen=True)
class Finding:
    """What a check found; `severity` is empty in a split's index, where it is not decided yet."""

    check: str
    passed: bool
    message: str
    severity: str = ""


@dataclass(frozen=True)
class SplitIndex:
    """A split: its samples, its streams' files, and what they were made of."""

    dataset: str
    split: str
    version: str
    samples: int
    streams: Mapping[str, StoredStream]
    sources: tuple[UsedFile, ...]
    arguments: Mapping[str, Any]
    roles: Mapping[str, str]
    license: str | None
    findings: tuple[Finding, ...]
    recipe: str
    format: int = FORMAT

    @property
    def bytes(self) -> int:
        """The bytes of all its streams."""
        return sum(stream.bytes for stream in self.streams.values())


@dataclass(frozen=True)
class Version:
    """A dataset's version: the index of each split."""

    dataset: str
    splits: Mapping[str, str]
    findings: tuple[Finding, ...] = ()
    recipe: str = ""
    format: int = FORMAT

    @property
    def refused(self) -> bool:
        """Say whether a check failed at ERROR, so that it may not become the current one."""
        return any(not finding.passed and finding.severity == "error" for finding in self.findings)


def canonical(document: Any) -> bytes:
    """Return an index or a version as the bytes that are stored: sorted keys, UTF-8, no floats."""
    plain = _plain(document if isinstance(document, Mapping) else _fields(document))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # What UTF-8 cannot hold, such as half of a surrogate pair, is an escape that JSON reads too.
    return text.encode("utf-8", "backslashreplace")


def digest_of(document: Any) -> str:
    """Return the sha256 of the canonical bytes, which is the document's name."""
    return sha256_hex(canonical(document))


def sha256_hex(data: bytes) -> str:
    """Return the sha256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def raw_key(dataset: str, file: str, sha256: str) -> str:
    """Return where a raw file's bytes are."""
    return storage_key(dataset, "raw", file, sha256)


def source_key(dataset: str, file: str) -> str:
    """Return where is written what is known of a raw file's source."""
    return storage_key(dataset, "raw", file, "source.json")


def stream_key(dataset: str, split: str, stream: str, sha256: str, suffix: str) -> str:
    """Return where a file of a stream is."""
    return storage_key(dataset, split, stream, sha256 + suffix)


def index_key(dataset: str, split: str, digest: str) -> str:
    """Return where a split's index is."""
    return storage_key(dataset, split, "index", f"{digest}.json")


def version_key(dataset: str, digest: str) -> str:
    """Return where a version is."""
    return storage_key(dataset, "versions", f"{digest}.json")


def pointer_key(dataset: str) -> str:
    """Return where the pointer to the current version is."""
    return storage_key(dataset, "current.json")


def read_pointer(storage: Storage, dataset: str) -> tuple[str | None, str | None]:
    """Return the digest of the current version, and the pointer's own, for `swap`; None where there is none."""
    key = pointer_key(dataset)
    try:
        with storage.get(key) as file:
            data = file.read()
    except FileNotFoundError:
        return None, None
    version = unsealed(data, key, dataset).get("version")
    if not isinstance(version, str) or not _HEX.fullmatch(version):
        raise DecodeError(f"{key} in {storage.url} points nowhere: {data[:80]!r}. {_mend(dataset)}")
    return version, sha256_hex(data)


def pointer_to(version: str) -> bytes:
    """Return the pointer's bytes."""
    return sealed({"version": version})


def sealed(document: Mapping[str, Any]) -> bytes:
    """Return a document that is not named by its digest, with its format and a digest of all else in it."""
    whole = {**document, "format": FORMAT}
    return canonical({**whole, "seal": digest_of(whole)})


def unsealed(data: bytes, key: str, dataset: str) -> dict[str, Any]:
    """Return what was sealed. Raises `DecodeError` if it was damaged since, `NewerFormat` if it was not."""
    found = _object(data, key, dataset)
    # Before the format is looked at: a flipped bit must not pass for a newer one.
    try:
        whole = found.pop("seal", None) == digest_of(found)
    except RecursionError:
        whole = False
    if not whole:
        raise _malformed(key, dataset, ValueError("its seal is broken"))
    del _checked_format(found, key, dataset)["format"]
    return found


def read_split_index(storage: Storage, dataset: str, split: str, digest: str) -> SplitIndex:
    """Read a split's index and hold it against its digest. Raises `NotPrepared`, `DigestMismatch`, `DecodeError`."""
    raw = _read(storage, index_key(dataset, split, digest), digest, dataset, f"index {digest} of split {split}")
    try:
        streams = {check_identifier(name, "stream"): _stream(value) for name, value in raw.pop("streams").items()}
        raw["arguments"] = _restored(raw["arguments"])
        raw["sources"] = tuple(UsedFile(**value) for value in raw["sources"])
        raw["findings"] = tuple(Finding(**value) for value in raw["findings"])
        found = SplitIndex(streams=streams, **raw)
    except (TypeError, KeyError, AttributeError) as error:
        raise _malformed(index_key(dataset, split, digest), dataset, error) from error
    if (found.dataset, found.split) != (dataset, split):
        raise DecodeError(f"The index {digest} is of {found.dataset}, split {found.split}, not of {dataset}, {split}.")
    return found


def read_version(storage: Storage, dataset: str, digest: str) -> Version:
    """Read a version and hold it against its digest. Raises `NotPrepared`, `DigestMismatch`, `DecodeError`."""
    raw = _read(storage, version_key(dataset, digest), digest, dataset, f"version {digest}")
    try:
        raw["findings"] = tuple(Finding(**value) for value in raw["findings"])
        found = Version(**raw)
        for name, split in found.splits.items():
            check_identifier(name, "split")
            check_hex(split)
    except (TypeError, KeyError, AttributeError) as error:
        raise _malformed(version_key(dataset, digest), dataset, error) from error
    if found.dataset != check_dataset_name(dataset):
        raise DecodeError(f"The version {digest} is of {found.dataset}, not of {dataset}.")
    return found


def _read(storage: Storage, key: str, digest: str, dataset: str, what: str) -> dict[str, Any]:
    try:
        with storage.get(key) as file:
            data = file.read()
    except FileNotFoundError as error:
        raise NotPrepared(
            f"There is no {what} of {dataset} in {storage.url}: it was collected, or never made there. "
            f"{_mend(dataset) if '/index/' in key else _instead(dataset)}"
        ) from error
    if (found := sha256_hex(data)) != digest:
        raise DigestMismatch(f"{key} in {storage.url} has sha256 {found}, not that of its name. {_mend(dataset)}")
    return _checked_format(_object(data, key, dataset), key, dataset)


def _object(data: bytes, key: str, dataset: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _malformed(key, dataset, error) from error
    if not isinstance(found, dict):
        raise _malformed(key, dataset, TypeError("it is no object"))
    return found


def _checked_format(found: dict[str, Any], key: str, dataset: str) -> dict[str, Any]:
    written = found.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise NewerFormat(f"{key} has format {written}; this release reads up to {FORMAT}. Upgrade dataset_assets.")
    if written != FORMAT:
        raise _malformed(key, dataset, TypeError(f"its format is {written!r}"))
    return found


def _stream(raw: dict[str, Any]) -> StoredStream:
    stored = tuple(StoredFile(check_hex(f["sha256"]), int(f["bytes"]), int(f["samples"])) for f in raw["files"])
    return StoredStream(raw["format"], _restored(raw["parameters"]), raw["writer"], raw["suffix"], stored)


def check_hex(digest: Any) -> str:
    """Return a sha256 in hex; raise `TypeError` for what is none."""
    if not isinstance(digest, str) or not _HEX.fullmatch(digest):
        raise TypeError(f"{digest!r} is not a sha256")
    return digest


def _malformed(key: str, dataset: str, error: Exception) -> DecodeError:
    return DecodeError(f"{key} is damaged, or not what this release reads ({error}). {_mend(dataset)}")


def _mend(dataset: str) -> str:
    return f"Mend it with: dataset-assets prepare {dataset}"


def _instead(dataset: str) -> str:
    return (
        f"See what is there with: dataset-assets versions {dataset}. Or make it again: prepare {dataset} as it was "
        "defined then, from the same raw files."
    )


def _fields(document: Any) -> dict[str, Any]:
    return {name: getattr(document, name) for name in document.__dataclass_fields__}


def _plain(value: Any) -> Any:
    """Return the value with only objects, arrays, strings, integers, booleans and null; floats as their text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return {"float": repr(value)}
    return _plain(_fields(value)) if hasattr(value, "__dataclass_fields__") else value


def _restored(value: Any) -> Any:
    """Undo `_plain`."""
    if isinstance(value, dict):
        return _float_in(value) if value.keys() == {"float"} else {key: _restored(item) for key, item in value.items()}
    return [_restored(item) for item in value] if isinstance(value, list) else value


def _float_in(value: dict[str, Any]) -> Any:
    try:
        found = float(value["float"])
    except (TypeError, ValueError):
        return value
    return found if repr(found) == value["float"] else value
