"""Run in a namespace of mounts of its own: what each verb does on real media that are read-only, full, or fold case.

Called as `mounts_child.py KIND FOLDER`; prints what it saw as JSON, or ends with 77 if there is no such medium here.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import tiny
from verbs import VERBS, Home

from dataset_assets import Array, Columns, Dataset, Split, load, prepare
from dataset_assets.errors import DatasetAssetsError
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.verify import verify
from dataset_assets.storage import LocalStorage, Storage, open_storage
from dataset_assets.testing import FaultyServer

NONE_HERE = 77


def tried(act: Callable[[], object]) -> Any:
    """Return "done", or what error it was: its type, errno, exit code and message."""
    try:
        act()
    except DatasetAssetsError as error:
        return type(error).__name__, getattr(error, "errno", None), error.exit_code, str(error)
    return "done"


def mount(*arguments: object) -> None:
    if subprocess.run(["mount", *map(str, arguments)], capture_output=True).returncode:
        sys.exit(NONE_HERE)


def read_only(home: Home) -> Any:
    """Each verb in a storage of two versions that may only be read."""
    home.prepare(home.old)
    (home.path / "version").write_text(home.prepare(home.new))
    home.prepare(home.old, home.second)
    mount("--bind", home.storage.root, home.storage.root)
    mount("-o", "remount,bind,ro", home.storage.root)
    before = home.seen(), home.keys()
    acts: dict[str, Callable[[], object]] = {
        verb: lambda verb=verb: VERBS[verb].act(home)
        for verb in ("load", "bundle", "pin", "rm", "rm of a version", "rm of a file")
    }
    acts["gc"] = lambda: collected(home)
    acts["prepare what is there"] = lambda: home.prepare(home.new)
    acts["prepare"] = lambda: home.prepare(home.old)
    acts["verify"] = lambda: verify(tiny.NAME, home.storage)
    acts["copy from it"] = lambda: copy(tiny.NAME, home.storage, LocalStorage(home.path / "third"), raw=True)
    acts["copy into it"] = lambda: copy(tiny.NAME, home.second, home.storage, make_current=True)
    found = {name: tried(act) for name, act in acts.items()}
    after = home.seen(), home.keys()
    return {"tried": found, "unchanged": before[1] == after[1] and before[0][:-1] == after[0][:-1]}


def collected(home: Home) -> None:
    """Collect; raise what kept it from that."""
    for done in collect(home.storage, keep_versions=1, grace_seconds=0):
        if done.problem:
            raise done.problem


def full(home: Home) -> Any:
    """Prepare on disks with less and less space left; then free some, and prepare again."""
    disk = home.path
    found = []
    for kind in ("local", "sqlite"):
        for free in range(0, 60_000, 4096):
            found.append([kind, free, *on_full_disk(home, disk, kind, free)])
    return found


def on_full_disk(home: Home, disk: Path, kind: str, free: int) -> tuple[Any, ...]:
    mount("-t", "tmpfs", "-o", "size=1m", "none", disk)
    try:
        storage: Storage = open_storage(disk / "storage" if kind == "local" else f"sqlite:///{disk}/storage.db")
        prepare(home.old, storage=storage)
        old = seen(storage)
        fill(disk, free)
        first = tried(lambda: prepare(home.new, storage=storage))
        meanwhile = seen(storage)
        (disk / "ballast").unlink()
        digest = str(prepare(home.new, storage=storage)["train"].version)
        return first, meanwhile == (seen(storage) if first == "done" else old), digest
    finally:
        storage = open_storage("memory:")
        subprocess.run(["umount", "-l", disk], check=True)


def seen(storage: Storage) -> Any:
    return tiny.plain(load(tiny.NAME, storage=storage, verify="all"))


def fill(disk: Path, free: int) -> None:
    """Fill a disk but for some bytes."""
    with (disk / "ballast").open("wb") as file:
        info = os.statvfs(disk)
        left = info.f_bavail * info.f_frsize - free
        file.write(b"x" * max(left, 0))


def folding(home: Home) -> Any:
    """Rename a split and a stream by the case of their letters only, on a disk that does not tell cases apart."""
    disk = home.path / "folding"
    disk.mkdir()
    if not folds(disk):
        mount("-t", "tmpfs", "-o", "casefold", "none", disk)
        disk = disk / "folder"
        disk.mkdir()
        if not shutil.which("chattr") or subprocess.run(["chattr", "+F", disk]).returncode or not folds(disk):
            sys.exit(NONE_HERE)
    found = []
    for name, numbers in (("Train", [1, 2]), ("train", [3, 4, 5]), ("TRAIN", [6])):
        splits = {name: Split(counted, numbers=numbers, stream=f"{name}_x")}
        dataset = Dataset("org.example.folded", "Numbers.", {f"{name}_x": Array("int64")}, splits)
        prepare(dataset, storage=disk)
        problems = [done.problem for done in collect(LocalStorage(disk), keep_versions=1, grace_seconds=0)]
        views = load("org.example.folded", storage=disk, verify="all")
        found.append([problems, {s: view.to_numpy()[f"{s}_x"].tolist() for s, view in views.items()}])
    return found


def folds(folder: Path) -> bool:
    (folder / "a").touch()
    return (folder / "A").exists()


def counted(numbers: list[int], stream: str) -> Iterator[Columns]:
    yield Columns(**{stream: np.array(numbers)})


if __name__ == "__main__":
    place = Path(sys.argv[2])
    os.environ["DATASET_ASSETS_HOME"] = str(place)
    with FaultyServer({"/old/numbers.csv": tiny.NUMBERS, "/new/numbers.csv": tiny.CHANGED}) as server:
        old, new = (tiny.small(f"{server.url}/{which}/numbers.csv") for which in ("old", "new"))
        act = {"read-only": read_only, "full": full, "folding": folding}[sys.argv[1]]
        print(json.dumps(act(Home(place, old, new))))
