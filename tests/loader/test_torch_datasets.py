"""The loader with torch: inside its DataLoader, under torchdata's, in distributed checkpoints, on real ranks."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import SUPPORT

from dataset_assets import View, view_of
from dataset_assets.errors import Conflict, TimedOut
from dataset_assets.loader import Buckets, Budget, Loader, joined, padded

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from dataset_assets.loader import Batches  # noqa: E402

# Three processes on two cores are what is tested here, and torchdata calls what torch has since deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),
]
RANK = SUPPORT / "loader_rank.py"


@pytest.fixture
def refused_soon_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have torchdata end a worker that refused a state at once; it waits five seconds for each."""
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)
    yield
    gc.collect()


def loader(size: int | Budget = 7, **more: Any) -> Loader:
    return Loader(numbers(), size, shuffle=True, seed=3, output="torch", **more)


def numbers() -> View:
    return view_of(i=np.arange(103), tokens=[np.arange(i % 9) for i in range(103)])


def rows(batches: Any) -> list[list[int]]:
    return [batch["i"].tolist() for batch in batches]


@pytest.mark.parametrize("size", [7, Budget(20, "tokens")])
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_a_data_loader_gives_the_same_batches_with_any_workers(workers: int, size: int | Budget) -> None:
    batches = Batches(loader(size))
    served = DataLoader(batches, batch_size=None, num_workers=workers, persistent_workers=workers == 2)
    for epoch in range(2):
        batches.set_epoch(epoch)
        assert rows(served) == rows(loader(size).epoch(epoch))


def test_spawned_workers_open_the_view_again() -> None:
    used = loader(bucket=Buckets("tokens", 40))
    expected = rows(loader(bucket=Buckets("tokens", 40)).epoch(0))
    served = DataLoader(Batches(used), batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert rows(served) == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_goes_on_where_a_loader_was(workers: int) -> None:
    whole = rows(loader().epoch(1))
    state = loader().state_at(1, 4)
    batches = Batches(loader())
    batches.load_state_dict(state)
    found = []
    for epoch in range(batches.epoch, 3):
        batches.set_epoch(epoch)
        found.append(rows(DataLoader(batches, batch_size=None, num_workers=workers)))
    assert found == [whole[4:], rows(loader().epoch(2))]


@pytest.mark.parametrize("workers", [0, 2, 3])
@pytest.mark.parametrize("size", [17, Budget(60, "tokens")])
def test_a_stateful_data_loader_goes_on_at_every_position(workers: int, size: int | Budget) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader

    def served() -> tuple[Batches, Any]:
        batches = Batches(loader(size))
        batches.set_epoch(1)
        return batches, stateful(batches, batch_size=None, num_workers=workers)

    whole = rows(loader(size).epoch(1))
    for count in {0, 1, workers + 1, len(whole)}:
        _, first = served()
        iterator = iter(first)
        seen = rows(next(iterator) for _ in range(count))
        state = first.state_dict()
        del iterator
        _, second = served()
        second.load_state_dict(state)
        assert seen + rows(second) == whole, f"after {count} batches"


def test_a_worker_refuses_the_state_of_another_one(refused_soon_end: None) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader
    first = stateful(Batches(loader()), batch_size=None, num_workers=2)
    next(iter(first))
    state = first.state_dict()
    workers = state["_snapshot"]["_worker_snapshots"]
    workers["worker_0"], workers["worker_1"] = workers["worker_1"], workers["worker_0"]
    second = stateful(Batches(loader()), batch_size=None, num_workers=2)
    second.load_state_dict(state)
    with pytest.raises(Conflict, match=r"The state has worker \[(1|0), 2\], this loader has \[(0|1), 2\]"):
        list(second)


def test_another_number_of_workers_is_refused(refused_soon_end: None) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader
    first = stateful(Batches(loader()), batch_size=None, num_workers=2)
    batches = iter(first)
    next(batches)
    state = first.state_dict()
    list(batches)
    for workers in (0, 1, 3):
        other = stateful(Batches(loader()), batch_size=None, num_workers=workers)
        other.load_state_dict(state)
        with pytest.raises((AssertionError, Conflict)):
            list(other)


def test_a_stateful_data_loader_refuses_the_state_of_another_stack() -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader
    first = stateful(Batches(loader()), batch_size=None, num_workers=0)
    next(iter(first))
    other = stateful(Batches(Loader(numbers()[1:], 7, shuffle=True, seed=3)), batch_size=None, num_workers=0)
    other.load_state_dict(first.state_dict())
    with pytest.raises(Conflict, match="The state has stack"):
        list(other)


def test_a_state_goes_through_a_distributed_checkpoint(fast_path: Path) -> None:
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.stateful import Stateful

    first = loader()
    assert isinstance(first, Stateful)
    batches = iter(first)
    seen = rows(next(batches) for _ in range(5))
    with warnings.catch_warnings():
        # One process needs no process group, which torch says.
        warnings.simplefilter("ignore")
        dcp.save({"model": torch.nn.Linear(2, 2).state_dict(), "loader": first}, checkpoint_id=fast_path / "at5")
        second = loader()
        dcp.load({"model": torch.nn.Linear(2, 2).state_dict(), "loader": second}, checkpoint_id=fast_path / "at5")
    assert second.state_dict() == first.state_dict()
    assert seen + rows(second) == rows(loader().epoch(0))


def test_tensors_lie_on_the_batch_and_what_collate_makes_becomes_tensors_too() -> None:
    batch = next(loader(4, collate=padded("tokens", multiple=8)).epoch(0))
    assert isinstance(batch["tokens"], torch.Tensor) and batch["tokens"].shape == (4, 8)
    assert batch["tokens_lengths"].tolist() == [i % 9 for i in batch["i"].tolist()]
    batch = next(loader(Budget(30, "tokens"), collate=joined("tokens")).epoch(0))
    assert batch["tokens_borders"].tolist()[-1] == len(batch["tokens"]) <= 30


def test_a_batch_can_go_to_a_device() -> None:
    batch = next(Loader(numbers().only("i"), 4, device="meta").epoch(0))
    assert batch["i"].device.type == "meta"


def test_a_killed_worker_of_a_data_loader_is_reported() -> None:
    # In a process of its own: torch raises from a signal handler, wherever the process happens to be; in `finally` too.
    code = (
        "from test_torch_datasets import *\n"
        "view = numbers().only('i').map(killed_at_50)\n"
        "batches = Batches(Loader(view, 7, threads=0, output='torch'))\n"
        "try: list(DataLoader(batches, batch_size=None, num_workers=2))\n"
        "finally:\n"
        "    try: signal.signal(signal.SIGCHLD, signal.SIG_DFL)\n"
        "    except RuntimeError: signal.signal(signal.SIGCHLD, signal.SIG_DFL)\n"
        "    print(*batches.working(), sep='\\n')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=250
    )
    assert result.returncode == 1
    # Torch may notice it when it asks the dead process for the tensors of a batch that had come before.
    told = (
        r"^(RuntimeError: DataLoader worker \(pid.*(killed by signal|exited unexpectedly)|Connection\w*Error|EOFError)"
    )
    assert re.search(told, result.stderr, re.MULTILINE), result.stderr
    # Sample 50 is in the eighth batch, which is the second worker's.
    assert "worker 1: a batch of the samples 49, 50, 51, 52, ... of memory all, epoch 0" in result.stdout.splitlines()


def test_a_worker_that_raises_names_the_sample() -> None:
    view = numbers().only("i").map(raises_at_50)
    served = DataLoader(Batches(Loader(view, 7, output="torch")), batch_size=None, num_workers=2)
    with pytest.raises(ValueError, match="fifty") as raised:
        list(served)
    assert "for sample 50 of memory all" in str(raised.value)


def test_a_worker_that_hangs_names_the_sample() -> None:
    view = numbers().only("i").map(hangs_at_50)
    served = DataLoader(Batches(Loader(view, 7, timeout=5, output="torch")), batch_size=None, num_workers=2)
    gc.collect()  # torch waits for the workers of iterators that other tests have left
    with pytest.raises(
        TimedOut, match=r"sample 50 of memory all, epoch 0 was not made within 5 s; .* in hangs_at_50, "
    ):
        list(served)


def hangs_at_50(sample: Any) -> Any:
    if sample["i"] == 50:
        time.sleep(280)
    return sample


def killed_at_50(sample: Any) -> Any:
    if sample["i"] == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return sample


def raises_at_50(sample: Any) -> Any:
    if sample["i"] == 50:
        raise ValueError("fifty")
    return sample


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [(3, 2, "json"), (2, 3, "dcp"), *[pytest.param(2, 4, kind, marks=pytest.mark.soak) for kind in ("json", "dcp")]],
)
def test_L5_ranks_of_which_one_is_killed_go_on_in_another_number(
    fast_path: Path, before: int, after: int, kind: str
) -> None:
    """What was consumed up to the last common checkpoint, and what a new world makes of it, is each sample once."""
    # The others wait for the one that is gone as long as the process group lets them, and not for ever.
    run_ranks(fast_path / "first", before, fast_path / "checkpoint", kind, kill_after=7)
    assert {len((fast_path / "first" / f"rank{rank}").read_text().splitlines()) for rank in range(before)} == {7}
    state = json.loads((fast_path / "checkpoint").read_text())
    seen = []
    for rank in range(before):
        lines = (fast_path / "first" / f"rank{rank}").read_text().splitlines()
        seen += [row for line in lines[: state["steps"]] for row in json.loads(line)]
    assert 0 < len(seen) < 1000
    ended = run_ranks(fast_path / "second", after, fast_path / "checkpoint", kind, kill_after=None)
    assert ended == [0] * after
    steps = set()
    for rank in range(after):
        lines = (fast_path / "second" / f"rank{rank}").read_text().splitlines()
        steps.add(len(lines))
        seen += [row for line in lines for row in json.loads(line)]
    assert sorted(seen) == list(range(1000))
    assert len(steps) == 1


def run_ranks(folder: Path, world: int, checkpoint: Path, kind: str, kill_after: int | None) -> list[int]:
    """Run real ranks over gloo; return their exit codes. One is killed after some steps, and the others notice."""
    folder.mkdir()
    arguments = [world, folder, checkpoint, kind, -1 if kill_after is None else kill_after]
    command = [sys.executable, str(RANK), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=True)
    codes: list[int] = json.loads(ended.stdout.splitlines()[-1])
    if kill_after is None:
        assert codes == [0] * world, ended.stderr
    else:
        assert codes[-1] == -signal.SIGKILL
        assert all(code not in (0, -signal.SIGKILL) for code in codes[:-1])
    return codes
