"""Readers of others take a view as data: scikit-learn, polars, DuckDB, JAX. `make test-clients` installs what lacks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dataset_assets import Array, Columns, Dataset, Split, View, prepare, view_of
from dataset_assets.loader import Loader


def view() -> View:
    x = np.random.default_rng(0).normal(size=(60, 4))
    return view_of(i=np.arange(60), x=x, y=(x[:, 0] > 0).astype(np.int8), t=[f"t{k}" for k in range(60)])


def matrix(samples: Any) -> Any:
    return np.stack([sample["x"] for sample in samples])


def test_scikit_learn_takes_a_view_as_its_samples() -> None:
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score, train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    data = view()
    x, y = data.to_numpy()["x"], data.to_numpy()["y"]
    model = make_pipeline(FunctionTransformer(matrix), LogisticRegression())
    assert np.allclose(cross_val_score(model, data, y, cv=3), cross_val_score(LogisticRegression(), x, y, cv=3))
    train, test = train_test_split(data, test_size=0.25, random_state=0)
    assert sorted(sample["i"] for sample in [*train, *test]) == list(range(60)) and len(test) == 15


def test_polars_and_duckdb_read_all_samples_with_the_types_of_the_view() -> None:
    polars: Any = pytest.importorskip("polars")
    duckdb: Any = pytest.importorskip("duckdb")
    data = view().map(dict)
    for each in (data, view(), view()[::2]):
        frame = polars.DataFrame(each)
        assert frame.schema == polars.DataFrame(each.to_arrow()).schema
        assert frame["i"].to_list() == each.to_numpy()["i"].tolist()
    with duckdb.connect() as connection:
        connection.register("stream", view().to_arrow())
        found = connection.sql("select sum(i), count(distinct t), typeof(any_value(y)) from stream").fetchall()
    assert found == [(1770, 60, "TINYINT")]


def test_small_floats_are_stored_and_go_to_torch_and_jax(home: Path) -> None:
    ml_dtypes: Any = pytest.importorskip("ml_dtypes")
    values = np.arange(6).astype(ml_dtypes.bfloat16)

    def rows() -> Any:
        yield Columns(a=values, b=np.stack([values, values], 1), c=np.arange(6.0), d=np.arange(6.0))

    streams = {"a": Array(), "b": Array(), "c": Array("float8_e5m2"), "d": Array("bfloat16")}
    stored = prepare(Dataset("org.example.small", "Small floats.", streams, {"all": Split(rows)}))["all"]
    batch = next(iter(Loader(stored, 6, output="torch")))
    assert [batch[name].dtype for name in "abcd"] == [
        torch.bfloat16, torch.bfloat16, torch.float8_e5m2, torch.bfloat16,
    ]  # fmt: skip
    assert all(batch[name].float().reshape(6, -1)[:, 0].tolist() == [0, 1, 2, 3, 4, 5] for name in "abcd")
    (whole,) = DataLoader(stored.only("a", "b").to_torch(), 6)
    assert torch.equal(whole["a"], batch["a"]) and torch.equal(whole["b"], batch["b"])
    of_torch = view_of(a=batch["a"])
    assert torch.equal(next(iter(Loader(of_torch, 6, output="torch")))["a"], batch["a"])
    jax: Any = pytest.importorskip("jax.numpy")
    assert jax.asarray(next(iter(Loader(stored, 6)))["b"]).dtype == "bfloat16"


@pytest.mark.parametrize("given", ["loader", "torch"])
def test_jax_has_each_sample_of_each_epoch(given: str) -> None:
    jax: Any = pytest.importorskip("jax")
    data: Any = Loader(view().only("i", "x"), 8, shuffle=True, seed=2)
    if given == "torch":
        data = DataLoader(view().only("i", "x").shuffle(seed=2).to_torch(iterable=True), 8)
    orders = []
    for _ in range(3):
        batches = [jax.tree.map(jax.numpy.asarray, dict(batch)) for batch in data]
        orders.append(jax.numpy.concatenate([batch["i"] for batch in batches]).tolist())
        found = jax.numpy.concatenate([batch["x"] for batch in batches])
        assert np.array_equal(found, view().to_numpy()["x"][orders[-1]].astype(found.dtype))
    assert [sorted(order) for order in orders] == [list(range(60))] * 3
    assert orders[0] != orders[1] != orders[2]
