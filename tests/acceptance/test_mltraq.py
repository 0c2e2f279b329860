"""MLtraq's acceptance checks, one test for each, by its number; tests/experiments tests the room at length."""

import io
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pandas
import pytest
from children import ended, in_child
from exactly import same

from dataset_assets.core.settings import origins
from dataset_assets.errors import DatasetAssetsError, NoSpace, SchemaError
from dataset_assets.experiments import (
    DataStore,
    DataStoreIO,
    Experiment,
    Folder,
    create_experiment,
    datastore,
    load_experiment,
)
from dataset_assets.testing import failing


@pytest.fixture(autouse=True)
def store(home: Path, fast_path: Path) -> Iterator[Path]:
    """The folder in which experiments and values lie."""
    with datastore(fast_path / "store"):
        yield fast_path / "store"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if is_object(path)}


def is_object(path: Path) -> bool:
    return path.is_file() and path.name[0] != "."


def with_store(name: str, **values: Any) -> Experiment:
    experiment = create_experiment(name)
    with experiment.run() as run:
        run.fields.ds = DataStore(values)
    return experiment


# The two examples of MLtraq's page on its data store, but for their first lines.
FIRST = """
experiment = create_experiment()
with experiment.run() as run:
    # DataStore with two values
    run.fields.ds = DataStore()
    run.fields.ds.a = np.zeros(10)
    run.fields.ds.b = pd.Series([1, 2, 3])

    # DataStore with a single value
    run.fields.ds2 = DataStore()
    run.fields.ds2.c = 123

# Persist experiment
experiment.persist()

print(f"ID experiment: {experiment.id_experiment}")
for pathname in glob.glob("*/**", root_dir=f"{dirname}", recursive=True):
    print(pathname)

# Reload experiment from database
experiment.reload()

# Show stored values
ds = experiment.runs.first().fields.ds
ds2 = experiment.runs.first().fields.ds2
print("a", type(ds.a), ds.a)
print("b", type(ds.b), ds.b.values)
print("c", type(ds2.c), ds2.c)
"""
SECOND = """
experiment = create_experiment()
with experiment.run() as run:
    a = np.zeros(10)
    b = b"11111"
    run.fields.url_a = DataStoreIO.serialize_write(a, relative_path_prefix=f"self_managed/{run.id_experiment}").url
    run.fields.url_b = DataStoreIO.write(b, relative_path_prefix=f"self_managed/{run.id_experiment}").url

print(f"ID experiment: {experiment.id_experiment}")
for pathname in glob.glob("*/**", root_dir=f"{dirname}", recursive=True):
    print(pathname)

fields = experiment.runs.first().fields
print("url_a", fields.url_a)
print("url_b", fields.url_b)

# `a` is read and deserialized
a = DataStoreIO(fields.url_a).read_deserialize()
print("a", type(a), a)

# `b` is loaded directly, no serialization/deserialization
b = DataStoreIO(fields.url_b).read()
print("b", type(b), b)

# Delete directory containing the stored objects
DataStoreIO.delete("self_managed")
"""


@pytest.mark.parametrize("example", [FIRST, SECOND], ids=["of an experiment", "of values of ones own"])
def test_0_the_two_examples_of_its_page_run(example: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import glob\nimport numpy as np\nimport pandas as pd\n"
        "from dataset_assets.experiments import DataStore, DataStoreIO, create_experiment\n" + example
    )
    exec(compile(code, "example", "exec"), {"dirname": store})
    printed = capsys.readouterr().out
    assert "a <class 'numpy.ndarray'> [0. 0. 0. 0. 0. 0. 0. 0. 0. 0.]" in printed
    assert ("c <class 'int'> 123" if example == FIRST else "b <class 'bytes'> b'11111'") in printed


def test_1_the_record_holds_references_only_and_the_values_come_back_equal(store: Path) -> None:
    values = {"a": np.asfortranarray(np.eye(3)[:2]), "b": pandas.Series([1, 2], index=["x", "y"], name="n"), "c": 123}
    with_store("x", **values).persist()
    (record,) = [json.loads(data) for name, data in files_of(store).items() if "/runs/" in name]
    refers = record["runs"][0]["fields"]["ds"]["store"]
    assert all(found.keys() == {"value"} and found["value"]["object"] for found in refers.values())
    found = load_experiment("x").runs.first().fields.ds
    assert all(same(found[name], value) for name, value in values.items())


def test_2_every_kind_of_value_comes_back_exactly() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
    try:
        import test_values
    finally:
        del sys.path[0]
    with_store("x", **test_values.VALUES).persist()
    found = load_experiment("x").runs.first().fields.ds
    assert [name for name, value in test_values.VALUES.items() if not same(found[name], value)] == []


def test_3_what_is_not_supported_is_refused_before_anything_is_touched(store: Path) -> None:
    with_store("x", a=1).persist()
    before = files_of(store)
    with pytest.raises(SchemaError, match=r"^run 0: ds\.model\['layers'\]\[1\] is a builtins.function"):
        with_store("x", model={"layers": [1, len.__class__, lambda: 1][::2]}).persist(if_exists="replace")
    assert files_of(store) == before


READ = """
import sys, numpy
from dataset_assets.experiments import DataStoreIO
print(DataStoreIO(sys.argv[1]).read(), DataStoreIO(sys.argv[2]).read_deserialize())
"""


def test_4_bytes_and_values_are_read_by_url_in_a_fresh_process_anywhere(store: Path, fast_path: Path) -> None:
    urls = DataStoreIO.write(b"raw").url, DataStoreIO.serialize_write({"a": (1, 2.5)}, "models").url
    environment = {**os.environ, "DATASET_ASSETS_DATASTORE_URL": store.as_uri()}
    for folder in (fast_path, Path("/")):
        command = [sys.executable, "-c", READ, *urls]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.stdout == "b'raw' {'a': (1, 2.5)}\n", done.stderr


def test_5_every_compression_comes_back_whatever_the_setting_is_later() -> None:
    values = [np.arange(400_000), {"a": [1] * 1000}, b"x" * 3_000_000]
    for k, written in enumerate(("none", "zstd")):
        with datastore(compression=written):
            urls = [DataStoreIO.serialize_write(value, f"p{k}").url for value in values]
            with_store(f"x{k}", values=values[0], small=values[1]).persist()
        for read in ("none", "zstd"):
            with datastore(compression=read):
                assert all(same(DataStoreIO(url).read_deserialize(), value) for url, value in zip(urls, values))
                found = load_experiment(f"x{k}").runs.first().fields.ds
                assert same(found["values"], values[0]) and found.small == values[1]


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("evil",)


def test_6_reading_never_executes_code(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = io.BytesIO()
    np.save(objects, np.array([Evil()], dtype=object), allow_pickle=True)
    for codec, data in (
        ("pickle", pickle.dumps(Evil())),
        ("npy", objects.getvalue()),
        ("json", b'{"$os.mkdir": "evil"}'),
    ):
        found = DataStoreIO.write(data, "hostile")
        forged = found.url.replace(".bytes", f".{codec}")
        (store / found.url[6:]).rename(store / forged[6:])
        with pytest.raises(DatasetAssetsError):
            DataStoreIO(forged).read_deserialize()
    assert [*tmp_path.iterdir()] == []


def replaced() -> None:
    experiment = create_experiment("x")
    for k in range(5):
        with experiment.run(k=k) as run:
            run.fields.ds = DataStore(large=np.full(200_000, 7.0), small=7.0)
    experiment.persist(if_exists="replace")


def test_7_replacing_leaves_the_old_or_the_new_whole(store: Path) -> None:
    def whole() -> float:
        runs = load_experiment("x").runs
        found = {value for run in runs for value in (*run.fields.ds.large.tolist()[:2], run.fields.ds.small)}
        assert len(found) == 1 and len(runs) == (5 if found == {7.0} else 2)
        return float(found.pop())

    old = create_experiment("x")
    for _ in range(2):
        with old.run() as run:
            run.fields.ds = DataStore(large=np.full(150_000, 1.0), small=1.0)
    old.persist()
    for n in range(1, 12):
        with failing(n, "ENOSPC"), pytest.raises(NoSpace):
            replaced()
        assert whole() == 1.0
    rng, seen = random.Random(7), set()
    for _ in range(20):
        child = in_child(replaced, wait=False)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        assert ended(child) in (0, -signal.SIGKILL)
        seen.add(whole())
        if 7.0 in seen:
            old.persist(if_exists="replace")
    assert 1.0 in seen


def test_8_deleting_removes_its_own_and_nothing_outside_can_be_deleted(store: Path) -> None:
    mine = DataStoreIO.write(b"mine", "self/managed")
    with_store("kept", a=np.zeros(10)).persist()
    before = files_of(store)
    gone = with_store("gone", a=np.zeros(10)).persist()
    gone.persist(if_exists="replace")
    gone.delete()
    victim = store.parent / "victim"
    victim.write_text("x")
    for prefix in ("", "..", "../victim", "/", str(victim), ".", "self/../..", "experiments/../.."):
        with pytest.raises(DatasetAssetsError):
            DataStoreIO.delete(prefix)
    assert DataStoreIO.delete("experiments") == 0 and DataStoreIO.delete("sel") == 0
    assert files_of(store) == before and mine.read() == b"mine" and victim.exists()
    assert same(load_experiment("kept").runs.first().fields.ds.a, np.zeros(10))


def test_9_urls_are_handled_exactly_or_refused(store: Path) -> None:
    url = DataStoreIO.write(b"x", "a").url
    (store.parent / "secret").write_bytes(b"secret")
    changed = [url.replace("/a/", f"/{part}/") for part in ("..", "%2e%2e", "a b", "ä", "a#b", "a?b", "../..", ".")]
    for wrong in (
        *changed, "s3://bucket/a", "file:///../../secret", "http://host/a", f"{url}#x", f"{url}?x", f"{url} ",
        url.replace("store:", "store://host/"), "file:///" + url[6:],
    ):  # fmt: skip
        with pytest.raises(DatasetAssetsError):
            DataStoreIO(wrong).read()
    assert DataStoreIO(url).read() == b"x"


TOUCH = r"""
import re
from dataset_assets.experiments import load_experiment
store = load_experiment("x").runs.first().fields.ds
total = float(store.v3.sum())
peak = re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1]
print(total, len(store), int(peak) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_10_ten_large_values_are_opened_without_reading_them(store: Path) -> None:
    with_store("x", **{f"v{k}": np.full(100 << 17, float(k)) for k in range(10)}).persist()
    environment = {**os.environ, "DATASET_ASSETS_DATASTORE_URL": store.as_uri()}
    command = [sys.executable, "-c", TOUCH]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    total, count, peak = done.stdout.split()
    assert (float(total), int(count)) == (3.0 * (100 << 17), 10) and int(peak) < 250, done.stdout


def test_11_a_flipped_byte_in_any_object_is_an_error(store: Path) -> None:
    experiment = with_store("x", large=np.arange(300_000), small=[1, 2], text="y" * 100).persist()
    url = DataStoreIO.serialize_write(np.arange(5), "mine").url

    def read_all() -> None:
        [*experiment.reload().runs.first().fields.ds.items()]
        DataStoreIO(url).read_deserialize()

    read_all()
    for name, data in files_of(store).items():
        flipped = bytearray(data)
        flipped[len(data) // 3] ^= 16
        (store / name).write_bytes(flipped)
        with pytest.raises(DatasetAssetsError):
            read_all()
        (store / name).write_bytes(data)
    read_all()


def test_12_a_thousand_small_values_are_grouped_and_fast(store: Path) -> None:
    experiment = create_experiment("x")
    for k in range(1000):
        with experiment.run(k=k) as run:
            run.fields.ds = DataStore(a=os.urandom(1024))
    written, read = [], []
    for _ in range(3):
        began = time.process_time()
        experiment.persist(if_exists="replace")
        written.append(time.process_time() - began)
        began = time.process_time()
        again = load_experiment("x")
        read.append(time.process_time() - began)
    assert all(run.fields.ds.a == experiment.runs[k].fields.ds.a for k, run in enumerate(again.runs))
    with_store("y", **{f"v{k}": k for k in range(1000)}).persist()
    assert len([name for name in files_of(store) if name.startswith("experiments/y")]) == 3
    # By its own measure, MLtraq takes 0.33 and 0.64 s.
    assert min(written) < 0.33 and min(read) < 0.64


def test_13_a_folder_is_stored_by_url_listed_and_extracted_safely(tmp_path: Path) -> None:
    for name in ("a.txt", "b/c.txt", "b/d.bin", "b/e.tmp"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    url = DataStoreIO.serialize_write(Folder(tmp_path / "in", exclude="*.tmp"), "trees").url
    found = DataStoreIO(url).read_deserialize()
    assert found.names == ["a.txt", "b/c.txt", "b/d.bin"] and found.read("b/d.bin") == b"b/d.bin"
    found.extract(tmp_path / "out")
    assert (tmp_path / "out/b/c.txt").read_bytes() == b"b/c.txt"
    with pytest.raises(DatasetAssetsError):
        found.extract(tmp_path / "out")
    (tmp_path / "in/link").symlink_to("/etc/passwd")
    with pytest.raises(SchemaError, match="'link'"):
        DataStoreIO.serialize_write(Folder(tmp_path / "in"), "trees")


def test_14_options_are_set_globally_per_block_and_per_call_and_listed(
    fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_DATASTORE_URL", (fast_path / "set").as_uri())
    assert origins()["datastore_url"] == ((fast_path / "set").as_uri(), "DATASET_ASSETS_DATASTORE_URL")
    assert origins()["datastore_compression"] == ("none", "default")
    with datastore(fast_path / "block"):
        DataStoreIO.write(b"x", "a")
        DataStoreIO.write(b"x", "a", storage=fast_path / "call")
    assert all((fast_path / name / "values" / "a").is_dir() for name in ("block", "call"))
