"""The same dataset on every connector: equal digests, by Dagster too, by the environment alone; no secret anywhere."""

import itertools
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import tiny
from leaks import expect_no_secret
from orchestrated import facts, made, run
from places import ROOT, SUPPORT
from servers import SECRET, Place, Proxy

from dataset_assets import Dataset, load, prepare
from dataset_assets.errors import DigestMismatch, NoSpace, StoredFileDamaged
from dataset_assets.orchestration import definitions
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.keys import stream_key
from dataset_assets.testing.storage import content, some_bytes

CONNECTORS = ("s3", "az", "sqlite", "postgresql", "mongodb")
SERVERS = {"s3": "seaweed", "az": "azurite", "postgresql": "postgres", "mongodb": "secantus"}
numbers = itertools.count()


@pytest.fixture(params=CONNECTORS)
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, fast_path: Path) -> str:
    """The URL of an empty storage of each kind, which the environment opens."""
    return place_of(request.param, request, monkeypatch, fast_path)


@pytest.fixture
def s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, fast_path: Path) -> str:
    return place_of("s3", request, monkeypatch, fast_path)


def place_of(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, fast_path: Path) -> str:
    name = f"remote_{os.getpid()}_{next(numbers)}"
    if kind == "sqlite":
        return f"sqlite:///{fast_path}/{name}.db"
    place: Place = request.getfixturevalue(SERVERS[kind])
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)
    return f"{place.url}{ {'postgresql': '?schema=', 'mongodb': 'tests?bucket='}.get(kind, '') }{name}"


@pytest.fixture
def expected(home: Path, dataset: Dataset, fast_path: Path) -> str | None:
    """The version that a folder gives."""
    return prepare(dataset, storage=fast_path / "plain")["train"].version


def test_a_dataset_has_the_same_digests_and_samples_on_every_connector(
    url: str, dataset: Dataset, expected: str | None
) -> None:
    made = prepare(dataset, storage=url)
    assert made["train"].version == expected
    found = load(tiny.NAME, storage=url, verify="all")
    assert tiny.plain(found) == tiny.plain(made) == tiny.expected()
    assert tiny.plain(pickle.loads(pickle.dumps(found))) == tiny.expected()
    raw: Any = found["train"].open_raw("numbers")
    with raw as file:
        assert file.read() == tiny.NUMBERS


def test_what_is_prepared_again_is_not_written_again(s3: str, dataset: Dataset, home: Path, proxy: Proxy) -> None:
    prepare(dataset, storage=s3)
    proxy.requests.clear()
    prepare(dataset, storage=f"{s3}?endpoint={proxy.url}")
    assert {method for method, _ in proxy.requests} <= {"GET", "HEAD"}


def test_dagster_puts_every_byte_there_and_gives_the_same_digests(
    url: str, dataset: Dataset, expected: str | None, home: Path
) -> None:
    defined = definitions(datasets=[dataset], storage=url)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(list(defined.assets or ()), resources=defined.resources, instance=instance)
    assert result.success
    assert load(tiny.NAME, storage=url)["train"].version == expected
    assert not (home / "storage").exists()
    # What the UI shows is the same: pictures, rows, counts, and where they lie.
    shown = {name: facts(event) for name, event in made(result).items()}
    with dg.DagsterInstance.ephemeral() as instance:
        local = {name: facts(event) for name, event in made(run(dataset, instance)).items()}
    assert {name: set(found) for name, found in shown.items()} == {name: set(found) for name, found in local.items()}
    assert any("samples" in found for found in shown.values())


BY_ENVIRONMENT = """
import sys
sys.path.insert(0, {tests!r})
import tiny
from dataset_assets import load, prepare
prepare(tiny.tiny({folder!r}))
view = load(tiny.NAME, "train")
print(view.version, [sample["text"] for sample in view])
"""


def test_only_the_setting_changes(
    url: str, expected: str | None, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_STORAGE", url)
    code = BY_ENVIRONMENT.format(tests=str(SUPPORT), folder=folder.as_uri() + "/")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    texts = [sample["text"] for sample in tiny.expected()["train"]]
    assert done.stdout == f"{expected} {texts}\n"
    assert not (home / "storage").exists()


@pytest.fixture
def history(postgres: Place, monkeypatch: pytest.MonkeyPatch, fast_path: Path) -> Place:
    """A DAGSTER_HOME whose history is in PostgreSQL."""
    (fast_path / "dagster").mkdir()
    shutil.copy(ROOT / "examples/on_servers/dagster.yaml", fast_path / "dagster")
    monkeypatch.setenv("DAGSTER_HOME", str(fast_path / "dagster"))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres.url)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    return postgres


def test_dagster_keeps_its_history_in_postgres_and_the_bytes_in_a_bucket(
    s3: str, history: Place, dataset: Dataset, home: Path, fast_path: Path
) -> None:
    defined = definitions(datasets=[dataset], storage=s3)
    before = materialized(history)
    with dg.DagsterInstance.get() as instance:
        assert dg.materialize(list(defined.assets or ()), resources=defined.resources, instance=instance).success
    assert materialized(history) - before > 10
    assert tiny.plain(load(tiny.NAME, storage=s3)) == tiny.expected()
    assert not [*fast_path.rglob("*.db")]
    expect_no_secret(fast_path, "", SECRET)


def test_the_demo_runs_on_a_bucket_and_a_history_in_postgres_by_the_environment_alone(
    s3: str, history: Place, home: Path, monkeypatch: pytest.MonkeyPatch, fast_path: Path
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_STORAGE", s3)
    before, run = materialized(history), [sys.executable, str(ROOT / "examples/demo.py")]
    done = subprocess.run(run, capture_output=True, text=True, cwd=fast_path, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test accuracy 0.9" in done.stdout
    assert not (home / "storage").exists()
    line = next(line for line in done.stdout.splitlines() if " -c " in line)
    again = subprocess.run(line, shell=True, cwd=fast_path, capture_output=True, text=True, check=False)
    assert "train: 4000 samples" in again.stdout, again.stderr
    assert materialized(history) - before == 20 and "18 of 18 checks passed" in done.stdout
    assert not [*(fast_path / "dagster").rglob("*.db")]
    expect_no_secret(fast_path, done.stdout + done.stderr + again.stdout + again.stderr, SECRET)


def materialized(postgres: Place) -> int:
    """Return how many materializations Dagster's history in PostgreSQL knows."""
    import psycopg2

    with psycopg2.connect(postgres.url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('event_logs')")
        if cursor.fetchone()[0] is None:
            return 0
        cursor.execute("SELECT count(*) FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'")
        return int(cursor.fetchone()[0])


# Reading.


def test_forked_workers_read_what_was_loaded(s3: str, dataset: Dataset, home: Path) -> None:
    view = prepare(dataset, storage=s3)["train"]
    context: Any = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=lambda: results.put([sample["label"] for sample in view]))
    child.start()
    child.join(200)
    assert child.exitcode == 0
    assert results.get() == [0, 1, 0, 1, 0, 1]


def test_workers_of_a_loader_read_a_bucket(s3: str, dataset: Dataset, home: Path) -> None:
    view = prepare(dataset, storage=s3)["train"]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(label_of, [(view, i) for i in range(6)]) == [0, 1, 0, 1, 0, 1]


def label_of(what: tuple[Any, int]) -> int:
    view, i = what
    return int(view[i]["label"])


def stream_of(storage: Storage) -> str:
    """Return the key of a stored stream."""
    index = index_of(load(tiny.NAME, "train", storage=storage))  # type: ignore[arg-type]
    found = index.streams["image"]
    return stream_key(tiny.NAME, "train", "image", found.files[0].sha256, found.suffix)


def test_damage_in_the_storage_is_noticed_by_who_verifies_and_by_who_fetches(
    url: str, dataset: Dataset, home: Path
) -> None:
    prepare(dataset, storage=url)
    storage = open_storage(url)
    key = stream_of(storage)
    storage.put(key, some_bytes(len(content(storage, key))))
    assert load(tiny.NAME, storage=url)["train"][0]["label"] == 0, "what was fetched before is good"
    with pytest.raises(DigestMismatch, match="has sha256"):
        load(tiny.NAME, storage=url, verify="all")
    for copy in (home / "cache").iterdir():
        copy.unlink()
    opened = load(tiny.NAME, "train", storage=url)
    with pytest.raises(DigestMismatch, match=r"split train, stream image: .* has sha256 .*, expected "):
        opened[0]
    storage.delete(key)
    with pytest.raises(StoredFileDamaged, match="is gone"):
        load(tiny.NAME, "train", storage=url)[0]
    assert tiny.plain(prepare(dataset, storage=url)) == tiny.expected()


def test_damage_in_the_cache_is_mended_by_who_verifies(s3: str, dataset: Dataset, home: Path) -> None:
    prepare(dataset, storage=s3)
    for copy in (home / "cache").iterdir():
        if len(copy.name) == 64:
            copy.write_bytes(bytes(copy.stat().st_size))
    assert tiny.plain(load(tiny.NAME, storage=s3, verify="all")) == tiny.expected()


def test_a_file_that_the_cache_cannot_hold_is_said(
    s3: str, dataset: Dataset, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(dataset, storage=s3)
    monkeypatch.setenv("DATASET_ASSETS_CACHE_BYTES", "10")
    with pytest.raises(NoSpace, match="Set DATASET_ASSETS_CACHE_BYTES to"):
        load(tiny.NAME, "train", storage=s3)[0]
