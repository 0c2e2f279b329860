"""Joins the streams of parts: their parameters must be equal, or of types that hold the values of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset_assets.errors import SchemaError, at
from dataset_assets.formats import FILE_BYTES, Format, Misfit, format_named
from dataset_assets.formats import Part as WrittenFile
from dataset_assets.making.steps import stored_stream
from dataset_assets.storage.manifest import StoredStream

STEP_BYTES = 4 << 20

Opened = Callable[[str, StoredStream], Sequence[Any]]
Stored = Callable[[str, StoredStream, Sequence[Path]], None]


class Merger:
    """Joins the streams of parts with these labels.

    `opened` opens the files of a stream; `stored` stores those that were written again, in `folder`.
    """

    def __init__(
        self, streams: Mapping[str, Format], folder: Path, opened: Opened, stored: Stored, file_bytes: int = FILE_BYTES
    ) -> None:
        self.streams, self.folder, self.opened, self.stored = streams, folder, opened, stored
        self.file_bytes = file_bytes

    def merged(self, parts: Sequence[tuple[str, Mapping[str, StoredStream]]]) -> dict[str, StoredStream]:
        """Return the streams of all parts that have samples, in order. Raises `SchemaError`, which names two parts."""
        found = {}
        for name, kind in self.streams.items():
            own = [(label, streams[name]) for label, streams in parts]
            parameters = _common(name, kind, own)
            every = []
            for k, (label, stream) in enumerate(own):
                others = (f" beside that of {one}" for one, other in own if other.parameters != stream.parameters)
                with at(f"stream {name}: the part of {label}{next(others, '')}"):
                    every.append(self._widened(name, kind, stream, parameters, k))
            found[name] = replace(every[0], files=tuple(file for stream in every for file in stream.files))
        return found

    def _widened(
        self, name: str, kind: Format, stream: StoredStream, parameters: Mapping[str, Any], k: int
    ) -> StoredStream:
        """Return a stream with these parameters; its files are written again if their type is another one."""
        if stream.parameters == parameters:
            return stream
        if kind.reads_each:
            return replace(stream, parameters=parameters)
        before, after = format_named(kind.name, stream.parameters), format_named(kind.name, parameters)
        column = before.open(self.opened(name, stream))
        writer = after.writer(self.folder / f"widened-{name}-{k}", self.file_bytes)
        try:
            step = max(1, STEP_BYTES * len(column) // max(stream.bytes, 1))
            for lo in range(0, len(column), step):
                writer.append(column.slice(lo, min(lo + step, len(column))))
            files, made = writer.close()
        finally:
            writer.discard()
        return self._kept(name, kind, files, made)

    def _kept(self, name: str, kind: Format, files: Sequence[WrittenFile], made: Mapping[str, Any]) -> StoredStream:
        stream = stored_stream(kind, files, made)
        self.stored(name, stream, [file.path for file in files])
        return stream


def _common(name: str, kind: Format, parts: Sequence[tuple[str, StoredStream]]) -> Mapping[str, Any]:
    """Return the parameters that hold the values of all parts."""
    found = parts[0][1].parameters
    for k, (_, other) in enumerate(parts):
        if other.parameters != found:
            try:
                found = kind.merge(found, other.parameters)
            except Misfit as misfit:
                raise _refused(name, kind, parts[:k], parts[k], misfit) from misfit
    with at(f"stream {name}"):
        kind.see_complete(found)
    return found


def _refused(
    name: str,
    kind: Format,
    before: Sequence[tuple[str, StoredStream]],
    part: tuple[str, StoredStream],
    misfit: Misfit,
) -> SchemaError:
    """Return the error for a part that does not fit those before it, with the first one that it differs from."""
    label, stream = part
    pairs = ((other, _misfit(kind, other[1].parameters, stream.parameters)) for other in before)
    (first, own), why = next(((other, why) for other, why in pairs if why is not None), (before[0], misfit))
    return SchemaError(
        f"stream {name}: the part of {first} has {_shown(own)}, that of {label} has {_shown(stream)}. {why.why} "
        "Declare it in the definition, or convert the values in the split function."
    )


def _misfit(kind: Format, first: Mapping[str, Any], second: Mapping[str, Any]) -> Misfit | None:
    try:
        if first != second:
            kind.merge(first, second)
    except Misfit as misfit:
        return misfit
    return None


def _shown(stream: StoredStream) -> str:
    if fields := stream.parameters.get("fields"):
        return f"a table of {', '.join(f'{name}: {kind}' for name, kind in fields)}"[:300]
    return stream.in_words
