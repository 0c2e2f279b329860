"""Views in torch's DataLoader, with real workers: each sample once, in memory of its own.

Workers that are spawned import this module, so it imports no more than it needs.
"""

import gc
import multiprocessing
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch
from torch.utils.data import DataLoader

from dataset_assets import Dataset, View, load, prepare, view_of
from dataset_assets.encoding import OneHot, Scaled
from dataset_assets.errors import SchemaError


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
    view = table.encode(table.fit_encoders({"row.k": OneHot(), "row.x": Scaled()}))
    (batch,) = DataLoader(view.to_torch(), batch_size=3)
    assert batch["row"].shape == (3, 3) and batch["row"].dtype == torch.float32 and batch["y"].tolist() == [0, 1, 0]
    (x, y), *_ = DataLoader(view.tuples("row", "y").to_torch(), batch_size=2)
    assert x.shape == (2, 3) and y.tolist() == [0, 1]


def test_torch_takes_the_other_order_of_bytes_and_text() -> None:
    view = view_of(x=np.arange(4, dtype=">i4").reshape(2, 2), t=["a", "b"])
    (batch,) = DataLoader(view.to_torch(), batch_size=2)
    assert batch["x"].tolist() == [[0, 1], [2, 3]] and batch["t"] == ["a", "b"]


# Epochs


def draws(data: Any) -> list[tuple[int, int]]:
    return sorted((int(i), int(r)) for batch in data for i, r in zip(batch["i"], batch["r"]))


def noisy(sample: Any, generator: np.random.Generator) -> Any:
    return {**sample, "r": int(generator.integers(1 << 30))}


def random() -> View:
    return view_of(i=np.arange(12)).map(noisy, random=True, seed=4)


@pytest.mark.parametrize("workers", [{}, {"num_workers": 2, "persistent_workers": True}], ids=["here", "workers"])
@pytest.mark.parametrize("iterable", [False, True], ids=["map-style", "iterable"])
def test_an_epoch_that_is_set_has_its_own_numbers(iterable: bool, workers: dict[str, Any]) -> None:
    data = random().to_torch(iterable=iterable)
    loader = DataLoader(data, 4, **workers)
    for epoch in (0, 2, 1):
        data.set_epoch(epoch)
        assert draws(loader) == [(s["i"], s["r"]) for s in random().at_epoch(epoch)]


def test_an_iterable_goes_on_to_the_next_epoch_by_itself() -> None:
    expected = [[(s["i"], s["r"]) for s in random().at_epoch(epoch)] for epoch in range(3, 6)]
    data = random().at_epoch(3).to_torch(iterable=True)
    next(iter(data.view))
    unused = iter(data)
    assert [draws(DataLoader(data, 4, num_workers=workers)) for workers in (0, 1, 1)] == expected
    del unused
    shuffled = view_of(i=np.arange(50)).shuffle(1)
    data = shuffled.to_torch(iterable=True)
    assert [[int(s["i"]) for s in data] for _ in range(2)] == [
        [s["i"] for s in shuffled.at_epoch(epoch)] for epoch in range(2)
    ]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("size", "drop_last"), [(8, True), (3, False), (None, False)])
def test_workers_make_the_batches_of_one_process_in_turn(size: int | None, drop_last: bool) -> None:
    data = view_of(i=np.arange(20)).to_torch(iterable=True)
    more: Any = {"batch_size": size, **({"drop_last": drop_last} if size else {})}
    alone, shared = DataLoader(data, **more), DataLoader(data, num_workers=3, **more)
    expected = [batch["i"].tolist() for batch in alone]
    assert [batch["i"].tolist() for batch in shared] == expected
    assert len(shared) == len(expected)


def numbers_of_a_rank(data: Any, queue: Any) -> None:
    loader = DataLoader(data, 4, num_workers=1, persistent_workers=True)
    found = []
    for epoch in (1, 0, 2):
        data.set_epoch(epoch)
        found.append(draws(loader))
    queue.put(found)


@pytest.mark.parametrize("iterable", [False, True], ids=["map-style", "iterable"])
def test_workers_of_a_process_that_was_forked_read_the_epoch_that_it_sets(iterable: bool) -> None:
    context = multiprocessing.get_context("fork")
    data, queue = random().to_torch(iterable=iterable), context.Queue()
    data.set_epoch(5)
    forked = context.Process(target=numbers_of_a_rank, args=(data, queue))
    forked.start()
    assert queue.get(timeout=250) == [[(s["i"], s["r"]) for s in random().at_epoch(epoch)] for epoch in (1, 0, 2)]
    forked.join()


def test_datasets_hold_no_open_file_and_leave_none_behind(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its name is short: sockets of torch lie there.
    monkeypatch.setattr(tempfile, "tempdir", str(fast_path))
    folder = Path("/proc/self/fd")
    gc.collect()
    before = len(list(folder.iterdir()))
    many = [random().to_torch(iterable=k % 2 == 0) for k in range(300)]
    assert len(list(folder.iterdir())) == before
    assert draws(DataLoader(many[0], 4, num_workers=1)) == draws(DataLoader(many[1], 4))
    assert len(list(folder.iterdir())) < before + 20
    del many
    gc.collect()
    assert not [*fast_path.glob("dataset_assets-turns-*")]


# Dtypes


@pytest.mark.parametrize("iterable", [False, True], ids=["map-style", "iterable"])
@pytest.mark.parametrize("dtype", ["bool", "u1", "i2", "f2", "f4", "f8", "u8", "c8", ">i4"])
def test_numbers_keep_the_dtype_of_their_stream(dtype: str, iterable: bool) -> None:
    values = np.array([0, 1, 3], dtype)
    values = values + np.array(2**63, "u8") if dtype == "u8" else values
    view = view_of(x=values, y=np.stack([values, values], 1))
    (batch,) = DataLoader(view.to_torch(iterable=iterable), 3)
    assert batch["x"].numpy().tolist() == values.tolist() and batch["x"].dtype == batch["y"].dtype
    assert batch["x"].numpy().dtype == values.dtype.newbyteorder("=")
    mapped = view.map(lambda sample: {"x": values.dtype.type(sample["x"])})
    (other,) = DataLoader(mapped.to_torch(iterable=iterable), 3)
    assert torch.equal(other["x"], batch["x"])


def test_a_dtype_that_torch_does_not_have_is_named() -> None:
    with pytest.raises(SchemaError, match="torch has no dtype longdouble|torch has no dtype float128"):
        next(iter(DataLoader(view_of(x=np.ones(2, np.longdouble)).to_torch())))
