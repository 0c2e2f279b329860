"""DataStack's acceptance checks, one test for each, by its number. The rooms they are about test them at length."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pandas
import pytest
import stacked
from command_line import CommandLine
from places import TESTS

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split, View, load, prepare, view_of
from dataset_assets.decoding import idx
from dataset_assets.encoding import OneHot, Scaled, encoder
from dataset_assets.errors import DatasetAssetsError, DigestMismatch, NameNotAllowed, NoSpace, NotPrepared, UsageError
from dataset_assets.reading.views import Origin, Stored
from dataset_assets.retrieval import RETRIEVERS
from dataset_assets.retrieval.http import HttpLimits, HttpRetriever
from dataset_assets.storage import LocalStorage
from dataset_assets.testing import Drop, Fault, FaultyServer, Html, NoLength, Status, failing
from dataset_assets.testing.datasets import idx_bytes

h5py = pytest.importorskip("h5py")

DIGITS = "org.example.digits"


def digits(images: Any, labels: Any) -> Any:
    yield Columns(image=idx(images), label=idx(labels))


def files_of(count: int) -> dict[str, bytes]:
    """Return pictures and labels as files of a server."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count)
    return {"/images": idx_bytes(images), "/labels": idx_bytes(labels)}


def dataset_at(url: str, **digests: str) -> Dataset:
    """Return the dataset whose files are at a URL."""
    files = {name: RemoteFile(f"{url}/{name}", digest=digests.get(name)) for name in ("images", "labels")}
    return Dataset(
        name=DIGITS,
        summary="Digits.",
        streams={"image": Array(), "label": Array()},
        splits={"train": Split(digits, **files)},
        sample="image",
        target="label",
        tag="label",
    )


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer(files_of(100)) as server:
        yield server


def stored_below(home: Path, *parts: str) -> set[str]:
    found = home.joinpath("storage", *DIGITS.split("."), *parts)
    return {str(path.relative_to(found)) for path in found.rglob("*") if path.is_file() and path.name[0] != "."}


OPENED = """
import socket
def refused(*arguments): raise AssertionError("a connection was opened")
socket.socket.connect = refused
from dataset_assets import load
train = load("org.example.digits", split="train")
print(len(train), train[-1]["image"].shape, type(train[-1]["label"]).__name__)
"""


def test_1_a_split_of_sixty_thousand_is_had_from_an_empty_store_and_opened_without_a_request(home: Path) -> None:
    with FaultyServer(files_of(60_000)) as server:
        train = prepare(dataset_at(server.url))["train"]
        asked = len(server.requests)
        run = subprocess.run([sys.executable, "-c", OPENED], capture_output=True, text=True)
        assert run.stdout == "60000 (28, 28) int\n", run.stderr
        assert len(server.requests) == asked
    assert (len(train), train[0]["image"].shape, type(train[0]["label"])) == (60_000, (28, 28), int)
    assert train.roles == {"sample": "image", "target": "label", "tag": "label"}


def test_2_raw_files_and_splits_lie_apart_and_a_deleted_split_is_made_again_of_what_is_there(
    home: Path, server: FaultyServer
) -> None:
    dataset = dataset_at(server.url)
    first = prepare(dataset)["train"]
    raw, split = stored_below(home, "raw"), stored_below(home, "train")
    assert {name.split("/")[0] for name in raw} == {"images", "labels"}
    assert {name.split("/")[0] for name in split} == {"image", "label", "index"}
    shutil.rmtree(home.joinpath("storage", *DIGITS.split("."), "train"))
    server.files.clear()
    asked = len(server.requests)
    assert prepare(dataset)["train"].version == first.version
    assert (stored_below(home, "raw"), stored_below(home, "train")) == (raw, split) and len(server.requests) == asked


# What the server answers each time it is asked, and what the error says beside the file's URL.
ANSWERS: dict[str, tuple[Fault, str]] = {
    "cut short of its length": (Drop(0.5), "ended"),
    "cut short without a length": (NoLength(0.5), "not the {expected}"),
    "not there": (Status(404), "404"),
    "a broken server": (Status(500), "500"),
    "a web page": (Html(), "page"),
}


def quick() -> HttpRetriever:
    return HttpRetriever(HttpLimits(attempts=2, backoff=0.001))


@pytest.mark.parametrize("answer", ["another file", *ANSWERS])
def test_3_a_bad_answer_is_an_error_that_names_the_file_and_nothing_of_it_is_stored(
    answer: str, home: Path, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RETRIEVERS, "http", f"{__name__}:quick")
    expected = sha256(server.files["/images"]).hexdigest()
    dataset, said = dataset_at(server.url, images=f"sha256:{expected}"), "not the {expected}"
    sound = server.files["/images"]
    if answer in ANSWERS:
        fault, said = ANSWERS[answer]
        server.script("/images", [fault] * 2)
    else:
        server.files["/images"] = b"something else"
    with pytest.raises(DatasetAssetsError) as caught:
        prepare(dataset)
    assert f"{server.url}/images" in str(caught.value) and said.format(expected=expected) in str(caught.value)
    if answer == "another file":
        assert isinstance(caught.value, DigestMismatch) and sha256(b"something else").hexdigest() in str(caught.value)
    assert not stored_below(home, "raw", "images") and not stored_below(home, "train")
    with pytest.raises(NotPrepared):
        load(DIGITS)
    server.files["/images"] = sound
    server.forget()
    assert len(prepare(dataset)["train"]) == 100


def in_child(act: Any) -> int:
    """Start a function in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return child


def test_4_killed_at_twenty_random_moments_it_is_whole_or_made_again(home: Path, server: FaultyServer) -> None:
    dataset, whole = dataset_at(server.url), server.files["/labels"][8:]
    began = time.monotonic()
    os.waitpid(in_child(lambda: prepare(dataset)), 0)
    duration, killed = time.monotonic() - began, 0
    for turn in range(100):
        shutil.rmtree(home)
        child = in_child(lambda: prepare(dataset))
        time.sleep(random.Random(turn).uniform(0, duration))
        os.kill(child, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL:
            killed += 1
        else:
            # The run that was measured may have waited for others.
            duration *= 0.9
        try:
            found = load(DIGITS, "train", verify="all")
        except NotPrepared:
            found = prepare(dataset)["train"]
        assert found.to_numpy()["label"].astype("u1").tobytes() == whole
        if killed == 20:
            return
    raise AssertionError(f"only {killed} of 100 were killed before they were done")


def test_5_without_space_it_is_an_error_and_with_space_the_same_call_succeeds(home: Path, server: FaultyServer) -> None:
    dataset, refused = dataset_at(server.url), 0
    for n in range(1, 200, 9):
        with failing(n, "ENOSPC") as calls:
            try:
                prepare(dataset)
            except NoSpace:
                refused += 1
        assert len(prepare(dataset)["train"]) == 100
        if not calls.tripped:
            break
        shutil.rmtree(home)
    assert refused > 3 and not calls.tripped


def of_files(table: Any, archive: Any, volume: Any) -> Any:
    with h5py.File(volume) as opened:
        yield Columns(image=opened["images"][:])


LAZY = """
import sys
import numpy as np
from dataset_assets import load
def memory():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmRSS"))
view = load("org.example.files", "all")
view[0]["image"].sum()
before = memory()
assert view[len(view) // 2]["image"].sum() >= 0
with view.open("image") as file:
    file.seek(file.seek(0, 2) // 2)
    file.read(1000)
print(memory() - before)
"""


def test_6_what_is_stored_opens_as_a_stream_that_others_read_without_loading_it(home: Path, fast_path: Path) -> None:
    published = fast_path / "published"
    published.mkdir()
    (published / "table.csv").write_text("a,b\n1,ä\n2,b\n", "utf-8")
    with zipfile.ZipFile(published / "archive.zip", "w") as zipped:
        zipped.writestr("one.txt", "1")
    with h5py.File(published / "volume.h5", "w") as volume:
        volume["images"] = np.arange(64 << 20, dtype=np.uint8).reshape(1024, 256, 256)
    names = {"table": "table.csv", "archive": "archive.zip", "volume": "volume.h5"}
    files = {argument: RemoteFile((published / name).as_uri()) for argument, name in names.items()}
    view = prepare(Dataset("org.example.files", "F.", {"image": Array()}, {"all": Split(of_files, **files)}))["all"]
    with view.open_raw("table") as table, view.open_raw("table", encoding="utf-8") as text:
        assert pandas.read_csv(table)["b"].tolist() == ["ä", "b"] and next(text) == "a,b\n"
    with view.open_raw("archive") as file, zipfile.ZipFile(file) as zipped:
        assert zipped.read("one.txt") == b"1"
    with view.open_raw("volume") as file, h5py.File(file) as volume:
        assert (volume["images"][512] == view[512]["image"]).all()
    with view.open("image") as file:
        assert file.seek(0, 2) > 60 << 20 and file.seek(0) == 0 and np.load(file)[7, 7, 7] == view[7]["image"][7, 7]
    run = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True)
    assert int(run.stdout) < 5_000_000, run.stderr


def test_7_no_key_leads_out_of_a_storage_whose_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real2").mkdir()
    (tmp_path / "real2" / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    storage = LocalStorage(tmp_path / "link")
    storage.put("a/b", b"kept")
    with LocalStorage(tmp_path / "real").get("a/b") as file:
        assert file.read() == b"kept"
    (tmp_path / "real" / "out").symlink_to(tmp_path / "real2")
    outside = ["../real2/secret", str(tmp_path / "real2" / "secret"), "", "a/../../real2/secret", "./a", "a//b", "~/x"]
    for key in outside:
        for use in (storage.get, lambda key: storage.put(key, b"x"), storage.exists, storage.delete):
            with pytest.raises(NameNotAllowed):
                use(key)
    for use in (storage.get, lambda key: storage.put(key, b"x")):
        with pytest.raises((NameNotAllowed, OSError)):
            use("out/secret")
    assert (tmp_path / "real2" / "secret").read_bytes() == b"secret"


def test_8_a_view_of_a_view_of_a_combination_is_what_indexing_gives() -> None:
    one, two = view_of(x=np.arange(10)), view_of(x=np.arange(10, 15))
    both = one.concat(two)
    stack = both[[3, 3, 14, -1, 0]][::-1][[0, 2, -1]]
    assert [sample["x"] for sample in stack] == [0, 14, 3] and stack[-1] == {"x": 3} == both[3]
    for view in (one, both, stack, both.shuffle(0), both.map(dict), both.batch(4), both.cache(), both.only("x")):
        assert repr(view[-1]) == repr(view[len(view) - 1])
        for beyond in (len(view), -len(view) - 1):
            with pytest.raises(IndexError):
                view[beyond]


SPLIT = """
import json
import numpy as np
from dataset_assets import view_of
view = view_of(x=np.arange(90), label=np.arange(90) % 3)
parts = [*view.random_split((0.7, 0.3), seed=5), *view.stratified_split((0.7, 0.3), by="label", seed=5)]
parts += [fold.held_out for fold in view.kfold(4, seed=5)]
parts += [inner.train for fold in view.nested_kfold(3, 2, outer_by="label", seed=5) for inner in fold.inner]
print(json.dumps([part.indices.tolist() for part in parts]))
"""


def test_9_splits_are_seeded_disjoint_covering_and_the_same_in_a_fresh_process() -> None:
    runs = {subprocess.run([sys.executable, "-c", SPLIT], capture_output=True, text=True).stdout for _ in range(2)}
    assert len(runs) == 1
    indices = json.loads(runs.pop())
    view = view_of(x=np.arange(90), label=np.arange(90) % 3)
    parts = view.random_split((0.7, 0.3), seed=5)
    assert [part.indices.tolist() for part in parts] == indices[:2]
    assert [part.to_numpy()["x"].tolist() for part in parts] == indices[:2]
    assert sorted(indices[0] + indices[1]) == sorted(indices[2] + indices[3]) == list(range(90))
    assert sorted(row for fold in indices[4:8] for row in fold) == list(range(90))
    assert np.bincount(np.array(indices[2]) % 3).tolist() == [21, 21, 21]
    for ratios in ((0.5, 0.2), (0.7, 0.7), (1.5, -0.5), ()):
        with pytest.raises(UsageError, match="Give positive ratios that sum to 1"):
            view.random_split(ratios)


@encoder("org.example.lengths")
@dataclass(frozen=True)
class Lengths:
    """An encoder of one's own: how long a text is."""

    def learn(self, known: Any, values: Any) -> Any:
        return known

    def learnt(self, known: Any) -> "Lengths":
        return self

    def apply(self, values: Any) -> Any:
        return np.array([len(value) for value in values])


def birds() -> View:
    """Return a view that shows a split of a version, with all roles."""
    rows = np.arange(12)
    held = view_of(size=rows * 1.0, kind=[*"abc"] * 4, note=["x" * k for k in rows], label=rows % 3)
    roles = {"sample": "size", "target": "label", "tag": "label"}
    return Stored(Origin("org.example.birds", "train", "1" * 64, "2" * 64, roles), held.columns)


ON_ANY: dict[str, Callable[[View], View]] = {
    "mapped labels": lambda view: view.map_targets({0: 1, 1: 0, 2: 2}),
    "filtered labels": lambda view: view.drop_targets(2),
    "one-hot labels": lambda view: view.one_hot_targets(range(3)),
    "categories": lambda view: view.encode(birds().fit_encoders({"kind": OneHot()})),
    "numbers": lambda view: view.encode(birds().fit_encoders({"size": Scaled()})),
    "an encoder of one's own": lambda view: view.encode(birds().fit_encoders({"note": Lengths()})),
    "shuffled": lambda view: view.shuffle(3),
    "in memory": lambda view: view.cache(),
}
ABOUT_LABELS = list(ON_ANY)[:2]


def test_10_what_maps_filters_encodes_shuffles_and_keeps_stacks_in_any_order_and_loses_no_name() -> None:
    chance = random.Random(0)
    for _ in range(40):
        names = chance.sample(sorted(set(ON_ANY) - {"one-hot labels"}), len(ON_ANY) - 1)
        # Vectors are no labels to map or to filter by.
        names.insert(chance.randint(max(map(names.index, ABOUT_LABELS)) + 1, len(names)), "one-hot labels")
        view = birds()
        for name in names:
            view = ON_ANY[name](view)
            assert (view.dataset, view.split, view.version) == ("org.example.birds", "train", "2" * 64)
            assert (view.roles["sample"], view.roles["target"]) == ("size", "label")
            assert view.origin.index == "1" * 64 and view.roles["tag"] in view.streams
        assert sorted(sample["note"] for sample in view) == [row for row in range(12) if row % 3 != 2]
        for i, sample in enumerate(view):
            [row] = [entry.row for entry in view.lineage(i)]
            assert (sample["note"], sample["tag"]) == (row, row % 3) and sample["label"].tolist() == [
                row % 3,
                1 - row % 3,
                0,
            ]
            assert sample["kind"].tolist() == np.eye(3)[row % 3].tolist()
            assert sample["size"] == pytest.approx((row - 5.5) / np.arange(12).std())


BIRDHOUSE = TESTS / "plugin"
# All of the shipped suites are run on it by test_plugins.py.
SUITES = "test_bytes_come_back or test_keys_are_plain or swap or test_it_prepares_and_loads or test_a_table_is_read"


def test_11_a_retriever_a_storage_and_a_dataset_of_ones_own_need_no_change_of_the_package(tmp_path: Path) -> None:
    points = tomllib.loads((BIRDHOUSE / "pyproject.toml").read_text())["project"]["entry-points"]
    line = CommandLine(tmp_path)
    line.install("birdhouse", {}, **{group.removeprefix("dataset_assets."): found for group, found in points.items()})
    (line.site / "birdhouse").symlink_to(BIRDHOUSE / "birdhouse")
    storage = f"sqlitestore://{tmp_path}/objects.db"
    made = line.json("prepare", "org.example.birdhouse.birds", "--storage", storage, "--direct")
    assert {split: found["samples"] for split, found in made["splits"].items()} == {"train": 4, "test": 2}
    suites = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(BIRDHOUSE / "tests"), "-k", SUITES]
    run = subprocess.run(suites, env=line.environment, capture_output=True, text=True)
    assert run.returncode == 0 and int(run.stdout.splitlines()[-1].split(" passed")[0]) > 10, run.stdout


def test_12_a_report_is_had_of_any_stack_in_less_than_a_second() -> None:
    view = view_of(image=np.zeros((60_000, 8)), label=np.arange(60_000) % 7).rename(target="label")
    start = time.process_time()
    report = view.shuffle(0).concat(view[::2]).report()
    assert time.process_time() - start < 1
    found = report.to_dict()
    assert json.loads(report.to_json()) == found == pytest.importorskip("yaml").safe_load(report.to_yaml())
    assert found["length"] == report.length == 90_000
    assert [len(part["parents"]) for part in found["parents"]] == [1, 1]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_13_a_stack_works_in_the_workers_of_torch(method: str) -> None:
    data = pytest.importorskip("torch.utils.data")
    stack = stacked.train().only("label", "text").shuffle(1).repeat(5)
    loaded = data.DataLoader(
        stack, batch_size=4, num_workers=2, collate_fn=list, multiprocessing_context=method
    )  # fmt: skip
    assert [sample for batch in loaded for sample in batch] == list(stack)


def test_13_without_torch_views_are_imported_and_iterated() -> None:
    code = "import sys; sys.modules['torch'] = None\n"
    code += "from dataset_assets import view_of; print(*view_of(x=[1, 2]))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "{'x': 1} {'x': 2}\n"


class Rows:
    """Samples as DataStack has them: tuples, each asked for by its index, of columns or of an iterator below."""

    def __init__(self, *columns: Any) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, i: int) -> Any:
        return tuple(column[i] for column in self.columns)


class Chosen:
    """Some of them, by a list of indices."""

    def __init__(self, below: Any, indices: list[int]) -> None:
        self.below, self.indices = below, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Any:
        return self.below[self.indices[i]]


def test_14_iterating_is_faster_than_a_loop_that_asks_for_each_sample() -> None:
    """What DataStack does itself in a second is measured by benchmarks/views.py; its shape is slower on any machine."""
    x, y = np.zeros((20_000, 784), np.uint8), np.arange(20_000)
    view, rows, order = view_of(x=x, y=y), Rows(x, y), list(range(20_000))[::-1]
    pairs: dict[str, tuple[View, Any]] = {
        "plain": (view, rows),
        "view of view": (view[::-1][::-1], Chosen(Chosen(rows, order), order)),
        "combination": (view[:10_000].concat(view[10_000:]), rows),
    }
    for name, (stack, loop) in pairs.items():
        # A busy machine may slow one of a pair; so there are a few.
        assert any(seconds(iterated, stack) < seconds(asked, loop) for _ in range(5)), name


def iterated(view: View) -> None:
    for _ in view:
        pass


def asked(rows: Any) -> None:
    for i in range(len(rows)):
        rows[i]


def seconds(run: Callable[[Any], None], of: Any) -> float:
    began = time.perf_counter()
    run(of)
    return time.perf_counter() - began
