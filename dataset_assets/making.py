"""Making: retrieve a file, derive one, run a split's function; everything into scratch, nothing published."""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterable, Mapping, Sequence, cast

from dataset_assets import files
from dataset_assets.checking import check_split
from dataset_assets.definition import Dataset, DerivedFile, RemoteFile, Split
from dataset_assets.errors import DatasetAssetsError, DigestMismatch, SchemaError, SplitFailed, at, nearest
from dataset_assets.formats import Part, Writer
from dataset_assets.index import SplitIndex, StoredFile, StoredStream, UsedFile
from dataset_assets.loading import open_columns
from dataset_assets.retrieval import Source, fetch_first, redacted
from dataset_assets.samples import Columns, Sample, as_block

Progress = Callable[[str, int, "int | None"], None]
"""Told what is being worked on, how much is done and how much there is: bytes of a file, samples of a split."""

HELD_SAMPLES = 1024
HELD_BYTES = 4 << 20


@dataclass(frozen=True)
class RawFile:
    """A raw file that is in the storage: its content, and what is known of where it came from."""

    name: str
    sha256: str
    bytes: int
    url: str
    digest: str | None
    source: Source
    retrieved: str = ""


@dataclass(frozen=True)
class StagedRaw:
    """A raw file that was retrieved, or derived, and is still in scratch."""

    raw: RawFile
    path: Path


@dataclass(frozen=True)
class StagedSplit:
    """A split that was made and is still in scratch: its index, and the files of each stream in order."""

    index: SplitIndex
    files: Mapping[str, Sequence[Path]]


def stage_raw(
    dataset: Dataset,
    file: RemoteFile,
    folder: Path,
    *,
    known: RawFile | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
) -> StagedRaw | None:
    """Retrieve a file into scratch; None if its source says that it is what is known, which only a refresh asks.

    Bytes without a declared digest are held against those of the first retrieval, unless this is a refresh.
    """
    found: dict[str, str] = {}

    def verify(path: Path) -> None:
        found["sha256"] = _verified(path, file, None if refresh else known)

    report = (lambda done, total: progress(file.identifier, done, total)) if progress else None
    path = folder / file.identifier
    with at(f"{dataset.name}, file {file.identifier}"):
        source = fetch_first(file.urls, path, known.source if known and refresh else None, verify, report)
    if source is None:
        return None
    return StagedRaw(_raw_of(file, found["sha256"], path.stat().st_size, source), path)


def derive(
    dataset: Dataset, file: DerivedFile, folder: Path, opened: Mapping[str, BinaryIO], recipe: str | None = None
) -> StagedRaw:
    """Make a derived file in scratch of its open files; a kept one is known again by its recipe."""
    path = folder / file.identifier
    with at(f"{dataset.name}, file {file.identifier}"), files.Written(path) as out:
        for chunk in _run(file, opened):
            out.write(chunk)
    url = f"derived:{file.function.__module__}.{file.function.__qualname__}"
    return StagedRaw(RawFile(file.identifier, files.sha256_of(path), path.stat().st_size, url, recipe, Source(url)), path)


def make_split(
    dataset: Dataset,
    split: str,
    recipe: str,
    used: Sequence[UsedFile],
    opened: Mapping[str, BinaryIO],
    folder: Path,
    file_bytes: int,
    progress: Progress | None = None,
) -> StagedSplit:
    """Run a split's function on its open files, write its streams into scratch and check them.

    Raises `SchemaError` for samples that do not fit, `SplitFailed` when the function raises, and what decoding raises.
    """
    defined = dataset.splits[split]
    with ExitStack() as stack:
        writers = {name: kind.writer(folder / name, file_bytes) for name, kind in dataset.streams.items()}
        for writer in writers.values():
            stack.callback(writer.discard)
        with at(f"{dataset.name}, split {split}"):
            written = _Written(writers)
            for yielded in _run(defined, opened):
                written.add(yielded)
                if progress:
                    progress(f"{dataset.name} {split}", written.samples, None)
            closed = written.close()
    streams = {name: _stored(dataset, name, *result) for name, result in closed.items()}
    paths = {name: [part.path for part in parts] for name, (parts, _) in closed.items()}
    index = SplitIndex(
        dataset=dataset.name,
        split=split,
        version=dataset.version,
        samples=written.samples,
        streams=streams,
        sources=tuple(used),
        arguments=defined.plain,
        roles=dict(dataset.roles),
        license=dataset.license,
        findings=(),
        recipe=recipe,
    )
    return StagedSplit(_checked(index, paths), paths)


def used_file(argument: str, raw: RawFile) -> UsedFile:
    """Return how an index names a file that a split was made of."""
    return UsedFile(argument, raw.name, raw.sha256, raw.bytes, raw.url)


def _checked(index: SplitIndex, paths: Mapping[str, Sequence[Path]]) -> SplitIndex:
    with ExitStack() as stack:
        columns = open_columns(index, lambda name, k: stack.enter_context(open(paths[name][k], "rb")))
        findings = check_split(index.samples, index.streams, columns)
    return SplitIndex(**{**{name: getattr(index, name) for name in index.__dataclass_fields__}, "findings": findings})


def _stored(dataset: Dataset, name: str, parts: Sequence[Part], parameters: Mapping[str, Any]) -> StoredStream:
    kind = dataset.streams[name]
    stored = tuple(StoredFile(part.sha256, part.bytes, part.samples) for part in parts)
    return StoredStream(kind.name, parameters, kind.version, kind.suffix, stored)


def _run(applied: Split | DerivedFile, opened: Mapping[str, BinaryIO]) -> Iterable[Any]:
    """Yield what a user's function yields; an error of its own becomes the cause of a `SplitFailed`."""
    name = applied.function.__qualname__
    at_yield = 0
    try:
        result = applied.function(**{argument: opened.get(argument, value) for argument, value in applied.arguments.items()})
        if result is None:
            raise SchemaError(f"The function {name} returned None. Yield samples, blocks or bytes from it.")
        for yielded in result:
            yield yielded
            at_yield += 1
    except DatasetAssetsError:
        raise
    except Exception as error:
        raise SplitFailed(
            f"the function {name} raised {type(error).__name__}: {error} (after {at_yield} yields). "
            "Its own traceback is above."
        ) from error


class _Written:
    """Hands samples, gathered into blocks, and blocks to the streams' writers."""

    def __init__(self, writers: Mapping[str, Writer]) -> None:
        self.writers = writers
        self.samples = 0
        self.held: list[Sample] = []
        self.held_bytes = 0

    def add(self, yielded: Any) -> None:
        """Add a sample or a block."""
        block = as_block(yielded)
        if block is None:
            self._hold(yielded)
        else:
            self._flush()
            self._append(block)

    def close(self) -> dict[str, tuple[list[Part], dict[str, Any]]]:
        """Finish all streams."""
        self._flush()
        closed = {}
        for name, writer in self.writers.items():
            with at(f"stream {name}"):
                closed[name] = writer.close()
        return closed

    def _hold(self, sample: Sample) -> None:
        self._same_streams(sample)
        self.held.append(sample)
        self.held_bytes += sum(_size(value) for value in sample.values())
        if len(self.held) >= HELD_SAMPLES or self.held_bytes >= HELD_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self.held:
            held, self.held, self.held_bytes = self.held, [], 0
            self._append(Columns({name: [sample[name] for sample in held] for name in self.writers}))

    def _append(self, block: Columns) -> None:
        self._same_streams(block)
        for name, writer in self.writers.items():
            with at(f"stream {name}"):
                writer.append(block[name])
        self.samples += block.samples

    def _same_streams(self, found: Mapping[str, Any]) -> None:
        if found.keys() == self.writers.keys():
            return
        missing, extra = self.writers.keys() - found.keys(), found.keys() - self.writers.keys()
        hint = nearest(min(extra), self.writers) if extra else ""
        raise SchemaError(
            f"sample {self.samples + len(self.held)}: streams {', '.join(map(str, found))}; missing: "
            f"{', '.join(sorted(missing)) or 'none'}, unknown: {', '.join(sorted(map(str, extra))) or 'none'}."
            f"{hint} Yield a value for each declared stream."
        )


def _size(value: Any) -> int:
    size = getattr(value, "nbytes", None)
    if size is None:
        size = len(value) if isinstance(value, (str, bytes, bytearray, list)) else 32
    return cast(int, size)


def _verified(path: Path, file: RemoteFile, known: RawFile | None) -> str:
    """Return the sha256 of a retrieved file; raise `DigestMismatch` if it is not the file that was meant."""
    sha256 = files.sha256_of(path)
    if file.digest is not None:
        algorithm, _, expected = file.digest.partition(":")
        found = sha256 if algorithm == "sha256" else _digest(path, algorithm)
        if found != expected:
            raise DigestMismatch(
                f"{redacted(file.urls[0])} has {algorithm} {found}, not the {expected} it was defined with. The download "
                "was discarded."
            )
    elif known is not None and sha256 != known.sha256:
        raise DigestMismatch(
            f"{redacted(file.urls[0])} has sha256 {sha256}, not the {known.sha256} that was recorded when it was first "
            "retrieved. Its publisher changed it: take the new bytes by a refresh, or state the digest you want."
        )
    if file.size is not None and path.stat().st_size != file.size:
        raise DigestMismatch(f"{redacted(file.urls[0])} has {path.stat().st_size} bytes, not {file.size} as defined.")
    return sha256


def _digest(path: Path, algorithm: str) -> str:
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, algorithm).hexdigest()


def _raw_of(file: RemoteFile, sha256: str, size: int, source: Source) -> RawFile:
    return RawFile(file.identifier, sha256, size, redacted(file.urls[0]), file.digest, source)
