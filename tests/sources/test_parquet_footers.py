"""What the footers of Parquet files say gives the streams that their rows give."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from dataset_assets import dataset_from, prepare
from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.sources import several
from dataset_assets.sources.kinds import Reader
from dataset_assets.sources.parquet_footers import known_columns

DAY = datetime.date(2020, 1, 5)
COLUMNS: dict[str, Any] = {
    "whole": pyarrow.array([1, 2, 3]),
    "half": pyarrow.array([1.5, 2, 3]),
    "lacking": pyarrow.array([1, None, 3]),
    "large": pyarrow.array([1, None, 2**60]),
    "word": pyarrow.array(["a", "b", "a"]),
    "odd.name": pyarrow.array(["a", None, "a"]),
    "day": pyarrow.array([DAY, DAY, DAY]),
    "no_day": pyarrow.array([DAY, None, DAY]),
    "kind": pyarrow.array(["a", "b", "a"]).dictionary_encode(),
    "list": pyarrow.array([[1], [], [2, 3]]),
    "nested": pyarrow.array([{"a": 1, "b": {"c": [1]}}] * 3),
    "pairs": pyarrow.array([[("a", 1)]] * 3, pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    "bytes": pyarrow.array([b"1", b"2", b"3"]),
    "empty": pyarrow.nulls(3),
    "yes": pyarrow.array([True, False, True]),
}


def streams(path: Any, **more: Any) -> Any:
    found = dataset_from(path, name="me.x", **more)
    return [(name, str(kind)) for name, kind in found.streams.items()], dict(found.splits["all"].arguments["streams"])


@pytest.mark.parametrize(
    "options", [{}, {"write_statistics": False}, {"row_group_size": 1}, {"version": "1.0"}], ids=str
)
@pytest.mark.parametrize("target", [None, "word", "yes", "kind"])
def test_streams_are_those_of_all_rows(
    options: dict[str, Any], target: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyarrow.parquet.write_table(pyarrow.table(COLUMNS), path := tmp_path / "a.parquet", **options)
    said = streams(path, target=target)
    monkeypatch.setattr(several, "known_columns", lambda *_: {})
    assert streams(path, target=target) == said


def test_only_columns_that_may_lack_a_value_are_read(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table(COLUMNS), path := tmp_path / "a.parquet", row_group_size=2)
    known = known_columns(Reader("parquet", {}), [path, path], "half")
    assert [*known] == [*COLUMNS]
    assert {name for name, seen in known.items() if seen.kind is not None} == {"whole", "word", "day", "yes"}
    assert known["whole"].rows == 6


def test_files_of_different_columns_are_read(tmp_path: Path) -> None:
    one, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), one)
    pyarrow.parquet.write_table(pyarrow.table({"b": [1]}), other)
    assert not known_columns(Reader("parquet", {}), [one, other], None)
    pyarrow.parquet.write_table(pyarrow.table({"a": [1.5]}), other)
    assert known_columns(Reader("parquet", {}), [one, other], None)["a"].kind is None
    assert dict(streams([one, other])[0]) == {"a": "Array(dtype='<f8', shape=None, classes=None)"}
    other.write_bytes(b"PAR1")
    assert not known_columns(Reader("parquet", {}), [one, other], None)


@pytest.mark.parametrize("copy", [True, False])
def test_files_without_rows_are_said_and_passed_over_beside_others(copy: bool, tmp_path: Path, home: Path) -> None:
    whole = pyarrow.table({"yes": [True, False], "list": [[1], [2, 3]], "word": ["a", "b"]})
    pyarrow.parquet.write_table(whole.slice(0, 0), tmp_path / "1.parquet")
    with pytest.raises(UsageError, match="has no rows, so nothing can be inferred"):
        dataset_from(tmp_path / "1.parquet", copy=copy)
    for name in ("0", "2"):
        pyarrow.parquet.write_table(whole, tmp_path / f"{name}.parquet")
    view = prepare(dataset_from(tmp_path / "*.parquet", name="me.x", copy=copy))["all"]
    assert [(one["yes"], one["list"].tolist(), one["word"]) for one in view] == [
        (True, [1], "a"),
        (False, [2, 3], "b"),
    ] * 2


def test_a_text_that_is_not_utf_8_is_refused_before_it_is_stored(tmp_path: Path, home: Path) -> None:
    bad = pyarrow.array([b"ok", b"\xff"], pyarrow.binary()).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"a": bad}), tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match="a text is not UTF-8 .* Store the column as bytes"):
        prepare(dataset_from(tmp_path / "a.parquet", name="me.x"))


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").symlink_to(tmp_path / "c.parquet")
    with pytest.raises(UsageError, match="b.parquet is a link that leads nowhere"):
        dataset_from(tmp_path / "*.parquet", name="me.x")
    (tmp_path / "c.parquet").symlink_to(tmp_path / "b.parquet")
    with pytest.raises(UsageError, match="b.parquet is a link that leads nowhere"):
        dataset_from(tmp_path / "*.parquet", name="me.x", copy=False)
