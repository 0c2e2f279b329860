"""Tests for storage connectors: a suite to subclass, and random calls compared with a dict."""

import hashlib
import io
import random
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dataset_assets.errors import NameNotAllowed
from dataset_assets.storage import Storage, entries_of, open_storage, size_of
from dataset_assets.storage.storage import level_in, lists_levels, open_object

T = TypeVar("T")

REFUSED_KEYS = (
    "", ".", "..", "../x", "/etc", "/", "a/", "a//b", "a/../b", "a/./b", "a/..", ".hidden", "a/.b", ".a/b", "-a", "~/a",
    "a\0b", "a b", "a\n", "a\nb", "a\\b", "C:/x", "%2e%2e", "a*", "ä", "a/\u202eb", "\ud800", "x" * 10_000,
    "a/" * 5_000 + "a",
)  # fmt: skip

VERBS: dict[str, Callable[[Storage, str], object]] = {
    "get": lambda storage, key: storage.get(key),
    "put": lambda storage, key: storage.put(key, b"x"),
    "exists": lambda storage, key: storage.exists(key),
    "stat": lambda storage, key: storage.stat(key),
    "list": lambda storage, key: list(storage.list(key)),
    "entries": lambda storage, key: list(entries_of(storage, key)),
    "delete": lambda storage, key: storage.delete(key),
    "swap": lambda storage, key: storage.swap(key, b"x", None),
}


class StorageTests:
    """Tests of the storage interface. Subclass it, and let the fixture `storage` return an empty storage of yours.

    ```python
    class TestShelfStorage(StorageTests):
        @pytest.fixture
        def storage(self, tmp_path):
            return ShelfStorage(tmp_path / "shelf")
    ```
    """

    reopenable = True
    """True if `open_storage` knows the scheme of its URLs."""

    @pytest.fixture
    def storage(self) -> Storage:
        """Return an empty storage, a new one for each test."""
        raise NotImplementedError("Override the fixture `storage`.")

    def test_it_is_a_storage(self, storage: Storage) -> None:
        assert isinstance(storage, Storage)
        assert open_storage(storage) is storage

    @pytest.mark.parametrize("size", [0, 1, 5_000_000])
    def test_bytes_come_back_as_they_were_put(self, storage: Storage, size: int) -> None:
        storage.put("a/b.bin", some_bytes(size))
        assert content(storage, "a/b.bin") == some_bytes(size)
        assert size_of(storage, "a/b.bin") == size

    @pytest.mark.parametrize("size", [0, 1, 5_000_000])
    def test_files_come_back_as_they_were_put(self, storage: Storage, tmp_path: Path, size: int) -> None:
        storage.put("a/b.bin", file_of(tmp_path, some_bytes(size)))
        assert content(storage, "a/b.bin") == some_bytes(size)

    def test_a_file_may_go_once_it_is_put(self, storage: Storage, tmp_path: Path) -> None:
        source = file_of(tmp_path, b"finished")
        storage.put("a", source)
        source.unlink()
        assert content(storage, "a") == b"finished"

    @pytest.mark.parametrize("key", ["a", "A.B-c_0", "_", "0", "com/lecun/mnist/index/91bd.json", "x/" * 20 + "x"])
    def test_keys_are_plain_names_in_folders(self, storage: Storage, key: str) -> None:
        storage.put(key, b"x")
        assert list(storage.list("")) == [key]

    def test_reading_may_begin_anywhere(self, storage: Storage) -> None:
        data = some_bytes(100_000)
        storage.put("a", data)
        with storage.get("a") as file:
            assert file.seekable() and file.readable()
            assert file.read(10) == data[:10] and file.tell() == 10
            assert file.seek(-5, io.SEEK_END) == 99_995 and file.read(10) == data[-5:] and file.read(1) == b""
            assert file.seek(50_000) == 50_000 and file.seek(100, io.SEEK_CUR) == 50_100
            assert file.read(3) == data[50_100:50_103]

    def test_reading_fills_the_buffer_it_is_given(self, storage: Storage) -> None:
        storage.put("a", b"0123456789")
        buffer = bytearray(6)
        with storage.get("a") as file:
            into: Any = file
            assert into.readinto(buffer) == 6 and buffer == b"012345"
            assert into.readinto(buffer) == 4 and buffer == b"678945"

    def test_two_readers_do_not_move_each_other(self, storage: Storage) -> None:
        storage.put("a", b"0123456789")
        with storage.get("a") as one, storage.get("a") as other:
            assert one.read(5) == b"01234"
            assert other.read(3) == b"012"
            assert one.read() == b"56789"

    @pytest.mark.parametrize("new", [b"", b"short", b"longer than it was before", b"the same size."])
    def test_putting_again_replaces_all_of_it(self, storage: Storage, tmp_path: Path, new: bytes) -> None:
        storage.put("a", b"as it was then")
        storage.put("a", new)
        assert content(storage, "a") == new
        storage.put("a", file_of(tmp_path, new + b"!"))
        assert content(storage, "a") == new + b"!"

    def test_putting_the_same_again_changes_nothing(self, storage: Storage, tmp_path: Path) -> None:
        source = file_of(tmp_path, some_bytes(3_000_000))
        for given in (source, source.read_bytes(), source):
            storage.put("a", given)
            assert content(storage, "a") == some_bytes(3_000_000)

    def test_who_opened_it_before_reads_what_was_there_then(self, storage: Storage) -> None:
        storage.put("a", b"old" * 100_000)
        with storage.get("a") as file:
            start = file.read(3)
            storage.put("a", b"new" * 100_000)
            assert start + file.read() == b"old" * 100_000

    def test_what_is_missing_is_not_found(self, storage: Storage) -> None:
        storage.put("a/b", b"x")
        for missing in ("b", "a", "a/c", "a/b/c"):
            with pytest.raises(FileNotFoundError):
                storage.get(missing)
            assert not storage.exists(missing)
            assert size_of(storage, missing) is None

    def test_it_says_what_exists(self, storage: Storage) -> None:
        assert not storage.exists("a/b")
        storage.put("a/b", b"")
        assert storage.exists("a/b")

    def test_it_tells_size_and_time_of_an_object(self, storage: Storage) -> None:
        storage.put("a/b", b"12345")
        storage.swap("a/c", b"123", None)
        assert [storage.stat(key).bytes for key in ("a/b", "a/c")] == [5, 3]
        # The store's clock may differ from ours, and may count whole seconds.
        assert all(abs(storage.stat(key).modified - time.time()) < 60 for key in ("a/b", "a/c"))
        for missing in ("a", "b", "a/b/c"):
            with pytest.raises(FileNotFoundError):
                storage.stat(missing)

    def test_putting_the_same_again_makes_it_new(self, storage: Storage, tmp_path: Path) -> None:
        source = file_of(tmp_path, b"the same")
        storage.put("a", source)
        first = storage.stat("a").modified
        time.sleep(1.1)
        storage.put("a", source.read_bytes())
        second = storage.stat("a").modified
        assert first < second
        time.sleep(1.1)
        storage.put("a", source)
        assert second < storage.stat("a").modified

    def test_a_source_that_is_missing_leaves_what_was_there(self, storage: Storage, tmp_path: Path) -> None:
        storage.put("a", b"old")
        for key in ("a", "b"):
            with pytest.raises(FileNotFoundError):
                storage.put(key, tmp_path / "missing")
        assert content(storage, "a") == b"old"
        assert list(storage.list("")) == ["a"]

    def test_a_source_that_cannot_be_read_leaves_what_was_there(self, storage: Storage, tmp_path: Path) -> None:
        storage.put("a", b"old")
        with pytest.raises(OSError):
            storage.put("a", tmp_path)
        assert content(storage, "a") == b"old"

    def test_listing_is_by_whole_folders(self, storage: Storage) -> None:
        for key in ("a/b/c", "a/b/d/e", "a/bc", "b/a/b/c", "ab"):
            storage.put(key, b"x")
        assert sorted(storage.list("a/b")) == ["a/b/c", "a/b/d/e"]
        assert sorted(storage.list("a")) == ["a/b/c", "a/b/d/e", "a/bc"]
        assert sorted(storage.list("")) == ["a/b/c", "a/b/d/e", "a/bc", "ab", "b/a/b/c"]

    def test_listing_what_is_not_there_gives_nothing(self, storage: Storage) -> None:
        assert list(storage.list("")) == []
        storage.put("a/b", b"x")
        assert list(storage.list("b")) == list(storage.list("a/b")) == list(storage.list("a/b/c")) == []

    def test_entries_tell_sizes_and_times_as_stat_does(self, storage: Storage) -> None:
        for key, size in (("a/b/c", 0), ("a/b/d/e", 3), ("a/bc", 70_000), ("ab", 1)):
            storage.put(key, some_bytes(size))
        storage.swap("a/b/c", b"swapped", sha256(b""))
        for folder in ("", "a", "a/b", "a/b/c", "missing"):
            found = {entry.key: entry for entry in entries_of(storage, folder)}
            assert sorted(found) == sorted(storage.list(folder))
            for key, entry in found.items():
                told = storage.stat(key)
                # A listing may tell parts of seconds that `stat` does not.
                assert entry.bytes == told.bytes and abs(entry.modified - told.modified) < 1.1

    def test_entries_of_one_level_are_those_directly_in_a_folder(self, storage: Storage) -> None:
        for key in ("a/b/c", "a/b/d/e", "a/bc", "b/a/b/c", "ab"):
            storage.put(key, b"x")
        for folder in ("", "a", "a/b", "b", "a/b/d"):
            level = sorted(entry.key for entry in entries_of(storage, folder, deep=False))
            below = f"{folder}/" if folder else ""
            assert level == sorted(key for key in storage.list(folder) if "/" not in key.removeprefix(below))

    def test_a_level_is_what_a_listing_has_directly_in_a_folder(self, storage: Storage) -> None:
        keys = ("a/b/c", "a/b/d/e", "a/b-c/d", "a/bc", "b/a/b/c", "ab")
        for key in keys:
            storage.put(key, b"x")
        if not lists_levels(storage):
            return
        for folder in ("", "a", "a/b", "b", "a/b/d", "missing"):
            found, expected = storage.level(folder), level_in(folder, storage.list(folder))
            assert (sorted(found.keys), sorted(found.folders)) == (sorted(expected.keys), sorted(expected.folders))

    @pytest.mark.parametrize("size", [0, 1, 5_000_000])
    def test_what_is_read_whole_is_what_was_put(self, storage: Storage, size: int) -> None:
        storage.put("a/b", some_bytes(size))
        with open_object(storage, "a/b", whole=True) as file:
            assert file.read(1) + file.read() == some_bytes(size) and file.read(1) == b""
        with open_object(storage, "a/b", whole=True) as file:
            assert file.seek(0, io.SEEK_END) == size and file.seek(0) == 0
            assert b"".join(iter(lambda: file.read(1_000_000), b"")) == some_bytes(size)
        for missing in ("a", "b", "a/b/c"):
            with pytest.raises(FileNotFoundError):
                open_object(storage, missing, whole=True)

    def test_who_reads_it_whole_reads_one_content(self, storage: Storage) -> None:
        storage.put("a", b"old" * 100_000)
        with open_object(storage, "a", whole=True) as file:
            start = file.read(3)
            storage.put("a", b"new" * 100_000)
            assert start + file.read() == b"old" * 100_000

    def test_what_is_listed_may_be_deleted_meanwhile(self, storage: Storage) -> None:
        for i in range(20):
            storage.put(f"a/{i}/b", b"x")
        for key in storage.list("a"):
            storage.delete(key)
        assert list(storage.list("")) == []
        for i in range(20):
            storage.put(f"a/{i}/b", b"x")
        for entry in entries_of(storage, "a"):
            storage.delete(entry.key)
        assert list(storage.list("")) == []

    def test_deleting_twice_is_no_error(self, storage: Storage) -> None:
        storage.put("a/b", b"x")
        storage.put("a/c", b"y")
        storage.delete("a/b")
        storage.delete("a/b")
        assert list(storage.list("")) == ["a/c"]

    def test_deleting_a_folder_deletes_nothing(self, storage: Storage) -> None:
        storage.put("a/b", b"x")
        storage.delete("a")
        storage.delete("a/b/c")
        assert content(storage, "a/b") == b"x"

    def test_swap_sets_what_is_absent_once(self, storage: Storage) -> None:
        assert storage.swap("a/current.json", b"one", None)
        assert not storage.swap("a/current.json", b"two", None)
        assert content(storage, "a/current.json") == b"one"

    def test_swap_sets_what_is_still_as_expected(self, storage: Storage) -> None:
        storage.put("a", b"one")
        assert storage.swap("a", b"two", sha256(b"one"))
        assert storage.swap("a", b"three", sha256(b"two"))
        assert content(storage, "a") == b"three"

    def test_swap_leaves_what_is_not_as_expected(self, storage: Storage) -> None:
        assert not storage.swap("a", b"two", sha256(b"one"))
        assert not storage.exists("a")
        storage.put("a", b"one")
        assert not storage.swap("a", b"two", sha256(b"another"))
        assert not storage.swap("a", b"two", None)
        assert content(storage, "a") == b"one"

    def test_swap_adds_nothing_else_that_is_listed(self, storage: Storage) -> None:
        storage.swap("a/current.json", b"one", None)
        storage.swap("b/current.json", b"one", sha256(b""))
        assert list(storage.list("")) == ["a/current.json"]

    def test_of_many_swaps_at_once_one_wins(self, storage: Storage) -> None:
        expected = None
        for round_ in range(5):
            # Long enough that hashing releases the GIL.
            new = [b"%d of round %d, " % (i, round_) * 5_000 for i in range(16)]
            was_set = at_once(16, lambda i: storage.swap("a", new[i], expected))  # noqa: B023 -- all end in this round
            assert was_set.count(True) == 1
            assert content(storage, "a") == new[was_set.index(True)]
            expected = sha256(content(storage, "a"))

    def test_of_many_puts_at_once_one_is_left_whole(self, storage: Storage, tmp_path: Path) -> None:
        data = [bytes([i]) * (100_000 + i) for i in range(8)]
        sources = [file_of(tmp_path, some) if i % 2 else some for i, some in enumerate(data)]
        at_once(8, lambda i: storage.put("a/b/c", sources[i]))
        assert content(storage, "a/b/c") in data
        assert list(storage.list("")) == ["a/b/c"]

    def test_readers_never_see_a_part(self, storage: Storage) -> None:
        data = [b"x" * 300_000, b"y" * 200_000]
        storage.put("a", data[0])

        def act(i: int) -> None:
            for n in range(20):
                if i == 0:
                    storage.put("a", data[n % 2])
                assert content(storage, "a") in data

        at_once(4, act)

    @pytest.mark.parametrize("key", REFUSED_KEYS, ids=lambda key: ascii(key[:12]))
    def test_keys_that_are_not_plain_names_are_refused(self, storage: Storage, key: str) -> None:
        for verb, call in VERBS.items():
            if key or verb not in ("list", "entries"):
                with pytest.raises(NameNotAllowed):
                    call(storage, key)
        assert list(storage.list("")) == []

    def test_its_url_opens_it_again(self, storage: Storage) -> None:
        if not self.reopenable:
            pytest.skip("open_storage does not know its scheme")
        again = open_storage(storage.url)
        assert again.url == storage.url
        storage.put("a", b"put here")
        assert content(again, "a") == b"put here"
        again.put("a", b"put there")
        assert content(storage, "a") == b"put there"


def storage_state_machine(make_storage: Callable[[], Storage]) -> type[RuleBasedStateMachine]:
    """Return a state machine that makes the same calls on an empty storage and a dict, and compares the results.

    Run it with `hypothesis.stateful.run_state_machine_as_test`, or as its `TestCase`.
    """
    # No key is a folder of another key: a filesystem could not hold both.
    keys = st.sampled_from(["a", "b/c", "b/cd", "b/d/e", "versions/1.json"])
    folders = st.sampled_from(["", "a", "b", "b/c", "b/d", "versions", "missing"])
    contents = st.binary(max_size=8) | st.integers(0, 1_500_000).map(some_bytes)

    class StorageMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.storage = make_storage()
            self.oracle: dict[str, bytes] = {}
            self.scratch = tempfile.TemporaryDirectory()

        def teardown(self) -> None:
            self.scratch.cleanup()

        @rule(key=keys, data=contents)
        def put_bytes(self, key: str, data: bytes) -> None:
            self.storage.put(key, data)
            self.oracle[key] = data

        @rule(key=keys, data=contents)
        def put_file(self, key: str, data: bytes) -> None:
            self.storage.put(key, file_of(Path(self.scratch.name), data))
            self.oracle[key] = data

        @rule(key=keys, other=keys)
        def put_again(self, key: str, other: str) -> None:
            if key in self.oracle:
                self.put_bytes(other, self.oracle[key])

        @rule(key=keys)
        def get(self, key: str) -> None:
            if key in self.oracle:
                assert content(self.storage, key) == self.oracle[key]
                return
            with pytest.raises(FileNotFoundError):
                self.storage.get(key)

        @rule(key=keys)
        def exists(self, key: str) -> None:
            assert self.storage.exists(key) == (key in self.oracle)
            assert size_of(self.storage, key) == (len(self.oracle[key]) if key in self.oracle else None)

        @rule(key=keys)
        def delete(self, key: str) -> None:
            self.storage.delete(key)
            self.oracle.pop(key, None)

        @rule(key=keys, new=contents, expected=st.none() | st.just("present") | contents.map(sha256))
        def swap(self, key: str, new: bytes, expected: str | None) -> None:
            present = sha256(self.oracle[key]) if key in self.oracle else None
            expected = present if expected == "present" else expected
            assert self.storage.swap(key, new, expected) == (expected == present)
            if expected == present:
                self.oracle[key] = new

        @rule(folder=folders)
        def list_folder(self, folder: str) -> None:
            below = f"{folder}/" if folder else ""
            assert sorted(self.storage.list(folder)) == sorted(key for key in self.oracle if key.startswith(below))
            sizes = {entry.key: entry.bytes for entry in entries_of(self.storage, folder)}
            assert sizes == {key: len(data) for key, data in self.oracle.items() if key.startswith(below)}

        @invariant()
        def nothing_else_is_listed(self) -> None:
            assert sorted(self.storage.list("")) == sorted(self.oracle)

    return StorageMachine


def at_once(count: int, act: Callable[[int], T]) -> list[T]:
    """Call a function with 0, 1, ... in one thread each, all started at once; return the results."""
    barrier = threading.Barrier(count)

    def start(i: int) -> T:
        barrier.wait()
        return act(i)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


def content(storage: Storage, key: str) -> bytes:
    """Return all bytes of an object."""
    with storage.get(key) as file:
        return file.read()


def file_of(folder: Path, data: bytes) -> Path:
    """Write data into a new temporary file in a folder."""
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(data)
    return Path(file.name)


def some_bytes(size: int) -> bytes:
    """Return pseudo-random bytes, always the same for a size."""
    return random.Random(size).randbytes(size)


def sha256(data: bytes) -> str:
    """Return the sha256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()
