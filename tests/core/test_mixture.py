"""Mixing: orders over several sources hold their shares, are the same wherever they are asked, and were published."""

import doctest
import hashlib
import json
import pickle

import numpy as np
import pytest
from counting import calls
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.core import mixture as mixing
from dataset_assets.core.mixture import Interleaving, Mixture, Repetition
from dataset_assets.core.permutation import Permutation
from dataset_assets.errors import UsageError

PUBLISHED = {
    "interleaving": [0, 3, 4, 1, 5, 2],
    "mixture": [6, 0, 1, 7, 2, 3, 8, 4, 5, 9],
}


def whole(order: Mixture | Interleaving) -> list[int]:
    return order.rows(slice(0, len(order))).tolist()


def test_the_orders_are_those_that_were_published() -> None:
    assert whole(Interleaving([3, 1, 2])) == PUBLISHED["interleaving"]
    assert whole(Mixture([6, 4], (2, 1), seed=7, stop="all", epoch=1)) == PUBLISHED["mixture"]


def plainly(sizes: list[int], weights: list[float], seed: int, epoch: int, count: int) -> list[int]:
    """Return a mixture as docs/orders.md says it, without numpy and all at once."""
    word, rows, start = (1 << 32) - 1, [], 0

    def hashed(x: int, key: int) -> int:
        x = (x + key) & word
        x = (x ^ x >> 16) * 0x7FEB352D & word
        return (x ^ x >> 15) * 0x846CA68B & word

    for source, (size, weight) in enumerate(zip(sizes, weights)):
        digest = hashlib.sha256(json.dumps([seed, epoch, f"mix {source}"]).encode()).digest()
        keys = [int.from_bytes(digest[4 * k : 4 * k + 4], "little") for k in range(2)]
        share = weight / sum(weights)
        for j in range(count):
            chance = (hashed(hashed(j, keys[0]), keys[1]) + 0.5) / 2.0**32
            rows.append(((j + chance) / share, source, start + j % size))
        start += size
    return [row for _, _, row in sorted(rows)[:count]]


def test_a_mixture_is_what_the_page_says() -> None:
    for seed, sizes, weights in ((0, [5, 9], [1.0, 3.0]), (3, [4, 4, 20], [0.5, 0.25, 0.25])):
        order = Mixture(sizes, weights, seed, 60, epoch=2)
        assert whole(order) == plainly(sizes, weights, seed, 2, 60)


@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0.05, 5)), min_size=1, max_size=4),
    st.integers(0, 9),
    st.sampled_from(["first", "all", 0, 100]),
    st.data(),
)
@settings(deadline=None, max_examples=60)
def test_any_part_is_that_part_of_the_whole_and_holds_the_shares(
    sources: list[tuple[int, float]], seed: int, stop: str | int, data: st.DataObject
) -> None:
    sizes, weights = [size for size, _ in sources], [weight for _, weight in sources]
    order = Mixture(sizes, weights, seed, stop)
    rows = np.array(whole(order), np.intp)
    if len(order):
        lo = data.draw(st.integers(0, len(order) - 1))
        hi = data.draw(st.integers(lo, len(order)))
        assert (order.rows(slice(lo, hi)) == rows[lo:hi]).all()
        places = np.array(data.draw(st.lists(st.integers(0, len(order) - 1), max_size=20)), np.intp)
        assert (order.rows(places) == rows[places]).all()
    source = np.searchsorted(np.cumsum(sizes), rows, "right")
    for k, weight in enumerate(weights):
        taken = np.cumsum(source == k)
        assert np.abs(taken - np.arange(1, len(rows) + 1) * weight / sum(weights)).max(initial=0) <= len(sizes) + 1
        # Each source is read from its start to its end, and again.
        assert (rows[source == k] - sum(sizes[:k]) == np.arange((source == k).sum()) % sizes[k]).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_mixture_ends_where_its_rule_says(seed: int) -> None:
    sizes, weights = [10, 40], (0.5, 0.5)
    first, everything = Mixture(sizes, weights, seed, "first"), Mixture(sizes, weights, seed, "all")
    longer = whole(Mixture(sizes, weights, seed, 200))
    counts = np.bincount(whole(first), minlength=50)
    assert counts.max() == 1 and counts[:10].min() == 1 and longer[len(first)] == 0
    assert np.bincount(whole(everything), minlength=50).min() == 1 and whole(everything)[-1] == 49
    assert whole(everything) == longer[: len(everything)]


def test_seeds_and_epochs_give_other_mixtures_and_neighbours_are_independent() -> None:
    picks = [Mixture([9000, 9000], (1, 1), seed, 8000, epoch) for seed in (0, 1) for epoch in (0, 1)]
    sources = [np.array(whole(order)) >= 9000 for order in picks]
    for k, one in enumerate(sources):
        for other in sources[k + 1 :]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.06


def test_impossible_mixtures_are_refused() -> None:
    for weights in ((1,), (1, 0), (1, -1), (1, float("nan")), (1, float("inf"))):
        with pytest.raises(UsageError, match="Give each view a positive weight"):
            Mixture([1, 1], weights, 0, "all")
    with pytest.raises(UsageError, match="stop='al' is not valid. Did you mean 'all'"):
        Mixture([1, 1], (1, 1), 0, "al")
    with pytest.raises(UsageError, match="View 1 of the mixture has no samples"):
        Mixture([1, 0], (1, 1), 0, "all")
    with pytest.raises(UsageError, match="A mixture has 0 to .* samples, not -1"):
        Mixture([1, 1], (1, 1), 0, -1)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_interleaving_takes_one_of_each_in_turn(sizes: list[int]) -> None:
    starts = np.cumsum([0, *sizes])
    turns = [starts[k] + turn for turn in range(max(sizes)) for k in range(len(sizes)) if turn < sizes[k]]
    order = Interleaving(sizes)
    assert whole(order) == turns
    assert order.rows(np.arange(len(order))[::-1]).tolist() == turns[::-1]


def test_what_is_repeated_begins_again() -> None:
    assert Repetition(3, 2).rows(np.array([5, 0, 3])).tolist() == [2, 0, 0] and len(Repetition(0, 5)) == 0


def test_the_examples_run() -> None:
    found = doctest.testmod(mixing)
    assert found.attempted and not found.failed


def test_reading_twice_as_many_rows_in_random_order_costs_twice_as_much() -> None:
    """Each window of a shuffle touches the whole mixture, which is not computed anew for each."""

    def work(size: int) -> int:
        mixed, places = Mixture([size // 5] * 5, [1, 2, 3, 4, 5], seed=0, stop=size), Permutation(size, 1, 0)
        windows = [slice(lo, lo + 2048) for lo in range(0, size, 2048)]
        return calls(lambda: [mixed.rows(places.rows(window)) for window in windows])

    assert work(1 << 18) <= 2.5 * work(1 << 17)


@pytest.mark.parametrize("size", [1, 4097, 3 << 12, 50_000])
def test_rows_in_any_order_are_those_in_order_however_many_were_read(size: int) -> None:
    mixed = Mixture([size, 7, size], [3, 1, 2], seed=5, stop=size)
    in_order, rng = mixed.rows(slice(0, size)), np.random.default_rng(0)
    for count in (0, 1, 5, 3000, size, 10):
        places = rng.integers(0, size, count)
        found = mixed.rows(places)
        assert found.dtype == np.intp and np.array_equal(found, in_order[places])
    assert len(pickle.dumps(mixed)) < 2000 and np.array_equal(pickle.loads(pickle.dumps(mixed)).rows(places), found)
