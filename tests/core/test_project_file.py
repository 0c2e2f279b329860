"""A project file may be a stranger's: whose is read, what of it is obeyed, what trust changes."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_assets.core import project_file, trust
from dataset_assets.core.project_file import HARMLESS
from dataset_assets.core.settings import Settings, origins, settings
from dataset_assets.errors import UsageError

NOBODY = 65534
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a cloned repository, with no settings of one's own."""
    for name in [name for name in os.environ if name.startswith("DATASET_ASSETS_")]:
        monkeypatch.delenv(name)
    for name, folder in (("HOME", "person"), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr(project_file, "_warned", set())
    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.chdir(repository)
    return repository


def write(folder: Path, text: str) -> Path:
    path = folder / "dataset_assets.toml"
    path.write_text(text)
    return path


def trust_it(folder: Path) -> None:
    found = project_file.find(folder)
    assert found
    trust.add(found.path, found.sha256)


# What is obeyed without trust.


@pytest.mark.parametrize(
    "storage", ["data", "a/b", "./data", "x/../data", "data/", "file:{here}/data", "file://{here}/d"]
)
def test_a_plain_folder_below_may_be_the_storage(storage: str, repository: Path) -> None:
    write(repository, f'storage = "{storage.format(here=repository)}"')
    found = settings().storage
    assert found.startswith(f"{repository.as_uri()}/") and ".." not in found


@pytest.mark.parametrize(
    "storage",
    ["..", ".", "", "/", "~", "~/x", "../other", "a/../..", "file:{here}", "file:///etc", "file:data"]
    + ["file://{here}/%2e%2e/other"]
    + ["file://evil.example.org{here}/data", "file:{here}/data?x=1", "file:{here}/data#x", "link", "link/b", "loop/x"]
    + ["s3://bucket", "S3://bucket", "az://c?endpoint=http://x", "sqlite:///{here}/x.db", "memory://x", "postgresql://h/x"]
    + ["mongodb://h/x", "FILE:///etc", "odd+file:{here}/data", "data\\u0000"]
    + ["file://[::1/data", "http://[::1"],
)  # fmt: skip
def test_any_other_storage_waits_for_trust(storage: str, repository: Path, tmp_path: Path) -> None:
    (repository / "link").symlink_to(tmp_path)
    (repository / "loop").symlink_to("loop")
    write(repository, f'storage = "{storage.format(here=repository)}"')
    before = f"file://{tmp_path}/data/dataset_assets/storage"
    try:
        assert settings().storage == before
    except UsageError as error:
        assert storage == "" and "a storage URL" in str(error)


@pytest.mark.parametrize(
    "line",
    ["home = 'd'", "home = 'data'", "keep_versions = 1", "keep_versions = 99", "grace_days = 0", "cache_bytes = 1"]
    + ["stall_seconds = 0", "file_bytes = 1", "offline = false"],
)
def test_what_could_do_harm_is_not_obeyed(line: str, repository: Path, tmp_path: Path) -> None:
    user = tmp_path / "config" / "dataset_assets" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("offline = true\nkeep_versions = 9")
    before = settings()
    write(repository, line)
    assert settings() == before
    assert origins()[line.split()[0]][1].endswith(f"; ignored: {repository}/dataset_assets.toml")


def test_harmless_settings_are_obeyed(repository: Path) -> None:
    write(repository, "offline = true\nfetch = 'ranges'\nfile_bytes = 5_000_000")
    found = settings()
    assert (found.offline, found.fetch, found.file_bytes) == (True, "ranges", 5_000_000)


def test_the_list_of_harmless_settings_grows_only_on_purpose() -> None:
    harmless = {"storage", "file_bytes", "offline", "fetch", "datastore_url", "datastore_compression"}
    assert set(HARMLESS) == harmless < set(Settings.__annotations__)


def test_a_file_that_everybody_may_write_is_obeyed_only_when_it_is_trusted(repository: Path) -> None:
    write(repository, "offline = true").chmod(0o666)
    assert not settings().offline
    trust_it(repository)
    assert settings().offline


# Whose file is read, and how far up.


@ROOT
@pytest.mark.parametrize("name, text", [("dataset_assets.toml", ""), ("pyproject.toml", "[tool.dataset_assets]\n")])
def test_a_file_of_another_user_is_not_read_and_a_line_says_so(
    name: str, text: str, repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = repository / name
    path.write_text(f"{text}offline = true")
    os.chown(path, NOBODY, NOBODY)
    for _ in range(3):
        assert not settings().offline
    [said] = caplog.messages
    assert said.startswith(f"{path} is ignored: it belongs to another user, ") and "sudo chown" in said
    with pytest.raises(AssertionError):
        trust_it(repository)


@ROOT
def test_a_link_of_another_user_to_our_own_file_is_not_read(repository: Path, tmp_path: Path) -> None:
    write(tmp_path, "offline = true")
    link = repository / "dataset_assets.toml"
    link.symlink_to(tmp_path / "dataset_assets.toml")
    (repository / ".git").mkdir()
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    assert not settings().offline


@ROOT
def test_nothing_is_said_of_what_others_write_for_others(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = repository / "pyproject.toml"
    path.write_text("[project]\nname = 'theirs'")
    os.chown(path, NOBODY, NOBODY)
    settings()
    assert caplog.messages == []


@pytest.mark.parametrize("mark", ["folder", "file"])
def test_nothing_above_the_root_of_a_repository_is_read(mark: str, repository: Path, monkeypatch) -> None:
    write(repository.parent, "offline = true")
    (repository / "inner").mkdir()
    monkeypatch.chdir(repository / "inner")
    assert settings().offline
    (repository / ".git").mkdir() if mark == "folder" else (repository / ".git").write_text("gitdir: elsewhere")
    assert not settings().offline
    write(repository, "offline = true")
    assert settings().offline


def test_nothing_above_the_home_folder_is_read(repository: Path, tmp_path: Path, monkeypatch) -> None:
    write(tmp_path, "offline = true")
    assert settings().offline
    (tmp_path / "link").symlink_to(repository)
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    assert not settings().offline


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second file system")
def test_nothing_beyond_a_file_system_is_read() -> None:
    assert [*project_file._searched("/dev/shm")] == ["/dev/shm"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to nothing"])
def test_what_is_no_plain_file_is_no_project_file(kind: str, repository: Path) -> None:
    path = repository / "dataset_assets.toml"
    {"pipe": os.mkfifo, "folder": os.mkdir, "link to nothing": lambda p: os.symlink("gone", p)}[kind](path)
    assert not settings().offline


def test_a_folder_that_was_removed_has_no_project_file(repository: Path) -> None:
    repository.rmdir()
    assert settings().keep_versions == 3


# Trust.


def test_trust_is_for_one_content_at_one_place(repository: Path, tmp_path: Path, caplog) -> None:
    path = write(repository, "home = 'd'")
    trust_it(repository)
    assert settings().home == repository / "d"
    assert caplog.messages == []
    other = tmp_path / "other"
    other.mkdir()
    # A clone may bring a link to a file that its reader trusts.
    (other / "dataset_assets.toml").symlink_to(path)
    os.chdir(other)
    assert settings().home == tmp_path / "data" / "dataset_assets"
    os.chdir(repository)
    write(repository, "home = 'd'\nkeep_versions = 1")
    caplog.clear()
    assert settings().home == tmp_path / "data" / "dataset_assets"
    [said] = caplog.messages
    assert "changed since you trusted it: home, keep_versions are ignored." in said


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"grace_days = {'9' * 5000}", id="more digits than Python reads"),
        pytest.param("# tool.dataset_assets\n" * 100_000, id="longer than is read"),
    ],
)
@pytest.mark.parametrize("name", project_file.NAMES)
def test_a_file_that_cannot_be_read_is_named(text: str, name: str, repository: Path) -> None:
    (repository / name).write_text(f"# dataset_assets\n{text}")
    with pytest.raises(UsageError, match=re.escape(f"{repository / name} ")):
        settings()


def test_a_file_of_others_takes_no_memory_however_long_it_is(repository: Path) -> None:
    with open(repository / "pyproject.toml", "wb") as file:
        file.truncate(1 << 40)
    settings()


def test_a_trusted_file_still_names_no_programs(repository: Path) -> None:
    write(repository, "definitions = ['five.py']")
    trust_it(repository)
    with pytest.raises(UsageError, match="Make it a setting of the environment or the user file"):
        settings()


def test_what_is_ignored_is_said_once_with_a_command_that_works(repository: Path, tmp_path: Path) -> None:
    odd = tmp_path / "it's $HOME `here`"
    odd.mkdir()
    write(odd, "home = 'd'")
    code = "from dataset_assets.core.settings import settings; settings(); settings(); print(settings().home)"
    run = subprocess.run([sys.executable, "-P", "-c", code], cwd=odd, capture_output=True, text=True, check=True)
    [line] = run.stderr.splitlines()
    assert "is not trusted: home is ignored." in line
    command = line.partition("run: ")[2].replace("dataset-assets", f"{sys.executable} -m dataset_assets", 1)
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    run = subprocess.run([sys.executable, "-P", "-c", code], cwd=odd, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == (f"{odd}/d\n", "")


def test_a_setting_that_a_stronger_place_decides_is_not_ignored(repository: Path, monkeypatch, caplog) -> None:
    write(repository, "home = 'd'")
    monkeypatch.setenv("DATASET_ASSETS_HOME", str(repository.parent))
    assert origins()["home"] == (repository.parent, "DATASET_ASSETS_HOME")
    assert caplog.messages == []


@pytest.mark.parametrize("text", ["[", "[1]", '{"a": 1}', '"a"', "\udcff"])
def test_a_list_of_trusted_files_that_cannot_be_read_trusts_nothing(
    text: str, repository: Path, tmp_path: Path
) -> None:
    place = tmp_path / "config" / "dataset_assets" / "trusted.json"
    place.parent.mkdir(parents=True)
    place.write_bytes(text.encode(errors="surrogateescape"))
    write(repository, "offline = true")
    assert settings().offline
    write(repository, "home = 'd'")
    with pytest.raises(UsageError, match=r"trusted\.json cannot be read: .* trust your project files again"):
        settings()


def test_spawned_workers_do_not_say_it_again(repository: Path) -> None:
    write(repository, "home = 'd'")
    (repository / "many.py").write_text(
        "import multiprocessing\n"
        "from dataset_assets.core.settings import settings\n"
        "if __name__ == '__main__':\n"
        "    settings()\n"
        "    worker = multiprocessing.get_context('spawn').Process(target=settings)\n"
        "    worker.start(), worker.join()\n"
    )
    run = subprocess.run([sys.executable, "many.py"], capture_output=True, text=True, check=True)
    assert len(run.stderr.splitlines()) == 1, run.stderr


def test_the_module_logs_under_the_name_of_the_package() -> None:
    assert project_file.log is logging.getLogger("dataset_assets.core.project_file")
