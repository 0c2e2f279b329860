"""The verbs that remove, and aliases, as a user meets them."""

import gc
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_assets.cli.common import State
from dataset_assets.cli.main import commands
from dataset_assets.errors import DatasetAssetsError

NAME, ALIAS = "org.example.numbers", "org.alias.numbers"
STAYS = ["stays:", "it", "is", "not", "of", "dataset_assets"]
MODULE = f"""
import numpy as np
from dataset_assets import Array, Columns, Dataset, Split

def rows():
    yield Columns(number=np.arange(100))

numbers = Dataset("{NAME}", "Numbers.", {{"number": Array()}}, {{"all": Split(rows)}}, aliases=("{ALIAS}",))
"""


class Line:
    """Runs verbs in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def run(self, *arguments: str, code: int = 0) -> "pytest.CaptureResult[str]":
        """Run a verb, and expect its exit code; the message of an error is on stderr."""
        self.capsys.readouterr()
        try:
            commands.main([*arguments], prog_name="dataset-assets", standalone_mode=False, obj=State())
            found = 0
        except SystemExit as ended:
            found = int(ended.code or 0)
        except DatasetAssetsError as error:
            found = error.exit_code
            logging.getLogger("dataset_assets").error("%s", error)
        said = self.capsys.readouterr()
        assert found == code, said
        return said

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").out)


@pytest.fixture
def line(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    # No two modules of one process may have the same name.
    module = home.parent / f"numbers_{os.urandom(8).hex()}.py"
    module.write_text(MODULE)
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(module))
    logger, found = logging.getLogger("dataset_assets"), Line(capsys)
    before = logger.handlers, logger.propagate, logger.level
    found.run("prepare", ALIAS, "--direct")
    yield found
    logger.handlers, logger.propagate, logger.level = before
    gc.enable()


def test_every_verb_takes_an_alias_also_without_the_definition(
    line: Line, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATASET_ASSETS_DEFINITIONS")
    fast_path = home.parent
    [listed] = line.json("ls")
    assert (listed["name"], listed["aliases"]) == (NAME, [ALIAS])
    assert line.run("ls").out.endswith(f"  also {ALIAS}\n")
    digest = listed["version"]
    assert line.json("info", ALIAS)["aliases"] == [ALIAS]
    assert line.json("versions", ALIAS)[0]["version"] == line.json("path", ALIAS)["version"] == digest
    for verb in ("verify", "gc", "du", "pin", "unpin"):
        line.run(verb, ALIAS)
    assert line.run("copy", ALIAS, "--to", f"{fast_path}/there", "--aliases").out == f"{NAME}@{digest}  current\n"
    assert line.run("versions", ALIAS, "--storage", f"{fast_path}/there").out.startswith(digest)
    line.run("bundle", ALIAS, "--into", f"{fast_path}/b.tar")
    for more, code in (([], 3), (["--aliases"], 0)):
        line.run("unbundle", f"{fast_path}/b.tar", "--storage", f"{fast_path}/island", *more)
        line.run("versions", ALIAS, "--storage", f"{fast_path}/island", code=code)
    said = line.run("prepare", ALIAS, code=3).err
    assert f"{NAME}, of which {ALIAS} is an alias, is stored in" in said and "DATASET_ASSETS_DEFINITIONS" in said


def test_rm_names_what_depends_on_a_dataset_and_removes_it(line: Line) -> None:
    digest = line.json("ls")[0]["version"]
    line.run("pin", NAME)
    refused = line.run("rm", f"{NAME}@{digest}", code=8)
    assert f"dataset-assets rm --force {NAME}@{digest}" in refused.err and refused.out == ""
    said = line.run("rm", ALIAS, code=2).err
    assert f"{ALIAS} is an alias of {NAME}. Nothing was removed" in said and f"dataset-assets rm {NAME}\n" in said
    dry = line.run("rm", NAME, "--dry-run")
    assert "nothing was changed" in dry.err
    done = line.run("rm", NAME)
    assert done.out == dry.out and done.out.startswith("org/example/numbers/current.json\naliases/")
    for named in (f"{NAME}@{digest} is pinned.", f"{ALIAS} is an alias of {NAME}."):
        assert named in dry.err and named in done.err
    assert line.json("ls") == [] and line.run("rm", NAME, code=3).out == ""
    line.run("prepare", ALIAS, "--direct")
    found = line.json("rm", f"{NAME}@{digest}", "--force")
    assert (found["name"], found["current"], found["dry_run"]) == (f"{NAME}@{digest}", None, False)
    assert found["removed"] and found["bytes"] and found["depends"] == []


def test_gc_lists_what_is_unknown_and_removes_only_what_is_named(
    line: Line, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = f"org/example/lost/all/number/{'0' * 64}.npy"
    for key in (stray, "notes.txt"):
        (home / "storage" / key).parent.mkdir(parents=True, exist_ok=True)
        (home / "storage" / key).write_bytes(b"x" * 1000)
    assert line.json("gc", "--unknown")[1]["stays"].startswith("it is younger than the grace period of 7 days")
    line.run("gc", "--unknown", "--remove", stray, code=8)
    monkeypatch.setenv("DATASET_ASSETS_GRACE_DAYS", "0")
    listed = line.run("gc", "--unknown")
    assert listed.out.split() == ["1.0", "kB", "notes.txt", *STAYS, "1.0", "kB", stray]
    assert "1 of 2 objects, 1.0 kB, can be removed with: dataset-assets gc --unknown --remove KEY" in listed.err
    for arguments, code in ((["--remove", stray], 2), (["--unknown", "--remove"], 2)):
        assert "--remove needs --unknown" in line.run("gc", *arguments, code=code).err
    line.run("gc", "--unknown", "--remove", stray, "notes.txt", code=8)
    assert "would be removed" in line.run("gc", "--unknown", "--remove", stray, "--dry-run").err
    assert (home / "storage" / stray).exists()
    assert stray in line.run("gc", "--unknown", "--remove", stray).out
    assert not (home / "storage" / stray).exists() and (home / "storage/notes.txt").exists()
