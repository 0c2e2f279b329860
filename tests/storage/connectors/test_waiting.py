"""How long each connector waits for a server that is silent, or that asks to wait."""

import itertools
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from test_lost_answers import KEYS_OF_VERBS, SERVERS, entered

from dataset_assets.errors import StorageError, StoreUnavailable
from dataset_assets.storage.connectors.bucket.store import ObjectStorage
from dataset_assets.testing import Drop, Html, Lost, Silence, Status, WireError
from dataset_assets.testing.storage import at_once, content

STALL = 3.0
LONG = 20 * STALL
"""What a busy machine may take for it; the server stays silent for ten times as long."""


@pytest.mark.parametrize("name", SERVERS)
def test_no_verb_waits_for_a_silent_server_much_longer_than_stall_seconds(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", f"{STALL:.0f}")
    with ExitStack() as stack:
        storage, proxy = entered(name, request, monkeypatch, tmp_path, stack)
        for key in KEYS_OF_VERBS:
            storage.put(key, b"x")
        opened = storage.get("get")
        proxy.fault = lambda verb, what: Silence(600)
        verbs: list[Any] = [
            opened.read,
            lambda: storage.exists("stat"),
            lambda: storage.put("put", b"y"),
            lambda: storage.swap("swap", b"y", None),
            lambda: storage.delete("delete"),
            lambda: list(storage.list("")),
        ]

        def seconds(i: int) -> float:
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                verbs[i]()
            return time.monotonic() - began

        assert max(at_once(len(verbs), seconds)) < LONG
        proxy.fault = lambda verb, what: None
        monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", "60")
        assert storage.exists("stat"), "a new connection takes the place of the silent one"


@pytest.mark.parametrize("name", ["postgres", "secantus"])
def test_a_database_that_falls_silent_in_the_middle_of_a_write_is_not_waited_for_twice(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", f"{STALL:.0f}")
    with ExitStack() as stack:
        storage, proxy = entered(name, request, monkeypatch, tmp_path, stack)
        storage.put("put", bytes(600_000))
        waited, silenced = [], []
        for after in (1, 2, 3, 4):
            asked: list[str] = []

            def fault(verb: str, what: str, after: int = after, asked: list[str] = asked) -> Silence | None:
                asked.append(verb)
                return Silence(600) if len(asked) > after else None

            proxy.fault = fault
            began = time.monotonic()
            with suppress(StoreUnavailable):
                storage.put("put", bytes([after]) * 600_000)
            waited.append(time.monotonic() - began)
            silenced.append(asked[after:])
            proxy.fault = lambda verb, what: None
        assert waited[0] > STALL / 2 and max(waited) < LONG
        # The write itself, and a look at what became of it, which begins with a request of its own.
        assert max(map(len, silenced)) <= 3, silenced


def test_a_pooled_connection_that_fell_silent_is_replaced(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        storage, proxy = entered("postgres", request, monkeypatch, tmp_path, stack)
        storage.put("a", b"x")
        began = time.monotonic()
        with proxy.failing(1, Silence(600)):
            assert storage.exists("a")
        assert 4 < time.monotonic() - began < LONG


@pytest.mark.parametrize("name", ["seaweed", "azurite", "google"])
def test_a_server_that_asks_to_wait_is_waited_for(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        opened: Any
        opened, proxy = entered(name, request, monkeypatch, tmp_path, stack)
        storage = ObjectStorage(opened.bucket, retries=0)
        busy = itertools.cycle([Status(503, {"Retry-After": "1"}), Status(429), None])
        proxy.fault = lambda verb, what: next(busy)
        storage.put("a", b"x")
        assert storage.swap("b", b"y", None)
        assert content(storage, "a") == b"x" and sorted(storage.list("")) == ["a", "b"]


def test_a_database_with_too_many_connections_is_waited_for(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        storage, proxy = entered("postgres", request, monkeypatch, tmp_path, stack)
        storage.put("a", b"x")
        for code in ("40001", "53300"):
            with proxy.failing(1, WireError(code), lambda verb, what: "FROM" in what or verb == "COMMIT") as calls:
                storage.put("a", code.encode())
            assert calls.tripped and content(storage, "a") == code.encode()


@pytest.mark.parametrize("fault", [Html(), Status(200), Status(500), Status(404), Lost(), Drop(reset=False)], ids=repr)
def test_a_listing_of_google_that_breaks_at_any_page_is_whole_or_an_error(
    fault: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", "0")
    with ExitStack() as stack:
        opened: Any
        opened, proxy = entered("google", request, monkeypatch, tmp_path, stack)
        storage = ObjectStorage(opened.bucket, retries=0, silence=60)
        keys = [f"a/{i}" for i in range(5)]
        for key in keys:
            storage.put(key, b"x")
        for n in itertools.count(1):
            with proxy.failing(n, fault) as calls, suppress(StorageError):
                assert sorted(storage.list("a")) == keys
            if not calls.tripped:
                break
        assert n > 3
        proxy.fault = lambda verb, what: fault
        for folder in ("a", ""):
            with pytest.raises(StorageError):
                list(ObjectStorage(opened.bucket, retries=0, silence=60).list(folder))
