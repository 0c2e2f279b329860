"""A witness of the kernel: no change of a storage passes without its fail point, as strace sees all calls."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import SUPPORT

CALLS = "openat,open,creat,rename,renameat,renameat2,link,linkat,write,pwrite64,writev,ftruncate,mkdir,mkdirat,access"
KINDS = {
    "openat": "create", "open": "create", "creat": "create", "rename": "replace", "renameat": "replace",
    "renameat2": "replace", "link": "link", "linkat": "link", "write": "write", "pwrite64": "write",
    "writev": "write", "ftruncate": "truncate", "mkdir": "mkdir", "mkdirat": "mkdir",
}  # fmt: skip

# Each fail point asks for a file of its name, which strace sees.
WATCHED = """
import os, sys
from pathlib import Path
import tiny
from verbs import VERBS, Home
from dataset_assets.testing import FaultyServer
from dataset_assets.testing.faults import installed
def hook(operation, path, size):
    os.access(f"/passes/{operation}/{path}", os.F_OK)
with FaultyServer({"/old/numbers.csv": tiny.NUMBERS, "/new/numbers.csv": tiny.CHANGED}) as server, installed(hook):
    old, new = (tiny.small(f"{server.url}/{which}/numbers.csv") for which in ("old", "new"))
    home, verb = Home(Path(sys.argv[2]), old, new), VERBS[sys.argv[1]]
    verb.begin(home)
    verb.act(home)
"""


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize(
    "verb",
    ["prepare", *(pytest.param(verb, marks=pytest.mark.sweep) for verb in ("copy", "unbundle", "gc", "pin", "rm"))],
)
def test_no_change_of_a_storage_passes_no_fail_point(verb: str, place: Path) -> None:
    out = place / "calls"
    watched = ["strace", "-f", "-y", "-s", "300", "-e", f"trace={CALLS}", "-o", str(out)]
    command = [sys.executable, "-c", WATCHED, verb, str(place)]
    subprocess.run([*watched, *command], check=True, env={**os.environ, "PYTHONPATH": str(SUPPORT)}, cwd=place)
    last: dict[str, tuple[str, str]] = {}
    seen, unannounced = 0, []
    for line in out.read_text("utf-8", "replace").splitlines():
        thread, _, call = line.partition(" ")
        call = call.strip()
        if passed := re.match(r'access\("/passes/(\w+)/([^"]*)"', call):
            last[thread] = passed[1], passed[2]
        elif (change := changed(call)) and re.search(r"/(storage|second)/", change[1]):
            seen += 1
            if last.get(thread) != change:
                unannounced.append((change, last.get(thread)))
    assert unannounced == [] and seen > 10


def changed(call: str) -> tuple[str, str] | None:
    """Return what a call of the kernel does to which path; None for one that failed, or changes nothing."""
    name = call.partition("(")[0]
    if name not in KINDS or " = -1 " in call:
        return None
    if name in ("openat", "open") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", call):
        return None
    # Opening a lock to sign it changes nothing.
    if name == "openat" and "O_CREAT" not in call:
        return None
    of_descriptor = KINDS[name] in ("write", "truncate")
    paths = re.findall(r"<([^>]*)>", call) if of_descriptor else re.findall(r'"([^"]*)"', call)
    return (KINDS[name], paths[0] if of_descriptor else paths[-1]) if paths else None
