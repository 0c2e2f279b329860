"""Files of archives and files in parts, each as a derived file in one line of a definition."""

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import pytest

from dataset_assets import Dataset, RemoteFile, Split, Text, extracted_file, joined_file, prepare
from dataset_assets.decoding import archive_members
from dataset_assets.definition.archive_files import MOST_PARTS
from dataset_assets.errors import DecodeError, DefinitionError


def lines(file: BinaryIO) -> Iterator[dict[str, str]]:
    for line in file:
        yield {"text": line.decode().strip()}


def of_archive(archive: BinaryIO, below: str) -> Iterator[dict[str, str]]:
    for member in archive_members(archive, "*.txt", below=below, unwrap=True):
        yield from lines(member)


@pytest.fixture
def parts(home: Path, fast_path: Path) -> list[RemoteFile]:
    """A zip archive that was published in three parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("corpus-1.0/train/a.txt", "one\ntwo\n")
        made.writestr("corpus-1.0/test/b.txt", "three\n")
    data, third = out.getvalue(), len(out.getvalue()) // 3
    found = []
    for i, piece in enumerate((data[:third], data[third : 2 * third], data[2 * third :])):
        (fast_path / f"corpus.zip.00{i}").write_bytes(piece)
        found.append(RemoteFile((fast_path / f"corpus.zip.00{i}").as_uri()))
    return found


def test_an_archive_in_parts_is_read_as_one(parts: list[RemoteFile]):
    archive = joined_file("corpus.zip", *parts)
    train = extracted_file(archive, "train/a.txt", unwrap=True, keep=True)
    splits = {"train": Split(lines, file=train), "test": Split(of_archive, archive=archive, below="test")}
    found = prepare(Dataset("org.example.corpus", "Lines.", {"text": Text()}, splits))
    assert [sample["text"] for sample in found["train"]] == ["one", "two"]
    assert [sample["text"] for sample in found["test"]] == ["three"]
    assert (train.identifier, archive.identifier) == ("train_a_txt", "corpus_zip")


def test_another_order_of_the_parts_is_another_file(parts: list[RemoteFile]):
    archive = joined_file("corpus.zip", *reversed(parts))
    splits = {"test": Split(of_archive, archive=archive, below="test")}
    with pytest.raises(DecodeError):
        prepare(Dataset("org.example.corpus", "Lines.", {"text": Text()}, splits))


@pytest.mark.parametrize("given", [(), ("a.bin",), (RemoteFile("https://a.example/x"),) * (MOST_PARTS + 1)])
def test_parts_are_files(given: tuple):  # type: ignore[type-arg]
    with pytest.raises(DefinitionError, match="files as its parts"):
        joined_file("all.bin", *given)


@pytest.mark.parametrize("name", [None, "", 3, RemoteFile("https://a.example/x")])
def test_what_is_joined_has_a_name(name: Any):
    with pytest.raises(DefinitionError, match="is not the name of a file"):
        joined_file(name, RemoteFile("https://a.example/x"))


@pytest.mark.parametrize("path", [None, 3, "", ".", "/etc/passwd", "../x", "a/../../x", "C:/x"])
def test_the_path_of_one_file_is_inside_its_archive(path: Any):
    with pytest.raises(DefinitionError, match="is not the path of a file in an archive"):
        extracted_file(RemoteFile("https://a.example/x.zip"), path)
    usual = extracted_file(RemoteFile("https://a.example/x.zip"), "./a//b.txt")
    assert usual == extracted_file(RemoteFile("https://a.example/x.zip"), "a/b.txt")
