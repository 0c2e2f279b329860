"""Checkouts: folders of plain files in the cache, whole or absent, shared and kept while they are open."""

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from children import ended, in_child
from foldered import flower, held
from power import Journal

from dataset_assets import Array, Dataset, Files, Split, checkout, prepare
from dataset_assets.core import files
from dataset_assets.errors import NotPrepared, SchemaError, UsageError
from dataset_assets.moving import checkout as checkouts
from dataset_assets.moving.export import export
from dataset_assets.moving.folder_files import changed_file, folder_files
from dataset_assets.moving.metadata import parsed_meta
from dataset_assets.moving.register import register
from dataset_assets.storage import open_storage


@pytest.fixture
def source(home: Path, fast_path: Path) -> Path:
    return flower(fast_path / "flower")


def dataset(name: str, names: list[str], *streams: str) -> Dataset:
    formats = {stream: Array() if stream == "number" else Files() for stream in streams}
    split = Split(named, names=names, streams=list(streams))
    return Dataset(f"org.example.{name}", "Files.", formats, {"all": split})


def named(names: list[str], streams: list[str]) -> Any:
    for name in names:
        sample = {"file": (name, name.encode()), "other": (name, b"other"), "number": 1}
        yield {stream: sample[stream] for stream in streams}


def test_any_dataset_with_streams_of_files_is_checked_out(home: Path):
    prepare(dataset("one", ["a", "b/c"], "file", "number"))
    found = checkout("org.example.one")
    assert (found["all"] / "b/c").read_bytes() == b"b/c" and found.meta == {}
    prepare(dataset("two", ["a"], "file", "other", "number"))
    assert (checkout("org.example.two")["all"] / "other/a").read_bytes() == b"other"
    prepare(dataset("none", ["a"], "number"))
    with pytest.raises(UsageError, match=r"has no stream of files, but number \(array\)"):
        checkout("org.example.none")


@pytest.mark.parametrize("names", [["a", "a"], ["a", "a/b"], ["a/b", "a"]])
def test_two_files_of_one_path_are_refused(home: Path, names: list[str]):
    prepare(dataset("twice", names, "file"))
    with pytest.raises(SchemaError, match="has two files at the path"):
        checkout("org.example.twice")
    assert [path.name for path in (home / "cache/folders").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("flower", "dataset-assets checkout --pull shared.flower"),
        ("flower", "dataset-assets register DIR shared.flower$"),
        ("org.example.tree", "nothing here defines it.* dataset-assets checkout --pull org.example.tree"),
        ("com.lecun.mnist", "Make it with: dataset-assets prepare com.lecun.mnist$"),
        (f"com.lecun.mnist@{'0' * 64}", "There is no version"),
    ],
)
def test_what_is_not_here_comes_with_a_command_that_can_bring_it(home: Path, name: str, words: str):
    with pytest.raises(NotPrepared, match=words):
        checkout(name)
    if name == "flower":
        with pytest.raises(NotPrepared, match="Pull it with: dataset-assets pull shared.flower$"):
            export(name, home / "out", "files")


def test_a_checkout_is_read_only_and_no_link_into_the_storage(source: Path):
    register(source)
    root = checkout("flower").root
    for path in root.rglob("*"):
        info = path.lstat()
        assert not info.st_mode & 0o222 and not path.is_symlink() and (path.is_dir() or info.st_nlink == 1)


def test_a_checkout_that_is_there_after_a_power_failure_is_whole(
    source: Path, home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
):
    register(source)
    journal = Journal(home / "cache/folders", fast_path / "kept")
    monkeypatch.setattr(files, "hook", lambda operation, path, size: journal.note(operation, path))
    # A journal knows one change at a time.
    monkeypatch.setattr(checkouts, "_SYNCS", 1)
    root = checkout("flower").root
    journal.lose(names=False)
    assert held(root) == held(source)


def test_what_killed_processes_left_is_removed_by_the_next_checkout_of_any_version(source: Path, home: Path):
    register(source)
    left = home / "cache/folders" / f".{'a' * 64}.77-abc.part"
    checkout("flower")
    (left / "data").mkdir(parents=True)
    (left / "data").chmod(0o555)
    (source / "README.md").write_bytes(b"new")
    register(source, force=True)
    checkout("flower")
    assert not left.exists()


def test_processes_share_one_checkout(source: Path):
    register(source)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        roots = {root for root, inode in pool.map(opened, range(8))}
        inodes = {inode for root, inode in pool.map(opened, range(8))}
    assert len(roots) == len(inodes) == 1


def opened(_: int) -> tuple[str, int]:
    root = checkout("flower").root
    return str(root), (root / "README.md").stat().st_ino


def test_what_a_living_process_opened_is_not_evicted(source: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATASET_ASSETS_CACHE_BYTES", "1")
    first = register(source)
    reading, writing = os.pipe()
    ready, told = os.pipe()

    def holder() -> None:
        checkout("flower")
        os.write(told, b"1")
        os.read(reading, 1)

    process = in_child(holder, wait=False)
    os.read(ready, 1)
    held_before = held(home / "cache/folders" / first.partition("@")[2])
    (source / "README.md").write_bytes(b"second")
    second = register(source, force=True)
    assert in_child(lambda: checkout("flower")) == 0
    folders = home / "cache/folders"
    assert held(folders / first.partition("@")[2]) == held_before
    os.write(writing, b"1")
    assert ended(process) == 0
    (source / "README.md").write_bytes(b"third")
    third = register(source, force=True)
    assert in_child(lambda: checkout("flower")) == 0
    left = {path.name for path in folders.iterdir() if path.is_dir()}
    assert left == {third.partition("@")[2]} and second.partition("@")[2] not in left


def test_the_first_changed_file_is_named(source: Path, home: Path):
    from dataset_assets.core.folder_tree import entries

    register(source)
    stored = folder_files("shared.flower", open_storage(home / "storage"))
    assert changed_file(source, entries(source), stored) is None
    os.chmod(source / "README.md", 0o755)
    assert changed_file(source, entries(source), stored) == f"{source}/README.md changed"
    os.chmod(source / "README.md", 0o644)
    (source / "data/train/rose/1.bin").unlink()
    assert changed_file(source, entries(source), stored) == f"{source}/data/train/rose/1.bin was removed"
    assert parsed_meta(b"{}", "meta.json") == {} and checkouts.Folder("a", "b", source).file("x") == source / "x"
