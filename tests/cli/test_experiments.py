"""The verbs of experiments and stored values, as a user calls them."""

import json
from pathlib import Path

import numpy as np
import pandas
import pyarrow.feather
import pyarrow.parquet
import pytest
from command_line import CommandLine

from dataset_assets import load
from dataset_assets.errors import DecodeError
from dataset_assets.experiments import (
    DataStore,
    DataStoreIO,
    create_experiment,
    datastore,
    load_experiment,
    who_used,
)
from dataset_assets.storage import open_storage
from dataset_assets.storage.stored_experiment import StoredExperiment

PENGUINS = "io.github.allisonhorst.penguins"


@pytest.fixture
def line(fast_path: Path) -> CommandLine:
    """A home with an experiment of two runs, of which one failed."""
    found = CommandLine(fast_path)
    with datastore(found.home / "storage"):
        experiment = create_experiment("digits")
        with experiment.run(lr=0.1, note="a\x1b[31m") as run:
            run.fields.large = np.zeros(100_000)
            run.fields.ds = DataStore(a=1)
        with pytest.raises(ValueError), experiment.run(lr=0.2):
            raise ValueError("too large")
        experiment.persist()
        DataStoreIO.write(b"raw \0 bytes", "models/a")
    return found


def test_experiments_are_listed_shown_and_compared(line: CommandLine) -> None:
    assert line.run("experiments", "ls").stdout == f"{'digits':<34} 2 runs, 1 failed\n"
    (row,) = line.json("experiments", "ls")
    assert (row["name"], row["runs"], row["failed"]) == ("digits", 2, 1)
    shown = line.run("experiments", "show", "digits").stdout
    assert "failed: builtins.ValueError: too large" in shown and r"\x1b[31m" in shown
    document = line.json("experiments", "show", row["id"])
    assert document["runs"][0]["fields"] == {
        "lr": 0.1, "note": "a\x1b[31m", "large": "...", "ds": "DataStore(a=...)",
    }  # fmt: skip
    rows = line.json("experiments", "df", "digits")
    assert [one["lr"] for one in rows] == [0.1, 0.2] and rows[1]["run_error"] == "builtins.ValueError: too large"
    assert line.run("experiments", "df", "digits").stdout.splitlines()[0].split()[:2] == ["id_run", "run_started"]


def test_runs_are_exported_in_each_format(line: CommandLine, fast_path: Path) -> None:
    readers = {
        "csv": pandas.read_csv,
        "json": lambda path: pandas.DataFrame(json.loads(path.read_text())),
        "parquet": lambda path: pyarrow.parquet.read_table(path).to_pandas(),
        "arrow": lambda path: pyarrow.feather.read_table(path).to_pandas(),
    }
    for suffix, read in readers.items():
        path = fast_path / f"runs.{suffix}"
        assert line.run("experiments", "export", "digits", "--into", str(path)).stdout == f"{path}\n"
        assert read(path)["lr"].tolist() == [0.1, 0.2]
    for path, said in ((fast_path / "runs.csv", "is there already"), (fast_path / "runs.xls", "Use .csv")):
        assert said in line.run("experiments", "export", "digits", "--into", str(path), code=2).stderr


def test_runs_that_a_format_cannot_hold_are_refused_by_name(line: CommandLine, fast_path: Path) -> None:
    experiment = create_experiment("empty", storage=line.home / "storage")
    with experiment.run(config={}):
        pass
    experiment.persist()
    path = fast_path / "runs.parquet"
    refused = line.run("experiments", "export", "empty", "--into", str(path), code=2).stderr
    assert "cannot be written as .parquet" in refused and "Use .json or .csv" in refused and not path.exists()


def test_an_experiment_that_cannot_be_read_does_not_hide_the_others(line: CommandLine) -> None:
    line.run("prepare", PENGUINS, "--direct")
    storage = open_storage(line.home / "storage")
    for name in ("broken", "gone", "penguins"):
        experiment = create_experiment(name, storage=storage)
        with experiment.run() as run:
            run.uses(load(PENGUINS, "all", storage=storage))
        experiment.persist()
    stored = StoredExperiment(storage, "gone")
    stored._swap(stored.pointer(), experiment="gone", id="0", generation="0" * 32, deleting=True)
    storage.put("experiments/broken/current.json", b"{}")
    assert [(row["name"], row.get("runs")) for row in line.json("experiments", "ls")] == [
        ("broken", None), ("digits", 2), ("penguins", 1),
    ]  # fmt: skip
    shown = line.run("experiments", "ls").stdout.splitlines()
    assert "current.json" in shown[0] and "experiments rm broken" in shown[0] and "2 runs, 1 failed" in shown[1]
    used = line.run("who-used", PENGUINS, code=DecodeError.exit_code)
    assert used.stdout.split()[:2] == ["penguins", run.id_run] and "experiments rm broken" in used.stderr
    with pytest.raises(DecodeError, match="experiments rm broken"):
        who_used(PENGUINS, storage=storage)
    assert load_experiment(experiment.id_experiment, storage=storage).name == "penguins"


def test_an_experiment_is_removed_and_nothing_else(line: CommandLine) -> None:
    line.run("experiments", "rm", "digits")
    assert "No experiment is stored" in line.run("experiments", "ls").stderr
    for command in (("show", "digits"), ("df", "digits"), ("rm", "digits")):
        assert "experiments ls" in line.run("experiments", *command, code=3).stderr
    assert "raw" in line.run("store", "get", line.json("store", "ls")[0]["url"]).stdout


def test_values_are_listed_and_written(line: CommandLine, fast_path: Path) -> None:
    (row,) = line.json("store", "ls", "models")
    assert row["bytes"] == 11 and row["url"].startswith("store:values/models/a/")
    assert row["url"] in line.run("store", "ls").stdout
    assert "No value is stored below models/b" in line.run("store", "ls", "models/b").stderr
    assert line.run("store", "get", row["url"], "--into", f"{fast_path}/v").stdout == f"{fast_path}/v\n"
    assert (fast_path / "v").read_bytes() == b"raw \0 bytes"
    assert "is there already" in line.run("store", "get", row["url"], "--into", f"{fast_path}/v", code=2).stderr
    assert "is not the URL of a stored value" in line.run("store", "get", "s3://x", code=2).stderr


def test_who_used_lists_runs_by_version(line: CommandLine) -> None:
    line.run("prepare", PENGUINS, "--direct")
    view = load(PENGUINS, "all", storage=line.home / "storage")
    experiment = create_experiment("penguins", storage=line.home / "storage")
    with experiment.run() as run:
        run.uses(view)
    experiment.persist()
    for name in (PENGUINS, f"{PENGUINS}@{view.version}"):
        assert line.run("who-used", name).stdout.split()[:2] == ["penguins", run.id_run]
    (row,) = line.json("who-used", PENGUINS)
    assert row["uses"] == [f"{PENGUINS}@{view.version} all"]
    assert "No run in" in line.run("who-used", f"{PENGUINS}@{'0' * 64}", code=3).stderr
