"""The command line in processes of its own, with the plugins that a test writes for it."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import warm

COMMAND = [sys.executable, "-m", "dataset_assets"]

TABLE = b"text\n" + b"a line of text\n" * 400
"""What a server serves as /table.csv to the datasets of `FAILING`."""

FAILING = """
import sys
from dataset_assets import Dataset, RemoteFile, Split, Text
from dataset_assets.core import files
from dataset_assets.decoding import csv_rows

def rows(table, part=None):
    print("printed by a definition")
    yield from csv_rows(table)

def others(table):
    yield {{"text": "another"}}

def raising(table):
    yield {{"text": "the first"}}
    raise KeyError("missing")

def on_a_full_disk(table):
    from dataset_assets.testing.faults import strike
    def full(operation, path, size):
        if operation == "write":
            strike("ENOSPC")
    files.hook = full
    yield from csv_rows(table)

def overtaken(views):
    from dataset_assets import prepare
    prepare(dataset("overtaken", others))

def dataset(name, function=rows, url="{url}/table.csv", splits=("all",), digest=None, **more):
    file = RemoteFile(url, digest=digest)
    made = {{split: Split(function, table=file) for split in splits}}
    return Dataset("org.example.web." + name, "A table of text.", {{"text": Text()}}, made, **more)

fine = dataset("fine")
missing = dataset("missing", url="{url}/missing.csv")
other_bytes = dataset("other_bytes", digest="sha256:" + "0" * 64)
broken = dataset("broken", raising)
full = dataset("full", on_a_full_disk)
overtaken_meanwhile = dataset("overtaken", checks={{"meanwhile": overtaken}})
outside = dataset("outside", url="package://numpy/../secret")
leaky = dataset("leaky", splits=("train", "test"))
"""
"""A module of datasets each of which fails in its own way, but for `fine`; {url} is the server's."""

SITUATIONS = {
    1: "broken", 4: "other_bytes", 5: "missing", 6: "full", 7: "overtaken", 8: "outside", 9: "leaky",
}  # fmt: skip
"""Exit code -> the last part of the name of a dataset that ends with it."""


class CommandLine:
    """Runs commands in a home of their own, where the packages that were `install`ed are found."""

    def __init__(self, folder: Path) -> None:
        self.home, self.site = folder / "home", folder / "site"
        self.site.mkdir(parents=True)
        held = {name: value for name, value in os.environ.items() if not name.startswith(("DATASET_ASSETS", "DAGSTER"))}
        path = os.pathsep.join(filter(None, [str(self.site), held.get("PYTHONPATH")]))
        self.environment = {**held, "DATASET_ASSETS_HOME": str(self.home), "PYTHONPATH": path}

    def install(self, package: str, modules: Mapping[str, str], **points: Mapping[str, str]) -> None:
        """Install a package of some modules; `datasets={"org.example": "module"}` are its entry points."""
        for module, text in modules.items():
            (self.site / f"{module}.py").write_text(text)
        info = self.site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        sections = [
            f"[dataset_assets.{group}]\n" + "".join(f"{name} = {value}\n" for name, value in offered.items())
            for group, offered in points.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(sections))

    def run(self, *arguments: str, code: int | None = 0, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, and expect its exit code (None: any)."""
        command = ["-m", "dataset_assets", *arguments]
        found = warm.run(command, {**self.environment, **environment}, self.site.parent)
        assert code in (None, found.returncode), f"{arguments}: {found.returncode}\n{found.stdout}{found.stderr}"
        return found

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with `--json`, and return the one document on its stdout."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start a command, with pipes to read from."""
        return subprocess.Popen(
            [*COMMAND, *arguments], env={**self.environment, **environment}, cwd=self.site.parent, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


class Terminal:
    """A terminal of 100 columns in which a command runs; `press` keys, and look at what is on the `screen`."""

    def __init__(self, command: list[str], environment: Mapping[str, str], cwd: Path) -> None:
        self.side, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.screen = ""
        self.process = subprocess.Popen(
            command, env=environment, cwd=cwd, stdin=other, stdout=other, stderr=other, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- so that Ctrl-C is a signal
        )  # fmt: skip
        os.close(other)
        self.reading = threading.Thread(target=self._read, daemon=True)
        self.reading.start()

    def _read(self) -> None:
        try:
            while piece := os.read(self.side, 4096):
                self.screen += piece.decode(errors="replace")
        except OSError:
            pass  # its other side is closed

    def press(self, key: bytes) -> None:
        """Press a key; b"\\x03" is Ctrl-C."""
        os.write(self.side, key)

    def until(self, text: str, seconds: float = 240, after: int = 0) -> str:
        """Wait until a text is on the screen, `after` so many characters; return all that was on it."""
        end = time.monotonic() + seconds
        while True:
            # First: what it says last may come while this thread looks.
            over = self.process.poll() is not None and not self.reading.is_alive() or time.monotonic() > end
            if text in self.screen[after:]:
                return self.screen
            assert not over, self.screen
            time.sleep(0.02)

    def wait(self, seconds: float = 240) -> int:
        """Wait for the end of the command; return its exit code."""
        code = self.process.wait(seconds)
        self.reading.join(60)
        return code

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.side)


def in_terminal(line: CommandLine, *arguments: str, **environment: str) -> Terminal:
    """Start a command in a terminal."""
    return Terminal([*COMMAND, *arguments], {**line.environment, "TERM": "xterm", **environment}, line.site.parent)
