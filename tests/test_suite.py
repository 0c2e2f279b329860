"""How the tests themselves are run: what may be skipped, servers that workers share, and the empty home of .ci/run."""

import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import lending
import pytest
from lending import Lender, Place, borrowed
from places import ROOT, TESTS
from servers import own_database
from slow import LISTED, SLOW

SKIPPED = """
import pytest

def test_runs():
    pass

def test_of_the_platform():
    pytest.skip("only root can give a file away")

def test_that_could_run():
    pytest.skip("openssl is not installed")

@pytest.mark.skipif(True, reason="chromium is not installed")
def test_that_is_marked():
    pass

@pytest.mark.xfail
def test_that_is_known_to_fail():
    assert False
"""


@pytest.mark.parametrize(
    ("required", "expected"),
    [("", "1 passed, 4 skipped, 1 xfailed"), ("1", "1 failed, 1 passed, 1 skipped, 1 xfailed, 2 errors")],
    ids=["at work", "where nothing may be missing"],
)
def test_a_test_that_is_skipped_for_what_could_be_installed_fails(tmp_path: Path, required: str, expected: str) -> None:
    (tmp_path / "test_skipped.py").write_text(SKIPPED)
    (tmp_path / "test_file.py").write_text("import pytest\npytest.importorskip('no_such_package')")
    command = [sys.executable, "-m", "pytest", "-p", "excuses", "-p", "no:cacheprovider", "--rootdir", tmp_path]
    options = ["--continue-on-collection-errors", tmp_path]
    environment = {**os.environ, "REQUIRE_ALL_TESTS": required}
    done = subprocess.run([*command, *options], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert expected in done.stdout.splitlines()[-1], done.stdout
    assert ("openssl is not installed" in done.stdout) == bool(required)


def test_each_slow_file_or_folder_is_there() -> None:
    listed = [line.partition("::")[0] for line in LISTED.read_text().splitlines()]
    assert [name for name in [*SLOW, *listed] if not (TESTS / name).exists()] == []


# Servers.


def test_a_server_starts_once_for_all_workers_and_ends_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    @contextmanager
    def server() -> Iterator[Place]:
        happened.append("started")
        yield Place("s3://bucket/", {"AWS_REGION": "us-east-1"}, "http://127.0.0.1:1", ("secret",))
        happened.append("stopped")

    lender = Lender({"one": server, "unused": server})
    monkeypatch.setenv(lending.VARIABLE, lender.url)
    workers = [threading.Thread(target=borrowed, args=("one",)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert borrowed("one") == Place("s3://bucket/", {"AWS_REGION": "us-east-1"}, "http://127.0.0.1:1", ("secret",))
    assert happened == ["started"]
    lender.close()
    assert happened == ["started", "stopped"]


def test_a_server_that_does_not_start_says_why_to_every_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def broken() -> Iterator[Place]:
        raise ChildProcessError("weed ended with 1")
        yield

    lender = Lender({"one": broken})
    monkeypatch.setenv(lending.VARIABLE, lender.url)
    for _ in range(2):
        with pytest.raises(ChildProcessError, match="one did not start: ChildProcessError: weed ended with 1"):
            borrowed("one")
    lender.close()


def test_each_worker_has_a_database_of_its_own(postgres: Place) -> None:
    name = os.environ.get("PYTEST_XDIST_WORKER", "postgres")
    assert postgres.url.endswith(f"/{name}")
    assert own_database(postgres.url, f"another_{name}").endswith(f"/another_{name}")


# .ci/run


MAKEFILE = """
lint:
\t@echo linted; exit 1
test:
\t@env > seen; find $$HOME -type f > files; cat $$HOME/.npmrc > npmrc || true
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with .ci/run, and a Makefile that writes down what it meets."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    (folder / "Makefile").write_text(MAKEFILE)
    return folder


def ci_run(clone: Path, **environment: str) -> dict[str, str]:
    # The name of this Python's manager may be in the environment of these tests.
    held = {name: value for name, value in os.environ.items() if not name.startswith("PYENV")}
    done = subprocess.run([clone / ".ci/run"], env={**held, **environment}, capture_output=True, text=True)
    assert done.returncode != 0 and "linted" in done.stdout, "what lint says is lost"
    return dict(line.split("=", 1) for line in (clone / "seen").read_text().splitlines() if "=" in line)


def test_ci_run_meets_an_empty_home_with_the_settings_of_package_managers_alone(clone: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    kept, left = (".config/pip/pip.conf", ".npmrc"), (".cache/matplotlib/fonts.json", ".aws/credentials")
    for name in (*kept, *left, ".pyenv/version"):
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text(name)
    planted = {"AWS_PROFILE": "mine", "DATASET_ASSETS_STORAGE": "s3://mine", "PGHOST": "db", "XDG_CACHE_HOME": str(old)}
    seen = ci_run(clone, HOME=str(old), PIP_INDEX_URL="https://example.org", **planted)
    home = Path(seen["HOME"])
    assert home != old and not home.exists(), "the home is left behind"
    found = {str(Path(line).relative_to(home)) for line in (clone / "files").read_text().splitlines()}
    assert found == set(kept)
    assert (clone / "npmrc").read_text() == ".npmrc"
    assert not planted.keys() & seen.keys()
    assert seen["PIP_INDEX_URL"] == "https://example.org" and seen["REQUIRE_ALL_TESTS"] == "1"
    assert seen["PYENV_ROOT"] == str(old / ".pyenv")


def test_ci_run_needs_no_settings(clone: Path, tmp_path: Path) -> None:
    seen = ci_run(clone, HOME=str(tmp_path / "nowhere"))
    assert (clone / "files").read_text() == "" and "PYENV_ROOT" not in seen
