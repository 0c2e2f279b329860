"""A file for each partition of the asset that writes them: a backfill takes its own files anew, and releases once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from orchestrated import QUIET, failures, lines, made

from dataset_assets import Array, Dataset, ForEach, RemoteFile, Split, load, prepare
from dataset_assets.errors import RetrievalError
from dataset_assets.orchestration import definitions
from dataset_assets.testing import FaultyServer

NAME, KEY = "org.example.orders", "org/example/orders"
DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_date="2026-03-31")
MANY = 60


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """The server to which `orders` writes a file for each day."""
    with FaultyServer() as server:
        yield server


def dataset(url: str) -> Dataset:
    table = RemoteFile(f"{url}/orders/{{partition}}.csv", after=("dbt", "orders"))
    return Dataset(NAME, "Orders.", {"n": Array("int64")}, {"all": Split(lines, table=ForEach(table))})


def written(server: FaultyServer, instance: dg.DagsterInstance, days: list[str], text: bytes) -> None:
    """Write files, and record them as a backfill does."""
    for day in days:
        server.files[f"/orders/{day}.csv"] = text
        tags = {"dagster/data_version": f"{day} {text!r}"}
        event = dg.AssetMaterialization(["dbt", "orders"], partition=day, tags=tags)
        instance.report_runless_asset_event(event)


def ran(server: FaultyServer, instance: dg.DagsterInstance, **more: Any) -> dg.ExecuteInProcessResult:
    ours = definitions(datasets=[dataset(server.url)])
    given = {"run_config": QUIET, "raise_on_error": False, "resources": ours.resources} | more
    server.forget()
    return dg.materialize([*ours.assets], instance=instance, **given)  # type: ignore[misc, arg-type]


def test_a_backfill_of_three_of_many_days_takes_three_files_and_releases_once(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    days = DAYS.get_partition_keys()[:MANY]
    written(server, instance, days, b"1\n")
    first = ran(server, instance)
    assert first.success and len(load(NAME)["all"]) == MANY == len(server.requests)
    assert made(first)[f"{KEY}/raw"].metadata["partitions"].value == MANY
    before = load(NAME)["all"].version
    assert ran(server, instance).success and not server.requests and load(NAME)["all"].version == before
    chosen = [days[3], days[20], days[59]]
    written(server, instance, chosen, b"2\n3\n")
    again = ran(server, instance)
    assert again.success and sorted(request.path for request in server.requests) == [f"/orders/{d}.csv" for d in chosen]
    assert [*made(again)] == [f"{KEY}/raw", f"{KEY}/all", KEY] and len(load(NAME)["all"]) == MANY + 3


def test_a_day_that_is_added_or_fails_is_named(home: Path, server: FaultyServer, instance: dg.DagsterInstance) -> None:
    nothing = ran(server, instance)
    assert "No partition of the asset dbt/orders was materialized" in str(failures(nothing))
    written(server, instance, ["2026-01-01"], b"1\n")
    assert ran(server, instance).success
    written(server, instance, ["2026-01-02", "2026-01-03"], b"2\n")
    del server.files["/orders/2026-01-03.csv"]
    failed = ran(server, instance)
    assert "2026-01-03.csv" in str(failures(failed)) and "404" in str(failures(failed)) and len(load(NAME)["all"]) == 1
    written(server, instance, ["2026-01-03"], b"3\n")
    assert ran(server, instance).success and load(NAME)["all"].only("n").to_numpy()["n"].tolist() == [1, 2, 3]


def test_a_split_alone_uses_the_files_of_the_last_run(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    written(server, instance, ["2026-01-01", "2026-01-02"], b"1\n")
    assert ran(server, instance).success
    alone = ran(server, instance, selection=[dg.AssetKey(KEY.split("/")), dg.AssetKey([*KEY.split("/"), "all"])])
    assert alone.success and len(load(NAME)["all"]) == 2 and not server.requests


def test_a_history_that_knows_no_partition_asks_a_source_that_can_be_listed(
    home: Path, fast_path: Path, instance: dg.DagsterInstance
) -> None:
    (fast_path / "orders").mkdir()
    ours = definitions(datasets=[dataset(fast_path.as_uri())])
    for day, expected in (("2026-01-01", [1]), ("2026-01-02", [1, 2])):
        (fast_path / "orders" / f"{day}.csv").write_text(day[-1])
        given: Any = {"resources": ours.resources, "run_config": QUIET, "instance": instance}
        assert dg.materialize([*ours.assets], **given).success  # type: ignore[misc]
        assert load(NAME)["all"].only("n").to_numpy()["n"].tolist() == expected


def test_our_assets_stay_without_partitions_after_an_asset_that_has_them(server: FaultyServer) -> None:
    @dg.asset(key=["dbt", "orders"], partitions_def=DAYS)
    def orders() -> None: ...

    ours = dg.Definitions.merge(definitions(datasets=[dataset(server.url)]), dg.Definitions(assets=[orders]))
    dg.Definitions.validate_loadable(ours)
    graph = dg.Definitions.merge(
        definitions(datasets=[dataset(server.url)]), dg.Definitions(assets=[orders])
    ).resolve_asset_graph()
    raw = graph.get(dg.AssetKey([*KEY.split("/"), "raw"]))
    assert raw.parent_keys == {dg.AssetKey(["dbt", "orders"])} and raw.partitions_def is None
    assert "one for each partition of dbt/orders" in str(raw.description)


def test_without_dagster_a_source_that_can_be_listed_is_asked_and_any_other_names_what_is_missing(
    home: Path, fast_path: Path, server: FaultyServer
) -> None:
    folder = fast_path / "lake" / "orders"
    folder.mkdir(parents=True)
    lake = dataset((fast_path / "lake").as_uri())
    with pytest.raises(RetrievalError, match="for each partition of the asset dbt/orders, and there is none"):
        prepare(lake)
    for day in ("2026-01-02", "2026-01-01"):
        (folder / f"{day}.csv").write_text(day[-1])
    assert prepare(lake)["all"].only("n").to_numpy()["n"].tolist() == [1, 2]
    (folder / "2026-01-03.csv").write_text("3")
    assert len(prepare(lake)["all"]) == 3
    said = "Only Dagster knows the partitions, because a source of http: cannot be listed.*asset dbt/orders"
    with pytest.raises(RetrievalError, match=said):
        prepare(dataset(server.url))
