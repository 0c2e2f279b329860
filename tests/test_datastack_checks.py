"""DataStack's acceptance checks, one test for each, by its number."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stacked
import tiny

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split, load, prepare
from dataset_assets.decoding import idx
from dataset_assets.errors import UsageError
from dataset_assets.storage import MemoryStorage
from dataset_assets.testing.server import FaultyServer
from dataset_assets.views import view_of

# Elsewhere, because they are about rooms of their own:
#  2  test_preparing.py    raw files and splits apart; one that was deleted is made again without a download
#  3  test_retrieval.py, test_reliability.py    each bad answer is a named error, and nothing of it is visible
#  4  test_reliability.py, test_dagster_killed.py    killed at random moments
#  5  test_reliability.py    no space left
#  6  test_view_streams.py    streams as files, lazily
#  7  test_names.py, test_storage.py    no key leads outside of the storage
# 11  test_plugins.py, test_storage.py    a retriever, a storage and a dataset of one's own
# Encoders, and torch's DataLoader with them, belong to the tests of encoding; checks 10 and 13 have what is here.


def digits(images: Any, labels: Any) -> Any:
    yield Columns(image=idx(images), label=idx(labels))


def idx_file(array: Any) -> bytes:
    kinds = {"uint8": 8}
    head = bytes([0, 0, kinds[str(array.dtype)], array.ndim])
    return head + np.array(array.shape, ">u4").tobytes() + array.tobytes()


OPENED = """
import socket, sys
def refused(*arguments): raise AssertionError("a connection was opened")
socket.socket.connect = refused
from dataset_assets import load
train = load("org.example.digits", split="train")
print(len(train), train[-1]["image"].shape, type(train[-1]["label"]).__name__)
"""


def test_1_a_split_of_sixty_thousand_is_had_from_an_empty_store_and_opened_without_a_request(home: Path) -> None:
    rng = np.random.default_rng(0)
    images = idx_file(rng.integers(0, 256, (60_000, 28, 28), np.uint8))
    labels = idx_file(rng.integers(0, 10, 60_000).astype(np.uint8))
    with FaultyServer({"/images": images, "/labels": labels}) as server:
        files = {name: RemoteFile(f"{server.url}/{name}") for name in ("images", "labels")}
        train = prepare(Dataset(
            name="org.example.digits", summary="D.", streams={"image": Array(), "label": Array()},
            splits={"train": Split(digits, **files)}, sample="image", target="label", tag="label",
        ))["train"]  # fmt: skip
    assert (len(train), train[0]["image"].shape, type(train[0]["label"])) == (60_000, (28, 28), int)
    assert train.roles == {"sample": "image", "target": "label", "tag": "label"}
    run = subprocess.run([sys.executable, "-c", OPENED], capture_output=True, text=True)
    assert run.stdout.split("\n")[0] == "60000 (28, 28) int", run.stderr


def test_8_a_view_of_a_view_of_a_combination_is_what_indexing_gives() -> None:
    one, two = view_of(x=np.arange(10)), view_of(x=np.arange(10, 15))
    both = one.concat(two)
    stack = both[[3, 3, 14, -1, 0]][::-1][[0, 2, -1]]
    assert [sample["x"] for sample in stack] == [0, 14, 3] and stack[-1] == {"x": 3} == both[3]
    for view in (one, both, stack, both.shuffle(0), both.map(dict), both.batch(4), both.cache(), both.only("x")):
        assert repr(view[-1]) == repr(view[len(view) - 1])
        for beyond in (len(view), -len(view) - 1):
            with pytest.raises(IndexError):
                view[beyond]


SPLIT = """
import numpy as np
from dataset_assets.views import view_of
view = view_of(x=np.arange(90), label=np.arange(90) % 3)
parts = [*view.random_split((0.7, 0.3), seed=5), *view.stratified_split((0.7, 0.3), by="label", seed=5)]
parts += [fold.held_out for fold in view.kfold(4, seed=5)]
parts += [inner.train for fold in view.nested_kfold(3, 2, outer_by="label", seed=5) for inner in fold.inner]
print([part.indices.tolist() for part in parts])
"""


def test_9_splits_are_seeded_disjoint_covering_and_the_same_in_a_fresh_process() -> None:
    runs = {subprocess.run([sys.executable, "-c", SPLIT], capture_output=True, text=True).stdout for _ in range(2)}
    assert len(runs) == 1
    indices = eval(runs.pop())
    view = view_of(x=np.arange(90), label=np.arange(90) % 3)
    parts = view.random_split((0.7, 0.3), seed=5)
    assert [part.indices.tolist() for part in parts] == indices[:2]
    assert [part.to_numpy()["x"].tolist() for part in parts] == indices[:2]
    assert sorted(indices[0] + indices[1]) == sorted(indices[2] + indices[3]) == list(range(90))
    assert sorted(row for fold in indices[4:8] for row in fold) == list(range(90))
    assert np.bincount(np.array(indices[2]) % 3).tolist() == [21, 21, 21]
    for ratios in ((0.5, 0.2), (0.7, 0.7), (1.5, -0.5), ()):
        with pytest.raises(UsageError, match="Give positive ones that sum to 1"):
            view.random_split(ratios)


def test_10_views_stack_in_any_order_and_keep_what_they_show() -> None:
    train = stacked.train()
    one_after_another = [
        lambda view: view.filter(("in", [0, 1]), column="label"),
        lambda view: view.shuffle(1),
        lambda view: view.map(dict),
        lambda view: view.cache(),
        lambda view: view.random_split((0.5, 0.5))[0],
        lambda view: view.concat(view),
    ]
    for turn in range(len(one_after_another)):
        stack = train
        for put in one_after_another[turn:] + one_after_another[:turn]:
            stack = put(stack)
        assert (stack.dataset, stack.split, stack.version) == (tiny.NAME, "train", train.version)
        assert stack.roles == train.roles and stack.classes == train.classes and len(list(stack)) == len(stack) > 0


def test_11_a_storage_in_memory_serves_views(dataset: Dataset) -> None:
    storage = MemoryStorage()
    assert len(prepare(dataset, storage=storage)["train"].shuffle(0)) == len(load(tiny.NAME, "train", storage=storage))


def test_12_a_report_is_had_of_any_stack_in_less_than_a_second() -> None:
    view = view_of(image=np.zeros((60_000, 8)), label=np.arange(60_000) % 7).rename(target="label")
    start = time.perf_counter()
    found = view.shuffle(0).concat(view[::2]).report().to_dict()
    assert time.perf_counter() - start < 1
    assert found["length"] == 90_000 and [len(part["parents"]) for part in found["parents"]] == [1, 1]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_13_a_stack_works_in_the_workers_of_torch(method: str) -> None:
    data = pytest.importorskip("torch.utils.data")
    stack = stacked.train().only("label", "text").shuffle(1).repeat(5)
    loaded = data.DataLoader(
        stack, batch_size=4, num_workers=2, collate_fn=list, multiprocessing_context=method
    )  # fmt: skip
    assert [sample for batch in loaded for sample in batch] == list(stack)


def test_13_without_torch_views_are_imported_and_iterated() -> None:
    code = "import sys; sys.modules['torch'] = None\n"
    code += "from dataset_assets.views import view_of; print(*view_of(x=[1, 2]))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "{'x': 1} {'x': 2}\n"


def test_14_iterating_is_faster_than_a_loop_over_samples() -> None:
    """The floors of samples a second are measured by benchmarks/views.py; here is what holds on any machine."""
    x, y = np.zeros((20_000, 784), np.uint8), np.arange(20_000)
    view = view_of(x=x, y=y)
    ratios = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in view:
            pass
        middle = time.perf_counter()
        for i in range(len(x)):
            (x[i], y[i])
        ratios.append((time.perf_counter() - middle) / (middle - start))
    assert max(ratios) > 0.7
