"""Texts that are copies but for their form."""

import pytest

from dataset_assets import view_of
from dataset_assets.checks import same_text
from dataset_assets.errors import DefinitionError

TRAIN = view_of({"text": ["A fine day", "Crème brûlée", "ﬁrst", "", "unlike"]})


@pytest.mark.parametrize(
    ("text", "row"),
    [("a FINE day", 0), (" a\tfine\n day ", 0), ("cre\u0300me bru\u0302le\u0301e", 1), ("FIRST", 2), ("a fine day", 0)],
)
def test_case_white_space_and_the_form_of_characters_do_not_count(text: str, row: int) -> None:
    said = same_text("text")({"train": TRAIN, "test": view_of({"text": ["other", text]})})
    assert said is not None and f"test[1] = train[{row}]" in said and said.startswith("1 samples of test are")


def test_other_texts_and_empty_ones_are_no_copies() -> None:
    assert same_text("text")({"train": TRAIN, "test": view_of({"text": ["a fine days", "", "afine day"]})}) is None


def test_only_the_splits_that_are_named_are_compared() -> None:
    views = {"all": TRAIN, "train": TRAIN[:2], "test": TRAIN[2:]}
    assert same_text("text", splits=("train", "test"))(views) is None
    said = same_text("text")(views)
    assert said is not None and "2 samples of train" in said and "2 samples of test" in said


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (same_text("texd"), "train has no stream 'texd' to check. Did you mean 'text'"),
        (same_text("text", splits=("train", "tst")), "There is no split 'tst' to check. Did you mean 'test'"),
        (same_text("n"), "compares texts, and the stream has a int64"),
    ],
)
def test_what_cannot_be_checked_says_so(check, message: str) -> None:
    view = view_of({"text": ["a"], "n": [1]})
    with pytest.raises(DefinitionError, match=message):
        check({"train": view, "test": view})
