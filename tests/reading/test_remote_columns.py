"""Reading remote streams: lazily, whole or by ranges, ahead of the loader, in blocks, past a store that was lost."""

import itertools
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from servers import (
    MONGO_USER,
    SECRET,
    Place,
    Proxy,
    folder,
    start_postgres,
    start_secantus,
    started,
    stop,
)

from dataset_assets import Array, Columns, Dataset, Split, Text, load, prepare
from dataset_assets.core.permutation import BlockPermutation
from dataset_assets.errors import StoreUnavailable
from dataset_assets.loader import Loader
from dataset_assets.reading.remote_columns import AT_ONCE, RemoteColumn, RemoteFiles
from dataset_assets.storage.connectors.bucket.store import ObjectStorage

NAME = "org.example.large"
ROWS, WIDTH, FILE_ROWS = 4_000, 1_024, 500
numbers = itertools.count()


def large() -> Iterator[Columns]:
    rows = np.arange(ROWS)
    yield Columns(row=rows, value=(rows[:, None] * np.arange(WIDTH)).astype("<i4"), text=[f"row {i}" for i in rows])


DATASET = Dataset(
    name=NAME,
    summary="Rows that say where they are.",
    streams={"row": Array(), "value": Array(), "text": Text()},
    splits={"train": Split(large)},
)


@pytest.fixture
def store(
    seaweed: Place, proxy: Proxy, home: Path, monkeypatch: pytest.MonkeyPatch, fast_path: Path
) -> Iterator[ObjectStorage]:
    """A bucket behind the proxy that holds the dataset, whose values are in eight files; the cache is empty."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    place = f"{seaweed.url}reading/{os.getpid()}/{next(numbers)}"
    monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", str(FILE_ROWS * WIDTH * 4))
    prepare(DATASET, storage=place)
    proxy.requests.clear()
    yield behind(place, proxy)


def behind(place: str, proxy: Proxy, retries: int = 1) -> ObjectStorage:
    from dataset_assets.storage.connectors.bucket.address import bucket_of

    return ObjectStorage(bucket_of(f"{place}?endpoint={proxy.url}"), retries=retries)


def copies(home: Path) -> list[Path]:
    """Return the copies in the cache."""
    folder = home / "cache"
    return [path for path in folder.iterdir() if len(path.name) == 64] if folder.exists() else []


def values_fetched(proxy: Proxy) -> list[str]:
    """Return the files of the stream `value` that were asked for, in order."""
    found = [path.partition("?")[0] for method, path in proxy.requests if method == "GET" and "/train/value/" in path]
    return [*dict.fromkeys(found)]


def wait_for(holds: Callable[[], bool], seconds: float = 200) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


# Lazily.


def test_what_is_not_read_is_not_fetched(store: ObjectStorage, proxy: Proxy) -> None:
    view = load(NAME, "train", storage=store)
    assert len(view) == ROWS and not proxy.count("GET", "/train/value/")
    assert view.only("row")[3]["row"] == 3
    assert not proxy.count("GET", "/train/value/") and not proxy.count("GET", "/train/text/")
    assert view[1_234]["text"] == "row 1234"
    wait_for(lambda: len(values_fetched(proxy)) == 2)
    assert len(values_fetched(proxy)) == 2, "the one that is read, and the one after it"


def test_everything_is_fetched_once_and_the_second_epoch_asks_for_nothing(
    store: ObjectStorage, proxy: Proxy, home: Path
) -> None:
    loader = Loader(load(NAME, "train", storage=store), 64, shuffle=True, seed=1)  # type: ignore[arg-type]
    for _ in range(2):
        seen = np.concatenate([batch["row"] for batch in loader])
        assert sorted(seen.tolist()) == list(range(ROWS))
        gets = proxy.count("GET", "/train/value/")
        assert gets == 8
    assert len(copies(home)) == 8 + 2


def test_it_is_opened_anew_in_another_process_and_in_a_forked_one(store: ObjectStorage) -> None:
    view = load(NAME, "train", storage=store)
    context: Any = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=lambda: results.put([int(view[i]["value"][1]) for i in range(0, ROWS, 400)]))
    child.start()
    child.join(200)
    assert child.exitcode == 0 and results.get() == list(range(0, ROWS, 400))


def test_workers_of_torch_that_are_forked_read_a_bucket_that_their_parent_used(store: ObjectStorage) -> None:
    torch_data = pytest.importorskip("torch.utils.data")
    view: Any = load(NAME, "train", storage=store)
    assert view[0]["row"] == 0
    loader = torch_data.DataLoader(
        view.map(row_of), batch_size=500, num_workers=2, multiprocessing_context="fork", timeout=200
    )
    assert [int(batch[0]) for batch in loader] == list(range(0, ROWS, 500))


def row_of(sample: Any) -> int:
    return int(sample["value"][1])


# Ahead.


def test_files_are_fetched_in_the_order_in_which_the_loader_reads_them(store: ObjectStorage, proxy: Proxy) -> None:
    view: Any = load(NAME, "train", storage=store)
    key = [file.sha256 for file in view.opener.index.streams["value"].files]
    reversed_view = view[::-1]
    batches = Loader(reversed_view, 10, threads=0).epoch(0)
    next(batches)
    wait_for(lambda: len(values_fetched(proxy)) == 8)
    asked = [next(k for k, one in enumerate(key) if one in path) for path in values_fetched(proxy)]
    assert sorted(asked) == [*range(8)]
    # Several at a time: each begins in its turn, and its request may be later than those of all that came after it.
    # At that time, only the other threads may have a file that was to come before.
    before = [sum(other > k for other in asked[place:]) for place, k in enumerate(asked)]
    assert max(before) <= AT_ONCE, asked


def test_no_more_is_held_and_fetched_than_the_cache_may_hold(
    store: ObjectStorage, proxy: Proxy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 6 * FILE_ROWS * WIDTH * 4
    monkeypatch.setenv("DATASET_ASSETS_CACHE_BYTES", str(limit))
    view: Any = load(NAME, "train", storage=store)
    largest = 0
    for k, batch in enumerate(Loader(view, 100).epoch(0)):
        assert batch["row"].tolist() == list(range(100 * k, 100 * k + 100))
        held = sum(size_of(path) for path in copies(home))
        largest = max(largest, held)
    assert 0 < largest <= limit
    open_now = view.columns["value"].files
    assert sum(open_now.sizes[file] for file in [*open_now._columns]) <= limit // 3 + FILE_ROWS * WIDTH * 4


def size_of(path: Path) -> int:
    """Return the size of a copy; 0 if it was evicted meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


# By ranges.


def test_by_ranges_the_same_values_are_read_without_a_cache(store: ObjectStorage, proxy: Proxy, home: Path) -> None:
    view: Any = load(NAME, "train", storage=store, fetch="ranges")
    rows = np.random.default_rng(0).integers(0, ROWS, 300)
    block = view.only("row", "value").rows(rows)
    assert block["row"].tolist() == rows.tolist()
    assert (block["value"] == (rows[:, None] * np.arange(WIDTH))).all()
    assert view.only("value")[7]["value"][1] == 7 and view.only("row")[ROWS - 1]["row"] == ROWS - 1
    whole = view.only("value").rows(slice(490, 1_510))["value"]
    assert (whole[:, 1] == np.arange(490, 1_510)).all()
    assert not copies(home)
    assert view[5]["text"] == "row 5", "what is not an array goes through the cache"


def test_the_setting_says_how_it_is_read(store: ObjectStorage, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_FETCH", "ranges")
    seen = [batch["row"] for batch in Loader(load(NAME, "train", storage=store).only("row"), 64).epoch(0)]
    assert np.concatenate(seen).tolist() == list(range(ROWS))
    assert not copies(home)


def test_what_was_opened_by_ranges_is_read_in_a_forked_child_too(store: ObjectStorage) -> None:
    view: Any = load(NAME, "train", storage=store, fetch="ranges").only("value")
    assert view[0]["value"][1] == 0
    context: Any = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=lambda: results.put([int(view[i]["value"][1]) for i in (0, 499, 500, 3_999)]))
    child.start()
    child.join(200)
    assert child.exitcode == 0 and results.get() == [0, 499, 500, 3_999]


# In blocks.


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 5), st.integers(0, 9), st.integers(0, 3))
def test_a_block_permutation_has_every_row_once_and_few_blocks_at_a_time(
    sizes: list[int], together: int, seed: int, epoch: int
) -> None:
    order = BlockPermutation(sizes, together, seed, epoch)
    rows = order.rows(slice(0, len(order)))
    assert sorted(rows.tolist()) == list(range(sum(sizes)))
    starts = np.cumsum([0, *sizes])
    groups: list[set[int]] = []
    for block in (np.searchsorted(starts, rows, "right") - 1).tolist():
        if not groups or block not in groups[-1] and len(groups[-1]) == together:
            groups.append(set())
        groups[-1].add(block)
    assert sum(map(len, groups)) == len({block for group in groups for block in group}), "a block is never come back to"
    places = np.arange(len(order))[::-1]
    assert (order.rows(places) == rows[places]).all()


def test_the_order_in_blocks_is_the_same_for_ever() -> None:
    order = BlockPermutation([3, 0, 4, 2], 2, seed=7, epoch=1)
    assert order.rows(slice(0, 9)).tolist() == GOLDEN


GOLDEN = [3, 6, 4, 5, 8, 7, 0, 2, 1]


def test_a_split_that_fits_nowhere_is_shuffled_in_blocks_and_each_file_is_fetched_once(
    store: ObjectStorage, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CACHE_BYTES", str(6 * FILE_ROWS * WIDTH * 4))
    view: Any = load(NAME, "train", storage=store).only("value")
    seen = [batch["value"][:, 1] for batch in Loader(view, 100, shuffle="blocks", seed=3).epoch(0)]
    assert sorted(np.concatenate(seen).tolist()) == list(range(ROWS))
    assert np.concatenate(seen).tolist() != list(range(ROWS))
    assert proxy.count("GET", "/train/value/") == 8


def test_in_blocks_it_goes_on_at_the_same_sample(store: ObjectStorage) -> None:
    view: Any = load(NAME, "train", storage=store).only("row", "value")
    whole = [batch["row"].tolist() for batch in Loader(view, 90, shuffle="blocks", seed=3).epoch(0)]
    loader = Loader(view, 90, shuffle="blocks", seed=3)
    begun = [batch["row"].tolist() for batch in itertools.islice(loader, 20)]
    other = Loader(view, 90, shuffle="blocks", seed=3)
    other.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    assert begun + [batch["row"].tolist() for batch in other] == whole


# As one column.


@pytest.mark.parametrize("fetch", ["files", "ranges"])
@pytest.mark.parametrize("files", [8, 3])
def test_once_all_files_are_there_rows_are_gathered_from_all_of_them_at_once(
    store: ObjectStorage, fetch: Any, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CACHE_BYTES", str((files + 1) * FILE_ROWS * WIDTH * 4))
    view: Any = load(NAME, "train", storage=store, fetch=fetch)
    opened, rows = view.columns["value"].files, np.arange(ROWS)[::-7]
    assert view[0]["value"][1] == 0 and not opened.whole, "one of eight files is open"
    for _ in range(2):
        assert np.array_equal(view.rows_of(["value"], rows)["value"], rows[:, None] * np.arange(WIDTH))
        assert list(opened.whole) == (["value"] if fetch == "files" and files == 8 else [])


def test_files_that_cannot_be_opened_together_are_read_one_by_one() -> None:
    def lost(stream: str) -> None:
        raise StoreUnavailable("gone")

    sizes, opened = {("value", 0): 1, ("value", 1): 1}, lambda stream, part: np.arange(3) + 3 * part
    files = RemoteFiles(sizes, opened, lambda stream, part: None, 10, lost)
    column = RemoteColumn(files, "value", [3, 3])
    assert column.take(np.array([4, 1])).tolist() == [4, 1] and not files.whole


# A store that is lost.


@pytest.mark.parametrize("fetch", ["files", "ranges"])
def test_L12_a_store_that_comes_back_is_waited_for_and_no_sample_is_lost(
    store: ObjectStorage, proxy: Proxy, fetch: Any
) -> None:
    view: Any = load(NAME, "train", storage=store, fetch=fetch).only("value")
    back = time.monotonic() + 2
    proxy.fault = lambda method, path: 503 if time.monotonic() < back else None
    seen = [batch["value"][:, 1] for batch in Loader(view, 100, shuffle=True, seed=3, threads=0).epoch(0)]
    assert time.monotonic() > back
    proxy.fault = lambda method, path: None
    assert np.concatenate(seen).tolist() == Loader(view, 1, shuffle=True, seed=3).order(0, slice(0, ROWS)).tolist()


def test_O1_a_store_that_asks_to_slow_down_is_asked_for_one_file_at_a_time(
    store: ObjectStorage, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", "60")
    refused: list[str] = []

    def refuse(method: str, path: str) -> int | None:
        # Each is asked for a few times; those that were asked for ahead are not asked for again.
        if len({*refused}) > 1 and len(refused) > 12 and len({*refused[-6:]}) == 1:
            return None
        refused.append(path.partition("?")[0])
        return 503

    view: Any = load(NAME, "train", storage=store).only("value")
    proxy.fault = refuse
    seen = [batch["value"][:, 1] for batch in Loader(view, 100, seed=3, threads=0).epoch(0)]
    assert np.concatenate(seen).tolist() == list(range(ROWS))
    assert len({*refused}) <= 1 + AT_ONCE


def test_O1_after_a_refusal_files_are_fetched_ahead_one_at_a_time_and_then_more() -> None:
    refusing, busy, lock = True, set[int](), threading.Lock()
    most, meeting, together = 0, False, threading.Event()

    def fetch(stream: str, part: int) -> None:
        nonlocal most
        if refusing:
            raise StoreUnavailable("slow down")
        with lock:
            busy.add(part)
            most = max(most, len(busy))
            if most == AT_ONCE:
                together.set()
        together.wait(60 if meeting else 0.05)
        with lock:
            busy.remove(part)

    def at_rest() -> bool:
        return not any(thread.is_alive() for thread in files._threads)

    files = RemoteFiles({("value", part): 1 for part in range(40)}, lambda stream, part: np.zeros(1), fetch, 20)
    files.expect("value", range(40))
    wait_for(at_rest)
    refusing = False
    files.column(("value", 0))
    wait_for(at_rest)
    assert most == 1
    meeting = True
    for part in range(1, 20):
        files.column(("value", part))
    wait_for(at_rest)
    assert most == AT_ONCE


@pytest.mark.parametrize("fetch", ["files", "ranges"])
def test_L12_past_the_limit_it_fails_with_a_state_from_which_the_next_run_goes_on(
    store: ObjectStorage, proxy: Proxy, fetch: Any, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", "1")
    view: Any = load(NAME, "train", storage=store, fetch=fetch).only("value")
    whole = Loader(view, 100, shuffle="blocks", seed=3).order(0, slice(0, ROWS)).tolist()
    seen: list[int] = []
    loader = Loader(view, 100, shuffle="blocks", seed=3, threads=2)
    with pytest.raises(StoreUnavailable) as caught:
        for batch in loader:
            seen += batch["value"][:, 1].tolist()
            proxy.fault = lambda method, path: 503
            if fetch == "files":
                forget(view)
                for path in copies(home):
                    path.unlink(missing_ok=True)
    assert "stall_seconds" in "".join(caught.value.__notes__)
    assert 0 < len(seen) < ROWS
    state = json.loads(json.dumps(loader.state_dict()))
    proxy.fault = lambda method, path: None
    again = Loader(load(NAME, "train", storage=store, fetch=fetch).only("value"), 100, shuffle="blocks", seed=3)
    again.load_state_dict(state)
    for batch in again:
        seen += batch["value"][:, 1].tolist()
    assert seen == whole


@contextmanager
def lost_for_a_while(server: Any, start_again: Callable[[], Any], seconds: float) -> Iterator[None]:
    """Stop a server at once; start it again later."""
    stop(server, signal.SIGQUIT)
    ended = threading.Event()

    def later() -> None:
        time.sleep(seconds)
        again, _ = started(start_again)
        # A server ends with the thread that started it.
        ended.wait(280)
        stop(again, signal.SIGINT)

    thread = threading.Thread(target=later)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("kind", ["postgresql", "mongodb"])
def test_L12_a_database_that_comes_back_is_waited_for_and_no_sample_is_lost(
    kind: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: Callable[..., Any] = start_postgres if kind == "postgresql" else start_secantus
    login = {"PGPASSWORD": SECRET, "MONGODB_USERNAME": MONGO_USER, "MONGODB_PASSWORD": SECRET}
    for name, value in {**login, "DATASET_ASSETS_FILE_BYTES": str(FILE_ROWS * WIDTH * 4)}.items():
        monkeypatch.setenv(name, value)
    with folder() as base:
        server, port = started(lambda: start(base))
        url = f"postgresql+psycopg2://tests@127.0.0.1:{port}/postgres"
        url = url if kind == "postgresql" else f"mongodb://127.0.0.1:{port}/lost?serverSelectionTimeoutMS=500"
        prepare(DATASET, storage=url)
        view: Any = load(NAME, "train", storage=url).only("value")  # type: ignore[union-attr]
        batches = Loader(view, 100, shuffle="blocks", seed=3, threads=0).epoch(0)
        seen = [next(batches)["value"][:, 1]]
        begun = time.monotonic()
        with lost_for_a_while(server, lambda: start(base, port), 1):
            forget(view)
            for path in copies(home):
                path.unlink(missing_ok=True)
            seen += [batch["value"][:, 1] for batch in batches]
            assert time.monotonic() - begun > 1
    expected = Loader(view, 1, shuffle="blocks", seed=3).order(0, slice(0, ROWS)).tolist()
    assert np.concatenate(seen).tolist() == expected


def forget(view: Any) -> None:
    """Let go of the files that are open, as if there were too many of them."""
    view.parent.columns["value"].files._columns.clear()
    view.parent.columns["value"].files.whole.clear()
    view.parent.columns["value"].files._fetched.clear()


def test_threads_that_fetch_ahead_end(store: ObjectStorage) -> None:
    for _ in Loader(load(NAME, "train", storage=store).only("value"), 100).epoch(0):  # type: ignore[arg-type]
        pass
    wait_for(lambda: not [one for one in threading.enumerate() if one.name == "dataset_assets-prefetch"])
