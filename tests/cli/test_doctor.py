"""Doctor: what is wrong is said with its exit code, nothing is left behind, and no secret is shown."""

import os
import signal
from pathlib import Path

import pytest
from children import in_child
from command_line import CommandLine

from dataset_assets.cli.doctor import Check, Probe, examine, exit_code
from dataset_assets.core.scratch import scratch_folder
from dataset_assets.storage import LocalStorage, MemoryStorage, Stat, Storage

SECRET = "hunter2-planted"


def found(storage: str | None = None) -> dict[str, Check]:
    return {one.what: one for one in examine(storage)}


def test_all_is_in_order_in_a_fresh_home(home: Path):
    said = found()
    assert {one.state for one in said.values()} == {"ok"}, said
    assert exit_code([*said.values()]) == 0
    assert said["setting home"].says.endswith("(DATASET_ASSETS_HOME)")
    assert said["package numpy"].says[0].isdigit()


def test_probes_leave_nothing(home: Path, another: Storage):
    probe = Probe(another).run()
    assert probe.conditional and probe.listed and abs(probe.skew) < 60
    assert [*another.list("")] == []


def test_servers_pass_the_probe(remote: Storage):
    probe = Probe(remote).run()
    assert probe.conditional and probe.listed and abs(probe.skew) < 60
    assert [*remote.list("")] == []


def test_a_store_without_conditions_or_with_another_clock_is_found_out():
    class Odd(MemoryStorage):
        def swap(self, key: str, new: bytes, expected: str | None) -> bool:
            self.put(key, new)
            return True

        def stat(self, key: str) -> Stat:
            return Stat(1, super().stat(key).modified - 500)

    probe = Probe(Odd()).run()
    assert not probe.conditional
    assert -501 < probe.skew < -499


def test_a_storage_that_cannot_be_written_is_an_error(home: Path, fast_path: Path):
    (fast_path / "file").write_text("no folder")
    said = found(str(fast_path / "file"))
    assert said["storage"].state == "error"
    assert exit_code([*said.values()]) == 6


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no folders")
def test_a_storage_that_cannot_be_made_says_why(home: Path):
    assert found("/proc/none")["storage"].says.startswith("No such file or directory. ")


def test_a_setting_that_cannot_be_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATASET_ASSETS_GRACE_DAYS", "soon")
    said = found()
    assert said["settings"].state == "error" and exit_code([*said.values()]) == 2


def test_a_scratch_folder_that_others_use_is_an_error(home: Path):
    (home / "scratch" / "thesis").mkdir(parents=True)
    errors = [one for one in examine() if one.what == "scratch" and one.state == "error"]
    assert [one.code for one in errors] == [8]
    assert "thesis, which dataset_assets did not make. Set DATASET_ASSETS_HOME" in errors[0].says


def test_scratch_of_killed_processes_is_counted(home: Path):
    def act() -> None:
        with scratch_folder(home / "scratch"):
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(act) == -signal.SIGKILL
    assert found()["scratch"].says.startswith("1 folders")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg2://ada:{SECRET}@127.0.0.1:1/db",
        f"mongodb://ada:{SECRET}@127.0.0.1:1/db?serverSelectionTimeoutMS=200",
        f"s3://ada:{SECRET}@bucket/prefix",
        f"unknown://ada:{SECRET}@host/x?token={SECRET}",
        f"ada:{SECRET}@host",
    ],
)
def test_no_secret_is_in_what_it_says(fast_path: Path, url: str):
    line = CommandLine(fast_path)
    planted = {name: SECRET for name in ("AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "HF_TOKEN", "MONGODB_PASSWORD")}
    for arguments in (["doctor"], ["doctor", "--json"], ["doctor", "--debug", "-v"]):
        done = line.run(*arguments, code=None, DATASET_ASSETS_STORAGE=url, **planted)
        assert done.returncode in (2, 6)
        assert SECRET not in done.stdout + done.stderr
        assert "storage" in done.stdout


def test_a_broken_plugin_is_an_error_without_its_words(fast_path: Path):
    line = CommandLine(fast_path)
    line.install("broken", {"broken_module": f"raise RuntimeError('{SECRET}')"}, formats={"odd": "broken_module:Odd"})
    done = line.json("doctor", code=2)
    [plugin] = [one for one in done if one["what"] == "plugin broken"]
    assert plugin["state"] == "error" and "RuntimeError" in plugin["says"]
    assert SECRET not in str(done)


def test_it_works_where_nothing_was_made_yet(fast_path: Path):
    line = CommandLine(fast_path)
    done = line.run("doctor")
    assert "ok       storage" in done.stdout and "all checks passed" in done.stderr
    assert [*LocalStorage(line.home / "storage").list("")] == []
