"""Comparing versions: what is said to be added, removed and changed is what counting by hand finds."""

import tracemalloc
from collections import Counter
from dataclasses import replace
from typing import Any, Iterator

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import Array, Columns, Dataset, Split, Text, prepare
from dataset_assets.errors import NotPrepared, UnknownStream
from dataset_assets.moving.diff import _matched, diff, diff_views
from dataset_assets.moving.diff_streams import compared_numbers, hashes_at, hashes_in, hashes_of

NAME = "org.example.compared"


def rows(values: list[list[Any]]) -> Iterator[dict[str, Any]]:
    for word, label, number in values:
        yield {"word": word, "label": label, "number": number}


def of(train: list[Any], test: list[Any] | None = None, **more: Any) -> Dataset:
    splits = {"train": Split(rows, values=train)} | ({} if test is None else {"test": Split(rows, values=test)})
    streams = {"word": Text(), "label": Array("uint8", classes=("no", "yes")), "number": Array("float64")}
    given: dict[str, Any] = {"tag": "word", "target": "label", "checks": {"leakage": "off"}} | more
    return Dataset(NAME, "Words.", streams, splits, **given)


def differ(*datasets: Dataset, **options: Any) -> dict[str, Any]:
    versions = [next(iter(prepare(dataset).values())).version for dataset in datasets]
    return diff(*(f"{dataset.name}@{version}" for dataset, version in zip(datasets, versions)), **options)


SAMPLES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.sampled_from([0.0, 1.5])), max_size=8)


@given(SAMPLES, SAMPLES)
@settings(max_examples=60)
def test_counts_are_those_of_multisets(old: list[Any], new: list[Any]) -> None:
    """Of equal samples as many are the same as both have; of the others, those of one key pair up as changed."""
    first, second = (
        {stream: _Held([row[at] for row in side]) for at, stream in enumerate("xyz")} for side in (old, new)
    )
    totals = [sum_of(side) for side in (first, second)]
    same = _matched(*totals)
    before, after = Counter(old), Counter(new)
    assert len(same[0]) == (before & after).total()
    assert all(old[i] == new[j] for i, j in zip(*same))
    assert len({*same[0].tolist()}) == len({*same[1].tolist()}) == len(same[0])


class _Held(list[Any]):
    """A column in memory."""

    def slice(self, lo: int, hi: int) -> Any:
        return self[lo:hi]

    def take(self, rows: Any) -> Any:
        return [self[i] for i in rows]


def sum_of(side: dict[str, Any]) -> Any:
    total = np.zeros(len(side["x"]), np.uint64)
    for column in side.values():
        total = total * np.uint64(3) + hashes_in(column)[0]
    return total


def test_samples_are_added_removed_and_changed_by_content_wherever_they_stand(home) -> None:
    old = of([["a", 0, 1.0], ["b", 1, 2.0], ["c", 1, 3.0], ["d", 0, 4.0], ["d", 0, 4.0]], [["x", 0, 0.0]])
    new = of([["d", 0, 4.0], ["e", 1, 5.0], ["c", 0, 3.5], ["a", 0, 1.0]], [["x", 0, 0.0]])
    found = differ(old, new)
    train = found["splits"]["train"]
    assert found["total"] == {"same": 3, "changed": 1, "added": 1, "removed": 2} and not found["equal"]
    assert train["contents"] == {
        "same": 2,
        "changed": 1,
        "added": 1,
        "removed": 2,
        "by": "word",
        "streams": {"label": 1, "number": 1},
        "examples": {"changed": [[2, 2]], "added": [1], "removed": [1, 4]},
    }
    assert train["samples"] == [5, 4] and train["classes"] == {"label": {"no": [3, 3], "yes": [2, 1]}}
    assert train["numbers"]["number"]["a"] == {
        "values": 5, "not_finite": 0, "min": 1.0, "max": 4.0, "mean": 2.8, "std": pytest.approx(1.16619)
    }  # fmt: skip
    bars = train["numbers"]["number"]["histogram"]
    assert (sum(bars["a"]), sum(bars["b"]), bars["edges"][0], bars["edges"][-1]) == (5, 4, 1.0, 5.0)
    assert found["splits"]["test"]["equal"]


def test_by_another_stream_and_without_any(home) -> None:
    old, new = of([["a", 0, 1.0], ["b", 1, 2.0]]), of([["z", 0, 1.0], ["b", 1, 2.0]])
    assert differ(old, new)["total"] == {"same": 1, "changed": 0, "added": 1, "removed": 1}
    assert differ(old, new, by="number")["total"] == {"same": 1, "changed": 1, "added": 0, "removed": 0}
    bare = [replace(dataset, tag=None, roles={}) for dataset in (old, new)]
    assert differ(*bare)["splits"]["train"]["contents"]["by"] is None
    with pytest.raises(UnknownStream, match="'wrod' in both .*. Did you mean 'word'"):
        differ(old, new, by="wrod")


@pytest.mark.parametrize("turned", [False, True])
def test_the_stream_that_tells_what_changed_is_one_of_both(turned: bool, home) -> None:
    more = Dataset("org.example.more", "More.", {"word": Text(), "more": Text()}, {"train": Split(worded)})
    apart = replace(more, name="org.example.apart", splits={"other": Split(worded)})
    for other, stream in ((more, "more"), (apart, "word")):
        datasets = [of([["a", 0, 1.0]]), other]
        with pytest.raises(UnknownStream, match=f"No split has a stream '{stream}' in both"):
            differ(*(reversed(datasets) if turned else datasets), by=stream)


def worded() -> Iterator[dict[str, str]]:
    yield {"word": "a", "more": "b"}


def large(count: int, value: int) -> Iterator[dict[str, Any]]:
    for i in range(count):
        yield {"name": str(i), "page": f"{value}{i}" * (1 << 19)}


def test_large_samples_that_changed_are_read_in_little_memory(home) -> None:
    streams = {"name": Text(), "page": Text()}
    old, new = (
        Dataset(NAME, "Large.", streams, {"all": Split(large, count=48, value=value)}, tag="name") for value in (0, 1)
    )
    versions = [next(iter(prepare(dataset).values())).version for dataset in (old, new)]
    tracemalloc.start()
    found = diff(*(f"{NAME}@{version}" for version in versions))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["splits"]["all"]["contents"]["streams"] == {"page": 48}
    assert peak < 60 << 20


@given(st.lists(st.integers(0, 99), max_size=40), st.integers(100, 200))
@settings(max_examples=20, deadline=None)
def test_the_hashes_of_some_rows_are_those_of_the_whole(chosen: list[int], count: int) -> None:
    column = _Held([str(i % 7) for i in range(count)])
    picked = np.array(chosen, np.intp)
    assert (hashes_at(column, picked) == hashes_in(column)[0][picked]).all()


def test_splits_and_streams_that_come_and_go_are_named(home) -> None:
    old, new = of([["a", 0, 1.0]], [["b", 1, 2.0]]), of([["a", 0, 1.0]])
    assert (differ(old, new)["removed"], differ(new, old)["added"]) == ({"test": 1}, {"test": 1})
    assert differ(old, new)["total"] == {"same": 1, "changed": 0, "added": 0, "removed": 1}
    other = replace(new, streams={**new.streams, "label": Array("int16", classes=("no", "maybe", "yes"))})
    schema = differ(new, other)["splits"]["train"]
    assert schema["streams"]["changed"] == {"label": ["array |u1", "array <i2"]} and not schema["equal"]
    assert schema["classes"] == {"label": {"no": [1, 1], "yes": [0, 0], "maybe": [0, 0]}}


def pairs(numbers: list[int]) -> Iterator[dict[str, int]]:
    for number in numbers:
        yield {"number": number}


def test_two_datasets_are_compared_by_what_both_have(home) -> None:
    other = Dataset("org.example.other", "N.", {"number": Array("float64")}, {"train": Split(pairs, numbers=[1, 7])})
    prepare(of([["a", 0, 1.0], ["b", 1, 2.0]]))
    prepare(other)
    found = diff(NAME, "org.example.other")
    assert found["total"] == {"same": 1, "changed": 0, "added": 1, "removed": 1}
    assert set(found["splits"]["train"]["streams"]["removed"]) == {"word", "label"}
    with pytest.raises(NotPrepared):
        diff(NAME, "org.example.unknown")


def test_datasets_without_a_common_stream_have_no_sample_in_common(home) -> None:
    one, other = (
        Dataset(NAME, "N.", {stream: Array("int64")}, {"train": Split(of_stream, stream=stream)}) for stream in "xy"
    )
    assert differ(one, other)["total"] == {"same": 0, "changed": 0, "added": 3, "removed": 3}


def of_stream(stream: str) -> Iterator[dict[str, int]]:
    for number in range(3):
        yield {stream: number}


def test_equal_versions_are_not_read(home, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataset_assets.moving.diff as module

    one = of([["a", 0, 1.0]])
    monkeypatch.setattr(module, "hashes_in", None)
    found = differ(one, replace(one, license="MIT"))
    assert found["a"] != found["b"] and found["equal"] and found["total"]["same"] == 1


def test_every_format_is_compared(home, folder) -> None:
    (folder / "numbers.csv").write_bytes(tiny.NUMBERS)
    dataset = tiny.tiny(f"{folder.as_uri()}/")
    old = prepare(dataset)
    (folder / "numbers.csv").write_bytes(tiny.CHANGED)
    new = prepare(dataset, refresh=True)
    assert diff_views(old, old)["equal"]
    found = diff_views(old, new)["splits"]["test"]["contents"]
    # In the third line of `test` 7 became 70; the stream `image` of its role `sample` shows it too.
    assert (found["same"], found["added"], found["removed"]) == (3, 1, 1)


def test_missing_values_of_tables_are_told_from_zero() -> None:
    import pyarrow as pa

    zero, missing = (pa.table({"n": pa.array([1, n], pa.int64()), "t": ["a", None]}) for n in (0, None))
    assert (hashes_of(zero) == hashes_of(missing)).tolist() == [True, False]
    swapped = pa.table({"a": [1], "bb": [2]}), pa.table({"a": [2], "bb": [1]})
    assert hashes_of(swapped[0]) != hashes_of(swapped[1])


@pytest.mark.parametrize(
    "old, new, bars",
    [
        ([np.nan, np.inf], [1.0], [0, 1]),
        ([], [], None),
        ([-1.7e308], [1.7e308], None),
        ([2.0, 2.0], [2.0], [2, 1]),
        ([1.0], [np.nextafter(1.0, 2.0)], [1, 1]),
        ([5e-324, 0.0], [0.0], [2, 1]),
    ],
)
def test_numbers_that_are_not_finite_or_too_far_apart_are_no_error(old: Any, new: Any, bars: Any) -> None:
    sides = [{"": np.array(values, float)} for values in (old, new)]
    found = compared_numbers("n", *sides)["n"]
    assert found["a"]["not_finite"] == sum(not np.isfinite(value) for value in old)
    histogram = found["histogram"]
    assert (histogram and [sum(histogram["a"]), sum(histogram["b"])]) == bars


def many(rows: int, other: int) -> Iterator[Columns]:
    for lo in range(0, rows, 10_000):
        number = np.arange(lo, lo + 10_000)
        yield Columns(image=np.repeat(number[:, None], 8, 1), label=(number == other).astype("uint8"))


def test_one_change_among_many_is_found(home) -> None:
    streams = {"image": Array("int64"), "label": Array("uint8", classes=("no", "yes"))}
    old, new = (
        Dataset(
            NAME, "Many.", streams, {"all": Split(many, rows=50_000, other=other)}, sample="image", version=str(other)
        )
        for other in (123, 45_678)
    )
    contents = differ(old, new)["splits"]["all"]["contents"]
    assert contents["examples"]["changed"] == [[123, 123], [45_678, 45_678]] and contents["streams"] == {"label": 2}
