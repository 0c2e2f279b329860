"""Texts that are nearly copies."""

from collections.abc import Callable

import numpy as np
import pytest

from dataset_assets import view_of
from dataset_assets.checks import near_text
from dataset_assets.errors import DefinitionError

CHANCE = np.random.default_rng(5)


def words(count: int) -> list[str]:
    return [f"w{n}" for n in CHANCE.zipf(1.3, count) % 5000]


def changed(text: list[str], count: int) -> list[str]:
    found = list(text)
    for k in range(count):
        found[1 + 7 * k] = f"new{k}"
    return found


CHANGES: list[Callable[[list[str]], str]] = [
    lambda text: " ".join(changed(text, 3)),
    lambda text: ", ".join(text).upper() + "!",
    lambda text: " ".join(text[8:]),
    lambda text: " ".join([*text, *words(8)]),
    lambda text: "  ".join([*text[40:], *text[:40]]),
]


@pytest.mark.parametrize("change", CHANGES)
def test_all_planted_copies_are_found_and_nothing_else(change: Callable[[list[str]], str]) -> None:
    train, test = [words(80) for _ in range(400)], [" ".join(words(80)) for _ in range(300)]
    for k in range(50):
        test[k * 6] = change(train[k * 3])
    views = {"train": view_of({"text": [" ".join(text) for text in train]}), "test": view_of({"text": test})}
    said = near_text("text")(views)
    assert said is not None and said.startswith("50 samples of test are nearly the same as one of train: ")
    assert "test[0] ~ train[0], test[6] ~ train[3]" in said


def test_short_texts_and_scripts_without_spaces_are_compared_too() -> None:
    train = view_of(
        {"text": ["yes", "我们今天去公园散步吧朋友们", "", "one two three four five six seven eight nine ten"]}
    )
    test = view_of(
        {"text": ["no", "我们今天去公园散步吧朋友", "", "Yes.", "one two three four five six seven eight nine"]}
    )
    said = near_text("text")({"train": train, "test": test})
    assert said is not None and "test[1] ~ train[1], test[3] ~ train[0], test[4] ~ train[3]," in said
    assert near_text("text")({"train": train, "test": test[:1]}) is None


@pytest.mark.parametrize(
    "one, other", [("!!! ??? :-)", "!!! ??? :-)"), ("🙂🙂🙂🙂", "🙂🙂🙂🙂"), ("ผมชอบกินข้าวผัดกุ้ง", "ผมชอบกินข้าวผัดกุ้งๆ")]
)
def test_marks_and_further_scripts_without_spaces_are_compared_by_character(one: str, other: str) -> None:
    views = {"train": view_of({"text": ["...", one]}), "test": view_of({"text": [other, "a", ""]})}
    said = near_text("text")(views)
    assert said is not None and said.startswith("1 samples of test") and "test[0] ~ train[1]" in said


def test_the_threshold_decides() -> None:
    text = words(60)
    views = {"train": view_of({"text": [" ".join(text)]}), "test": view_of({"text": [" ".join(changed(text, 4))]})}
    assert near_text("text", 0.7)(views) and near_text("text", 0.95)(views) is None
    for wrong in (0.2, "a", None):
        with pytest.raises(DefinitionError, match=rf"threshold is {wrong!r}\. Give a number from 0\.5 to 1"):
            near_text("text", wrong)  # type: ignore[arg-type]


def test_a_thousand_equal_texts_are_all_found() -> None:
    same = " ".join(words(30))
    said = near_text("text")({"train": view_of({"text": [same] * 1000}), "test": view_of({"text": [same] * 1000})})
    assert said is not None and said.startswith("1000 samples of test")
