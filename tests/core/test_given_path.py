"""Paths of callers: a str or a Path; everything else is one typed error wherever a path is taken."""

import doctest
from pathlib import Path
from typing import Any, Callable

import pytest

import dataset_assets.core.given_path as module
from dataset_assets import dataset_from_yaml, export, register, view_of
from dataset_assets.core.given_path import given_path
from dataset_assets.errors import UsageError
from dataset_assets.moving.register import adopt, create

TAKERS: list[Callable[[Any], object]] = [
    given_path, dataset_from_yaml, register, create, lambda path: export(view_of(n=[1]), path, "parquet"),
]  # fmt: skip


def test_a_text_and_a_path_are_paths() -> None:
    assert given_path("a") == given_path(Path("a")) == Path("a") and not doctest.testmod(module).failed


@pytest.mark.parametrize("given", [None, 5, b"x", ["x"], "a\0b"])
def test_what_is_no_path_is_refused_wherever_one_is_taken(given: Any, home: Path) -> None:
    for take in TAKERS if given is None else [*TAKERS, adopt]:
        with pytest.raises(UsageError, match="is not a path. Pass a str or a Path"):
            take(given)
