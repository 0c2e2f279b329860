"""Targets are mapped, made one-hot and chosen in every order, and their classes stay known."""

from itertools import product
from typing import Any, Callable

import numpy as np
import pytest

from dataset_assets import View, view_of
from dataset_assets.encoding import OneHot, Remapped
from dataset_assets.errors import DatasetAssetsError, SchemaError, UsageError
from dataset_assets.reading.views import Origin, Stored

CLASSES = {"y": ("a", "b", "c")}
CHANGES: dict[str, Callable[[View], View]] = {
    "swap": lambda view: view.map_targets({0: 1, 1: 0, 2: 2}),
    "merge": lambda view: view.map_targets({0: 1}, unmapped="keep"),
    "keep": lambda view: view.keep_targets(0, 1),
    "drop": lambda view: view.drop_targets(2),
    "half": lambda view: view[::2],
}


def view(tagged: str | None = "y") -> View:
    roles = {"target": "y"} | ({"tag": tagged} if tagged else {})
    held = view_of(i=np.arange(12), y=np.arange(12) % 3, t=[f"t{i}" for i in range(12)])
    assert isinstance(held, Stored)
    return Stored(Origin("org.example.abc", "train", "0", None, roles, CLASSES), held.columns)


@pytest.mark.parametrize("tagged", ["y", "t", None])
@pytest.mark.parametrize("names", [pair for n in (1, 2, 3) for pair in product(CHANGES, repeat=n)][:70], ids="-".join)
def test_one_hot_may_come_at_any_place(names: tuple[str, ...], tagged: str | None) -> None:
    plain = view(tagged)
    for name in names:
        plain = CHANGES[name](plain)
    expected = [(sample["i"], sample["y"]) for sample in plain]
    for place in range(len(names) + 1):
        hot = view(tagged)
        for k, name in enumerate([*names[:place], "hot", *names[place:]]):
            hot = hot.one_hot_targets() if k == place else CHANGES[name](hot)
        assert [(sample["i"], int(sample["y"].argmax())) for sample in hot] == expected
        assert all(sample["y"].sum() == 1 for sample in hot)
        tag = hot.roles["tag"]
        assert hot.one_hot_targets() is hot
        if tagged != "t":
            assert [CLASSES["y"][sample[tag]] for sample in hot] == [CLASSES["y"][i % 3] for i, _ in expected] or (
                tagged is None
            )


@pytest.mark.parametrize(
    ("mapping", "unmapped", "names"),
    [
        ({0: 1, 1: 0, 2: 2}, "error", ("b", "a", "c")),
        ({0: 0, 1: 0, 2: 1}, "error", ("a+b", "c")),
        ({2: 0}, "drop", ("c",)),
        ({0: 2}, "keep", ("unused 0", "b", "a+c")),
        ({0: 7, 1: 8, 2: 9}, "error", None),
    ],
)
def test_mapped_classes_keep_their_names(mapping: Any, unmapped: Any, names: Any) -> None:
    mapped = view().map_targets(mapping, unmapped=unmapped)
    assert mapped.classes.get("y") == names and mapped.classes["tag"] == CLASSES["y"]
    width = len(names) if names else 3
    assert mapped.one_hot_targets()[0]["y"].shape == (width,)


def test_text_that_a_mapping_makes_is_one_hot_by_the_mapping() -> None:
    mapped = view().map_targets({0: "no", 1: "yes", 2: "no"})[::-1].one_hot_targets()
    assert [sample["y"].tolist() for sample in mapped[:2]] == [[1, 0], [0, 1]]
    assert [sample["i"] for sample in mapped.keep_targets("yes")] == [10, 7, 4, 1]
    with pytest.raises(UsageError, match="has no classes for t"):
        view().one_hot_targets(stream="t")


def test_without_a_tag_the_vectors_say_the_class() -> None:
    hot = view().one_hot_targets(tag=True)
    assert hot.streams == ("i", "y", "t")
    assert [sample["i"] for sample in hot.keep_targets(1)] == [1, 4, 7, 10]
    assert [sample["i"] for sample in hot[::2].drop_targets(1)] == [0, 2, 6, 8]


def test_a_vector_of_no_class_is_none_of_the_targets() -> None:
    held = view_of(i=np.arange(6), y=[0, 1, 2, 0, 9, -1])
    hot = held.encode(held[:4].fit_encoders({"y": OneHot(unseen="ignore")}), any_version=True)
    for chosen, kept in (((0,), [0, 3]), ((0, 1, 2), [0, 1, 2, 3]), ((9,), []), ((), [])):
        assert [sample["i"] for sample in hot.keep_targets(*chosen, stream="y")] == kept
        dropped = [sample["i"] for sample in hot.drop_targets(*chosen, stream="y")]
        assert dropped == [i for i in range(6) if i not in kept]
    swapped = hot.map_targets({0: 1, 1: 0}, stream="y", unmapped="keep")
    assert [sample["y"].tolist() for sample in swapped[2:]] == [[0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda view: view.keep_targets([0, 1]), r"targets has \[0, 1\], a list. .*keep_targets\(0, 1\)"),
        (lambda view: view.drop_targets(np.arange(2)), "targets has .*, a ndarray"),
        (lambda view: view.keep_targets(0, stream=3), "no stream 3"),
        (lambda view: view.keep_targets(0, stream=["y"]), r"no stream \['y'\]"),
        (lambda view: view.one_hot_targets(3), "classes is 3, not a sequence"),
        (lambda view: view.one_hot_targets("abc"), "classes is 'abc', not a sequence"),
        (lambda view: view.one_hot_targets([[0], [1]]), r"classes has \[0\], a list"),
        (lambda view: view.map_targets([1, 0, 2]), r"The mapping is \[1, 0, 2\]. Give the new value of each"),
        (lambda view: view.map_targets(None), "The mapping is None"),
        (lambda view: view.map_targets({0: [1]}), r"The mapping has \[1\], a list"),
        (lambda view: view.map_targets({0: 1}, unmapped="drpo"), "unmapped='drpo' is not known. Did you mean 'drop'"),
        (lambda view: view.map_targets({0: 1}, unmapped=None), "unmapped=None is not known"),
        (lambda view: view.one_hot_targets().map_targets({0: "a"}, unmapped="keep"), "of different types"),
        (lambda view: view.map_targets({0: None, 1: 1, 2: 2}).one_hot_targets(), "of different types"),
        (lambda view: Remapped([1, 2]), r"The mapping is \[1, 2\]"),
    ],
)
def test_targets_of_a_wrong_type_are_refused_by_what_they_are(wrong: Any, message: str) -> None:
    with pytest.raises(DatasetAssetsError, match=message):
        wrong(view())


@pytest.mark.parametrize("above", ["cache", "concat", "rename", "map"])
def test_vectors_whose_classes_are_not_known_any_more_are_refused(above: str) -> None:
    stacked: dict[str, Callable[[View], View]] = {
        "cache": View.cache,
        "concat": lambda hot: hot.concat(hot),
        "rename": lambda hot: hot.rename(k="i"),
        "map": lambda hot: hot.map(dict),
    }
    hot = stacked[above](view().one_hot_targets())
    with pytest.raises(SchemaError, match=r"y holds arrays of shape \(3,\), and \('in', \[1\]\) compares single"):
        hot.keep_targets(1)
