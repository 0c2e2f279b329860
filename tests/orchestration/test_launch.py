"""Whoever may launch a run does not choose where it stores: the storage is that of the definitions."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import tiny
from orchestrated import QUIET, assets_in, run

from dataset_assets import Dataset, load
from dataset_assets.errors import UsageError
from dataset_assets.orchestration import StorageIOManager, definitions

VARIABLE = "STORAGE_OF_THE_TESTS"


@pytest.fixture
def chosen(fast_path: Path) -> Path:
    """The folder that somebody else would have a run write to."""
    return fast_path / "chosen"


def configs(chosen: Path) -> list[Any]:
    url = chosen.as_uri()
    return [{"storage": url}, {"storage": {"env": VARIABLE}}, {"_storage": url}, {"uri": url}, url, [url]]


@pytest.mark.parametrize("where", ["url", "variable", "settings"])
def test_a_run_that_is_launched_with_another_storage_is_refused(
    where: str, home: Path, chosen: Path, dataset: Dataset, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, chosen.as_uri())
    monkeypatch.setenv("OURS", (fast_path / "ours").as_uri())
    storage = {"url": (fast_path / "ours").as_uri(), "variable": dg.EnvVar("OURS"), "settings": ""}[where]
    defined = definitions(datasets=[dataset], storage=storage)
    job = dg.define_asset_job("all_of_it")
    [io] = defined.resources or {}
    whole = dg.Definitions.merge(defined, dg.Definitions(jobs=[job])).resolve_job_def("all_of_it")
    for config in configs(chosen):
        launched = {"resources": {io: {"config": config}}}
        with pytest.raises(dg.DagsterInvalidConfigError):
            dg.materialize(assets_in(defined), resources=defined.resources, run_config=launched)
        # What the web UI asks before it launches a run.
        assert dg.validate_run_config(whole, QUIET) is not None
        with pytest.raises(dg.DagsterInvalidConfigError):
            dg.validate_run_config(whole, launched)
    assert not chosen.exists() and not (fast_path / "ours").exists() and not (home / "storage").exists()


def test_a_storage_may_be_named_by_a_variable_which_is_read_by_the_run(
    home: Path, dataset: Dataset, fast_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    connector = StorageIOManager(storage=dg.EnvVar(VARIABLE))
    assert repr(connector) == f"StorageIOManager(storage=EnvVar('{VARIABLE}'))"
    with pytest.raises(UsageError, match=f"{VARIABLE}, which names the storage, is not set"):
        connector.opened()
    assert not run(dataset, instance, storage=dg.EnvVar(VARIABLE)).success
    monkeypatch.setenv(VARIABLE, (fast_path / "named").as_uri())
    assert run(dataset, instance, storage=dg.EnvVar(VARIABLE)).success
    assert tiny.plain(load(tiny.NAME, storage=fast_path / "named")) == tiny.expected()
    assert not (home / "storage").exists()


def test_a_password_in_the_url_is_not_shown() -> None:
    shown = repr(StorageIOManager("postgresql://ada:secret@db.example.org/data"))
    assert "secret" not in shown and "db.example.org" in shown
