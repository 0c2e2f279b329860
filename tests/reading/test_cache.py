"""The cache: each object once for all processes, hashed, bounded, and right where locks lock nothing."""

import hashlib
import io
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from counting import calls
from servers import Place, Proxy

from dataset_assets.core import files
from dataset_assets.errors import DigestMismatch, NoSpace, Refused, StorageError
from dataset_assets.formats import mapped
from dataset_assets.reading import cache_folder
from dataset_assets.reading.cache import PATIENCE_SECONDS, Cache, open_cached
from dataset_assets.storage import MemoryStorage, open_storage
from dataset_assets.storage.object_file import Changed
from dataset_assets.testing import failing
from dataset_assets.testing.faults import installed
from dataset_assets.testing.storage import at_once, sha256, some_bytes

DATA = some_bytes(3_000_000)


class Remote(MemoryStorage):
    """A storage without files that counts what is read of it; `reading` is called before each piece."""

    cached = True

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.reading: Callable[[], object] = lambda: None

    def get(self, key: str) -> BinaryIO:
        self.fetched.append(key)
        return _Read(super().get(key).read(), self)

    def hold(self, *sizes: int) -> list[tuple[str, str, int]]:
        """Store objects of these sizes; return for each what opens it."""
        found = []
        for size in sizes:
            data = some_bytes(size)
            self.put(sha256(data), data)
            found.append((sha256(data), sha256(data), size))
        return found


class _Read(io.BytesIO):
    def __init__(self, data: bytes, remote: Remote) -> None:
        super().__init__(data)
        self.remote = remote

    def read(self, size: int | None = -1) -> bytes:
        self.remote.reading()
        return super().read(size)


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
def cache(fast_path: Path) -> Cache:
    return Cache(fast_path / "cache", limit=10_000_000, patience=60)


def copies(cache: Cache) -> set[str]:
    return {path.name for path in cache.folder.iterdir() if not path.name.startswith(".") and len(path.name) == 64}


def parts(cache: Cache) -> list[Path]:
    return [*cache.folder.glob(".*.part")]


def read(cache: Cache, remote: Remote, what: tuple[str, str, int]) -> bytes:
    with cache.open(remote, *what) as file:
        return file.read()


# What is opened.


def test_an_object_is_fetched_once_and_is_a_plain_file_that_formats_map(cache: Cache, remote: Remote) -> None:
    [what] = remote.hold(len(DATA))
    assert read(cache, remote, what) == read(cache, remote, what) == DATA
    file = cache.open(remote, *what)
    assert bytes(mapped(file)) == DATA and file.closed
    assert remote.fetched == [what[0]]
    assert copies(cache) == {sha256(DATA)} and not parts(cache)


def test_an_empty_object_is_a_file_too(cache: Cache, remote: Remote) -> None:
    [what] = remote.hold(0)
    assert read(cache, remote, what) == b""
    assert read(cache, remote, what) == b"" and len(remote.fetched) == 1


def test_only_what_has_no_files_goes_through_the_cache(home: Path, remote: Remote, fast_path: Path) -> None:
    [what] = remote.hold(1000)
    for storage in (open_storage(fast_path / "store"), MemoryStorage()):
        storage.put(what[0], some_bytes(1000))
        with open_cached(storage, *what) as file:
            assert file.read() == some_bytes(1000)
    assert not (home / "cache").exists()
    with open_cached(remote, *what) as file:
        assert Path(file.name).parent == home / "cache"
    assert (home / "cache/CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")


def test_what_is_not_there_is_not_found_and_leaves_nothing(cache: Cache, remote: Remote) -> None:
    with pytest.raises(FileNotFoundError):
        cache.open(remote, "a", sha256(b"a"), 1)
    assert not copies(cache) and not parts(cache)


@pytest.mark.parametrize("arrives", [b"another content", b"short", b""])
def test_other_bytes_than_the_name_says_are_an_error_and_are_not_kept(
    cache: Cache, remote: Remote, arrives: bytes
) -> None:
    remote.put("a", arrives)
    with pytest.raises(DigestMismatch, match="a in memory://.* has sha256 .*, expected "):
        cache.open(remote, "a", sha256(b"right"), 5)
    assert not copies(cache) and not parts(cache)


def test_a_copy_that_was_cut_short_is_fetched_again(cache: Cache, remote: Remote) -> None:
    [what] = remote.hold(1000)
    read(cache, remote, what)
    os.truncate(cache.folder / what[1], 999)
    assert read(cache, remote, what) == some_bytes(1000)
    assert len(remote.fetched) == 2


def test_what_is_replaced_while_it_is_fetched_is_fetched_anew(cache: Cache, remote: Remote) -> None:
    [what] = remote.hold(len(DATA))
    replaced = [Changed("a", "memory:"), None, Changed("a", "memory:"), None]

    def change() -> None:
        if replaced and (error := replaced.pop()):
            raise error

    remote.reading = change
    assert read(cache, remote, what) == DATA
    assert len(remote.fetched) == 3


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC", "short-ENOSPC"])
def test_whatever_call_fails_the_copy_is_whole_or_not_there(cache: Cache, remote: Remote, fault: Any) -> None:
    [what] = remote.hold(len(DATA))
    for n in itertools.count(1):
        with failing(n, fault) as calls:
            try:
                read(cache, remote, what)
            except StorageError:
                pass
        assert read(cache, remote, what) == DATA
        assert not parts(cache)
        (cache.folder / what[1]).unlink()
        if not calls.tripped:
            assert n > 5
            break


# What others put there.


def overwrite(path: Path) -> None:
    """Change a byte, and give the file its times again."""
    info = path.stat()
    with open(path, "rb+") as file:
        file.write(b"!")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def exchange(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"!" * path.stat().st_size)
    os.replace(other, path)


def link(path: Path) -> None:
    theirs = path.parent.parent / "theirs"
    theirs.write_bytes(b"!" * path.stat().st_size)
    path.unlink()
    path.symlink_to(theirs)


@pytest.mark.parametrize("change", [overwrite, exchange, link])
def test_a_copy_that_was_changed_is_fetched_again(
    cache: Cache, remote: Remote, change: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    [what] = remote.hold(1000)
    for times in range(1, 4):
        assert read(cache, remote, what) == some_bytes(1000)
        assert len(remote.fetched) == times
        change(cache.folder / what[1])
    assert read(cache, remote, what) == some_bytes(1000)
    assert not (cache.folder / what[1]).is_symlink()
    theirs = cache.folder.parent / "theirs"
    assert not theirs.exists() or theirs.read_bytes() == b"!" * 1000
    assert "does not match its digest; it is downloaded again" in caplog.text or change is link


def test_a_copy_without_a_mark_is_hashed_once(cache: Cache, remote: Remote) -> None:
    [what] = remote.hold(1000)
    read(cache, remote, what)
    [table] = cache.folder.parent.glob(".marks-*")
    table.unlink()
    assert read(cache, remote, what) == some_bytes(1000)
    assert len(remote.fetched) == 1
    again = subprocess.run(
        [sys.executable, "-c", KNOWN, str(cache.folder / what[1])], capture_output=True, text=True, check=True
    )
    assert again.stdout == "True\n"


KNOWN = """
import sys
from pathlib import Path
from dataset_assets.reading.cache_folder import is_known
path = Path(sys.argv[1])
with open(path, "rb") as file:
    print(is_known(path, file))
"""


def test_a_copy_is_known_at_once_however_often_it_is_opened(cache: Cache, remote: Remote) -> None:
    [what] = remote.hold(len(DATA))
    read(cache, remote, what)
    passed: list[tuple[str, Path]] = []
    with installed(lambda operation, path, size: passed.append((operation, path))):
        found = [calls(lambda: cache.open(remote, *what).close()) for _ in range(100)]
    assert ("read", cache.folder / what[1]) not in passed, "it is not hashed"
    # Garbage of other tests may be collected in one of them.
    assert sorted(found)[50] < 300 and len(passed) < 100 * 10


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_copy_of_a_stranger_is_fetched_where_everybody_can_write(cache: Cache, remote: Remote) -> None:
    [what] = remote.hold(1000)
    read(cache, remote, what)
    os.chown(cache.folder / what[1], 65534, 65534)
    assert read(cache, remote, what) == some_bytes(1000)
    assert len(remote.fetched) == 1, "whoever may write the folder was let in by its owner"
    cache.folder.chmod(0o1777)
    assert read(cache, remote, what) == some_bytes(1000)
    assert len(remote.fetched) == 2 and (cache.folder / what[1]).stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_cache_of_a_stranger_is_refused_where_everybody_can_write(cache: Cache, remote: Remote) -> None:
    [what] = remote.hold(1000)
    cache.folder.mkdir()
    os.chown(cache.folder, 65534, 65534)
    cache.folder.parent.chmod(0o1777)
    with pytest.raises(Refused, match="belongs to another user .uid 65534.*DATASET_ASSETS_HOME"):
        read(cache, remote, what)
    assert not copies(cache)


@pytest.mark.parametrize("entry", ["0" * 64, "thesis.txt", ".x.1-aa.5.part", "CACHEDIR.TAG"])
def test_a_folder_that_is_no_cache_of_ours_is_refused_with_the_setting_to_change(
    cache: Cache, remote: Remote, entry: str
) -> None:
    cache.folder.mkdir()
    theirs = cache.folder / entry
    theirs.write_text("Signature: 8a477f597d28d172789f06886806bc55\n# of another program\n")
    os.utime(theirs, (1, 1))
    [what] = remote.hold(cache.limit)
    with pytest.raises(Refused, match="no CACHEDIR.TAG of ours.*Set DATASET_ASSETS_HOME"):
        read(cache, remote, what)
    cache.drop_damaged("0" * 64)
    assert names(cache) == {entry}


@pytest.mark.parametrize("tag", [None, b"", b"Signature: 8a47"])
def test_a_cache_whose_tag_was_not_finished_goes_on(cache: Cache, remote: Remote, tag: bytes | None) -> None:
    one, two = remote.hold(1000, 1001)
    read(cache, remote, one)
    (cache.folder / "CACHEDIR.TAG").unlink()
    if tag is not None:
        (cache.folder / "CACHEDIR.TAG").write_bytes(tag)
    assert read(cache, remote, two) == some_bytes(1001)


def test_nothing_is_evicted_but_copies(cache: Cache, remote: Remote) -> None:
    one, two = remote.hold(9_000_000, 8_000_000)
    read(cache, remote, one)
    theirs = {"thesis.txt", "x" * 64, f"{'0' * 64}.bak", ".download.part", "a.5.part", "1" * 64, "2" * 64}
    for name in theirs - {"1" * 64, "2" * 64}:
        (cache.folder / name).write_text("three years")
    (cache.folder / ("1" * 64)).mkdir()
    (cache.folder / ("2" * 64)).symlink_to(cache.folder / "thesis.txt")
    for path in cache.folder.iterdir():
        os.utime(path, (1, 1), follow_symlinks=False)
    read(cache, remote, two)
    assert theirs < names(cache) and one[1] not in names(cache)


def test_a_lock_that_is_a_link_is_refused(cache: Cache, remote: Remote) -> None:
    before, what = remote.hold(999, 1000)
    read(cache, remote, before)
    (cache.folder / ".room.lock").unlink()
    victim = cache.folder.parent / "victim"
    victim.write_text("three years")
    for name in (f".{what[1]}.lock", ".room.lock"):
        (cache.folder / name).symlink_to(victim)
        with pytest.raises(Refused, match="is a link"):
            read(cache, remote, what)
        (cache.folder / name).unlink()
    assert victim.read_text() == "three years"


# How much is kept.


def test_what_was_not_opened_for_the_longest_time_goes_first(cache: Cache, remote: Remote) -> None:
    one, two, three, four = remote.hold(4_000_000, 3_000_000, 2_000_000, 3_500_000)
    for what in (one, two, three, one):
        read(cache, remote, what)
    held = cache.open(remote, *two)
    aged(cache, three, one, two)
    read(cache, remote, four)
    assert copies(cache) == {two[1], four[1]}
    aged(cache, two, four)
    read(cache, remote, one)
    assert copies(cache) == {four[1], one[1]}
    with held:
        assert held.read() == some_bytes(3_000_000), "who has it open keeps it"


def aged(cache: Cache, *order: tuple[str, str, int]) -> None:
    """Set when copies were opened: the first one is the oldest."""
    for age, what in enumerate(reversed(order)):
        seen = time.time() - 100 - age
        os.utime(cache.folder / what[1], (seen, seen))


def names(cache: Cache) -> set[str]:
    return set(os.listdir(cache.folder)) if cache.folder.exists() else set()


def test_the_cache_is_never_larger_than_it_may_be(cache: Cache, remote: Remote) -> None:
    found = remote.hold(*(2_000_000 + i for i in range(12)))
    largest, done = [0], threading.Event()

    def watch() -> None:
        over = False
        while not over:
            # Once more when all is there, however seldom this thread had its turn.
            over, seen = done.is_set(), names(cache)
            together = sum(size(cache.folder / name) for name in seen if len(name) >= 64)
            if names(cache) == seen:  # else some of them were never there at the same time
                largest[0] = max(largest[0], together)

    watcher = threading.Thread(target=watch)
    watcher.start()
    at_once(4, lambda i: [read(cache, remote, what) for what in found[i::4]])
    done.set()
    watcher.join()
    assert 2_000_000 < largest[0] <= cache.limit
    assert len(copies(cache)) == 4


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_what_does_not_fit_is_an_error_that_names_the_setting(
    home: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, large = remote.hold(5000, 5001)
    monkeypatch.setenv("DATASET_ASSETS_CACHE_BYTES", "5000")
    with pytest.raises(NoSpace, match="Set DATASET_ASSETS_CACHE_BYTES to 5001 or more"):
        open_cached(remote, *large)
    assert not remote.fetched
    open_cached(remote, *what).close()


def test_what_others_are_fetching_counts(cache: Cache, remote: Remote) -> None:
    one, two = remote.hold(6_000_000, 5_000_000)
    hasty = Cache(cache.folder, cache.limit, patience=0.2)
    said: list[str] = []

    def begin_another() -> None:
        remote.reading = lambda: None
        with pytest.raises(NoSpace) as caught:
            hasty.open(remote, *two)
        said.append(str(caught.value))

    remote.reading = begin_another
    assert read(cache, remote, one) == some_bytes(6_000_000)
    assert "other downloads take all of them" in said[0]
    assert read(hasty, remote, two) == some_bytes(5_000_000)


def test_what_a_killed_process_left_is_not_counted_for_ever(cache: Cache, remote: Remote) -> None:
    one, two = remote.hold(1000, 2000)
    read(cache, remote, one)
    left = cache.folder / f".{two[1]}.1-aa.{cache.limit}.part"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    assert read(cache, remote, two) == some_bytes(2000)
    assert not parts(cache)


# Several at once.


def test_of_many_threads_one_fetches(cache: Cache, remote: Remote) -> None:
    [what] = remote.hold(len(DATA))
    assert at_once(16, lambda i: read(cache, remote, what)) == [DATA] * 16
    assert len(remote.fetched) == 1


def test_a_holder_that_does_nothing_is_not_waited_for_for_ever(cache: Cache, remote: Remote) -> None:
    [what] = remote.hold(1000)
    hasty, stuck, go = Cache(cache.folder, cache.limit, patience=0.3), threading.Event(), threading.Event()

    def stop() -> None:
        remote.reading = lambda: None
        stuck.set()
        go.wait(60)

    remote.reading = stop
    holder = threading.Thread(target=lambda: read(cache, remote, what))
    holder.start()
    assert stuck.wait(60)
    assert read(hasty, remote, what) == some_bytes(1000)
    go.set()
    holder.join()
    assert copies(cache) == {what[1]} and not parts(cache)


STARTER = """
import fcntl, json, sys, time
from pathlib import Path
from dataset_assets.reading.cache import open_cached
from dataset_assets.errors import DatasetAssetsError
from dataset_assets.storage import open_storage
if {lockless}:
    fcntl.flock = lambda *args: None
Path(sys.argv[1]).touch()
while not Path({start!r}).exists():
    time.sleep(0.01)
storage, found = open_storage({url!r}), []
for key, sha256, size in {objects!r}:
    with open_cached(storage, key, sha256, size) as file:
        found.append(len(file.read()))
print(json.dumps(found))
"""


@pytest.mark.parametrize("lockless", [False, True], ids=["locks", "locks that lock nothing"])
def test_C6_sixteen_processes_with_a_cold_cache_fetch_each_object_once(
    home: Path, seaweed: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, fast_path: Path, lockless: bool
) -> None:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    url = f"{seaweed.url}cold/{os.getpid()}/{lockless}?endpoint={proxy.url}"
    objects = []
    for number in range(3):
        data = some_bytes(2_000_000 + number)
        open_storage(url).put(f"a/{number}", data)
        objects.append((f"a/{number}", sha256(data), len(data)))
    proxy.requests.clear()
    code = STARTER.format(lockless=lockless, start=str(fast_path / "go"), url=url, objects=objects)
    ready = [fast_path / f"ready-{i}" for i in range(16)]
    command = [sys.executable, "-c", code]
    children = [subprocess.Popen([*command, str(one)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for one in ready]
    try:
        wait_for(lambda: all(one.exists() for one in ready))
        (fast_path / "go").touch()
        for child in children:
            out, said = child.communicate(timeout=200)
            assert child.returncode == 0, said.decode()
            assert json.loads(out) == [size for _, _, size in objects]
    finally:
        for child in children:
            child.kill()
    if not lockless:
        assert (proxy.count("GET"), proxy.count("HEAD")) == (3, 0)
    folder = home / "cache"
    assert {path.name for path in folder.iterdir() if len(path.name) == 64} == {digest for _, digest, _ in objects}
    assert all(hashlib.sha256((folder / digest).read_bytes()).hexdigest() == digest for _, digest, _ in objects)
    assert not [*folder.glob(".*.part")]


def wait_for(holds: Callable[[], bool], seconds: float = 200) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_process_that_is_killed_while_it_fetches_is_followed_by_the_next_one(
    home: Path, seaweed: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, fast_path: Path
) -> None:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    url = f"{seaweed.url}killed/{os.getpid()}?endpoint={proxy.url}"
    open_storage(url).put("a", DATA)
    what = ("a", sha256(DATA), len(DATA))
    code = STARTER.format(lockless=False, start=str(fast_path / "go"), url=url, objects=[what])
    child = subprocess.Popen([sys.executable, "-c", code, str(fast_path / "ready")])

    def kill(method: str, path: str) -> None:
        if method == "GET" and child.poll() is None:
            child.kill()
            child.wait()

    proxy.fault = kill
    (fast_path / "go").touch()
    assert child.wait(200) == -signal.SIGKILL
    begun = time.monotonic()
    with open_cached(open_storage(url), *what) as file:
        assert file.read() == DATA
    assert time.monotonic() - begun < PATIENCE_SECONDS


ENDING = """
import atexit, sys, threading, time
# Called after the cache's own, which is registered later: so long the process goes on ending.
atexit.register(time.sleep, 1)
from contextlib import suppress
from pathlib import Path
from dataset_assets.reading.cache import Cache
from dataset_assets.errors import StorageError
from test_cache import Remote
remote = Remote()
[first, *others] = remote.hold(*range(100, 2000))
cache = Cache(Path(sys.argv[1]), 10_000_000)
cache.open(remote, *first).close()
remote.reading = lambda: time.sleep(0.01)
def fetch():
    for one in others:
        with suppress(StorageError):
            cache.open(remote, *one).close()
for _ in range(2):
    threading.Thread(target=fetch, daemon=True).start()
time.sleep(0.1)
"""


def test_a_process_that_ends_begins_no_copies_and_leaves_none_half_done(cache: Cache) -> None:
    run = subprocess.run(
        [sys.executable, "-c", ENDING, str(cache.folder)], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    assert run.returncode == 0 and not run.stderr
    assert copies(cache) and parts(cache) == []


def read_mapped(found: memoryview, results: Any) -> None:
    results.put(hashlib.sha256(found).hexdigest())


def test_a_forked_worker_reads_what_its_parent_opened(
    home: Path, seaweed: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(f"{seaweed.url}forked/{os.getpid()}")
    storage.put("a", DATA)
    found = mapped(open_cached(storage, "a", sha256(DATA), len(DATA)))
    context: Any = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=read_mapped, args=(found, results))
    child.start()
    child.join(200)
    assert child.exitcode == 0 and results.get() == sha256(DATA)


def known(path: Path) -> bool:
    with open(path, "rb") as file:
        return cache_folder.is_known(path, file)


def test_a_copy_is_not_synced_and_is_hashed_once_after_the_machine_started_anew(
    cache: Cache, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(key, digest, size)] = remote.hold(100_000)
    synced: list[Path] = []
    with installed(lambda verb, path, count: synced.append(path) if verb == "fsync" else None):
        cache.open(remote, key, digest, size).close()
    assert not [path for path in synced if digest in path.name]
    path = cache.folder / digest
    monkeypatch.setattr(cache_folder, "boot", lambda: "the next start")
    lost, times = bytes(size), path.stat()
    assert not known(path)
    cache.open(remote, key, digest, size).close()
    assert len(remote.fetched) == 1, "it is whole, and was not downloaded again"
    monkeypatch.setattr(cache_folder, "boot", lambda: "a later start")
    assert known(path), "what was hashed was synced then"
    path.write_bytes(lost)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert sha256(cache.open(remote, key, digest, size).read()) == digest and len(remote.fetched) == 2


def test_a_new_folder_is_claimed_while_others_claim_it(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, first = fast_path / "new", True
    folder.mkdir()

    def another_claims_and_begins(source: Path, target: Path) -> None:
        """Just before the tag has its name, another process does all of that, and puts a folder beside it."""
        nonlocal first
        if first:
            first = False
            cache_folder.claim(folder)
            (folder / "folders").mkdir()
            cache_folder.claim(folder)
        os.replace(source, target)

    monkeypatch.setattr(files, "replace", another_claims_and_begins)
    cache_folder.claim(folder)
    cache_folder.claim(folder)
    assert not first and sorted(os.listdir(folder)) == ["CACHEDIR.TAG", "folders"]
    # A process that was killed meanwhile left only a part of its tag.
    (fast_path / "begun").mkdir()
    (fast_path / "begun" / ".CACHEDIR.TAG.0a1b2c3d4e5f6071.part").write_bytes(b"Sign")
    cache_folder.claim(fast_path / "begun")
