"""Views in torch's DataLoader, with real workers: each sample once, in memory of its own.

Workers that are spawned import this module, so it imports no more than it needs.
"""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch
from torch.utils.data import DataLoader

from dataset_assets import Dataset, View, load, prepare, view_of
from dataset_assets.encoding import OneHot, Scaled


def numbers(n: int = 10) -> View:
    return view_of(image=np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3), label=np.arange(n) % 3)


def stored(home: Any, dataset: Dataset) -> View:
    return prepare(dataset)["train"].concat(load(dataset.name)["test"]).only("image", "label", "text")


def of_the_main_module(sample: Any) -> Any:
    return {**sample, "twice": sample["label"] * 2}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("iterable", [False, True], ids=["map-style", "iterable"])
def test_check_13_a_stack_is_loaded_by_several_workers_each_sample_once(
    home: Any, dataset: Dataset, method: str, iterable: bool
) -> None:
    view = stored(home, dataset)[::-1].concat(stored(home, dataset)).map(of_the_main_module)
    loader = DataLoader(
        view.to_torch(iterable=iterable), batch_size=3, num_workers=2, multiprocessing_context=method,
        shuffle=None if iterable else True,
    )  # fmt: skip
    batches = list(loader)
    found = Counter(float(image[0, 0]) for batch in batches for image in batch["image"])
    assert found == Counter(float(sample["image"][0, 0]) for sample in view)
    assert sum(len(batch["text"]) for batch in batches) == len(view) == 20
    assert all(torch.equal(batch["twice"], batch["label"] * 2) for batch in batches)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("n", [0, 1, 2, 10, 5000])
def test_workers_share_an_iterable_view_whatever_its_size(workers: int, n: int) -> None:
    loader = DataLoader(numbers(n).only("label").zip(view_of(row=np.arange(n))).to_torch(iterable=True), batch_size=512,
                        num_workers=workers, multiprocessing_context="fork" if workers else None)  # fmt: skip
    rows = [row for batch in loader for row in batch["row"].tolist()]
    assert sorted(rows) == list(range(n)) and (workers > 1 or rows == list(range(n)))


def test_torch_gets_what_the_samples_hold_in_memory_of_its_own() -> None:
    view = numbers()
    data = view.to_torch()
    assert len(data) == 10 and data[-1]["label"] == 0 and data[-1]["image"].dtype == torch.float32
    for sample in (data[3], data.__getitems__([3])[0], next(iter(view[3:].to_torch(iterable=True)))):
        assert torch.equal(sample["image"], torch.tensor(view[3]["image"].tolist()))
        sample["image"][:] = -1
    assert view[3]["image"].min() == 18
    with pytest.raises(IndexError):
        data[10]


def test_torch_gets_batches_of_encoded_tables_and_of_tuples() -> None:
    table = view_of(row=pyarrow.table({"k": ["a", "b", "a"], "x": [1.0, 2.0, 3.0]}), y=[0, 1, 0])
    view = table.encode(table.fit({"row.k": OneHot(), "row.x": Scaled()}))
    (batch,) = DataLoader(view.to_torch(), batch_size=3)
    assert batch["row"].shape == (3, 3) and batch["row"].dtype == torch.float32 and batch["y"].tolist() == [0, 1, 0]
    (x, y), *_ = DataLoader(view.tuples("row", "y").to_torch(), batch_size=2)
    assert x.shape == (2, 3) and y.tolist() == [0, 1]


def test_torch_takes_the_other_order_of_bytes_and_text() -> None:
    view = view_of(x=np.arange(4, dtype=">i4").reshape(2, 2), t=["a", "b"])
    (batch,) = DataLoader(view.to_torch(), batch_size=2)
    assert batch["x"].tolist() == [[0, 1], [2, 3]] and batch["t"] == ["a", "b"]
