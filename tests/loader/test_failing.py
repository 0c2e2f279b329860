"""What a loader does when something goes wrong: who is told, what, and how soon; and that nothing piles up."""

import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from places import SUPPORT

from dataset_assets import View, view_of
from dataset_assets.errors import TimedOut, UsageError
from dataset_assets.loader import Loader, padded, prefetch

STUCK = threading.Event()


@pytest.fixture(autouse=True)
def released() -> Any:
    STUCK.clear()
    yield
    STUCK.set()


def numbers(n: int = 40) -> View:
    return view_of(i=np.arange(n))


def raises_at_17(sample: Any) -> Any:
    if sample["i"] == 17:
        raise KeyError("no such field")
    return sample


def hangs_at_17(sample: Any) -> Any:
    if sample["i"] == 17:
        STUCK.wait(250)
    return sample


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_an_error_in_a_mapped_function_names_dataset_split_and_row(threads: int) -> None:
    loader = Loader(numbers().map(raises_at_17), 4, threads=threads)
    found = []
    with pytest.raises(KeyError, match="no such field") as raised:
        found.extend(loader)
    assert "in raises_at_17, for sample 17 of memory all" in raised.value.__notes__
    assert "in sample 17 of memory all, epoch 0" in raised.value.__notes__
    # It comes at its turn: what was before it was given, and the state is there.
    assert [int(i) for batch in found for i in batch["i"]] == list(range(16))
    assert loader.state_dict()["consumed"] == 16


def test_an_error_in_collate_names_the_samples_of_its_batch() -> None:
    def broken(batch: Any) -> Any:
        raise ValueError("ragged")

    with pytest.raises(ValueError, match="ragged") as raised:
        list(Loader(numbers(), 40, collate=broken))
    assert raised.value.__notes__ == ["in a batch of the samples 0, 1, 2, 3, ... of memory all, epoch 0"]


@pytest.mark.parametrize("threads", [0, 2])
def test_what_comes_before_an_error_in_the_same_block_is_given(threads: int) -> None:
    def broken(batch: Any) -> Any:
        if 17 in batch["i"]:
            raise ValueError("seventeen")
        return batch

    loader, found = Loader(numbers(), 4, collate=broken, threads=threads), []
    with pytest.raises(ValueError, match="seventeen") as raised:
        found.extend(loader)
    assert [int(i) for batch in found for i in batch["i"]] == list(range(16))
    assert loader.state_dict()["consumed"] == 16
    assert raised.value.__notes__ == ["in a batch of the samples 16, 17, 18, 19 of memory all, epoch 0"]


def test_a_sample_that_hangs_is_named_in_time() -> None:
    # Beyond the first samples, which say what a batch is.
    loader = Loader(numbers(60)[::-1].map(hangs_at_17), 5, timeout=5)
    found: list[Any] = []
    with pytest.raises(TimedOut) as raised:
        found.extend(loader)
    said = str(raised.value)
    assert said.startswith("sample 42 of memory all, epoch 0 was not made within 5 s; its thread is in wait, ")
    assert [int(i) for batch in found for i in batch["i"]] == list(range(59, 19, -1))
    assert loader.state_dict()["consumed"] == 40


def test_a_process_with_a_hanging_sample_can_end() -> None:
    code = (
        "import time; from dataset_assets.loader import Loader; from dataset_assets import view_of\n"
        "list(Loader(view_of(i=[1, 2]).map(lambda sample: time.sleep(600)), 1, timeout=0.3))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250)
    assert result.returncode == 1 and "TimedOut: sample 0 of memory all" in result.stderr


def test_a_hang_in_the_callers_own_thread_cannot_be_watched() -> None:
    with pytest.raises(UsageError, match="timeout"):
        Loader(numbers(), 4, threads=0, timeout=1)


def test_a_timeout_of_the_function_itself_is_not_taken_for_a_hang() -> None:
    def times_out(sample: Any) -> Any:
        raise TimeoutError("the server did not answer")

    with pytest.raises(TimeoutError, match="the server"):
        list(Loader(numbers().map(times_out), 4, timeout=60))


def test_a_batch_that_comes_when_its_time_is_just_over_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(prefetch.Task[Any]):
        def result(self, timeout: float | None = None) -> Any:
            """Wait for too short a time, and go on only when the batch is there."""
            found = super().result()
            if timeout is not None:
                raise TimeoutError
            return found

    monkeypatch.setattr(prefetch, "Task", Late)
    assert len(list(Loader(numbers(3), 3, timeout=60))) == 1


def test_threads_end_with_the_iteration_also_when_it_is_left_early() -> None:
    before = set(threading.enumerate())
    list(Loader(numbers(), 4, threads=3))
    for _ in Loader(numbers(), 4, threads=3):
        break
    gc.collect()
    until = time.monotonic() + 60
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def test_a_loader_works_on_both_sides_of_a_fork() -> None:
    loader = Loader(numbers(), 4, shuffle=True, seed=0, threads=2)
    expected = [batch["i"].tolist() for batch in loader.epoch(0)]
    begun = loader.epoch(0)
    next(begun)
    child = os.fork()
    if not child:
        same = [batch["i"].tolist() for batch in loader.epoch(0)] == expected
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [batch["i"].tolist() for batch in begun] == expected[1:]


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["threads", "workers"])
def test_a_thousand_epochs_with_exceptions_leave_nothing_behind(kind: str) -> None:
    """Memory, threads, descriptors and shared memory do not grow, by the slope of the second half."""
    turns = 1000
    made = multiprocessing.Value("q")

    def sometimes(sample: Any) -> Any:
        with made.get_lock():
            made.value += 1
            if made.value % 6400 == 0:  # of 100 batches
                raise ValueError("now and then")
        return sample

    view = view_of(x=np.zeros((2000, 64)), i=np.arange(2000)).map(sometimes)
    loader = Loader(view, 64, shuffle=True, threads=4 if kind == "threads" else 0, output="torch")
    process, seen, raised = psutil.Process(), [], 0
    for epoch in range(turns):
        try:
            for _ in served(loader, epoch, kind):
                pass
        except ValueError:
            raised += 1
        if epoch % (turns // 50) == 0:
            gc.collect()
            shared = sum(path.stat().st_size for path in Path("/dev/shm").glob("torch_*"))
            counts = (process.memory_info().rss, threading.active_count(), process.num_fds(), shared)
            seen.append(counts)
    assert raised > turns // 8
    later = np.array(seen[len(seen) // 2 :], float)
    slopes = np.polyfit(np.arange(len(later)), later, 1)[0] * len(later)
    grown = dict(zip(("memory", "threads", "descriptors", "shared"), slopes))
    print(kind, raised, "exceptions; grown in the second half:", grown)
    assert grown["memory"] < 4 << 20
    assert abs(grown["threads"]) < 2 and abs(grown["descriptors"]) < 2 and abs(grown["shared"]) < 1 << 20


def served(loader: Loader, epoch: int, kind: str) -> Any:
    if kind == "threads":
        return loader.epoch(epoch)
    from torch.utils.data import DataLoader

    from dataset_assets.loader import Batches

    batches = Batches(loader)
    batches.set_epoch(epoch)
    return DataLoader(batches, batch_size=None, num_workers=4)


def test_the_message_of_a_hang_names_the_line() -> None:
    with pytest.raises(TimedOut) as raised:
        list(Loader(numbers().map(sleeps), 4, timeout=3))
    assert re.search(rf"in sleeps, {re.escape(__file__)}:\d+", str(raised.value))


def sleeps(sample: Any) -> Any:
    time.sleep(20)
    return sample


@pytest.mark.parametrize("kind", ["threads", "workers"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda sent: sent.name)
def test_C7_an_interrupted_training_ends_with_its_threads_and_processes(kind: str, sent: signal.Signals) -> None:
    run = subprocess.Popen(
        [sys.executable, SUPPORT / "loader_run.py", kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdout and run.stdout.readline() == b"begun\n"
    children = psutil.Process(run.pid).children(recursive=True)
    workers = [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]
    assert len(workers) == (2 if kind == "workers" else 0)
    run.send_signal(sent)
    _, said = run.communicate(timeout=120)
    _, left = psutil.wait_procs(children, timeout=60)
    assert not left
    assert run.returncode in (-sent, 128 + sent, 1)
    assert (b"KeyboardInterrupt" in said) == (sent == signal.SIGINT)
    # Other tests share memory meanwhile.
    processes = [run.pid, *(child.pid for child in children)]
    assert not [path for pid in processes for path in Path("/dev/shm").glob(f"torch_{pid}_*")]


def test_arrays_of_several_shapes_are_said_to_be_no_tensor_and_what_to_do(recwarn: pytest.WarningsRecorder) -> None:
    uneven = view_of(x=[np.zeros((2 + i % 3, 2)) for i in range(9)], y=np.arange(9))
    loader = Loader(uneven, 3, output="torch", threads=0)
    assert [type(batch["x"]) for batch in loader] == [list] * 3
    [said] = [str(warning.message) for warning in recwarn]
    assert said.startswith("The arrays of 'x' have several shapes") and "collate=padded('x')" in said
    list(Loader(uneven, 3, output="torch", collate=padded("x")))
    list(Loader(uneven.map(lambda sample: {**sample, "x": sample["x"][:2]}), 3, output="torch"))
    list(Loader(uneven, 3))
    assert len(recwarn) == 1
