"""Parts are cut by the names of files, so that one file changes few of them."""

import pickle
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import Array, Dataset, DerivedFile, ForEach, RemoteFile, Split, SplitOf
from dataset_assets.definition import for_each
from dataset_assets.errors import DefinitionError

NAMES = st.lists(st.text("abc0123", min_size=1, max_size=6), min_size=1, max_size=60, unique=True)


def parts(names: Sequence[str], step: int | None = None) -> list[tuple[str, ...]]:
    each = ForEach([RemoteFile(f"file:///x/{name}") for name in names], files_per_part=step)
    return [tuple(names[k] for k in run) for run in each.runs(names)]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(for_each, "FILES_PER_PART", 4)


@settings(max_examples=40, deadline=None)
@given(NAMES, st.text("xyz", min_size=1, max_size=4), st.data())
def test_a_name_that_is_added_or_removed_changes_at_most_two_parts(
    names: list[str], name: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(names)))
    more = [*names[:at], name, *names[at:]]
    few, many = parts(names), parts(more)
    assert [one for part in many for one in part] == more and all(few) and all(many)
    assert len({*many} - {*few}) <= 2 and len({*few} - {*many}) <= 2


def test_the_average_part_has_as_many_files_as_it_should() -> None:
    names = [f"image_{k:06}.jpg" for k in range(4000)]
    assert 800 < len(parts(names)) < 1200


def test_a_given_number_of_files_or_samples_is_cut_by_position() -> None:
    assert parts("abcdefg", 3) == [("a", "b", "c"), ("d", "e", "f"), ("g",)]
    assert ForEach(SplitOf("all"), samples=4).runs(range(10)) == [range(0, 4), range(4, 8), range(8, 10)]
    assert ForEach(SplitOf("all"), samples=4).runs(range(0)) == []


def lines(table: object) -> list[object]:
    return []


def test_its_files_are_those_of_the_split_and_it_is_a_plain_value() -> None:
    files = [RemoteFile(f"file:///x/{name}.csv") for name in "ab"]
    split = Split(lines, table=ForEach(files))
    assert split.files == {"table[0]": files[0], "table[1]": files[1]} and [*split.remote_files] == ["a_csv", "b_csv"]
    assert pickle.loads(pickle.dumps(split)) == split and hash(split) == hash(Split(lines, table=ForEach(files)))
    assert split != Split(lines, table=ForEach(files, files_per_part=1))
    assert Split(lines, table=ForEach(SplitOf("all"), samples=1)).splits == {"table": SplitOf("all")}
    assert repr(ForEach(files, files_per_part=1)) == "ForEach([2 files], files_per_part=1)"


def test_what_it_is_not_for_is_refused() -> None:
    with pytest.raises(DefinitionError, match="has a ForEach as an argument"):
        DerivedFile("all.csv", lines, table=ForEach([RemoteFile("file:///x/a")]))
    streams = {"n": Array("int64")}
    with pytest.raises(DefinitionError, match="unknown split 'al'"):
        Dataset("org.example.x", "x.", streams, {"all": Split(lines, table=ForEach(SplitOf("al"), samples=1))})
