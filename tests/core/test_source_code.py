"""The text of functions: their source while a file holds it, wherever it has moved to."""

import importlib.util
import itertools
from pathlib import Path
from types import CodeType
from typing import Callable

import pytest

from dataset_assets.core.source_code import text_of

numbers = itertools.count()
SOURCE = "def f(x):\n    return x + 1\n\ndef g(x):\n    return x + 2\n"
Loaded = Callable[[str], tuple[CodeType, Path]]


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """Return the code of `f` in a module of this source, and its file."""

    def load(source: str) -> tuple[CodeType, Path]:
        path = tmp_path / f"source_{next(numbers)}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.f.__code__, path

    return load


def test_it_is_the_source_without_comments_and_layout(loaded: Loaded) -> None:
    assert text_of(loaded(SOURCE)[0]) == "def f ( x ) : ; { return x + 1 ; }"
    assert text_of(loaded("# one\n\n" + SOURCE.replace("x + 1", "x  +  1  # more"))[0]) == text_of(loaded(SOURCE)[0])


def test_it_is_found_where_an_edit_has_moved_it(loaded: Loaded) -> None:
    code, path = loaded(SOURCE)
    path.write_text("import os\n" * 3 + SOURCE)
    assert text_of(code) == "def f ( x ) : ; { return x + 1 ; }"


@pytest.mark.parametrize("edited", [SOURCE.replace("+ 1", "+ 3"), "", "def f(x:\n", "\0"])
def test_the_compiled_code_stands_for_what_no_file_holds_any_more(loaded: Loaded, edited: str) -> None:
    code, path = loaded(SOURCE)
    path.write_text(edited)
    other, _ = loaded(SOURCE.replace("+ 1", "+ 3"))
    assert "return" not in text_of(code) and text_of(code) != text_of(other)
    gone, path = loaded(SOURCE.replace("+ 1", "+ 4"))
    path.unlink()
    assert text_of(gone) != text_of(code)
