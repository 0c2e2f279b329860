"""What a run read is recorded exactly, in a few bytes, and read again from the record."""

import json
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest

from dataset_assets import Array, Columns, Dataset, Split, View, load, prepare, view_of
from dataset_assets.core.settings import settings
from dataset_assets.errors import Conflict, DatasetAssetsError, DecodeError, NameNotAllowed, NotFound, UsageError
from dataset_assets.experiments import Ledger, create_experiment, load_experiment, who_used
from dataset_assets.loader import Buckets, Budget, Loader
from dataset_assets.moving.copy import copy
from dataset_assets.storage import MemoryStorage, open_storage
from dataset_assets.storage.aliases import write_aliases
from dataset_assets.storage.stored_dataset import StoredDataset


def numbers(n: int, first: int) -> Any:
    yield Columns(i=np.arange(first, first + n))


def stored(name: str, n: int = 100, first: int = 0) -> View:
    dataset = Dataset(name, "Numbers.", {"i": Array()}, {"train": Split(numbers, n=n, first=first)}, license="CC0-1.0")
    prepare(dataset)
    return load(name, split="train")


@pytest.fixture
def train(home: Path) -> View:
    return stored("org.example.numbers")


def values(batches: Iterator[Any]) -> list[list[int]]:
    return [batch["i"].tolist() for batch in batches]


PLANS: dict[str, dict[str, Any]] = {
    "in order": {},
    "shuffled": {"shuffle": True, "seed": 7},
    "buckets": {"bucket": Buckets("i", window=16), "shuffle": True},
    "dropped": {"last": "drop", "shuffle": True},
    "padded": {"last": "pad", "world": 3, "rank": 2, "shuffle": True},
}


@pytest.mark.parametrize("plan", PLANS)
def test_the_same_batches_come_from_a_ledger(train: View, tmp_path: Path, plan: str) -> None:
    ledger = Ledger(tmp_path / "read.json")
    loader = Loader(train[10:], 8, ledger=ledger, **PLANS[plan])
    seen = values(iter(loader.epoch(0))) + values(iter(loader.epoch(1)))
    path = tmp_path / ("read.rank2.json" if plan == "padded" else "read.json")
    assert values(Ledger(path).replay()) == seen == values(ledger.replay())
    (entry,) = json.loads(path.read_text())["entries"]
    assert entry["consumed"][0][:2] == [0, 0] and len(entry["consumed"]) == 2
    assert entry["data"][0]["version"] == train.version and entry["state"]["seed"] == loader.plan.seed


def test_only_what_was_handed_out_is_recorded_and_a_resumed_run_goes_on(train: View, tmp_path: Path) -> None:
    seen, state = [], None
    for _ in range(3):
        loader = Loader(train, 8, shuffle=True, ledger=Ledger(tmp_path / "read.json"))
        if state:
            loader.load_state_dict(state)
        for _, batch in zip(range(3), loader):
            seen.append(batch["i"].tolist())
            state = loader.state_dict()
    (entry,) = json.loads((tmp_path / "read.json").read_text())["entries"]
    assert entry["consumed"] == [[0, 0, 72]] and values(Ledger(tmp_path / "read.json").replay()) == seen


def test_a_mixture_is_replayed_on_another_machine(train: View, home: Path, tmp_path: Path) -> None:
    mixed = train.mix(stored("org.example.more", 50, 1000), weights=(3, 1), stop="first", seed=5).shuffle(seed=2)
    ledger = Ledger(tmp_path / "read.json")
    seen = values(iter(Loader(mixed, 7, ledger=ledger)))
    elsewhere = MemoryStorage()
    for name in ("org.example.numbers", "org.example.more"):
        copy(name, home.joinpath("storage").as_uri(), elsewhere)
    assert values(Ledger(tmp_path / "read.json").replay(storage=elsewhere)) == seen
    shares = {one["dataset"]: one["share"] for one in ledger.entries[0]["data"]}
    assert shares["org.example.numbers"] == pytest.approx(0.75, abs=0.05) and sum(shares.values()) == pytest.approx(1)


def test_a_replay_that_would_differ_names_what_differs(train: View, tmp_path: Path) -> None:
    def doubled(sample: Any) -> Any:
        return {"i": sample["i"] * 2}

    ledger = Ledger(tmp_path / "read.json")
    seen = values(iter(Loader(train.map(doubled), 8, ledger=ledger)))
    with pytest.raises(UsageError, match=r"replay\(view\)"):
        [*ledger.replay()]
    assert values(ledger.replay(train.map(doubled))) == seen
    with pytest.raises(Conflict, match="cannot be the same.*stack"):
        [*ledger.replay(train[:50].map(doubled))]
    with pytest.raises(NotFound, match="There is no ledger"):
        [*Ledger(tmp_path / "nothing.json").replay()]
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DecodeError, match="is not a ledger"):
        [*Ledger(tmp_path / "other.json").replay()]


@pytest.mark.parametrize("field", ["consumed", "stack", "state", "batch_size", "rank"])
def test_an_entry_that_is_damaged_is_an_error_of_ours(train: View, tmp_path: Path, field: str) -> None:
    path = tmp_path / "read.json"
    [*Loader(train, 8, ledger=Ledger(path))]
    whole = json.loads(path.read_text())
    entry = whole["entries"][0]
    without = {name: value for name, value in entry.items() if name != field}
    for damaged in (without, {**entry, field: [[-1]]}):
        path.write_text(json.dumps({**whole, "entries": [damaged]}))
        if "consumed" in damaged:
            with pytest.raises(DatasetAssetsError):
                [*Ledger(path).replay()]
        [*Loader(train, 8, ledger=Ledger(path))]
    path.write_text(json.dumps({**whole, "entries": [5]}))
    with pytest.raises(DecodeError, match="is not a ledger"):
        [*Loader(train, 8, ledger=Ledger(path))]


def test_a_budget_is_replayed(train: View, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "read.json")
    seen = values(iter(Loader(train, Budget(5, "i"), ledger=ledger)))
    assert values(Ledger(tmp_path / "read.json").replay()) == seen


def on_rank(rank: int, path: Path) -> list[list[int]]:
    view = load("org.example.numbers", split="train")
    return values(iter(Loader(view, 8, shuffle=True, rank=rank, world=2, ledger=Ledger(path))))


def test_each_of_several_processes_has_its_own_ledger(train: View, tmp_path: Path) -> None:
    path = tmp_path / "read.json"
    with multiprocessing.get_context("fork").Pool(2) as pool:
        seen = pool.starmap(on_rank, [(0, path), (1, path)])
    for rank in range(2):
        assert values(Ledger(tmp_path / f"read.rank{rank}.json").replay()) == seen[rank]
    assert sorted(i for batches in seen for batch in batches for i in batch) == [*range(100)]


def test_two_ledgers_of_one_file_leave_it_whole(tmp_path: Path) -> None:
    path, entries = tmp_path / "read.json", [{"n": n, "text": "x" * 200_000} for n in range(10)]
    Ledger(path).flush()

    def write(k: int) -> None:
        ledger = Ledger(path)
        ledger.entries = entries[k:]
        for _ in range(10):
            ledger.flush()
            assert len(json.loads(path.read_text())["entries"]) in (8, 9)

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(write, (1, 2))] == [None, None]
    assert [one.name for one in tmp_path.iterdir()] == ["read.json"]


def test_a_ledger_of_a_hundred_million_samples_is_small_and_costs_little(train: View, tmp_path: Path) -> None:
    view = view_of(i=np.broadcast_to(np.int8(0), 10**6)).repeat(100)
    ledger = Ledger(tmp_path / "read.json")
    ledger.begin(Loader(train, 8))
    began = time.process_time()
    for k in range(10**5):
        ledger.consumed(0, k * 1000, k * 1000 + 1000)
    assert (time.process_time() - began) / 10**5 < 20e-6
    ledger.flush()
    assert (tmp_path / "read.json").stat().st_size < 100_000 and len(view) == 10**8


def test_a_run_holds_the_ledger_and_says_what_went_in(train: View) -> None:
    experiment = create_experiment("x")
    with experiment.run() as run:
        seen = values(iter(Loader(train, 16, shuffle=True, ledger=Ledger(run))))
        run.uses(stored("org.example.more", 50, 1000)[:10])
        with pytest.raises(UsageError, match="Pass what load"):
            run.uses("org.example.more")  # type: ignore[arg-type]
    with experiment.run():
        pass
    experiment.persist()
    found = load_experiment("x").runs.first()
    assert values(Ledger(found).replay()) == seen
    sources = found.sources()
    assert [(one["dataset"], one["license"], one["samples"]) for one in sources] == [
        ("org.example.numbers", "CC0-1.0", 100),
        ("org.example.more", "CC0-1.0", 50),
    ]
    assert json.loads(json.dumps(sources)) == sources and "| org.example.more | train |" in sources.to_markdown()
    for name, count in (("org.example.numbers", 1), (f"org.example.numbers@{train.version}", 1), ("org.example.x", 0)):
        assert [(one, run.id_run) for one, run in who_used(name)] == [("x", found.id_run)] * count
    assert who_used("org.example.numbers@" + "0" * 64) == []
    write_aliases(StoredDataset(open_storage(settings().storage), "org.example.numbers"), ["org.example.old"])
    assert [run.id_run for _, run in who_used("org.example.old")] == [found.id_run]
    for name in ("", "numbers", None):
        with pytest.raises(NameNotAllowed):
            who_used(name)  # type: ignore[arg-type]


def test_a_ledger_does_not_go_to_worker_processes(train: View, tmp_path: Path) -> None:
    from torch.utils.data import DataLoader

    from dataset_assets.loader import Batches

    ledger = Ledger(tmp_path / "read.json")
    loader = Loader(train, 8, ledger=ledger)
    seen = values(iter(DataLoader(Batches(loader), batch_size=None)))  # type: ignore[arg-type]
    assert values(ledger.replay()) == seen
    with pytest.raises(UsageError, match="num_workers=0"):
        [*DataLoader(Batches(loader), batch_size=None, num_workers=1)]
