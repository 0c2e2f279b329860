"""Dagster's own daemon, code server and runs, each in its process: what `eager()` asks for after a backfill."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from orchestrated import key
from places import ROOT, SUPPORT

from dataset_assets import load

NAME, RELEASE = "org.example.orders", key("org/example/orders")
DAYS = [f"2026-01-0{day}" for day in range(1, 6)]
AGAIN = DAYS[1:4]
SENSOR = "dagster/sensor_name"

PROJECT = f"""
import os
from pathlib import Path
import dagster as dg
from orchestrated import lines
from dataset_assets import Array, Dataset, ForEach, RemoteFile, Split
from dataset_assets.orchestration import definitions

lake = Path(os.environ["LAKE"])

@dg.asset(key=["dbt", "orders"], partitions_def=dg.StaticPartitionsDefinition({DAYS}))
def orders(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    text = (lake / "text").read_text()
    (lake / f"{{context.partition_key}}.csv").write_text(text)
    return dg.MaterializeResult(data_version=dg.DataVersion(text))

def eager(spec):
    return spec.replace_attributes(automation_condition=dg.AutomationCondition.eager())

table = RemoteFile(f"{{lake.as_uri()}}/{{{{partition}}}}.csv", after=("dbt", "orders"))
dataset = Dataset("{NAME}", "Orders.", {{"n": Array("int64")}}, {{"all": Split(lines, table=ForEach(table))}})
sensor = dg.AutomationConditionSensorDefinition(
    "automation", target=dg.AssetSelection.all(), default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=1,
)
defs = dg.Definitions.merge(
    dg.Definitions(assets=[orders], sensors=[sensor], executor=dg.in_process_executor),
    definitions(datasets=[dataset], translation=eager),
)
"""


@contextmanager
def daemon(folder: Path, instance: dg.DagsterInstance) -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Start Dagster's daemon; yield what waits until something is so, while the daemon lives."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "-f", str(folder / "ordered.py")]
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)

        def wait(until: Callable[[], Any]) -> None:
            end = time.monotonic() + 400
            while not until():
                said = (folder / "daemon.log").read_text()[-4000:]
                assert process.poll() is None and time.monotonic() < end, said
                time.sleep(0.2)

        try:
            yield wait
        finally:
            process.terminate()
            process.wait()


def ticks(instance: dg.DagsterInstance) -> int:
    """Return how often the sensor has looked."""
    found = instance.all_instigator_state()
    return sum(len(instance.get_ticks(each.instigator_origin_id, each.selector_id)) for each in found)


@pytest.mark.processes
def test_a_backfill_of_three_days_releases_once(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fast_path / "ordered.py").write_text(PROJECT)
    (fast_path / "dagster").mkdir()
    (fast_path / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    lake = fast_path / "lake"
    lake.mkdir()
    (lake / "text").write_text("1\n")
    environment = {"LAKE": str(lake), "DAGSTER_HOME": str(fast_path / "dagster"), "DATASET_ASSETS_JOBS": "1"}
    for name, value in {**environment, "PYTHONPATH": os.pathsep.join([str(SUPPORT), str(ROOT)])}.items():
        monkeypatch.setenv(name, value)
    made: dict[str, Any] = {"__file__": str(fast_path / "ordered.py"), "__name__": "ordered"}
    exec(compile(PROJECT, "ordered.py", "exec"), made)
    defs = made["defs"]
    with dg.DagsterInstance.get() as instance:

        def asked() -> list[dg.DagsterRun]:
            """The runs of the release that the daemon has asked for."""
            return [
                run for run in instance.get_runs() if RELEASE in (run.asset_selection or ()) and run.tags.get(SENSOR)
            ]

        given: Any = {"instance": instance, "resources": defs.resources}
        for day in DAYS:
            assert dg.materialize([made["orders"]], partition_key=day, **given).success
        ours = [asset for asset in defs.assets if asset is not made["orders"]]
        assert dg.materialize(ours, **given).success and len(load(NAME)["all"]) == len(DAYS)
        with daemon(fast_path, instance) as wait:
            wait(lambda: ticks(instance) > 2)
            assert not asked()
            (lake / "text").write_text("2\n3\n")
            backfill = of_days(AGAIN, defs)
            instance.add_backfill(backfill)
            wait(lambda: asked() and asked()[0].is_finished)
            looked = ticks(instance)
            wait(lambda: ticks(instance) > looked + 2)
        [run] = asked()
        assert run.is_success and len(load(NAME)["all"]) == len(DAYS) + len(AGAIN)


def of_days(days: list[str], defs: dg.Definitions) -> Any:
    from dagster._core.execution.backfill import PartitionBackfill

    return PartitionBackfill.from_asset_partitions(
        "backfill",
        asset_graph=defs.resolve_asset_graph(),
        backfill_timestamp=time.time(),
        tags={},
        asset_selection=[dg.AssetKey(["dbt", "orders"])],
        partition_names=days,
        dynamic_partitions_store=None,  # type: ignore[arg-type]
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
