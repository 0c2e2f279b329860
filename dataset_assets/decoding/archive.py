"""Reads the members of an archive, zip or tar, by their paths below a folder of it; and joins a file from its parts."""

from glob import escape
from typing import BinaryIO, Iterator

from dataset_assets.core.files import CHUNK
from dataset_assets.decoding.members import Inside, Member, Patterns
from dataset_assets.decoding.streams import check_file, exactly, name_of
from dataset_assets.decoding.tar_file import tar_selected
from dataset_assets.decoding.zip_file import zip_selected


def archive_members(
    file: BinaryIO,
    pattern: Patterns = "*",
    *,
    below: str = "",
    unwrap: bool = False,
    most: int | None = None,
    encoding: str | None = None,
) -> Iterator[Member]:
    """Read the members of a zip archive, or of a tar archive, compressed or not, whose paths match a pattern.

    `below` is a folder of the archive: only its members are read, and their paths begin behind it. With `unwrap` all
    members of the archive must lie in one folder, whatever its name, which is left out of all paths. `pattern` may be a
    list: then each of its paths or patterns must match a member. All else is as with `zip_members` and `tar_members`.

    >>> archive = io.BytesIO()
    >>> with zipfile.ZipFile(archive, "w") as made:
    ...     made.writestr("words-1.0/train/a.txt", "one")
    >>> [member.name for member in archive_members(archive, "*.txt", below="train", unwrap=True)]
    ['a.txt']
    """
    check_file(file)
    wanted = Inside(name_of(file), pattern, most, below, unwrap)
    file.seek(0)
    is_zip = exactly(file, 2) == b"PK"
    file.seek(0)
    yield from zip_selected(file, wanted, encoding) if is_zip else tar_selected(file, wanted, encoding or "utf-8")


def extracted(archive: BinaryIO, path: str, unwrap: bool = False, encoding: str | None = None) -> Iterator[bytes]:
    """Yield the bytes of one file of an archive, for a `DerivedFile`. Its path is as `archive_members` has it."""
    for member in archive_members(archive, escape(path), unwrap=unwrap, encoding=encoding):
        while chunk := member.read(CHUNK):
            yield chunk


def concatenated(**parts: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of several files one after the other, in the order of the arguments' names."""
    for name in sorted(parts):
        while chunk := parts[name].read(CHUNK):
            yield chunk
