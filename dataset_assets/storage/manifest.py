"""Manifests: the index of a split and the version of a dataset, canonical JSON named by its sha256; and one pointer.

A manifest is stored after its data and never changed. It holds no time, host, mirror or library version, so two
machines that prepare the same bytes get the same digest.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import accumulate
from typing import Annotated, Any, BinaryIO, Mapping

from dataset_assets.core.axes import Axis
from dataset_assets.core.canonical import canonical, digest_of, restored
from dataset_assets.core.commands import command
from dataset_assets.core.documents import MOST_BYTES, Count, Digest, Unfit, digest, parsed, read_as
from dataset_assets.core.names import LONGEST, check_dataset_name, check_identifier, plain_name
from dataset_assets.errors import DecodeError, NewerFormat, UnknownSplit, nearest
from dataset_assets.storage.format_numbers import FORMAT, NEWEST, format_of
from dataset_assets.storage.keys import stream_key
from dataset_assets.storage.placed import Placed

ROWS = "rows", ".npy"
"""The folder and the ending of a file of row numbers, which lies beside the streams of its split."""
SHORT = 1 << 16
_SUFFIX = re.compile(r"(\.\w+)*")
_FILE_NAME = re.compile(r"[A-Za-z0-9_]+")


def _suffix(value: str) -> str:
    """Return the suffix of a file's name; it becomes a part of a key, so it must not hold a path."""
    if not _SUFFIX.fullmatch(value) or len(value) > LONGEST:
        raise Unfit(f"is {value[:80]!r}, which is not the end of a file's name, such as '.npy'")
    return value


def _file_name(value: str) -> str:
    """Return the name of a raw file, which becomes a part of a key too; it may be empty."""
    if value and not _FILE_NAME.fullmatch(value) or len(value) > LONGEST:
        raise Unfit(f"is {value[:80]!r}, which is not the name of a raw file: letters, digits and underscores")
    return value


DatasetName = Annotated[str, check_dataset_name]
SplitName = Annotated[str, partial(check_identifier, what="split")]
StreamName = Annotated[str, partial(check_identifier, what="stream")]
FileName = Annotated[str, _file_name]
Written = Annotated[Mapping[str, Any], restored]
"""Any JSON object, in which floats were written as text."""


@dataclass(frozen=True)
class StoredFile:
    """One file of a stream."""

    sha256: Digest
    bytes: Count
    samples: Count


@dataclass(frozen=True)
class StoredStream:
    """A stream as it was written."""

    format: str
    parameters: Written
    writer: Count
    suffix: Annotated[str, _suffix]
    files: tuple[StoredFile, ...]

    @property
    def bytes(self) -> int:
        """The bytes of all its files."""
        return sum(file.bytes for file in self.files)

    @property
    def in_words(self) -> str:
        """Its type in a few words: `array |u1 28x28`, `image RGB 427x640`, `audio 8000 Hz`."""
        fields = self.parameters.get("fields")
        if fields:
            return f"table of {len(fields)} fields"
        dtype, shape = self.parameters.get("dtype", ""), self.parameters.get("shape") or []
        mode, rate = self.parameters.get("mode", ""), self.parameters.get("rate")
        words = [self.format, str(dtype), mode, "x".join(map(str, shape)), f"{rate} Hz" if rate else ""]
        return " ".join(filter(None, words))


@dataclass(frozen=True)
class UsedFile:
    """A file that a split was made from; if it is stored, `name` is its folder below the dataset's raw files."""

    argument: str
    name: FileName
    sha256: Digest
    bytes: Count
    url: str
    samples: Count = field(default=0, metadata={"omitted": True})
    """How many samples were made of it, in the order of the files, if the function was called with it alone."""


@dataclass(frozen=True)
class MadePart:
    """A part of a split: the recipe by which it is found again, and how many samples it has."""

    recipe: Digest
    samples: Count


@dataclass(frozen=True)
class Skipped:
    """A bad sample that was left out: its number among those that the function yielded, why, and what it is from."""

    sample: Count
    why: str
    source: str


@dataclass(frozen=True)
class Finding:
    """The result of a check; `severity` is empty in a split's index, because the version decides it."""

    check: str
    passed: bool
    message: str
    severity: str = ""


@dataclass(frozen=True)
class RowNumbers:
    """Which rows of another split of the dataset a split consists of; that split stores the values.

    The file holds their numbers in rising order, or a bit for each row of the other split if that takes fewer bytes.
    """

    split: SplitName
    index: Digest
    of: Count
    """How many samples the other split has."""
    file: StoredFile


@dataclass(frozen=True)
class SplitIndex:
    """The index of a split: its streams' files, and what they were made from.

    If it stores `rows`, the files are those of the other split, and each has more samples.
    """

    dataset: DatasetName
    split: SplitName
    version: str
    samples: Count
    streams: Mapping[StreamName, StoredStream]
    sources: tuple[UsedFile, ...]
    arguments: Written
    roles: Mapping[str, str]
    license: str | None
    findings: tuple[Finding, ...]
    recipe: str
    format: Count = FORMAT
    excluded: str = field(default="", metadata={"omitted": True})
    """The digest of the rules by which samples were left out on request."""
    skipped: Count = field(default=0, metadata={"omitted": True})
    """How many bad samples were left out."""
    bad: tuple[Skipped, ...] = field(default=(), metadata={"omitted": True})
    """The first of them."""
    rows: RowNumbers | None = field(default=None, metadata={"omitted": True})
    """The rows of another split that it consists of, if it stores no values."""
    parts: tuple[MadePart, ...] = field(default=(), metadata={"omitted": True})
    """The parts in which it was made."""
    placed: Placed | None = field(default=None, metadata={"omitted": True})
    """The objects that hold its values, or those of the other split; its streams have no files then."""

    @property
    def bytes(self) -> int:
        """The bytes of all its streams, or of its row numbers."""
        return self.rows.file.bytes if self.rows else sum(stream.bytes for stream in self.streams.values())

    @property
    def files(self) -> dict[str, tuple[str, StoredFile]]:
        """All files that are read for it, with their streams, by key."""
        found = {self.key_of(name, file): (name, file) for name, one in self.streams.items() for file in one.files}
        return found | ({self.rows_key: (ROWS[0], self.rows.file)} if self.rows else {})

    @property
    def named(self) -> tuple[tuple[str, str], ...]:
        """The splits whose indexes are kept with it, with their digests: the one that its row numbers are of."""
        return ((self.rows.split, self.rows.index),) if self.rows else ()

    @property
    def own_sources(self) -> tuple[UsedFile, ...]:
        """The dataset's own files that are arguments of the split; those of other datasets may have the same names."""
        # A link is one of the arguments too. `whole.images` is a file of another split, whose index names it.
        given = self.arguments
        return tuple(used for used in self.sources if "." not in used.argument and used.argument not in given)

    @property
    def linked(self) -> set[str]:
        """The names of the other datasets that arguments of the split are of."""
        given = [value.get("dataset") for value in self.arguments.values() if isinstance(value, Mapping)]
        return {name for name in given if isinstance(name, str)}

    def sources_of(self, row: int) -> tuple[UsedFile, ...]:
        """Return the files that a sample was made of: of those that were read one by one, only its own."""
        counted = [used for used in self.sources if used.samples]
        ends = [*accumulate(used.samples for used in counted)]
        if not ends or not 0 <= row < ends[-1]:
            return self.sources
        own, word = counted[bisect_right(ends, row)], counted[0].argument.rpartition("[")[0]
        return tuple(used for used in self.sources if used is own or used.argument.rpartition("[")[0] != word)

    def key_of(self, stream: str, file: StoredFile) -> str:
        """Return the key of a file of a stream."""
        split = self.rows.split if self.rows else self.split
        return stream_key(self.dataset, split, stream, file.sha256, self.streams[stream].suffix)

    @property
    def rows_key(self) -> str:
        """The key of its row numbers, which it must have."""
        assert self.rows is not None
        return stream_key(self.dataset, self.split, ROWS[0], self.rows.file.sha256, ROWS[1])


@dataclass(frozen=True)
class Version:
    """A dataset's version: the index of each split."""

    dataset: DatasetName
    splits: Mapping[SplitName, Digest]
    findings: tuple[Finding, ...] = ()
    recipe: str = ""
    format: Count = FORMAT
    axes: tuple[Axis, ...] = field(default=(), metadata={"omitted": True})
    """The axes of the family that the dataset is a member of."""
    excluded: str = field(default="", metadata={"omitted": True})
    """The digest of the rules by which samples were left out on request; the same as in its indexes."""

    @property
    def refused(self) -> bool:
        """Say whether a check failed at ERROR; then the version may not become current."""
        return any(not finding.passed and finding.severity == "error" for finding in self.findings)


def check_split(name: str, split: str, known: Mapping[str, object]) -> None:
    """Raise `UnknownSplit`, with the nearest name, if the dataset does not have the split."""
    if split not in known:
        # Of "val", the nearest is rather "validation"; and "all" has the samples of each.
        others = [one for one in known if one != "all"]
        begun = [one for one in others if one.startswith(str(split)) or str(split).startswith(one)]
        near = f" Did you mean {begun[0]!r}?" if split and begun else nearest(split, others, False)
        raise UnknownSplit(f"{name} has no split {split!r}.{near or nearest('', known)}")


def parse_pointer(data: bytes, key: str, dataset: str, url: str) -> str:
    """Return the digest of the version that a pointer names. Raises `DecodeError` and `NewerFormat`."""
    version = unsealed(data, key, dataset, url).get("version")
    try:
        return check_hex(version)
    except TypeError as error:
        raise DecodeError(f"{key} in {url} points nowhere: {data[:80]!r}. {how_to_repair(dataset, url)}") from error


def pointer_to(version: str) -> bytes:
    """Return the bytes of a pointer to a version."""
    return sealed({"version": version})


def sealed(document: Mapping[str, Any]) -> bytes:
    """Return a document that is not named by its digest, with its format and a digest of its content in it."""
    whole = {**document, "format": FORMAT}
    return canonical({**whole, "seal": digest_of(whole)})


def unsealed(data: bytes, key: str, dataset: str, url: str = "") -> dict[str, Any]:
    """Return the content of a sealed document. Raises `DecodeError` if it is damaged, `NewerFormat` if it is newer."""
    found = _object(data, key, dataset, url)
    # Before the format is read: a flipped bit must not look like a newer format.
    try:
        whole = found.pop("seal", None) == digest_of(found)
    except RecursionError:
        whole = False
    if not whole:
        raise _malformed(key, dataset, ValueError("its seal is broken"), url)
    del _checked_format(found, key, dataset, url, FORMAT)["format"]
    return found


def parse_index(data: bytes, key: str, dataset: str, split: str, digest: str, url: str = "") -> SplitIndex:
    """Return a split's index from its bytes. Raises `DecodeError` if it is damaged, or is of another split."""
    found: SplitIndex = _parsed(SplitIndex, data, key, dataset, url)
    if (plain_name(found.dataset), found.split) != (plain_name(dataset), split):
        raise DecodeError(f"The index {digest} is of {found.dataset}, split {found.split}, not of {dataset}, {split}.")
    expected = found.rows.of if found.rows else found.samples
    held = {name: sum(file.samples for file in stream.files) for name, stream in found.streams.items()}
    if found.placed:
        in_place = sum(part.samples for one in found.placed.objects for part in one.parts)
        held = {name: in_place if not found.streams[name].files else -1 for name in held}
    for name, samples in held.items():
        if samples != expected:
            wrong = Unfit(f"holds {samples} samples, not {expected}", f"stream {name}")
            raise _malformed(key, dataset, wrong, url)
    if found.rows and found.rows.file.samples != found.samples:
        wrong = Unfit(f"are those of {found.rows.file.samples} samples, not {found.samples}", "row numbers")
        raise _malformed(key, dataset, wrong, url)
    return found


def parse_version(data: bytes, key: str, dataset: str, digest: str, url: str = "") -> Version:
    """Return a version from its bytes. Raises `DecodeError` if it is damaged, or is of another dataset."""
    found: Version = _parsed(Version, data, key, dataset, url)
    if plain_name(found.dataset) != plain_name(dataset):
        raise DecodeError(f"The version {digest} is of {found.dataset}, not of {dataset}.")
    return found


# Checking every field takes longer than hashing the bytes, which name the content.
@lru_cache(maxsize=64)
def _parsed(kind: Any, data: bytes, key: str, dataset: str, url: str) -> Any:
    raw = _checked_format(_object(data, key, dataset, url), key, dataset, url, NEWEST)
    found = _read_as(kind, raw, key, dataset, url)
    if found.format != _format_of(found):
        raise _malformed(key, dataset, Unfit(f"has format {found.format}, which does not fit what it holds"), url)
    return found


def _read_as(kind: Any, raw: dict[str, Any], key: str, dataset: str, url: str) -> Any:
    try:
        return read_as(kind, raw)
    except ValueError as error:
        raise _malformed(key, dataset, error, url) from error


def bounded(file: BinaryIO) -> bytes:
    """Read a document; of one that is too long, only enough to refuse it."""
    data = file.read(SHORT)
    # `read` may allocate all that it is asked for.
    return data + file.read(MOST_BYTES + 1 - SHORT) if len(data) == SHORT else data


def _object(data: bytes, key: str, dataset: str, url: str) -> dict[str, Any]:
    try:
        found = parsed(data)
    except ValueError as error:
        raise _malformed(key, dataset, error, url) from error
    if not isinstance(found, dict):
        raise _malformed(key, dataset, TypeError("it is no object"), url)
    return found


def _format_of(found: "SplitIndex | Version") -> int:
    if isinstance(found, Version):
        return format_of(found.excluded)
    kinds = {"in_parts": bool(found.parts), "divided": bool(found.rows), "placed": bool(found.placed)}
    return format_of(found.excluded, found.skipped, **kinds)


def _checked_format(found: dict[str, Any], key: str, dataset: str, url: str, newest: int) -> dict[str, Any]:
    written = found.get("format")
    if type(written) is int and newest < written < 1 << 63:
        raise NewerFormat(f"{key} has format {written}; this release reads up to {newest}. Upgrade dataset_assets.")
    if type(written) is not int or not FORMAT <= written <= newest:
        raise _malformed(key, dataset, TypeError(f"its format is {written!r}"), url)
    return found


def check_hex(text: Any) -> str:
    """Return a sha256 in hex. Raises `TypeError` for anything else."""
    try:
        return digest(text) if isinstance(text, str) else digest("")
    except Unfit as error:
        raise TypeError(f"{text!r:.80} is not a sha256") from error


def _malformed(key: str, dataset: str, error: Exception, url: str) -> DecodeError:
    return DecodeError(f"{key} is damaged, or not what this release reads ({error}). {how_to_repair(dataset, url)}")


def how_to_repair(dataset: str, url: str = "") -> str:
    """Return the sentence that says how a damaged dataset is repaired."""
    return f"Repair it with: {command(f'prepare {dataset}', url)}"


def how_to_open_another(dataset: str, url: str = "") -> str:
    """Return the sentence that says what to do about a version that is not stored."""
    return (
        f"Make it again: prepare {dataset} as it was defined then, from the same raw files. Or see what is there with: "
        f"{command(f'versions {dataset}', url)}"
    )
