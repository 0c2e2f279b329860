"""The classes that occur in a stream are counted, in one column or in parts of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.checks.classes import added_up, class_counts, class_finding, classes_in
from dataset_assets.formats.array import ArrayColumn
from dataset_assets.storage.manifest import StoredStream

CLASSES = ["a", "b", "c"]
STREAMS = {"label": StoredStream("array", {"classes": CLASSES}, 1, ".npy", ())}


def test_class_counts_are_those_of_each_class() -> None:
    outside, counts = class_counts(ArrayColumn(np.array([0, 2, 2, 7])), 4)
    assert (outside, counts.tolist()) == (1, [1, 0, 2, 0])


@given(st.lists(st.lists(st.integers(-1, 4), max_size=4), min_size=1, max_size=5))
def test_parts_add_up_to_the_whole(parts: list[list[int]]) -> None:
    columns = [ArrayColumn(np.array(part, np.int8)) for part in parts]
    whole = classes_in(ArrayColumn(np.array(sum(parts, []), np.int8)), 3)
    assert added_up((len(column), classes_in(column, 3)) for column in columns) == whole


def test_the_first_value_of_no_class_is_named_with_its_sample_among_all_parts() -> None:
    parts = [np.array([0, 1, 2]), np.array([1, 9, 8])]
    found = added_up((len(part), classes_in(ArrayColumn(part), 3)) for part in parts)
    message = "label has 2 values that are none of its 3 classes, first 9 in sample 4."
    assert class_finding(STREAMS, {"label": found}).message == message
