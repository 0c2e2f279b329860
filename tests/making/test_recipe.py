"""Recipes: whatever may change a result changes its recipe, and nothing else does."""

import importlib.util
import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import pytest
import tiny
from places import SUPPORT

from dataset_assets import Array, Dataset, DerivedFile, RemoteFile, Split, Text
from dataset_assets.core.source_code import tokens_of
from dataset_assets.making.inputs import Inputs
from dataset_assets.making.recipe import (
    code_of,
    derived_recipe,
    release_code,
    release_recipe,
    split_code,
    split_recipe,
)
from dataset_assets.storage.raw_files import RawFile, Source

numbers = itertools.count()


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], ModuleType]:
    """Make a module of a source, as if its file had been edited meanwhile."""

    def make(source: str) -> ModuleType:
        path = tmp_path / f"edited_{next(numbers)}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location("edited", path)
        assert spec and spec.loader
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    return make


FUNCTION = "def f(x):\n    for y in x:\n        z = y\n        yield z\n"


@pytest.mark.parametrize(
    "edited",
    [
        FUNCTION.replace("    for", "    # a comment\n    for"),
        FUNCTION.replace("z = y", "z  =  y  # why"),
        "\n\n" + FUNCTION,
        FUNCTION.replace("    ", "\t"),
        FUNCTION.replace("in x:\n", "in x:\n\n"),
        FUNCTION.replace("in x:", "in \\\n  x:"),
        FUNCTION + "\nother = 5\ndef g():\n    return 1\n",
    ],
)
def test_layout_comments_and_what_is_not_used_do_not_count(module: Callable[[str], ModuleType], edited: str) -> None:
    assert code_of(module(edited).f) == code_of(module(FUNCTION).f)


@pytest.mark.parametrize(
    "edited",
    [
        FUNCTION.replace("z = y", "z = y + 1"),
        FUNCTION.replace("        yield z", "    yield z"),  # out of the loop: the same words in another block
        FUNCTION.replace("f(x)", "f(x, y=1)"),
        FUNCTION.replace("in x", "in x[1:]"),
    ],
)
def test_code_counts(module: Callable[[str], ModuleType], edited: str) -> None:
    assert code_of(module(edited).f) != code_of(module(FUNCTION).f)


HELPED = """
EVERY, NAMES = 5, ("a", "b")
def helper(x):
    return deeper(x) + EVERY
def deeper(x):
    return helper(x - 1) if x else 0
def unused():
    return 1
def f(x):
    yield [helper(y) for y in x]
"""


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("EVERY, NAMES = 5", "EVERY, NAMES = 6", True),
        ("else 0", "else 1", True),
        ("return deeper(x) + EVERY", "return EVERY + deeper(x)", True),
        ("return 1", "return 2", False),
        ('("a", "b")', '("a", "c")', False),
    ],
)
def test_helpers_and_constants_of_the_same_module_count(
    module: Callable[[str], ModuleType], old: str, new: str, counts: bool
) -> None:
    assert old in HELPED
    assert (code_of(module(HELPED).f) != code_of(module(HELPED.replace(old, new)).f)) == counts


def closing_over(value: Any) -> Callable[..., Any]:
    def f(x: Any) -> Any:
        return x, value

    return f


def test_what_a_function_closes_over_counts() -> None:
    assert code_of(closing_over(1)) == code_of(closing_over(1))
    assert code_of(closing_over(1)) != code_of(closing_over(2))
    assert code_of(closing_over(closing_over(1))) != code_of(closing_over(closing_over(2)))
    assert code_of(closing_over({1: "a", "b": 2})) == code_of(closing_over(object()))  # no JSON: not covered


def test_lambdas_differ_also_where_they_stand_in_one_call() -> None:
    pair = (
        lambda x: x + 1,
        lambda x: x + 2,
    )
    long = [
        lambda x: (
            x + 1
        ),
        lambda x: (
            x + 2
        ),
    ]  # fmt: skip
    assert code_of(pair[0]) != code_of(pair[1])
    assert code_of(long[0]) != code_of(long[1])
    assert code_of(lambda x: x in {"a", "b", "c"}) == code_of(lambda x: x in {"a", "b", "c"})


def test_functions_without_a_source_have_a_code_too() -> None:
    space: dict[str, Any] = {}
    exec("def f(x):\n    return x + 1\ndef g(x):\n    return x + 2\n", space)  # typed at a prompt
    assert code_of(space["f"]) != code_of(space["g"])
    assert code_of(len) != code_of(sorted)
    assert code_of(str.upper) == code_of(str.upper)


class Maker:
    def make(self, x: Any) -> Any:
        return x

    def other(self, x: Any) -> Any:
        return [x]


def test_methods_and_decorated_functions_are_read_too() -> None:
    import functools

    assert code_of(Maker().make) == code_of(Maker().make)
    assert code_of(Maker().make) != code_of(Maker().other)
    cached = functools.lru_cache(closing_over(1))
    assert code_of(cached) == code_of(closing_over(1))


SOURCE = '''
def f(x, *, y: int = 3) -> int:
    # a comment
    s = f"{x}{{}} {y!r:>{x}}" f'{f"{x}"}'
    t = f"""{x}
     {y} """  # another
    if x: return 1
    return [i for i in s] + \\
        list(t) if x is not None else 0x1F + 1_000
'''


def test_tokens_are_those_of_every_version_of_python() -> None:
    assert tokens_of(SOURCE) == (
        'def f ( x , * , y : int = 3 ) -> int : ; { s = f"{x}{{}} {y!r:>{x}}" f\'{f"{x}"}\' ; t = f"""{x}\n'
        '     {y} """ ; if x : return 1 ; return [ i for i in s ] + list ( t ) if x is not None else 0x1F + 1_000 ; }'
    )


def test_a_hash_seed_does_not_show() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tiny; from dataset_assets.making.recipe import *; "
        "print(split_code(tiny.small('https://example.org/numbers.csv'), 'train'), "
        "code_of(lambda x: x in {'a', 'b', 'c'}))"
    )
    run = [sys.executable, "-c", code, str(SUPPORT)]
    found = {
        subprocess.run(run, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout for seed in "123"
    }
    assert len(found) == 1
    assert split_code(tiny.small("https://example.org/numbers.csv"), "train") in found.pop().decode()


# --- of splits, derived files and versions


def samples(a: Any, part: int = 0) -> Any:
    yield {"x": 1}


def others(a: Any, part: int = 0) -> Any:
    yield {"x": 2}


A = RemoteFile("https://a.example/a.csv")


def dataset(**changed: Any) -> Dataset:
    fields: dict[str, Any] = {
        "name": "org.example.recipe",
        "summary": "S.",
        "streams": {"x": Array()},
        "splits": {"all": Split(samples, a=A)},
    }
    return Dataset(**{**fields, **changed})


def recipe(defined: Dataset, sha256: str = "0" * 64) -> str:
    raws = {name: RawFile(name, sha256, 1, "", None, Source("")) for name in defined.remote_files}
    return Inputs(defined, raws, lambda raw: None, lambda: Path()).recipe("all")  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "org.example.other"},
        {"version": "2"},
        {"license": "MIT"},
        {"sample": "x"},
        {"streams": {"x": Array("int64")}},
        {"streams": {"x": Array(), "y": Text()}},
        {"splits": {"all": Split(others, a=A)}},
        {"splits": {"all": Split(samples, a=A, part=0)}},
        {"splits": {"all": Split(samples, a=replace(A, identifier="b"))}},
        {"splits": {"all": Split(samples, a=RemoteFile("https://b.example/a.csv"))}},
        {"splits": {"all": Split(samples, a=DerivedFile("b.csv", others, a=A))}},
    ],
    ids=str,
)
def test_what_is_in_the_index_is_in_the_recipe(changed: dict[str, Any]) -> None:
    assert recipe(dataset(**changed)) != recipe(dataset())


@pytest.mark.parametrize(
    "changed",
    [
        {"summary": "Another."},
        {"tags": ("a",)},
        {"citation": "C."},
        {"refresh": "0 3 * * 1"},
        {"checks": {"leakage": "warn"}},
        {
            "splits": {
                "all": Split(samples, a=RemoteFile("a.csv", mirrors=("https://a.example/", "https://b.example/")))
            }
        },
        {"splits": {"all": Split(samples, a=replace(A, size=5))}},
        {"splits": {"all": Split(samples, a=A), "more": Split(others, a=A)}},
    ],
    ids=str,
)
def test_what_changes_no_index_is_not_in_the_recipe(changed: dict[str, Any]) -> None:
    assert recipe(dataset(**changed)) == recipe(dataset())


def test_the_bytes_of_files_count() -> None:
    assert recipe(dataset(), "1" * 64) != recipe(dataset())
    through = dataset(splits={"all": Split(samples, a=DerivedFile("b.csv", others, a=A))})
    assert recipe(through, "1" * 64) != recipe(through)


def test_a_derived_file_counts_by_its_own_recipe() -> None:
    one, other = DerivedFile("b.csv", others, a=A), DerivedFile("b.csv", others, a=A, part=1)
    assert derived_recipe(one, {"a": "0"}) != derived_recipe(other, {"a": "0"})
    assert derived_recipe(one, {"a": "0"}) != derived_recipe(one, {"a": "1"})
    assert derived_recipe(one, {"a": "0"}) == derived_recipe(DerivedFile("c.csv", others, a=A), {"a": "0"})


def test_a_version_counts_its_splits_and_checks() -> None:
    plain = release_recipe(dataset(), {"all": "0"})
    assert release_recipe(dataset(), {"all": "1"}) != plain
    assert release_recipe(dataset(checks={"leakage": "warn"}), {"all": "0"}) != plain
    assert release_recipe(dataset(checks={"mine": samples}), {"all": "0"}) != release_recipe(
        dataset(checks={"mine": others}), {"all": "0"}
    )
    assert release_code(dataset()) == release_recipe(dataset(), {"all": ""})


def test_a_recipe_is_a_digest_of_json() -> None:
    assert len(split_recipe(dataset(), "all", {"a": ["a_csv", "https://a.example/a.csv", "0" * 64]})) == 64
    assert json.dumps(dataset().splits["all"].plain) == "{}"
