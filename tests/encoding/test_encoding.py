"""Encoders and targets: what is learnt, what is applied, what is written, and what is refused."""

import doctest
import importlib
import json
import pickle
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow
import pytest
import tiny
from counting import calls
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import peak_of

from dataset_assets import Dataset, View, load, prepare, view_from_json, view_of
from dataset_assets.encoding import (
    Encoder,
    Fitted,
    FittedOn,
    OneHot,
    Ordinal,
    Remapped,
    Scaled,
    Vocabulary,
    encoder,
    fitted_to,
    scaled,
)
from dataset_assets.errors import Conflict, DecodeError, SchemaError, UnknownStream, UsageError
from dataset_assets.formats import values_of
from dataset_assets.reading.views import Origin, Stored
from dataset_assets.testing import Stack, check_view, stacks
from dataset_assets.testing.formats import equal

BIRDS = {
    "sex": ["male", "female", None, "male", "female", "male"],
    "mass": [3000.0, 4000.0, None, 5000.0, 3500.0, 4500.0],
    "year": [2007, 2008, 2009, 2007, 2007, 2008],
}


def birds() -> View:
    """A table, a target that is the tag too, a text and an array."""
    held = view_of(
        bird=pyarrow.table(BIRDS),
        species=np.array([0, 1, 2, 0, 1, 0], np.uint8),
        note=["a b a", "b", "c!", "A", "", "b c"],
        size=np.arange(12, dtype=np.float64).reshape(6, 2),
    )
    roles = {"sample": "bird", "target": "species", "tag": "species"}
    classes = {"species": ("Adelie", "Chinstrap", "Gentoo")}
    return Stored(Origin("org.example.birds", "train", "1" * 64, "2" * 64, roles, classes), held.columns)


def as_split(view: View, split: str, index: str = "3", version: str = "2") -> View:
    """The same values as another split, of a version."""
    assert isinstance(view, Stored)
    return Stored(replace(view.origin, split=split, index=index * 64, version=version * 64), view.columns)


def all_encoders() -> dict[str, Encoder]:
    return {
        "bird.sex": OneHot(missing="category"),
        "bird.mass": Scaled(missing="fill"),
        "bird.year": Scaled("min-max"),
        "species": Ordinal(),
        "note": Vocabulary(length=3),
        "size": Scaled("robust"),
    }


# What is learnt


def test_categories_are_learnt_in_ascending_order_from_arrays_lists_and_arrow() -> None:
    for values in (["b", "a", "b"], np.array(["b", "a", "b"]), pyarrow.array(["b", "a", "b"])):
        fitted = fitted_to(Ordinal(), values)
        assert fitted.categories == ("a", "b") and fitted.apply(values).tolist() == [1, 0, 1]
        assert fitted_to(OneHot(), values).apply(values).tolist() == [[0, 1], [1, 0], [0, 1]]


def test_a_missing_category_is_an_error_or_nothing_or_a_category_of_its_own() -> None:
    for values in (["b", None, "a"], pyarrow.array(["b", None, "a"]), pyarrow.chunked_array([["b"], [None, "a"]])):
        with pytest.raises(SchemaError, match="A value is missing. Use missing='ignore' or 'category'"):
            fitted_to(Ordinal(), values)
        assert fitted_to(Ordinal(missing="ignore"), values).apply(values).tolist() == [1, -1, 0]
        assert fitted_to(OneHot(missing="ignore"), values).apply(values).tolist() == [[0, 1], [0, 0], [1, 0]]
        assert fitted_to(OneHot(missing="category"), values).apply(values).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert fitted_to(Ordinal(missing="ignore"), np.array([2.0, np.nan, 1.0])).categories == (1.0, 2.0)


def test_more_categories_than_asked_for_are_refused() -> None:
    with pytest.raises(SchemaError, match="more than 3 categories"):
        fitted_to(OneHot(most=3), np.arange(4))


def test_categories_of_several_types_have_to_be_given() -> None:
    with pytest.raises(SchemaError, match=r"cannot be sorted.*categories=\("):
        fitted_to(Ordinal(), ["a", 1])
    assert fitted_to(Ordinal(categories=("a", 1)), [1]).apply([1, "a"]).tolist() == [1, 0]


floats = st.floats(-1e6, 1e6, width=32)


@given(st.lists(st.lists(st.one_of(floats, st.just(float("nan"))), min_size=1, max_size=9), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_what_blocks_teach_is_what_all_values_at_once_teach(blocks: list[list[float]]) -> None:
    values = np.concatenate([np.array(block) for block in blocks])
    there = values[~np.isnan(values)]
    for how, expected in (
        ("standard", lambda: (there.mean(), there.std())),
        ("min-max", lambda: (there.min(), np.ptp(there))),
        ("robust", lambda: (np.median(there), np.subtract(*np.quantile(there, (0.75, 0.25))))),
    ):
        if not len(there):
            with pytest.raises(SchemaError, match="has only missing or infinite values"):
                fitted_to(Scaled(how, missing="keep"), *map(np.array, blocks))
            continue
        found = fitted_to(Scaled(how, missing="keep"), *map(np.array, blocks))
        centre, scale = expected()
        # The difference of what is nearly equal keeps few digits; such a scale is of no use to anybody.
        assert found.centre == pytest.approx((centre,), rel=1e-9, abs=1e-6)
        if scale > 1e-3:
            assert found.scale == pytest.approx((scale,), rel=1e-6)


def test_scaling_keeps_far_from_zero_what_a_sum_of_squares_would_lose() -> None:
    values = 1e9 + np.array([1.0, 2.0, 3.0, 4.0])
    found = fitted_to(Scaled(), values[:1], values[1:])
    assert found.scale == pytest.approx((np.std([1, 2, 3, 4]),))


def test_each_element_of_an_array_is_a_feature() -> None:
    values = np.array([[[0.0, 10.0]], [[2.0, 30.0]]])
    assert fitted_to(Scaled(), values).apply(values).tolist() == [[[-1, -1]], [[1, 1]]]
    with pytest.raises(SchemaError, match=r"shape \(2,\), but this Scaled was fitted on shape \(1, 2\)"):
        fitted_to(Scaled(), values).apply(values[:, 0])


def test_a_feature_that_never_varies_becomes_zero() -> None:
    for how in ("standard", "min-max", "robust"):
        assert fitted_to(Scaled(how), [7.0, 7.0]).apply([7.0]).tolist() == [0]


def test_a_missing_number_is_an_error_or_stays_or_is_the_middle() -> None:
    values = [1.0, None, 3.0]
    with pytest.raises(SchemaError, match="A value is missing. Use missing='keep' or 'fill'"):
        fitted_to(Scaled(), values)
    assert equal(fitted_to(Scaled(missing="keep"), values).apply(values).tolist(), [-1.0, float("nan"), 1.0])
    assert fitted_to(Scaled(missing="fill"), values).apply(values).tolist() == [-1, 0, 1]
    assert fitted_to(Scaled("min-max", missing="fill"), values).apply(values).tolist() == [0, 0.5, 1]


def test_text_is_no_number() -> None:
    for values in (["1", "2"], np.array(["1"]), pyarrow.array(["1"])):
        with pytest.raises(SchemaError, match="holds only numbers.*OneHot or Ordinal"):
            fitted_to(Scaled(), values)


def test_quantiles_of_many_rows_are_those_of_a_uniform_sample_in_bounded_memory() -> None:
    # Sorted and in blocks: a sample that favoured any place would be far off.
    blocks = [np.arange(k << 16, (k + 1) << 16, dtype=np.float64) for k in range(24)]
    n = 24 << 16
    assert peak_of(lambda: fitted_to(Scaled("robust"), *blocks)) < 12 * scaled.SAMPLE * 8
    found = fitted_to(Scaled("robust"), *blocks)
    assert found.centre[0] == pytest.approx(n / 2, abs=0.01 * n) and found.centre[0] != (n - 1) / 2
    assert found.scale[0] == pytest.approx(n / 2, rel=0.02)
    assert fitted_to(Scaled("robust"), np.concatenate(blocks)).centre == found.centre


def test_the_most_frequent_words_come_first_after_the_special_ones() -> None:
    texts = ["The cat sat.", "the cat", "The dog's"]
    found = fitted_to(Vocabulary(size=6), texts[:1], texts[1:])
    assert found.words == ("<pad>", "<unknown>", "the", "cat", "'", ".")
    assert found.apply(["THE bird"])[0].tolist() == [2, 1]
    assert fitted_to(Vocabulary(min_count=2), texts).words[2:] == ("the", "cat")
    assert fitted_to(Vocabulary("whitespace"), texts).words[2:4] == ("The", "cat")
    assert fitted_to(Vocabulary("characters", special=("_", "?", "$")), ["ab$"]).words == ("_", "?", "$", "a", "b")
    assert fitted_to(Vocabulary(length=2), texts).apply(["cat", "", "the cat the"]).tolist() == [[3, 0], [0, 0], [2, 3]]


def test_what_was_not_fitted_says_so() -> None:
    for kind in (Ordinal(), OneHot(), Scaled(), Vocabulary()):
        with pytest.raises(UsageError, match=r"is not fitted. Fit it on a view first: view.fit_encoders\(...\)"):
            kind.apply(["a"] if isinstance(kind, Vocabulary) else [1])
        with pytest.raises(UsageError, match="to fit on"):
            fitted_to(kind)


def test_an_unknown_choice_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'robust'"):
        Scaled("robst")  # type: ignore[arg-type]


# On views


def test_the_features_of_a_table_become_one_matrix_in_its_place() -> None:
    view = birds()
    found = view.encode(view.fit_encoders(all_encoders()))
    assert found.streams == ("bird", "species", "note", "size")
    matrix = found.to_numpy()["bird"]
    assert matrix.dtype == np.float32 and matrix.shape == (6, 5)
    assert found.columns("bird") == ("bird.sex=female", "bird.sex=male", "bird.sex=None", "bird.mass", "bird.year")
    assert matrix[:, :3].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert matrix[:, 4].tolist() == [0, 0.5, 1, 0, 0, 0.5] and matrix[2, 3] == 0
    assert found.to_numpy()["note"].tolist()[0] == [2, 3, 2]


def test_into_puts_numbers_and_categories_of_several_streams_side_by_side() -> None:
    view = view_of(kind=["b", "a"], size=np.array([[1.0, 2.0], [3.0, 2.0]]), other=[1, 2])
    found = view.encode(view.fit_encoders({"kind": OneHot(), "size": Scaled()}, into="x"))
    assert found.streams == ("x", "other") and found.columns("x") == ("kind=a", "kind=b", "size[0]", "size[1]")
    assert found.to_numpy()["x"].tolist() == [[0, 1, -1, 0], [1, 0, 1, 0]]
    with pytest.raises(UsageError, match="Two streams would be named other"):
        view.encode(view.fit_encoders({"kind": OneHot()}, into="other"))


def test_an_encoded_view_keeps_all_laws() -> None:
    view = birds()
    check_view(view.encode(view.fit_encoders(all_encoders())))
    check_view(view.encode(view.fit_encoders(all_encoders()))[:0])


@given(stacks())
@settings(max_examples=60, deadline=None)
def test_any_stack_can_be_encoded_and_stacked_on(stack: Stack) -> None:
    if stack.of != "single" or not stack.samples or "number" not in stack.samples[0]:
        return
    fitted = Fitted({"number": Remapped({k: k + 100 for k in range(-99, 99)})})
    expected = [{**sample, "number": sample["number"] + 100} for sample in stack.samples]
    view = stack.view.encode(fitted)
    assert equal(list(view), expected) and equal([view[i] for i in range(len(view))], expected)
    assert equal(list(view[::-1].map(_itself)), expected[::-1])
    assert equal(values_of(view.rows_of(("number",), slice(0, len(view)))["number"]), [s["number"] for s in expected])


def _itself(sample: Any) -> Any:
    return sample


def test_encoding_reads_nothing_before_a_sample_is_asked_for_and_then_only_what_it_needs() -> None:
    asked = []

    def watched(sample: Any) -> Any:
        asked.append(sample["n"])
        return sample

    view = view_of(n=list(range(10))).map(watched)
    fitted = view_of(n=list(range(10))).fit_encoders({"n": Scaled("min-max")})
    found = view.encode(fitted)
    len(found)
    asked.clear()
    assert next(iter(found)) == {"n": 0.0} and asked == [0]


def test_fitting_reads_a_view_once_and_holds_little_of_it() -> None:
    calls = []

    def counted(sample: Any) -> Any:
        calls.append(1)
        return sample

    view = view_of(a=list(range(50)), b=list(range(50))).map(counted)
    view.streams  # noqa: B018  looks at the first sample
    calls.clear()
    view.fit_encoders({"a": Scaled(), "b": Ordinal()})
    assert len(calls) == 50

    large = view_of(x=np.ones((400_000, 8)))
    assert peak_of(lambda: large.fit_encoders({"x": Scaled()})) < 400_000 * 8 * 8 / 1.2


def test_numbers_are_encoded_in_blocks_much_faster_than_by_sample() -> None:
    view = view_of(x=np.random.default_rng(0).random(200_000), k=np.arange(200_000) % 10)
    found = view.encode(view.fit_encoders({"x": Scaled(), "k": OneHot()}))
    found[0]
    assert calls(lambda: found.rows(slice(0, len(found)))) < 100 * calls(lambda: found[1])


def test_a_single_sample_costs_as_much_of_many_categories_as_of_few() -> None:
    import time

    def cost(categories: int) -> float:
        values = [f"word{k}" for k in range(categories)]
        view = view_of(text=values, kind=values)
        found = view.encode(view.fit_encoders({"text": Vocabulary(size=20_000, length=1), "kind": Ordinal()}))
        found[0]
        start = time.perf_counter()
        for i in range(200):
            found[i % categories]
        return time.perf_counter() - start

    assert any(cost(10_000) < 5 * cost(10) for _ in range(10))


def test_an_unseen_value_is_an_error_that_names_feature_value_and_split() -> None:
    fitted = birds().fit_encoders({"bird.sex": OneHot(missing="ignore")})
    held = view_of(bird=pyarrow.table({"sex": ["mal"], "mass": [1.0], "year": [1]}))
    test = Stored(Origin("org.example.birds", "test", "3" * 64, "2" * 64), held.columns)
    with pytest.raises(SchemaError, match="feature bird.sex of org.example.birds test: 'mal' .*Did you mean 'male'"):
        test.encode(fitted)[0]
    ignoring = birds().fit_encoders({"bird.sex": OneHot(missing="ignore", unseen="ignore")})
    assert test.encode(ignoring)[0]["bird"].tolist() == [0, 0]


def test_a_feature_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownStream, match="Did you mean 'species'"):
        birds().fit_encoders({"specis": Ordinal()})
    with pytest.raises(UnknownStream, match=r"bird\.sex.*Did you mean 'mass'"):
        birds().fit_encoders({"bird.mas": Scaled()})
    with pytest.raises(UnknownStream, match="is a table: name one of its fields"):
        birds().fit_encoders({"bird": Scaled()})
    with pytest.raises(UnknownStream, match="is not a table"):
        birds().fit_encoders({"species.x": Ordinal()})


# What is written

GOLDEN = (
    '{"features": [{"encoder": "one_hot", "feature": "bird.sex", "state": {"categories": ["female", "male", null], '
    '"missing": "category", "most": 10000, "unseen": "error"}}, {"encoder": "scaled", "feature": "bird.mass", "state": '
    '{"centre": [4000.0], "fill": [4000.0], "how": "standard", "missing": "fill", "scale": [707.1067811865476], '
    '"shape": []}}, {"encoder": "vocabulary", "feature": "note", "state": {"length": 2, "min_count": 1, "size": 20000, '
    '"special": ["<pad>", "<unknown>"], "tokenizer": "words", "words": ["<pad>", "<unknown>", "a", "b", "c", "!"]}}, '
    '{"encoder": "mapping", "feature": "species", "state": {"pairs": [[0, 1], [1, 0], [2, 2]], "unmapped": "error"}}], '
    '"fitted_on": {"samples": 6, "splits": [{"dataset": "org.example.birds", "index": "' + "1" * 64 + '", "split": '
    '"train", "version": "' + "2" * 64 + '"}]}, "format": 1, "into": null}'
)


def golden() -> Fitted:
    return birds().fit_encoders(
        {
            "bird.sex": OneHot(missing="category"),
            "bird.mass": Scaled(missing="fill"),
            "note": Vocabulary(length=2),
            "species": Remapped({0: 1, 1: 0, 2: 2}),
        }
    )


def test_what_was_fitted_is_this_json_and_that_json_encodes_the_same() -> None:
    assert golden().to_json() == GOLDEN
    again = Fitted.from_json(GOLDEN)
    assert again == golden() == Fitted.from_json(json.loads(GOLDEN)) and again.to_json() == GOLDEN
    assert equal(list(birds().encode(again)), list(birds().encode(golden())))


def test_every_encoder_survives_json_and_pickle() -> None:
    fitted = birds().fit_encoders(all_encoders())
    assert Fitted.from_json(fitted.to_json()) == fitted == pickle.loads(pickle.dumps(fitted))


def test_an_encoded_view_is_made_again_of_its_arguments() -> None:
    view = birds().map_targets({0: 1, 1: 0, 2: 2})
    plain = json.loads(json.dumps(view.arguments()))
    again = type(view).build(plain, view.parents)
    assert equal(list(again), list(view)) and again.roles == view.roles


@pytest.mark.parametrize(
    "document",
    [
        "{", "[]", "{}", '{"format": 2}',
        GOLDEN.replace('"scaled"', '"scale"'), GOLDEN.replace('"how": "standard"', '"how": "best"'),
        GOLDEN.replace('"fill"', '"fil"'), GOLDEN.replace('"samples": 6', '"samples": "many"'),
    ],
)  # fmt: skip
def test_what_is_no_fitted_encoder_is_refused(document: str) -> None:
    with pytest.raises(DecodeError):
        Fitted.from_json(document)


def test_encoders_of_another_version_are_refused_unless_asked_for() -> None:
    fitted = birds().fit_encoders({"species": Ordinal()})
    assert fitted.on == (FittedOn("org.example.birds", "train", "1" * 64, "2" * 64),) and fitted.samples == 6
    test, later = as_split(birds(), "test"), as_split(birds(), "test", "4", "5")
    assert len(test.encode(fitted)) == 6
    for other in (later, later[::2].concat(test), as_split(birds(), "train", "6", "2")):
        with pytest.raises(Conflict, match="any_version=True"):
            other.encode(fitted)
        assert len(other.encode(fitted, any_version=True)) == len(other)
    assert view_of(species=[1]).encode(fitted)[0] == {"species": 1}


def test_encoders_fitted_on_a_prepared_dataset_know_its_version(home: Any, dataset: Dataset) -> None:
    splits = prepare(dataset)
    train, test = splits["train"], splits["test"]
    fitted = Fitted.from_json(
        train.fit_encoders({"row.number": Scaled(), "row.word": OneHot(unseen="ignore", missing="ignore"),
                            "label": OneHot(), "image": Scaled(), "text": Vocabulary()}).to_json()
    )  # fmt: skip
    assert fitted.on[0].version == train.version and fitted.on[0].split == "train"
    check_view(test.encode(fitted))
    check_view(pickle.loads(pickle.dumps(test.encode(fitted))))
    assert len(load(tiny.NAME)["test"].encode(fitted)) == 4


# What leaks


def test_fitting_on_the_test_split_is_refused_unless_it_is_said_not_to_be_held_out() -> None:
    test = as_split(birds(), "test")
    for view in (test, birds().concat(test), birds().concat(test).map(_itself)[2:]):
        with pytest.raises(UsageError, match="org.example.birds test, which is held out"):
            view.fit_encoders({"species": Ordinal()})
        assert view.fit_encoders({"species": Ordinal()}, held_out=()).samples == len(view)
    with pytest.raises(UsageError, match="held out"):
        as_split(birds(), "validation").fit_encoders({"species": Ordinal()}, held_out=("test", "validation"))


def test_fitting_on_what_varies_at_random_is_refused() -> None:
    for view in (birds().map(_noisy, random=True), birds().map(_noisy, random=True).shuffle(0).only("species")):
        with pytest.raises(UsageError, match="Cannot fit on a random map: its samples change every epoch"):
            view.fit_encoders({"species": Ordinal()})


def _noisy(sample: Any, chance: np.random.Generator) -> Any:
    return {**sample, "noise": chance.random()}


# In stacks


def test_an_encoded_stack_is_written_as_json_and_opened_again(home: Any, dataset: Dataset) -> None:
    train = prepare(dataset)["train"]
    fitted = train.fit_encoders({"row.number": Scaled(), "row.half": Scaled("min-max"), "text": Vocabulary(length=2)})
    view = train.shuffle(1).encode(fitted).map_targets({0: 1, 1: 0}).keep_targets(1, stream="label").shuffle(2)
    again = view_from_json(view.to_json())
    assert equal(list(again), list(view)) and len(view) == 3 and again.fingerprint() == view.fingerprint()
    other = train.shuffle(1).encode(train.fit_encoders({"text": Vocabulary(length=3)}))
    assert other.fingerprint() != train.shuffle(1).encode(fitted).fingerprint()


def test_at_another_epoch_the_same_encoders_stand_on_another_order() -> None:
    view = birds().shuffle(0).encode(birds().fit_encoders({"size": Scaled()}))
    later = view.at_epoch(1)
    assert not equal(list(later), list(view)) and equal(sorted(map(str, later)), sorted(map(str, view)))


def test_a_sample_that_is_encoded_tells_where_it_comes_from() -> None:
    view = birds()[::-1].encode(birds().fit_encoders({"size": Scaled()}))
    assert [found.row for i in range(6) for found in view.lineage(i)] == [5, 4, 3, 2, 1, 0]


# One's own


@encoder("test_lengths")
@dataclass(frozen=True)
class Lengths:
    """A text as its share of the longest one."""

    longest: int | None = None

    def learn(self, known: Any, values: Any) -> int:
        return max(known or 0, *map(len, values))

    def learnt(self, known: Any) -> "Lengths":
        return replace(self, longest=known)

    def apply(self, values: Any) -> Any:
        return np.array([len(value) for value in values], np.float32) / self.longest


def test_an_encoder_of_ones_own_is_fitted_applied_and_written() -> None:
    view = birds()
    fitted = Fitted.from_json(view.fit_encoders({"note": Lengths()}).to_json())
    assert view.encode(fitted).to_numpy()["note"].tolist() == pytest.approx([1, 0.2, 0.4, 0.2, 0, 0.6])


def test_an_encoder_without_a_name_is_used_but_not_written() -> None:
    class Nameless(Lengths):
        pass

    fitted = birds().fit_encoders({"note": Nameless()})
    assert birds().encode(fitted)[0]["note"] == 1
    with pytest.raises(UsageError, match=r"@encoder\(...\)"):
        fitted.to_json()
    with pytest.raises(UsageError, match="already belongs to the encoder Lengths"):
        encoder("test_lengths")(Nameless)


# Targets


def test_targets_are_mapped_all_at_once_and_never_twice() -> None:
    view = birds()
    assert view.to_numpy()["species"].tolist() == [0, 1, 2, 0, 1, 0]
    assert view.map_targets({1: 0, 0: 5, 2: 1}).to_numpy()["species"].tolist() == [5, 0, 1, 5, 0, 5]


def test_an_unmapped_target_is_an_error_or_is_kept_or_dropped() -> None:
    view = birds()
    with pytest.raises(SchemaError, match="feature species of org.example.birds train: 2 is not mapped.*'keep' or"):
        list(view.map_targets({0: 1, 1: 0}))
    assert view.map_targets({0: 1, 1: 0}, unmapped="keep").to_numpy()["species"].tolist() == [1, 0, 2, 1, 0, 1]
    dropped = view.map_targets({0: 1, 1: 0}, unmapped="drop")
    assert dropped.to_numpy()["species"].tolist() == [1, 0, 1, 0, 1] and len(dropped) == 5
    for bad in ({}, [(0, 1), (0, 2)], {0: 1, 1: "a"}):
        with pytest.raises(UsageError, match="mapping"):
            view.map_targets(bad)  # type: ignore[arg-type]


def test_targets_may_become_text_and_text_targets_numbers() -> None:
    assert list(birds().map_targets({0: "a", 1: "b", 2: "b"}).tuples("species"))[:3] == [("a",), ("b",), ("b",)]
    assert list(view_of(y=["x", "y"]).map_targets({"x": 1, "y": 0}, stream="y").tuples("y")) == [(1,), (0,)]


def test_the_tag_stays_unless_asked() -> None:
    mapped = birds().map_targets({0: 1, 1: 0, 2: 0})
    assert dict(mapped.roles) == {"sample": "bird", "target": "species", "tag": "tag"}
    assert mapped.to_numpy()["tag"].tolist() == [0, 1, 2, 0, 1, 0]
    merged = ("Chinstrap+Gentoo", "Adelie")
    assert dict(mapped.classes) == {"tag": ("Adelie", "Chinstrap", "Gentoo"), "species": merged}
    both = birds().map_targets({0: 1, 1: 0, 2: 0}, tag=True)
    assert both.roles["tag"] == "species" and "tag" not in both.streams and both.classes == {"species": merged}
    check_view(mapped)
    assert birds().one_hot_targets().to_numpy()["tag"].tolist() == [0, 1, 2, 0, 1, 0]


def test_samples_are_kept_or_dropped_by_their_target() -> None:
    view = birds()
    assert [sample["bird"]["year"] for sample in view.keep_targets(1, 2)] == [2008, 2009, 2007]
    assert view.drop_targets(1, 2).to_numpy()["species"].tolist() == [0, 0, 0]
    assert [s["note"] for s in view.keep_targets("b", stream="note")] == ["b"]
    assert view.keep_targets("Gentoo", "Adelie").to_numpy()["species"].tolist() == [0, 2, 0, 0]
    with pytest.raises(UsageError, match="species of .* has no class 'Gento'. Did you mean 'Gentoo'"):
        view.drop_targets("Gento")
    with pytest.raises(UsageError, match="5 is not a class of species. Classes are numbers from 0 to 2, or names: Ade"):
        view.keep_targets(5)
    with pytest.raises(UnknownStream, match="has no target stream"):
        view_of(x=[1]).keep_targets(1)


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        (("==", "Gentoo"), [2]),
        (("!=", "Adelie"), [1, 2, 1]),
        (("in", ["Gentoo", "Adelie"]), [0, 2, 0, 0]),
        (("not in", ("Adelie",)), [1, 2, 1]),
        (("in", ["Gentoo", 0]), [0, 2, 0, 0]),
    ],
)
def test_samples_are_filtered_by_the_names_of_classes(where: Any, kept: list[int]) -> None:
    view = birds().filter(where, column="species")
    assert view.to_numpy()["species"].tolist() == kept
    check_view(view)


def test_a_text_that_no_number_can_equal_is_refused_in_a_filter() -> None:
    for where in (("==", "Gento"), ("in", ["Adelie", "Gento"])):
        with pytest.raises(UsageError, match="species of .* has no class 'Gento'. Did you mean 'Gentoo'"):
            birds().filter(where, column="species")
    with pytest.raises(UsageError, match="bird.year of .* has numbers, and '2008' is a text"):
        birds().filter(("==", "2008"), column="bird.year")
    assert len(birds().filter(("==", "b"), column="note")) == 1


def test_one_hot_targets_are_of_the_declared_classes_or_of_those_given() -> None:
    view = birds()
    assert view[:2].one_hot_targets().to_numpy()["species"].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert view_of(y=[3, 1]).one_hot_targets((1, 3), stream="y").to_numpy()["y"].tolist() == [[0, 1], [1, 0]]
    with pytest.raises(UsageError, match="has no classes for y"):
        view_of(y=[3]).one_hot_targets(stream="y")


# What DataStack's users rely on; the number is that of the check


STEPS = {
    "mapped": lambda view: view.map_targets({0: 1, 1: 0, 2: 2}, unmapped="keep"),
    "filtered": lambda view: view.select([k for k in range(len(view)) if k % 3]),
    "encoded": lambda view: view.encode(birds().fit_encoders(
        {"bird.mass": Scaled(missing="fill"), "bird.sex": OneHot(missing="ignore")})),
    "custom": lambda view: view.encode(birds().fit_encoders({"note": Lengths()})),
    "shuffled": lambda view: view[np.random.default_rng(0).permutation(len(view))],
    "one-hot": lambda view: view.one_hot_targets(range(3)),
}  # fmt: skip


@given(st.permutations(sorted(set(STEPS) - {"one-hot"})), st.integers(0, 2))
@settings(max_examples=20, deadline=None)
def test_check_10_all_of_these_stack_in_any_order_and_keep_names_and_roles(names: list[str], at: int) -> None:
    view: View = birds()
    # Vectors are no targets to map, so they come after.
    after = names.index("mapped") + 1
    for name in [*names[: after + at], "one-hot", *names[after + at :]]:
        view = STEPS[name](view)
        assert (view.dataset, view.split, view.version) == ("org.example.birds", "train", "2" * 64)
        assert (view.roles["sample"], view.roles["target"]) == ("bird", "species")
        assert view.roles["tag"] in ("species", "tag") and view.roles["tag"] in view.streams
    assert len(view) == 4 and view[0]["species"].sum() == 1 and len(view[0]["bird"]) == 3
    by_note = {sample["note"]: sample["tag"] for sample in view}
    assert set(by_note.values()) <= {0, 1, 2}
    check_view(view)


def test_check_10_encoders_learn_from_the_train_split_only() -> None:
    train = birds()
    far = view_of(size=np.full((2, 2), 1000.0))
    test = Stored(Origin("org.example.birds", "test", "3" * 64, "2" * 64), far.columns)
    fitted = train.fit_encoders({"size": Scaled()})
    assert test.encode(fitted).to_numpy()["size"].min() > 100


ROOMS = ("encoder", "categories", "scaled", "targets", "values", "words")


@pytest.mark.parametrize("module", [f"dataset_assets.encoding.{name}" for name in ROOMS])
def test_the_examples_in_docstrings_are_true(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.failed == 0
