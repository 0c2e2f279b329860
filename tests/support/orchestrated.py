"""What the tests of the Dagster room share: runs of datasets on an instance, and what those left in its history."""

from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator, Sequence

import dagster as dg
import numpy as np

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split
from dataset_assets.orchestration import definitions

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FILES = {"/a.csv": b"1\n2\n", "/b.csv": b"3\n4\n"}
"""What the server of `two_files` has."""
NUMBERED = "org.example.numbered"


class Calls:
    """Counts calls; no plain value, so that it is no part of the recipe of a function that uses it."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def key(name: str) -> dg.AssetKey:
    """Return an asset key: `com/lecun/mnist/train`."""
    return dg.AssetKey(name.split("/"))


def group(*names: str) -> dg.AssetSelection:
    """Return the assets of groups, each named as a key: `com/lecun/mnist/train`."""
    return dg.AssetSelection.groups(*(group_name(name) for name in names))


def group_name(name: str) -> str:
    """Return the group that is named as a key, as every Dagster of ours takes it."""
    return name.replace("/", "__")


def kept_in(folder: Path) -> dg.DagsterInstance:
    """Return an instance whose history is in a folder, as that of processes and schedules must be."""
    folder.mkdir(parents=True, exist_ok=True)
    return dg.DagsterInstance.local_temp(str(folder))


def assets_in(defined: dg.Definitions) -> list[dg.AssetsDefinition]:
    return [asset for asset in defined.assets or () if isinstance(asset, dg.AssetsDefinition)]


def run(
    dataset: Dataset | Sequence[Dataset],
    instance: dg.DagsterInstance,
    storage: str = "",
    more: Sequence[Any] = (),
    **options: Any,
) -> dg.ExecuteInProcessResult:
    """Materialize all assets of a dataset, and others; whatever fails is in the result."""
    defined = definitions(datasets=[dataset] if isinstance(dataset, Dataset) else dataset, storage=storage)
    options = {"run_config": QUIET, "raise_on_error": False, "resources": defined.resources} | options
    return dg.materialize([*assets_in(defined), *more], instance=instance, **options)


def made(result: Any) -> dict[str, dg.AssetMaterialization]:
    """Return what a run materialised, by asset."""
    events = result.get_asset_materialization_events()
    return {"/".join(e.asset_key.path): e.step_materialization_data.materialization for e in events}


def versions(result: Any) -> dict[str, str]:
    """Return the data versions that a run gave."""
    return {name: (event.tags or {})["dagster/data_version"] for name, event in made(result).items()}


def facts(event: dg.AssetMaterialization) -> dict[str, Any]:
    """Return the metadata of a materialisation as plain values."""
    return {name: value.value for name, value in event.metadata.items()}


def checks(result: Any) -> dict[str, dg.AssetCheckEvaluation]:
    """Return what the checks of a run found."""
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def failures(result: Any) -> dict[str, str]:
    """Return the message of each step that failed."""
    found = {}
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            told = event.event_specific_data
            described = told.user_failure_data.description if told.user_failure_data else ""
            found[str(event.step_key)] = f"{described}\n{told.error}"
    return found


def retries(result: Any) -> list[str]:
    """Return the steps that Dagster tried again."""
    return [str(event.step_key) for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]


def files_in(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, time of change and size of each file; locks beside them are no content."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {
        str(path.relative_to(folder)): (s.st_ino, s.st_mtime_ns, s.st_size) for path in found for s in [path.stat()]
    }


def lines(table: BinaryIO) -> Iterator[dict[str, int]]:
    for line in table:
        yield {"n": int(line)}


def two_files(url: str, digest: str | None = None, **more: Any) -> Dataset:
    """Return a dataset of two splits, each made of a file of its own: `a.csv` and `b.csv`."""
    splits = {
        "a": Split(lines, table=RemoteFile(f"{url}/a.csv", digest=digest)),
        "b": Split(lines, table=RemoteFile(f"{url}/b.csv")),
    }
    return Dataset("org.example.two", "Two files.", {"n": Array("int64")}, splits, **more)


def rows(first: int, last: int) -> Iterator[Columns]:
    yield Columns(x=np.arange(first, last).reshape(-1, 1).repeat(16, 1), y=np.arange(first, last) % 3)


def numbered(
    train: int = 20, first_test: int = 20, last: int = 30, of: Callable[..., Any] = rows, **more: Any
) -> Dataset:
    """Return a dataset without files, whose splits overlap if `first_test` is less than `train`."""
    return Dataset(
        NUMBERED,
        "Numbers that may be in both splits.",
        {"x": Array(), "y": Array(classes=("a", "b", "c"))},
        {"train": Split(of, first=0, last=train), "test": Split(of, first=first_test, last=last)},
        sample="x",
        target="y",
        **more,
    )
