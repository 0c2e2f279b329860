"""C7: Ctrl-C or a polite kill in the middle of publishing or prefetching, on a store that does not answer.

Threads and children end without waiting for it, no file is left behind, and the same command gets there afterwards.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from command_line import COMMAND, CommandLine
from servers import Place, Proxy

from dataset_assets.storage import open_storage
from dataset_assets.testing import Fault, Reset

NAME = "org.example.large"
DEFINITION = """
import numpy as np
from dataset_assets import Array, Columns, Dataset, Split

def values():
    for i in range(10):
        yield Columns(value=np.full((1000, 1000), i, np.uint8))

large = Dataset("org.example.large.one", "Large.", {"value": Array()}, {"train": Split(values)})
"""
READER = """
import signal, sys
from dataset_assets import load
from dataset_assets.loader import Loader
if {tidy}:
    signal.signal(signal.SIGTERM, lambda *args: sys.exit(143))
view = load("org.example.large.one", "train", storage={url!r})
for batch in Loader(view, 100, threads={threads}):
    print(len(batch["value"]), flush=True)
"""
SECONDS = 100.0
"""It takes about one, and the store stays silent for longer than these."""


class Stalled:
    """A fault of a proxy that never answers some requests; `met` is set when there was one."""

    def __init__(self, method: str, part: str, after: int = 0) -> None:
        self.method, self.part, self.left = method, part, after
        self.met, self.go = threading.Event(), threading.Event()

    def __call__(self, method: str, path: str) -> Fault | None:
        if method == self.method and self.part in path:
            self.left -= 1
            if self.left < 0:
                self.met.set()
                self.go.wait(280)
                return Reset()
        return None


@pytest.fixture
def line(fast_path: Path, seaweed: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """A command line whose storage is a bucket behind the proxy, in files of a megabyte."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    found = CommandLine(fast_path)
    found.install("large", {"large_module": DEFINITION}, datasets={NAME: "large_module"})
    place = f"{seaweed.url}interrupted_{os.urandom(4).hex()}?endpoint={proxy.url}"
    found.environment |= {"DATASET_ASSETS_STORAGE": place, "DATASET_ASSETS_FILE_BYTES": "1000000"}
    return found


@pytest.fixture
def stalled(proxy: Proxy) -> Iterator[list[Stalled]]:
    faults: list[Stalled] = []
    yield faults
    for fault in faults:
        fault.go.set()


def end(process: "subprocess.Popen[bytes]", by: signal.Signals) -> float:
    """Send a signal; return in how many seconds the process and all that it began were gone."""
    began = time.monotonic()
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(by)
    process.wait(200)
    _, alive = psutil.wait_procs(family, 60)
    assert not alive
    return time.monotonic() - began


def left_in(home: Path) -> list[Path]:
    """Return files of which nobody knows any more."""
    scratch = [*(home / "scratch").rglob("*")] if (home / "scratch").exists() else []
    return [*scratch, *home.rglob("*.part")]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=lambda by: by.name)
@pytest.mark.parametrize("where", ["bytes", "pointer"])
def test_C7_publishing_to_a_bucket_that_does_not_answer_can_be_ended(
    line: CommandLine, proxy: Proxy, stalled: list[Stalled], by: signal.Signals, where: str
) -> None:
    stalled.append(Stalled("PUT", "/train/value/" if where == "bytes" else "current.json", 3 * (where == "bytes")))
    proxy.fault = stalled[0]
    command = [*COMMAND, "prepare", f"{NAME}.one", "--direct"]
    process = subprocess.Popen(command, env=line.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert stalled[0].met.wait(200)
    assert end(process, by) < SECONDS
    assert process.returncode == 130 and process.stderr is not None
    assert "interrupted. Finished work is kept" in process.stderr.read().decode()
    process.stderr.close()
    assert left_in(line.home) == []
    proxy.fault = lambda method, path: None
    line.run("prepare", f"{NAME}.one", "--direct")
    assert line.run("verify").stdout.split() == [f"{NAME}.one", "whole"]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=lambda by: by.name)
@pytest.mark.parametrize("threads", [0, 2])
def test_C7_reading_ahead_from_a_bucket_that_does_not_answer_can_be_ended(
    line: CommandLine, proxy: Proxy, stalled: list[Stalled], by: signal.Signals, threads: int
) -> None:
    line.run("prepare", f"{NAME}.one", "--direct")
    stalled.append(Stalled("GET", "/train/value/", 2))
    proxy.fault = stalled[0]
    code = READER.format(url=line.environment["DATASET_ASSETS_STORAGE"], tidy=by is signal.SIGTERM, threads=threads)
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=line.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert stalled[0].met.wait(200)
    assert end(process, by) < SECONDS
    assert process.returncode in (-signal.SIGINT, 130, 143)
    assert left_in(line.home) == []


def test_C7_waiting_for_a_lock_in_postgres_can_be_ended(
    fast_path: Path, postgres: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg2

    for name, value in postgres.environment.items():
        monkeypatch.setenv(name, value)
    schema = f"interrupted_{os.urandom(4).hex()}"
    line = CommandLine(fast_path)
    line.install("large", {"large_module": DEFINITION}, datasets={NAME: "large_module"})
    line.environment |= {"DATASET_ASSETS_STORAGE": f"{postgres.url}?schema={schema}"}
    connection = psycopg2.connect(postgres.url.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        key = f"{schema}/org/example/large/one/current.json"
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (key,))
        command = [*COMMAND, "prepare", f"{NAME}.one", "--direct"]
        process = subprocess.Popen(command, env=line.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 200
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
        while cursor.execute(waiting) or cursor.fetchone() == (0,):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.05)
        assert end(process, signal.SIGINT) < SECONDS
    connection.close()
    assert process.returncode == 130 and left_in(line.home) == []
    storage = open_storage(line.environment["DATASET_ASSETS_STORAGE"])
    assert not storage.exists("org/example/large/one/current.json")
    line.run("prepare", f"{NAME}.one", "--direct")


FORKED = """
import os, sys
from dataset_assets.storage import open_storage
storage = open_storage({url!r})
storage.exists("a")
child = os.fork()
if child == 0:
    storage.get("a").read()
os.waitpid(child, 0)
"""


def test_C7_the_process_beside_a_forked_child_ends_with_it_in_the_middle_of_a_request(
    line: CommandLine, proxy: Proxy, stalled: list[Stalled]
) -> None:
    url = line.environment["DATASET_ASSETS_STORAGE"]
    open_storage(url).put("a", b"x")
    stalled.append(Stalled("GET", "/a"))
    proxy.fault = stalled[0]
    process = subprocess.Popen([sys.executable, "-c", FORKED.format(url=url)], env=line.environment)
    assert stalled[0].met.wait(200)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) == 2
    [child] = psutil.Process(process.pid).children()
    child.kill()
    process.wait(200)
    _, alive = psutil.wait_procs(family, SECONDS)
    assert not alive
