"""The registry: definitions by name, ours and those of plugins; what is wrong with one costs the others nothing."""

import logging
import os
import sys
from pathlib import Path

import pytest

from dataset_assets.core import plugins
from dataset_assets.definition import registry
from dataset_assets.errors import NameNotAllowed, UnknownDataset

MODULE = """
from dataset_assets import Array, Dataset, Split
def few():
    yield {{"x": 1}}
def made(name, **more):
    return Dataset(name, "Samples.", {{"x": Array()}}, {{"all": Split(few)}}, **more)
{body}
"""


class Plugins:
    """Installs packages with entry points in a folder that is on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, module: str, body: str, *prefixes: str) -> None:
        (self.folder / f"{module}.py").write_text(MODULE.format(body=body))
        about = self.folder / f"{module}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        lines = "".join(f"{prefix} = {module}\n" for prefix in prefixes)
        (about / "entry_points.txt").write_text(f"[dataset_assets.datasets]\n{lines}")
        forget()


def forget() -> None:
    for cached in (plugins.points, registry._known_in, registry._own, registry._datasets_in):
        cached.cache_clear()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    yield Plugins(tmp_path)  # type: ignore[misc]
    monkeypatch.undo()
    forget()


def test_finding_one_of_ours_imports_no_other() -> None:
    import subprocess

    code = (
        "import sys; from dataset_assets.definition.registry import find; find('io.github.allisonhorst.penguins'); "
        "print([m for m in sys.modules if m.startswith('dataset_assets.datasets.')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "['dataset_assets.datasets.penguins']"


def test_definitions_are_listed_by_name_and_pattern() -> None:
    assert [dataset.name for dataset in registry.definitions("com.*")] == [
        "com.google.word_analogies",
        "com.lecun.mnist",
        "com.timeseriesclassification.italy_power_demand",
        "com.zalando.fashion_mnist",
    ]
    names = [dataset.name for dataset in registry.definitions()]
    assert names == sorted(names)
    assert len(names) >= 5


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownDataset, match="Did you mean 'com.zalando.fashion_mnist'?"):
        registry.find("com.zalando.fashion_mist")
    with pytest.raises(NameNotAllowed):
        registry.find("mnist")


def test_a_plugin_adds_datasets_and_aliases(installed: Plugins) -> None:
    installed.install("flowers", 'iris = made("org.flowers.iris", aliases=("uci.iris",))', "org.flowers")
    assert registry.find("org.flowers.iris").name == "org.flowers.iris"
    assert registry.find("uci.iris").name == "org.flowers.iris"
    assert "org.flowers.iris" in [dataset.name for dataset in registry.definitions("org.*")]


def test_a_broken_plugin_is_said_and_the_rest_is_there(installed: Plugins, caplog: pytest.LogCaptureFixture) -> None:
    installed.install("broken", "raise RuntimeError('boom')", "org.broken")
    installed.install("ending", "raise SystemExit(3)", "org.ending")
    installed.install("wrong", 'x = made("../x")', "org.wrong")
    installed.install("fine", 'x = made("org.fine.x")', "org.fine")
    with caplog.at_level(logging.WARNING):
        names = [dataset.name for dataset in registry.definitions()]
    assert "org.fine.x" in names
    assert "com.lecun.mnist" in names
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "broken are left out" in said
    assert "RuntimeError: boom" in said
    assert "ending are left out" in said
    assert "NameNotAllowed" in said
    with pytest.raises(UnknownDataset):
        registry.find("org.broken.x")


def test_ours_come_before_a_plugins_of_the_same_name(installed: Plugins, caplog: pytest.LogCaptureFixture) -> None:
    installed.install(
        "hijack",
        'x = made("com.lecun.mnist")\ny = made("com.lecun.mnist.small")\nz = made("com.lecun.other")',
        "com.lecun",
    )
    assert len(registry.find("com.lecun.mnist").splits) == 2
    with caplog.at_level(logging.WARNING):
        names = [dataset.name for dataset in registry.definitions("com.lecun.*")]
    assert names == ["com.lecun.mnist", "com.lecun.other"]
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "com.lecun.mnist of hijack is left out: another dataset has that name." in said
    assert "com.lecun.mnist.small of hijack is left out: com.lecun.mnist is a prefix of com.lecun.mnist.small" in said


def test_only_names_that_begin_as_the_plugin_said_count(installed: Plugins) -> None:
    installed.install("greedy", 'x = made("test.greedy.x")\ny = made("test.elsewhere.y")', "test.greedy")
    assert [dataset.name for dataset in registry.definitions("test.*")] == ["test.greedy.x"]
    with pytest.raises(UnknownDataset):
        registry.find("test.elsewhere.y")


def test_a_plugin_of_two_beginnings_is_listed_once(installed: Plugins) -> None:
    installed.install("double", 'x = made("test.one.x")\ny = made("test.two.y")', "test.one", "test.two", "test")
    assert [dataset.name for dataset in registry.definitions("test.*")] == ["test.one.x", "test.two.y"]


def test_files_that_a_setting_names_define_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "loose_beside.py").write_text("PREFIX = 'org.loose'")
    loose, broken = tmp_path / "loose_file.py", tmp_path / "loose_broken.py"
    loose.write_text("import loose_beside\n" + MODULE.format(body='x = made(f"{loose_beside.PREFIX}.x")'))
    broken.write_text("1 / 0")
    hidden, absent = tmp_path / "json.py", tmp_path / "nowhere.py"
    hidden.write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", os.pathsep.join(map(str, [loose, broken, hidden, absent])))
    forget()
    assert registry.find("org.loose.x").name == "org.loose.x"
    assert "org.loose.x" in [dataset.name for dataset in registry.definitions()]
    said = " ".join(record.getMessage() for record in caplog.records)
    for why in ("division by zero", "json is also the name of", "there is no such file"):
        assert why in said
    forget()
