"""Raw files as assets: each of its own, retrieved at once; or one for all of them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from children import ended, in_child
from orchestrated import FILES, QUIET, facts, failures, key, lines, made, retries, run, two_files, versions

from dataset_assets import Array, Dataset, DerivedFile, RemoteFile, Split, load, prepare
from dataset_assets.core.settings import settings
from dataset_assets.errors import UsageError
from dataset_assets.making.maker import Maker
from dataset_assets.orchestration import OpOptions, definitions, handed_over
from dataset_assets.orchestration.bodies import Downloads
from dataset_assets.orchestration.ops import MOST_DATASETS
from dataset_assets.storage import open_storage
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing import FaultyServer
from dataset_assets.testing.faults import installed

TWO = "org/example/two"


def ran(dataset: Dataset, instance: dg.DagsterInstance, how: str, **more: Any) -> dg.ExecuteInProcessResult:
    """Materialize a dataset whose raw files are assets in one of the two ways."""
    ours = definitions(datasets=[dataset], raw_assets=how, op=more.pop("op", None))  # type: ignore[arg-type]
    given = {"run_config": QUIET, "raise_on_error": False, "resources": ours.resources} | more
    return dg.materialize([*ours.assets], instance=instance, **given)  # type: ignore[misc]


@pytest.mark.parametrize("how", ["each", "one"])
def test_both_ways_make_what_prepare_makes(
    how: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    assert ran(two_files(server.url), instance, how).success
    released = load("org.example.two")["a"].version
    assert prepare(two_files(server.url), storage="memory://elsewhere")["a"].version == released
    server.forget()
    assert ran(two_files(server.url), instance, how).success and not server.requests


@pytest.mark.parametrize("how", ["each", "one"])
def test_a_split_that_does_not_need_the_file_that_is_gone_is_made(
    how: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    del server.files["/b.csv"]
    result = ran(two_files(server.url), instance, how)
    assert not result.success
    [(step, said)] = failures(result).items()
    assert "404" in said and "b.csv" in said and step == f"org__example__two__{'b' if how == 'one' else 'raw__of__b'}"
    assert f"{TWO}/a" in made(result) and f"{TWO}/b" not in made(result) and TWO not in made(result)
    server.files |= FILES
    assert ran(two_files(server.url), instance, how).success


def test_a_refresh_that_loses_a_file_uses_no_old_bytes_of_it(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    assert ran(two_files(server.url), instance, "one").success
    before = load("org.example.two")["a"].version
    del server.files["/b.csv"]
    server.files["/a.csv"] = b"5\n"
    refresh = QUIET | {"ops": {"org__example__two__raw": {"config": {"refresh": True}}}}
    result = ran(two_files(server.url), instance, "one", run_config=refresh)
    assert [*failures(result)] == ["org__example__two__b"] and load("org.example.two")["a"].version == before


def test_raw_files_alone_fail_if_one_is_gone(home: Path, server: FaultyServer, instance: dg.DagsterInstance) -> None:
    del server.files["/b.csv"]
    result = ran(two_files(server.url), instance, "one", selection=[key(f"{TWO}/raw")])
    assert not result.success and "404" in str(failures(result)) and not made(result)
    # What was retrieved is not asked for again.
    server.files |= FILES
    server.forget()
    assert ran(two_files(server.url), instance, "one", selection=[key(f"{TWO}/raw")]).success
    assert "/b.csv" in {request.path for request in server.requests}


def test_a_file_that_is_gone_is_asked_for_again_as_the_policy_says(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    del server.files["/b.csv"]
    twice = OpOptions(retry_policy=dg.RetryPolicy(max_retries=1))
    result = ran(two_files(server.url), instance, "one", op=twice, selection=f'key:"{TWO}/raw" or key:"{TWO}/a"')
    assert retries(result) == ["org__example__two__raw"] and f"{TWO}/a" not in made(result)


def test_one_raw_asset_names_the_files_and_a_split_is_one_asset(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    result = ran(two_files(server.url), instance, "one")
    assert {*made(result)} == {f"{TWO}/raw", f"{TWO}/a", f"{TWO}/b", TWO}
    shown = facts(made(result)[f"{TWO}/raw"])
    assert (shown["files"], shown["bytes"], shown["retrieved just now"]) == (2, 8, 2)
    table = made(result)[f"{TWO}/raw"].metadata["all files"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [record.data["file"] for record in table.records] == ["a_csv", "b_csv"]
    server.files["/a.csv"] = b"5\n"
    refresh = QUIET | {"ops": {"org__example__two__raw": {"config": {"refresh": True}}}}
    again = ran(two_files(server.url), instance, "one", run_config=refresh)
    changed = {name for name, version in versions(again).items() if versions(result)[name] != version}
    assert changed == {f"{TWO}/raw", f"{TWO}/a", TWO}


def joined(first: Any, second: Any) -> Iterator[bytes]:
    yield first.read() + second.read()


@pytest.mark.parametrize("how", ["each", "one"])
def test_a_kept_file_is_derived_of_them(
    how: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    sources = {"first": RemoteFile(f"{server.url}/a.csv"), "second": RemoteFile(f"{server.url}/b.csv")}
    kept = DerivedFile("both.csv", joined, keep=True, **sources)
    dataset = Dataset("org.example.kept", "Kept.", {"n": Array("int64")}, {"all": Split(lines, table=kept)})
    result = ran(dataset, instance, how)
    assert result.success and len(load("org.example.kept")["all"]) == 4
    assert "org/example/kept/raw/both_csv" in made(result)


def test_a_projects_asset_opens_the_files_of_the_one_asset(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    ours = definitions(datasets=[two_files(server.url)], raw_assets="one")

    @dg.asset(ins={"raw": dg.AssetIn(TWO.split("/") + ["raw"])})
    def sizes(raw) -> int:  # type: ignore[no-untyped-def]
        return len(raw["a_csv"].open().read())

    result = dg.materialize([*ours.assets, sizes], instance=instance, resources=ours.resources, run_config=QUIET)  # type: ignore[misc]
    assert result.output_for_node("sizes") == 4


def test_above_fifty_files_one_asset_is_the_default(home: Path) -> None:
    def of(count: int) -> int:
        files = {f"f{k}": RemoteFile(f"https://example.org/{k}.csv") for k in range(count)}
        dataset = Dataset("org.example.many", "Many.", {"n": Array()}, {"all": Split(several, **files)})
        ours = definitions(datasets=[dataset])
        dg.Definitions.validate_loadable(ours)
        return len(ours.resolve_asset_graph().get_all_asset_keys())

    assert (of(50), of(51)) == (50 + 3, 3)


def test_the_keys_of_a_dataset_do_not_depend_on_its_neighbours_and_many_are_advised_to_have_fewer(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, others = two_files("https://example.org"), [numbered_as(k) for k in range(MOST_DATASETS)]

    def keys(datasets: list[Dataset], how: Any = "") -> set[str]:
        caplog.clear()
        assets = [asset for asset in definitions(datasets=datasets, raw_assets=how).assets or ()]
        found = {
            key.to_user_string() for asset in assets if isinstance(asset, dg.AssetsDefinition) for key in asset.keys
        }
        return {name for name in found if name.startswith(TWO)}

    alone = keys([ours])
    assert not caplog.text and f"{TWO}/raw/a_csv" in alone
    assert keys([ours, *others]) == alone
    assert "201 datasets are 607 assets" in caplog.text and "raw_assets='one'" in caplog.text
    assert keys([ours, *others], "each") == alone and not caplog.text
    assert keys([ours, *others], "one") == {TWO, f"{TWO}/raw", f"{TWO}/a", f"{TWO}/b"} and not caplog.text


def numbered_as(k: int) -> Dataset:
    return Dataset(f"org.example.n{k}", "One.", {"n": Array()}, {"all": Split(several)})


def several(**files: Any) -> Iterator[dict[str, int]]:
    for file in files.values():
        yield {"n": int(file.read())}


def test_many_files_are_defined_and_run_quickly(home: Path, fast_path: Path, instance: dg.DagsterInstance) -> None:
    import time

    count, folder = 150, fast_path / "many"
    folder.mkdir()
    for k in range(count):
        (folder / f"{k}.csv").write_text(str(k))
    files = {f"f{k}": RemoteFile((folder / f"{k}.csv").as_uri()) for k in range(count)}
    dataset = Dataset("org.example.many", "Many.", {"n": Array()}, {"all": Split(several, **files)})
    assert run(dataset, instance).success
    began = time.process_time()
    assert run(dataset, instance).success
    # 200 files took 46 s when each was an asset.
    assert time.process_time() - began < 8


@pytest.mark.parametrize("wrong", [{"raw_assets": "both"}, {"op": ("downloads_per_host", 0)}])
def test_what_is_no_choice_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="not known|not a number"):
        if "op" in wrong:
            OpOptions(**dict([wrong["op"]]))
        definitions(**wrong)


def test_the_event_log_hears_of_a_long_download_ever_less_often() -> None:
    said: list[str] = []
    downloads = Downloads(said.append, after=0)
    downloads("short.gz", 10, 10)
    downloads("long.gz", 2048, 4096)
    downloads("endless.gz", 1, None)
    downloads.tell()
    assert said == ["long.gz: 2,048 bytes of 4,096.", "endless.gz: 1 bytes of an unknown number."]
    later = Downloads(said.append)
    later("long.gz", 1, 2)
    later.tell()
    assert len(said) == 2


def test_a_download_tells_its_progress_to_the_event_log(
    home: Path, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataset_assets.orchestration import bodies
    from dataset_assets.testing import Slow

    monkeypatch.setattr(bodies.Downloads.__init__, "__defaults__", (0.0,))
    server.files["/a.csv"] = b"1\n" * 3000
    server.script("/a.csv", [Slow(bytes_per_s=20, after=0.997)])
    from orchestrated import kept_in

    instance = kept_in(home / "dagster")
    result = run(two_files(server.url), instance, selection=[key(f"{TWO}/raw/a_csv")])
    messages = [record.message for record in instance.all_logs(result.run_id)]
    assert result.success and any("a_csv: " in message and "bytes of 6,000" in message for message in messages)


def test_a_file_that_is_gone_fails_its_splits_alone_under_other_keys_too(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    del server.files["/b.csv"]
    ours = definitions(two_files(server.url), raw_assets="one", translation=under_x)
    given = {"run_config": QUIET, "raise_on_error": False, "resources": ours.resources}
    result = dg.materialize([*ours.assets], instance=instance, **given)  # type: ignore[misc, arg-type]
    assert [*failures(result)] == ["org__example__two__b"] and f"x/{TWO}/a" in made(result)


def under_x(spec: dg.AssetSpec) -> dg.AssetSpec:
    return spec.replace_attributes(key=["x", *spec.key.path])


def every_line(table: Any, last: bool) -> Iterator[dict[str, int]]:
    found = [*lines(table)]
    yield from found[-1:] if last else found[:-1]


@pytest.mark.parametrize("how", ["each", "one"])
def test_a_file_that_is_not_kept_is_retrieved_once_in_a_run(
    how: str, home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    file = RemoteFile(f"{server.url}/a.csv", keep=False)
    splits = {"a": Split(every_line, table=file, last=False), "b": Split(every_line, table=file, last=True)}
    dataset = Dataset("org.example.two", "One file.", {"n": Array("int64")}, splits)
    result = ran(dataset, instance, how)
    assert result.success and [request.path for request in server.requests] == ["/a.csv"]
    assert [one["n"] for one in load("org.example.two")["b"]] == [2]
    assert not [*(home / "handed_over").iterdir()] and not [*(home / "storage").rglob("raw/a_csv/" + "?" * 64)]


def test_what_was_left_damaged_or_by_another_run_is_not_read(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    file = RemoteFile(f"{server.url}/a.csv", keep=False)
    dataset = Dataset("org.example.two", "One file.", {"n": Array("int64")}, {"a": Split(lines, table=file)})
    assert ran(dataset, instance, "each", selection=[key(f"{TWO}/raw/a_csv")]).success
    (left,) = (home / "handed_over").rglob("?" * 64)
    with Maker(dataset, StoredDataset(open_storage(settings().storage), dataset.name)) as maker:
        raw = maker.stored.raw("a_csv")
        assert raw
        handed_over.take("another run", maker, raw)
        assert not maker.inputs.transient
        left.write_bytes(b"9\n9\n")
        for run in instance.get_runs():
            handed_over.take(run.run_id, maker, raw)
        assert not maker.inputs.transient
    os.utime(left.parent, (0, 0))
    assert ran(dataset, instance, "each").success
    assert not left.exists() and [one["n"] for one in load("org.example.two", "a")] == [1, 2]


def test_steps_that_leave_the_same_bytes_do_not_wait_for_one_that_was_killed(home: Path, server: FaultyServer) -> None:
    file = RemoteFile(f"{server.url}/a.csv", keep=False)
    dataset = Dataset("org.example.two", "One file.", {"n": Array("int64")}, {"a": Split(lines, table=file)})
    with Maker(dataset, StoredDataset(open_storage(settings().storage), dataset.name)) as maker:
        staged: Any = maker.raw("a_csv")
        # A step is killed before its file has its name.
        process = in_child(lambda: failing_to_leave(dataset, staged), wait=False)
        assert ended(process) == -signal.SIGKILL
        for _ in range(2):
            handed_over.leave("run", dataset.name, staged)
        handed_over.take("run", maker, staged.raw)
        assert maker.inputs.transient


def failing_to_leave(dataset: Dataset, staged: Any) -> None:
    def kill(operation: str, path: Path, size: int) -> None:
        if operation == "replace":
            os.kill(os.getpid(), signal.SIGKILL)

    with installed(kill):
        handed_over.leave("run", dataset.name, staged)
