"""Servers are killed and started again at random under prepare, copy, gc and an epoch: nothing acknowledged is lost.

Clients are killed too. SOAK_ROUNDS says how many rounds each server gets, and SOAK_SEED is the seed of them all.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import pytest
import servers
import soak_client
from soak_client import EXPLAINED, NAME

from dataset_assets import load
from dataset_assets.moving.verify import verify
from dataset_assets.storage import open_storage

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "34"))
SEED = int(os.environ.get("SOAK_SEED", "0"))
VERBS = ("prepare", "copy", "gc", "epoch")
CLIENT = Path(soak_client.__file__)
SURE_SECONDS = soak_client.GRACE_SECONDS / 2
"""So young a version is kept by `gc`, whatever came after it."""

pytestmark = [pytest.mark.soak, pytest.mark.server]


class Killable:
    """A server in a folder of its own, where it is started again."""

    def __init__(self, name: str, base: Path) -> None:
        self.name, self.base, self.port, self.url = name, base, 0, ""
        self.process = self.begin()

    def begin(self) -> "subprocess.Popen[bytes]":
        where: Any
        if self.name == "seaweed":
            self.process, where = servers.started(lambda: servers.start_seaweed(self.base))
            self.url = f"s3://{servers.BUCKET}/soak?endpoint={where}&region=us-east-1"
        elif self.name == "postgres":
            self.process, self.port = servers.started(lambda: servers.start_postgres(self.base, self.port), 60)
            self.url = f"postgresql+psycopg2://tests@127.0.0.1:{self.port}/postgres"
        else:
            self.process, self.port = servers.started(lambda: servers.start_secantus(self.base, self.port), 60)
            self.url = f"mongodb://127.0.0.1:{self.port}/soak"
        return self.process

    def other(self) -> str:
        """The URL of a second storage in the same server."""
        if self.name == "seaweed":
            return self.url.replace("/soak?", "/other?")
        return self.url.replace("/soak", "/other") if self.name == "secantus" else f"file://{self.base}/other"

    def kill(self) -> None:
        """Kill it and all its processes, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Done(NamedTuple):
    """What a client did: its verb, how it ended, what it said, and when it began."""

    verb: str
    code: int
    said: str
    why: str
    when: float


class Said(NamedTuple):
    """A version that was acknowledged, and when its client began."""

    digest: str
    when: float


@pytest.fixture(params=["seaweed", "postgres", "secantus"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killable]:
    for variable, value in {
        "AWS_ACCESS_KEY_ID": servers.KEY, "AWS_SECRET_ACCESS_KEY": servers.SECRET, "PGPASSWORD": servers.SECRET,
        "MONGODB_USERNAME": servers.MONGO_USER, "MONGODB_PASSWORD": servers.SECRET,
        "DATASET_ASSETS_HOME": str(tmp_path / "home"), "DATASET_ASSETS_STALL_SECONDS": "20",
        "DATASET_ASSETS_FILE_BYTES": "100000",
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, value)
    with servers.folder() as base:
        found = Killable(request.param, base)
        try:
            yield found
        finally:
            found.kill()


def client(verb: str, server: Killable, number: int) -> "subprocess.Popen[str]":
    command = [sys.executable, str(CLIENT), verb, server.url, server.other(), str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def one_round(server: Killable, number: int, chance: random.Random) -> list[Done]:
    """Let four clients work, kill the server once or twice meanwhile and start it again, and perhaps kill a client."""
    began, clients = time.monotonic(), {verb: client(verb, server, number) for verb in VERBS}
    victim = chance.choice([None, None, *VERBS])
    for _ in range(chance.choice([1, 2])):
        time.sleep(chance.uniform(0.3, 4))
        server.kill()
        time.sleep(chance.uniform(0, 1))
        server.begin()
    if victim:
        clients[victim].kill()
    done = []
    for verb, process in clients.items():
        said, why = process.communicate(timeout=240)
        done.append(Done(verb, process.returncode, said.strip(), why[-1500:], began))
        assert process.returncode in (0, EXPLAINED, *([-signal.SIGKILL] if verb == victim else [])), done[-1]
    return done


def whole(name: str, storage: str) -> int:
    """Read a version whole, each file hashed; return the number that its samples hold."""
    view: Any = load(name, "train", storage=storage, verify="all")
    data = view.to_numpy()
    assert not soak_client.wrong(data) and len(data["at"]) == soak_client.BLOCKS * soak_client.BLOCK
    [number] = {*data["number"].tolist()}
    return int(number)


def see_nothing_lost(server: Killable, number: int, prepared: dict[int, Said], copied: list[Said]) -> None:
    """Look that the current version is not older than the last acknowledged one, and that all that is kept is whole."""
    last = max(prepared, default=None)
    if last is None:
        return
    assert last <= whole(NAME, server.url) <= number
    for storage, acknowledged in ((server.url, prepared.values()), (server.other(), copied)):
        for digest, when in acknowledged:
            if time.monotonic() < when + SURE_SECONDS:
                whole(f"{NAME}@{digest}", storage)


@pytest.mark.timeout(0)
def test_nothing_acknowledged_is_lost_and_no_sample_is_wrong_however_servers_and_clients_are_killed(
    server: Killable, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared: dict[int, Said] = {}
    copied: list[Said] = []
    counts: dict[tuple[str, int], int] = {}
    tell: Callable[..., None] = print
    for number in range(1, ROUNDS + 1):
        chance = random.Random(f"{SEED} {server.name} {number}")
        for done in one_round(server, number, chance):
            counts[done.verb, done.code] = counts.get((done.verb, done.code), 0) + 1
            if done.code == 0 and done.verb == "prepare":
                prepared[number] = Said(done.said, done.when)
            elif done.code == 0 and done.verb == "copy":
                copied.append(Said(done.said, done.when))
        see_nothing_lost(server, number, prepared, copied)
        with capsys.disabled():
            tell(f"{server.name}, round {number} of {ROUNDS}, seed {SEED}: {counts}", flush=True)
    assert prepared and counts.get(("epoch", 0)), "some work succeeded in between"
    for storage in (server.url, server.other()):
        assert not verify(NAME, open_storage(storage)).left
