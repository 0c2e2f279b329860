"""Forks beside threads that use a SQLite file: each child finds what its parent stored, or is told."""

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from children import ended, in_child

from dataset_assets.errors import StorageError
from dataset_assets.storage import Storage
from dataset_assets.storage.connectors import sqlite
from dataset_assets.storage.connectors.sqlite import SqliteStorage


def read(storage: Storage, key: str) -> bytes:
    with storage.get(key) as file:
        return file.read()


def test_children_forked_beside_threads_that_read_and_write_read_and_write_too(fast_path: Path) -> None:
    storage, over = SqliteStorage(fast_path / "store.db"), threading.Event()
    storage.put("a", b"x")

    def work(number: int) -> None:
        while not over.is_set():
            storage.put(f"thread/{number}", os.urandom(3000))
            read(storage, "a")
            SqliteStorage(storage.path).exists("a")

    def child(number: int) -> None:
        storage.put(f"child/{number}", read(storage, "a"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        children = [in_child(lambda number=number: child(number), wait=False) for number in range(20)]
    finally:
        over.set()
    assert [ended(process) for process in children] == [0] * 20
    for thread in threads:
        thread.join()
    assert [read(storage, f"child/{number}") for number in range(20)] == [b"x"] * 20
    with closing(sqlite3.connect(storage.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_child_forked_during_a_write_that_does_not_end_is_told_to_spawn(
    fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite._gate, "seconds", 0.2)
    storage = SqliteStorage(fast_path / "store.db")
    storage.put("a", b"x")
    waiting = threading.Thread(target=storage.put, args=("b", b"y"))

    def child() -> None:
        for act in (lambda: read(storage, "a"), lambda: storage.put("c", b"z")):
            with pytest.raises(StorageError, match="forked while another thread.*Start processes by spawn"):
                act()

    with closing(sqlite3.connect(storage.path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        waiting.start()
        while not sqlite._gate._inside:
            time.sleep(0.01)
        assert in_child(child) == 0
    waiting.join()
    assert in_child(lambda: storage.put("c", read(storage, "a"))) == 0
    assert [read(storage, key) for key in "abc"] == [b"x", b"y", b"x"]
