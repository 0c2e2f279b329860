"""Reads and writes the archives of the package etcetera: `NAME.tgz` in the remote, with `data`, `meta.json` and so on.

Archives come from others: the jail of `tar_members` reads them, and no symbolic link, device or path that leads out is
unpacked.
"""

import gzip
import os
import shutil
import tarfile
from pathlib import Path
from typing import BinaryIO, cast

from dataset_assets.core import files
from dataset_assets.core.folder_tree import entries
from dataset_assets.core.limits import limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.members import TAR, damaged, normalised
from dataset_assets.decoding.streams import name_of
from dataset_assets.decoding.tar_file import tar_members
from dataset_assets.errors import DatasetAssetsError, DecodeError, Refused
from dataset_assets.moving.folder_files import checked_path
from dataset_assets.retrieval.folder import write_tree

# One level, so that equal folders give equal bytes. Another build of zlib may give different ones.
_LEVEL = 6
_ENTRY_BYTES = 100
_DAMAGE = (tarfile.TarError, EOFError, ValueError, OSError)


def pack(root: Path, path: Path) -> None:
    """Write a folder as an archive. Raises `Refused` for a link.

    Equal folders give equal bytes on machines with the same build of zlib; the files in the archive are equal anywhere.
    """
    # GzipFile only writes to this file, so it needs no other method of one.
    with files.Written(path) as out, gzip.GzipFile("", "wb", _LEVEL, cast(BinaryIO, out), mtime=0) as packed:
        write_tree(root, entries(root), _Counting(packed))


class _Counting:
    """What `write_tree` needs of a file."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self.file, self.bytes = file, 0

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        return self.file.write(data)


def unpack(file: BinaryIO, folder: Path) -> None:
    """Unpack an archive into a new folder. Raises `DecodeError` for a damaged one, `Refused` for a hostile one.

    A hard link to an earlier file of the archive becomes a copy of it.
    """
    links: dict[str, str] = {}
    has_files, executable, folders = _headers(file)
    for name in folders:
        _make(folder / name)
    for member in tar_members(file, links=links) if has_files else ():
        path = folder / checked_path(member.name, name_of(file))
        _make(path.parent)
        with files.Written(path) as out:
            for chunk in files.chunks_of(member):
                out.write(chunk)
        if member.name in executable:
            os.chmod(path, 0o755)
    _copy(links, folder, name_of(file))


def _copy(links: dict[str, str], folder: Path, shown: str) -> None:
    """Copy the files that hard links lead to, in place of the links."""
    left = limits().max_decoded_bytes
    for name, target in links.items():
        path = folder / checked_path(name, shown)
        left -= (folder / target).stat().st_size
        if left < 0:
            raise Refused(f"The hard links in {shown} stand for too many bytes. {remedy('max_decoded_bytes')}")
        _make(path.parent)
        files.copy(folder / target, path)
        shutil.copymode(folder / target, path)


def _make(path: Path) -> None:
    with files.reported(path):
        path.mkdir(parents=True, exist_ok=True)


def _headers(file: BinaryIO) -> tuple[bool, set[str], set[str]]:
    """Return whether an archive has a file, which files are executable, and its folders."""
    found: tuple[set[str], set[str], set[str]] = set(), set(), set()
    held, shown = 0, name_of(file)
    file.seek(0)
    try:
        with tarfile.open(fileobj=decompressed(file), mode="r|") as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # else it keeps all members in memory
                kind = 0 if info.isdir() else 1 if info.mode & 0o100 else 2
                name = normalised(info.name)
                if name and kind < 2:
                    found[kind].add(checked_path(name, shown))
                    held += len(name) + _ENTRY_BYTES
                elif kind == 2 and not found[2]:
                    found[2].add(name)
                if held > limits().max_value_bytes:
                    raise DecodeError(f"The names in {shown} take too much memory. {remedy('max_value_bytes')}")
    except DatasetAssetsError:
        raise
    except _DAMAGE as error:
        if getattr(error, "errno", None) is not None:
            raise
        raise damaged(file, TAR, error) from error
    folders, executable, plain = found
    if not any(found):
        raise DecodeError(f"{shown} is an empty archive. Push the dataset again.")
    return bool(executable or plain), executable, folders
