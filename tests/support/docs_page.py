"""Runs the code of a page of the documentation in order, and compares what it prints with what the page says.

On stdin comes JSON: the page's name and its blocks (language, code, line). A block whose first line is a comment that
names a file is written to that file. Another of Python or shell is run. One of output is held against what the block
before it printed, where "..." stands for anything.
"""

import io
import json
import linecache
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from ports import free_port

SERVER = re.compile(r"^dataset-assets ui\b.*$", re.MULTILINE)


def main() -> None:
    page, blocks = json.load(sys.stdin)
    sys.path.insert(0, os.getcwd())
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for language, code, line in blocks:
        place = f"{page}:{line}"
        print("---", place, flush=True)
        if language == "output":
            compare(place, code, printed)
        elif name := re.match(r"# ([\w/]+\.(?:py|toml|yaml))\n", code):
            Path(name[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(name[1]).write_text(code)
        elif language == "python":
            printed = python(place, code, line, namespace)
        elif language == "sh":
            printed = shell(code)
        print(printed, flush=True)


def python(place: str, code: str, line: int, namespace: dict[str, Any]) -> str:
    padded = "\n" * (line - 1) + code
    # The library takes the source of a split's function, as it would from a file.
    linecache.cache[place] = (len(padded), None, padded.splitlines(True), place)
    out = io.StringIO()
    with redirect_stdout(out):
        exec(compile(padded, place, "exec"), namespace)
    return out.getvalue()


def shell(code: str) -> str:
    for command in SERVER.findall(code):
        serve(command)
    rest = SERVER.sub("", code)
    result = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", rest], stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"exit code {result.returncode} of:\n{rest}{result.stdout}")
    return result.stdout


def serve(command: str) -> None:
    """Run a command that serves until it is interrupted: wait for its page, then interrupt it."""
    port = free_port()
    process = subprocess.Popen(f"exec {command} --port {port}", shell=True, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/server_info", process)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def wait_for(url: str, process: "subprocess.Popen[bytes]", seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.3)
    sys.exit(f"{url} did not answer within {seconds} s")


def compare(place: str, expected: str, printed: str) -> None:
    pattern = ".*?".join(re.escape(part) for part in aligned(expected).split("..."))
    if not re.fullmatch(pattern, aligned(printed), re.DOTALL):
        sys.exit(f"{place}: expected\n{expected}\nbut it printed\n{printed}")


def aligned(text: str) -> str:
    """Return the text with one space for several: how wide a column is depends on paths of this machine."""
    return re.sub(r" +", " ", text).strip()


if __name__ == "__main__":
    main()
