"""Opens a version of a dataset as a folder of plain, read-only files in the cache, shared by all processes.

A folder is written beside its place, synced and renamed, so it is whole or absent, after a power failure too. While a
process that opened it lives, it is not removed to make room.
"""

import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Mapping

from dataset_assets.core import files, locks
from dataset_assets.core.commands import command
from dataset_assets.core.names import split_pin
from dataset_assets.core.settings import settings
from dataset_assets.definition.registry import is_defined
from dataset_assets.errors import NotPrepared
from dataset_assets.moving import share
from dataset_assets.moving.folder_files import FolderFiles, folder_files, write_folder
from dataset_assets.moving.metadata import parsed_meta
from dataset_assets.moving.shared_names import full_name
from dataset_assets.reading import cache_folder
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.aliases import named

_OPEN: dict[Path, BinaryIO] = {}
# How many files are synced at a time: 1,000 small ones on ext4 took 0.1 s with 16, and 2 s with 1.
_SYNCS = 16


class Folder(Mapping[str, Path]):
    """The partitions of a dataset by name, each a folder of plain files."""

    def __init__(self, name: str, version: str, root: Path) -> None:
        self.name, self.version, self.root = name, version, root

    @property
    def meta(self) -> dict[str, Any]:
        """What `meta.json` says; an empty mapping if there is none."""
        path = self.root / "meta.json"
        return parsed_meta(path.read_bytes(), path) if path.exists() else {}

    def file(self, *parts: str) -> Path:
        """Return the path of a file in the folder, such as `file("README.md")`."""
        return self.root.joinpath(*parts)

    def __getitem__(self, partition: str) -> Path:
        if partition not in [*self]:
            raise KeyError(f"{self.name} has no partition {partition!r}. There are: {', '.join(self)}.")
        return self.root / "data" / partition

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(entry.name for entry in os.scandir(self.root / "data")))

    def __len__(self) -> int:
        return len([*iter(self)])

    def __repr__(self) -> str:
        return f"Folder({self.name}@{self.version}, {str(self.root)!r})"


def checkout(
    name: str,
    *,
    pull: bool = False,
    auto_install: bool = False,
    storage: "str | Storage | None" = None,
    remote: "str | Storage | None" = None,
) -> Folder:
    """Open a dataset with streams of files as a folder of plain files; with `pull` from the remote if it is not here.

    `auto_install` is another word for `pull`. Raises `NotPrepared`, `Refused` for paths that lead out of the folder,
    `SchemaError` for two files of one path, `NoSpace`, and what `pull` raises.
    """
    full, store = full_name(name), open_storage(settings().storage if storage is None else storage)
    try:
        found = folder_files(full, store)
    except NotPrepared:
        if not (pull or auto_install):
            _see_defined(full, store)
            raise
        share.pull(full, remote, storage=store)
        found = folder_files(full, store)
    return Folder(found.name, found.version, _held(found))


def _see_defined(full: str, store: Storage) -> None:
    """Raise `NotPrepared` if a dataset is neither stored nor defined, so that it cannot be made here."""
    plain, _ = split_pin(full, store.url)
    if not is_defined(plain) and not named(store, plain).exists():
        raise NotPrepared(
            f"{full} is not in {store.url}, and nothing here defines it. Pull it from the remote with: "
            f"{command(f'checkout --pull {full}', store.url)} ; or register its folder with: "
            f"{command(f'register DIR {plain}', store.url)}"
        )


def _held(found: FolderFiles) -> Path:
    """Return the folder of a version, which is made if it is missing, and is kept while this process lives."""
    cache = settings().cache
    root = cache / "folders" / found.version
    if root in _OPEN and root.is_dir():
        return root
    if root in _OPEN:
        # Somebody removed the folder. Its lock would let this process wait for itself.
        _OPEN.pop(root).close()
    files.make_folder(cache)
    with files.reported(cache):
        cache_folder.claim(cache)
    files.make_folder(root.parent)
    while True:
        file = locks.opened(_lock_of(root))
        _lock(file, shared=True)
        if root.is_dir():
            cache_folder.touch(root)
            _OPEN[root] = file
            return root
        _lock(file, shared=False)
        with file:
            if not root.is_dir():
                _sweep(root)
                _make_room(root)
                _make(found, root)
            locks.release(file)


def _lock_of(root: Path) -> Path:
    return cache_folder.lock_of(root)


def _lock(file: BinaryIO, shared: bool) -> None:
    try:
        locks.take(file, shared)
    except OSError as error:
        if error.errno not in locks.NO_LOCKS:
            raise


def _make(found: FolderFiles, root: Path) -> None:
    part = root.with_name(f".{root.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        write_folder(found, part)
        for folder, _, _ in os.walk(part):
            os.chmod(folder, 0o555)
        _sync(part)
        files.move(part, root)
    finally:
        remove_folder(part)


def _sync(root: Path) -> None:
    """Sync a folder and all in it to disk, many at a time: a disk takes syncs that wait for it together."""
    paths = chain([root], root.rglob("*"))
    with ThreadPoolExecutor(_SYNCS) as pool:
        while some := [*islice(paths, _SYNCS * 64)]:
            for done in [pool.submit(files.sync, path) for path in some]:
                done.result()


def remove_folder(root: Path) -> None:
    """Remove a folder of read-only files, if it exists; no link is followed."""
    if not os.path.lexists(root):
        return
    for folder, _, _ in os.walk(root):
        with suppress(OSError):
            os.chmod(folder, stat.S_IRWXU)
    with files.reported(root):
        shutil.rmtree(root)


def _sweep(root: Path) -> None:
    """Remove what killed processes left: of this version, whose lock is held, and of versions that nobody holds."""
    for left in root.parent.glob(".*.part"):
        version = root.with_name(left.name[1:65])
        if version == root:
            remove_folder(left)
        elif cache_folder.NAME.fullmatch(version.name) and version not in _OPEN:
            with locks.opened(_lock_of(version)) as file:
                if locks.taken(file):
                    remove_folder(left)


def _make_room(root: Path) -> None:
    """Remove the folders that were opened longest ago, and that no process has open, until they fit in the cache."""
    others = [path for path in root.parent.iterdir() if cache_folder.NAME.fullmatch(path.name)]
    over = sum(map(_size, others)) - settings().cache_bytes
    for path in sorted(others, key=cache_folder.used):
        if over <= 0:
            return
        with locks.opened(_lock_of(path)) as file:
            if path not in _OPEN and locks.taken(file):
                over -= _size(path)
                away = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
                files.move(path, away)
                remove_folder(away)


def _size(root: Path) -> int:
    return sum(path.lstat().st_size for path in root.rglob("*"))
