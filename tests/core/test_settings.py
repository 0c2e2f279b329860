"""Argument > environment > project file, as far as it is trusted > user file > default."""

import doctest
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dataset_assets.core.settings as module
from dataset_assets.core import project_file, trust
from dataset_assets.core.settings import Settings, as_variable, origins, settings
from dataset_assets.errors import UsageError

VALUES = {"file_bytes": (1, 2, 3, 4), "keep_versions": (5, 6, 7, 8), "grace_days": (0, 1, 2, 9)}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Stand in an empty project folder, with an empty environment and no user file."""
    for name in [name for name in os.environ if name.startswith("DATASET_ASSETS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "project" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "deep")
    return tmp_path


def user_file(folders: Path, text: str) -> Path:
    path = folders / "config" / "dataset_assets" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def trusted(path: Path) -> Path:
    """Let the user trust a project file as it is now."""
    found = project_file.find(path.parent)
    assert found and found.path == path
    trust.add(found.path, found.sha256)
    return path


def test_the_examples_in_the_docstrings_run():
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


def test_defaults_are_in_the_folder_that_the_platform_has_for_data(folders):
    home = folders / "data" / "dataset_assets"
    assert settings() == Settings(
        home, f"file://{home}/storage", 1 << 30, False, 3, 7, datastore_url=f"file://{home}/storage"
    )
    assert settings().scratch == home / "scratch"
    assert settings().cache == home / "cache"
    assert {origin for _, origin in origins().values()} == {"default", "storage"}


def test_nothing_is_made_by_asking(folders):
    settings()
    assert not (folders / "data").exists()


def test_settings_are_values():
    with pytest.raises(FrozenInstanceError):
        settings().offline = True


def test_storage_lies_in_home_unless_it_is_said_elsewhere(monkeypatch):
    assert settings(home="/a").storage == "file:///a/storage"
    monkeypatch.setenv("DATASET_ASSETS_STORAGE", "s3://bucket/data")
    assert settings(home="/a").storage == "s3://bucket/data"
    assert settings(home="/a").scratch == Path("/a/scratch")


@pytest.mark.parametrize("key", VALUES)
def test_the_stronger_source_is_taken(key, folders, monkeypatch):
    by_user, by_project, by_environment, by_argument = VALUES[key]
    path = user_file(folders, f"{key} = {by_user}")
    assert origins()[key] == (by_user, str(path))
    path = folders / "project" / "dataset_assets.toml"
    path.write_text(f"{key} = {by_project}")
    trusted(path)
    assert origins()[key] == (by_project, str(path))
    monkeypatch.setenv(f"DATASET_ASSETS_{key.upper()}", str(by_environment))
    assert origins()[key] == (by_environment, f"DATASET_ASSETS_{key.upper()}")
    assert origins(**{key: by_argument})[key] == (by_argument, "argument")
    assert getattr(settings(**{key: by_argument}), key) == by_argument
    assert getattr(settings(**{key: None}), key) == by_environment


def test_the_environment_is_read_at_each_call(monkeypatch):
    monkeypatch.setenv("DATASET_ASSETS_HOME", "/one")
    assert settings().home == Path("/one")
    monkeypatch.setenv("DATASET_ASSETS_HOME", "/two")
    assert settings().home == Path("/two")
    monkeypatch.setenv("DATASET_ASSETS_HOME", "")
    assert origins()["home"][1] == "default"


def test_sources_are_joined_key_by_key(folders, monkeypatch):
    user_file(folders, "offline = true\nkeep_versions = 9")
    (folders / "project" / "dataset_assets.toml").write_text("keep_versions = 4")
    trusted(folders / "project" / "dataset_assets.toml")
    monkeypatch.setenv("DATASET_ASSETS_GRACE_DAYS", "1")
    found = settings()
    assert (found.offline, found.keep_versions, found.grace_days) == (True, 4, 1)


def test_the_nearest_project_file_is_taken(folders):
    (folders / "dataset_assets.toml").write_text("file_bytes = 10_000_000")
    assert settings().file_bytes == 10_000_000
    (folders / "project" / "pyproject.toml").write_text("[tool.dataset_assets]\nfile_bytes = 20_000_000")
    assert origins()["file_bytes"] == (20_000_000, f"{folders}/project/pyproject.toml [tool.dataset_assets]")
    (folders / "project" / "dataset_assets.toml").write_text("file_bytes = 30_000_000")
    assert settings().file_bytes == 30_000_000
    (folders / "project" / "deep" / "pyproject.toml").write_text("[project]\nname = 'theirs'")
    assert settings().file_bytes == 30_000_000


def test_a_pyproject_that_does_not_name_us_may_be_anything(folders):
    (folders / "project" / "pyproject.toml").write_text("[[[ not toml")
    assert settings().grace_days == 7


def test_relative_folders_start_at_the_file_that_names_them(folders, monkeypatch):
    path = folders / "project" / "dataset_assets.toml"
    path.write_text("home = 'assets'\nstorage = '../kept'")
    trusted(path)
    assert settings().home == folders / "project" / "assets"
    assert settings().storage == (folders / "project" / ".." / "kept").as_uri()
    user_file(folders, "storage = 'mine'")
    path.unlink()
    assert settings().storage == (folders / "config" / "dataset_assets" / "mine").as_uri()
    monkeypatch.setenv("DATASET_ASSETS_HOME", "here")
    assert settings().home == folders / "project" / "deep" / "here"
    assert settings(home="~/kept").home == folders / "person" / "kept"


@pytest.mark.parametrize("text, value", [("1", True), ("TRUE", True), ("on", True), ("0", False), ("no", False)])
def test_switches_are_read_from_words(text, value, monkeypatch):
    monkeypatch.setenv("DATASET_ASSETS_OFFLINE", text)
    assert settings().offline is value


def test_an_unknown_key_is_an_error_with_its_file_and_the_nearest(folders):
    path = folders / "project" / "dataset_assets.toml"
    path.write_text("storge = 'file:///x'")
    with pytest.raises(UsageError) as caught:
        settings()
    assert str(caught.value) == f"{path} has an unknown setting 'storge'. Did you mean 'storage'?"
    with pytest.raises(UsageError, match="argument has an unknown setting 'offlin'. Did you mean 'offline'?"):
        settings(offlin=True)


def test_variables_of_others_are_left_alone(monkeypatch):
    monkeypatch.setenv("DATASET_ASSETS_PLUGIN_TOKEN", "secret")
    assert "secret" not in repr(origins())


@pytest.mark.parametrize(
    "line",
    ["file_bytes = 'large'", "file_bytes = 0", "file_bytes = 1.5", "file_bytes = true", "keep_versions = 0"]
    + ["grace_days = -1", "grace_days = '-1'", "offline = 'maybe'", "offline = 1", "home = 5", "home = ''"]
    + ["storage = []", "storage = ''"],
)  # fmt: skip
def test_a_value_of_another_type_is_an_error_with_its_file(line, folders):
    path = folders / "project" / "dataset_assets.toml"
    path.write_text(line)
    key = line.split()[0]
    with pytest.raises(UsageError, match=rf"dataset_assets.toml sets {key} to .*\. Make it "):
        settings()


def test_a_bad_variable_is_an_error_with_its_name(monkeypatch):
    monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", "1 GiB")
    with pytest.raises(UsageError, match="DATASET_ASSETS_FILE_BYTES sets file_bytes to '1 GiB'. Make it a whole"):
        settings()


def test_a_bad_value_that_a_stronger_source_covers_does_no_harm(folders):
    user_file(folders, "grace_days = 'many'")
    assert settings(grace_days=2).grace_days == 2


@pytest.mark.parametrize("content", [b"[[[", b"a = 1\na = 2", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_an_error_with_its_name(content, folders):
    (folders / "project" / "dataset_assets.toml").write_bytes(content)
    with pytest.raises(UsageError, match="dataset_assets.toml (is not valid TOML|cannot be read)"):
        settings()


@pytest.mark.parametrize("section", ["tool = 1", "tool.dataset_assets = 1"])
def test_a_section_that_is_no_table_is_an_error_with_its_name(section, folders):
    (folders / "project" / "pyproject.toml").write_text(f"{section}  # dataset_assets")
    with pytest.raises(UsageError, match="pyproject.toml"):
        settings()


def test_importing_reads_nothing_and_imports_no_parsers():
    code = """if True:
        import sys
        import dataset_assets.errors
        opened = []
        sys.addaudithook(lambda event, arguments: event == "open" and opened.append(str(arguments[0])))
        import dataset_assets.core.settings
        print([path for path in opened if path.endswith(".toml")], {"tomllib", "platformdirs"} & set(sys.modules))
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[] set()\n"


def test_files_of_definitions_are_named_by_whoever_runs_them_and_not_by_a_folder(folders, monkeypatch):
    user_file(folders, 'definitions = ["one.py", "/all/two.py"]')
    assert settings().definitions == (folders / "config" / "dataset_assets" / "one.py", Path("/all/two.py"))
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", "three.py:/four.py")
    assert settings().definitions == (Path.cwd() / "three.py", Path("/four.py"))
    assert as_variable(settings().definitions) == f"{Path.cwd()}/three.py:/four.py"
    (Path.cwd() / "dataset_assets.toml").write_text('definitions = ["five.py"]')
    assert len(settings().definitions) == 2
    monkeypatch.delenv("DATASET_ASSETS_DEFINITIONS")
    with pytest.raises(UsageError, match="Make it a setting of the environment or the user file"):
        settings()


MEMBER = "org.example.x[lang=fr,size=small]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("MIT", ("MIT",)),
        ("MIT, CC-BY-*:X", ("MIT", "CC-BY-*", "X")),
        (MEMBER, (MEMBER,)),
        (f"{MEMBER},{MEMBER}:com.*", (MEMBER, MEMBER, "com.*")),
        ("com.[ab]*, x[at=12:30, b=1] ,y", ("com.[ab]*", "x[at=12:30, b=1]", "y")),
        ("a[b,c", ("a[b", "c")),
        ("a]b,c", ("a]b", "c")),
        ('["one, two", "three:four"]', ("one, two", "three:four")),
    ],
)
def test_a_list_of_words_is_split_outside_of_brackets(text, words, monkeypatch):
    monkeypatch.setenv("DATASET_ASSETS_ACCEPT_TERMS", text)
    assert settings().accept_terms == words


@given(st.lists(st.text("ab[],: =\"'\\", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=3))
@hypothesis.settings(max_examples=60)
def test_another_process_reads_the_words_that_this_one_has(words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATASET_ASSETS_ALLOW_LICENSES", as_variable(settings(allow_licenses=words).allow_licenses))
        assert settings().allow_licenses == tuple(words)


@pytest.mark.parametrize("text", [",", "a,", ":a", "a,,b", '["a', '["a", 1]', " "])
def test_what_is_no_list_of_words_is_refused(text, monkeypatch):
    monkeypatch.setenv("DATASET_ASSETS_ACCEPT_TERMS", text)
    with pytest.raises(UsageError, match="a list of words"):
        settings()


@pytest.mark.parametrize("value", ["birds", "birds.py:", "birds.txt"])
def test_what_is_no_python_file_holds_no_definitions(value, monkeypatch):
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", value)
    with pytest.raises(UsageError, match="paths of files that end in .py"):
        settings()


def test_a_user_file_that_cannot_be_looked_at_is_an_error_of_ours(monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/" + "c" * 300)
    with pytest.raises(UsageError, match="config.toml cannot be read"):
        settings()


@pytest.mark.parametrize(
    "line",
    [
        'headers = ["data.example.org Authorization Bearer s3cret"]',
        'connections = ["warehouse = postgresql://ada:s3cret@db/sales"]',
        'connections = {warehouse = "postgresql://ada:s3cret@db/sales"}',
        'storage = ["s3://ada:s3cret@bucket"]',
    ],
)
def test_a_mistyped_setting_that_may_hold_a_secret_is_not_shown(line, folders):
    path = user_file(folders, line)
    with pytest.raises(UsageError, match="a value that may have a secret and is not shown. Make it a") as refused:
        settings()
    assert "s3cret" not in str(refused.value)
    path.write_text("")
    (folders / "project" / "dataset_assets.toml").write_text(line)
    with pytest.raises(UsageError) as refused:
        settings()
    assert "s3cret" not in str(refused.value)
