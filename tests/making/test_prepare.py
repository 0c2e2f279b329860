"""Preparing: what is missing is made, nothing else is touched, and equal bytes give equal digests everywhere."""

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
import tiny
from conftest import looked_at, url
from places import SUPPORT

from dataset_assets import Array, Columns, Dataset, DerivedFile, RemoteFile, Split, Text, load, prepare
from dataset_assets.core.canonical import canonical, digest_of
from dataset_assets.core.files import READS
from dataset_assets.errors import (
    CheckFailed,
    Conflict,
    DatasetAssetsError,
    DigestMismatch,
    NotPrepared,
    RetrievalError,
    StorageError,
    UnknownDataset,
    UsageError,
)
from dataset_assets.storage import LocalStorage, MemoryStorage
from dataset_assets.storage.keys import index_key, pointer_key, source_key, version_key
from dataset_assets.storage.manifest import Version, pointer_to
from dataset_assets.storage.releases import publish_version, release
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.faults import counting, installed
from dataset_assets.testing.server import FaultyServer


def versions_of(storage: LocalStorage) -> dict[str, str]:
    """Return the digest of the released version, and of the index of each split."""
    digest, _ = StoredDataset(storage, tiny.NAME).pointer()
    assert digest is not None
    return {"version": digest, **StoredDataset(storage, tiny.NAME).version(digest).splits}


@pytest.fixture
def storage(home: Path) -> LocalStorage:
    return LocalStorage(home / "storage")


# --- the first time


def test_what_is_prepared_is_what_was_defined(home: Path, dataset: Dataset) -> None:
    views = prepare(dataset)
    assert tiny.plain(views) == tiny.expected()
    assert tiny.plain(load(tiny.NAME)) == tiny.expected()
    assert views["train"].roles == {"sample": "image", "target": "label"}


def test_files_lie_where_the_asset_keys_say_and_are_named_by_their_content(home: Path, dataset: Dataset) -> None:
    prepare(dataset)
    place = home / "storage" / "org" / "example" / "tiny"
    assert {path.name for path in place.iterdir()} - {".current.json.lock"} == {
        "raw",
        "train",
        "test",
        "versions",
        "current.json",
    }
    assert {path.name for path in (place / "raw").iterdir()} == {"numbers_csv", "backwards_csv"}
    assert {path.name for path in (place / "train").iterdir()} == {*tiny.STREAMS, "index"}
    for name, (*_, digest) in looked_at(place).items():
        # A note that a recipe made an index has both in its name.
        noted = len(Path(name).stem) > 100
        if not noted and Path(name).name not in ("current.json", "source.json", ".current.json.lock"):
            assert Path(name).name.split(".")[0] == digest, name


def test_nothing_is_left_in_scratch(home: Path, dataset: Dataset) -> None:
    prepare(dataset)
    assert list((home / "scratch").iterdir()) == []


def test_a_dataset_is_prepared_into_any_storage(home: Path, dataset: Dataset) -> None:
    storage = MemoryStorage()
    assert tiny.plain(prepare(dataset, storage=storage)) == tiny.expected()
    assert tiny.plain(load(tiny.NAME, storage=storage)) == tiny.expected()
    assert not (home / "storage").exists()


def test_progress_names_files_and_splits(home: Path, dataset: Dataset) -> None:
    seen: list[tuple[str, int, int | None]] = []
    prepare(dataset, progress=lambda *report: seen.append(report))
    assert ("numbers_csv", len(tiny.NUMBERS), len(tiny.NUMBERS)) in seen
    assert (f"{tiny.NAME} train", 6, None) in seen


def test_a_split_may_need_no_file_and_a_file_may_be_called_like_a_split(home: Path, fast_path: Path) -> None:
    (fast_path / "train").write_bytes(b"12")
    file = RemoteFile(url(fast_path) + "train")
    splits = {"train": Split(_digits, digits=file), "none": Split(_counted, count=3)}
    found = prepare(Dataset("org.example.mixed", "Digits.", {"x": Array("int64")}, splits))
    assert [sample["x"] for sample in found["train"]] == [1, 2]
    assert [sample["x"] for sample in found["none"]] == [100, 101, 102]


def _digits(digits: Any) -> Iterator[Any]:
    yield from ({"x": int(digit)} for digit in digits.read().decode())


def _counted(count: int) -> Iterator[Any]:
    yield Columns(x=list(range(100, 100 + count)))


# --- the second time


def test_a_second_prepare_writes_nothing_and_asks_nobody(home: Path, fast_path: Path) -> None:
    with FaultyServer({"/numbers.csv": tiny.NUMBERS}) as server:
        dataset = tiny.tiny(server.url + "/")
        first = prepare(dataset)
        before, asked = looked_at(home), len(server.requests)
        assert asked == 1
        with counting() as calls:
            second = prepare(dataset)
        assert calls.calls == 0
        assert looked_at(home) == before
        assert len(server.requests) == asked
    assert first["train"].version == second["train"].version


def test_a_second_prepare_needs_neither_network_nor_a_storage_that_can_be_written(home: Path, dataset: Dataset) -> None:
    prepare(dataset)
    (home / "scratch").rmdir()
    with installed(_refuse):
        assert tiny.plain(prepare(dataset)) == tiny.expected()


def _refuse(operation: str, path: Path, size: int) -> None:
    if operation not in READS:
        raise OSError(errno.EROFS, f"{operation} {path}")


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("what", ["index", "image", "row", "all"])
def test_a_split_that_was_deleted_is_made_again_without_a_download_and_nothing_else_is_touched(
    home: Path, fast_path: Path, split: str, what: str
) -> None:
    with FaultyServer({"/numbers.csv": tiny.NUMBERS}) as server:
        dataset = tiny.tiny(server.url + "/")
        prepare(dataset)
        server.forget()
        place = home / "storage" / "org" / "example" / "tiny"
        before = looked_at(place)
        gone = [path for path in (place / split).rglob("*") if path.is_file() and what in (path.parent.name, "all")]
        assert gone
        for path in gone:
            path.unlink()
        assert tiny.plain(prepare(dataset)) == tiny.expected()
        assert server.requests == []
    after = looked_at(place)
    assert {name: what[3] for name, what in after.items()} == {name: what[3] for name, what in before.items()}
    other = "test" if split == "train" else "train"
    for name in before:
        if not name.startswith(f"{split}/"):
            assert after[name] == before[name], name
    assert any(name.startswith(f"{other}/") for name in before)


def test_a_changed_function_makes_its_split_again_and_only_that(
    home: Path, dataset: Dataset, storage: LocalStorage
) -> None:
    prepare(dataset)
    before = versions_of(storage)
    splits = dict(dataset.splits)
    splits["test"] = Split(tiny.samples, **{**splits["test"].arguments, "scale": 0.3})
    views = prepare(replace(dataset, splits=splits))
    assert views["test"][0]["image"][0, 0] == np.float32(1.8)
    after = versions_of(storage)
    assert after["train"] == before["train"]
    assert after["test"] != before["test"]


def test_going_back_to_a_former_definition_makes_nothing(home: Path, dataset: Dataset, storage: LocalStorage) -> None:
    prepare(dataset)
    first = versions_of(storage)
    prepare(replace(dataset, version="2"))
    assert versions_of(storage) != first
    before = set(looked_at(home / "storage"))
    prepare(dataset)
    assert versions_of(storage) == first
    assert set(looked_at(home / "storage")) == before


# --- equal bytes, equal digests

ELSEWHERE = """
import os, sys, time
sys.path.insert(0, {tests!r})
import tiny
from dataset_assets import prepare
time.tzset()
views = prepare(tiny.tiny({folder!r}))
print(views["train"].version, views["train"].origin.index, views["test"].origin.index)
"""


def test_two_machines_get_equal_digests(home: Path, dataset: Dataset, fast_path: Path, storage: LocalStorage) -> None:
    prepare(dataset)
    here = versions_of(storage)
    other = fast_path / "another place"
    other.mkdir()
    (other / "numbers.csv").write_bytes(tiny.NUMBERS)
    # Another process, home, mirror that answers, zone, locale and hash seed.
    environment = {
        **os.environ,
        "DATASET_ASSETS_HOME": str(fast_path / "there"),
        "TZ": "Asia/Tokyo",
        "PYTHONHASHSEED": "7",
        "LC_ALL": "C",
    }
    code = ELSEWHERE.format(tests=str(SUPPORT), folder=url(other))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=other
    )
    assert done.stdout.split() == [here["version"], here["train"], here["test"]]


def test_a_storage_does_not_show_in_digests(home: Path, dataset: Dataset, storage: LocalStorage) -> None:
    prepare(dataset)
    elsewhere = prepare(dataset, storage=MemoryStorage())
    assert elsewhere["train"].version == versions_of(storage)["version"]


def test_file_bytes_is_the_only_setting_that_shows(
    home: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, storage: LocalStorage
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", "64")
    views = prepare(dataset)
    assert tiny.plain(views) == tiny.expected()
    assert tiny.plain(load(tiny.NAME, verify="all")) == tiny.expected()


def test_no_digest_holds_a_float_a_time_a_host_or_a_path(home: Path, dataset: Dataset) -> None:
    prepare(dataset)
    place = home / "storage" / "org" / "example" / "tiny"
    documents = [*place.glob("versions/*"), *place.glob("*/index/*"), place / "current.json"]
    assert len(documents) == 6
    for path in documents:
        text = path.read_text()
        assert canonical(json.loads(text)).decode() == text
        assert not list(_floats(json.loads(text)))
        for banned in (str(home), os.uname().nodename, "20" + "26-", "numpy", "pyarrow"):
            assert banned not in text


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _floats(inner)


def test_the_index_names_the_first_declared_url_whichever_mirror_answered(
    home: Path, dataset: Dataset, storage: LocalStorage
) -> None:
    prepare(dataset)
    index = StoredDataset(storage, tiny.NAME).index("train", versions_of(storage)["train"])
    assert {source.argument: source.url for source in index.sources} == {
        "numbers": tiny.NOWHERE + "numbers.csv",
        "loud": "derived:shouted",
        "backwards": "derived:reversed_lines",
    }
    assert index.arguments == {"first": 0, "last": 6, "scale": 0.5}


def test_another_first_url_is_another_index_as_on_a_fresh_machine(home: Path, folder: Path, fast_path: Path) -> None:
    def defined(*mirrors: str) -> Dataset:
        splits = {
            "all": Split(
                _digits, digits=RemoteFile("n.txt", mirrors=mirrors, digest="md5:" + "c20ad4d76fe97759aa27a0c99bff6710")
            )
        }
        return Dataset("org.example.moved", "Digits.", {"x": Array("int64")}, splits)

    (folder / "n.txt").write_bytes(b"12")
    prepare(defined(url(folder)))
    moved = prepare(defined(tiny.NOWHERE, url(folder)))
    fresh = prepare(defined(tiny.NOWHERE, url(folder)), storage=MemoryStorage())
    assert moved["all"].version == fresh["all"].version


# --- readers and writers


def test_a_reader_keeps_the_version_that_it_opened(
    home: Path, folder: Path, dataset: Dataset, storage: LocalStorage
) -> None:
    old = prepare(dataset)
    (folder / "numbers.csv").write_bytes(tiny.CHANGED)
    newer = tiny.tiny(url(folder), version="2")
    newer = _renamed(newer, "changed.csv")
    (folder / "changed.csv").write_bytes(tiny.CHANGED)
    new = prepare(newer)
    assert tiny.plain(old) == tiny.expected()
    assert tiny.plain(new) == tiny.expected(tiny.CHANGED)
    assert tiny.plain(load(f"{tiny.NAME}@{old['train'].version}")) == tiny.expected()
    assert tiny.plain(load(f"{tiny.NAME}@sha256:{new['train'].version}", verify="all")) == tiny.expected(tiny.CHANGED)
    assert tiny.plain(load(tiny.NAME)) == tiny.expected(tiny.CHANGED)


def _renamed(dataset: Dataset, name: str) -> Dataset:
    """Return the dataset with another file in the place of the retrieved one."""

    def moved(value: Any) -> Any:
        if isinstance(value, RemoteFile):
            return replace(value, name=name, identifier="")
        if isinstance(value, DerivedFile):
            return DerivedFile(value.name, value.function, keep=value.keep, numbers=moved(value.arguments["numbers"]))
        return value

    splits = {k: Split(s.function, **{n: moved(v) for n, v in s.arguments.items()}) for k, s in dataset.splits.items()}
    return replace(dataset, splits=splits)


def test_files_named_by_their_content_are_never_overwritten(home: Path, dataset: Dataset, folder: Path) -> None:
    prepare(dataset)
    place = home / "storage"
    before = looked_at(place)
    (folder / "changed.csv").write_bytes(tiny.CHANGED)
    prepare(_renamed(dataset, "changed.csv"))
    prepare(replace(dataset, license="MIT"))
    prepare(dataset)
    after = looked_at(place)
    for name, (inode, _, size, digest) in before.items():
        if Path(name).name not in ("current.json", "source.json"):
            assert (after[name][0], *after[name][2:]) == (inode, size, digest), name


def test_a_late_publisher_does_not_move_the_pointer_back(home: Path, dataset: Dataset, storage: LocalStorage) -> None:
    prepare(dataset)
    _, pointer = StoredDataset(storage, tiny.NAME).pointer()
    mine = StoredDataset(storage, tiny.NAME).version(versions_of(storage)["version"])
    newer = prepare(replace(dataset, version="2"))
    with pytest.raises(Conflict, match="released by somebody else") as caught:
        release(StoredDataset(storage, tiny.NAME), replace(mine, recipe="another"), pointer)
    assert caught.value.exit_code == 7
    assert versions_of(storage)["version"] == newer["train"].version
    refused = digest_of(replace(mine, recipe="another"))
    assert tiny.plain(load(f"{tiny.NAME}@{refused}")) == tiny.expected()


def test_two_who_release_the_same_do_not_conflict(home: Path, dataset: Dataset, storage: LocalStorage) -> None:
    digest = prepare(dataset)["train"].version
    version = StoredDataset(storage, tiny.NAME).version(str(digest))
    assert release(StoredDataset(storage, tiny.NAME), version, "0" * 64) == digest


def test_a_version_whose_files_were_collected_is_not_released(
    home: Path, dataset: Dataset, storage: LocalStorage
) -> None:
    views = prepare(dataset)
    version = StoredDataset(storage, tiny.NAME).version(str(views["train"].version))
    next((home / "storage").rglob("test/image/*.npy")).unlink()
    with pytest.raises(DatasetAssetsError):
        release(
            StoredDataset(storage, tiny.NAME),
            replace(version, recipe="another"),
            StoredDataset(storage, tiny.NAME).pointer()[1],
        )
    assert StoredDataset(storage, tiny.NAME).pointer()[0] == views["train"].version


def test_a_newer_release_of_the_library_is_not_taken_for_damage(
    home: Path, dataset: Dataset, storage: LocalStorage
) -> None:
    digest = str(prepare(dataset)["train"].version)
    newer = canonical(replace(StoredDataset(storage, tiny.NAME).version(digest), format=9))
    from dataset_assets.core.canonical import sha256_hex

    storage.put(version_key(tiny.NAME, sha256_hex(newer)), newer)
    for pointer in (pointer_to(sha256_hex(newer)), _sealed({"format": 9, "version": {"anything": "else"}})):
        storage.put(pointer_key(tiny.NAME), pointer)
        before = looked_at(home / "storage")
        for act in (lambda: load(tiny.NAME), lambda: prepare(dataset)):
            with pytest.raises(DatasetAssetsError, match="format 9.*Upgrade"):
                act()
        assert looked_at(home / "storage") == before


def _sealed(document: dict[str, Any]) -> bytes:
    return canonical({**document, "seal": digest_of(document)})


# --- sources


def test_a_source_that_changed_behind_its_url_is_refused_once_its_bytes_are_needed(home: Path) -> None:
    with FaultyServer({"/numbers.csv": tiny.NUMBERS}) as server:
        dataset = tiny.small(f"{server.url}/numbers.csv")
        version = prepare(dataset)["train"].version
        server.files["/numbers.csv"] = tiny.CHANGED
        for path in (home / "storage").rglob("raw/*/*"):
            if path.suffix != ".json":
                path.unlink()
        # Nothing is to be made, so nothing is retrieved.
        assert prepare(dataset)["train"].version == version
        assert len(server.requests) == 1
        with pytest.raises(DigestMismatch, match="(?s)recorded when it was first .* prepare --refresh"):
            prepare(replace(dataset, version="2"))
        assert load(tiny.NAME)["train"].version == version
        prepare(dataset, refresh=True)
    assert load(tiny.NAME)["train"].version != version


def test_raw_files_that_were_deleted_come_back_when_they_are_needed(home: Path, fast_path: Path) -> None:
    with FaultyServer({"/numbers.csv": tiny.NUMBERS}) as server:
        dataset = tiny.small(f"{server.url}/numbers.csv")
        prepare(dataset)
        before = looked_at(home / "storage")
        raws = [path for path in (home / "storage").rglob("raw/*/*") if path.suffix != ".json"]
        for path in raws:
            path.unlink()
        shutil.rmtree(home / "storage" / "org" / "example" / "tiny" / "test")
        prepare(dataset)
        assert len(server.requests) == 2
        after = looked_at(home / "storage")
        assert {*after} == {*before}
        # The records of the files say when these came.
        assert all(after[name][3] == before[name][3] for name in before if not name.endswith("source.json"))
        for path in raws:
            path.unlink()
        prepare(dataset, refresh=True)
        assert len(raws) == 2 and all(path.exists() for path in raws)


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", b'{"record": 1}', b"[" * 100_000, None])
def test_a_lost_record_does_not_let_other_bytes_in(
    home: Path, folder: Path, dataset: Dataset, storage: LocalStorage, damage: bytes | None
) -> None:
    prepare(dataset)
    key = source_key(tiny.NAME, "numbers_csv")
    storage.delete(key) if damage is None else storage.put(key, damage)
    (folder / "numbers.csv").write_bytes(tiny.CHANGED)
    with pytest.raises(DigestMismatch, match="recorded when it was first"):
        prepare(dataset)
    (folder / "numbers.csv").write_bytes(tiny.NUMBERS)
    before = versions_of(storage)
    prepare(dataset)
    assert versions_of(storage) == before
    assert StoredDataset(storage, tiny.NAME).raw("numbers_csv") is not None


@pytest.mark.parametrize("file", ["numbers_csv", "backwards_csv"])
def test_nothing_is_made_of_a_raw_file_that_was_damaged(
    home: Path, dataset: Dataset, storage: LocalStorage, file: str
) -> None:
    prepare(dataset)
    path = next(path for path in (home / "storage").rglob(f"raw/{file}/*") if path.suffix != ".json")
    data = bytearray(path.read_bytes())
    data[3] ^= 2
    path.unlink()
    path.write_bytes(data)
    assert tiny.plain(prepare(replace(dataset, version="2"))) == tiny.expected()
    assert path.read_bytes() != data


def test_a_stated_digest_equal_to_the_recorded_one_needs_no_download(home: Path, fast_path: Path) -> None:
    import hashlib

    with FaultyServer({"/n.txt": b"12"}) as server:
        for digest in (None, "sha256:" + hashlib.sha256(b"12").hexdigest(), None):
            file = RemoteFile(server.url + "/n.txt", digest=digest)
            prepare(
                Dataset("org.example.stated", "Digits.", {"x": Array("int64")}, {"all": Split(_digits, digits=file)})
            )
        assert len(server.requests) == 1


def test_offline_asks_no_network_and_says_so(home: Path, monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    monkeypatch.setenv("DATASET_ASSETS_OFFLINE", "1")
    assert tiny.plain(prepare(dataset)) == tiny.expected()
    with FaultyServer({"/numbers.csv": tiny.NUMBERS}) as server:
        remote = replace(tiny.tiny(server.url + "/"), name="org.example.remote")
        splits = {"all": Split(_digits, digits=RemoteFile(server.url + "/numbers.csv"))}
        with pytest.raises(RetrievalError, match="`offline` is on"):
            prepare(replace(remote, splits=splits, streams={"x": Array()}, sample=None, target=None, roles={}))
        assert server.requests == []


# --- refresh


def served(server: FaultyServer, digest: str | None = None) -> Dataset:
    file = RemoteFile(f"{server.url}/numbers.csv", digest=digest)
    return Dataset(tiny.NAME, "Lines.", {"line": Text()}, {"all": Split(_lines, file=file)}, checks={"leakage": "off"})


def _lines(file: Any) -> Iterator[Any]:
    for line in file:
        yield {"line": line.decode()}


def test_a_refresh_of_what_did_not_change_asks_and_writes_nothing(home: Path) -> None:
    with FaultyServer({"/numbers.csv": b"1\n2\n"}) as server:
        before = prepare(served(server))["all"].version
        files = looked_at(home / "storage")
        server.forget()
        assert prepare(served(server), refresh=True)["all"].version == before
        assert [request.headers["If-None-Match"] is not None for request in server.requests] == [True]
    assert looked_at(home / "storage") == files


def test_a_refresh_takes_what_changed_and_the_old_version_stays(home: Path) -> None:
    with FaultyServer({"/numbers.csv": b"1\n2\n"}) as server:
        old = prepare(served(server))["all"]
        server.files["/numbers.csv"] = b"1\n2\n3\n"
        assert prepare(served(server))["all"].version == old.version
        [raw] = [path for path in (home / "storage").rglob("raw/*/*") if path.suffix != ".json"]
        raw.unlink()
        with pytest.raises(DigestMismatch, match=f"dataset-assets prepare --refresh {tiny.NAME}$"):
            prepare(replace(served(server), version="2"))
        new = prepare(served(server), refresh=True)["all"]
    assert (len(old), len(new), len(load(tiny.NAME, "all"))) == (2, 3, 3)
    assert len(load(f"{tiny.NAME}@{old.version}", "all")) == 2


def test_a_refresh_does_not_take_other_bytes_than_were_declared(home: Path) -> None:
    first = b"1\n2\n"
    with FaultyServer({"/numbers.csv": first}) as server:
        dataset = served(server, f"sha256:{sha256(first).hexdigest()}")
        old = prepare(dataset)["all"].version
        server.files["/numbers.csv"] = b"3\n"
        with pytest.raises(DigestMismatch, match="it was defined with"):
            prepare(dataset, refresh=True)
    assert load(tiny.NAME, "all").version == old


def test_a_refresh_mends_a_file_that_was_damaged_though_its_source_did_not_change(home: Path) -> None:
    with FaultyServer({"/numbers.csv": b"1\n2\n"}) as server:
        old = prepare(served(server))["all"].version
        [raw] = [path for path in (home / "storage").rglob("raw/*/*") if path.suffix != ".json"]
        raw.chmod(0o644)
        raw.write_bytes(b"1\n3\n")
        shutil.rmtree(home / "storage" / "org" / "example" / "tiny" / "all")
        assert prepare(served(server), refresh=True)["all"].version == old
    assert raw.read_bytes() == b"1\n2\n"


# --- checks


def test_a_refused_version_can_be_looked_at_and_the_released_one_stays(
    home: Path, dataset: Dataset, storage: LocalStorage
) -> None:
    good = prepare(dataset)
    splits = dict(dataset.splits)
    splits["test"] = Split(tiny.samples, **{**splits["test"].arguments, "first": 5})
    leaking = replace(dataset, splits=splits)
    with pytest.raises(
        CheckFailed, match=r"leakage: 1 samples of test are also in train: test\[0\] = train\[5\]"
    ) as caught:
        prepare(leaking)
    assert caught.value.exit_code == 9
    assert versions_of(storage)["version"] == good["train"].version
    refused = next(word for word in str(caught.value).split() if "@" in word).strip(";.")
    assert len(load(refused)["test"]) == 5
    assert len(load(tiny.NAME)["test"]) == 4
    accepted = prepare(replace(leaking, checks={"leakage": "warn"}))
    assert len(accepted["test"]) == 5
    findings = StoredDataset(storage, tiny.NAME).version(versions_of(storage)["version"]).findings
    assert [(f.check, f.passed, f.severity) for f in findings if f.check == "leakage"] == [("leakage", False, "warn")]


def test_a_first_version_that_is_refused_leaves_the_dataset_unprepared(home: Path, dataset: Dataset) -> None:
    splits = {"train": dataset.splits["train"], "test": dataset.splits["train"]}
    with pytest.raises(CheckFailed, match="6 samples of test are also in train"):
        prepare(replace(dataset, splits=splits))
    with pytest.raises(NotPrepared):
        load(tiny.NAME)


def test_checks_of_the_authors_own_see_views_and_decide(home: Path, dataset: Dataset) -> None:
    def enough(views: Any) -> str | None:
        return None if len(views["test"]) >= 4 else "There are too few for testing."

    def too_few(views: Any) -> str | None:
        return f"{views['test'].dataset} has only {len(views['test'])} samples."

    assert prepare(replace(dataset, checks={"enough": enough}))
    with pytest.raises(CheckFailed, match=f"too_few: {tiny.NAME} has only 4 samples"):
        prepare(replace(dataset, checks={"too_few": too_few}))


def test_unknown_names_are_answered_with_the_nearest(home: Path) -> None:
    with pytest.raises(UnknownDataset, match=r"com\.lecun\.mnits\. Did you mean 'com\.lecun\.mnist'\?"):
        prepare("com.lecun.mnits")


def test_a_disk_that_cannot_be_read_is_not_taken_for_an_empty_one(
    home: Path, dataset: Dataset, storage: LocalStorage
) -> None:
    class Broken(LocalStorage):
        def get(self, key: str) -> Any:
            if key.endswith("current.json"):
                raise StorageError(errno.EIO, "Input/output error")
            return super().get(key)

    prepare(dataset)
    before = looked_at(home / "storage")
    with pytest.raises(StorageError):
        prepare(dataset, storage=Broken(home / "storage"))
    assert looked_at(home / "storage") == before


def test_a_version_without_release_is_opened_by_its_digest_only(
    home: Path, dataset: Dataset, storage: LocalStorage
) -> None:
    views = prepare(dataset, storage=storage)
    version = StoredDataset(storage, tiny.NAME).version(str(views["train"].version))
    digest = publish_version(StoredDataset(storage, tiny.NAME), replace(version, recipe="unreleased"))
    assert load(f"{tiny.NAME}@{digest}")["train"].version == digest
    assert load(tiny.NAME)["train"].version == views["train"].version
    assert isinstance(version, Version)
    assert storage.exists(index_key(tiny.NAME, "train", version.splits["train"]))


@pytest.mark.parametrize("wrong", [5, None, os])
def test_what_is_no_dataset_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is not a dataset"):
        prepare(wrong)
