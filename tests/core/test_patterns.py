"""Patterns of paths mean what they mean to the shell."""

import doctest
import glob
import os
from pathlib import Path

import pytest

from dataset_assets.core import patterns
from dataset_assets.core.patterns import MOST_ALTERNATIVES, matcher, split_pattern
from dataset_assets.errors import UsageError

PATHS = ["a.csv", "b.CSV", "data/a.csv", "data/x/a.csv", "data/x/b-1.csv", "data/[a].csv", "é/{a}.csv", "data/y/ab"]


@pytest.mark.parametrize(
    "pattern",
    ["*", "*.csv", "**/*.csv", "data/*/a.csv", "data/**", "data/?.csv", "data/x/[ab]*", "data/x/[!b]*", "**/a?"],
)
def test_a_pattern_matches_what_glob_finds(pattern: str, tmp_path: Path) -> None:
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = {path for path in glob.glob(pattern, root_dir=tmp_path, recursive=True) if os.path.isfile(tmp_path / path)}
    assert {path for path in PATHS if matcher(pattern).fullmatch(path)} == found
    folder, rest = split_pattern(pattern)
    assert folder + rest == pattern and "*" not in folder


def test_alternatives_and_the_examples_of_the_module() -> None:
    assert [path for path in PATHS if matcher("data/x/{a,b-1}.csv").fullmatch(path)] == [
        "data/x/a.csv",
        "data/x/b-1.csv",
    ]
    assert doctest.testmod(patterns).failed == 0


def test_a_pattern_that_stands_for_very_many_is_refused_at_once() -> None:
    assert matcher("{a,b}" * 10).fullmatch("ab" * 5)
    with pytest.raises(UsageError, match=f"more than {MOST_ALTERNATIVES}"):
        matcher("{a,b}" * 60)
