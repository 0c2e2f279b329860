"""Storage connectors: the shared suite for each, what only a disk can do wrong, and opening by URL."""

import errno
import fcntl
import hashlib
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, cast

import pytest
from folding import FoldingStorage
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from local_steps import KEY, NEW, OLD, STEPS

from dataset_assets.core import locks
from dataset_assets.errors import NoSpace, Refused, StorageError, UsageError
from dataset_assets.storage import CONNECTORS, LocalStorage, MemoryStorage, Storage, open_storage
from dataset_assets.storage.connectors.local import DAY_SECONDS, sweep
from dataset_assets.testing import DiskFault, StorageTests, counting, failing, storage_state_machine
from dataset_assets.testing.faults import DISK_FAULTS, installed
from dataset_assets.testing.storage import VERBS, content, file_of, sha256

SETTINGS = settings(max_examples=25, stateful_step_count=25, deadline=None)


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "store")


class TestLocalStorage(StorageTests):
    @pytest.fixture
    def storage(self, local: LocalStorage) -> Storage:
        return local


class TestMemoryStorage(StorageTests):
    @pytest.fixture
    def storage(self) -> Storage:
        return MemoryStorage()


class TestFoldingStorage(StorageTests):
    """A disk that does not tell cases apart keeps the same promises."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return FoldingStorage(tmp_path / "store")


def test_a_folder_agrees_with_a_dict(tmp_path: Path) -> None:
    machine = storage_state_machine(lambda: LocalStorage(tempfile.mkdtemp(dir=tmp_path)))
    run_state_machine_as_test(machine, settings=SETTINGS)


def test_memory_agrees_with_a_dict() -> None:
    run_state_machine_as_test(storage_state_machine(MemoryStorage), settings=SETTINGS)


# What a folder holds.


def test_an_object_is_a_plain_file(local: LocalStorage) -> None:
    local.put(KEY, NEW)
    assert (local.root / KEY).read_bytes() == NEW
    with local.get(KEY) as file:
        assert os.path.samestat(os.fstat(file.fileno()), (local.root / KEY).stat())


def test_a_finished_file_is_linked_not_copied(local: LocalStorage, tmp_path: Path) -> None:
    source = file_of(tmp_path, NEW)
    local.put(KEY, source)
    assert (local.root / KEY).samefile(source)


def test_the_file_that_a_link_names_is_put_not_the_link(local: LocalStorage, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file_of(tmp_path, NEW))
    local.put(KEY, link)
    assert not (local.root / KEY).is_symlink()
    assert content(local, KEY) == NEW


def test_what_is_put_is_new_however_old_its_source_is(local: LocalStorage, tmp_path: Path) -> None:
    source = file_of(tmp_path, NEW)
    os.utime(source, (1, 1))
    local.put(KEY, source)
    assert age(local, KEY) < 60


@pytest.mark.parametrize("as_file", [True, False])
def test_what_is_put_again_is_kept_and_new(local: LocalStorage, tmp_path: Path, as_file: bool) -> None:
    local.put(KEY, NEW)
    before = (local.root / KEY).stat()
    os.utime(local.root / KEY, (1, 1))
    local.put(KEY, file_of(tmp_path, NEW) if as_file else NEW)
    assert os.path.samestat(before, (local.root / KEY).stat())
    assert age(local, KEY) < 60


def test_what_is_collected_while_it_is_renewed_is_stored_again(local: LocalStorage) -> None:
    local.put(KEY, NEW)
    with doing("utime", lambda: (local.root / KEY).unlink()):
        local.put(KEY, NEW)
    assert content(local, KEY) == NEW


def test_other_files_are_not_listed(local: LocalStorage) -> None:
    local.put("a/b", b"x")
    for name in ("a/.hidden", "a/with space", "a/-dash", ".git/config"):
        (local.root / name).parent.mkdir(exist_ok=True)
        (local.root / name).touch()
    os.mkfifo(local.root / "a/pipe")
    assert list(local.list("")) == ["a/b"]


def test_a_pipe_is_no_object_and_no_source(local: LocalStorage) -> None:
    local.root.mkdir()
    os.mkfifo(local.root / "pipe")
    assert not local.exists("pipe")
    with pytest.raises(FileNotFoundError):
        local.get("pipe")
    with pytest.raises(FileNotFoundError):
        local.put("a", local.root / "pipe")


def test_a_swap_does_not_wait_for_a_pipe_of_another_user(local: LocalStorage) -> None:
    local.root.mkdir()
    os.mkfifo(local.root / "pointer")
    code = "import sys; from dataset_assets.storage.connectors.local import LocalStorage as S; S(sys.argv[1]).swap"
    subprocess.run([sys.executable, "-c", f"{code}('pointer', b'x', None)", str(local.root)], check=True, timeout=250)
    assert content(local, "pointer") == b"x"


@pytest.mark.parametrize("make", [os.mkfifo, Path.touch, lambda path: path.symlink_to("gone")])
def test_a_storage_that_is_no_folder_is_an_error_and_not_empty(
    local: LocalStorage, make: Callable[[Path], None]
) -> None:
    make(local.root)
    with pytest.raises(StorageError, match="is not a folder"):
        list(local.list(""))


@pytest.mark.parametrize("key", ["a", "a/b/c"])
def test_an_object_and_a_folder_cannot_have_one_name(local: LocalStorage, key: str) -> None:
    local.put("a/b", OLD)
    with pytest.raises(StorageError):
        local.put(key, NEW)
    with pytest.raises(StorageError):
        local.swap(key, NEW, None)
    assert list(local.list("")) == ["a/b"]
    assert content(local, "a/b") == OLD


def test_a_name_that_is_too_long_for_the_disk_is_one_error(local: LocalStorage) -> None:
    for verb in ("put", "get", "exists", "delete", "swap"):
        with pytest.raises(StorageError, match="name too long"):
            VERBS[verb](local, "x" * 300)


def test_reading_changes_nothing(local: LocalStorage) -> None:
    local.put(KEY, NEW)
    before = tree(local)
    with counting() as calls:
        assert content(local, KEY) == NEW
        assert local.exists(KEY) and not local.exists("a")
        assert list(local.list("")) == [KEY]
    assert calls.calls == 0
    assert tree(local) == before


def test_opening_and_reading_make_no_folder(local: LocalStorage) -> None:
    assert list(local.list("")) == [] and not local.exists(KEY)
    local.delete(KEY)
    assert not local.root.exists()


# Links.


@pytest.fixture
def outside(local: LocalStorage, tmp_path: Path) -> Path:
    """Return a folder whose path begins with the storage's, but which is beside it."""
    local.root.mkdir()
    folder = tmp_path / "store-secrets"
    folder.mkdir()
    (folder / "a").write_bytes(b"secret")
    return folder


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("relative", [True, False])
def test_links_that_lead_out_are_refused(local: LocalStorage, outside: Path, verb: str, relative: bool) -> None:
    to = Path("..", outside.name) if relative else outside
    (local.root / "folder").symlink_to(to)
    (local.root / "file").symlink_to(to / "a")
    (local.root / "dangling").symlink_to(to / "b")
    for key in ("folder", "folder/a", "folder/b", "file", "dangling"):
        with pytest.raises(Refused, match="store-secrets"):
            VERBS[verb](local, key)
    assert [path.name for path in outside.iterdir()] == ["a"]
    assert (outside / "a").read_bytes() == b"secret"


def test_links_are_not_listed(local: LocalStorage, outside: Path) -> None:
    local.put("a/b", b"x")
    (local.root / "out").symlink_to(outside)
    (local.root / "c").symlink_to(local.root / "a/b")
    (local.root / "a/round").symlink_to(local.root)
    assert list(local.list("")) == ["a/b"]


def test_links_that_stay_inside_are_followed(local: LocalStorage) -> None:
    local.put("a/b", b"x")
    (local.root / "c").symlink_to(local.root / "a")
    assert content(local, "c/b") == b"x"


def test_links_that_lead_to_themselves_are_no_objects(local: LocalStorage) -> None:
    local.root.mkdir()
    (local.root / "loop").symlink_to("loop")
    assert not local.exists("loop")
    with pytest.raises(FileNotFoundError):
        local.get("loop")


def test_the_root_itself_may_be_a_link(local: LocalStorage, tmp_path: Path) -> None:
    local.put(KEY, OLD)
    (tmp_path / "link").symlink_to(local.root)
    linked = LocalStorage(tmp_path / "link")
    linked.put(KEY, NEW)
    assert linked.swap("a", b"x", None)
    assert sorted(linked.list("")) == ["a", KEY]
    assert content(local, KEY) == content(linked, KEY) == NEW


# Faults.


def before(name: str) -> bytes | None:
    return None if name == "swap absent" else OLD


def stored(storage: LocalStorage) -> bytes | None:
    return content(storage, KEY) if storage.exists(KEY) else None


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("fault", [fault for fault in DISK_FAULTS if fault != "kill"])
def test_whatever_call_fails_the_old_or_the_new_is_there_whole(tmp_path: Path, name: str, fault: DiskFault) -> None:
    for n in itertools.count(1):
        storage, source = LocalStorage(tmp_path / f"store-{n}"), file_of(tmp_path, NEW)
        if before(name):
            storage.put(KEY, OLD)
        error = None
        with failing(n, fault) as calls:
            try:
                STEPS[name](storage, source)
            except StorageError as caught:
                error = caught
        expect_whole(storage, name, failed=error is not None)
        assert error is None or isinstance(error, NoSpace) == (fault != "EIO")
        again(storage, name, source)
        if not calls.tripped:
            assert error is None and n > 5
            break


def expect_whole(storage: LocalStorage, name: str, failed: bool) -> None:
    assert stored(storage) in ((NEW, before(name)) if failed else (NEW,))
    assert list(storage.list("")) == ([KEY] if storage.exists(KEY) else [])


def again(storage: LocalStorage, name: str, source: Path) -> None:
    STEPS[name](storage, source)
    assert stored(storage) == NEW
    assert list(storage.list("")) == [KEY]


def test_a_failed_put_leaves_nothing_behind(local: LocalStorage) -> None:
    local.put(KEY, OLD)
    names = tree(local)
    with failing(2, "short-ENOSPC"), pytest.raises(NoSpace, match="No space left"):
        local.put(KEY, NEW)
    assert tree(local) == names


KILLED = """
import sys
from pathlib import Path
from local_steps import STEPS
from dataset_assets.storage import LocalStorage
from dataset_assets.testing import failing
with failing({n}, "kill"):
    STEPS[{name!r}](LocalStorage({root!r}), Path({source!r}))
"""


@pytest.mark.parametrize("name", ["put bytes", "put file", "swap"])
def test_wherever_it_is_killed_the_old_or_the_new_is_there_whole(tmp_path: Path, name: str) -> None:
    for n in itertools.count(1):
        storage, source = LocalStorage(tmp_path / f"store-{n}"), file_of(tmp_path, NEW)
        storage.put(KEY, OLD)
        ended = run_killed(n, name, storage, source)
        assert ended in (0, -signal.SIGKILL)
        expect_whole(storage, name, failed=ended != 0)
        begun = time.monotonic()
        again(storage, name, source)
        assert time.monotonic() - begun < 30, "a lock outlived its process"
        if ended == 0:
            assert n > 5
            break


def run_killed(n: int, name: str, storage: LocalStorage, source: Path) -> int:
    code = KILLED.format(n=n, name=name, root=str(storage.root), source=str(source))
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


@pytest.mark.parametrize("as_file", [True, False])
def test_bytes_are_on_the_disk_before_they_have_a_name(local: LocalStorage, tmp_path: Path, as_file: bool) -> None:
    done: list[tuple[str, Path]] = []
    source = file_of(tmp_path, NEW)
    with installed(lambda operation, path, size: done.append((operation, path))):
        local.put("a/b", source if as_file else NEW)
    named = done.index(("replace", local.root / "a/b"))
    assert done[named - 1][0] == "fsync" and done[named - 1][1].suffix == ".part"
    assert done[-1] == ("fsync", local.root / "a")
    for folder in (local.root, local.root / "a"):
        assert done.index(("mkdir", folder)) < done.index(("fsync", folder.parent)) < named


def some_files(folder: Path) -> dict[str, Path]:
    """Return files to put under keys in two folders."""
    found = {f"{part}/{k}": folder / f"{part}-{k}" for part in "ab" for k in range(40)}
    for key, path in found.items():
        path.write_bytes(key.encode())
    return found


def test_many_files_are_on_the_disk_before_they_have_names_and_their_folders_when_all_do(
    local: LocalStorage, tmp_path: Path
) -> None:
    done: list[tuple[str, Path]] = []
    sources = some_files(tmp_path)
    local.put("a/7", sources["a/7"])
    with installed(lambda operation, path, size: done.append((operation, path))):
        local.put_all(sources)
    assert {key: content(local, key) for key in local.list("")} == {key: key.encode() for key in sources}
    named = [at for at, (operation, path) in enumerate(done) if operation == "replace"]
    synced = [path for operation, path in done if operation == "fsync" and path.suffix == ".part"]
    assert len(named) == len({*synced}) == len(sources) - 1
    for folder in (local.root / "a", local.root / "b"):
        last = max(at for at, place in enumerate(done) if place == ("fsync", folder))
        assert max(named) < last
    assert sum(operation == "fsync" and path == local.root / "a" for operation, path in done) == 1


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC"])
def test_whatever_call_fails_each_of_many_files_is_whole_or_absent(
    local: LocalStorage, tmp_path: Path, fault: DiskFault
) -> None:
    sources = some_files(tmp_path)
    for n in (1, 2, 5, 40, 200, 270):
        storage = LocalStorage(tmp_path / f"store-{n}")
        with failing(n, fault) as calls:
            try:
                storage.put_all(sources)
            except StorageError:
                stored = {*storage.list("")}
            else:
                # What failed was to remove a temporary file, which has done its work.
                stored = {*sources}
        assert calls.tripped
        assert all(content(storage, key) == key.encode() for key in stored)
        assert [path for path in tmp_path.rglob("*.part") if path.is_file()] == []
        storage.put_all(sources)
        assert {*storage.list("")} == sources.keys()


def test_two_puts_of_one_source_at_once_leave_no_second_link(local: LocalStorage, tmp_path: Path) -> None:
    source = file_of(tmp_path, NEW)
    with doing("replace", lambda: LocalStorage(local.root).put(KEY, source)):
        local.put(KEY, source)
    assert source.stat().st_nlink == 2
    assert content(local, KEY) == NEW


def test_what_killed_writers_left_is_swept_after_a_day(local: LocalStorage, tmp_path: Path) -> None:
    local.swap("a/b", NEW, None)
    left = local.root / "a" / ".1-0123456789abcdef.part"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    sweep(left.parent, DAY_SECONDS)
    assert left.exists(), "a link to an old source has its times, and is young all the same"
    sweep(left.parent, older_than=-1)
    assert sorted(path.name for path in left.parent.iterdir()) == [".b.lock", "b"]


def test_of_parts_only_those_of_our_own_pattern_are_swept(local: LocalStorage, tmp_path: Path) -> None:
    local.put("a/b", NEW)
    theirs = (".download.part", ".1-0123.part", ".backup.1-0123456789abcdef.part", "1-0123456789abcdef.part")
    for name in theirs:
        (local.root / "a" / name).write_bytes(b"theirs")
    (local.root / "a/.2-0123456789abcdef.part").symlink_to(tmp_path)
    (local.root / "a/.3-0123456789abcdef.part").mkdir()
    sweep(local.root / "a", older_than=-1)
    assert len([*(local.root / "a").iterdir()]) == len(theirs) + 3
    assert [*local.strays(-1)] == []


# Swaps of several processes.


def swap_in_rounds(root: Path, me: int, rounds: int, barrier: Barrier, results: "Queue[list[bool]]") -> None:
    storage, wins = LocalStorage(root), []
    for number in range(rounds):
        expected = sha256(content(storage, KEY)) if storage.exists(KEY) else None
        barrier.wait(250)
        wins.append(storage.swap(KEY, b"%d in round %d" % (me, number), expected))
        barrier.wait(250)
    results.put(wins)


def test_of_two_processes_that_swap_at_once_one_wins(local: LocalStorage) -> None:
    rounds = 40
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), cast("Queue[list[bool]]", context.Queue())
    both = [
        context.Process(target=swap_in_rounds, args=(local.root, me, rounds, barrier, results), daemon=True)
        for me in range(2)
    ]
    for process in both:
        process.start()
    wins = [results.get(timeout=250) for _ in both]
    for process in both:
        process.join(200)
    assert [one + other for one, other in zip(*wins)] == [1] * rounds


def test_C4_a_lock_that_is_held_on_and_on_is_an_error_that_names_it_and_its_owner(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, lock_seconds=0.05)
    said: list[str] = []

    def swap_too() -> None:
        with pytest.raises(StorageError) as caught:
            LocalStorage(tmp_path, lock_seconds=0.05).swap("a", NEW, None)
        said.append(str(caught.value))

    with doing("replace", swap_too):
        assert storage.swap("a", OLD, None)
    assert f".a.lock is locked by process {os.getpid()} on {os.uname().nodename}. If that is stopped" in said[0]
    with open(tmp_path / ".a.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match=r"\.a\.lock is locked by another process"):
            storage.swap("a", NEW, sha256(OLD))
    assert storage.swap("a", NEW, sha256(OLD))


@pytest.mark.parametrize("left", [b"", b"process 1 on a host that was rebooted\n", b"\0" * 100])
def test_C4_whatever_a_killed_process_left_in_a_lock_it_holds_nobody(tmp_path: Path, left: bytes) -> None:
    (tmp_path / ".a.lock").write_bytes(left)
    begun = time.monotonic()
    assert LocalStorage(tmp_path).swap("a", NEW, None)
    assert time.monotonic() - begun < 30


def test_a_child_that_is_forked_during_a_swap_does_not_keep_the_lock(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, lock_seconds=1)
    children: list[int] = []

    def fork() -> None:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)

    with doing("replace", fork):
        assert storage.swap("a", OLD, None)
    try:
        assert storage.swap("a", NEW, sha256(OLD))
    finally:
        os.kill(children[0], signal.SIGKILL)
        os.waitpid(children[0], 0)


# Opening.


@pytest.mark.parametrize("folder", ["plain", "with space", "50%", "%20", "a?b#c", "ünï", "\udcff", "~"])
def test_the_url_of_any_folder_opens_it_again(tmp_path: Path, folder: str) -> None:
    storage = LocalStorage(tmp_path / folder)
    storage.put("a", b"x")
    assert content(open_storage(storage.url), "a") == b"x"
    assert [path.name for path in tmp_path.iterdir()] == [folder]


def test_folders_open_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.chdir(tmp_path)
    urls: dict[str | Path, str] = {
        "/data/assets": "file:///data/assets",
        Path("/data/assets"): "file:///data/assets",
        Path("assets"): (tmp_path / "assets").as_uri(),
        "~/assets": "file:///home/ada/assets",
        "file:///data/assets": "file:///data/assets",
        "file:/data/assets/": "file:///data/assets",
        "FILE://localhost/data/assets": "file:///data/assets",
    }
    for given, url in urls.items():
        opened = open_storage(given)
        assert isinstance(opened, LocalStorage) and opened.url == url


@pytest.mark.parametrize(
    "url, says",
    [
        ("gopher://key:pa55@bucket/x", "No storage connector opens 'gopher' URLs. There are: file, memory, s3,"),
        ("fiel:///data", "No storage connector opens 'fiel' URLs. Did you mean 'file'?"),
        ("s3://[bucket/x", "The s3 URL of the storage cannot be read"),
        ("data/assets", "'data/assets' is neither a URL nor an absolute path."),
        ("", "'' is neither"),
        ("file://host/data", "does not name a folder of this machine"),
        ("file:data", "does not name a folder of this machine"),
        ("file:///a%00b", "it contains a NUL character"),
    ],
)
def test_what_cannot_be_opened_is_said(url: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_storage(url)
    assert says in str(caught.value)
    assert "pa55" not in str(caught.value)


def test_memory_of_one_name_is_the_same_objects() -> None:
    open_storage("memory://test_storage").put("a", b"x")
    assert content(open_storage("memory://test_storage"), "a") == b"x"
    assert not MemoryStorage("another").exists("a")


def test_memory_without_a_name_is_its_own_and_ends_with_it() -> None:
    one, other = MemoryStorage(), open_storage("memory://")
    one.put("a", b"x")
    assert not other.exists("a")
    url = one.url
    assert content(open_storage(url), "a") == b"x"
    del one
    assert not open_storage(url).exists("a")


def test_a_connector_of_ones_own_is_found_by_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONNECTORS, "shelf", "dataset_assets.storage.connectors.memory:open_memory")
    assert isinstance(open_storage("shelf://one"), MemoryStorage)


def test_errors_name_the_key_and_the_storage(local: LocalStorage) -> None:
    with pytest.raises(FileNotFoundError, match=f"{local.url} holds no such object: '{KEY}'") as caught:
        local.get(KEY)
    assert caught.value.errno == errno.ENOENT


# What these tests need.


def age(storage: LocalStorage, key: str) -> float:
    return time.time() - (storage.root / key).stat().st_mtime


def tree(storage: LocalStorage) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_ctime_ns if path.is_file() else 0) for path in storage.root.rglob("*"))


def doing(operation: str, act: Callable[[], object]) -> AbstractContextManager[None]:
    """Act once, just before the first change of that kind."""
    left = [act]

    def hook(done: str, path: Path, size: int) -> None:
        if done == operation and left:
            left.pop()()

    return installed(hook)


SLIPS = [
    *(f"{scheme}://ada:hunter2@127.0.0.1:9/data" for scheme in sorted({*CONNECTORS, "another"} - {"memory"})),
    *(f"{begin}ada:hunter2@127.0.0.1/data" for begin in ("file:", "file:/", "file:///", "sqlite:", "sqlite:///", "")),
    "file:///data?token=hunter2", "file:///data#ada:hunter2", "sqlite:////data.db?password=hunter2",
]  # fmt: skip


@pytest.mark.parametrize("url", SLIPS)
def test_no_error_about_a_url_shows_its_password(url: str) -> None:
    with pytest.raises((UsageError, StorageError)) as caught:
        open_storage(url).exists("a")
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in str(error)
        error = error.__cause__


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another group")
def test_files_in_a_folder_of_a_group_belong_to_it(local: LocalStorage, tmp_path: Path) -> None:
    local.root.mkdir()
    os.chown(local.root, -1, 4444)
    local.root.chmod(0o2770)
    ours, shared = file_of(tmp_path, NEW), tmp_path / "shared"
    shared.write_bytes(OLD)
    os.link(shared, tmp_path / "second name")
    before = os.umask(0o007)
    try:
        local.put("a/linked", ours)
        local.put("a/copied", shared)
        local.put("a/bytes", NEW)
        assert local.swap("a/swapped", NEW, None)
    finally:
        os.umask(before)
    found = {path.name: path.stat() for path in (local.root / "a").iterdir()}
    assert {info.st_gid for info in found.values()} == {4444}
    assert {oct(info.st_mode & 0o777) for name, info in found.items() if name in ("bytes", "swapped")} == {"0o660"}
    # What others know by another name keeps its group.
    assert shared.stat().st_gid != 4444 and content(local, "a/copied") == OLD


def publish_in_rounds(root: Path, me: int, enough: Any) -> None:
    """Publish objects on a filesystem whose locks exclude nobody, until enough was seen of it."""
    locks.fcntl.flock = lambda *_: None  # type: ignore[assignment]
    storage = LocalStorage(root)
    for k in itertools.count():
        if k >= 150 and enough.is_set():
            return
        data = bytes([me]) * (1000 + k)
        digest = hashlib.sha256(data).hexdigest()
        storage.put(f"versions/{digest}", data)
        current = storage.get("current").read() if storage.exists("current") else None
        storage.swap("current", digest.encode(), None if current is None else sha256(current))


def test_without_locks_what_is_current_is_always_whole(local: LocalStorage) -> None:
    context = multiprocessing.get_context("fork")
    enough, seen = context.Event(), set()
    writers = [context.Process(target=publish_in_rounds, args=(local.root, me, enough), daemon=True) for me in (1, 2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if local.exists("current"):
            digest = content(local, "current").decode()
            assert hashlib.sha256(content(local, f"versions/{digest}")).hexdigest() == digest
            seen.add(digest)
            if len(seen) > 1:
                enough.set()
    assert [writer.exitcode for writer in writers] == [0, 0]
