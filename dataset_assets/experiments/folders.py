"""Folders as values: all files below a folder, chosen by globs; listed without reading them, extracted safely."""

import os
import re
import stat
from fnmatch import translate
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping

from dataset_assets.core import files
from dataset_assets.errors import DecodeError, Refused, SchemaError, UsageError
from dataset_assets.experiments.encoded import FilePart


class Folder:
    """A folder to store as one value: the files below `path` that match an `include` glob and no `exclude` glob.

    A glob is compared with the path below the folder; `*` crosses folders. Links and special files are refused, unless
    a glob excludes them. Paths and contents are stored; empty folders, permissions and times are not. Read back, it is
    a `StoredFolder`.
    """

    def __init__(self, path: "str | Path", include: "str | Iterable[str]" = "*", exclude: "str | Iterable[str]" = ()):
        self.path = Path(path)
        self.include = (include,) if isinstance(include, str) else tuple(include)
        self.exclude = (exclude,) if isinstance(exclude, str) else tuple(exclude)
        if not self.path.is_dir():
            raise UsageError(f"{self.path} is not a folder. Give the path of one.")

    def __repr__(self) -> str:
        return f"Folder({str(self.path)!r})"


def parts_of(folder: "Folder | StoredFolder", path: str) -> dict[str, Any]:
    """Return the chosen files of a folder by their paths below it, sorted. Raises `SchemaError` for links."""
    if isinstance(folder, StoredFolder):
        return folder.parts
    included, excluded = _matcher(folder.include), _matcher(folder.exclude)
    found = {}
    for name, entry in sorted(_below(folder.path, "")):
        if not included(name) or excluded(name):
            continue
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise SchemaError(
                f"{path} holds {name!r:.200}, which is a link or no plain file. Leave it out with exclude=."
            )
        found[name] = FilePart(Path(entry.path), status.st_size)
    return found


def _matcher(globs: Iterable[str]) -> Any:
    rules = [re.compile(translate(glob)) for glob in globs]
    # `**/x` also is x itself, as everywhere.
    rules += [re.compile(translate(glob[3:])) for glob in globs if glob.startswith("**/")]
    return lambda name: any(rule.fullmatch(name) for rule in rules)


def _below(folder: Path, prefix: str) -> Iterator[tuple[str, Any]]:
    with files.reading(folder), os.scandir(folder) as entries:
        listed = [*entries]
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path), f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry


class StoredFolder:
    """A stored folder: the `names` of its files, `read` of one, and `extract` of all into a new folder."""

    def __init__(self, parts: Mapping[str, memoryview]) -> None:
        for name in parts:
            if not isinstance(name, str) or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
                raise DecodeError(f"A stored folder holds {name!r:.80}, which is not a path below it.")
        self.parts = dict(parts)

    @property
    def names(self) -> list[str]:
        """The paths of the files below the folder."""
        return list(self.parts)

    def size(self, name: str) -> int:
        """Return the size of a file in bytes."""
        return len(self._part(name))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return bytes(self._part(name))

    def extract(self, into: "str | Path") -> Path:
        """Write all files below a folder that is new or empty, and return it. Raises `Refused` for any other."""
        target = Path(into)
        if os.path.lexists(target) and (target.is_symlink() or not target.is_dir() or any(target.iterdir())):
            raise Refused(f"{target} is there already and is not an empty folder. Name a new one.")
        files.make_folder(target.absolute())
        for name, part in self.parts.items():
            path = target.absolute() / name
            files.make_folder(path.parent)
            with files.Written(path) as file:
                file.write(part)
        return target

    def _part(self, name: str) -> memoryview:
        if name not in self.parts:
            raise UsageError(f"The folder has no file {name!r:.80}. `names` lists its files.")
        return self.parts[name]

    def __repr__(self) -> str:
        return f"StoredFolder({len(self.parts)} files)"
