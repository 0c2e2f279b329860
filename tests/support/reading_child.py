"""A child process that reads files which may end it: it answers each line of JSON with one, and is begun again."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from places import SUPPORT

SECONDS = 200
"""By the clock: on a busy machine a child may take a minute to begin."""


class Child:
    """A process that reads files until one of them ends it."""

    def __init__(self, script: str, home: Path) -> None:
        self.script, self.home = script, home
        self.process: subprocess.Popen[str] | None = None

    def read(self, *asked: Any) -> str:
        """Return what came of what was asked, or how the child ended."""
        process = self.process = self.process or self._begun()
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        if ready and (line := process.stdout.readline()):
            return str(json.loads(line))
        self.end()
        code = process.returncode
        return f"ended by {signal.Signals(-code).name}" if ready and code < 0 else f"ended with {code}, or hung"

    def _begun(self) -> "subprocess.Popen[str]":
        command = [sys.executable, str(SUPPORT / self.script)]
        more = {"DATASET_ASSETS_HOME": str(self.home), "PYTHONWARNINGS": "ignore"}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True,
                                env={**os.environ, **more})  # fmt: skip

    def end(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.communicate()
            self.process = None
