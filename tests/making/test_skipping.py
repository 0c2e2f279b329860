"""Bad samples: they stop a split, or are left out and listed, and too many of them refuse the release."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import picture

from dataset_assets import (
    Array,
    BadSample,
    Columns,
    Dataset,
    Ragged,
    RemoteFile,
    Split,
    Table,
    Text,
    dataset_from,
    load,
    prepare,
)
from dataset_assets.errors import CheckFailed, DefinitionError, SchemaError, SplitFailed
from dataset_assets.making.recipe import release_recipe, split_recipe
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage.manifest import SplitIndex

NAME = "org.example.dirty"


def defined(function: Any, on_error: Any = "skip", dtype: str | None = "int64", **arguments: Any) -> Dataset:
    streams = {"n": Array(dtype), "text": Text()}
    return Dataset(NAME, "Dirty.", streams, {"all": Split(function, **arguments)}, on_error=on_error)


def index(dataset: Dataset) -> SplitIndex:
    return index_of(prepare(dataset, storage="memory://dirty")["all"])


def samples(values: list[Any]) -> Iterator[Any]:
    for k, value in enumerate(values):
        yield {"n": value, "text": f"t{k}"}


def blocks(values: list[Any]) -> Iterator[Any]:
    yield {"n": 7, "text": "one"}
    yield Columns(n=values, text=[f"t{k}" for k in range(len(values))])


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from([1, 2, "x", None, 2.5, [1, 2]]), min_size=1, max_size=40))
def test_whatever_does_not_fit_is_left_out_and_the_rest_is_as_it_was(values: list[Any]) -> None:
    good = [(value, f"t{k}") for k, value in enumerate(values) if isinstance(value, int)]
    for function in (samples, blocks):
        dataset = defined(function, values=[1, *values] if function is samples else values)
        made = prepare(dataset, storage="memory://")["all"]
        found = [(int(sample["n"]), sample["text"]) for sample in made]
        shifted = [(value, f"t{int(text[1:]) + 1}") for value, text in good]
        assert found[1:] == (shifted if function is samples else good)
        bad = [1 + k for k, value in enumerate(values) if not isinstance(value, int)]
        assert [each.sample for each in index_of(made).bad] == bad and index_of(made).skipped == len(bad)


def named(sound: int) -> Iterator[Any]:
    for k in range(sound):
        yield {"n": k, "text": "good"}
    yield BadSample(ValueError("cannot be decoded"), "pictures/7.jpg")
    yield {"n": 9}


def test_the_list_says_which_why_and_from_where(home: Any) -> None:
    found = index(defined(named, sound=3))
    first, second = found.bad
    assert (first.sample, first.why, first.source) == (3, "cannot be decoded", "pictures/7.jpg")
    assert second.sample == 4 and "missing: text" in second.why
    assert (found.samples, found.skipped, found.format) == (3, 2, 3)


@pytest.mark.parametrize(("limit", "refused"), [("skip", False), (2, False), (1, True), (0.4, False), (0.39, True)])
def test_a_limit_that_is_exceeded_refuses_the_release(limit: Any, refused: bool, home: Any) -> None:
    dataset = defined(named, limit, sound=3)
    if not refused:
        assert len(prepare(dataset)["all"]) == 3
        return
    with pytest.raises(CheckFailed, match=r"all\.skipped: 2 of 5 samples were skipped.*pictures/7\.jpg") as caught:
        prepare(dataset)
    digest = str(caught.value).partition(f"{NAME}@")[2][:64]
    assert len(load(f"{NAME}@{digest}", "all")) == 3


def test_the_same_samples_serve_any_limit(home: Any) -> None:
    calls = [split_recipe(defined(named, limit, sound=3), "all", {}) for limit in ("skip", 5, 0.5)]
    assert len({*calls}) == 1
    assert prepare(defined(named, 5, sound=3))["all"].version != prepare(defined(named, "skip", sound=3))["all"].version


def test_what_skips_nothing_is_stored_as_before(home: Any) -> None:
    plain, skipping = defined(samples, "raise", values=[1, 2]), defined(samples, "skip", values=[1, 2])
    assert '"on_error"' not in str(plain) and release_recipe(plain, {}) != release_recipe(skipping, {})
    found = index(skipping)
    assert found.format == 1 and not found.skipped
    from dataset_assets.core.canonical import canonical

    assert b"skipped" not in canonical(found) and b'"bad"' not in canonical(found)


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (named, SchemaError, "sample 3.*could not be made: cannot be decoded.*on_error='skip'"),
        (samples, SchemaError, "x"),
    ],
)
def test_without_leave_a_bad_sample_stops_the_split(function: Any, error: Any, said: str, home: Any) -> None:
    arguments = {"sound": 3} if function is named else {"values": [1, "x"]}
    with pytest.raises(error, match=said):
        prepare(defined(function, "raise", **arguments))


def one(text: str) -> dict[str, Any]:
    return {"n": int(text), "text": text}


def mapped(texts: list[str]) -> Any:
    return map(one, texts)


def generated(texts: list[str]) -> Any:
    for text in texts:
        yield one(text)


def test_a_function_that_raises_for_one_sample_may_be_mapped(home: Any) -> None:
    found = index(defined(mapped, texts=["1", "two", "3"]))
    assert found.samples == 2 and found.bad[0].sample == 1
    assert "ValueError: invalid literal for int()" in found.bad[0].why
    # A generator ends with its error.
    with pytest.raises(SplitFailed, match="invalid literal"):
        prepare(defined(generated, texts=["1", "two", "3"]))


class Broken:
    def __iter__(self) -> "Broken":
        return self

    def __next__(self) -> Any:
        raise ValueError("always")


def broken() -> Any:
    return Broken()


def test_a_source_that_always_fails_ends(home: Any) -> None:
    with pytest.raises(SplitFailed, match="always"):
        prepare(defined(broken))


def lines(table: Any) -> Iterator[Any]:
    for line in table:
        yield {"n": line.strip().decode(), "text": "t"}


def test_the_file_is_the_source_of_a_sample_that_names_none(home: Any, tmp_path: Any) -> None:
    (tmp_path / "table.csv").write_text("1\nx\n")
    url = (tmp_path / "table.csv").as_uri()
    found = index(defined(integers, table=RemoteFile(url)))
    assert (found.bad[0].source, found.bad[0].sample) == (url, 1)


def integers(table: Any) -> Iterator[Any]:
    for line in table:
        text = line.strip().decode()
        yield {"n": int(text) if text.isdigit() else text, "text": text}


def test_all_bad_is_an_empty_split_which_is_refused(home: Any) -> None:
    with pytest.raises(CheckFailed, match="no samples"):
        prepare(defined(samples, values=["x", "y"]))


def test_shapes_that_differ_from_the_first_are_bad(home: Any) -> None:
    dataset = defined(arrays, dtype=None)
    assert index(dataset).bad[0].sample == 2 and len(prepare(dataset)["all"]) == 3


def arrays() -> Iterator[Any]:
    for size in (2, 2, 3, 2):
        yield {"n": np.zeros(size), "text": "t"}


@pytest.mark.parametrize("wrong", ["ignore", True, -1, 1.5, None, float("nan")])
def test_what_is_no_choice_is_refused(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match="on_error"):
        defined(samples, wrong, values=[1])


def lists(values: list[Any]) -> Iterator[Any]:
    for value in values:
        yield {"list": value, "row": {"a": value[0] if value else None, "b": None if len(value) > 2 else "text"}}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from([[], [1], [0.5], [3, 4, 5], ["x"]]), min_size=1, max_size=30))
def test_the_first_samples_may_show_no_type(values: list[Any]) -> None:
    values = [[], [], [7, 8], *values]
    streams = {"list": Ragged(), "row": Table()}
    dataset = Dataset(NAME, "Lists.", streams, {"all": Split(lists, values=values)}, on_error="skip")
    view = prepare(dataset, storage="memory://")["all"]
    good = [value for value in values if all(isinstance(each, int) for each in value)]
    assert [sample["list"].tolist() for sample in view] == good
    assert [sample["row"]["a"] for sample in view] == [value[0] if value else None for value in good]


def pictures(fast_path: Path) -> Path:
    for n in range(6):
        path = fast_path / "pets" / "train" / ("cat", "dog")[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture("PNG", 4, 4, seed=n)[: -30 if n == 3 else None])
    (fast_path / "pets" / "train" / "cat" / ".hidden").write_bytes(b"")
    return fast_path / "pets"


def test_a_damaged_picture_of_a_folder_is_named_by_its_path(home: Any, fast_path: Path) -> None:
    dataset = dataset_from(pictures(fast_path), name=NAME)
    with pytest.raises(SchemaError, match=r"train/dog/3\.png: .*damaged picture"):
        prepare(dataset)
    view = prepare(replace(dataset, on_error="skip"))["train"]
    (bad,) = index_of(view).bad
    assert bad.source == "train/dog/3.png" and "damaged picture" in bad.why and len(view) == 5


def unmade(values: list[Any]) -> Iterator[Any]:
    for k, value in enumerate(values):
        yield BadSample("unmade") if value == "unmade" else {"n": value, "text": f"t{k}"}


def test_bad_samples_are_listed_in_their_order() -> None:
    """What could not be made is known before what does not fit, which is found with its block."""
    found = index(defined(unmade, values=[1, "x", 2, "unmade", 3, "y", "unmade"]))
    assert [(one.sample, "unmade" in one.why) for one in found.bad] == [(1, False), (3, True), (5, False), (6, True)]
