"""What a mapped stream's batch is does not change with its content: the first samples decide, or `map(streams=...)`."""

import time
from collections import OrderedDict
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dataset_assets import View, view_of
from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.loader import Loader, padded
from dataset_assets.reading.views.forms import FIRST


def mapped(values: list[Any], **more: Any) -> View:
    return view_of(n=np.arange(len(values))).map(Value(values), **more)


class Value:
    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __call__(self, sample: Any) -> Any:
        return {"x": self.values[sample["n"]]}


def kinds(batches: Any) -> set[str]:
    found = [batch["x"] for batch in batches]
    return {f"{type(x).__name__} {getattr(x, 'dtype', '')} {getattr(x, 'shape', ' ')[1:]}" for x in found}


@pytest.mark.parametrize(
    "values",
    [
        [0, 0, 1, 0.5, 2],
        [1, 1, None, 1, 1],
        [True, False, True, True, 2],
        [np.float32(1), np.float32(2), 3, 4, 0.5],
        [np.zeros(2), np.ones(2), np.zeros(3), np.zeros(2), np.zeros(2)],
        [torch.ones(3, 2) * k for k in range(5)],
        [torch.ones(k) for k in (1, 1, 2, 2, 1)],
        ["a", "b", "c", "d", "e"],
    ],
    ids=lambda values: str(values[2])[:12],
)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_all_batches_are_of_one_kind_whatever_their_size(values: list[Any], size: int) -> None:
    view = mapped(values)
    for batches in (Loader(view, size), Loader(view, size, shuffle=True), view.batch(size), Loader(view[::-1], size)):
        assert len(kinds(batches)) == 1
    assert kinds(Loader(view, size)) == kinds(Loader(view, 5)) == kinds(view.batch(size))


def test_tensors_that_a_function_returns_are_stacked_also_in_tuples() -> None:
    view = mapped([torch.full((3, 2), float(k)) for k in range(5)])
    batch = next(iter(Loader(view, 4, output="torch")))["x"]
    assert batch.shape == (4, 3, 2) and batch[3].unique().tolist() == [3]
    (x,) = next(iter(Loader(view.tuples("x"), 5, output="torch")))
    assert x.shape == (5, 3, 2)


@pytest.mark.parametrize(
    ("late", "found"),
    [
        (0.5, r"0.5 \(float\)"),
        (None, r"None \(NoneType\)"),
        (True, r"True \(bool\)"),
        (np.zeros(2), "float64 of shape"),
    ],
)
def test_a_sample_that_does_not_fit_later_is_named(late: Any, found: str) -> None:
    view = mapped([*range(FIRST), 7, late])
    batches = iter(Loader(view, FIRST + 1, threads=0))
    assert next(batches)["x"].dtype == np.int64
    with pytest.raises(SchemaError, match=rf"x in sample {FIRST + 1} of memory all is {found}.*it is int64.*streams="):
        next(batches)
    with pytest.raises(SchemaError, match=f"sample {FIRST + 1}"):
        list(view.batch(4))


def test_streams_say_what_the_first_samples_do_not() -> None:
    values = [*range(FIRST), 0.5]
    for view in (mapped(values, streams={"x": "float32"}), mapped(values, streams={"x": "float32"})[::2].only("x")):
        assert kinds(Loader(view, 2)) == {"ndarray float32 ()"}
    assert kinds(Loader(mapped(values, streams={"x": list}), 2)) == {"list  "}
    ragged = [*[np.zeros(2)] * FIRST, np.zeros(3)]
    assert kinds(Loader(mapped(ragged, streams={"x": list}), 2)) == {"list  "}
    assert len(list(Loader(mapped(ragged), 2, collate=padded("x")))) == 17
    shaped = mapped([np.zeros(2, "f8")], streams={"x": ("float32", (2,))})
    assert kinds(Loader(shaped, 2)) == {"ndarray float32 (2,)"}


def counted(values: list[Any], calls: list[int], **more: Any) -> View:
    def value(sample: Any) -> Any:
        calls.append(int(sample["n"]))
        return {"x": values[sample["n"]]}

    return view_of(n=np.arange(len(values))).map(value, **more)


READ: dict[str, Callable[[View], Any]] = {
    "loader": lambda view: next(iter(Loader(view, 2, threads=0))),
    "arrow": lambda view: next(iter(Loader(view, 2, threads=0, output="arrow"))),
    "torch": lambda view: view.to_torch()[0],
    "iterable": lambda view: next(iter(view[:2].to_torch(iterable=True))),
    "batch": lambda view: view.batch(2)[0],
}


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize(("declared", "extra"), [({"x": "float32"}, 0), (None, FIRST)])
def test_the_first_samples_are_made_once_and_only_to_find_what_is_not_declared(
    read: str, declared: Any, extra: int
) -> None:
    calls: list[int] = []
    READ[read](counted([*range(5000)], calls, streams=declared))
    # A table has the types of the first values, which declared dtypes do not tell of lists.
    assert len(calls) <= extra + 2 + (FIRST if read == "arrow" and declared else 0)


def test_the_first_samples_are_made_once_for_a_view_in_all_epochs_and_processes() -> None:
    calls: list[int] = []
    view = counted([*range(64)], calls)
    for _ in range(3):
        list(Loader(view, 4))
        list(view.batch(4))
    assert len(calls) == 6 * 64 + FIRST
    calls.clear()
    shuffled = view_of(n=np.arange(64)).shuffle(1).map(lambda sample: calls.append(1) or sample).batch(4)
    for epoch in range(3):
        list(shuffled.at_epoch(epoch))
    assert len(calls) == 3 * 64 + FIRST


def test_batches_of_all_epochs_are_of_one_kind() -> None:
    half = int(view_of(n=np.arange(100)).shuffle(3, epoch=1)[3]["n"])
    view = view_of(n=np.arange(100)).shuffle(3).map(Value([0.5 if n == half else n for n in range(100)])).batch(10)
    later = view.at_epoch(1)
    with pytest.raises(SchemaError, match="is 0.5"):
        kinds(later)
    assert kinds(view.at_epoch(1)[2:]) == kinds(later[1:]) == {"ndarray int64 ()"}


def test_a_sample_that_raises_decides_nothing_and_raises_in_its_turn() -> None:
    def value(sample: Any) -> Any:
        if sample["n"] == 3:
            raise OSError("no luck")
        return {"x": 0.5 if sample["n"] == 9 else 1}

    batches = iter(Loader(view_of(n=np.arange(12)).map(value), 2, threads=0))
    assert next(batches)["x"].dtype == float
    with pytest.raises(OSError, match="no luck"):
        next(batches)
    with pytest.raises(OSError, match="no luck"):
        next(iter(Loader(view_of(n=[3]).map(value), 1)))


def test_the_time_for_the_first_samples_is_not_that_of_a_batch() -> None:
    def slow(sample: Any) -> Any:
        time.sleep(0.02)
        return sample

    view = view_of(x=np.arange(FIRST)).map(slow)
    assert next(iter(Loader(view, 1, timeout=0.2)))["x"].tolist() == [0]


@pytest.mark.parametrize(
    ("declared", "value", "dtype"),
    [
        ("float32", 1.5, "float32"),
        ("float32", torch.tensor(1.5, dtype=torch.float64), "float32"),
        ("int16", 3, "int16"),
        (torch.float32, 1.5, "float32"),
        (torch.bfloat16, torch.tensor(1.5), "bfloat16"),
        ((torch.float16, (2,)), torch.ones(2), "float16"),
        (("float32", (2,)), torch.ones(2, dtype=torch.float64, requires_grad=True), "float32"),
        ("torch.int32", np.int64(7), "int32"),
        ("uint64", 2**63, "uint64"),
    ],
)
def test_what_is_declared_is_so_in_every_batch_of_torch(declared: Any, value: Any, dtype: str) -> None:
    view = mapped([value, value, value], streams={"x": declared})
    for stack in (view, view.rename(x="x"), view.concat(view), view.cache(), view.shuffle(1), view.only("x")):
        for data in (stack.to_torch(), stack.to_torch(iterable=True)):
            assert next(iter(DataLoader(data, 2)))["x"].dtype == getattr(torch, dtype)
        assert next(iter(Loader(stack, 2, output="torch")))["x"].dtype == getattr(torch, dtype)
    assert view.build(view.arguments(), view.parents).declared == view.declared


def test_torch_gets_one_dtype_of_numbers_that_a_function_makes() -> None:
    view = mapped([0, 1, 2, 3, 0.5, 4])
    for data in (view.to_torch(), view.to_torch(iterable=True)):
        assert {batch["x"].dtype for batch in DataLoader(data, 2)} == {torch.float64}
    assert view.tuples("x").to_torch()[0][0].dtype == torch.float64
    late = mapped([*range(FIRST), "text"]).to_torch()
    assert late[FIRST] == {"x": "text"} and late[0]["x"].dtype == torch.int64
    with pytest.raises(SchemaError, match=rf"x in sample {FIRST} of memory all is 0.5"):
        mapped([*range(FIRST), 0.5]).to_torch()[FIRST]
    large = mapped([2**63, 2**63 + 1])
    assert next(iter(Loader(large, 2, output="torch")))["x"].tolist() == [2**63, 2**63 + 1]
    assert next(iter(DataLoader(large.to_torch(), 2)))["x"].tolist() == [2**63, 2**63 + 1]


@pytest.mark.parametrize(
    "above",
    [
        lambda view: view.rename(y="x"),
        lambda view: view.tuples("x"),
        lambda view: view.concat(view),
        lambda view: view.interleave(view),
        lambda view: view.zip(view_of(k=np.arange(len(view)))),
        lambda view: view.cache(),
        lambda view: view[1:].shuffle(1),
        lambda view: view.rename(y="x").only("y").concat(view.rename(y="x")).tuples("y"),
    ],
)
def test_what_is_declared_stays_so_above(above: Any) -> None:
    view = above(mapped([*range(FIRST + 1), "text"], streams={"x": list}))
    for batch in Loader(view, 3):
        (values, *_) = batch if isinstance(batch, tuple) else batch.values()
        assert isinstance(values, list)


def test_tables_and_arrays_have_what_is_declared() -> None:
    view = mapped([1.5, 2.5], streams={"x": "float32"})
    assert view.to_numpy()["x"].dtype == view.cache().to_numpy()["x"].dtype == np.float32
    assert {
        str(table.schema.field("x").type) for table in (view.to_arrow(), next(iter(Loader(view, 2, output="arrow"))))
    } == {"float"}


def test_arrow_takes_the_type_of_a_stream_from_the_first_value_that_there_is() -> None:
    tables = list(Loader(mapped([None] * (FIRST + 2) + ["a"]), FIRST + 2, output="arrow"))
    assert [str(table.schema.field("x").type) for table in tables] == ["null", "large_string"]


class Pair(NamedTuple):
    x: Any
    y: Any


class Bunch(dict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        return self[name]


@pytest.mark.parametrize("kind", [dict, Bunch, OrderedDict, lambda **values: Pair(**values)])
def test_a_sample_of_its_own_is_of_the_type_that_the_function_returned(kind: Any) -> None:
    view = view_of(x=np.arange(4).reshape(2, 2))
    sample = view.map(lambda sample: kind(x=next(iter(view))["x"], y=1))[0]
    assert type(sample) is type(kind(x=0, y=1))
    (sample[0] if isinstance(sample, tuple) else sample["x"])[:] = 9


def test_what_does_not_fit_its_declaration_says_what_to_declare() -> None:
    view = mapped([np.zeros((2, 3), "f4")], streams={"x": "float32"})
    words = r"float32, which is one number for each sample.*streams=\{'x': \('float32', \(2, 3\)\)\}"
    with pytest.raises(SchemaError, match=words):
        next(iter(Loader(view, 1)))
    assert next(iter(Loader(mapped([np.zeros((2, 3))], streams={"x": ("float32", (2, 3))}), 1)))["x"].shape == (1, 2, 3)
    with pytest.raises(
        SchemaError, match=r"'text' \(str\); map\(streams=...\) declares float32.*streams=\{'x': list\}"
    ):
        next(iter(Loader(mapped(["text"], streams={"x": "float32"}), 1)))


def test_streams_are_part_of_the_stack() -> None:
    plain, said = (view_of(x=[1, 2]).map(dict, **more) for more in ({}, {"streams": {"x": ("int8", (2,))}}))
    assert "streams" not in plain.arguments() and said.arguments()["streams"] == {"x": ["|i1", [2]]}
    assert said.build(said.arguments(), said.parents).declared == said.declared
    assert plain.fingerprint() != said.fingerprint()


@pytest.mark.parametrize(
    ("streams", "message"),
    [("x", "not a mapping"), ({"x": "number"}, "streams has 'number' for x"), ({"x": object}, "for x")],
)
def test_streams_that_say_nothing_are_refused(streams: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mapped([1], streams=streams)
    with pytest.raises(UsageError, match="batched=True"):
        view_of(x=[1]).map(dict, batched=True, streams={"x": "int8"})
