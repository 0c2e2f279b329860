"""Parts of rows are disjoint, cover all rows, and keep their shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.core import splitting
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
