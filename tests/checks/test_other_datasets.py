"""Comparing with other datasets, in a definition that is prepared."""

from dataclasses import replace
from pathlib import Path

import pytest

from dataset_assets import Dataset, Split, Text, load, prepare
from dataset_assets.checks import against, near_text, same_text
from dataset_assets.errors import CheckFailed, DefinitionError


def said(texts):
    for text in texts:
        yield {"text": text}


def of(name: str, **splits: list[str]) -> Dataset:
    return Dataset(name, "Texts.", {"text": Text()}, {split: Split(said, texts=t) for split, t in splits.items()})


def test_a_dataset_with_texts_of_a_benchmark_is_not_released(home: Path) -> None:
    prepare(of("org.example.benchmark", test=["What is the capital of France, and who built it?", "unlike"]))
    ours = of("org.example.ours", train=["what is the capital of FRANCE and who built it", "mine"], test=["mine too"])
    prepare(ours)
    released = load("org.example.ours", "train").version
    for check in (same_text("text"), near_text("text")):
        checked = replace(ours, checks={"benchmark": against(check, "org.example.benchmark")})
        if check.func is same_text("text").func:
            # Punctuation counts there.
            assert prepare(checked)["train"].version != released
            continue
        with pytest.raises(CheckFailed, match=r"train\[0\] ~ org.example.benchmark \(test\)\[0\]"):
            prepare(checked)


def test_the_splits_are_not_compared_with_each_other(home: Path) -> None:
    prepare(of("org.example.benchmark", test=["unlike"]))
    checks = {"benchmark": against(same_text("text"), "org.example.benchmark"), "leakage": "off"}
    prepare(replace(of("org.example.ours", train=["mine"], test=["MINE"]), checks=checks))
    with pytest.raises(DefinitionError, match="no dataset to compare"):
        against(same_text("text"))


def test_a_changed_threshold_is_a_new_recipe_and_an_equal_one_is_not(home: Path) -> None:
    ours = of("org.example.ours", train=["a b c"], test=["d e f"])
    first, again, other = (
        prepare(replace(ours, checks={"near": near_text("text", at)}))["train"].version for at in (0.7, 0.7, 0.8)
    )
    assert first == again != other
