"""What `dataset-assets new` writes works as it was written."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CommandLine

from dataset_assets.definition.scaffold import entry_point, module_name, scaffold
from dataset_assets.errors import Conflict, NameNotAllowed


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def ran_in(folder: Path, line: CommandLine, *paths: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *paths]
    return subprocess.run(command, cwd=folder, env=line.environment, capture_output=True, text=True)


FORMS = {"python": ([], ["birds.py"]), "yaml": (["--yaml"], ["birds.yaml", "dataset.schema.json"])}


@pytest.mark.parametrize("form", FORMS)
def test_the_written_test_passes_as_written(line: CommandLine, tmp_path: Path, form: str) -> None:
    options, definition = FORMS[form]
    found = line.run("new", "com.example.birds", *options)
    assert found.stdout.split() == ["birds.csv", *definition, "test_birds.py"]
    assert "pytest test_birds.py" in found.stderr
    ran = ran_in(tmp_path, line, "test_birds.py")
    assert ran.returncode == 0, ran.stdout
    assert "failed" not in ran.stdout and "9 passed" in ran.stdout and "skipped" not in ran.stdout


@pytest.mark.parametrize("form", FORMS)
def test_with_the_variable_it_says_to_set_the_dataset_is_found_and_prepared_also_by_dagster(
    line: CommandLine, form: str
) -> None:
    said = line.run("new", "com.example.birds", "--folder", "some birds", *FORMS[form][0]).stderr
    [variable] = [row for row in said.splitlines() if "export " in row]
    name, _, value = variable.partition("export ")[2].partition("=")
    [line.environment[name]] = shlex.split(value)
    assert line.json("prepare", "com.example.birds", "--direct")["samples"] == 2
    assert line.json("prepare", "com.example.birds", "--refresh")["engine"] == "dagster"


def test_with_the_lines_it_says_to_add_the_dataset_is_found_and_prepared(line: CommandLine, tmp_path: Path) -> None:
    package = tmp_path / "project" / "aviary"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    said = line.run("new", "com.example.birds", "--folder", str(package)).stderr
    lines = said[said.index("[project.entry-points") :]
    assert lines.splitlines() == [
        '[project.entry-points."dataset_assets.datasets"]', '"com.example.birds" = "aviary.birds"',
    ]  # fmt: skip
    (package.parent / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "aviary"\nversion = "1"\n' + lines
    )
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(line.site), str(package.parent)], check=True)
    assert line.json("search", "id:birds")[0]["name"] == "com.example.birds"
    assert line.json("prepare", "com.example.birds", "--direct")["samples"] == 2
    assert "a first sample" in line.run("info", "com.example.birds").stdout
    ran = ran_in(package.parent, line, "aviary/test_birds.py")
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("last", ["json", "class", "2021_birds", "pytest"])
def test_a_name_that_python_uses_itself_gets_another_module(last: str, tmp_path: Path) -> None:
    name = f"com.example.{last}"
    written = scaffold(name, tmp_path)
    module = module_name(name)
    assert module.isidentifier() and module not in (*sys.stdlib_module_names, "pytest")
    code = f"import {module}; import json, pytest; print({module}.{module}.name, json.dumps(1))"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert found.stdout.split() == [name, "1"], found.stderr
    assert written[-1].name == f"test_{module}.py"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "birds.py").write_text("mine")
    with pytest.raises(Conflict, match="birds.py already exists"):
        scaffold("com.example.birds", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["birds.py"]
    assert (tmp_path / "birds.py").read_text() == "mine"


def test_a_name_that_is_none_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NameNotAllowed):
        scaffold("../birds", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_module_in_packages_is_named_by_all_of_them(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").touch()
    assert '"com.example.birds" = "outer.inner.birds"' in entry_point("com.example.birds", inner)
    assert '"com.example.birds" = "birds"' in entry_point("com.example.birds", tmp_path)
    assert (
        f"Python, in {tmp_path}, with: from dataset_assets import prepare; from outer.inner.birds import birds; "
        in entry_point("com.example.birds", inner)
    )
    assert "Python with: from dataset_assets import prepare; from birds import birds; " in entry_point(
        "com.example.birds", Path()
    )
