"""Streams of parts are joined with their values unchanged, or refused with the names of two parts."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import Table
from dataset_assets.errors import SchemaError
from dataset_assets.formats import format_named
from dataset_assets.making.merging import Merger
from dataset_assets.making.steps import stored_stream
from dataset_assets.storage.manifest import StoredStream

NUMBERS = st.integers(-9, 9)
VALUES = st.one_of(
    *(
        st.just(st.one_of(st.none(), some))
        for some in (
            NUMBERS,
            st.floats(-1, 1),
            st.text("ab", max_size=2),
            st.lists(st.one_of(st.none(), NUMBERS), max_size=2),
            st.lists(st.text("ab", max_size=2), max_size=2),
            st.fixed_dictionaries({"a": st.one_of(st.none(), NUMBERS), "b": st.lists(st.floats(-1, 1), max_size=1)}),
        )
    )
)
PARTS = st.lists(VALUES.flatmap(lambda values: st.lists(values, min_size=1, max_size=3)), min_size=1, max_size=4)


def joined(parts: Sequence[Sequence[Any]], folder: Path) -> tuple[dict[str, Any], list[Any]]:
    """The parameters and the rows of parts with these values, after they were written and joined."""
    kept: dict[str, Path] = {}

    def written(label: str, writer: Any, rows: list[Any]) -> StoredStream:
        writer.append(rows)
        files, parameters = writer.close()
        kept.update({file.sha256: file.path for file in files})
        return stored_stream(Table(), files, parameters)

    def opened(name: str, stream: StoredStream) -> list[Any]:
        return [kept[file.sha256].open("rb") for file in stream.files]

    def stored(name: str, stream: StoredStream, paths: Sequence[Path]) -> None:
        kept.update({file.sha256: path for file, path in zip(stream.files, paths)})

    made = [
        (f"p{k}", {"row": written(f"p{k}", Table().part_writer(folder / f"p{k}"), [{"value": v} for v in values])})
        for k, values in enumerate(parts)
    ]
    whole = Merger({"row": Table()}, folder, opened, stored).merged(made)["row"]
    column = format_named("table", whole.parameters).open(opened("row", whole))
    return dict(whole.parameters), [column[k]["value"] for k in range(len(column))]


@settings(max_examples=60, deadline=None)
@given(PARTS)
def test_parts_have_the_values_that_they_were_given_or_are_refused_by_name(parts: list[list[Any]]) -> None:
    with TemporaryDirectory() as folder:
        try:
            parameters, values = joined(parts, Path(folder) / "joined")
        except SchemaError as error:
            assert "only nulls" in str(error) or "p0" in str(error) and "p1" in str(error) or len(parts) > 2
            with pytest.raises(SchemaError):
                whole(parts, Path(folder) / "whole")
        else:
            assert values == [value for part in parts for value in part]
            assert parameters == whole(parts, Path(folder) / "whole")


def whole(parts: Sequence[Sequence[Any]], folder: Path) -> dict[str, Any]:
    """The parameters of a stream with all values, written at once."""
    writer = Table().writer(folder)
    writer.append([{"value": value} for part in parts for value in part])
    return writer.close()[1]


@pytest.mark.parametrize("nulls", [[None], [[None]], [[]], [{"a": None}]])
def test_what_has_only_nulls_in_a_part_takes_the_type_of_the_others(nulls: list[Any], tmp_path: Path) -> None:
    value = {"[None]": 1, "[[None]]": [1], "[[]]": [1], "[{'a': None}]": {"a": 1}}[str(nulls)]
    for k, parts in enumerate(([nulls, [value]], [[value], nulls], [nulls, nulls, [value], nulls])):
        _, values = joined(parts, tmp_path / str(k))
        assert values == [one for part in parts for one in part]


def test_equal_types_are_joined_whatever_their_keys_are(tmp_path: Path) -> None:
    parts = [[{"Size, mm": k, "a: b": "c"}] for k in range(2)]
    assert joined(parts, tmp_path)[1] == [one for part in parts for one in part]


def test_a_field_without_any_value_is_refused(tmp_path: Path) -> None:
    for k, parts in enumerate(([[None]], [[None], [None, None]])):
        with pytest.raises(SchemaError, match="stream row: sample 0: value has only nulls. Declare its type"):
            joined(parts, tmp_path / str(k))


def test_types_that_differ_inside_are_refused_by_the_names_of_two_parts(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="the part of p0 has a table of value: list<item: int64>, that of p1 has"):
        joined([[[1]], [["a"]]], tmp_path / "0")
    with pytest.raises(SchemaError, match="the part of p0 beside that of p1: sample 0"):
        joined([[2**53 + 1], [0.5]], tmp_path / "1")
