"""The loader gives each sample of an epoch once, in an order that a state finds again on any number of ranks."""

import gc
import pickle
from typing import Any, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import View, view_of
from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.loader import Budget, Loader, joined, padded
from dataset_assets.loader.buffer_pool import BufferPool
from dataset_assets.loader.epoch import Epoch
from dataset_assets.loader.steps import Last
from dataset_assets.testing.loaders import elsewhere


def numbers(n: int) -> View:
    return view_of(x=np.arange(n * 3).reshape(n, 3), i=np.arange(n), name=[str(k) for k in range(n)])


def read(batches) -> list[int]:
    return [int(i) for batch in batches for i in batch["i"]]


@given(st.integers(0, 300), st.integers(1, 40), st.booleans(), st.integers(0, 3))
@settings(deadline=None)
def test_an_epoch_is_each_sample_once_with_its_streams_together(n: int, size: int, shuffle: bool, threads: int) -> None:
    loader = Loader(numbers(n), size, shuffle=shuffle, seed=4, threads=threads)
    batches = list(loader.epoch(0))
    assert len(batches) == len(loader)
    assert sorted(read(batches)) == list(range(n))
    for batch in batches:
        assert np.array_equal(batch["x"][:, 0], 3 * batch["i"])
        assert batch["name"] == [str(i) for i in batch["i"]]


def test_epochs_differ_and_are_the_same_again() -> None:
    loader = Loader(numbers(500), 32, shuffle=True, seed=1)
    assert read(loader.epoch(0)) != read(loader.epoch(1))
    assert read(loader.epoch(1)) == read(Loader(numbers(500), 32, shuffle=True, seed=1, threads=0).epoch(1))


@given(st.integers(1, 200), st.integers(1, 16), st.integers(1, 5), st.sampled_from(["keep", "drop", "pad"]))
@settings(deadline=None)
def test_ranks_take_equally_many_steps_and_share_the_samples(n: int, size: int, world: int, last: Last) -> None:
    view = numbers(n)
    loaders = [Loader(view, size, shuffle=True, seed=2, rank=r, world=world, last=last) for r in range(world)]
    steps = [list(loader.epoch(0)) for loader in loaders]
    assert {len(batches) for batches in steps} == {len(loaders[0])}
    seen = sorted(i for batches in steps for i in read(batches))
    if last == "keep":
        assert seen == list(range(n))
    elif last == "drop":
        assert len(seen) == len(set(seen)) == n - n % (size * world)
    else:
        assert set(seen) == set(range(n))
        assert all(len(batch["i"]) == size for batches in steps for batch in batches)


def test_batches_are_the_callers_own() -> None:
    view = numbers(64)
    kept = []
    for batch in Loader(view, 8, shuffle=True, seed=0).epoch(0):
        kept.append((batch, batch["i"].copy()))
        batch["x"][:] = -1
    assert all(np.array_equal(batch["i"], copy) for batch, copy in kept)
    assert np.array_equal(view.to_numpy()["x"], np.arange(64 * 3).reshape(64, 3))
    assert all((batch["x"] >= 0).all() for batch in Loader(view, 8, shuffle=True, seed=0).epoch(0))


def test_a_buffer_comes_back_when_its_last_slice_is_gone_and_not_before() -> None:
    pool = BufferPool()
    first = pool.array((4, 4), np.dtype("f8"))
    address = first.ctypes.data
    part = first[1:2, :2]
    del first
    gc.collect()
    assert pool.array((4, 4), np.dtype("f8")).ctypes.data != address
    del part
    gc.collect()
    assert pool.array((4, 4), np.dtype("f8")).ctypes.data == address


def test_buffers_of_like_sizes_are_the_same_ones() -> None:
    pool = BufferPool()
    held = [pool.array((1000,), np.dtype("u1"))]
    for size in (1024, 900, 513):
        held[0] = np.empty(0)
        held[0] = pool.array((size,), np.dtype("u1"))
    assert {size: len(kept) for size, kept in pool._free.items()} == {1024: 0}


def test_a_stack_of_views_is_loaded_as_it_reads() -> None:
    view = numbers(90)[10:80][::-2].only("i").concat(numbers(20).only("i"))
    assert read(Loader(view, 7, threads=0).epoch(0)) == [sample["i"] for sample in view]


def test_batches_can_be_tensors_and_what_collate_makes_of_them() -> None:
    torch = pytest.importorskip("torch")
    batch = next(Loader(numbers(10), 4, output="torch").epoch(0))
    assert isinstance(batch["x"], torch.Tensor)
    assert batch["x"].shape == (4, 3)
    assert batch["name"] == ["0", "1", "2", "3"]
    assert next(Loader(numbers(10), 4, collate=lambda b: b["i"].sum()).epoch(0)) == 6


@pytest.mark.parametrize("collate", [padded("t"), joined("t")])
def test_values_of_several_dtypes_become_an_array_of_one_that_holds_them(collate: Any) -> None:
    values = [np.array([1, 255], np.uint8), np.array([-70_000], np.int32), np.array([0.5])]
    found = collate({"t": values})["t"]
    assert found.dtype == np.float64 and {1, 255, -70_000, 0.5} <= set(found.reshape(-1).tolist())


def test_without_a_copy_batches_in_order_lie_on_the_stored_bytes_and_cannot_be_written() -> None:
    stored = np.arange(300).reshape(100, 3)
    view = view_of(x=stored)[10:90].only("x")
    for batch in Loader(view, 7, copy=False).epoch(0):
        assert np.shares_memory(batch["x"], stored)
        with pytest.raises(ValueError, match="read-only"):
            batch["x"][:] = 0
    shuffled = next(Loader(view, 7, copy=False, shuffle=True).epoch(0))
    assert not shuffled["x"].flags.writeable
    with pytest.raises(UsageError, match="Leave out copy=False"):
        Loader(view, 7, copy=False, output="torch")


def test_batches_can_be_arrow_tables() -> None:
    import pyarrow

    view = numbers(10).zip(view_of(row=pyarrow.table({"a": range(10), "b": list("abcdefghij")})))
    batch = next(Loader(view, 4, shuffle=True, seed=1, output="arrow").epoch(0))
    assert isinstance(batch, pyarrow.Table) and batch.num_rows == 4
    numbered = batch["i"].to_pylist()
    assert batch["x"].to_pylist() == [[3 * i, 3 * i + 1, 3 * i + 2] for i in numbered]
    assert batch["a"].to_pylist() == numbered and batch["b"].to_pylist() == ["abcdefghij"[i] for i in numbered]
    assert batch.schema == view.to_arrow().schema


def test_samples_that_are_tuples_or_plain_values_make_batches_too() -> None:
    images, labels = next(Loader(numbers(10).tuples("x", "i"), 4).epoch(0))
    assert images.shape == (4, 3) and labels.tolist() == [0, 1, 2, 3]
    assert next(Loader(numbers(10).map(lambda sample: sample["i"]), 4).epoch(0)).tolist() == [0, 1, 2, 3]


def test_several_files_of_a_stream_are_gathered_into_one_batch() -> None:
    from dataset_assets.formats import chained
    from dataset_assets.formats.array import ArrayColumn
    from dataset_assets.reading.views import Origin, Stored

    parts = [ArrayColumn(np.arange(lo, lo + 20)) for lo in (0, 20, 40)]
    view = Stored(Origin("memory", "all", ""), {"i": chained(parts)})
    for shuffle in (False, True):
        assert sorted(read(Loader(view, 7, shuffle=shuffle).epoch(0))) == list(range(60))


@pytest.mark.parametrize("made", [padded, joined])
def test_a_dtype_that_is_named_is_that_of_a_batch_without_samples_too(made: Any) -> None:
    view = view_of(t=[np.arange(3, dtype=np.int32)])
    collate = made("t", dtype="int64")
    batches = [next(Loader(view, 4, rank=rank, world=2, collate=collate).epoch(0)) for rank in range(2)]
    assert [batch["t"].dtype for batch in batches] == [np.int64] * 2
    assert [batch["t"].size for batch in batches] == [0, 3]


@given(st.lists(st.lists(st.integers(0, 255), max_size=6), max_size=8), st.integers(1, 5))
def test_padded_and_joined_lose_nothing(values: list[list[int]], multiple: int) -> None:
    batch = {"t": [np.array(value, np.uint8) for value in values], "i": np.arange(len(values))}
    full = padded("t", value=9, multiple=multiple)(batch)
    assert full["t"].shape[1] % multiple == 0
    assert [row[:n].tolist() for row, n in zip(full["t"], full["t_lengths"])] == values
    assert all((row[n:] == 9).all() for row, n in zip(full["t"], full["t_lengths"]))
    ends = joined("t")(batch)
    cuts = ends["t_borders"].tolist()
    assert [ends["t"][a:b].tolist() for a, b in zip(cuts, cuts[1:])] == values
    assert full["i"] is ends["i"] is batch["i"]


TOKENS = [[], [1, 2], [3], []]


@pytest.mark.parametrize("made", [padded, joined])
def test_all_batches_have_the_dtype_of_the_view_also_those_of_empty_lists(made: Any) -> None:
    for view in (view_of(t=TOKENS), view_of(t=TOKENS).map(dict), view_of([{"t": tokens} for tokens in TOKENS])):
        batches = list(Loader(view, 1, collate=made("t")).epoch(0))
        assert [batch["t"].dtype for batch in batches] == [np.int64] * 4
        assert sum(batch["t"].size for batch in batches) == 3
    points = view_of(t=[np.empty((0, 2), np.int16), np.ones((1, 2), np.int16)])
    assert [b["t"].shape[-1] for b in Loader(points, 1, collate=made("t")).epoch(0)] == [2, 2]


@pytest.mark.parametrize("made", [padded, joined])
@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        ([[1], [0.5]], None, "0.5 for t does not fit its dtype int64. Name a wider dtype, such as dtype='float64'"),
        ([[1], [300]], "uint8", "300 for t does not fit its dtype uint8"),
        ([[1], [True, 2]], None, "mixes booleans"),
        ([np.ones((1, 2)), np.ones((1, 3))], None, "has the shape"),
    ],
)
def test_a_value_that_does_not_fit_the_dtype_is_refused(made: Any, values: Any, dtype: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        list(Loader(view_of(t=values), 1, collate=made("t", dtype=dtype), threads=0).epoch(0))


def test_padding_fits_the_dtype_and_lists_without_values_need_one() -> None:
    with pytest.raises(SchemaError, match="0.5 for t does not fit its dtype int64"):
        next(Loader(view_of(t=TOKENS), 2, collate=padded("t", value=0.5), threads=0).epoch(0))
    with pytest.raises(UsageError, match="The first 2 values of t are empty, so its dtype is not known"):
        next(Loader(view_of(t=[[], []]), 2, collate=padded("t"), threads=0).epoch(0))
    with pytest.raises(UsageError, match="Cannot pad or join the values of t"):
        next(Loader(view_of(t=[[None]]), 1, collate=padded("t"), threads=0).epoch(0))


def test_several_axes_are_padded_as_those_of_pictures() -> None:
    pictures = [np.arange(1, 1 + h * w * 3, dtype=np.uint8).reshape(h, w, 3) for h, w in ((2, 3), (4, 1), (1, 5))]
    with pytest.raises(SchemaError, match=r"Pad more axes: padded\('image', axes=2\)"):
        next(Loader(view_of(image=pictures), 3, collate=padded("image"), threads=0).epoch(0))
    collate = padded("image", axes=2, multiple=2, value=255)
    batch = next(Loader(view_of(image=pictures), 3, collate=collate, threads=0).epoch(0))
    assert batch["image"].shape == (3, 4, 6, 3) and batch["image_lengths"].tolist() == [[2, 3], [4, 1], [1, 5]]
    for whole, one in zip(batch["image"], pictures):
        h, w = one.shape[:2]
        assert (whole[:h, :w] == one).all() and (whole[h:] == 255).all() and (whole[:, w:] == 255).all()
    with pytest.raises(UsageError, match="axes=0 is not a number of axes"):
        padded("image", axes=0)


def test_texts_are_padded_as_bytes_and_numbers_cannot_be() -> None:
    batch = padded("t")({"t": ["é", "abc"]})
    assert [bytes(row[:n]).decode() for row, n in zip(batch["t"], batch["t_lengths"])] == ["é", "abc"]
    with pytest.raises(UsageError, match="Cannot pad or join the values of"):
        padded("t")({"t": [1, 2]})


# What callers do with it


def test_several_iterators_of_one_loader_do_not_disturb_each_other() -> None:
    loader = Loader(numbers(50), 4, shuffle=True, seed=0, threads=2)
    first, second = read(loader.epoch(0)), read(loader.epoch(1))
    one, other = loader.epoch(0), loader.epoch(1)
    pairs = list(zip(one, other))
    assert read(batch for batch, _ in pairs) == first and read(batch for _, batch in pairs) == second
    # Each begins where it was made, also when another was read before.
    one, other = loader.epoch(0), loader.epoch(1)
    assert read(other) == second and read(one) == first
    assert loader.position == (1, 0)


def test_batches_that_are_kept_stay_what_they_were() -> None:
    loader = Loader(numbers(64), 8, shuffle=True, seed=0, threads=2)
    kept = [batch for epoch in range(5) for batch in loader.epoch(epoch)]
    copies = [batch["x"].copy() for batch in kept]
    for batch in kept[::2]:
        batch["x"][:] = -7
    assert all(np.array_equal(batch["x"], copy) for batch, copy in list(zip(kept, copies))[1::2])
    assert all(np.array_equal(copy[:, 0], 3 * batch["i"]) for batch, copy in zip(kept, copies))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("output", ["numpy", "torch", "arrow"])
def test_arrays_of_any_layout_and_dtype_make_batches(output: Any, shuffle: bool) -> None:
    plain = np.arange(60).reshape(20, 3)
    view = view_of(
        i=np.arange(40)[::2], columns=np.asfortranarray(plain), back=plain[::-1], swapped=plain.astype(">i4"),
        half=plain.astype("f2"), day=np.arange(20).astype("M8[D]"), truth=plain % 2 == 0,
    )  # fmt: skip
    rows = [i // 2 for i in read_lists(Loader(view, 6, shuffle=shuffle, output=output), "i")]
    assert sorted(rows) == list(range(20))
    for name, values in (("columns", plain), ("back", plain[::-1]), ("swapped", plain), ("half", plain)):
        found = read_lists(Loader(view.only(name), 6, shuffle=shuffle, output=output), name)
        assert found == values[rows].tolist()
    days = next(Loader(view, 20, output=output).epoch(0))["day"]
    assert [str(day)[:10] for day in (days.to_pylist() if output == "arrow" else days)][:2] == [
        "1970-01-01", "1970-01-02",
    ]  # fmt: skip


def read_lists(batches: Any, name: str) -> list[Any]:
    found = []
    for batch in batches:
        values = batch[name]
        found += values.to_pylist() if hasattr(values, "to_pylist") else values.tolist()
    return found


def test_a_rank_without_samples_has_empty_tables_of_the_same_type() -> None:
    tables = [next(Loader(numbers(1), 4, rank=rank, world=3, output="arrow").epoch(0)) for rank in range(3)]
    assert [table.num_rows for table in tables] == [0, 0, 1]
    assert len({str(table.schema.field("x").type) for table in tables}) == 1


def test_a_rank_without_samples_has_empty_batches_of_what_a_function_makes() -> None:
    for view in (
        numbers(1).map(dict),
        numbers(1).tuples("x", "i").map(tuple),
        numbers(1).map(lambda sample: sample["x"]),
    ):
        none, one = (next(Loader(view, 4, rank=rank, world=2).epoch(0)) for rank in (0, 1))
        values, whole = ([batch] if isinstance(batch, np.ndarray) else batch for batch in (none, one))
        pairs = list(zip(values.values(), whole.values())) if isinstance(values, dict) else list(zip(values, whole))
        assert pairs and all(len(empty) == 0 and type(empty) is type(full) for empty, full in pairs)
        assert all(empty.dtype == full.dtype for empty, full in pairs if isinstance(empty, np.ndarray))


def test_what_arrow_has_no_type_for_is_named() -> None:
    with pytest.raises(SchemaError, match="The values of stream c have no Arrow type"):
        next(Loader(view_of(c=np.zeros(3, complex)), 2, output="arrow").epoch(0))


@pytest.mark.parametrize("size", [1, 7, 20, 1000, Budget(9, "t")])
@pytest.mark.parametrize("last", ["keep", "drop", "pad"])
def test_its_length_is_the_steps_of_each_rank(last: Last, size: Any) -> None:
    view = view_of(i=np.arange(20), t=[np.arange(k % 5) for k in range(20)])
    for world in (1, 3, 21):
        for rank in (0, world - 1):
            loader = Loader(view, size, shuffle=True, seed=2, rank=rank, world=world, last=last)
            assert len(loader) == len(list(loader.epoch(0)))


@pytest.mark.parametrize("collate", [None, padded("t"), joined("t")])
def test_a_loader_that_is_in_use_can_be_sent_to_a_process(collate: Any) -> None:
    view = view_of(i=np.arange(20), t=[np.arange(k % 5) for k in range(20)])
    loader = Loader(view, 6, shuffle=True, collate=collate)
    batches = loader.epoch(0)
    seen = read([next(batches)])
    other = pickle.loads(pickle.dumps(loader))
    following = read(Loader(view, 6, shuffle=True, collate=collate).epoch(1))
    assert elsewhere(read, other) == read(other) == read(loader) == following
    assert len(seen) == 6 and len(read(batches)) == 14


@pytest.mark.parametrize("size", [4, Budget(9, "t")])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_full_batches_say_which_samples_are_real_and_these_are_each_sample_once(size: Any, world: int) -> None:
    view = view_of(i=np.arange(23), t=[np.arange(k % 3 + 1) for k in range(23)])
    for some in (view, view.map(dict)):
        loaders = [Loader(some, size, shuffle=True, seed=3, rank=k, world=world, last="pad") for k in range(world)]
        batches = [batch for loader in loaders for batch in loader.epoch(0)]
        real = np.concatenate([batch["i"][batch["real"]] for batch in batches])
        assert sorted(real.tolist()) == list(range(23))
        assert all(len(batch["real"]) == len(batch["i"]) for batch in batches)
        assert len({len(list(loader.epoch(0))) for loader in loaders}) == 1
    pairs = [*Loader(view.tuples("i"), 5, last="pad").epoch(0)]
    assert [real.tolist() for _, real in pairs] == [[True] * 5] * 4 + [[True] * 3 + [False] * 2]


def test_a_stream_of_the_name_of_the_mask_is_refused_where_it_would_be_lost() -> None:
    view = view_of(real=np.arange(4))
    assert len(next(Loader(view, 3).epoch(0))["real"]) == 3
    with pytest.raises(UsageError, match="Rename it"):
        next(Loader(view, 3, last="pad").epoch(0))


@pytest.mark.parametrize("batch_size", [1, 8, 256])
def test_the_first_batch_waits_for_few_others(batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, counted = Epoch.steps, [0]

    def counting(self: Epoch, start: int) -> Iterator[Any]:
        for step in steps(self, start):
            counted[0] += 1
            yield step

    monkeypatch.setattr(Epoch, "steps", counting)
    view = view_of(x=np.zeros(2_000_000, np.uint8))
    next(iter(Loader(view, batch_size, shuffle=True, threads=0)))
    assert counted[0] <= 1 << 11
    numbered = view_of(i=np.arange(5000))
    rows = np.concatenate([batch["i"] for batch in Loader(numbered, batch_size, shuffle=True, seed=3, threads=0)])
    assert sorted(rows.tolist()) == list(range(5000))
