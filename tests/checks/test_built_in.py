"""Checks: what they find, and that leakage is found exactly, by content, in linear time."""

import re
import time
from collections import Counter
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import Array, Bytes, Columns, Dataset, Files, Ragged, Split, Table, Text, load, prepare
from dataset_assets.checks.built_in import check_leakage, check_split, run_own
from dataset_assets.checks.classes import classes_in
from dataset_assets.checks.duplicates import blocks, content, sample_hashes, shared
from dataset_assets.errors import CheckFailed
from dataset_assets.formats import Column, Format
from dataset_assets.storage import LocalStorage
from dataset_assets.storage.manifest import Finding, StoredFile, StoredStream
from dataset_assets.storage.stored_dataset import StoredDataset


class Held:
    """A column in memory, of which slices and gathers are blocks of the kind that its format gives."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: int) -> Any:
        return self.values[i]

    def take(self, indices: Any, out: Any = None) -> Any:
        return (
            self.values[indices] if isinstance(self.values, np.ndarray) else [self.values[i] for i in indices.tolist()]
        )

    def slice(self, lo: int, hi: int) -> Any:
        return self.values[lo:hi]


def stored(samples: int, parameters: Mapping[str, Any]) -> StoredStream:
    return StoredStream("array", parameters, 1, ".npy", (StoredFile("0" * 64, 1, samples),))


def leakage(**splits: Any) -> Finding:
    return check_leakage({name: {"x": Held(values)} for name, values in splits.items()}, {"sample": "x"})


def colliding(columns: Sequence[Column]) -> Any:
    """The worst of hashes: all samples have the same."""
    return np.zeros(len(columns[0]), np.uint64)


def nearly_colliding(columns: Sequence[Column]) -> Any:
    return sample_hashes(columns) % np.uint64(3)


# --- counts, schema, classes


def findings(samples: int, parameters: Mapping[str, Any], values: Any) -> dict[str, Finding]:
    found = check_split(samples, {"x": stored(samples, parameters)}, {"x": Held(values)})
    return {finding.check: finding for finding in found}


def test_counts_want_a_sample() -> None:
    assert findings(3, {}, np.zeros(3))["counts"] == Finding("counts", True, "3 samples.")
    assert not findings(0, {}, np.zeros(0))["counts"].passed


def test_schema_wants_as_many_values_as_samples() -> None:
    assert findings(3, {"dtype": "<f8", "shape": [2]}, np.zeros((3, 2)))["schema"].message == "x: array <f8 2."
    wrong = findings(3, {}, np.zeros(2))["schema"]
    assert not wrong.passed
    assert wrong.message == "Of 3 samples, x has 2, its files say 3."


@pytest.mark.parametrize(
    ("values", "outside", "first"),
    [
        (np.array([0, 1, 2], np.uint8), 0, ""),
        (np.array([0, 3, 2]), 1, "first 3 in sample 1"),
        (np.array([-1, 0]), 1, "first -1 in sample 0"),
        (np.array([0.0, 1.0, 2.0]), 0, ""),
        (np.array([0.0, 1.5, np.nan, np.inf, -np.inf, 2.0]), 4, "first 1.5 in sample 1"),
        (np.array([-0.0]), 0, ""),
        (np.array([True, False]), 0, ""),
        (np.array([2**63, 1], np.uint64), 1, f"first {2**63} in sample 0"),
        (np.array(["0", "1"]), 2, "first '0' in sample 0"),
        (np.array([[0, 1], [2, 9]]), 1, "first 9 in sample 1"),
        (np.arange(100_000) % 3, 0, ""),
        (np.where(np.arange(100_000) == 77_777, 5, 0), 1, "first 5 in sample 77777"),
    ],
)
def test_classes_are_whole_numbers_in_range(values: Any, outside: int, first: str) -> None:
    found = findings(len(values), {"classes": ["a", "b", "c"]}, values)["classes"]
    assert found.passed == (not outside)
    if outside:
        assert found.message == f"x has {outside} values that are none of its 3 classes, {first}."
    assert classes_in(Held(values), 3).outside == outside


def test_classes_without_a_sample_are_told_and_allowed() -> None:
    assert findings(2, {"classes": ["a", "b", "c"]}, np.array([0, 2]))["classes"] == Finding(
        "classes", True, "x has no sample of b."
    )
    assert findings(2, {"classes": ["a", "b"]}, np.array([0, 1]))["classes"].message == "All classes occur."
    assert findings(2, {}, np.array([0, 1]))["classes"].message == "No classes declared."


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"dtype": "|u1", "shape": [28, 28]}, "array |u1 28x28"),
        ({}, "array"),
        ({"fields": [1, 2]}, "table of 2 fields"),
    ],
)
def test_a_stream_is_described_in_a_few_words(parameters: dict[str, Any], text: str) -> None:
    assert stored(1, parameters).in_words == text


# --- T7: duplicates inside a split, across splits and nearly so; a group on both sides


def grouped(views: Any) -> str | None:
    train, test = ({int(sample["group"]) for sample in views[split]} for split in ("train", "test"))
    return f"group {min(train & test)} is on both sides" if train & test else None


def rows(x: list[float], group: list[int]) -> Any:
    yield Columns(x=np.array(x), group=np.array(group))


T7: dict[str, tuple[list[float], list[float], list[int], str]] = {
    "nothing": ([1.0, 2.0], [3.0], [9], ""),
    "duplicates inside a split": ([1.0, 1.0], [3.0], [9], ""),
    "a near duplicate": ([1.0, 2.0], [2.0000001], [9], ""),
    "a duplicate across splits": ([1.0, 2.0], [2.0], [9], "1 samples of test are also in train: test[0] = train[1]."),
    "the same group on both sides": ([1.0, 2.0], [3.0], [1], "group 1 is on both sides"),
}


@pytest.mark.parametrize("case", T7)
@pytest.mark.parametrize("severity", ["error", "warn"])
def test_t7_what_is_found_is_counted_and_stored_with_the_version(home: Path, case: str, severity: str) -> None:
    train, test, group, message = T7[case]
    splits = {"train": Split(rows, x=train, group=[0, 1]), "test": Split(rows, x=test, group=group)}
    checks: Any = {"leakage": severity, "groups": grouped}
    dataset = Dataset("org.example.t7", "Samples.", {"x": Array(), "group": Array()}, splits, sample="x", checks=checks)
    stored = StoredDataset(LocalStorage(home / "storage"), dataset.name)
    if message and (severity == "error" or "group" in message):
        with pytest.raises(CheckFailed, match=re.escape(message)):
            prepare(dataset)
        [digest] = stored.versions()
        assert stored.pointer().version is None
    else:
        digest = str(prepare(dataset)["train"].version)
    found = [finding for finding in stored.version(digest).findings if not finding.passed]
    assert [finding.message for finding in found] == ([message] if message else [])


# --- leakage, by hand


def test_a_planted_sample_is_found_with_its_places() -> None:
    chance = np.random.default_rng(0)
    train, test = chance.integers(0, 255, (500, 28, 28), np.uint8), chance.integers(0, 255, (100, 28, 28), np.uint8)
    assert leakage(train=train, test=test) == Finding(
        "leakage", True, "No sample of one split is in another (train, test)."
    )
    test[7] = train[123]
    found = leakage(train=train, test=test)
    assert not found.passed
    assert found.message == "1 samples of test are also in train: test[7] = train[123]."


def test_duplicates_inside_a_split_are_no_leak() -> None:
    assert leakage(train=np.zeros(10), test=np.ones(10)).passed
    assert leakage(only=np.zeros(10)).passed


def test_every_pair_of_splits_is_looked_at() -> None:
    found = leakage(a=np.array([1, 2]), b=np.array([3, 2]), c=np.array([3, 1, 1]))
    assert found.message == (
        "1 samples of b are also in a: b[1] = a[1]; 2 samples of c are also in a: c[1] = a[0], c[2] = a[0]; "
        "1 samples of c are also in b: c[0] = b[0]."
    )


def test_five_are_shown_and_all_are_counted() -> None:
    found = leakage(train=np.arange(9), test=np.arange(9))
    assert found.message.startswith("9 samples of test are also in train: test[0] = train[0], ")
    assert found.message.endswith("test[4] = train[4], ....")


def test_empty_splits_share_nothing() -> None:
    assert leakage(train=np.zeros((0, 3)), test=np.zeros((2, 3))).passed
    assert leakage(train=np.zeros((2, 3)), test=np.zeros((0, 3))).passed


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (np.array([1, 0], np.int8), np.array([1, 0], np.uint8)),
        (np.zeros((2, 2, 8)), np.zeros((2, 4, 4))),
        (np.array([0.0]), np.array([-0.0])),
        (np.array([1, 2], "<i4"), np.array([1, 2], "<i8")),
        (["a"], ["a "]),
        ([b""], [b"\0"]),
        ([{"n": 1}], [{"n": 1.0}]),
        ([{"n": "1"}], [{"n": 1}]),
        ([{"n": None}], [{"n": "null"}]),
    ],
)
def test_what_is_only_like_it_is_no_leak(train: Any, test: Any) -> None:
    assert leakage(train=train, test=test).passed


@pytest.mark.parametrize(
    "same", [np.array([[np.nan]]), [b""], [""], [{"n": float("nan")}], np.zeros((1, 0)), [{"a": 1, "b": 2}]]
)
def test_what_is_equal_byte_for_byte_is_a_leak(same: Any) -> None:
    assert not leakage(train=same, test=same).passed


def test_without_a_sample_stream_all_but_target_and_tag_are_compared() -> None:
    def split(x: list[int], y: list[int], label: list[int]) -> dict[str, Held]:
        return {"x": Held(np.array(x)), "y": Held(np.array(y)), "label": Held(np.array(label))}

    train, test = split([1, 2], [3, 4], [0, 0]), split([1, 2], [9, 4], [5, 6])
    roles = {"target": "label"}
    found = check_leakage({"train": train, "test": test}, roles)
    assert found.message == "1 samples of test are also in train: test[1] = train[1]."
    assert check_leakage({"train": train, "test": test}, {}).passed
    labels = {"train": {"label": Held(np.array([1]))}, "test": {"label": Held(np.array([1]))}}
    assert not check_leakage(labels, roles).passed


# --- leakage, held against sets


def oracle(train: Sequence[Any], test: Sequence[Any]) -> list[int]:
    known = {content(value) for value in train}
    return [j for j, value in enumerate(test) if content(value) in known]


ARRAYS = st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), max_size=12)
VALUES = {
    "array": ARRAYS.map(lambda rows: np.array(rows, np.uint8).reshape(-1, 3)),
    "wide": ARRAYS.map(lambda rows: np.array(rows, np.float64).reshape(-1, 3, 1)),
    "scalar": st.lists(st.integers(0, 4), max_size=12).map(lambda row: np.array(row, np.int64)),
    "text": st.lists(st.text("aé", max_size=2), max_size=12),
    "bytes": st.lists(st.binary(max_size=1), max_size=12),
    "ragged": st.lists(st.lists(st.integers(0, 1), max_size=2).map(lambda row: np.array(row, np.int32)), max_size=12),
    "table": st.lists(st.fixed_dictionaries({"n": st.integers(0, 1), "w": st.sampled_from([None, "a"])}), max_size=12),
}
HASHES = {"ours": sample_hashes, "colliding": colliding, "nearly": nearly_colliding}


@pytest.mark.parametrize("hashes", HASHES)
@pytest.mark.parametrize("kind", VALUES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_shared_samples_are_those_that_a_set_finds(kind: str, hashes: str, data: st.DataObject) -> None:
    train, test = data.draw(VALUES[kind]), data.draw(VALUES[kind])
    first, second = [Held(train)], [Held(test)]
    here, there = shared(first, HASHES[hashes](first), second, HASHES[hashes](second))
    assert there.tolist() == oracle(train, test)
    assert [content(train[i]) for i in here.tolist()] == [content(test[j]) for j in there.tolist()]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from("ab")), max_size=10),
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from("ab")), max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_several_streams_are_equal_only_together(train: list[tuple[int, str]], test: list[tuple[int, str]]) -> None:
    def columns(rows: list[tuple[int, str]]) -> list[Held]:
        return [Held(np.array([n for n, _ in rows], np.int64)), Held([w for _, w in rows])]

    for hashes in HASHES.values():
        first, second = columns(train), columns(test)
        _, there = shared(first, hashes(first), second, hashes(second))
        assert there.tolist() == [j for j, row in enumerate(test) if row in set(train)]


STREAMS: dict[str, tuple[Format, list[Any]]] = {
    "array": (Array(), [np.full((2, 2), k, np.float32) for k in range(6)]),
    "text": (Text(), ["a", "b", "é", "", "ab", "c"]),
    "bytes": (Bytes(), [b"a", b"b", b"\0", b"", b"ab", b"c"]),
    "ragged": (Ragged("int64"), [[1], [2], [], [1, 2], [2, 1], [3]]),
    "table": (Table({"n": "int64", "w": "string"}), [{"n": k, "w": None if k % 2 else "w"} for k in range(6)]),
    "files": (Files(), [(f"{k}.txt", b"content %d" % k) for k in range(6)]),
}


def some(kind: str, places: list[int]) -> Any:
    for place in places:
        yield {"x": STREAMS[kind][1][place]}


@pytest.mark.parametrize("kind", STREAMS)
def test_leaks_are_found_in_every_format_as_it_is_stored(home: Path, kind: str) -> None:
    def dataset(name: str, **places: list[int]) -> Dataset:
        splits = {split: Split(some, kind=kind, places=at) for split, at in places.items()}
        return Dataset(f"org.example.{name}", "Samples.", {"x": STREAMS[kind][0]}, splits)

    assert prepare(dataset("sound", train=[0, 0, 1, 2], dev=[3], test=[4, 5]))
    with pytest.raises(
        CheckFailed,
        match=r"leakage: 2 samples of test are also in train: test\[0\] = train\[2\], test\[2\] = train\[0\]\.",
    ):
        prepare(dataset("leaking", train=[0, 1, 2], dev=[3], test=[2, 4, 0]))


def test_a_file_is_its_bytes_not_its_name(home: Path) -> None:
    def named(name: str) -> Any:
        yield {"x": (name, b"content")}

    splits = {"train": Split(named, name="a.txt"), "test": Split(named, name="b.txt")}
    with pytest.raises(CheckFailed, match="1 samples of test"):
        prepare(Dataset("org.example.files", "Files.", {"x": Files()}, splits))


def test_files_of_a_stream_are_read_as_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def numbers(first: int, last: int) -> Any:
        for k in range(first, last, 10):
            yield Columns(x=np.arange(k, k + 10))

    monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", "1")
    splits = {"train": Split(numbers, first=0, last=60), "test": Split(numbers, first=50, last=100)}
    with pytest.raises(CheckFailed, match=r"10 samples of test are also in train: test\[0\] = train\[50\]"):
        prepare(Dataset("org.example.parts", "Parts.", {"x": Array()}, splits))


# --- severities


@pytest.mark.parametrize("severity", ["error", "warn", "off"])
def test_how_bad_a_leak_is_stands_in_the_definition(home: Path, severity: str) -> None:
    splits = {"train": Split(some, kind="text", places=[0, 1]), "test": Split(some, kind="text", places=[1])}
    dataset = Dataset("org.example.severe", "Samples.", {"x": Text()}, splits, checks={"leakage": severity})
    if severity == "error":
        with pytest.raises(CheckFailed):
            prepare(dataset)
        return
    prepare(dataset)
    storage = LocalStorage(home / "storage")
    version = StoredDataset(storage, dataset.name).version(str(StoredDataset(storage, dataset.name).pointer()[0]))
    found = [(finding.passed, finding.severity) for finding in version.findings if finding.check == "leakage"]
    assert found == ([(False, "warn")] if severity == "warn" else [])
    assert not version.refused


def test_a_splits_own_checks_may_be_warnings_too(home: Path) -> None:
    def labels() -> Any:
        yield Columns(x=[0, 5])

    dataset = Dataset(
        "org.example.lax", "S.", {"x": Array(classes=("a",))}, {"all": Split(labels)}, checks={"classes": "warn"}
    )
    assert len(prepare(dataset)["all"]) == 2
    assert len(load(dataset.name, "all")) == 2


def test_a_check_of_ones_own_says_what_is_wrong_or_none() -> None:
    assert run_own("mine", lambda views: None, {}) == Finding("mine", True, "Passed.", "error")
    assert run_own("mine", lambda views: "", {}) == Finding("mine", True, "Passed.", "error")
    assert run_own("mine", lambda views: "Too few.", {}) == Finding("mine", False, "Too few.", "error")


# --- cost


@pytest.mark.parametrize("hashes", HASHES)
def test_many_equal_samples_cost_no_more_than_many_different_ones(hashes: str) -> None:
    count = 60_000 if hashes == "ours" else 20_000
    train = {"x": Held(np.zeros((count, 16), np.uint8))}
    test = {"x": Held(np.zeros((count, 16), np.uint8))}
    began = time.process_time()
    found = check_leakage({"train": train, "test": test}, {"sample": "x"}, HASHES[hashes])
    assert f"{count} samples of test are also in train: test[0] = train[0]" in found.message
    assert time.process_time() - began < 10


def test_colliding_hashes_of_different_samples_cost_a_digest_each() -> None:
    train = {"x": Held(np.arange(10_000))}
    test = {"x": Held(np.arange(10_000) + 9_999)}
    began = time.process_time()
    found = check_leakage({"train": train, "test": test}, {"sample": "x"}, colliding)
    assert found.message == "1 samples of test are also in train: test[0] = train[9999]."
    assert time.process_time() - began < 15


@pytest.mark.parametrize(
    ("values", "most"),
    [
        (np.zeros((100, 1_000_000), np.uint8), 8_000_000),
        ([b"x" * 3_000_000] * 50, 8_000_000 + 15 * 3_000_000),
        (np.zeros(5_000_000), 8_400_000),
        (["a"] * 300_000, 8_400_000),
    ],
)
def test_blocks_are_a_few_megabytes_whatever_the_values_are(values: Any, most: int) -> None:
    sizes, rows = [], 0
    for block in blocks(Held(values)):
        sizes.append(block.nbytes if isinstance(block, np.ndarray) else sum(map(len, block)))
        rows += len(block)
    assert rows == len(values)
    assert max(sizes[1:] or sizes) <= most
    assert len(sizes) < 30 or max(sizes[1:]) > 500_000


def test_hashes_of_different_rows_differ() -> None:
    rows = np.random.default_rng(0).integers(0, 2, (50_000, 40), np.uint8)
    different = len(np.unique(rows, axis=0))
    assert len(np.unique(sample_hashes([Held(rows)]))) == different
    words = [format(k, "b") for k in range(20_000)]
    assert Counter(sample_hashes([Held(words)]).tolist()).most_common(1)[0][1] == 1
