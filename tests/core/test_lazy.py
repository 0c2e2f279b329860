"""Values of a table are imported when they are looked up, and each is where the table says."""

import doctest
import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

from dataset_assets.core import lazy
from dataset_assets.core.lazy import Table
from dataset_assets.encoding import Fitted
from dataset_assets.errors import UsageError
from dataset_assets.formats import FORMATS
from dataset_assets.reading import convert, views
from dataset_assets.reading.views.operations import OPERATIONS, VERBS, operation


def test_the_example_of_a_table_is_right() -> None:
    assert doctest.testmod(lazy).attempted and not doctest.testmod(lazy).failed


def test_a_table_is_a_mapping() -> None:
    table: Table[object] = Table({"tau": "math:tau", "gone": "math:gone", "absent": "not_installed:x"})
    assert [*table] == ["tau", "gone", "absent"] and len(table) == 3 and "tau" in table
    table["tau"] = table["own"] = 1
    assert table["tau"] == 1 and len(table) == 4
    with pytest.raises(KeyError):
        table["gone"]
    with pytest.raises(ModuleNotFoundError):
        table["absent"]
    assert table.pop("tau") == 1 and "tau" not in table
    del table["absent"]
    with pytest.raises(KeyError):
        del table["absent"]
    assert [*table] == ["gone", "own"]


def test_each_kind_of_view_and_format_is_where_its_table_says() -> None:
    for package in (views, convert):
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            if "torch_" not in module.name:
                import_module(module.name)
    assert {name: kind.op for name, kind in OPERATIONS.items()} == {name: name for name in OPERATIONS}
    assert {name: kind.name for name, kind in FORMATS.items()} == {name: name for name in FORMATS}
    assert {name: verb.__name__ for name, verb in VERBS.items()} == {name: name for name in VERBS}
    ours = {name for name, kind in OPERATIONS.items() if kind.__module__.startswith(f"{views.__name__}.")}
    assert ours == {*OPERATIONS._places}


@pytest.mark.parametrize("name", views.__all__)
def test_each_name_of_the_door_of_views_is_there(name: str) -> None:
    assert getattr(views, name) is not None and name in dir(views)


def test_a_name_of_a_kind_that_is_not_imported_yet_is_taken() -> None:
    with pytest.raises(UsageError, match="'shuffle' already belongs to the operation Shuffled"):
        operation("shuffle")(Fitted)


def test_a_kind_that_is_imported_before_its_table_looks_it_up_is_registered_once() -> None:
    code = (
        "from dataset_assets.reading.views.arranged import Shuffled\n"
        "from dataset_assets import view_of\n"
        "print(type(view_of(x=[1, 2]).shuffle(1)) is Shuffled)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "True\n", found.stderr
