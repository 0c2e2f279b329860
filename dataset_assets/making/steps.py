"""The steps of making: retrieve a file, derive a file, run a split's function. All write into a scratch folder only."""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Callable, Mapping, Sequence
from urllib.parse import urlsplit

from dataset_assets.checks.built_in import check_split
from dataset_assets.core import files
from dataset_assets.core.commands import command
from dataset_assets.core.limits import limits, remedy
from dataset_assets.core.progress import Progress as Progress
from dataset_assets.core.progress import report, split_label
from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile, Split
from dataset_assets.errors import (
    DecodeError,
    DigestMismatch,
    RetrievalError,
    SchemaError,
    at,
)
from dataset_assets.formats import Format, Part
from dataset_assets.making.excluding import LEAVES_OUT_NOTHING, Excluder
from dataset_assets.making.running import run
from dataset_assets.making.sample_paths import SamplePaths
from dataset_assets.making.sample_writer import SampleWriter
from dataset_assets.making.skipping import Skipper
from dataset_assets.reading.stored_files import open_columns
from dataset_assets.retrieval import fetch_first
from dataset_assets.retrieval.on_this_machine import SCHEMES
from dataset_assets.storage.format_numbers import format_of
from dataset_assets.storage.manifest import SplitIndex, StoredFile, StoredStream, UsedFile
from dataset_assets.storage.raw_files import RawFile, Source

DERIVED = "derived:"


@dataclass(frozen=True)
class StagedRaw:
    """A raw file that was retrieved or derived, in the scratch folder."""

    raw: RawFile
    path: Path
    keep: bool = True
    """Whether its bytes are stored, not only its record."""
    copied: bool = False
    """Whether another dataset of the storage, or another file of this one, has its bytes: nobody waits for it."""
    published: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)
    """To be called when it is stored: another process may be waiting for it."""


@dataclass(frozen=True)
class StagedSplit:
    """A split that was made, in the scratch folder: its index, and the files of each stream in order."""

    index: SplitIndex
    files: Mapping[str, Sequence[Path]]
    """Empty for a split that stores row numbers, or was made in parts, whose files are stored already."""
    proven: Sequence[RawFile] = ()
    """The provisional raw files that are proven when it is published."""
    rows: Path | None = None
    """The file of its row numbers, if it stores them."""


def stage_raw(
    dataset: Dataset,
    file: RemoteFile,
    folder: Path,
    *,
    known: RawFile | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
    offline: bool | None = None,
    unless: Source | None = None,
    kept: Path | None = None,
    storage: str = "",
) -> StagedRaw | None:
    """Retrieve a file into the scratch folder; return None if a refresh finds that its source is unchanged.

    A file without a declared digest must have the bytes of the first retrieval, unless this is a refresh. `unless` is
    another source whose file is not wanted; `kept` is the folder in which a killed download is continued.
    """
    found: dict[str, str] = {}

    def verify(path: Path) -> None:
        found["sha256"] = verified(path, file, None if refresh else known, dataset.name, storage)

    tell = progress or report
    path = place_of(folder, file)
    with at(f"{dataset.name}, file {file.identifier}"):
        source = fetch_first(
            _allowed(file, settings().offline if offline is None else offline),
            path,
            known.source if known and refresh else unless,
            verify,
            lambda done, total: tell(file.identifier, done, total),
            size=file.size,
            digest=file.digest or (f"sha256:{known.sha256}" if known and not refresh else None),
            kept=kept,
        )
    if source is None:
        return None
    return StagedRaw(_raw_of(file, found["sha256"], path.stat().st_size, source), path, bool(file.keep))


def derive(
    dataset: Dataset, file: DerivedFile, folder: Path, opened: Mapping[str, BinaryIO], recipe: str | None = None
) -> StagedRaw:
    """Make a derived file from its open files, in the scratch folder; a kept one is recognised by its recipe."""
    path, most = place_of(folder, file), limits().max_decoded_bytes
    with at(f"{dataset.name}, file {file.identifier}"), files.Written(path) as out:
        for chunk in run(file, opened, lambda: f"{out.bytes} bytes"):
            if not isinstance(chunk, (bytes, bytearray, memoryview)):
                raise SchemaError(
                    f"The function {file.function.__qualname__} yielded a {type(chunk).__name__}. Yield bytes from it."
                )
            out.write(chunk)
            if out.bytes > most:
                raise DecodeError(
                    f"The function {file.function.__qualname__} yielded more than {most} bytes. "
                    f"{remedy('max_decoded_bytes')}"
                )
    url = url_of(file)
    return StagedRaw(
        RawFile(file.identifier, files.sha256_of(path), path.stat().st_size, url, recipe, Source(url)), path
    )


def make_split(
    dataset: Dataset,
    split: str,
    recipe: str,
    used: Sequence[UsedFile],
    opened: Mapping[str, Any],
    folder: Path,
    file_bytes: int,
    progress: Progress | None = None,
    links: Mapping[str, Any] = MappingProxyType({}),
    excluder: Excluder = LEAVES_OUT_NOTHING,
) -> StagedSplit:
    """Run a split's function on its open files and splits, write its streams into the scratch folder and check them.

    `links` are its arguments that are of other datasets, as the index names them; `excluder` leaves out samples on
    request. Raises `SchemaError` for samples that do not fit, `SplitFailed` when the function raises, and what decoding
    raises.
    """
    defined, tell = dataset.splits[split], progress or report
    with ExitStack() as stack:
        writers = {name: kind.writer(folder / name, file_bytes) for name, kind in dataset.streams.items()}
        for writer in writers.values():
            stack.callback(writer.discard)
        what = split_label(dataset.name, split)
        with at(f"{dataset.name}, split {split}"):
            source = ", ".join(url_of(file) for file in defined.files.values())
            paths_of = SamplePaths(defined, opened, plain=not excluder.rules)
            skipper = Skipper(dataset.streams, folder, source, paths_of) if dataset.skips else None
            written = SampleWriter(dataset.streams, writers, defined.function.__qualname__, excluder, skipper)
            done = partial(_samples, written)
            with paths_of.named():
                for yielded in run(defined, opened, done, dataset.skips):
                    written.add(yielded)
                    tell(what, written.samples, None)
                closed = written.close()
    streams = {name: stored_stream(dataset.streams[name], *result) for name, result in closed.items()}
    paths = {name: [part.path for part in parts] for name, (parts, _) in closed.items()}
    index = SplitIndex(
        dataset=dataset.name,
        split=split,
        version=dataset.version,
        samples=written.samples,
        streams=streams,
        sources=tuple(used),
        arguments={**defined.plain, **split_arguments(defined, opened), **links},
        roles=dict(dataset.roles),
        license=dataset.license,
        findings=(),
        recipe=recipe,
        format=format_of(excluder.digest, skipper.skipped if skipper else 0),
        excluded=excluder.digest,
        skipped=skipper.skipped if skipper else 0,
        bad=tuple(skipper.bad) if skipper else (),
    )
    return StagedSplit(_checked(index, paths), paths)


def url_of(file: RemoteFile | DerivedFile) -> str:
    """Return the source of a file as an index names it: its first URL, whichever mirror answered."""
    return redacted(file.urls[0]) if isinstance(file, RemoteFile) else f"{DERIVED}{file.function.__qualname__}"


def place_of(folder: Path, file: RemoteFile | DerivedFile) -> Path:
    """Return the path of a file in the scratch folder."""
    # In a folder of their own: a split may have the name of a file.
    files.make_scratch(folder / "raw")
    return folder / "raw" / file.identifier


def _allowed(file: RemoteFile, offline: bool) -> tuple[str, ...]:
    """Return the URLs that may be asked now."""
    if not offline:
        return file.urls
    found = tuple(url for url in file.urls if urlsplit(url).scheme in SCHEMES)
    if not found:
        raise RetrievalError(
            f"{redacted(file.urls[0])} was not asked, because the setting `offline` is on. Switch it off "
            "(DATASET_ASSETS_OFFLINE=0), or prepare where there is a network and copy the storage."
        )
    return found


def with_findings(index: SplitIndex, columns: Mapping[str, Any]) -> SplitIndex:
    """Return the index of a split with what the checks found in its columns."""
    streams = index.streams
    if index.rows or index.placed:  # it has no files of its own
        file = StoredFile("", 0, index.samples)
        streams = {name: replace(stream, files=(file,)) for name, stream in streams.items()}
    return replace(index, findings=check_split(index.samples, streams, columns))


def _checked(index: SplitIndex, paths: Mapping[str, Sequence[Path]]) -> SplitIndex:
    return with_findings(index, open_columns(index, lambda name, k: files.opened(paths[name][k])))


def stored_stream(kind: Format, parts: Sequence[Part], parameters: Mapping[str, Any]) -> StoredStream:
    """Return a stream that was written, as an index names it."""
    stored = tuple(StoredFile(part.sha256, part.bytes, part.samples) for part in parts)
    return StoredStream(kind.name, parameters, kind.version, kind.suffix, stored)


def split_arguments(defined: Split, opened: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are splits as an index names them: split and digest."""
    return {n: {"split": source.split, "index": opened[n].origin.index} for n, source in defined.splits.items()}


def _samples(written: SampleWriter) -> str:
    return f"{written.samples} sample{'s' * (written.samples != 1)}"


def verified(path: Path, file: RemoteFile, known: RawFile | None, dataset: str, storage: str = "") -> str:
    """Return the sha256 of a retrieved file; raise `DigestMismatch` if it is not the file that was meant."""
    sha256 = files.sha256_of(path)
    if file.digest is not None:
        algorithm, _, expected = file.digest.partition(":")
        found = sha256 if algorithm == "sha256" else _digest(path, algorithm)
        if found != expected:
            raise DigestMismatch(
                f"{redacted(file.urls[0])} has {algorithm} {found}, not the {expected} it was defined with. The "
                "download was discarded."
            )
    elif known is not None and sha256 != known.sha256:
        raise DigestMismatch(
            f"{redacted(file.urls[0])} has sha256 {sha256}, not the {known.sha256} that was recorded when it was first "
            "retrieved. Its publisher changed it: state the digest you want, or take the new bytes with: "
            f"{command(f'prepare --refresh {dataset}', storage)}"
        )
    if file.size is not None and path.stat().st_size != file.size:
        raise DigestMismatch(f"{redacted(file.urls[0])} has {path.stat().st_size} bytes, not {file.size} as defined.")
    return sha256


def _digest(path: Path, algorithm: str) -> str:
    with files.opened(path) as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _raw_of(file: RemoteFile, sha256: str, size: int, source: Source) -> RawFile:
    return RawFile(file.identifier, sha256, size, url_of(file), file.digest, source)
