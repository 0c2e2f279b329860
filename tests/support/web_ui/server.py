"""Serve the web UI as a user does, from a folder of no importance; stop it with all that it started."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import psutil
from command_line import COMMAND, CommandLine
from ports import free_port

from web_ui.graphql import GraphQL

PATIENCE = 240.0
ENDING = 120.0


@dataclass(frozen=True)
class Served:
    """A web UI that answers: where it is, its processes, and the command line that shares its home."""

    url: str
    graphql: GraphQL
    process: "subprocess.Popen[str]"
    line: CommandLine

    def processes(self) -> list[psutil.Process]:
        """Return the process that was started, and all that descend from it."""
        started = psutil.Process(self.process.pid)
        return [started, *started.children(recursive=True)]

    def listening(self) -> set[str]:
        """Return the addresses, with their ports, to which its processes listen for connections over a network."""
        found = set()
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                connections = process.net_connections("inet")
                found |= {f"{one.laddr.ip}:{one.laddr.port}" for one in connections if one.status == psutil.CONN_LISTEN}
        return found


@contextmanager
def served(line: CommandLine, cwd: Path, *names: str) -> Iterator[Served]:
    """Serve the UI until the end of the block; fail if anything of it is left then. It shows these datasets, too."""
    port = free_port()
    environment = {**line.environment, "DAGSTER_HOME": str(line.home / "dagster"), "NO_PROXY": "127.0.0.1"}
    process = subprocess.Popen(
        [*COMMAND, "ui", *names, "--port", str(port)], cwd=cwd, env=environment, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    said = _heard(process)
    url = f"http://127.0.0.1:{port}"
    server = Served(url, GraphQL(url), process, line)
    try:
        _await(server, said)
        yield server
    finally:
        left = _stop(server)
        sys.stderr.write("".join(said))
    assert not left, f"these outlived the UI: {left}"


def _heard(process: "subprocess.Popen[str]") -> list[str]:
    """Return what a process says, as it says it; a pipe that nobody reads would stop it."""
    said: list[str] = []
    assert process.stderr
    threading.Thread(target=lambda stream: said.extend(stream), args=[process.stderr], daemon=True).start()
    return said


def _await(server: Served, said: list[str]) -> None:
    """Wait until the UI answers and its definitions are loaded."""
    end = time.monotonic() + PATIENCE
    while server.process.poll() is None and time.monotonic() < end:
        with suppress(OSError):
            if server.graphql.locations():
                return
        time.sleep(0.2)
    raise AssertionError(f"the UI did not answer (exit code {server.process.returncode}): {''.join(said)}")


def _stop(server: Served) -> list[str]:
    """End the UI as Ctrl-C does; kill what is left of it, and return what that was."""
    with suppress(psutil.NoSuchProcess):
        family = server.processes()
        server.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(ENDING)
        _, alive = psutil.wait_procs(family, timeout=60)
        left = [" ".join(process.cmdline()) for process in alive]
        for process in alive:
            process.kill()
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        return left
    return []
