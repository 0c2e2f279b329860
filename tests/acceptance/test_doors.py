"""The public doors: the packages that users and plugins import from, each with the names that it lists."""

import re
import subprocess
import sys
from contextlib import suppress
from importlib import import_module

import pytest
from doors import DOORS
from places import ROOT

from dataset_assets.errors import NotInstalled


@pytest.mark.parametrize("door", DOORS)
def test_every_name_of_a_door_is_there(door: str) -> None:
    package = import_module(door)
    assert len(package.__all__) == len(set(package.__all__)) > 0
    for name in package.__all__:
        # DatasetConfig needs a package that `make test-clients` installs.
        with suppress(NotInstalled):
            getattr(package, name)
    assert set(package.__all__) <= set(dir(package))


def test_what_users_of_dagster_need_is_at_its_door() -> None:
    from dataset_assets.orchestration import DatasetComponent, StorageIOManager, definitions

    assert definitions("io.github.rasbt.mnist_5k").resources is not None
    assert DatasetComponent.__module__.startswith(StorageIOManager.__module__.rpartition(".")[0])


def test_a_name_stays_what_it_is_when_the_modules_behind_its_door_are_loaded() -> None:
    from dataset_assets.orchestration import definitions

    import_module("dataset_assets.orchestration.definitions")
    assert import_module("dataset_assets.orchestration").definitions is definitions


def test_an_unknown_name_of_a_lazy_door_is_an_import_error() -> None:
    for door in ("dataset_assets.orchestration", "dataset_assets.testing"):
        with pytest.raises(AttributeError, match=f"module '{door}' has no attribute 'Suites'"):
            import_module(door).Suites  # noqa: B018


def test_opening_the_door_of_the_tests_imports_no_test_library() -> None:
    code = "import sys, dataset_assets.testing; print({'pytest', 'hypothesis', 'pyarrow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


IMPORT = re.compile(r"^[\s\"]*from (dataset_assets[\w.]*) import (\([^)]*\)|[^\n(]*)", re.MULTILINE)
SHOWN = ["README.md", "docs/*.md", "examples/*.py", "examples/*.ipynb", "tests/plugin/*/*.py", "tests/adopting/*/*.py"]


def test_what_users_read_imports_from_the_doors() -> None:
    homes = {name: door for door in reversed(DOORS) for name in import_module(door).__all__}
    imported = [
        (path.name, module, name)
        for pattern in SHOWN
        for path in sorted(ROOT.glob(pattern))
        for module, names in IMPORT.findall(path.read_text())
        for name in re.findall(r"\w+", names)
    ]
    assert len(imported) > 100
    assert [(*found, homes[found[2]]) for found in imported if found[2] in homes and found[1] not in DOORS] == []
