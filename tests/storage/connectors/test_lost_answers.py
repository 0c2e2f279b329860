"""Every request of every verb whose answer is lost after the server acted: nothing is lost, and nothing is believed."""

import itertools
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from google_interface import entered_google
from servers import ACCOUNT, before_database

from dataset_assets.errors import StorageError
from dataset_assets.storage import Storage, open_storage
from dataset_assets.testing import Lost, Proxy
from dataset_assets.testing.proxy import Counted
from dataset_assets.testing.storage import content, file_of, sha256, some_bytes

OLD, NEW = b"old", b"new " * 1000
SERVERS = ("seaweed", "azurite", "google", "postgres", "secantus")

KEYS_OF_VERBS = ("get", "stat", "delete")

Behind = tuple[Storage, Counted]


@pytest.fixture(params=SERVERS)
def behind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Behind]:
    """An empty storage behind a proxy."""
    with ExitStack() as stack:
        yield entered(request.param, request, monkeypatch, tmp_path, stack)


def entered(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: Path, stack: ExitStack
) -> Behind:
    place: Any = request.getfixturevalue(name)
    unique = f"lost_{os.urandom(4).hex()}"
    proxy: Any
    if name == "google":
        proxy = stack.enter_context(Proxy(place.url))
        return open_storage(f"{entered_google(place, monkeypatch, folder)}?endpoint={proxy.url}"), proxy
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)
    if name in ("seaweed", "azurite"):
        proxy = stack.enter_context(Proxy(place.endpoint))
        return open_storage(f"{place.url}{unique}?endpoint={proxy.url}{f'/{ACCOUNT}' * (name == 'azurite')}"), proxy
    kind = {"postgres": "postgresql", "secantus": "mongodb"}[name]
    proxy, url = stack.enter_context(before_database(place, kind))
    ends = {"postgres": f"?schema={unique}", "secantus": f"lost?bucket={unique}&directConnection=true"}
    return open_storage(url + ends[name]), proxy


def counts(verb: str, what: str) -> bool:
    """Leave out how connections to databases are made and watched."""
    return verb not in ("hello", "ismaster", "saslStart", "saslContinue", "ping", "endSessions")


def tried(act: Callable[[], Any]) -> Any:
    """Return what a call returns, or its error if that is one of ours."""
    try:
        return act()
    except StorageError as error:
        return error


def held(storage: Storage, key: str) -> bytes | None:
    return content(storage, key) if storage.exists(key) else None


VERBS: dict[str, tuple[bytes | None, Callable[[Storage], Any], bytes | None]] = {
    "put": (None, lambda storage: storage.put("a/b", NEW), NEW),
    "put again": (OLD, lambda storage: storage.put("a/b", NEW), NEW),
    "swap, created": (None, lambda storage: storage.swap("a/b", NEW, None), NEW),
    "swap": (OLD, lambda storage: storage.swap("a/b", NEW, sha256(OLD)), NEW),
    "delete": (OLD, lambda storage: storage.delete("a/b"), None),
    "list": (OLD, lambda storage: sorted(storage.list("")), OLD),
}
"""What is there before, a call, and what is there after it."""


def test_whichever_answer_is_lost_an_object_is_as_before_or_as_it_should_be(behind: Behind) -> None:
    storage, proxy = behind
    storage.put("a/c", OLD)
    for name, (before, act, after) in VERBS.items():
        for n in itertools.count(1):
            storage.put("a/b", before) if before else storage.delete("a/b")
            with proxy.failing(n, Lost(), counts) as calls:
                result = tried(lambda: act(storage))  # noqa: B023
            if not calls.tripped:
                break
            now = held(storage, "a/b")
            assert now in (before, after), (name, n)
            if not isinstance(result, StorageError):
                assert now == after and result in (None, True, ["a/b", "a/c"]), (name, n, result)
            assert content(storage, "a/c") == OLD
        assert n > 1, name


@pytest.mark.parametrize("behind", ["seaweed", "azurite", "google"], indirect=True)
def test_a_file_in_parts_whose_last_answer_is_lost_is_whole(behind: Behind, tmp_path: Path) -> None:
    storage, proxy = behind
    data = some_bytes(9_000_000)
    for n in itertools.count(1):
        storage.put("a", OLD)
        with proxy.failing(n, Lost(), counts) as calls:
            result = tried(lambda: storage.put("a", file_of(tmp_path, data)))
        if not calls.tripped:
            break
        assert content(storage, "a") == data if result is None else held(storage, "a") in (OLD, data), n
