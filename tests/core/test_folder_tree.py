"""What is in a folder, whatever else it holds."""

import os
from pathlib import Path

import pytest
from foldered import flower

from dataset_assets.core.folder_tree import entries, state_of
from dataset_assets.errors import NameNotAllowed, Refused, RetrievalError


def test_files_and_empty_folders_are_listed_sorted_with_what_makes_them_run(tmp_path: Path):
    found = entries(flower(tmp_path / "flower"))
    assert [entry.path for entry in found] == sorted(entry.path for entry in found)
    assert [entry.path for entry in found if entry.is_folder] == ["data/empty", "data/train/none"]
    assert [entry.path for entry in found if entry.executable] == ["data/2020/run.sh"]


def test_the_state_changes_with_every_write_also_of_equal_size_and_time(tmp_path: Path):
    root, path = flower(tmp_path / "flower"), tmp_path / "flower/data/train/rose/1.bin"
    before, info = state_of(entries(root)), path.stat()
    assert state_of(entries(root)) == before
    path.write_bytes(b"esor")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert state_of(entries(root)) != before


def test_links_pipes_and_names_that_cannot_be_shared_are_refused_by_their_path(tmp_path: Path):
    root = flower(tmp_path / "flower")
    for name, make, error in (
        ("link", lambda path: path.symlink_to(root / "README.md"), Refused),
        ("folder link", lambda path: path.symlink_to(root / "data"), Refused),
        ("pipe", os.mkfifo, Refused),
        ("a\\\\b", lambda path: path.touch(), NameNotAllowed),
        ("e\u0301", lambda path: (path.touch(), path.with_name("\u00e9").touch()), NameNotAllowed),
    ):
        path = root / "assets" / name
        make(path)
        with pytest.raises(error, match=r"assets"):
            entries(root)
        path.unlink()
        path.with_name("\u00e9").unlink(missing_ok=True)
    with open(os.fsencode(root) + b"/\xff", "wb"), pytest.raises(NameNotAllowed, match="xff"):
        entries(root)
    with pytest.raises(RetrievalError, match="none cannot be read"):
        entries(root / "none")


def test_links_are_followed_within_the_folder_and_to_the_blobs_of_its_cache(tmp_path: Path) -> None:
    cache, secret = tmp_path / "datasets--a--b", tmp_path / "secret"
    snapshot, blobs = cache / "snapshots" / "4f2c", cache / "blobs"
    for folder in (snapshot / "train", blobs):
        folder.mkdir(parents=True)
    for path in (blobs / "aa", secret):
        path.write_bytes(path.name.encode())
    (snapshot / "train" / "0.csv").symlink_to("../../../blobs/aa")
    (snapshot / "again.csv").symlink_to("train/0.csv")
    found = entries(snapshot, follow=True)
    assert [(one.path, one.size) for one in found] == [("again.csv", 2), ("train/0.csv", 2)]
    for target in (secret, blobs, "gone", snapshot / "train", "/etc/passwd"):
        link = snapshot / "link"
        link.symlink_to(target)
        with pytest.raises((Refused, RetrievalError), match="snapshots/4f2c/link"):
            entries(snapshot, follow=True)
        link.unlink()
    blobs.rename(tmp_path / "elsewhere")
    blobs.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="which is not in the folder"):
        entries(snapshot, follow=True)
