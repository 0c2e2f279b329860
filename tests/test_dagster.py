"""Datasets as Dagster assets: real runs on real instances, with real bytes."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Iterator

import dagster as dg
import numpy as np
import pytest
import tiny

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split, View, load, prepare
from dataset_assets.errors import DefinitionError, NotPrepared
from dataset_assets.index import read_pointer
from dataset_assets.orchestration import keys, previews
from dataset_assets.orchestration.definitions import definitions
from dataset_assets.orchestration.refresh import JOB, REFRESH, SCHEDULE, last_due
from dataset_assets.storage import LocalStorage, open_storage
from dataset_assets.testing.server import FaultyServer
from dataset_assets.views import view_of


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/numbers.csv": tiny.NUMBERS}) as server:
        yield server


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(
    dataset: Dataset, instance: dg.DagsterInstance, storage: str = "", more: tuple[Any, ...] = (), **options: Any
) -> dg.ExecuteInProcessResult:
    defined = definitions(datasets=[dataset], storage=storage)
    assets = [asset for asset in defined.assets or () if isinstance(asset, dg.AssetsDefinition)]
    options |= {"resources": defined.resources, "raise_on_error": False}
    return dg.materialize([*assets, *more], instance=instance, **options)


def leaking(leak: bool, **more: Any) -> Dataset:
    def rows(first: int, last: int) -> Iterator[Columns]:
        yield Columns(x=np.arange(first, last).reshape(-1, 1).repeat(16, 1), y=np.arange(first, last) % 3)

    return Dataset(
        "org.example.split",
        "Rows that may be in both splits.",
        {"x": Array(), "y": Array(classes=("a", "b", "c"))},
        {"train": Split(rows, first=0, last=20), "test": Split(rows, first=17 if leak else 20, last=30)},
        sample="x",
        target="y",
        **more,
    )


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path): (s.st_ino, s.st_mtime_ns, s.st_size) for path in found for s in [path.stat()]}


def version_of(result: dg.ExecuteInProcessResult, *key: str) -> str:
    events = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey([*key])]
    return events[-1].step_materialization_data.materialization.tags["dagster/data_version"]


def test_dagster_and_prepare_make_the_same_version(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance, fast_path: Path
) -> None:
    dataset = tiny.tiny(server.url + "/")
    assert run(dataset, instance).success
    other = prepare(dataset, storage=fast_path / "other")
    made = load(tiny.NAME)
    assert made["train"].version == other["train"].version
    assert tiny.plain(made) == tiny.expected()
    raw = [key for key in LocalStorage(home / "storage").list("") if "source.json" not in key]
    assert sorted(raw) == sorted(key for key in LocalStorage(fast_path / "other").list("") if "source.json" not in key)


def test_a_second_run_downloads_nothing_and_changes_no_file(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset = tiny.tiny(server.url + "/")
    first = run(dataset, instance)
    before, asked = snapshot(home / "storage"), len(server.requests)
    second = run(dataset, instance)
    assert second.success
    assert snapshot(home / "storage") == before
    assert len(server.requests) == asked
    assert version_of(first, *tiny.NAME.split(".")) == version_of(second, *tiny.NAME.split("."))


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_the_io_managers_storage_is_where_every_byte_goes(
    where: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance, fast_path: Path
) -> None:
    url = (fast_path / "elsewhere").as_uri() if where == "folder" else "memory://dagster-test"
    result = run(tiny.tiny(server.url + "/"), instance, storage=url)
    assert result.success
    assert not (home / "storage").exists()
    assert tiny.plain(load(tiny.NAME, storage=url)) == tiny.expected()
    keys_there = set(open_storage(url).list(""))
    for event in result.get_asset_materialization_events():
        assert any(key.startswith("/".join(event.asset_key.path)) for key in keys_there)


def test_a_foreign_asset_receives_a_view_a_mapping_a_stream_and_an_open_file(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    seen: dict[str, Any] = {}
    name = tuple(tiny.NAME.split("."))

    @dg.asset(
        ins={
            "train": dg.AssetIn(dg.AssetKey([*name, "train"])),
            "text": dg.AssetIn(dg.AssetKey([*name, "test", "text"])),
            "both": dg.AssetIn(dg.AssetKey([*name])),
            "numbers": dg.AssetIn(dg.AssetKey([*name, "raw", "numbers_csv"])),
        }
    )
    def model(train: View, text: View, both: dict, numbers: Any) -> None:
        seen.update(train=train, text=text, both=both, raw=numbers.open().read())

    assert run(tiny.tiny(server.url + "/"), instance, more=(model,)).success
    assert isinstance(seen["train"], View)
    assert [sample["label"] for sample in seen["train"]] == [0, 1, 0, 1, 0, 1]
    assert seen["text"].streams == ("text",)
    assert len(seen["text"]) == len(seen["both"]["test"]) == 4
    assert seen["raw"] == tiny.NUMBERS


def test_an_input_is_opened_from_the_storage_when_dagsters_history_is_gone(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset = tiny.tiny(server.url + "/")
    prepare(dataset)
    seen = []

    @dg.asset(ins={"train": dg.AssetIn(dg.AssetKey([*tiny.NAME.split("."), "train"]))})
    def model(train: View) -> None:
        seen.append(len(train))

    defined = definitions(datasets=[dataset])
    assets = [asset for asset in defined.assets or () if isinstance(asset, dg.AssetsDefinition)]
    result = dg.materialize([*assets, model], selection=[model], instance=instance, resources=defined.resources)
    assert result.success
    assert seen == [6]


def test_a_leak_leaves_the_released_version_and_shows_as_a_failed_check(
    home: Path, instance: dg.DagsterInstance
) -> None:
    assert run(leaking(False), instance).success
    released = load("org.example.split")["train"].version
    result = run(leaking(True), instance)
    assert not result.success
    assert load("org.example.split")["train"].version == released
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert not checks["leakage"].passed
    assert "3 samples of test are also in train" in str(checks["leakage"].description)
    assert dg.AssetKey(["org", "example", "split"]) not in {
        event.asset_key for event in result.get_asset_materialization_events()
    }
    failure = next(event for event in result.all_events if event.event_type_value == "STEP_FAILURE")
    told: Any = failure.event_specific_data
    refused = str(told.user_failure_data.description).split("org.example.split@")[1][:64]
    assert len(load(f"org.example.split@{refused}")["test"]) == 13
    assert read_pointer(open_storage(home / "storage"), "org.example.split")[0] == released


def test_a_failed_check_of_a_split_withholds_it_and_all_that_comes_after(
    home: Path, instance: dg.DagsterInstance
) -> None:
    def wrong() -> Iterator[Columns]:
        yield Columns(y=np.array([0, 1, 7]))

    dataset = Dataset("org.example.wrong", "A label too many.", {"y": Array(classes=("a", "b"))}, {"all": Split(wrong)})
    result = run(dataset, instance)
    made = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
    assert not result.success
    assert made == {"y"}
    assert {c.check_name: c.passed for c in result.get_asset_check_evaluations()}["classes"] is False
    with pytest.raises(NotPrepared):
        load("org.example.wrong")


def test_a_check_that_only_warns_is_recorded_and_the_version_released(home: Path, instance: dg.DagsterInstance) -> None:
    result = run(leaking(True, checks={"leakage": "warn"}), instance)
    assert result.success
    leakage = next(check for check in result.get_asset_check_evaluations() if check.check_name == "leakage")
    assert not leakage.passed
    assert leakage.severity == dg.AssetCheckSeverity.WARN
    assert len(load("org.example.split")["train"]) == 20


def test_a_check_that_is_off_is_no_check_in_dagster() -> None:
    graph = definitions(datasets=[leaking(True, checks={"leakage": "off"})]).resolve_asset_graph()
    assert {check.name for check in graph.asset_check_keys} == {"counts", "schema", "classes"}


def test_one_raw_file_or_one_split_may_be_made_alone(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset, name = tiny.tiny(server.url + "/"), tiny.NAME.split(".")
    raw = run(dataset, instance, selection=[dg.AssetKey([*name, "raw", "numbers_csv"])])
    assert [e.asset_key.path[-1] for e in raw.get_asset_materialization_events()] == ["numbers_csv"]
    chosen = dg.AssetSelection.assets(dg.AssetKey([*name, "test"])).upstream()
    assert run(dataset, instance, selection=chosen).success
    with pytest.raises(NotPrepared):
        load(tiny.NAME)
    assert len(server.requests) == 1


def test_asset_keys_are_storage_folders_and_groups_keep_equal_names_apart(home: Path, server: FaultyServer) -> None:
    dataset = tiny.tiny(server.url + "/")
    graph = definitions(datasets=[dataset]).resolve_asset_graph()
    groups = {"/".join(key.path): graph.get(key).group_name for key in graph.get_all_asset_keys()}
    prepare(dataset)
    assert groups["org/example/tiny/train/image"] == "org/example/tiny/train"
    assert groups["org/example/tiny/raw/numbers_csv"] == "org/example/tiny/raw"
    assert all((home / "storage" / key).is_dir() for key in groups)


def test_every_shipped_definition_loads_in_dagster() -> None:
    defined = definitions("*")
    dg.Definitions.validate_loadable(defined)
    graph = defined.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        assert graph.get(key).description
        assert graph.get(key).kinds


def test_changed_bytes_make_stale_what_uses_them_and_nothing_else(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    def lines(table: Any) -> Iterator[dict[str, int]]:
        for line in table:
            yield {"n": int(line)}

    server.files |= {"/a.csv": b"1\n2\n", "/b.csv": b"3\n4\n"}
    dataset = Dataset(
        "org.example.two",
        "Two files.",
        {"n": Array()},
        {
            "a": Split(lines, table=RemoteFile(server.url + "/a.csv")),
            "b": Split(lines, table=RemoteFile(server.url + "/b.csv")),
        },
    )
    first = run(dataset, instance)
    before = snapshot(home / "storage" / "org/example/two/b")
    server.files["/a.csv"] = b"1\n2\n5\n"
    second = run(dataset, instance, tags={REFRESH: "true"})
    assert second.success
    name = ("org", "example", "two")
    assert version_of(first, *name, "a") != version_of(second, *name, "a")
    assert version_of(first, *name, "b") == version_of(second, *name, "b")
    assert version_of(first, *name) != version_of(second, *name)
    assert snapshot(home / "storage" / "org/example/two/b") == before
    assert [sample["n"] for sample in load("org.example.two")["a"]] == [1, 2, 5]


def test_metadata_shows_what_people_look_for(home: Path, instance: dg.DagsterInstance, server: FaultyServer) -> None:
    def pictures() -> Iterator[Columns]:
        grey = np.arange(12 * 28 * 28, dtype=np.uint8).reshape(12, 28, 28)
        yield Columns(image=grey, kind=np.arange(12) % 2, text=["<script>alert(1)</script> | `x`"] * 12)

    from dataset_assets import Text

    dataset = Dataset(
        "org.example.pictures",
        "Pictures.",
        {"image": Array(), "kind": Array(classes=("cat|x", "dog")), "text": Text()},
        {"all": Split(pictures)},
        license="CC0-1.0",
    )
    result = run(dataset, instance)
    event = next(e for e in result.get_asset_materialization_events() if e.asset_key.path[-1] == "all")
    facts = {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}
    assert facts["dagster/row_count"] == 12
    assert facts["license"] == "CC0-1.0"
    assert facts[keys.INDEX] == version_of(result, "org", "example", "pictures", "all")
    assert [column.name for column in facts["dagster/column_schema"].columns] == ["image", "kind", "text"]
    samples = str(facts["first samples"])
    assert "data:image/png;base64,iVBOR" in samples
    assert "<script>" not in samples
    assert len(samples) < 40_000
    assert "cat|x" in str(facts["classes of kind"])


def test_what_is_shown_of_samples_is_bounded_and_never_interpreted() -> None:
    hostile = view_of(text=["![x](http://example.org/x.png) <b>|</b>" + "y" * 100_000] * 40)
    shown = previews.first_samples(hostile)
    assert len(shown) < 8_000
    assert "![x](" not in shown
    assert "<b>" not in shown


def test_a_dataset_may_have_a_job_of_its_own(server: FaultyServer) -> None:
    dataset = tiny.tiny(server.url + "/", job=True)
    names = {job.name for job in definitions(datasets=[dataset]).get_repository_def().get_all_jobs()}
    assert "org__example__tiny__job" in names


def test_a_step_that_raises_fails_with_its_own_error_and_publishes_nothing(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    def broken(numbers: Any) -> Iterator[dict[str, int]]:
        yield {"n": 1}
        raise ZeroDivisionError("in the author's own code")

    table = RemoteFile(server.url + "/numbers.csv")
    dataset = Dataset("org.example.broken", "Broken.", {"n": Array()}, {"all": Split(broken, numbers=table)})
    result = run(dataset, instance)
    failure = next(event for event in result.all_events if event.event_type_value == "STEP_FAILURE")
    text = str(failure.event_specific_data.error)  # type: ignore[union-attr]
    assert "SplitFailed" in text
    assert "ZeroDivisionError" in text
    assert not list(LocalStorage(home / "storage").list("org/example/broken/all"))


def refreshed(server: FaultyServer, digest: str | None = None) -> Dataset:
    def lines(table: Any) -> Iterator[dict[str, int]]:
        for line in table:
            yield {"n": int(line)}

    table = RemoteFile(server.url + "/a.csv", digest=digest)
    other = RemoteFile(server.url + "/b.csv")
    return Dataset(
        "org.example.fresh",
        "Changes.",
        {"n": Array()},
        {"a": Split(lines, table=table), "b": Split(lines, table=other)},
        refresh="0 3 * * *",
    )


def tick(dataset: Dataset, instance: dg.DagsterInstance, now: datetime) -> list[dg.ExecuteInProcessResult]:
    """Evaluate the schedule as the daemon does, and run what it asks for unless its run key has run."""
    defined = dg.Definitions.merge(definitions(datasets=[dataset]), dg.Definitions(executor=dg.in_process_executor))
    repository = defined.get_repository_def()
    context = dg.build_schedule_context(instance, scheduled_execution_time=now, repository_def=repository)
    data = repository.get_schedule_def(SCHEDULE).evaluate_tick(context)
    results = []
    for request in data.run_requests or ():
        done = dg.RunsFilter(tags={"dagster/run_key": request.run_key})
        if instance.get_run_records(done):
            continue
        job = repository.get_job(JOB).get_subset(asset_selection=set(request.asset_selection))
        tags = {**request.tags, "dagster/run_key": request.run_key}
        results.append(job.execute_in_process(instance=instance, tags=tags, raise_on_error=False))
    return results


def test_a_refresh_asks_once_per_due_time_and_makes_a_version_of_what_changed(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    server.files |= {"/a.csv": b"1\n2\n", "/b.csv": b"3\n4\n"}
    dataset = refreshed(server)
    prepare(dataset)
    released, before = load(dataset.name)["a"].version, snapshot(home / "storage")
    server.requests.clear()

    [unchanged] = tick(dataset, instance, datetime(2026, 3, 2, 3, 0, tzinfo=UTC))
    assert unchanged.success
    assert [request.path for request in server.requests] == ["/a.csv", "/b.csv"]
    assert snapshot(home / "storage") == before
    assert tick(dataset, instance, datetime(2026, 3, 2, 9, 0, tzinfo=UTC)) == []

    server.files["/a.csv"] = b"1\n2\n5\n"
    # The daemon was down at three o'clock: the tick after finds the due time that was missed.
    [changed] = tick(dataset, instance, datetime(2026, 3, 4, 11, 30, tzinfo=UTC))
    assert changed.success
    assert load(dataset.name)["a"].version != released
    assert [sample["n"] for sample in load(dataset.name)["a"]] == [1, 2, 5]
    after = snapshot(home / "storage")
    untouched = {path: seen for path, seen in before.items() if "/a/" not in path and "/raw/a_csv/source" not in path}
    untouched = {path: seen for path, seen in untouched.items() if not path.endswith("current.json")}
    assert {path: after[path] for path in untouched} == untouched


def test_a_refresh_of_a_file_with_a_declared_digest_refuses_other_bytes(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    server.files |= {"/a.csv": b"1\n2\n", "/b.csv": b"3\n4\n"}
    dataset = refreshed(server, "sha256:" + hashlib.sha256(b"1\n2\n").hexdigest())
    prepare(dataset)
    released = load(dataset.name)["a"].version
    server.files["/a.csv"] = b"6\n"
    [result] = tick(dataset, instance, datetime(2026, 3, 2, 3, 0, tzinfo=UTC))
    assert not result.success
    assert load(dataset.name)["a"].version == released
    assert [sample["n"] for sample in load(dataset.name)["a"]] == [1, 2]


def test_the_last_due_time_is_that_of_the_cron_line(server: FaultyServer) -> None:
    now = datetime(2026, 3, 4, 11, 30, tzinfo=UTC)
    dataset = refreshed(server)
    assert last_due(dataset, now) == datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
    yearly = Dataset("org.example.y", "Y.", dataset.streams, dataset.splits, refresh="0 0 29 2 *")
    assert last_due(yearly, now) == datetime(2024, 2, 29, tzinfo=UTC)
    wrong = Dataset("org.example.w", "W.", dataset.streams, dataset.splits, refresh="0 99 * * *")
    with pytest.raises(DefinitionError, match="not a cron line"):
        definitions(datasets=[wrong])
