"""Reading bundles: all of one is verified before anything of it is stored."""

import errno
import json
import os
import re
import tarfile
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Iterator

from dataset_assets.core import files
from dataset_assets.core.canonical import canonical
from dataset_assets.core.names import check_dataset_name, check_identifier, split_pin
from dataset_assets.core.progress import report
from dataset_assets.errors import (
    DecodeError,
    DigestMismatch,
    IntegrityError,
    NameNotAllowed,
    NoSpace,
    UsageError,
)
from dataset_assets.moving.bundle_format import (
    FORMAT,
    LARGEST_LIST,
    MANIFEST,
    SUMS,
    WITH_EXPERIMENTS,
    Experiment,
    Member,
    end_of,
    filling_of,
    header_of,
    sums_of,
)
from dataset_assets.moving.copy import Copied, deliver, missing, workplace
from dataset_assets.moving.experiments import deliver as deliver_experiment
from dataset_assets.moving.experiments import needed_by
from dataset_assets.moving.parcel import Parcel, Piece, gathered
from dataset_assets.storage import LocalStorage, Storage, check_key, open_storage
from dataset_assets.storage.aliases import lacking_aliases
from dataset_assets.storage.keys import experiment_place, place_of
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.storage.stored_experiment import Pointer, StoredExperiment


def unbundle(
    source: BinaryIO,
    into: "str | Storage",
    *,
    expect: str | None = None,
    make_current: bool = False,
    aliases: bool = False,
    apply_exclusions: bool = False,
) -> list[Copied]:
    """Read a bundle from an open file or pipe, verify all of it, then store its contents.

    The bundle's current version becomes current if the dataset has none yet, or if `make_current` is true. `expect` is
    the SHA-256 that the bundle must have. `aliases` stores the datasets' aliases too, and `apply_exclusions` is as in
    `copy`. Raises `DecodeError` if this is not a bundle or it ends early, `DigestMismatch` if a digest differs, and
    `Conflict` if another stored dataset has one of the aliases. Nothing is stored then.
    """
    target, reader = open_storage(into), _Reader(source, expect)
    with workplace(target) as folder:
        staged = LocalStorage(folder / "staged")
        parcels, runs = _unpacked(reader, staged)
        for one in parcels:
            one.aliases = one.aliases if aliases else ()
            lacking_aliases(StoredDataset(target, one.dataset), one.aliases)
        # The bundle may be hostile, so what it says about its source's other versions is not used.
        fetch = partial(_linked, staged, folder)
        done = [deliver(one, target, fetch, None, make_current, apply_exclusions) for one in parcels]
        return done + [deliver_experiment(one, target, make_current) for one in runs]


def _linked(staged: LocalStorage, folder: Path, piece: Piece) -> Path:
    path = folder / piece.sha256
    files.remove(path)
    files.link(staged.root / piece.key, path)
    return path


class _Reader:
    """Reads a bundle, and hashes what it reads."""

    def __init__(self, file: BinaryIO, digest: str | None = None) -> None:
        self.file, self.at, self.digest = file, 0, sha256()
        self.expected = _checked_digest(digest)

    def read(self, count: int) -> bytes:
        """Return `count` bytes. Raises `DecodeError` if the bundle ends before."""
        data = bytearray()
        while len(data) < count and (more := self.file.read(count - len(data))):
            data += more
        self.at += len(data)
        self.digest.update(data)
        if len(data) < count:
            raise DecodeError(f"The bundle ends early, at byte {self.at}. Nothing was stored; transfer it again.")
        return bytes(data)

    def chunks(self, count: int) -> Iterator[bytes]:
        """Yield `count` bytes, then skip the padding of the last block."""
        left = count
        while left:
            chunk = self.read(min(left, files.CHUNK))
            left -= len(chunk)
            yield chunk
        self.expect(filling_of(count), "the end of an object")

    def expect(self, data: bytes, what: str) -> None:
        """Raise `DecodeError` unless these bytes follow."""
        at = self.at
        if self.read(len(data)) != data:
            raise _strange(f"at byte {at} is not {what}")

    def end(self) -> None:
        """Check that the tar ends here. Raises `DecodeError` if not, and `DigestMismatch` if it has another digest."""
        self.expect(end_of(self.at), "the end")
        if self.file.read(1):
            raise _strange(f"it continues after its end, at byte {self.at}")
        if self.expected not in (None, found := self.digest.hexdigest()):
            raise DigestMismatch(
                f"The bundle has sha256 {found}, not the expected {self.expected}. Nothing was stored. Transfer it "
                "again, or ask its author which digest is right."
            )


def _checked_digest(digest: str | None) -> str | None:
    if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest.lower()):
        raise UsageError(f"{digest!r} is not a SHA-256. Give the 64 hex digits that bundle or sha256sum printed.")
    return digest and digest.lower()


def _strange(what: str) -> DecodeError:
    return DecodeError(f"This is not a bundle that dataset-assets wrote: {what}. Nothing was stored.")


def _unpacked(reader: _Reader, staged: LocalStorage) -> tuple[list[Parcel], list[StoredExperiment]]:
    """Stage a bundle and return its contents, which must be exactly the objects that its versions and runs name."""
    sums, data = _listed(reader, SUMS), _listed(reader, MANIFEST)
    raw, datasets, pointers, members, aliases = _manifest(data)
    if sums != sums_of([Member(MANIFEST, len(data), sha256(data).hexdigest()), *members]):
        raise DigestMismatch(f"{SUMS} and {MANIFEST} of the bundle contradict each other. Nothing was stored.")
    _see_room(sum(member.size for member in members), staged.root.parent)
    total, done = sum(member.size for member in members), 0
    for member in members:
        _stage(reader, staged, member)
        done += member.size
        report("bundle", done, total)
    reader.end()
    parcels = [gathered(StoredDataset(staged, dataset.pop("dataset")), raw=raw, **dataset) for dataset in datasets]
    names = {key for one in parcels for keys in one.all_documents for key in keys}
    names |= {key for one in parcels for key in one.pieces}
    runs = [StoredExperiment(staged, pointer.name) for pointer in pointers]
    for run, pointer in zip(runs, pointers):
        run.become(Pointer(pointer.id, pointer.generation, ""), None)
        names |= needed_by(run).keys
    if names != {member.key for member in members} or any(missing(one, staged) for one in parcels):
        raise IntegrityError("The bundle's objects are not exactly those that its versions name. Nothing was stored.")
    for one in parcels:
        one.aliases = tuple(alias for alias, dataset in aliases.items() if dataset == one.dataset)
    return parcels, runs


def _listed(reader: _Reader, name: str) -> bytes:
    """Read one of the two lists."""
    header = reader.read(tarfile.BLOCKSIZE)
    try:
        size = tarfile.TarInfo.frombuf(header, "utf-8", "strict").size
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise _strange(f"at byte {reader.at - len(header)} is not {name}") from error
    if not 0 <= size <= LARGEST_LIST or header != header_of(name, size):
        raise _strange(f"at byte {reader.at - len(header)} is not {name}, of at most {LARGEST_LIST} bytes")
    return b"".join(reader.chunks(size))


def _manifest(data: bytes) -> tuple[bool, list[dict[str, Any]], list[Experiment], list[Member], dict[str, str]]:
    try:
        found = json.loads(data)
        if found.get("bundle") != (WITH_EXPERIMENTS if found.get("experiments") else FORMAT) or data != canonical(
            found
        ):
            said = found.get("bundle")
            raise _strange(
                f"{MANIFEST} says {said!r}; this release reads format {FORMAT}, or {WITH_EXPERIMENTS} with experiments"
            )
        runs = [_experiment(**one) for one in found.get("experiments", [])]
        members = [_member(**one) for one in found["objects"]]
        datasets = [_dataset(**one) for one in found["datasets"]]
        raw = found["raw"]
        aliases = _aliases(found.get("aliases", {}), {one["dataset"] for one in datasets})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if isinstance(error, IntegrityError):
            raise
        raise _strange(f"{MANIFEST} cannot be read ({type(error).__name__})") from error
    if len({member.key for member in members}) != len(members) or raw not in (True, False):
        raise _strange(f"{MANIFEST} names an object twice")
    return raw, datasets, runs, members, aliases


def _experiment(experiment: str, id: str, generation: str) -> Experiment:
    if not all(isinstance(text, str) and re.fullmatch("[0-9a-f]{32}", text) for text in (id, generation)):
        raise ValueError(experiment)
    return Experiment(check_identifier(experiment, "experiment"), id, generation)


def _aliases(aliases: dict[str, str], datasets: set[str]) -> dict[str, str]:
    if not {*aliases.values()} <= datasets:
        raise _strange(f"{MANIFEST} has aliases of datasets that are not in it")
    return {check_dataset_name(alias): dataset for alias, dataset in aliases.items()}


def _member(key: str, bytes: int, sha256: str) -> Member:
    place = place_of(check_key(key)) or experiment_place(key)
    if place is None or place.kind not in ("version", "index", "source", "stream", "raw", "excluded", "runs", "value"):
        raise NameNotAllowed(f"A bundle cannot contain {key}.")
    if type(bytes) is not int or bytes < 0 or not isinstance(sha256, str) or place.digest not in ("", sha256):
        raise ValueError(key)
    return Member(key, bytes, sha256)


def _dataset(dataset: str, versions: list[str], current: str | None, pinned: list[str]) -> dict[str, Any]:
    for digest in versions:
        split_pin(f"{dataset}@{digest}")
    if not {*pinned, *([current] if current else [])} <= {*versions}:
        raise ValueError(dataset)
    return {"dataset": dataset, "versions": versions, "current": current, "pinned": pinned}


def _stage(reader: _Reader, staged: LocalStorage, member: Member) -> None:
    reader.expect(header_of(member.key, member.size), member.key)
    path, digest = staged.root / member.key, sha256()
    files.make_folder(path.parent)
    with files.Written(path) as written:
        for chunk in reader.chunks(member.size):
            digest.update(chunk)
            written.write(chunk)
    if digest.hexdigest() != member.sha256:
        raise DigestMismatch(
            f"{member.key} in the bundle has sha256 {digest.hexdigest()}, not {member.sha256}. Nothing was stored; "
            "transfer it again."
        )


def _see_room(needed: int, folder: Path) -> None:
    info = os.statvfs(folder)
    if needed > (free := info.f_bavail * info.f_frsize):
        raise NoSpace(
            errno.ENOSPC,
            f"The bundle needs {needed / 1e6:.0f} MB; {folder} has {free / 1e6:.0f} MB free. Nothing was stored. Free "
            "some space, then run the command again.",
        )
