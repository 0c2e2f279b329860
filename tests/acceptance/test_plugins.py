"""Plugins: a real package with one of each kind, installed as anyone would; and packages that are broken or clash."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CommandLine
from places import TESTS

PLUGIN = TESTS / "plugin"
BIRDS = "org.example.birdhouse.birds"
FINE = """
from dataset_assets import Dataset, Split, Text

def words():
    yield {{"word": "one"}}

{variable} = Dataset("{name}", "Words.", {{"word": Text()}}, {{"all": Split(words)}})
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the plugin is installed."""
    site = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    subprocess.run([*pip, "--target", str(site), str(PLUGIN)], check=True)
    return site


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture
def with_birds(line: CommandLine, installed: Path) -> CommandLine:
    """A command line where the plugin is installed."""
    line.environment["PYTHONPATH"] = f"{installed}{os.pathsep}{line.environment['PYTHONPATH']}"
    return line


def fine(name: str, variable: str = "words_dataset") -> str:
    return FINE.format(name=name, variable=variable)


# A real plugin.


def test_the_plugin_passes_its_own_tests_and_the_shipped_suites(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(PLUGIN, tmp_path / "plugin", ignore=shutil.ignore_patterns("birdhouse", "__pycache__"))
    environment = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "plugin"]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stdout[-5000:]
    ran = int(found.stdout.splitlines()[-1].split(" passed")[0])
    assert ran > 120


def test_without_the_plugin_its_tests_are_left_out() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", str(PLUGIN)],
        capture_output=True, text=True, cwd=PLUGIN.parent.parent,
    )  # fmt: skip
    assert "test_birdhouse" not in found.stdout


@pytest.mark.parametrize("engine", [["--direct"], []], ids=["direct", "dagster"])
def test_its_dataset_is_prepared_and_loaded_in_its_storage(engine: list[str], with_birds: CommandLine) -> None:
    line = with_birds
    storage = f"sqlitestore://{line.home}/objects.db"
    made = line.json("prepare", BIRDS, "--storage", storage, *engine)
    assert {split: found["samples"] for split, found in made["splits"].items()} == {"train": 4, "test": 2}
    assert [*line.home.rglob("*.jsonl")] == []  # all of it is in the database
    code = f"from dataset_assets import load; print([*load({made['id']!r}, 'test', storage={storage!r}, verify='all')])"
    found = subprocess.run([sys.executable, "-c", code], env=line.environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "{'bird': {'grams': 16.5, 'note': None, 'when': [2023, 2]}, 'species': " in found.stdout
    assert line.run("verify", "--storage", storage).stdout.split() == [BIRDS, "whole"]
    described = line.json("info", BIRDS, "--storage", storage)
    assert described["files"]["birds_csv"]["urls"][0].endswith("birdhouse/birds.db?table=birds")
    assert described["state"] == "complete"


def test_both_engines_and_all_storages_give_the_same_version(with_birds: CommandLine) -> None:
    line = with_birds
    database, folder = f"sqlitestore://{line.home}/objects.db", f"file://{line.home}/folder"
    assert (
        line.json("prepare", BIRDS, "--storage", database)["version"]
        == (line.json("prepare", BIRDS, "--storage", folder, "--direct")["version"])
    )


def test_it_is_searched_like_ours(with_birds: CommandLine) -> None:
    assert [found["name"] for found in with_birds.json("search", "birdhouse")] == [BIRDS]
    assert BIRDS in [found["name"] for found in with_birds.json("search", "source:sqlitetable:", "tag:biology")]


def test_a_pulled_dataset_whose_format_is_gone_says_so(with_birds: CommandLine, installed: Path) -> None:
    line = with_birds
    made = line.json("prepare", BIRDS, "--direct")
    line.environment["PYTHONPATH"] = line.environment["PYTHONPATH"].replace(str(installed), "")
    # Its bytes are whole, whoever reads them.
    assert "whole" in line.run("verify").stdout
    refused = subprocess.run(
        [sys.executable, "-c", f"from dataset_assets import load; load({BIRDS!r})"],
        env=line.environment, capture_output=True, text=True,
    )  # fmt: skip
    assert "No format 'json' is installed." in refused.stderr
    assert line.json("versions", BIRDS)[0]["version"] == made["version"]


# Broken ones.


@pytest.mark.parametrize(
    "text, cause",
    [("raise RuntimeError('of its own')", "RuntimeError: of its own"), ("import sys; sys.exit(3)", "SystemExit: 3"),
     ("import not_installed", "ModuleNotFoundError"), (None, "ModuleNotFoundError"), ("def (", "SyntaxError")],
)  # fmt: skip
def test_a_broken_plugin_costs_the_others_nothing_and_a_line_of_its_own(
    text: str | None, cause: str, line: CommandLine
) -> None:
    line.install("broken", {"broken_module": text} if text else {}, datasets={"org.broken": "broken_module"})
    line.install("sound", {"sound_module": fine("org.sound.words")}, datasets={"org.sound": "sound_module"})
    found = line.run("search", "--json")
    assert len(found.stderr.splitlines()) == 1
    assert "broken_module are left out" in found.stderr and cause in found.stderr
    names = [dataset["name"] for dataset in json.loads(found.stdout)]
    assert "org.sound.words" in names and "com.lecun.mnist" in names
    assert line.run("info", "org.sound.words").stderr == ""
    assert line.json("prepare", "org.sound.words", "--direct")["samples"] == 1
    assert cause in line.run("info", "org.broken.any", code=3).stderr


@pytest.mark.parametrize("group, use", [("storages", ["ls", "--storage", "shelf://x"]), ("formats", ["search"])])
def test_what_else_is_broken_is_told_when_it_is_needed(group: str, use: list[str], line: CommandLine) -> None:
    line.install("broken", {}, **{group: {"shelf": "nowhere:Shelf"}})
    found = line.run(*use, code=None)
    if group == "storages":
        assert found.returncode == 2
        assert "broken offers 'shelf' in storages, but nowhere:Shelf cannot be imported" in found.stderr
    else:
        assert found.returncode == 0 and found.stderr == ""


def test_metadata_that_cannot_be_read_costs_the_others_nothing(line: CommandLine) -> None:
    line.install("garbled", {}, datasets={})
    (line.site / "garbled-1.0.dist-info/entry_points.txt").write_text("[dataset_assets.datasets]\nno equals sign\n")
    line.install("sound", {"sound_module": fine("org.sound.words")}, datasets={"org.sound": "sound_module"})
    found = line.run("search", "words")
    assert found.stdout.startswith("org.sound.words") and "garbled" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_a_plugin_that_defines_other_names_than_it_offers_is_told_so(line: CommandLine) -> None:
    line.install("astray", {"astray_module": fine("org.elsewhere.words")}, datasets={"org.astray": "astray_module"})
    found = line.run("search", "id:elsewhere", code=3)
    assert "astray_module offers org.astray.*, but defines org.elsewhere.words." in found.stderr


def test_definitions_that_were_imported_from_others_do_not_count_twice(line: CommandLine) -> None:
    text = "from dataset_assets.datasets.mnist import mnist\n" + fine("org.user.words")
    line.install("user", {"user_module": text}, datasets={"org.user": "user_module"})
    assert line.run("search", "id:.").stderr == ""


# Clashes.


def test_a_name_that_two_plugins_define_is_an_error_that_names_both(line: CommandLine) -> None:
    for package in ("first", "second"):
        module = f"{package}_module"
        line.install(package, {module: fine("org.shared.words")}, datasets={"org.shared": module})
    for verb in (["info", "org.shared.words"], ["prepare", "org.shared.words", "--direct"]):
        said = line.run(*verb, code=2).stderr
        assert "org.shared.words of first_module and org.shared.words of second_module cannot be used together" in said
    # Who looks for something else is told, and served.
    listed = line.run("search", "digits").stderr
    assert "org.shared.words of second_module is left out" in listed and "It is in first_module." in listed
    assert line.run("info", "com.lecun.mnist").stderr == ""


def test_a_name_that_is_the_beginning_of_another_is_an_error_that_names_both(line: CommandLine) -> None:
    line.install("first", {"first_module": fine("org.shared.words")}, datasets={"org.shared": "first_module"})
    line.install("second", {"second_module": fine("org.shared.words.long")}, datasets={"org.shared": "second_module"})
    for name in ("org.shared.words", "org.shared.words.long"):
        said = line.run("info", name, code=2).stderr
        assert (
            "org.shared.words of first_module and org.shared.words.long of second_module cannot be used together"
            in said
        )
    assert "org.shared.words.long of second_module is left out" in line.run("search", "digits").stderr


def test_no_plugin_takes_the_place_of_one_of_ours(line: CommandLine) -> None:
    line.install("hijack", {"hijack_module": fine("com.lecun.mnist")}, datasets={"com.lecun": "hijack_module"})
    assert "70,000 handwritten digits" in line.run("info", "com.lecun.mnist").stdout
    assert "com.lecun.mnist of hijack_module is left out" in line.run("search").stderr


def test_a_name_that_one_module_defines_twice_does_not_count(line: CommandLine) -> None:
    text = fine("org.twice.words", "one") + fine("org.twice.words", "other")
    line.install("twice", {"twice_module": text}, datasets={"org.twice": "twice_module"})
    assert "twice_module defines it twice" in line.run("info", "org.twice.words", code=3).stderr


def test_a_scheme_that_two_packages_offer_is_an_error_that_names_both(line: CommandLine) -> None:
    line.install("first", {}, storages={"shelf": "first:Shelf"})
    line.install("second", {}, storages={"shelf": "second:Shelf"})
    said = line.run("ls", "--storage", "shelf://x", code=2).stderr
    assert "first (first:Shelf) and second (second:Shelf)" in said


# Many.


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """5,000 definitions in 20 packages."""
    line = CommandLine(tmp_path_factory.mktemp("many"))
    install_many(line, packages=20, each=250)
    yield line


def install_many(line: CommandLine, packages: int, each: int) -> None:
    for k in range(packages):
        text = FINE.format(name=f"org.many{k}.words", variable="first") + (
            f"for i in range({each - 1}):\n"
            f"    name = f'org.many{k}.words_{{i}}'\n"
            f"    globals()[f'words_{{i}}'] = Dataset(name, 'Words.', {{'word': Text()}}, {{'all': Split(words)}})\n"
        )
        line.install(f"many{k}", {f"many_{k}": text}, datasets={f"org.many{k}": f"many_{k}"})


def test_finding_one_of_5000_definitions_imports_one_module(many: CommandLine) -> None:
    code = (
        "import sys; from dataset_assets.definition import registry; registry.find('org.many7.words_123'); "
        "print([m for m in sys.modules if m.startswith(('many_', 'dataset_assets.datasets.'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], env=many.environment, capture_output=True, text=True)
    assert found.stdout.strip() == "['many_7']"


def test_info_of_one_of_5000_definitions_imports_one_module(many: CommandLine) -> None:
    code = (
        "import sys\nfrom dataset_assets.cli.main import main\n"
        "try: main()\nfinally: print([m for m in sys.modules if m.startswith(('many_', 'dataset_assets.datasets.'))])"
    )
    run = [sys.executable, "-c", code, "info", "org.many7.words_123"]
    found = subprocess.run(run, env=many.environment, capture_output=True, text=True)
    assert "org.many7.words_123" in found.stdout and found.stdout.splitlines()[-1] == "['many_7']", found.stderr


def test_5000_definitions_are_searched(many: CommandLine) -> None:
    assert len(many.json("search", "words", "id:^org.many")) == 5000
    assert [found["name"] for found in many.json("search", "id:many3.words_77$")] == ["org.many3.words_77"]
