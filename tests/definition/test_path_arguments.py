"""Paths as arguments: what a function reads by its path is not watched, and that is said where it is defined."""

import warnings
from pathlib import Path
from typing import Any, Iterator

import pytest

from dataset_assets import DerivedFile, RemoteFile, Split
from dataset_assets.definition.path_arguments import check_paths
from dataset_assets.errors import DefinitionError


def read(where: Any, archive: Any = None) -> Iterator[Any]:
    yield {}


def warned(where: Any, **more: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Split(read, where=where, **more)
    assert all(found.filename == __file__ for found in caught)
    return [str(found.message) for found in caught]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "images" / "train").mkdir(parents=True)
    (tmp_path / "images" / "a.csv").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_path_of_a_file_is_named_with_what_to_pass(folder: Path) -> None:
    path = folder / "images" / "a.csv"
    [said] = warned(str(path))
    assert said == (
        f"Argument 'where' of read is the path '{path}'. A change of what is there is not noticed, so nothing is made "
        f"again. Pass RemoteFile('{path.as_uri()}')."
    )
    [said] = warned(str(path.parent))
    assert f"Pass each of its files: RemoteFile('{path.parent.as_uri()}/NAME'), or one archive of them." in said
    for where in ([str(path)], {"a": {"b": [str(path)]}}, "./images/a.csv", "images/a.csv", path.as_uri(), "images/"):
        assert len(warned(where)) == (where != "images/"), where


def test_a_function_is_warned_of_once(folder: Path) -> None:
    with pytest.warns(UserWarning) as caught:
        check_paths("read", {"a": str(folder), "b": [str(folder)] * 3}, has_files=False)
    assert len(caught) == 1


ORDINARY = [
    "train",
    "images",
    "/",
    ".",
    "..",
    "//",
    "~",
    "",
    "a/b",
    "text/plain",
    "/a/b",
    "https://a/b",
    "a\0/b",
    "x" * 9999,
]


@pytest.mark.parametrize("where", [*ORDINARY, 7, None, ["images"], {"images/train": 1}])
def test_an_ordinary_value_is_no_path(where: Any) -> None:
    assert warned(where) == []


def test_beside_a_file_a_text_may_be_the_name_of_a_member(folder: Path) -> None:
    archive = RemoteFile("https://example.org/a.zip")
    assert warned("images/train", archive=archive) == warned("/usr", archive=archive) == []
    assert len(warned(str(folder / "images"), archive=archive)) == 1
    assert len(warned("images/train")) == 1


@pytest.mark.parametrize("make", [Split, lambda *given, **named: DerivedFile("a", *given, **named)])
def test_a_path_object_is_refused(make: Any, folder: Path) -> None:
    path = folder / "images" / "a.csv"
    for where in (path, [path]):
        with pytest.raises(DefinitionError) as caught:
            make(read, where=where)
        assert str(caught.value) == f"Argument 'where' of read is {path!r}. Pass RemoteFile('{path.as_uri()}')."
