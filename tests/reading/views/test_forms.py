"""What a mapped stream's batch is does not change with its content: the first samples decide, or `map(streams=...)`."""

from typing import Any

import numpy as np
import pytest
import torch

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
