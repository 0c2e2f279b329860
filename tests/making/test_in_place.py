"""Parquet files that stay where they are are read as stored streams are, or refused by name if they changed."""

import datetime
import os
import shlex
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from conftest import on_server
from media import picture
from orchestrated import made, run

from dataset_assets import Dataset, Split, View, load, prepare
from dataset_assets.cli.common import State
from dataset_assets.cli.main import commands
from dataset_assets.core.names import storage_key
from dataset_assets.core.roots import roots_of
from dataset_assets.errors import Conflict, DecodeError, IntegrityError, ObjectReplaced, Refused, UsageError
from dataset_assets.loader import Loader
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.copy import copy
from dataset_assets.moving.forget import forget
from dataset_assets.moving.gc import collect
from dataset_assets.moving.share import push
from dataset_assets.moving.unbundle import unbundle
from dataset_assets.moving.verify import verify
from dataset_assets.reading import in_place as reading
from dataset_assets.reading import placed_parts
from dataset_assets.reading.stored_files import index_of
from dataset_assets.sources import dataset_from, source_of
from dataset_assets.storage import MemoryStorage, Storage, open_storage
from dataset_assets.storage.exclusions import exclusions
from dataset_assets.storage.format_numbers import DIVIDED
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.lake"
SHARES = {"train": 0.75, "test": 0.25}
FILES, ROWS = 2, 40
EVERY = ("n", "half", "kind", "text", "day", "list", "nested", "image", "wide")
FEW = ("n", "kind", "text")


def table(k: int) -> pyarrow.Table:
    numbers = np.arange(k * ROWS, (k + 1) * ROWS)
    return pyarrow.table(
        {
            "n": numbers,
            "half": [None if n % 7 == 0 else n / 2 for n in numbers],
            "kind": [("owl", "finch")[n % 2] for n in numbers],
            "text": [f"é{n}" for n in numbers],
            "day": [datetime.date(2020, 1, 1) + datetime.timedelta(int(n)) for n in numbers],
            "list": [list(range(n % 3)) for n in numbers],
            "nested": [{"a": int(n), "b": [str(n)]} for n in numbers],
            "image": [picture("PNG", 4, 4, seed=int(n)) for n in numbers],
            "wide": pyarrow.FixedSizeListArray.from_arrays(np.arange(ROWS * 4, dtype="float32"), 4),
        }
    )


def parquet(k: int, columns: tuple[str, ...] = FEW) -> bytes:
    file = BytesIO()
    pyarrow.parquet.write_table(table(k).select(columns), file, row_group_size=25)
    return file.getvalue()


class Lake:
    """A folder or a prefix of a bucket with Parquet files."""

    def __init__(self, storage: Storage, url: str) -> None:
        self.storage, self.url = storage, url

    def put(self, k: int, data: bytes) -> None:
        self.storage.put(f"birds/part_{k}.parquet", data)

    @property
    def bytes(self) -> int:
        return sum(self.storage.stat(key).bytes for key in self.storage.list("birds"))


file_only = pytest.mark.parametrize("lake", ["file"], indirect=True)


@pytest.fixture(params=["file", "s3"])
def lake(request: pytest.FixtureRequest, home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    storage = (
        on_server("seaweed", request, monkeypatch)
        if request.param == "s3"
        else open_storage((fast_path / "lake").as_uri())
    )
    found = Lake(storage, f"{storage.url}/birds/*.parquet")
    for k in range(FILES):
        found.put(k, parquet(k))
    return found


def source(lake: Lake) -> str:
    return lake.url.removeprefix("file://")


def in_place(lake: Lake, **more: Any) -> Dataset:
    return dataset_from(source(lake), name=NAME, target="kind", splits=SHARES, copy=False, **more)


def values(view: Any) -> list[str]:
    """Return each sample in words, in which a missing number equals another one."""
    return [repr({name: np.asarray(value, object).tolist() for name, value in one.items()}) for one in view]


def written(home: Path) -> int:
    return sum(path.stat().st_size for path in (home / "storage").rglob("*") if path.is_file())


def see_emptied(folder: Path) -> None:
    """Parts are read ahead by threads, which end after the samples are there."""
    for _ in range(6000):
        if not [*folder.iterdir()]:
            return
        time.sleep(0.01)
    raise AssertionError([*folder.iterdir()])


def test_they_are_read_as_stored_streams_and_nothing_but_indexes_is_written(lake: Lake, home: Path) -> None:
    for k in range(FILES):
        lake.put(k, parquet(k, EVERY))
    found = prepare(in_place(lake))
    names = {path.parent.name for path in (home / "storage").rglob("*") if path.is_file()}
    assert names <= {"index", "rows", "versions", "lake"}
    see_emptied(home / "scratch")
    copied = prepare(dataset_from(source(lake), name="org.example.copied", target="kind", splits=SHARES))
    assert {split: len(view) for split, view in found.items()} == {"all": 80, "train": 60, "test": 20}
    for split, view in found.items():
        assert values(view) == values(copied[split])
        assert [type(v) for v in view[0].values()] == [type(v) for v in copied[split][0].values()]
        a, b = (next(iter(Loader(one[split], 25, shuffle=True, seed=2))) for one in (found, copied))
        assert repr(a) == repr(b)
    again = prepare(in_place(lake))
    assert again["train"].version == found["train"].version


def seen(view: View, world: int, steps: int | None, state: Any = None, **more: Any) -> tuple[list[int], Any]:
    rows, last = [], None
    for rank in range(world):
        loader = Loader(view, 12 // world, rank=rank, world=world, threads=0, seed=3, **more)
        if state is not None:
            loader.load_state_dict(state)
        for step, batch in enumerate(loader):
            rows += batch["n"].tolist()
            last = loader.state_dict()
            if step + 1 == steps:
                break
    return rows, last


@pytest.mark.parametrize("shuffle", [True, "blocks"])
def test_an_epoch_is_exact_when_two_ranks_become_three(lake: Lake, shuffle: Any) -> None:
    view = prepare(in_place(lake))["train"].only("n", "text")
    before, state = seen(view, 2, 3, shuffle=shuffle)
    after, _ = seen(view, 3, None, state, shuffle=shuffle)
    assert sorted(before + after) == sorted(view.to_numpy()["n"].tolist())


def test_little_is_written_of_large_objects(lake: Lake, home: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(FILES):
        file, wide = BytesIO(), rng.normal(size=(300, 1000))
        pyarrow.parquet.write_table(
            pyarrow.table({f"x{c}": wide[:, c] for c in range(2)} | {"blob": [row.tobytes() for row in wide]}), file
        )
        lake.put(k, file.getvalue())
    prepare(dataset_from(source(lake), name=NAME, copy=False))
    assert written(home) < 0.001 * lake.bytes


def test_an_object_that_is_overwritten_is_named_before_a_batch_holds_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "HELD_BYTES", 1)  # so that nothing is read ahead
    found = prepare(in_place(lake))
    view = found["all"].only("n")
    assert view[0]["n"] == 0
    lake.put(1, parquet(1)[:-1] + b"2")
    with pytest.raises(ObjectReplaced, match="part_1.parquet"):
        for batch in Loader(view, 20, threads=0, shuffle=True):
            assert len(batch["n"]) == 20, "what was read before is whole"
    assert view[1]["n"] == 1
    lake.put(1, parquet(2))
    for opened in (load(NAME, "all"), load(NAME, "train")):
        with pytest.raises(ObjectReplaced, match="part_1.parquet"):
            opened.to_numpy()  # type: ignore[attr-defined]
    with pytest.raises(ObjectReplaced, match="part_1.parquet"):
        load(NAME, "all", verify="all")
    (damage,) = verify(NAME, open_storage(here())).damaged
    assert "part_1.parquet" in damage.key
    with pytest.raises(ObjectReplaced, match="part_1.parquet"):
        copy(NAME, open_storage(here()), MemoryStorage())
    lake.storage.delete("birds/part_1.parquet")
    with pytest.raises(ObjectReplaced, match="part_1.parquet"):
        load(NAME, "all")[ROWS]  # type: ignore[index]


@file_only
def test_a_copy_and_a_bundle_have_all_values_and_a_digest_of_their_own(
    lake: Lake, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = prepare(in_place(lake))
    storage, other, third = open_storage(here()), MemoryStorage(), MemoryStorage()
    (done,) = copy(NAME, storage, other)
    old, new = found["train"].version, done.current
    assert new and new != old and f"@{old} " in caplog.text and f"@{new}" in caplog.text
    assert copy(NAME, storage, other)[0].current == new
    bundle([NAME], storage, tar := BytesIO())
    tar.seek(0)
    assert unbundle(tar, third)[0].current == new
    collect(storage, keep_versions=1, grace_seconds=0)
    expected = {split: values(view) for split, view in found.items()}
    for k in range(FILES):
        lake.storage.delete(f"birds/part_{k}.parquet")
    for place in (other, third):
        assert {split: values(view) for split, view in load(NAME, storage=place).items()} == expected
        index = index_of(load(NAME, "train", storage=place))  # type: ignore[arg-type]
        assert index.placed is None and index.rows and index.format == DIVIDED
        assert not verify(NAME, place).damaged


@file_only
def test_a_copy_and_a_bundle_have_each_split_and_each_version(lake: Lake) -> None:
    parts = {split: source(lake).replace("*", f"part_{k}") for k, split in enumerate(("train", "test"))}
    (old,) = {view.version for view in prepare(dataset_from(parts, name=NAME, copy=False)).values()}
    lake.put(2, parquet(2))
    parts["test"] = source(lake).replace("*", "part_2")
    found = prepare(dataset_from(parts, name=NAME, copy=False))
    storage, other, third = open_storage(here()), MemoryStorage(), MemoryStorage()
    (done,) = copy(NAME, storage, other, versions="all")
    assert len(done.versions) == 2 and old not in done.versions
    bundle([NAME], storage, tar := BytesIO(), versions="all")
    tar.seek(0)
    unbundle(tar, third)
    for place in (other, third):
        assert {split: values(view) for split, view in load(NAME, storage=place).items()} == {
            split: values(view) for split, view in found.items()
        }
        texts = {load(f"{NAME}@{one}", "test", storage=place)[0]["text"] for one in done.versions}  # type: ignore[index]
        assert texts == {f"é{ROWS}", f"é{2 * ROWS}"}


@file_only
@pytest.mark.parametrize("inside", ["../lake/birds", "birds/../birds", "./birds"])
def test_a_path_may_lead_up_and_down(lake: Lake, fast_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    monkeypatch.chdir(fast_path / "lake")
    at_once = prepare(dataset_from("birds/*.parquet", name=NAME, copy=False))["all"].version
    for given in (f"{inside}/*.parquet", f"{fast_path}/lake/{inside}", [f"{inside}/part_{k}.parquet" for k in (0, 1)]):
        assert prepare(dataset_from(given, name=NAME, copy=False))["all"].version == at_once


@file_only
def test_links_are_read_where_they_lead(lake: Lake, fast_path: Path) -> None:
    snap, blobs = fast_path / "models" / "snap", fast_path / "lake" / "birds"
    snap.mkdir(parents=True)
    for k in range(FILES):
        (snap / f"{k}.parquet").symlink_to(Path("../../lake/birds") / f"part_{k}.parquet")
    found = prepare(dataset_from(f"{snap}/*.parquet", name=NAME, copy=False))["all"]
    placed = index_of(found).placed  # type: ignore[arg-type]
    assert placed and {one.url.rpartition("/")[0] for one in placed.objects} == {blobs.as_uri()}
    assert roots_of(here()) == [f"{blobs.as_uri()}/"] and len(found) == FILES * ROWS


@file_only
def test_a_file_that_became_a_link_says_which_folder_to_allow(lake: Lake, fast_path: Path) -> None:
    prepare(as_earlier_releases_defined(in_place(lake)))  # as a renamed file has another change time
    file, there = fast_path / "lake" / "birds" / "part_0.parquet", fast_path / "a b" / "moved"
    there.parent.mkdir()
    file.rename(there)
    file.symlink_to(there)
    with pytest.raises(Refused, match="part_0.parquet .*a link to .*/a%20b/moved.*settings roots allow ") as refused:
        load(NAME, "all")
    words = shlex.split(str(refused.value).partition("dataset-assets ")[2])
    commands.main(words, standalone_mode=False, obj=State())
    assert len(load(NAME, "all").to_numpy()["n"]) == FILES * ROWS  # type: ignore[union-attr]


@file_only
@pytest.mark.parametrize("options", [[], ["--repair"]])
def test_no_repair_is_advised_for_an_object_that_is_gone(
    lake: Lake, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    prepare(in_place(lake))
    lake.storage.delete("birds/part_1.parquet")
    with pytest.raises(SystemExit):
        commands.main(["verify", NAME, *options], standalone_mode=False, obj=State())
    shown = "".join(capsys.readouterr())
    assert "part_1.parquet" in shown and "Restore it" in shown and "dataset_from(" in shown
    assert "--repair" not in shown
    lake.put(1, parquet(1))
    anew = prepare(in_place(lake))["all"].version
    assert not verify(f"{NAME}@{anew}", open_storage(here())).damaged


@pytest.mark.parametrize("damaged", [parquet(0)[:-9], b"", b"no parquet at all", b"PAR1" + b"\xff" * 99 + b"PAR1"])
def test_an_object_that_is_not_parquet_is_named(lake: Lake, damaged: bytes) -> None:
    prepare(in_place(lake))
    lake.put(0, damaged)
    url = lake.url.replace("*", "part_0")
    for given in (source(lake), source(lake).replace("*", "part_0")):
        with pytest.raises(DecodeError, match="Write the file again") as refused:
            prepare(dataset_from(given, name=NAME, copy=False))
        assert url in str(refused.value) and "Retrieve" not in str(refused.value)


@file_only
def test_a_second_push_finds_its_copy_there_and_reads_no_value(
    lake: Lake, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(in_place(lake))
    remote = open_storage((fast_path / "remote").as_uri())
    first = push(NAME, remote)
    reads = list[int]()
    values = placed_parts.RowGroups.values
    monkeypatch.setattr(placed_parts.RowGroups, "values", lambda *given: reads.append(1) or values(*given))
    second = push(NAME, remote)
    assert first.files and second.current == first.current and not second.files and not reads
    lost = next(key for key in remote.list(storage_key(NAME)) if key.endswith(".npy"))
    remote.delete(lost)
    assert push(NAME, remote).current == first.current and remote.exists(lost) and reads
    lake.put(2, parquet(2))
    prepare(in_place(lake))
    with pytest.raises(Conflict, match="--force"):
        push(NAME, remote)
    assert push(NAME, remote, force=True).current != first.current


def as_earlier_releases_defined(found: Dataset) -> Dataset:
    """Return a dataset in place whose definition and index have only the modification times of its files."""
    whole = found.splits["all"]
    said: Any = whole.plain
    objects = [{**one, "etag": one["etag"].partition("-")[0]} for one in said["objects"]]
    split = Split(whole.function, read=said["read"], columns=said["columns"], objects=objects)
    return replace(found, splits={**found.splits, "all": split})


def overwrite(path: Path, data: bytes) -> None:
    """Write other bytes into a file, which keeps its inode and its modification time."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of a file system goes in steps
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def other(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


@file_only
def test_a_file_that_was_overwritten_is_named_although_its_size_and_time_are_as_they_were(
    lake: Lake, fast_path: Path
) -> None:
    view = prepare(in_place(lake))["all"]
    path = fast_path / "lake" / "birds" / "part_1.parquet"
    overwrite(path, other(path.read_bytes()))
    for again in (view, load(NAME, "all")):
        with pytest.raises(ObjectReplaced, match="part_1.parquet.* was written, copied.* Look at the source again"):
            again.to_numpy()  # type: ignore[attr-defined]
    with pytest.raises(ObjectReplaced, match="part_1.parquet"):
        load(NAME, "all", verify="all")


@file_only
def test_a_folder_that_was_brought_back_from_a_copy_is_read_when_it_was_looked_at_again(
    lake: Lake, fast_path: Path
) -> None:
    before = prepare(in_place(lake))["all"].to_numpy()["n"].tolist()
    folder, saved = fast_path / "lake" / "birds", fast_path / "saved"
    shutil.copytree(folder, saved)  # which keeps the modification times, as `cp -p` does
    shutil.rmtree(folder)
    saved.rename(folder)
    with pytest.raises(ObjectReplaced, match=r"has the size and the modification time .*copy=False"):
        load(NAME, "all").to_numpy()  # type: ignore[union-attr]
    assert prepare(in_place(lake))["all"].to_numpy()["n"].tolist() == before


@file_only
def test_a_file_that_an_earlier_release_named_is_compared_by_what_its_index_has(lake: Lake, fast_path: Path) -> None:
    view = prepare(as_earlier_releases_defined(in_place(lake)))["all"]
    path = fast_path / "lake" / "birds" / "part_1.parquet"
    data = path.read_bytes()
    overwrite(path, data)
    assert len(view.to_numpy()["n"]) == len(load(NAME, "all").to_numpy()["n"]) == FILES * ROWS  # type: ignore[union-attr]
    path.write_bytes(data)
    os.utime(path, (1, 1))
    with pytest.raises(ObjectReplaced, match="part_1.parquet.* was overwritten"):
        load(NAME, "all").to_numpy()  # type: ignore[union-attr]


@file_only
@pytest.mark.parametrize("swapped", ["birds/part_1.parquet", "birds"])
def test_a_link_that_is_put_in_the_place_of_a_file_later_is_not_followed_out_of_the_roots(
    lake: Lake, fast_path: Path, swapped: str
) -> None:
    """Whoever made the index may know the size and time of a file that only its reader may read."""
    view = prepare(as_earlier_releases_defined(in_place(lake)))["all"]
    place, secret = fast_path / "lake" / swapped, fast_path / "secret"
    place.rename(secret)
    place.symlink_to(secret)
    with pytest.raises(Refused, match=f"part_.*leads to {secret}.*settings roots allow file://{fast_path}/"):
        view.to_numpy()


@file_only
def test_the_content_of_an_object_is_learnt_by_verify_and_compared_from_then_on(lake: Lake, fast_path: Path) -> None:
    prepare(as_earlier_releases_defined(in_place(lake)))
    path = fast_path / "lake" / "birds" / "part_1.parquet"
    data = path.read_bytes()
    assert not verify(NAME, open_storage(here())).damaged
    overwrite(path, other(data))
    load(NAME, "all")
    with pytest.raises(ObjectReplaced, match="part_1.parquet.* has sha256 "):
        load(NAME, "all", verify="all")
    (damage,) = verify(NAME, open_storage(here())).damaged
    assert damage.reason or "sha256" in str(damage)
    overwrite(path, data)
    assert not verify(NAME, open_storage(here())).damaged


@pytest.mark.parametrize("lake", ["s3"], indirect=True)
def test_two_hundred_objects_of_a_bucket(lake: Lake, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "HELD_BYTES", 8 << 20)
    rng, count = np.random.default_rng(0), 200
    with ThreadPoolExecutor(8) as pool:
        rows = [pyarrow.table({"n": np.arange(6 * k, 6 * k + 6), "blob": [rng.bytes(70_000) for _ in range(6)]})
                for k in range(count)]  # fmt: skip

        def put(k: int) -> None:
            pyarrow.parquet.write_table(rows[k], file := BytesIO(), compression="none", use_dictionary=False)
            lake.put(k, file.getvalue())

        [*pool.map(put, range(count))]
    view = prepare(dataset_from(source(lake), name=NAME, copy=False))["all"].only("n")
    assert len(view) == 6 * count and written(home) < 0.001 * lake.bytes
    before, state = seen(view, 2, 7, shuffle=True)
    after, _ = seen(view, 3, None, state, shuffle=True)
    assert sorted(before + after) == [*range(6 * count)] and before != sorted(before)
    lake.put(117, parquet(0))
    held: list[int] = []
    with pytest.raises(ObjectReplaced, match="part_117.parquet"):
        for batch in Loader(load(NAME, "all"), 6, shuffle=True, threads=0):  # type: ignore[arg-type]
            held += batch["n"].tolist()
    assert not {*held} & {*range(6 * 117, 6 * 118)}


@file_only
def test_gc_never_touches_the_objects(lake: Lake) -> None:
    prepare(in_place(lake))
    before = lake.bytes
    prepare(dataset_from(source(lake), name=NAME, copy=False))
    collect(open_storage(here()), keep_versions=1, grace_seconds=0)
    assert lake.bytes == before and len(load(NAME, "all")) == 80


@file_only
def test_a_storage_is_believed_only_below_the_roots_of_the_reader(
    lake: Lake, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(in_place(lake))
    storage, url = open_storage(here()), here()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "somebody_else"))
    calls: list[Callable[[], object]] = [
        lambda: load(NAME),
        lambda: copy(NAME, storage, MemoryStorage()),
        lambda: bundle([NAME], storage, BytesIO()),
        lambda: verify(NAME, storage),
    ]
    for call in calls:
        with pytest.raises(Refused, match="settings roots allow .*/birds/"):
            call()
    folder = lake.url.rpartition("/")[0]
    for wrong in (f"{url} {folder}/other/", f"file:///elsewhere {folder}/", f"{url} {folder[:-1]}/"):
        monkeypatch.setenv("DATASET_ASSETS_ROOTS", wrong)
        with pytest.raises(Refused):
            load(NAME)
    monkeypatch.setenv("DATASET_ASSETS_ROOTS", f"{url} {folder}/")
    assert len(load(NAME, "train")) == 60


@file_only
@pytest.mark.parametrize("dry_run", [True, False])
def test_what_is_to_be_forgotten_is_refused_before_it_is_recorded(lake: Lake, dry_run: bool) -> None:
    stays = in_place(lake)
    prepare(stays)
    for _ in range(2):
        with pytest.raises(Refused, match="split all, .* copy=True"):
            forget(stays, {"text": "é3"}, here(), dry_run=dry_run)
    assert not exclusions(StoredDataset(open_storage(here()), NAME)).every
    assert len(prepare(in_place(lake))["all"]) == 80
    stored = dataset_from(source(lake), name=NAME, target="kind", splits=SHARES)
    prepare(stored)
    assert forget(stored, {"text": "é3"}, here(), dry_run=dry_run).samples["all"] == 1
    assert len(load(NAME, "all")) == 80 - (not dry_run)


@file_only
def test_dagster_makes_the_same(lake: Lake) -> None:
    dataset = in_place(lake)
    by_prepare = prepare(dataset)["train"].version
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(dataset, instance)
    assert result.success
    found = made(result)
    assert by_prepare in repr(found)


@file_only
def test_the_definition_as_text_names_each_object(lake: Lake, tmp_path: Path) -> None:
    dataset = in_place(lake)
    space: dict[str, Any] = {}
    exec(source_of(dataset), space)
    assert space["dataset"] == dataset or space["dataset"].splits == dataset.splits


@file_only
@pytest.mark.parametrize(
    "change",
    [
        {"read": "orc"},
        {"read": "webdataset"},
        {"read": "files"},
        {"columns": {}},
        {"columns": {"n": {"from": 1, "as": "numbers"}}},
        {"columns": {"n": {"from": "n", "as": "anything"}}},
        {"columns": {"n": {"from": "gone", "as": "numbers", "dtype": "int64"}}},
    ],
)
def test_an_index_that_says_something_else_is_one_typed_error(lake: Lake, change: dict[str, Any]) -> None:
    view: Any = prepare(in_place(lake))["all"]
    index = index_of(view)
    assert index.placed
    with pytest.raises(IntegrityError):
        reading.placed_columns(replace(index, placed=replace(index.placed, **change)), here())["n"][0]


@pytest.mark.parametrize(
    "wrong", ["hf://someone/birds", "https://127.0.0.1:9/a.parquet", "doi:10.1/a", {"x": np.arange(3)}]
)
def test_what_cannot_stay_is_refused_before_it_is_asked(home: Path, wrong: Any) -> None:
    with pytest.raises(UsageError, match="copy=True"):
        dataset_from(wrong, copy=False)


def test_other_kinds_of_files_are_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(UsageError, match="copy=True"):
        dataset_from(tmp_path / "a.csv", copy=False)


def here() -> str:
    from dataset_assets.core.settings import settings

    return settings().storage
