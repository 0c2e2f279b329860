"""What is taken out on request: a record that grows, holds no value, and is applied to all or nothing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.errors import Conflict, DecodeError, NewerFormat, UsageError
from dataset_assets.storage import MemoryStorage, exclusions
from dataset_assets.storage.exclusions import (
    Exclusions,
    Rule,
    add,
    are_within,
    enforce,
    joined,
    own_rules,
    rules_for,
    take_over,
    text_of,
)
from dataset_assets.storage.keys import excluded_key
from dataset_assets.storage.manifest import sealed
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.people"
DIGESTS = [f"{k:064x}" for k in range(5)]
RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from([NAME, "org.example.more"]),
        st.sampled_from(["id", "person"]),
        st.sampled_from(["0" * 32, "1" * 32]),
        st.lists(st.sampled_from(DIGESTS), min_size=1).map(tuple),
    ),
    max_size=4,
).map(tuple)


@pytest.fixture
def stored() -> StoredDataset:
    return StoredDataset(MemoryStorage(), NAME)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ann", "ann"),
        (np.str_("ann"), "ann"),
        (pyarrow.scalar("ann"), "ann"),
        ("", ""),
        (17, "17"),
        (np.uint64(2**64 - 1), str(2**64 - 1)),
        (np.array(17, np.int8), "17"),
        (pyarrow.scalar(17), "17"),
        (17.0, "17"),
        (np.float32(17), "17"),
        (True, "1"),
        (np.bool_(False), "0"),
        (0.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (None, None),
        (b"ann", None),
        ([17], None),
        (np.array([17]), None),
    ],
)
def test_a_value_has_one_text_however_it_is_held(value: Any, text: str | None) -> None:
    assert text_of(value) == text


@settings(max_examples=60)
@given(RULES, RULES, RULES)
def test_records_merge_by_union(a: tuple[Rule, ...], b: tuple[Rule, ...], c: tuple[Rule, ...]) -> None:
    assert joined(a, b) == joined(b, a) == joined(a, b, a)
    assert joined(joined(a, b), c) == joined(a, joined(b, c))
    assert are_within(a, joined(a, b)) and are_within(b, joined(a, b))
    assert are_within(joined(a, b), a) == are_within(b, a)
    # The same is left out, so what was made with either is the same.
    assert Exclusions(a, b).digest == Exclusions(b, a).digest == Exclusions(joined(a, b)).digest
    assert (Exclusions(a).digest == "") == (not a)


def test_rules_are_pending_until_a_version_is_released(stored: StoredDataset) -> None:
    first = add(stored, rules_for(stored, {"id": ["ann"]}))
    assert first.permit("") and first.permit(first.digest) and not first.permit("0" * 64)
    assert not enforce(stored, first.digest).permit("")
    second = add(stored, rules_for(stored, {"id": ["bob"]}))
    assert second.permit(first.digest) and second.permit(second.digest) and not second.permit("")
    with pytest.raises(Conflict, match="were taken out while a version was made"):
        enforce(stored, first.digest)
    assert exclusions.exclusions(stored) == second
    last = enforce(stored, second.digest)
    assert not last.permit(first.digest) and not last.pending
    assert add(stored, second.rules) == last


def test_a_record_says_no_value(stored: StoredDataset) -> None:
    add(stored, rules_for(stored, {"id": ["ann@example.org", "17"], "person": ["Ann"]}))
    data = stored.excluded()
    assert b"ann" not in data.lower() and b'"17"' not in data
    rules = own_rules(stored, exclusions.exclusions(stored))
    assert [rule.stream for rule in rules] == ["id", "person"]
    assert rules[0].has("17") and rules[0].has(np.int64(17)) and not rules[0].has("18") and not rules[1].has("17")


def test_a_stream_keeps_its_salt_and_others_have_others(stored: StoredDataset) -> None:
    add(stored, rules_for(stored, {"id": ["ann"], "person": ["ann"]}))
    add(stored, rules_for(stored, {"id": ["bob"]}))
    rules = exclusions.exclusions(stored).every
    assert [len(rule.digests) for rule in rules] == [2, 1]
    assert rules[0].salt != rules[1].salt and not {*rules[0].digests} & {*rules[1].digests}


def test_several_processes_add_at_once(stored: StoredDataset) -> None:
    add(stored, rules_for(stored, {"id": ["first"]}))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: add(stored, rules_for(stored, {"id": [f"id {k}"]})), range(40)))
    (rule,) = exclusions.exclusions(stored).every
    assert len(rule.digests) == 41 and all(rule.has(f"id {k}") for k in range(40))


def test_a_record_that_nobody_can_read_lets_nothing_pass(stored: StoredDataset) -> None:
    key = excluded_key(NAME)
    add(stored, rules_for(stored, {"id": ["ann"]}))
    data = stored.excluded()
    for broken in (data[:-1], data.replace(b'"id"', b'"di"'), b"", b"{}", sealed({"rules": 1, "pending": []})):
        stored.storage.put(key, broken or b" ")
        with pytest.raises(DecodeError, match="it is not known which samples of org.example.people must stay out"):
            exclusions.exclusions(stored)
    newer = data.replace(b'"format":1', b'"format":2')
    assert newer != data
    stored.storage.put(key, newer)
    with pytest.raises(DecodeError):
        exclusions.exclusions(stored)


def test_a_newer_record_is_said_to_be_newer(stored: StoredDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr("dataset_assets.storage.manifest.FORMAT", 3)
        stored.storage.put(excluded_key(NAME), sealed({"rules": [], "pending": []}))
    with pytest.raises(NewerFormat, match="Upgrade dataset_assets"):
        exclusions.exclusions(stored)


def test_a_record_has_a_size_limit(stored: StoredDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exclusions, "MOST_BYTES", 1000)
    add(stored, rules_for(stored, {"id": ["ann"]}))
    with pytest.raises(UsageError, match="at most 1000 are possible. Leave these samples out in the split's function"):
        add(stored, rules_for(stored, {"id": map(str, range(20))}))
    assert len(exclusions.exclusions(stored).every[0].digests) == 1


def test_a_record_of_another_storage_is_taken_over(stored: StoredDataset) -> None:
    other = StoredDataset(MemoryStorage(), NAME)
    add(other, rules_for(other, {"id": ["ann"]}))
    theirs = enforce(other, exclusions.exclusions(other).digest)
    take_over(stored, theirs, released=False)
    before = exclusions.exclusions(stored)
    assert before.permit("") and before.permit(theirs.digest)
    take_over(stored, theirs, released=True)
    assert exclusions.exclusions(stored) == theirs
    # A rule that is pending there is pending here too.
    pending = add(other, rules_for(other, {"id": ["bob"]}))
    take_over(stored, pending, released=True)
    found = exclusions.exclusions(stored)
    assert found.permit(theirs.digest) and found.permit(pending.digest) and not found.permit("")
