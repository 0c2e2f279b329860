"""Files that another asset of the project writes: it is upstream, and its change asks the source again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from orchestrated import QUIET, lines

from dataset_assets import Array, Dataset, RemoteFile, Split, load, prepare
from dataset_assets.errors import DefinitionError
from dataset_assets.orchestration import definitions
from dataset_assets.sources.written import source_of
from dataset_assets.testing import FaultyServer

NAME = "org.example.orders"
ORDERS = dg.AssetKey(["dbt", "orders"])


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/orders.csv": b"1\n", "/other.csv": b"7\n"}) as server:
        yield server


def dataset(server: FaultyServer) -> Dataset:
    splits = {
        "all": Split(lines, table=RemoteFile(f"{server.url}/orders.csv", after=("dbt", "orders"))),
        "other": Split(lines, table=RemoteFile(f"{server.url}/other.csv")),
    }
    return Dataset(NAME, "Orders.", {"n": Array("int64")}, splits)


def ran(server: FaultyServer, instance: dg.DagsterInstance, how: Any, *more: Any) -> bool:
    ours = definitions(datasets=[dataset(server)], raw_assets=how)
    server.forget()
    return dg.materialize(
        [*ours.assets, *more],  # type: ignore[misc]
        instance=instance,
        resources=ours.resources,
        run_config=QUIET,
        raise_on_error=False,
    ).success


def asked(server: FaultyServer) -> list[str]:
    return [request.path for request in server.requests]


def moved(instance: dg.DagsterInstance, version: str) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(ORDERS, tags={"dagster/data_version": version}))


@pytest.mark.parametrize("how", ["each", "one"])
def test_its_source_is_asked_again_when_the_asset_has_changed(
    how: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    moved(instance, "1")
    assert ran(server, instance, how)
    server.files["/orders.csv"] = b"1\n2\n"
    assert ran(server, instance, how) and not asked(server) and len(load(NAME)["all"]) == 1
    moved(instance, "1")
    assert ran(server, instance, how) and not asked(server)
    moved(instance, "2")
    assert ran(server, instance, how) and asked(server) == ["/orders.csv"] and len(load(NAME)["all"]) == 2
    assert ran(server, instance, how) and not asked(server)
    instance.report_runless_asset_event(dg.AssetObservation(ORDERS, tags={"dagster/data_version": "3"}))
    assert ran(server, instance, how) and asked(server) == ["/orders.csv"]


@pytest.mark.parametrize("how", ["each", "one"])
def test_a_source_that_failed_is_asked_again(
    how: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    moved(instance, "1")
    assert ran(server, instance, how)
    whole = server.files.pop("/orders.csv")
    moved(instance, "2")
    assert not ran(server, instance, how)
    server.files["/orders.csv"] = whole + b"5\n"
    assert ran(server, instance, how) and len(load(NAME)["all"]) == 2


@pytest.mark.parametrize("how", ["each", "one"])
def test_the_asset_runs_first_in_a_run_of_both(
    how: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    @dg.asset(key=ORDERS)
    def orders() -> dg.MaterializeResult[Any]:
        count = int(server.files["/orders.csv"].splitlines()[-1]) + 1
        server.files["/orders.csv"] += b"%d\n" % count
        return dg.MaterializeResult(data_version=dg.DataVersion(str(count)))

    for samples in (2, 3):
        assert ran(server, instance, how, orders) and len(load(NAME)["all"]) == samples


def test_without_dagster_its_source_is_asked_each_time(
    home: Path, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(dataset(server))
    server.files["/orders.csv"] = b"1\n2\n"
    server.forget()
    assert len(prepare(dataset(server))["all"]) == 2 and asked(server) == ["/orders.csv"]
    monkeypatch.setenv("DATASET_ASSETS_OFFLINE", "1")
    assert len(prepare(dataset(server))["all"]) == 2 and asked(server) == ["/orders.csv"]


def test_a_definition_names_it_by_the_parts_of_its_key() -> None:
    url = "https://example.org/orders.csv"
    assert RemoteFile(url, after="dbt/orders") == RemoteFile(url, after=("dbt", "orders"))  # type: ignore[arg-type]
    for wrong in ("", "dbt//orders", (1,), ("",), None):
        if wrong != "":
            with pytest.raises(DefinitionError, match="is not the key of an asset"):
                RemoteFile(url, after=wrong)  # type: ignore[arg-type]
    made = Dataset(NAME, "Orders.", {"n": Array()}, {"all": Split(lines, table=RemoteFile(url, after=("dbt", "o")))})
    assert 'after=("dbt", "o")' in source_of(made)
