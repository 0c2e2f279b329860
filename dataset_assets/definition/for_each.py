"""Many files as one argument of a split, in parts that are made apart."""

import os
from copy import copy
from hashlib import sha256
from pathlib import Path
from typing import Any, Iterable, Sequence

from dataset_assets.definition.remote_file import RemoteFile, is_partitioned
from dataset_assets.errors import DefinitionError

FILES_PER_PART = 64
"""How many files a part has on average, if the definition does not say it."""


class ForEach:
    """Many files, or a split in runs of samples, as an argument: the function is called with one of them at a time.

    `Split(lines, table=ForEach([RemoteFile(...), RemoteFile(...), ...]))` calls `lines(table=...)` with one open file
    after another, in their order. `ForEach("s3://bucket/folder/*.tar")`, or a folder that ends in "/", are the files
    that the source lists when the dataset is prepared, sorted by path. `ForEach(RemoteFile("s3://...", keep=False))`
    keeps none of them. `ForEach(SplitOf("all"), samples=10_000)` gives views of so many samples.

    Its files are made in parts, in several processes, and a part is stored when it is done: a run that was killed goes
    on with the others, and a file that changed makes its own part again. A part is a run of files that follow each
    other: `files_per_part` of them, or by default about 64. Then a part begins with each file whose name has a certain
    digest, so a file that is added or removed changes at most two parts. For large files, use `files_per_part=1`.

    >>> ForEach(SplitOf("all"), samples=100)
    ForEach(SplitOf(split='all', dataset=None), samples=100)
    """

    files: tuple[Any, ...]
    """The files; none for a pattern that is not listed yet."""
    pattern: RemoteFile | None
    """The pattern or folder whose files these are."""
    split: Any
    step: int
    """How many files or samples a part has; 0: as the names of the files say."""

    def __init__(
        self, each: "Iterable[Any] | Any", *, files_per_part: int | None = None, samples: int | None = None
    ) -> None:
        self.split = each if hasattr(each, "split") and hasattr(each, "dataset") else None
        self.pattern = _pattern_of(each)
        self.files = () if self.split is not None or self.pattern is not None else _checked_files(each)
        given, other = (samples, files_per_part) if self.split is not None else (files_per_part, samples)
        wrong = given is not None and (type(given) is not int or given < 1)
        if wrong or other is not None or self.split is not None and given is None:
            raise DefinitionError(
                f"ForEach(..., files_per_part={files_per_part!r}, samples={samples!r}): write files_per_part=1 or more "
                "for files, or leave it out; and samples=10_000 or another number for a split."
            )
        self.step = given or 0

    def runs(self, names: Sequence[Any]) -> list[range]:
        """Return the parts of files with these names, or of so many samples, as positions."""
        starts = range(0, len(names), self.step) if self.step else _starts(names)
        return [range(lo, hi) for lo, hi in zip(starts, [*starts[1:], len(names)])]

    def listed(self, files: Iterable[RemoteFile]) -> "ForEach":
        """Return the same with the files that its pattern stands for."""
        found = copy(self)
        found.files = _checked_files(files)
        return found

    def document(self) -> dict[str, int]:
        """Return as JSON how its parts are cut, for a recipe."""
        return {"samples" if self.split is not None else "files": self.step}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ForEach) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((self.files, self.pattern, self.split, self.step))

    def __repr__(self) -> str:
        each = f"[{len(self.files)} files]" if self.split is None else repr(self.split)
        each = repr(self.pattern) if self.pattern is not None else each
        word = "files_per_part" if self.split is None else "samples"
        return f"ForEach({each}{f', {word}={self.step}' if self.step else ''})"


def _starts(names: Sequence[str]) -> list[int]:
    """Return the positions at which parts begin: whether one does so depends on the name at it alone."""
    found = [k for k, name in enumerate(names) if int(sha256(name.encode()).hexdigest(), 16) % FILES_PER_PART == 0]
    return found if not names or found[:1] == [0] else [0, *found]


def _pattern_of(each: Any) -> RemoteFile | None:
    """Return a pattern or folder as a file; None for anything else. Raises `DefinitionError` for a single file."""
    if not isinstance(each, (str, os.PathLike, RemoteFile)) or is_partitioned(each):
        return None
    if isinstance(each, os.PathLike):
        path = Path(os.fspath(each))
        url = path.as_uri() if path.is_absolute() else str(path)
        each = url.replace("%2A", "*") if "%2A" in url else f"{url}/"
    given = each if isinstance(each, RemoteFile) else None
    place = str(given.name if given else each).partition("?")[0]
    more = given and (given.mirrors or given.digest is not None or given.size is not None or given.after)
    if more or "*" not in place and not place.endswith("/"):
        raise DefinitionError(
            f"ForEach({each!r:.200}) is no pattern of files, nor a folder that ends in '/'. Write "
            "ForEach('s3://bucket/*.tar'), or give a list of files: ForEach([RemoteFile(...), ...])."
        )
    return given or RemoteFile(each, identifier="pattern")


def _checked_files(each: Any) -> tuple[Any, ...]:
    """Return files as a tuple. Raises `DefinitionError` for anything else, for none, and for one twice."""
    if is_partitioned(each):
        return (each,)
    files = tuple(each) if isinstance(each, Iterable) and not isinstance(each, (str, bytes)) else ()
    if not files or not all(hasattr(file, "identifier") for file in files):
        wrong = next((file for file in files if not hasattr(file, "identifier")), each)
        raise DefinitionError(
            f"ForEach was given {wrong!r:.200}. Give a list of files, ForEach([RemoteFile(...), ...]), a pattern such "
            "as ForEach('s3://bucket/*.tar'), or a split: ForEach(SplitOf('all'), samples=10_000)."
        )
    names = [file.identifier.lower() for file in files]
    if len({*names}) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise DefinitionError(
            f"ForEach has two files with the identifier {twice!r}. Leave one out, or name it: "
            "RemoteFile(..., identifier=...)."
        )
    return files
