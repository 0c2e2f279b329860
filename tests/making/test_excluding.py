"""What was taken out is left out, however a split yields it, and the rest is as if it had never been there."""

from typing import Any, Callable, Iterator

import numpy as np
import pandas
import pyarrow
import pytest

from dataset_assets import Array, Columns, Dataset, Split, Text, prepare
from dataset_assets.errors import Refused
from dataset_assets.making.excluding import LEAVES_OUT_NOTHING, Excluder
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage import MemoryStorage
from dataset_assets.storage.exclusions import add, exclusions, rules_for
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.people"
PEOPLE = [f"person {k % 7}" for k in range(50)]
GONE = {"person": ["person 3"], "id": ["10", "11", "999"]}
LEFT = [k for k in range(50) if k % 7 != 3 and k not in (10, 11)]


def values(rows: list[int]) -> dict[str, list[Any]]:
    return {"id": rows, "person": [PEOPLE[k] for k in rows], "x": [k / 2 for k in rows]}


def samples(rows: list[int]) -> Iterator[Any]:
    held = values(rows)
    yield from ({name: held[name][k] for name in held} for k in range(len(rows)))


def blocks_of_arrays(rows: list[int]) -> Iterator[Any]:
    for some in (rows[:20], rows[20:]):
        held = values(some)
        yield Columns(id=np.array(held["id"], np.int64), person=held["person"], x=np.array(held["x"]))


def blocks_of_anything(rows: list[int]) -> Iterator[Any]:
    held = values(rows)
    yield Columns(id=tuple(held["id"]), person=np.array(held["person"], object), x=pandas.Series(held["x"]))


def tables(rows: list[int]) -> Iterator[Any]:
    yield pyarrow.table(values(rows))


def frames(rows: list[int]) -> Iterator[Any]:
    yield pandas.DataFrame(values(rows), index=rows[::-1])


def both(rows: list[int]) -> Iterator[Any]:
    yield from samples(rows[:13])
    if rows[13:]:
        yield from tables(rows[13:])


def dataset(function: Callable[..., Any], rows: list[int], **more: Any) -> Dataset:
    streams = {"id": Array("int64"), "person": Text(), "x": Array("float64"), **more}
    return Dataset(name=NAME, summary="People.", streams=streams, splits={"train": Split(function, rows=rows)})


def files(function: Callable[..., Any], rows: list[int], gone: dict[str, list[str]]) -> tuple[int, Any]:
    storage = MemoryStorage()
    stored = StoredDataset(storage, NAME)
    add(stored, rules_for(stored, gone)) if gone else None
    view = prepare(dataset(function, rows), storage=storage)["train"]
    index = index_of(view)  # type: ignore[arg-type]
    assert index.excluded == exclusions(stored).digest and index.format == 1 + bool(gone)
    return len(view), index.streams


@pytest.mark.parametrize("function", [samples, blocks_of_arrays, blocks_of_anything, tables, frames, both])
def test_what_is_left_has_the_bytes_of_a_source_without_it(function: Callable[..., Any]) -> None:
    assert files(function, [*range(50)], GONE) == files(samples, LEFT, {})
    assert files(function, [9, 10, 11], GONE) == files(samples, [9], {})


def test_nothing_is_looked_at_where_nothing_was_taken_out() -> None:
    block = Columns(id=[1, 2])
    assert LEAVES_OUT_NOTHING.rows_left(block) is None and not LEAVES_OUT_NOTHING.leaves_out({})


def test_a_stream_by_which_samples_were_found_must_stay() -> None:
    stored = StoredDataset(MemoryStorage(), NAME)
    add(stored, rules_for(stored, {"person": ["person 3"], "mail": ["x"]}))
    with pytest.raises(Refused, match="by their stream mail, which its definition does not have. They would come back"):
        prepare(dataset(samples, [1]), storage=stored.storage)
    assert not stored.versions()
    Excluder.of(dataset(samples, [1], mail=Text()), stored, exclusions(stored))
