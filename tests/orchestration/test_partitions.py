"""A file for each partition of the asset that writes them: a backfill takes its own files anew, and releases once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from orchestrated import QUIET, assets_in, failures, lines, made

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


def in_lake(folder: Path, instance: dg.DagsterInstance, days: dict[str, str]) -> None:
    """Write a file for each day, and record it as materialized."""
    folder.mkdir(parents=True, exist_ok=True)
    for day, text in days.items():
        (folder / f"{day}.csv").write_text(text)
        tags = {"dagster/data_version": text}
        instance.report_runless_asset_event(dg.AssetMaterialization(["dbt", "orders"], partition=day, tags=tags))


def stored() -> list[int]:
    return [int(number) for number in load(NAME)["all"].to_numpy()["n"]]


def test_a_partition_whose_file_was_removed_leaves_the_next_release_with_and_without_dagster(
    home: Path, fast_path: Path, instance: dg.DagsterInstance
) -> None:
    lake = fast_path / "orders"
    given: Any = {"instance": instance, "run_config": QUIET, "raise_on_error": False}
    ours = definitions(datasets=[dataset(fast_path.as_uri())])

    def released() -> list[int]:
        assert dg.materialize([*ours.assets], resources=ours.resources, **given).success  # type: ignore[misc]
        return stored()

    in_lake(lake, instance, {"2026-01-01": "1", "2026-01-02": "2", "2026-01-03": "3"})
    assert released() == [1, 2, 3]
    (lake / "2026-01-02.csv").unlink()
    # Each run knows that it is gone, not only the first one.
    assert released() == [1, 3] == released()
    assert prepare(dataset(fast_path.as_uri()))["all"].version == load(NAME)["all"].version
    in_lake(lake, instance, {"2026-01-02": "5"})
    assert released() == [1, 5, 3] and len(prepare(dataset(fast_path.as_uri()))["all"]) == 3
    # A day that was written again, and whose file is not there, is no removal.
    in_lake(lake, instance, {"2026-01-03": "7"})
    (lake / "2026-01-03.csv").unlink()
    result = dg.materialize([*ours.assets], resources=ours.resources, **given)  # type: ignore[misc]
    assert "2026-01-03.csv" in str(failures(result)) and stored() == [1, 5, 3]


def test_where_a_source_cannot_be_listed_a_partition_leaves_when_its_asset_has_it_no_more(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    days = dg.DynamicPartitionsDefinition(name="days")

    @dg.asset(key=["dbt", "orders"], partitions_def=days)
    def orders() -> None: ...

    ours = definitions(datasets=[dataset(server.url)])
    selected = [key for asset in assets_in(ours) for key in asset.keys]

    def released() -> int:
        given: Any = {"resources": ours.resources, "instance": instance, "run_config": QUIET}
        assert dg.materialize([orders, *assets_in(ours)], selection=selected, **given).success
        return len(load(NAME)["all"])

    instance.add_dynamic_partitions("days", ["a", "b"])
    written(server, instance, ["a", "b"], b"1\n")
    assert released() == 2
    # The history still has its materialization.
    instance.delete_dynamic_partition("days", "b")
    assert released() == 1


def test_a_source_from_which_all_were_removed_releases_nothing_and_says_so(
    home: Path, fast_path: Path, instance: dg.DagsterInstance
) -> None:
    in_lake(fast_path / "orders", instance, {"2026-01-01": "1"})
    ours = definitions(datasets=[dataset(fast_path.as_uri())])
    given: Any = {"resources": ours.resources, "instance": instance, "run_config": QUIET, "raise_on_error": False}
    assert dg.materialize([*ours.assets], **given).success  # type: ignore[misc]
    (fast_path / "orders" / "2026-01-01.csv").unlink()
    result = dg.materialize([*ours.assets], **given)  # type: ignore[misc]
    assert "for each partition of the asset dbt/orders, and there is none" in str(failures(result)) and stored() == [1]
