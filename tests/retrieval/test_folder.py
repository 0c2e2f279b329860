"""Folders as sources: one reproducible tar."""

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from foldered import flower, held

from dataset_assets import Dataset, Files, RemoteFile, Split, prepare
from dataset_assets.core import registered
from dataset_assets.core.files import Written
from dataset_assets.core.folder_tree import entries
from dataset_assets.core.registered import Registered
from dataset_assets.decoding import tar_members
from dataset_assets.errors import NotFound, RetrievalError
from dataset_assets.retrieval.folder import FolderRetriever, write_tree
from dataset_assets.retrieval.retriever import retriever_for


def tar_of(url: str, path: Path) -> bytes:
    with Written(path) as into:
        assert retriever_for(url).retrieve(url, into)
    data = path.read_bytes()
    path.unlink()
    return data


def test_equal_folders_are_equal_bytes_and_unpack_to_the_same(home: Path, fast_path: Path):
    root = flower(fast_path / "flower")
    registered.write("shared.flower", Registered(str(root), ("train",)))
    data = tar_of("folder:shared.flower", fast_path / "tar")
    shutil.copytree(root, fast_path / "copy")
    os.utime(fast_path / "copy/README.md", (0, 0))
    assert tar_of((fast_path / "copy").as_uri(), fast_path / "tar") == data
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(fast_path / "out", filter="data")
    assert held(fast_path / "out") == held(root)


def test_a_folder_that_did_not_change_is_not_read_again(home: Path, fast_path: Path):
    root = flower(fast_path / "flower")
    registered.write("shared.flower", Registered(str(root), ("train",)))
    source = FolderRetriever().retrieve("folder:shared.flower", Written(fast_path / "tar"))
    assert FolderRetriever().retrieve("folder:shared.flower", Written(fast_path / "again"), source) is None
    (root / "README.md").write_bytes(b"new")
    assert FolderRetriever().retrieve("folder:shared.flower", Written(fast_path / "third"), source)
    with pytest.raises(NotFound, match="dataset-assets register DIR shared.tree"):
        FolderRetriever().retrieve("folder:shared.tree", Written(fast_path / "fourth"))


def test_a_file_that_changes_while_it_is_read_is_named(home: Path, fast_path: Path):
    root = flower(fast_path / "flower")
    before = entries(root)
    for change in (b"longer than it was", b"x"):
        (root / "README.md").write_bytes(change)
        with pytest.raises(RetrievalError, match="README.md changed while"):
            write_tree(root, before, Written(fast_path / f"tar{len(change)}"))


def members(tree: io.BytesIO) -> object:
    for member in tar_members(tree, "data/train/*"):
        yield {"file": (member.name, member.read())}


def test_any_definition_may_have_a_folder_as_its_source_and_sees_changes_in_a_refresh(home: Path, fast_path: Path):
    root = flower(fast_path / "flower")
    splits = {"train": Split(members, tree=RemoteFile(root, identifier="tree"))}
    dataset = Dataset("org.example.tree", "A tree.", {"file": Files()}, splits)
    assert len(prepare(dataset)["train"]) == 2
    (root / "data/train/third").write_bytes(b"3")
    assert len(prepare(dataset, refresh=True)["train"]) == 3
