"""The definitions keep the contract of every dataset, and name what is wrong with a file."""

import io
from importlib.resources import files

import pytest
from bookworm import fables
from bookworm.readers import judgements, queries

from dataset_assets import prepare, view_of
from dataset_assets.errors import DecodeError
from dataset_assets.testing import DatasetTests


def held(name: str) -> bytes:
    return (files("bookworm") / "data" / name).read_bytes()


class TestFables(DatasetTests):
    @pytest.fixture
    def dataset(self):
        return fables.fables

    @pytest.fixture
    def raw_files(self):
        return {"fables_zip": held("fables.zip")}


class TestQueries(DatasetTests):
    ends_are_seen = False  # a file looks whole wherever a line ends

    @pytest.fixture(params=["en", "de"])
    def dataset(self, request: pytest.FixtureRequest):
        return fables.query_family(lang=request.param)

    @pytest.fixture
    def raw_files(self, dataset):
        [file] = dataset.remote_files.values()
        return {file.identifier: held(file.name.rpartition("/")[2])}


def test_each_judgement_is_of_a_query_and_a_document():
    found = prepare(fables.judged)
    known = {sample["id"] for sample in prepare(fables.query_family(lang="de"))["all"]}
    assert {sample["query"] for split in found.values() for sample in split} == known
    assert {split: len(view) for split, view in found.items()} == {"test": 2, "train": 7}
    best = [sample["document"] for sample in found["train"] if sample["grade"] == fables.GRADES.index("fully")]
    assert best == ["f2", "f5", "f4"]


@pytest.mark.parametrize("line", [b"q1\n", b"q1\ttext", b"\ttext\n", b"q1\t\n"])
def test_a_line_that_is_no_query_is_named(line):
    with pytest.raises(DecodeError, match="Line 2"):
        list(queries(io.BytesIO(b"q1\ttext\n" + line)))


@pytest.mark.parametrize("line", [b"q1 0 f1\n", b"q1 0 f1 x\n", b"q1 0 nil 1\n", b"q1 0 f1 1"])
def test_a_line_that_is_no_judgement_is_named(line):
    with pytest.raises(DecodeError, match="Line 1"):
        list(judgements(io.BytesIO(line), view_of([{"id": "f1"}]), ["q1"]))
