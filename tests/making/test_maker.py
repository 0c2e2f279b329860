"""The law of the maker: `prepare` and Dagster ask a source equally often, write the same files, and make equal digests.

It holds for files that are retrieved, derived and kept, derived and not kept, pinned by a digest and shared by splits,
for splits of files, of another split and of nothing, and whatever of it is stored, refreshed, damaged or gone.
"""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Iterator

import dagster as dg
import numpy as np
import pytest
import tiny
from orchestrated import files_in, numbered, run, two_files

from dataset_assets import Array, Dataset, DerivedFile, RemoteFile, Split, SplitOf, load, prepare
from dataset_assets.definition import registry
from dataset_assets.orchestration.refresh import REFRESH
from dataset_assets.testing.datasets import gzipped, idx_bytes, served
from dataset_assets.testing.server import Fault, FaultyServer, Reply

IMAGES, LABELS = np.arange(4 * 28 * 28, dtype=np.uint8).reshape(4, 28, 28), np.arange(4)
MNIST = {
    f"{part}_{name}_gz": gzipped(idx_bytes(array + (part == "t10k")))
    for part in ("train", "t10k")
    for name, array in (("images_idx3_ubyte", IMAGES), ("labels_idx1_ubyte", LABELS))
}
CHANGED = {"/numbers.csv": tiny.CHANGED, "/whole.txt": b"7\n8\n9\n", "/a.csv": b"5\n"}


def lines(table: Any) -> Iterator[Any]:
    for line in table:
        yield {"n": int(line)}


def high(whole: Any, least: int) -> Any:
    return whole.filter((">=", least), column="n")


def doubled(table: Any) -> Iterator[bytes]:
    for line in table:
        yield b"%d\n" % (2 * int(line))


def divided(url: str) -> Dataset:
    """Return a dataset whose splits are parts of another split, which is made of a derived file."""
    whole = DerivedFile("doubled.txt", doubled, keep=True, table=RemoteFile(f"{url}/whole.txt"))
    splits = {"whole": Split(lines, table=whole), "high": Split(high, whole=SplitOf("whole"), least=6)}
    parts = SplitOf("whole").random_split({"train": 0.5, "test": 0.5})
    return Dataset("org.example.divided", "Numbers.", {"n": Array()}, {**parts, **splits}, checks={"leakage": "off"})


def kit(server: FaultyServer) -> list[Dataset]:
    """Return the datasets of the test-kit, their files on a local server."""
    small = replace(tiny.small(f"{server.url}/numbers.csv"), name="org.example.small")
    mnist = served(registry.find("com.lecun.mnist"), server, MNIST)
    return [tiny.tiny(f"{server.url}/"), small, two_files(server.url), divided(server.url), numbered(), mnist]


def few(server: FaultyServer) -> list[Dataset]:
    """Return two of them that have all between them: files shared, derived and kept, and splits of splits.

    Each damage is tried on these two, which have every kind of file that can be damaged: a Dagster run of all six takes
    twice as long. `EACH` damages all six.
    """
    return [dataset for dataset in kit(server) if dataset.name in ("org.example.small", "org.example.divided")]


class Silent(Fault):
    """A source that says nothing that would show whether it changed."""

    def change(self, reply: Reply) -> None:
        reply.headers.pop("ETag", None)
        reply.headers.pop("Last-Modified", None)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    files = {"/numbers.csv": tiny.NUMBERS, "/whole.txt": b"1\n2\n3\n4\n", "/a.csv": b"1\n2\n", "/b.csv": b"3\n"}
    with FaultyServer(files | {f"/{name}": data for name, data in MNIST.items()}) as server:
        yield server


@pytest.fixture(scope="module")
def made(server: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a storage that holds the datasets."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATASET_ASSETS_HOME", str(folder / "home"))
        patch.setenv("NO_PROXY", "127.0.0.1")
        for dataset in kit(server):
            prepare(dataset, storage=folder / "storage")
    return folder / "storage"


# What happened to the storage, or to the sources, before the second time.


def nothing(storage: Path) -> None: ...


def everything(storage: Path) -> None:
    shutil.rmtree(storage)


def gone(pattern: str) -> Callable[[Path], None]:
    def remove(storage: Path) -> None:
        for path in found(storage, pattern):
            path.unlink()

    return remove


def flipped(pattern: str) -> Callable[[Path], None]:
    """Return a change of a file's bytes that leaves its size."""

    def flip(storage: Path) -> None:
        for path in found(storage, pattern):
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    return flip


def both(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(storage: Path) -> None:
        for one in changes:
            one(storage)

    return change


def found(storage: Path, pattern: str) -> list[Path]:
    paths = [path for path in storage.rglob(pattern) if path.is_file()]
    assert paths, f"nothing in the storage is called {pattern}"
    return paths


RAW, INDEX, RECORD = f"raw/*/{'[0-9a-f]' * 64}", "index/*.json", "raw/*/source.json"
STREAM, VERSION, POINTER = "n/*", "versions/*.json", "current.json"

REFRESH_TOO = True
CASES: dict[str, tuple[Callable[[Path], None], bool]] = {
    "refreshed without raw files": (gone(RAW), REFRESH_TOO),
    "refreshed with damaged raw files": (both(flipped(RAW), gone(INDEX)), REFRESH_TOO),
    "without raw files": (gone(RAW), False),
    "with damaged raw files that nobody needs": (flipped(RAW), False),
    "with damaged raw files that are needed": (both(flipped(RAW), gone(INDEX)), False),
    "with damaged records of raw files": (both(flipped(RECORD), gone(STREAM)), False),
    "with damaged indexes": (flipped(INDEX), False),
    "with a damaged version and pointer": (both(flipped(VERSION), flipped(POINTER)), False),
}


# One damage for each dataset of the test-kit.
EACH: dict[str, str] = {
    "tiny": "with damaged raw files that are needed",
    "small": "without raw files",
    "two": "with damaged records of raw files",
    "divided": "with damaged indexes",
    "numbered": "with a damaged version and pointer",
    "mnist": "with damaged raw files that are needed",
}


def each(storage: Path) -> None:
    for name, case in EACH.items():
        change, _ = CASES[case]
        [folder] = storage.glob(f"*/*/{name}")
        change(folder)


@pytest.mark.parametrize("case", CASES)
def test_it_holds_for_damage(case: str, home: Path, fast_path: Path, made: Path, server: FaultyServer) -> None:
    change, refresh = CASES[case]
    hold(change, refresh, fast_path, made, server, few(server))


@pytest.mark.parametrize("change", [everything, nothing, each])
def test_it_holds_for_every_kind_of_dataset(
    change: Callable[[Path], None], home: Path, fast_path: Path, made: Path, server: FaultyServer
) -> None:
    hold(change, False, fast_path, made, server, kit(server))


def test_it_holds_when_sources_changed(home: Path, fast_path: Path, made: Path, server: FaultyServer) -> None:
    before = dict(server.files)
    server.files |= CHANGED
    try:
        digests = hold(nothing, REFRESH_TOO, fast_path, made, server, few(server))
    finally:
        server.files.update(before)
    assert not digests.items() & released(few(server), made).items()


def test_a_refresh_of_the_same_bytes_writes_nothing_even_without_validators(
    home: Path, fast_path: Path, made: Path, server: FaultyServer
) -> None:
    storage = fast_path / "silent"
    shutil.copytree(made, storage)
    server.forget()
    for path in ("/numbers.csv", "/whole.txt"):
        server.script(path, [Silent()] * 2)
    prepared(few(server), storage, refresh=True)
    before = files_in(storage)
    prepared(few(server), storage, refresh=True)
    assert len(server.requests) == 4 and files_in(storage) == before


def hold(
    change: Callable[[Path], None],
    refresh: bool,
    folder: Path,
    made: Path,
    server: FaultyServer,
    datasets: list[Dataset],
) -> dict[str, str]:
    """See that the law holds after a change of the storage; return the digests of the versions."""
    seen = []
    for name, way in (("prepare", prepared), ("dagster", materialized)):
        storage = folder / name
        shutil.copytree(made, storage, copy_function=shutil.copy)
        change(storage)
        before = files_in(storage) if storage.exists() else {}
        server.forget()
        way(datasets, storage, refresh)
        after = files_in(storage)
        asked = Counter((r.method, r.path, "If-None-Match" in r.headers) for r in server.requests)
        seen.append((asked, released(datasets, storage), set(after), {p for p in after if after[p] != before.get(p)}))
    ours, theirs = seen
    for what, one, other in zip(("asked", "released", "stored", "written"), ours, theirs):
        assert one == other, what
    return ours[1]


def prepared(datasets: list[Dataset], storage: Path, refresh: bool) -> None:
    for dataset in datasets:
        prepare(dataset, storage=storage, refresh=refresh)


def materialized(datasets: list[Dataset], storage: Path, refresh: bool) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {REFRESH: "true"} if refresh else {}
        assert run(datasets, instance, storage=storage.as_uri(), tags=tags, raise_on_error=True).success


def released(datasets: list[Dataset], storage: Path) -> dict[str, str]:
    """Return the digest of each dataset's version, and of its splits' indexes."""
    views = {dataset.name: load(dataset.name, storage=storage, verify="all") for dataset in datasets}
    digests = {f"{name}/{split}": view.origin.index for name, parts in views.items() for split, view in parts.items()}
    return digests | {name: str(next(iter(parts.values())).version) for name, parts in views.items()}
