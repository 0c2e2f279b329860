"""Real media: a storage that is mounted read-only, a disk that is full, a disk that does not tell cases apart."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mounts_child import NONE_HERE
from places import SUPPORT

pytestmark = [pytest.mark.sweep, pytest.mark.timeout(0)]


def on(kind: str, place: Path) -> Any:
    """Return what a child saw on such a medium, which it mounts for itself; skip if that is not allowed here."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("mounts of our own are not allowed here")
    command = ["unshare", "-rm", sys.executable, str(SUPPORT / "mounts_child.py"), kind, str(place)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True)
    if done.returncode == NONE_HERE:
        pytest.skip(f"no medium that is {kind} can be mounted here")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_storage_that_is_mounted_read_only_is_read_and_every_change_is_one_error(place: Path) -> None:
    found = on("read-only", place)
    assert found["unchanged"]
    done = {verb for verb, said in found["tried"].items() if said == "done"}
    assert done == {"load", "bundle", "prepare what is there", "verify", "copy from it"}
    for verb, said in found["tried"].items():
        if verb not in done:
            kind, number, code, message = said
            assert (kind, number, code) == ("StorageError", errno.EROFS, 6), (verb, said)
            assert str(place / "storage") in message and "again" in message, (verb, said)


def test_a_full_disk_keeps_the_old_version_and_freeing_some_is_enough(place: Path) -> None:
    found = on("full", place)
    digests = {digest for *_, digest in found}
    assert len(digests) == 1
    for kind, free, first, whole, _ in found:
        assert whole, (kind, free, first)
        assert first == "done" or first[0] == "NoSpace" and first[2] == 6 and "again" in first[3], (kind, free, first)
    failed = {kind for kind, _, first, *_ in found if first != "done"}
    assert failed == {"local", "sqlite"}


def test_on_a_disk_that_folds_case_nothing_of_the_current_version_is_collected(place: Path) -> None:
    assert on("folding", place) == [
        [[None], {"Train": [1, 2]}],
        [[None], {"train": [3, 4, 5]}],
        [[None], {"TRAIN": [6]}],
    ]
