"""The error tree, its exit codes, and the end of a message."""

import builtins
import doctest
import inspect
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dataset_assets.errors as module
from dataset_assets.errors import DatasetAssetsError, nearest

CLASSES = {name: found for name, found in inspect.getmembers(module, inspect.isclass) if "dataset" in found.__module__}
LINE = re.compile(r"^    (?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: +\((?P<builtin>\w+)\))?(?: +(?P<code>\d))?(?= |$)")


def drawn() -> list[tuple[str, str | None, str | None, int | None]]:
    """Return (name, parent, builtin, exit code) for each line of the drawing."""
    found: list[tuple[str, str | None, str | None, int | None]] = []
    above: dict[int, str] = {}
    for line in filter(None, map(LINE.match, module.__doc__.splitlines())):
        depth = len(line["indent"])
        parent = next((above[d] for d in sorted(above, reverse=True) if d < depth), None)
        above = {d: name for d, name in above.items() if d < depth} | {depth: line["name"]}
        found.append((line["name"], parent, line["builtin"], int(line["code"]) if line["code"] else None))
    return found


def test_the_drawing_has_each_class_once():
    assert sorted(name for name, *_ in drawn()) == sorted(CLASSES)


@pytest.mark.parametrize("name, parent, builtin, code", drawn())
def test_the_drawing_is_the_tree(name, parent, builtin, code):
    bases = [CLASSES[parent]] if parent else [Exception]
    bases += [getattr(builtins, builtin)] if builtin else []
    assert list(CLASSES[name].__bases__) == bases
    assert CLASSES[name].exit_code == (code if code is not None else CLASSES[parent].exit_code)


def test_each_class_of_failure_has_its_own_exit_code():
    ours = [found for found in CLASSES.values() if DatasetAssetsError in found.__bases__]
    codes = [found.exit_code for found in ours if found.exit_code != DatasetAssetsError.exit_code]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes


@pytest.mark.parametrize("error", CLASSES.values())
def test_errors_are_caught_as_ours_and_pass_between_processes(error):
    with pytest.raises(DatasetAssetsError, match="^What is. What to do.$"):
        raise error("What is. What to do.")
    again = pickle.loads(pickle.dumps(error("What is.")))
    assert type(again) is error
    assert str(again) == "What is."


@pytest.mark.parametrize("error", CLASSES.values())
def test_errors_are_shown_as_their_messages(error):
    """Python shows its own KeyError in quotes."""
    assert str(error("It's so.")) == "It's so."


def test_the_examples_in_the_docstrings_run():
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


@given(st.text(), st.lists(st.text(max_size=9)))
def test_the_nearest_is_one_of_those_there_are(name, candidates):
    found = nearest(name, candidates)
    assert found.startswith(" ")
    assert found.endswith((".", "?"))
    if "Did you mean" in found:
        assert any(repr(candidate) in found for candidate in candidates)


def test_of_many_candidates_some_are_listed():
    assert nearest("zz", [f"a{i}" for i in range(99)]).endswith("a11, ....")
    assert nearest("zz", []) == " There are none."
    assert nearest("zz", ["a"], listed=False) == ""
    assert nearest("ab", ["abc"], listed=False) == " Did you mean 'abc'?"
