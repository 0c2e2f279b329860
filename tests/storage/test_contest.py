"""Stores that ignore or refuse the conditions of a write, and credentials that may only read."""

import logging
import os
from pathlib import Path
from typing import Any, Iterator

import obstore
import pytest
import tiny
from servers import BUCKET, Place, Proxy

from dataset_assets import Dataset, load, prepare
from dataset_assets.cli.doctor import Check, examine
from dataset_assets.errors import NoConditions
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.contest import PROBES, keeps_writers_apart
from dataset_assets.testing import Status

DENIED = Status(403, body=b"<Error><Code>AccessDenied</Code></Error>")


@pytest.fixture
def url(seaweed: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket behind a proxy."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    yield f"{seaweed.url}contest_{os.urandom(4).hex()}?endpoint={proxy.url}"


def ignore_conditions(url: str, proxy: Proxy) -> None:
    """Let a proxy store what is put, whatever the conditions."""
    direct: Any = open_storage(url.partition("?")[0])

    def stored(key: str, body: bytes) -> Status:
        return Status(200, {"ETag": obstore.put(direct.clients.current(""), key, body)["e_tag"] or ""})

    def rule(method: str, path: str) -> Any:
        key = path.partition("?")[0].partition(f"/{BUCKET}/")[2]
        return (lambda body: stored(key, body)) if method == "PUT" else None

    proxy.fault = rule


def refuse_conditions(path: str) -> Status | None:
    return (
        Status(501, body=b"<Error><Code>NotImplemented</Code></Error>") if "current" in path or PROBES in path else None
    )


def about_storage(url: str) -> dict[str, Check]:
    return {check.what: check for check in examine(url) if check.what.startswith("storage")}


def test_every_connector_keeps_two_writers_apart_and_leaves_nothing(every: Storage) -> None:
    assert keeps_writers_apart(every)
    assert list(every.list("")) == []


def test_a_store_that_ignores_conditions_is_named_by_doctor_and_before_work_begins(
    url: str, proxy: Proxy, dataset: Dataset, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ignore_conditions(url, proxy)
    swaps = about_storage(url)["storage swaps"]
    assert swaps.state == "warning" and "for a single writer" in swaps.says
    with caplog.at_level(logging.WARNING):
        prepare(dataset, storage=url)
        prepare(dataset, storage=url)
    [said] = [record.message for record in caplog.records if "single writer" in record.message]
    assert f"{url} ignores conditional writes" in said
    assert tiny.plain(load(tiny.NAME, storage=url, verify="all")) == tiny.expected()


def test_a_store_that_refuses_conditions_takes_one_writer_that_says_so(
    url: str, proxy: Proxy, dataset: Dataset, home: Path
) -> None:
    proxy.fault = lambda method, path: refuse_conditions(path) if method == "PUT" else None
    with pytest.raises(NoConditions, match="for a single writer: write .writers=one into the URL"):
        prepare(dataset, storage=url)
    assert list(open_storage(url).list("")) == [], "it is said before work begins"
    proxy.fault = lambda method, path: None
    one = f"{url}&writers=one"
    assert open_storage(one).swap("a", b"x", None) and not open_storage(one).swap("a", b"y", None)
    prepare(dataset, storage=one)
    assert about_storage(one)["storage swaps"].state == "warning"


def test_credentials_that_may_only_read_are_a_warning(url: str, proxy: Proxy, home: Path) -> None:
    open_storage(url).put("a", b"x")
    proxy.fault = lambda method, path: DENIED if method != "GET" and method != "HEAD" else None
    [check] = about_storage(url).values()
    assert (check.state, check.code) == ("warning", 0) and "can be read, not written" in check.says
    proxy.fault = lambda method, path: DENIED
    [check] = about_storage(url).values()
    assert (check.state, check.code) == ("error", 6)
