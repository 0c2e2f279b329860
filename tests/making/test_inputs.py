"""A split of thousands of files, on the descriptors of a few: source files, files of a stream, and streams."""

import os
import resource
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import numpy as np
import pytest

from dataset_assets import Array, Columns, Dataset, DerivedFile, RemoteFile, Split, Text, load, prepare

MANY = 90


@pytest.fixture(autouse=True)
def few_descriptors() -> Iterator[None]:
    """Allow 80 more than those that are open: tests before may have left some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = max(map(int, os.listdir("/dev/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 80, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def sources(folder: Path) -> dict[str, RemoteFile]:
    folder.mkdir()
    for k in range(MANY):
        (folder / f"part{k:03}.txt").write_text(f"{k} of many\n" * 2000)
    return {f"part{k:03}": RemoteFile((folder / f"part{k:03}.txt").as_uri()) for k in range(MANY)}


def in_turns(**files: BinaryIO) -> Iterator[Columns]:
    """Yield one line of each file, then the next line of each."""
    for _ in range(3):
        yield Columns(line=[files[name].readline().decode() for name in sorted(files)])


def joined(**files: BinaryIO) -> Iterator[bytes]:
    for name in sorted(files):
        yield files[name].readline()


def test_a_split_and_a_derived_file_are_made_of_many_files(home: Path, tmp_path: Path) -> None:
    files = sources(tmp_path / "sources")
    all_of_them = DerivedFile("all.txt", joined, **files)

    def lines(whole: BinaryIO) -> Iterator[Any]:
        yield Columns(line=[line.decode() for line in whole])

    splits = {"train": Split(in_turns, **files), "test": Split(lines, whole=all_of_them)}
    found = prepare(
        Dataset(name="org.example.many", summary="Lines.", streams={"line": Text()}, splits=splits,
                checks={"leakage": "off"})
    )  # fmt: skip
    expected = [f"{k} of many\n" for k in range(MANY)]
    assert [sample["line"] for sample in found["train"]] == 3 * expected
    assert [sample["line"] for sample in found["test"]] == expected


def test_a_stream_of_many_files_and_many_streams_are_made_and_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", "100")
    streams = {f"x{k}": Array() if k % 2 else Text() for k in range(MANY)}

    def wide() -> Iterator[Any]:
        yield {name: f"text {name}" if isinstance(kind, Text) else int(name[1:]) for name, kind in streams.items()}

    def deep(kind: str) -> Iterator[Any]:
        for k in range(MANY):
            yield Columns(x=np.arange(20) + k) if kind == "numbers" else Columns(x=[f"line {k}"])

    for name, kinds, split in (
        ("wide", streams, Split(wide)),
        ("numbers", {"x": Array()}, Split(deep, kind="numbers")),
        ("texts", {"x": Text()}, Split(deep, kind="texts")),
    ):
        prepare(Dataset(name=f"org.example.{name}", summary="Many.", streams=kinds, splits={"train": split}))
    assert load("org.example.wide", "train")[0] == {
        name: f"text {name}" if k % 2 == 0 else k for k, name in enumerate(streams)
    }
    assert [sample["x"] for sample in load("org.example.texts", "train")] == [f"line {k}" for k in range(MANY)]
    numbers = load("org.example.numbers", "train").to_numpy()["x"]
    assert numbers.tolist() == [k + i for k in range(MANY) for i in range(20)]
