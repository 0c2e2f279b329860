"""Identities of callables: whatever decides what a callable returns is in them, and nothing else is."""

import collections
import dataclasses
import enum
import functools
import importlib
import json
import operator
import random
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest

from dataset_assets.core.callables import identity_of
from dataset_assets.core.value_digest import NoDigest, digest_of_value

SCALE = 2
FILE = open(__file__)  # noqa: SIM115
TABLE = np.arange(3)
LOCK = threading.Lock()


class Unit(enum.Enum):
    METRE = 1
    FOOT = 2


class Point(NamedTuple):
    x: int
    y: int


class Scaler:
    limit = 5

    def __init__(self, by: Any) -> None:
        self.by = by

    def __call__(self, sample: Any) -> Any:
        return sample * self.by

    def scaled(self, sample: Any) -> Any:
        return sample * self.by

    @functools.cached_property
    def squared(self) -> Any:
        return self.by**2


class Doubler(Scaler):
    def __call__(self, sample: Any) -> Any:
        return super().__call__(sample) * 2


@dataclasses.dataclass(frozen=True)
class Slotted:
    by: int
    __slots__ = ("by",)

    def __call__(self, sample: Any) -> Any:
        return sample * self.by


def scale(sample: Any, by: Any = 2) -> Any:
    return sample * by


def keyword(sample: Any, *, by: Any = 2) -> Any:
    return sample * by


def with_globals(sample: Any) -> Any:
    with LOCK:
        return sample * SCALE + TABLE


def even(n: int) -> bool:
    return odd(n - 1) if n else True


def odd(n: int) -> bool:
    return even(n - 1) if n else False


def closing_over(value: Any) -> Callable[[Any], Any]:
    def f(sample: Any) -> Any:
        return sample, value

    return f


def decorated(by: int) -> Callable[[Any], Any]:
    @functools.wraps(scale)
    def wrapper(sample: Any) -> Any:
        return scale(sample) * by

    return wrapper


class Evil(Scaler):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class NoState(Scaler):
    def __reduce__(self) -> Any:
        return 5


def loop() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


DIFFERENT: dict[str, tuple[Any, Any]] = {
    "arguments of a partial": (functools.partial(scale, by=2), functools.partial(scale, by=3)),
    "kinds of an argument": (functools.partial(scale, by=1), functools.partial(scale, by=True)),
    "a list and a tuple": (functools.partial(scale, by=[1]), functools.partial(scale, by=(1,))),
    "pairs and a mapping": (functools.partial(scale, by=[["a", 1]]), functools.partial(scale, by={"a": 1})),
    "functions of a partial": (functools.partial(scale, by=2), functools.partial(keyword, by=2)),
    "positional and by name": (functools.partial(scale, 2), functools.partial(scale, sample=2)),
    "lambdas": (lambda sample: sample + 1, lambda sample: sample + 2),
    "which argument a lambda returns": (lambda a, b: a, lambda a, b: b),  # noqa: ARG005
    "cells": (closing_over(1), closing_over(2)),
    "arrays in cells": (closing_over(np.zeros(3)), closing_over(np.ones(3))),
    "dtypes": (closing_over(np.zeros(2, "i4")), closing_over(np.zeros(2, "u4"))),
    "names of fields": (closing_over(np.zeros(2, [("a", "i4")])), closing_over(np.zeros(2, [("b", "i4")]))),
    "functions in cells": (closing_over(closing_over(1)), closing_over(closing_over(2))),
    "sets": (closing_over({1, 2}), closing_over({1, 3})),
    "objects": (Scaler(2), Scaler(3)),
    "methods of objects": (Scaler(2).scaled, Scaler(3).scaled),
    "methods of one object": (Scaler(2).scaled, Scaler(2).__call__),
    "classes of one state": (Scaler(2), Doubler(2)),
    "slots": (Slotted(1), Slotted(2)),
    "what a decorator closes over": (decorated(2), decorated(3)),
    "members of an enum": (closing_over(Unit.METRE), closing_over(Unit.FOOT)),
    "named tuples": (closing_over(Point(1, 2)), closing_over(Point(1, 3))),
    "a tuple and a named one": (closing_over(Point(1, 2)), closing_over((1, 2))),
    "what is called of each": (operator.itemgetter("a"), operator.itemgetter("b")),
    "methods of built-in values": ({1: 2}.get, {1: 3}.get),
    "patterns": (re.compile("a").sub, re.compile("b").sub),
    "built-in functions": (len, sorted),
    "deques": (closing_over(collections.deque([1])), closing_over(collections.deque([2]))),
    "states of a generator": (random.Random(1).choice, random.Random(2).choice),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_callables_that_return_other_values_differ(name: str) -> None:
    one, other = DIFFERENT[name]
    assert identity_of(one) != identity_of(other)


def test_equal_callables_are_the_same() -> None:
    makers: list[Callable[[], Any]] = [
        lambda: functools.partial(scale, by=[1, {"a": np.zeros(2)}]),
        lambda: closing_over({"b", "a", "c"}),
        lambda: Scaler(2),
        lambda: Scaler([1]).scaled,
        lambda: decorated(2),
        lambda: closing_over(Point(1, 2)),
    ]
    for make in makers:
        assert identity_of(make()) == identity_of(make())
    assert identity_of(functools.partial(scale, by=1, x=2)) == identity_of(functools.partial(scale, x=2, by=1))
    used = Scaler(2)
    assert used.squared == 4 and identity_of(used) == identity_of(Scaler(2))  # it was computed, not set


def test_what_changes_after_a_first_digest_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[tuple[Any, Any, str, Any]] = [
        (with_globals, sys.modules[__name__], "SCALE", 3),
        (with_globals, sys.modules[__name__], "TABLE", np.arange(4)),
        (scale, scale, "__defaults__", (5,)),
        (keyword, keyword, "__kwdefaults__", {"by": 5}),
        (odd, sys.modules[__name__], "even", scale),
        (Scaler(2), Scaler, "limit", 6),
    ]
    for function, owner, name, value in changes:
        before = identity_of(function)
        with monkeypatch.context() as changed:
            changed.setattr(owner, name, value)
            assert identity_of(function) != before, name
        assert identity_of(function) == before


@pytest.mark.parametrize(
    "value",
    [FILE.read, iter([1]).__next__, (i for i in range(3)), np.random.default_rng(), loop()],
)
def test_what_cannot_be_read_has_no_digest(value: Any) -> None:
    for function in (closing_over(value), functools.partial(scale, by=value), Scaler(value).scaled):
        with pytest.raises(NoDigest):
            identity_of(function)


def test_objects_whose_own_methods_raise_have_no_digest() -> None:
    for value in (Evil(1), NoState(1)):
        with pytest.raises(NoDigest, match="raises (RuntimeError|TypeError) when it is read"):
            identity_of(closing_over(value))


def test_it_is_said_where_that_is() -> None:
    with pytest.raises(NoDigest, match=r"a _io.TextIOWrapper in Scaler.by"):
        identity_of(Scaler(FILE))


def test_modules_of_torch_have_no_digest_and_its_tensors_have() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(NoDigest, match="Linear"):
        identity_of(torch.nn.Linear(1, 1))
    for kind in (torch.float32, torch.bfloat16, torch.int64):
        one, other = torch.zeros(2000, dtype=kind), torch.zeros(2000, dtype=kind)
        other[1000] = 1
        assert digest_of_value(one) == digest_of_value(one.clone()) != digest_of_value(other)


def test_tables_frames_and_pictures_count_by_content() -> None:
    import pandas
    import pyarrow
    from PIL import Image

    makers: list[Callable[[int], Any]] = [
        lambda n: pandas.DataFrame({"a": [1, n], "b": ["x", None]}),
        lambda n: pandas.Series([1, n], name="a"),
        lambda n: pandas.Timestamp(n),
        lambda n: pyarrow.table({"a": [1, n]}),
        lambda n: Image.new("L", (2, 2), n),
        lambda n: np.ma.masked_equal([1, 2, 3], n),
    ]
    for make in makers:
        assert digest_of_value(make(2)) == digest_of_value(make(2)) != digest_of_value(make(3))


def test_functions_of_libraries_count_by_what_they_are() -> None:
    for function in (json.loads, random.choice, np.sin, str.upper, math_of_torch()):
        assert identity_of(function) == identity_of(function)


def math_of_torch() -> Any:
    return pytest.importorskip("torch").nn.functional.relu


MODULE = "BY = 2\ndef helper(s):\n    return s * BY\n\ndef change(s):\n    return helper(s) + 1\n"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Write a module under one name, and import it anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(source: str) -> ModuleType:
        (tmp_path / "mine_of_digests.py").write_text(source)
        importlib.invalidate_caches()
        sys.modules.pop("mine_of_digests", None)
        return importlib.import_module("mine_of_digests")

    return write


def test_an_edited_module_differs_whenever_it_is_asked(written: Callable[[str], ModuleType]) -> None:
    first = written(MODULE)
    second = written(MODULE.replace("+ 1", "+ 3"))
    # Of the first, the file holds nothing any more.
    assert identity_of(first.change) != identity_of(second.change)
    third = written(MODULE.replace("BY = 2", "BY = 3"))
    assert len({identity_of(each.change) for each in (first, second, third)}) == 3


def test_comments_and_layout_do_not_count(written: Callable[[str], ModuleType]) -> None:
    before = identity_of(written(MODULE).change)
    spaced = "# new\n\n" + MODULE.replace("s * BY", "s  *  BY  # by").replace("    return", "      return")
    assert identity_of(written(spaced).change) == before
    assert identity_of(written(MODULE + "\ndef unused():\n    return 1\n").change) == before
    # A comment in a file that is being run moves its lines.
    moved = written(MODULE)
    Path(str(moved.__file__)).write_text("# moved\n" * 3 + MODULE)
    assert identity_of(moved.change) == before


def test_another_process_finds_the_same(written: Callable[[str], ModuleType]) -> None:
    mine = written(
        MODULE + "class C:\n    def __init__(self): self.kinds = {'a', 'b', 'c'}\n    def f(self, s): return s\n"
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import mine_of_digests as m; from functools import partial; "
        "from dataset_assets.core.callables import identity_of as d; "
        "print(d(m.change), d(partial(m.change, {'a', 'b', 'c'})), d(m.C().f), d(lambda s: s in {'a', 'b', 'c'}))"
    )
    run = [sys.executable, "-c", code, str(Path(str(mine.__file__)).parent)]
    found = {subprocess.run(run, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout for seed in "12"}
    (said,) = found
    expected = (mine.change, functools.partial(mine.change, {"a", "b", "c"}), mine.C().f)
    assert said.decode().split()[:3] == [identity_of(each) for each in expected]
