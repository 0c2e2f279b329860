"""What assets of others are given: views, streams, files, by the digest of what their own run made."""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

import dagster as dg
import pytest
import tiny
from orchestrated import (
    NUMBERED,
    QUIET,
    assets_in,
    failures,
    kept_in,
    key,
    made,
    numbered,
    run,
    two_files,
    versions,
)
from places import TESTS

from dataset_assets import View, load, prepare
from dataset_assets.orchestration import definitions
from dataset_assets.orchestration.refresh import REFRESH
from dataset_assets.storage import LocalStorage
from dataset_assets.testing import FaultyServer

ADOPTING = TESTS / "adopting"
NUMBERED_KEY = NUMBERED.replace(".", "/")
TINY_KEY = tiny.NAME.replace(".", "/")


@pytest.fixture
def project(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The definitions of a project that knows nothing of ours but its datasets."""
    monkeypatch.setenv("DIGIT_MODELS_DATA", (fast_path / "data").as_uri())
    monkeypatch.setenv("DIGIT_MODELS_RESULTS", str(fast_path / "results"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ADOPTING), str(Path.cwd())]))
    monkeypatch.syspath_prepend(str(ADOPTING))
    yield importlib.import_module("digit_models.definitions")
    for module in [name for name in sys.modules if name.partition(".")[0] == "digit_models"]:
        del sys.modules[module]


def results(fast_path: Path, name: str) -> Any:
    return dg.FilesystemIOManager(base_dir=str(fast_path / "results")).load_input(
        dg.build_input_context(asset_key=key(name), upstream_output=dg.build_output_context(asset_key=key(name)))
    )


def test_a_project_trains_on_views_and_keeps_its_own_io_manager(
    project: ModuleType, home: Path, fast_path: Path, instance: dg.DagsterInstance
) -> None:
    result = project.train().execute_in_process(instance=instance, run_config=QUIET)
    assert result.success
    assert result.output_for_node("accuracy") > 0.7
    assert result.output_for_node("balance") == [100] * 10
    assert result.output_for_node("sizes") == {
        "io.github.rasbt.mnist_5k train": 4000,
        "io.github.rasbt.mnist_5k test": 1000,
        "io.github.allisonhorst.penguins all": 344,
    }
    assert result.output_for_node("first_line").startswith("0,0,0,")
    assert {path.name for path in (fast_path / "results").iterdir()} == {
        "model",
        "accuracy",
        "balance",
        "sizes",
        "first_line",
    }
    assert not (home / "storage").exists()
    assert len(load("io.github.rasbt.mnist_5k", "test", storage=fast_path / "data")) == 1000


@pytest.mark.processes
def test_each_step_may_run_in_a_process_of_its_own(
    project: ModuleType, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ADOPTING)  # where its processes look for the project
    chosen = {"execution": {"config": {"multiprocess": {"max_concurrent": 2, "start_method": {"forkserver": {}}}}}}
    with kept_in(fast_path / "dagster") as instance:
        job = dg.reconstructable(project.train)
        with dg.execute_job(job, instance, run_config=QUIET | chosen) as result:
            assert result.success
        launched = [entry for entry in instance.all_logs(result.run_id) if "Launching subprocess" in entry.message]
    assert len(launched) >= 9
    other = prepare("io.github.rasbt.mnist_5k", storage=fast_path / "other")
    assert load("io.github.rasbt.mnist_5k", storage=fast_path / "data")["train"].version == other["train"].version


def test_inputs_are_a_view_a_stream_a_mapping_of_views_and_a_file(
    dataset: Any, home: Path, instance: dg.DagsterInstance
) -> None:
    seen: dict[str, Any] = {}

    @dg.asset(
        ins={
            "train": dg.AssetIn(key(f"{TINY_KEY}/train")),
            "text": dg.AssetIn(key(f"{TINY_KEY}/test/text")),
            "both": dg.AssetIn(key(TINY_KEY)),
            "numbers": dg.AssetIn(key(f"{TINY_KEY}/raw/numbers_csv")),
            "backwards": dg.AssetIn(key(f"{TINY_KEY}/raw/backwards_csv")),
        }
    )
    def model(train: View, text: View, both: dict, numbers: Any, backwards: Any) -> None:  # type: ignore[type-arg]
        with numbers.open() as one, backwards.open() as other:
            seen.update(train=train, text=text, both=both, raw=one.read(), backwards=other.read())
            assert one.seek(0) == 0 and not one.writable()
        with text.open("text") as stream:
            seen["bytes"] = stream.read(6)

    assert run(dataset, instance, more=[model]).success
    assert isinstance(seen["train"], View)
    assert [sample["label"] for sample in seen["train"]] == [0, 1, 0, 1, 0, 1]
    assert seen["text"].streams == ("text",)
    assert len(seen["text"]) == len(seen["both"]["test"]) == 4
    assert seen["raw"] == tiny.NUMBERS
    assert seen["backwards"].splitlines() == tiny.NUMBERS.splitlines()[::-1]
    assert seen["bytes"] == b"ARROW1"


def looking(seen: list[Any], after: list[Any]) -> Any:
    """Return an asset that looks at the numbered dataset, once other assets are made."""

    @dg.asset(
        ins={
            "train": dg.AssetIn(key(f"{NUMBERED_KEY}/train")),
            "labels": dg.AssetIn(key(f"{NUMBERED_KEY}/train/y")),
            "both": dg.AssetIn(key(NUMBERED_KEY)),
        },
        deps=after,
    )
    def model(train: View, labels: View, both: dict) -> None:  # type: ignore[type-arg]
        seen.append((len(train), len(labels), len(both["train"]), both["train"].version))

    return model


def test_a_run_sees_what_it_made_though_another_run_releases_something_else_meanwhile(
    home: Path, instance: dg.DagsterInstance
) -> None:
    seen: list[Any] = []

    @dg.asset(deps=[key(NUMBERED_KEY)])
    def meanwhile() -> None:
        assert run(numbered(train=15), instance).success
        assert load(NUMBERED)["train"].version != first
        # More events than one look into the history brings.
        for name in ("train", "train/y", "test"):
            for k in range(60):
                event = dg.AssetMaterialization(key(f"{NUMBERED_KEY}/{name}"), tags={"dagster/data_version": str(k)})
                instance.report_runless_asset_event(event)

    prepared = prepare(numbered(), storage="memory://first")
    first = prepared["train"].version
    assert run(numbered(), instance, more=[meanwhile, looking(seen, [meanwhile])]).success
    assert seen == [(20, 20, 20, first)]
    assert len(load(NUMBERED)["train"]) == 15


def test_a_run_reads_the_file_it_retrieved_though_another_run_refreshes_it_meanwhile(
    home: Path, instance: dg.DagsterInstance
) -> None:
    seen: list[bytes] = []

    @dg.asset(deps=[key("org/example/two/raw/a_csv")])
    def meanwhile() -> None:
        server.files["/a.csv"] = b"5\n6\n"
        assert run(two_files(server.url), instance, tags={REFRESH: "true"}).success

    @dg.asset(ins={"table": dg.AssetIn(key("org/example/two/raw/a_csv"))}, deps=[meanwhile])
    def reader(table: Any) -> None:
        seen.append(table.open().read())

    with FaultyServer({"/a.csv": b"1\n", "/b.csv": b"2\n"}) as server:
        raw = [key(f"org/example/two/raw/{name}_csv") for name in "ab"]
        chosen = dg.AssetSelection.assets(*raw, meanwhile, reader)
        assert run(two_files(server.url), instance, more=[meanwhile, reader], selection=chosen).success
    assert seen == [b"1\n"]
    assert [sample["n"] for sample in load("org.example.two", "a")] == [5, 6]


def test_alone_an_asset_is_given_what_was_last_made(home: Path, instance: dg.DagsterInstance) -> None:
    seen: list[Any] = []
    model = looking(seen, [])
    run(numbered(), instance)
    second = run(numbered(train=15), instance)
    assert run(numbered(train=15), instance, more=[model], selection=[model]).success
    assert seen == [(15, 15, 15, versions(second)[NUMBERED_KEY])]


def test_without_a_history_an_asset_is_given_what_is_released(home: Path, instance: dg.DagsterInstance) -> None:
    seen: list[Any] = []
    prepared, model = prepare(numbered()), looking(seen, [])
    assert run(numbered(), instance, more=[model], selection=[model]).success
    assert seen == [(20, 20, 20, prepared["train"].version)]


def test_without_a_release_it_is_said_what_to_do(home: Path, instance: dg.DagsterInstance) -> None:
    model = looking([], [])
    result = run(numbered(), instance, more=[model], selection=[model])
    assert f"Make it with: dataset-assets prepare {NUMBERED}" in failures(result)["model"]


def again() -> dg.JobDefinition:
    """Return the job that fails once, where the environment says; processes and retries look it up."""

    @dg.asset(ins={"train": dg.AssetIn(key(f"{NUMBERED_KEY}/train"))})
    def model(train: View) -> None:
        seen = Path(os.environ["SEEN"])
        seen.write_text(f"{seen.read_text() if seen.exists() else ''}{len(train)} ")
        if not Path(os.environ["READY"]).exists():
            raise RuntimeError("not yet")

    ours = definitions(datasets=[numbered()])
    # Dagster builds a job of another process anew from this function, and reserves the name of the implicit one.
    job = dg.define_asset_job("again", dg.AssetSelection.all())
    defined = dg.Definitions.merge(ours, dg.Definitions([model], jobs=[job], executor=dg.in_process_executor))
    return defined.resolve_job_def("again")


def test_a_retry_of_a_failed_run_sees_what_that_run_made(
    home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEN", str(fast_path / "seen"))
    monkeypatch.setenv("READY", str(fast_path / "ready"))
    job = dg.reconstructable(again)
    with kept_in(fast_path / "dagster") as instance:
        with dg.execute_job(job, instance, run_config=QUIET) as failed:
            assert not failed.success
        assert run(numbered(train=15), instance).success
        (fast_path / "ready").touch()
        retry = dg.ReexecutionOptions.from_failure(failed.run_id, instance)
        with dg.execute_job(job, instance, run_config=QUIET, reexecution_options=retry) as result:
            assert result.success
            assert NUMBERED_KEY not in made(result)
    assert (fast_path / "seen").read_text() == "20 20 "
    assert list(LocalStorage(home / "storage").list("")) and assets_in(definitions(datasets=[numbered()]))
