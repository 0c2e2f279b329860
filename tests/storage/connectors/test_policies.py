"""The policies that are offered for buckets grant what readers, publishers and collectors ask for, and no more."""

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import tiny
from lending import Place
from places import ROOT
from policies import DENIED, Policy
from released import everything
from servers import BUCKET

from dataset_assets import Array, Columns, Dataset, Split, load, prepare
from dataset_assets.errors import StoreDenied
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.usage import usage
from dataset_assets.moving.verify import verify
from dataset_assets.storage import Storage, open_storage
from dataset_assets.testing import Proxy

NOW = {"grace_seconds": 0}
LARGE = 18 << 20


def zeros(bytes: int, first: int) -> Any:
    yield Columns(x=np.full((bytes >> 13, 1 << 10), first, "int64"))


def large(first: int) -> Dataset:
    """Return a dataset whose only file is uploaded in parts."""
    return Dataset(
        "org.example.large", "Equal numbers.", {"x": Array()}, {"all": Split(zeros, bytes=LARGE, first=first)}
    )


class Guarded:
    """A storage behind a proxy that obeys one of the offered policies."""

    def __init__(self, proxy: Proxy, url: str) -> None:
        self.proxy, self.url = proxy, url

    def by(self, role: str) -> tuple[Storage, Policy]:
        prefix = self.url.removeprefix(f"s3://{BUCKET}/")
        policy = Policy(ROOT / "examples/on_servers/policies" / f"{role}.json", BUCKET, prefix)
        self.proxy.fault = policy
        return open_storage(f"{self.url}?endpoint={self.proxy.url}"), policy


@pytest.fixture
def guarded(seaweed: Place, proxy: Proxy, home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    for variable, value in seaweed.environment.items():
        monkeypatch.setenv(variable, value)
    return Guarded(proxy, f"{seaweed.url}{fast_path.name}")


def test_a_publisher_makes_and_releases(guarded: Guarded, dataset: Dataset) -> None:
    storage, policy = guarded.by("publisher")
    prepare(dataset, storage=storage)
    prepare(large(1), storage=storage)
    guarded.proxy.fault = lambda verb, what: DENIED if "partNumber=2" in what else policy(verb, what)
    with pytest.raises(StoreDenied):
        prepare(large(2), storage=storage)
    assert not policy.denied and policy.used == policy.granted


def test_a_reader_reads(guarded: Guarded, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, fast_path: Path) -> None:
    prepare(dataset, storage=guarded.by("publisher")[0])
    monkeypatch.setenv("DATASET_ASSETS_HOME", str(fast_path / "another"))
    storage, policy = guarded.by("reader")
    assert tiny.plain(load(tiny.NAME, storage=storage, verify="all")) == tiny.expected()
    assert not verify(tiny.NAME, storage).damaged
    usage(storage, keep_versions=3, grace_seconds=0)
    copy(tiny.NAME, storage, fast_path / "mine")
    assert not policy.denied and policy.used == policy.granted


def test_a_collector_collects(guarded: Guarded, fast_path: Path) -> None:
    writer, _ = guarded.by("publisher")
    for first in (1, 2):
        prepare(large(first), storage=writer)
    storage, policy = guarded.by("collector")
    [collected] = collect(storage, keep_versions=1, **NOW)
    assert collected.removed and not collected.problem
    assert not policy.denied and policy.used == policy.granted


@pytest.mark.parametrize(
    "role, act",
    [
        ("reader", lambda storage: prepare(large(3), storage=storage)),
        ("reader", lambda storage: collect(storage, keep_versions=1, **NOW)),
        ("publisher", lambda storage: collect(storage, keep_versions=1, **NOW)),
        ("collector", lambda storage: prepare(large(3), storage=storage)),
    ],
    ids=[
        "a reader cannot publish",
        "a reader cannot collect",
        "a publisher cannot collect",
        "a collector cannot publish",
    ],
)
def test_who_may_not_is_refused_and_nothing_changes(role: str, act: Callable[[Storage], Any], guarded: Guarded) -> None:
    writer, _ = guarded.by("publisher")
    for first in (1, 2):
        prepare(large(first), storage=writer)
    before = everything(writer)
    storage, policy = guarded.by(role)
    with pytest.raises(StoreDenied):
        raise next(iter(_problems(act(storage))))
    assert policy.denied
    guarded.by("publisher")
    assert {key: value for key, value in everything(writer).items() if "collector" not in key} == before


def _problems(collected: Any) -> Any:
    """Yield why nothing was collected."""
    for one in collected:
        assert one.problem and not one.removed
        yield StoreDenied(one.problem)
