"""Leaves out bad samples of a split: those that do not fit its streams, and those that its function could not make.

Each block is first written to probes, writers whose files are thrown away: a writer that refuses a value in the middle
of a block would leave the streams with different numbers of samples. Of a block that does not fit, halves are tried.
"""

import inspect
import re
import shutil
from bisect import insort
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import numpy as np

from dataset_assets.core.bad_sample import BadSample
from dataset_assets.errors import DatasetAssetsError, DecodeError, SchemaError
from dataset_assets.formats import Format, Member, Writer
from dataset_assets.formats.columns import Columns
from dataset_assets.making.excluding import picked
from dataset_assets.storage.manifest import Skipped

Parameters = dict[str, dict[str, Any] | None]
LISTED = 1000
PROBED = 1024
"""How many samples of a block are probed together."""
LONGEST = 300
MOST_IN_A_ROW = 1000
"""A source that fails so often without a sample between is broken."""
_NUMBERED = re.compile(r"\bsample \d+(?: or one soon after)?: ")


@dataclass
class Skipper:
    """Counts the bad samples of a split, and lists the first of them."""

    streams: Mapping[str, Format]
    folder: Path
    source: str = ""
    path_of: Callable[[int], str] = lambda sample: ""
    """Returns the path of the file that a sample is made of, if it is known."""
    skipped: int = 0
    bad: list[Skipped] = field(default_factory=list)
    _shown: list[Columns] = field(default_factory=list)
    """Good samples from which the streams take what they do not declare."""
    _parameters: Parameters | None = None
    """The parameters that these samples show."""
    _probes: Iterator[int] = field(default_factory=count)

    def skip(self, sample: int, why: object, source: str = "") -> None:
        """Count a bad sample."""
        self.skipped += 1
        if len(self.bad) < LISTED or sample < self.bad[-1].sample:
            text = " ".join(str(why).split()) or type(why).__name__
            one = Skipped(sample, text[:LONGEST], (source or self.path_of(sample) or self.source)[:LONGEST])
            # What does not fit is found with its block, after what could not be made.
            insort(self.bad, one, key=lambda bad: bad.sample)
            del self.bad[LISTED:]

    def good(self, block: Columns, numbers: list[int]) -> Columns | None:
        """Return a block without its bad samples, whose numbers are these; None if all are bad."""
        parts = (range(lo, min(lo + PROBED, block.samples)) for lo in range(0, block.samples, PROBED))
        rows = [row for part in parts for row in self._good_rows(block, part, numbers)]
        if not rows:
            return None
        return block if len(rows) == block.samples else _rows(block, rows)

    def _good_rows(self, block: Columns, rows: range, numbers: list[int]) -> Iterator[int]:
        part = block if len(rows) == block.samples else _rows(block, [*rows])
        found = self._probe([*self._shown, part])
        if not isinstance(found, SchemaError):
            self._learn(part, found)
            yield from rows
            return
        if len(rows) == 1:
            self.skip(numbers[rows[0]], found, _source_of(part))
            return
        middle = len(rows) // 2
        for half in (rows[:middle], rows[middle:]):
            yield from self._good_rows(block, half, numbers)

    def _learn(self, block: Columns, shows: Parameters) -> None:
        """Keep the samples of a good block that show more of the streams than those before: not an empty list."""
        while shows != self._parameters:
            fits, more = 0, block.samples
            while more - fits > 1:
                middle = (fits + more) // 2
                same = self._probe([*self._shown, _rows(block, [*range(middle)])]) == self._parameters
                fits, more = (middle, more) if same else (fits, middle)
            row = _rows(block, [more - 1])
            found = self._probe([*self._shown, row])
            if isinstance(found, SchemaError) or found == self._parameters:
                return  # only several of them together show it
            self._shown.append(row)
            self._parameters = found

    def _probe(self, blocks: list[Columns]) -> "Parameters | SchemaError":
        """Write blocks; return the parameters of the streams then, or why they cannot be written."""
        folder = self.folder / f"probe-{next(self._probes)}"
        writers = {name: kind.writer(folder / name) for name, kind in self.streams.items()}
        try:
            for part in blocks:
                for name, writer in writers.items():
                    try:
                        writer.append(part[name])
                    except (SchemaError, DecodeError) as error:
                        # Its number is that in the probe.
                        text = _NUMBERED.sub("", str(error.args[0] if error.args else error))
                        return SchemaError(f"stream {name}: {text}")
            # Of pictures and sounds each value shows all; closing would repeat their warnings.
            return {name: _closed(writers[name]) for name, kind in self.streams.items() if not hasattr(kind, "check")}
        finally:
            for writer in writers.values():
                writer.discard()
            shutil.rmtree(folder, ignore_errors=True)


def _closed(writer: Writer) -> dict[str, Any] | None:
    """Return the parameters of a stream; None if its values show no type yet."""
    try:
        return writer.close()[1]
    except SchemaError:
        return None


def skippable(result: Any, skips: bool) -> Iterator[Any]:
    """Yield what a split's function returned; what an iterator that can go on could not make, as a `BadSample`.

    A generator ends with its error, which is raised.
    """
    if not skips:
        yield from result
        return
    failed, items = 0, iter(result)
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except (OSError, MemoryError):
            raise
        except Exception as error:
            ours = isinstance(error, DatasetAssetsError) and not isinstance(error, (DecodeError, SchemaError))
            failed += 1
            if ours or inspect.isgenerator(items) or failed > MOST_IN_A_ROW:
                raise
            item = BadSample(f"{type(error).__name__}: {error}")
        else:
            failed = 0
        yield item


def _rows(block: Columns, rows: list[int]) -> Columns:
    return Columns({name: picked(block[name], np.array(rows, np.intp)) for name in block})


def _source_of(block: Columns) -> str:
    """Return the name of the file of an archive that a sample is from, if it holds one."""
    names = [values[0].name for values in block.values() if isinstance(values, list) and isinstance(values[0], Member)]
    return names[0] if names else ""
