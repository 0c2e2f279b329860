"""Is there anything new? Observing the sources of a dataset asks for headers, and makes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.observe import observe
from orchestrated import QUIET, files_in, two_files

from dataset_assets import load
from dataset_assets.orchestration import definitions
from dataset_assets.orchestration.keys import source_key
from dataset_assets.testing import FaultyServer

NAME = "org.example.two"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/a.csv": b"1\n", "/b.csv": b"3\n"}) as server:
        yield server


def defined(server: FaultyServer, how: Any) -> dg.Definitions:
    return definitions(datasets=[two_files(server.url)], observe_sources=True, raw_assets=how)


def seen(server: FaultyServer, how: Any, instance: dg.DagsterInstance) -> str:
    [source] = [asset for asset in defined(server, how).assets or () if not isinstance(asset, dg.AssetsDefinition)]
    result = observe([source], instance=instance, run_config=QUIET)  # type: ignore[list-item]
    [event] = result.asset_observations_for_node(source_key(NAME).to_python_identifier())
    return str(event.tags["dagster/data_version"])


def ran(server: FaultyServer, how: Any, instance: dg.DagsterInstance) -> list[str]:
    ours = defined(server, how)
    server.forget()
    made = [asset for asset in ours.assets or () if isinstance(asset, dg.AssetsDefinition)]
    assert dg.materialize(made, instance=instance, resources=ours.resources, run_config=QUIET).success
    return sorted(request.path for request in server.requests)


@pytest.mark.parametrize("how", ["each", "one"])
def test_a_change_there_is_seen_and_asked_for_by_the_next_run(
    how: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dg.Definitions.validate_loadable(defined(server, how))
    first = seen(server, how, instance)
    assert not (home / "storage").exists() and {request.method for request in server.requests} == {"HEAD"}
    assert seen(server, how, instance) == first
    ran(server, how, instance)
    stored = files_in(home / "storage")
    server.files["/a.csv"] = b"1\n2\n"
    assert ran(server, how, instance) == [] and seen(server, how, instance) != first
    assert files_in(home / "storage") == stored
    assert ran(server, how, instance) == ["/a.csv", "/b.csv"] and len(load(NAME)["a"]) == 2
    assert ran(server, how, instance) == []


def test_the_raw_files_come_after_it(server: FaultyServer) -> None:
    graph = defined(server, "each").resolve_asset_graph()
    assert graph.get(dg.AssetKey(["org", "example", "two", "raw", "a_csv"])).parent_keys == {source_key(NAME)}
    assert (
        source_key(NAME) not in definitions(datasets=[two_files(server.url)]).resolve_asset_graph().get_all_asset_keys()
    )


def test_a_source_that_is_gone_fails_the_observation(server: FaultyServer, instance: dg.DagsterInstance) -> None:
    del server.files["/b.csv"]
    with pytest.raises(Exception, match="404"):
        seen(server, "each", instance)
