"""Parts of rows are disjoint, cover all rows, and keep their shares."""

from collections import Counter
from functools import partial
from typing import Any, Sequence

import numpy as np
import pytest
from counting import calls
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets import view_of
from dataset_assets.core import splitting
from dataset_assets.core.permutation import Permutation
from dataset_assets.core.ratios import sizes_of
from dataset_assets.errors import UsageError


@given(st.integers(0, 5000), st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 2**30))
def test_random_parts_are_disjoint_and_cover(n: int, weights: list[int], seed: int) -> None:
    ratios = [weight / sum(weights) for weight in weights]
    parts = splitting.random_parts(n, ratios, seed)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert all(abs(len(part) - ratio * n) <= 1 for part, ratio in zip(parts, ratios, strict=True))


@pytest.mark.parametrize("ratios", [(0.5, 0.2), (0.7, 0.7), (-0.5, 1.5), (), (1.0, 0.0), (float("nan"),)])
def test_ratios_that_do_not_sum_to_one_are_refused(ratios: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="sum to"):
        sizes_of(100, ratios)


def test_stratified_parts_keep_each_class_within_one_sample() -> None:
    labels = np.repeat(np.arange(7), [10, 20, 30, 41, 53, 67, 101])
    parts = splitting.stratified_parts(labels, (0.6, 0.3, 0.1), seed=1)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    for part, ratio in zip(parts, (0.6, 0.3, 0.1), strict=True):
        counts = np.bincount(labels[part], minlength=7)
        assert np.all(np.abs(counts - ratio * np.bincount(labels)) <= 1)


def test_a_class_too_small_to_stratify_is_named() -> None:
    """T6: never an unstratified split instead."""
    with pytest.raises(UsageError, match="Class 'rare' has 1 sample,"):
        splitting.stratified_parts(np.array(["common"] * 9 + ["rare"]), (0.5, 0.5), seed=0)


@given(st.integers(2, 400), st.integers(2, 9), st.integers(0, 99), st.booleans())
def test_folds_are_disjoint_cover_and_are_of_one_size(n: int, folds: int, seed: int, stratified: bool) -> None:
    labels = np.arange(n) % 3 if stratified else None
    if n < folds or (stratified and n // 3 < folds):
        with pytest.raises(UsageError):
            splitting.folds_of(n, folds, seed, labels)
        return
    found = splitting.folds_of(n, folds, seed, labels)
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(n))
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert np.array_equal(np.sort(np.concatenate([found[0], splitting.rest_of(n, found[0])])), np.arange(n))


def test_a_row_keeps_its_hashed_part_when_others_come_and_go() -> None:
    keys = [f"patient-{k}" for k in range(500)]

    def part_of(names: list[str]) -> dict[str, int]:
        parts = splitting.hashed_parts(names, (0.8, 0.2), 3)
        return {names[i]: k for k, rows in enumerate(parts) for i in rows}

    all_, fewer = part_of(keys), part_of(keys[::3])
    assert all(all_[name] == part for name, part in fewer.items())
    assert 350 < sum(part == 0 for part in all_.values()) < 450


def test_no_rows_are_divided_into_parts_without_rows() -> None:
    labels = np.empty(0, np.int64)
    for parts in (
        splitting.random_parts(0, (0.5, 0.5), 0),
        splitting.stratified_parts(labels, (0.5, 0.5), 0),
        splitting.group_parts(labels, (0.5, 0.5), 0),
        splitting.hashed_parts([], (0.5, 0.5), 0),
    ):
        assert [part.tolist() for part in parts] == [[], []]


def one_by_one(labels: list[Any], ratios: Sequence[float], seed: int) -> list[list[int]]:
    """Give each group, the largest first, to the part that lacks most rows."""
    names = sorted(set(labels))
    rows = [[k for k, label in enumerate(labels) if label == name] for name in names]
    chance = Permutation(len(names), seed, purpose="group").rows(slice(0, len(names))).tolist()
    lacking, parts = list(sizes_of(len(labels), ratios)), [list[int]() for _ in ratios]
    for group in sorted(chance, key=lambda k: -len(rows[k])):
        part = lacking.index(max(lacking))
        lacking[part] -= len(rows[group])
        parts[part] += rows[group]
    return [sorted(part) for part in parts]


@given(st.lists(st.integers(0, 12), min_size=12, max_size=60), st.integers(1, 4), st.integers(0, 9))
def test_groups_go_to_the_part_that_lacks_most_one_after_the_other(labels: list[int], count: int, seed: int) -> None:
    ratios = [1 / count] * count
    expected = one_by_one(labels, ratios, seed)
    try:
        parts = splitting.group_parts(np.array(labels), ratios, seed)
    except UsageError:
        assert not all(expected) or max(Counter(labels).values()) > max(sizes_of(len(labels), ratios))
        return
    assert [part.tolist() for part in parts] == expected


def test_many_groups_cost_no_more_calls_than_few() -> None:
    def work(groups: int) -> int:
        labels = np.arange(groups) // 2
        return calls(lambda: splitting.group_parts(labels, (0.5, 0.3, 0.2), 0))

    assert work(40_000) < 1.2 * work(20_000) + 100


@pytest.mark.parametrize(
    "values",
    [
        [0, 7, -3, 2**62, 7] * 40,
        [True, False] * 30,
        [0.0, -0.0, float("nan"), 1e300, 0.1] * 40,
        np.array([0.1, 0.5], "f4").repeat(20),
        np.array([258, 1], ">i2").repeat(20),
        ["a", "1", "True"] * 20,
        [b"a", b"61"] * 20,
    ],
    ids=str,
)
def test_a_value_is_hashed_as_its_text_whatever_is_beside_it(values: Any) -> None:
    def text(value: Any) -> str:
        return value.hex() if isinstance(value, bytes) else str(value)

    parts = view_of(key=values).hash_split((0.5, 0.3, 0.2), by="key", seed=3)
    plain = np.array(values).tolist() if isinstance(values, np.ndarray) else values
    expected = splitting.hashed_parts([text(value) for value in plain], (0.5, 0.3, 0.2), 3)
    assert [part.indices.tolist() for part in parts] == [part.tolist() for part in expected]


def test_equal_keys_are_hashed_once() -> None:
    few, many = view_of(key=np.arange(100_000) % 50), view_of(key=np.arange(100_000) % 5000)
    work = [calls(partial(view.hash_split, (0.5, 0.5), by="key", seed=0)) for view in (few, many)]
    assert work[0] + 3 * 4000 < work[1] < 5000 * 5
