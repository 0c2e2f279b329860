"""Steps on several machines: each process has a home of its own; they share a bucket and a database."""

import os
import shutil
from pathlib import Path
from typing import Iterator

import dagster as dg
import distant
import pytest
import tiny
from lending import Place
from places import ROOT
from servers import SECRET

from dataset_assets import load, prepare
from dataset_assets.testing.server import FaultyServer

pytestmark = pytest.mark.processes


@pytest.fixture
def source() -> Iterator[FaultyServer]:
    with FaultyServer({"/numbers.csv": tiny.NUMBERS}) as server:
        yield server


@pytest.fixture
def machines(
    seaweed: Place, postgres: Place, source: FaultyServer, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The history that all machines share, and their environment."""
    (fast_path / "dagster").mkdir()
    shutil.copy(ROOT / "examples/on_servers/dagster.yaml", fast_path / "dagster")
    shared = {
        **seaweed.environment,
        "STORAGE_OF_ALL": f"{seaweed.url}{fast_path.name}",
        "SOURCE": f"{source.url}/",
        "HOMES": str(fast_path / "homes"),
        "DAGSTER_HOME": str(fast_path / "dagster"),
        "DAGSTER_POSTGRES_URL": postgres.url,
        "PGPASSWORD": SECRET,
        "NO_PROXY": "127.0.0.1",
        "DATASET_ASSETS_HOME": str(fast_path / "homes" / "nobody"),
    }
    for name, value in shared.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        yield instance


def test_steps_in_homes_of_their_own_make_what_one_process_makes(
    machines: dg.DagsterInstance, source: FaultyServer, fast_path: Path
) -> None:
    with dg.execute_job(dg.reconstructable(distant.job), machines) as result:
        assert result.success
        [texts] = [
            event.step_materialization_data.materialization.metadata["texts"].value
            for event in result.get_asset_materialization_events()
            if event.asset_key == dg.AssetKey("seen")
        ]
    assert texts == [sample["text"] for sample in tiny.expected()["train"]]
    homes = [*(fast_path / "homes").iterdir()]
    assert len(homes) >= 5 and len(source.requests) == 1
    assert not [path for home in homes for path in (home / "scratch").glob("*")]
    assert not [home for home in homes if (home / "storage").exists()] and not [*fast_path.rglob("*.db")]
    alone = prepare(tiny.tiny(f"{source.url}/"), storage=fast_path / "alone")
    assert load(tiny.NAME, storage=os.environ["STORAGE_OF_ALL"])["train"].version == alone["train"].version
