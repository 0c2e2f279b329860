"""Values that users manage themselves: found by a URL anywhere, and never outside of the store."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exactly import same
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.core.settings import origins
from dataset_assets.errors import DatasetAssetsError, DigestMismatch, NameNotAllowed, NotFound, Refused, UsageError
from dataset_assets.experiments import DataStoreIO, create_experiment, datastore
from dataset_assets.storage import MemoryStorage, Storage


def test_bytes_and_values_are_written_and_read_by_url(another: Storage) -> None:
    with datastore(another):
        plain, value = DataStoreIO.write(b"abc", "a/b"), DataStoreIO.serialize_write(np.arange(3), "a/b")
        assert plain.url.startswith("store:values/a/b/") and plain.url.endswith(".bytes") and value.url.endswith(".npy")
        assert DataStoreIO(plain.url).read() == b"abc" and DataStoreIO(plain.url).read_deserialize() == b"abc"
        assert same(DataStoreIO(value.url).read_deserialize(np.ndarray), np.arange(3))
        assert DataStoreIO.write(b"abc", "a/b") == plain
        with pytest.raises(UsageError, match="holds a ndarray, not the expected dict"):
            DataStoreIO(value.url).read_deserialize(dict)
        with pytest.raises(UsageError, match="Use serialize_write"):
            DataStoreIO.write("text")  # type: ignore[arg-type]
    assert DataStoreIO(plain.url, storage=another).read() == b"abc"
    with datastore(MemoryStorage()), pytest.raises(NotFound, match="Set datastore_url"):
        DataStoreIO(plain.url).read()


def test_pickles_are_asked_for_at_both_ends() -> None:
    with datastore(MemoryStorage()):
        found = DataStoreIO.serialize_write({"p": Path("/a")}, "a", allow_pickle=True)
        with pytest.raises(Refused):
            found.read_deserialize()
        assert found.read_deserialize(allow_pickle=True) == {"p": Path("/a")}


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_every_compression_comes_back_and_a_flipped_byte_is_an_error(fast_path: Path, compression: str) -> None:
    for size in (0, 10, 3_000_000):
        value = np.arange(size)
        with datastore(fast_path, compression=compression):
            found = DataStoreIO.serialize_write(value, "a")
        assert found.url.endswith(".zst") == (compression == "zstd")
        with datastore(fast_path):
            assert same(DataStoreIO(found.url).read_deserialize(), value)
        path = fast_path / found.url.removeprefix("store:")
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(DigestMismatch, match="is damaged"):
            DataStoreIO(found.url, storage=fast_path).read()


URL = "store:values/a/" + "0" * 64 + ".bytes"
WRONG = (
    "s3://bucket/values/a", "file:///etc/passwd", URL.replace("/a/", "/../"), URL.replace("/a/", "/a/../../"),
    URL + "?", URL + "#x", URL.replace("/a/", "/%2e%2e/"), URL.replace("/a/", "//"), URL.replace("store:", "store://host/"),
    URL.replace("/a/", "/a b/"), URL.replace("/a/", "/ä/"), URL.replace("values", "experiments"), URL + "\n", "",
    None, 3, URL.replace("/a/", "/.hidden/"), URL.replace("/a/", "/"), URL.replace("0", "O"), URL + ".exe",
)  # fmt: skip


@pytest.mark.parametrize("url", WRONG)
def test_a_url_that_names_no_value_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        DataStoreIO(url)


PREFIXES = (
    "",
    "..",
    "a/..",
    "/a",
    "a/",
    "a//b",
    "../../x",
    ".",
    "a b",
    "%",
    "#",
    "?",
    "ä",
    "-x",
    ".x",
    3,
    "a\0",
    "a\n",
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_outside_or_empty_is_refused_everywhere(prefix: str, fast_path: Path) -> None:
    (fast_path / "victim").write_text("x")
    with datastore(fast_path / "store"):
        DataStoreIO.write(b"kept", "a")
        for act in (DataStoreIO.delete, lambda given: DataStoreIO.write(b"x", given)):
            with pytest.raises(NameNotAllowed):
                act(prefix)
    assert len([path for path in fast_path.rglob("*") if path.is_file()]) == 2


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("./%-_ab"), max_size=12))
@settings(max_examples=60)
def test_any_prefix_is_used_exactly_or_refused(prefix: str) -> None:
    storage = MemoryStorage()
    with datastore(storage):
        try:
            found = DataStoreIO.write(b"x", prefix)
        except NameNotAllowed:
            assert [*storage.list("")] == []
            return
        assert [*storage.list("")] == [found.url.removeprefix("store:")]
        assert DataStoreIO(found.url).read() == b"x" and DataStoreIO.delete(prefix) == 1


def test_prefixes_are_compared_by_whole_parts(another: Storage) -> None:
    with datastore(another):
        for prefix in ("run1", "run1/x", "run10", "run"):
            DataStoreIO.write(b"x", prefix)
        assert DataStoreIO.delete("run1") == 2 and DataStoreIO.delete("run1") == 0
        assert {key.split("/")[1] for key in another.list("values")} == {"run10", "run"}


def test_deleting_leaves_what_is_not_a_value_and_goes_through_no_link(fast_path: Path) -> None:
    with datastore(fast_path):
        url = DataStoreIO.write(b"x", "models").url
        (fast_path / "values/models/README.md").write_text("mine")
        (fast_path / "values/other").symlink_to("models")
        with pytest.raises(Refused, match="is a symbolic link"):
            DataStoreIO.delete("other")
        assert DataStoreIO(url).read() == b"x" and DataStoreIO.delete("models") == 1
    assert (fast_path / "values/models/README.md").read_text() == "mine"


def test_values_of_ones_own_survive_persisting_and_deleting(another: Storage) -> None:
    with datastore(another):
        experiment = create_experiment("x")
        with experiment.run() as run:
            run.fields.url = DataStoreIO.write(b"mine", f"self_managed/{run.id_experiment}").url
        experiment.persist()
        url = experiment.reload().runs.first().fields.url
        experiment.persist(if_exists="replace")
        experiment.delete()
        assert DataStoreIO(url).read() == b"mine" and DataStoreIO.delete("self_managed") == 1


READ = """
import sys
from dataset_assets.experiments import DataStoreIO
print(DataStoreIO(sys.argv[1]).read_deserialize())
"""


def test_a_url_means_the_same_in_another_process_and_working_directory(home: Path, fast_path: Path) -> None:
    url = DataStoreIO.serialize_write({"a": (1, 2)}, "models").url
    (fast_path / "elsewhere").mkdir()
    command = [sys.executable, "-c", READ, url]
    done = subprocess.run(command, cwd=fast_path / "elsewhere", capture_output=True, text=True)
    assert done.stdout == "{'a': (1, 2)}\n", done.stderr


def test_the_store_is_chosen_by_setting_by_block_and_by_call(
    home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert origins()["datastore_url"] == ((home / "storage").as_uri(), "storage")
    monkeypatch.setenv("DATASET_ASSETS_DATASTORE_URL", (fast_path / "set").as_uri())
    assert origins()["datastore_url"][1] == "DATASET_ASSETS_DATASTORE_URL"
    called, block = MemoryStorage(), MemoryStorage()
    DataStoreIO.write(b"x", "a")
    with datastore(block) as opened:
        assert opened is block and create_experiment("x").storage is block
        DataStoreIO.write(b"x", "a")
        DataStoreIO.write(b"x", "a", storage=called)
        with datastore(compression="zstd"):
            assert create_experiment("x").storage is block
    assert (fast_path / "set" / "values" / "a").is_dir()
    assert len([*block.list("")]) == len([*called.list("")]) == 1
    monkeypatch.setenv("DATASET_ASSETS_DATASTORE_COMPRESSION", "lzma")
    with pytest.raises(DatasetAssetsError, match="DATASTORE_COMPRESSION"):
        DataStoreIO.write(b"x", "a")
