"""Datamaestro's checks of what is retrieved, made and kept, by their numbers."""

import gzip
import json
import os
import signal
import time
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import numpy as np
import pytest
from children import ended, in_child
from command_line import CommandLine

from dataset_assets import Array, Columns, Dataset, DerivedFile, RemoteFile, Split, prepare
from dataset_assets.core import files
from dataset_assets.core.scratch import NOTE
from dataset_assets.decoding import idx
from dataset_assets.retrieval.kept import STEP
from dataset_assets.testing import ChangeEtag, Fault, FaultyServer, Headers, IgnoreRange, Slow, Stall

DEFINED = """
from dataset_assets import Array, Dataset, RemoteFile, Split

def lines(**tables):
    for table in tables.values():
        for line in table:
            yield {{"n": int(line)}}

both = Dataset(
    "org.example.numbers.both", "Numbers.", {{"n": Array()}},
    {{"all": Split(lines, a=RemoteFile("{url}/a.txt"), b=RemoteFile("{url}/b.txt"))}},
)
other = Dataset("org.example.numbers.other", "Numbers.", {{"n": Array()}},
                {{"all": Split(lines, a=RemoteFile("{url}/a.txt"))}})
"""
BOTH, OTHER = "org.example.numbers.both", "org.example.numbers.other"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/a.txt": b"1\n2\n", "/b.txt": b"3\n"}) as server:
        yield server


@pytest.fixture
def line(tmp_path: Path, server: FaultyServer) -> CommandLine:
    line = CommandLine(tmp_path)
    line.install("tables", {"tables": DEFINED.format(url=server.url)}, datasets={"org.example.numbers": "tables"})
    return line


def test_3_prepare_prints_one_document_of_paths_that_exist(line: CommandLine, server: FaultyServer) -> None:
    refused = line.run("prepare", BOTH, "--direct", "--json", "--offline", code=5)
    assert refused.stdout == "" and f"{BOTH}: {server.url}/b.txt" in refused.stderr and not server.requests
    done = line.run("prepare", BOTH, "--direct", "--json")
    made = json.loads(done.stdout)
    assert made["id"] == f"{BOTH}@{made['version']}"
    paths = [*paths_of(made)]
    assert len(paths) == 3 and all(Path(path).exists() for path in paths)
    assert made == json.loads(line.run("prepare", BOTH, "--direct", "--json", "--offline").stdout)


def paths_of(document: Any) -> Iterator[str]:
    """Yield what stands under "path", anywhere in a document."""
    for name, value in document.items() if isinstance(document, dict) else enumerate(document):
        if name == "path":
            yield value
        elif isinstance(value, (dict, list)):
            yield from paths_of(value)


class Digits:
    """A dataset that a class defines, of four gzipped IDX files."""

    def __init__(self, url: str) -> None:
        self.url = url

    def dataset(self) -> Dataset:
        kinds = {"train": "train", "test": "t10k"}
        splits = {split: Split(self.digits, **self.files(kind)) for split, kind in kinds.items()}
        checks = {"leakage": "off"}
        return Dataset("org.example.digits", "Digits.", {"image": Array(), "label": Array()}, splits, checks=checks)

    def files(self, kind: str) -> dict[str, DerivedFile]:
        names = {"images": f"{kind}-images-idx3-ubyte", "labels": f"{kind}-labels-idx1-ubyte"}
        return {key: DerivedFile(name, gunzip, packed=self.packed(name)) for key, name in names.items()}

    def packed(self, name: str) -> RemoteFile:
        return RemoteFile(f"{self.url}/{name}.gz")

    @staticmethod
    def digits(images: BinaryIO, labels: BinaryIO) -> Iterator[Columns]:
        yield Columns(image=idx(images), label=idx(labels))


def gunzip(packed: BinaryIO) -> Iterator[bytes]:
    with gzip.open(packed) as file:
        yield from files.chunks_of(file)


CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def as_idx(array: np.ndarray[Any, Any]) -> bytes:
    """Return an array as the IDX format has it: big-endian, see yann.lecun.com/exdb/mnist."""
    head = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(head + array.astype(array.dtype.newbyteorder(">")).tobytes(), 1)


@pytest.mark.parametrize("dtype", CODES)
def test_4_a_class_with_four_gzipped_idx_files_is_made_by_one_call(home: Path, dtype: str) -> None:
    counts = {"train": 60_000, "t10k": 10_000} if dtype == "u1" else {"train": 60, "t10k": 10}
    expected, served = {}, {}
    for kind, count in counts.items():
        images = np.arange(count * 784).reshape(count, 28, 28).astype(dtype)
        labels = (np.arange(count) % 10).astype(np.uint8)
        expected[kind] = images, labels
        served |= {f"/{kind}-images-idx3-ubyte.gz": as_idx(images), f"/{kind}-labels-idx1-ubyte.gz": as_idx(labels)}
    with FaultyServer(served) as server:
        made = prepare(Digits(server.url).dataset())
    for split, kind in {"train": "train", "test": "t10k"}.items():
        found, (images, labels) = made[split].to_numpy(), expected[kind]
        assert (found["image"].shape, found["image"].dtype) == ((counts[kind], 28, 28), np.dtype(dtype))
        assert (found["label"].shape, found["label"].dtype) == ((counts[kind],), np.uint8)
        np.testing.assert_array_equal(found["image"], images)
        np.testing.assert_array_equal(found["label"], labels)


def states(line: CommandLine) -> tuple[str, dict[str, str]]:
    """Return the state of the dataset and of its files, as another process sees them."""
    shown = line.json("info", BOTH)
    return shown["state"], {name: file["state"] for name, file in shown["files"].items()}


def test_6_states_are_true_after_a_kill_and_a_damaged_one_is_mended(line: CommandLine, server: FaultyServer) -> None:
    assert states(line) == ("none", {"a_txt": "none", "b_txt": "none"})
    # Each attempt to get it lasts half a minute.
    server.script("/b.txt", [Slow(bytes_per_s=0.01)] * 4)
    killed = line.start("prepare", BOTH, "--direct")
    while states(line)[1] != {"a_txt": "provisional", "b_txt": "none"}:
        assert killed.poll() is None, killed.communicate()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    server.forget()
    assert states(line) == ("partial", {"a_txt": "provisional", "b_txt": "none"})
    complete = ("complete", {"a_txt": "complete", "b_txt": "complete"})
    version = line.json("prepare", BOTH, "--direct")["version"]
    assert states(line) == complete
    records = [*line.home.rglob("source.json"), *line.home.rglob("current.json")]
    assert len(records) == 3
    for text in (b"", b"{}", b"\xff[", None):
        for record in records:
            record.chmod(0o644)
            record.unlink() if text is None else record.write_bytes(text)
        assert states(line)[0] == "partial"
        assert line.json("prepare", BOTH, "--direct")["version"] == version
        assert states(line) == complete


def numbers(table: BinaryIO) -> Iterator[Columns]:
    yield Columns(n=np.frombuffer(table.read(), "<i4"))


def kept(home: Path, noted: bool) -> bool:
    """Return True if a download got so far that it is kept, and, if `noted`, that its length was noted as well."""
    far = any(part.stat().st_size >= STEP for part in home.rglob("part-*"))
    return far and (not noted or any(note.read_bytes().count(b"\n") > 1 for note in home.rglob(NOTE)))


OLD, NEW = np.arange(STEP), np.arange(STEP) + 7


@pytest.mark.parametrize(
    ("now", "faults", "range_asked"),
    [(OLD, [], True), (NEW, [], True), (OLD, [IgnoreRange()], True), (OLD, [ChangeEtag(None)] * 2, False)],
    ids=["the same", "changed", "no ranges", "no validator"],
)
def test_7_an_interrupted_download_goes_on_or_begins_again_and_is_what_the_server_has(
    home: Path, now: "np.ndarray[Any, Any]", faults: list[Fault], range_asked: bool
) -> None:
    begun = [fault for fault in faults if isinstance(fault, ChangeEtag)][:1]
    with FaultyServer({"/n.bin": OLD.astype("<i4").tobytes()}) as server:
        split = Split(numbers, table=RemoteFile(f"{server.url}/n.bin"))
        dataset = Dataset("org.example.long", "Numbers.", {"n": Array()}, {"all": split})
        server.script("/n.bin", [(*begun, Headers({"Last-Modified": None}), Stall(after=0.7)), *faults[len(begun) :]])
        child = in_child(lambda: prepare(dataset), wait=False)
        while not kept(home, noted=range_asked):
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        assert ended(child) == -signal.SIGKILL
        server.files["/n.bin"] = now.astype("<i4").tobytes()
        np.testing.assert_array_equal(prepare(dataset)["all"].to_numpy()["n"], now)
        assert [bool(request.headers["Range"]) for request in server.requests] == [False, range_asked]


@pytest.mark.parametrize("names", [(BOTH, BOTH), (BOTH, OTHER)], ids=["one dataset", "one url"])
def test_9_two_processes_download_a_file_once(line: CommandLine, server: FaultyServer, names: tuple[str, str]) -> None:
    server.script("/a.txt", [Slow(bytes_per_s=2)])
    started = [line.start("prepare", name, "--direct", "--json") for name in names]
    made = [process.communicate(timeout=250) for process in started]
    assert [process.returncode for process in started] == [0, 0], made
    assert [json.loads(out)["samples"] for out, _ in made] == [3 if name == BOTH else 2 for name in names]
    bodies = [request.path for request in server.requests if "If-None-Match" not in request.headers]
    assert sorted(bodies) == ["/a.txt", "/b.txt"]


def test_14_what_nothing_knows_is_listed_with_its_size_and_removed(line: CommandLine) -> None:
    assert line.json("gc", "--unknown") == []
    line.run("prepare", BOTH, "--direct")
    assert line.json("gc", "--unknown") == []
    orphan = line.home / f"storage/org/example/gone/raw/a_txt/{'0' * 64}"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"12345")
    os.utime(orphan, (0, 0))
    (found,) = line.json("gc", "--unknown")
    assert (found["key"], found["bytes"]) == (orphan.relative_to(line.home / "storage").as_posix(), 5)
    line.run("gc", "--unknown", "--remove", found["key"])
    assert not orphan.exists() and line.json("gc", "--unknown") == []
    assert load_samples(line) == 3


def load_samples(line: CommandLine) -> int:
    return int(line.json("prepare", BOTH, "--direct", "--offline")["samples"])
