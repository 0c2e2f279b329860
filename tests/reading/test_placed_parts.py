"""Archives of WebDataset and files of folders that stay where they are are read as stored streams are."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import on_server
from media import picture

from dataset_assets import Dataset, load, prepare
from dataset_assets.core.settings import settings
from dataset_assets.errors import DecodeError, ObjectReplaced, SchemaError, UsageError
from dataset_assets.loader import Loader
from dataset_assets.making import in_place as making
from dataset_assets.moving.copy import copy
from dataset_assets.reading import in_place as reading
from dataset_assets.reading import placed_parts
from dataset_assets.reading.stored_files import index_of
from dataset_assets.sources import dataset_from, source_of
from dataset_assets.storage import MemoryStorage, Storage, open_storage

NAME = "org.example.lake"
SHARES = {"train": 0.75, "test": 0.25}
SHARDS, SAMPLES = 3, 20


def tar(files: dict[str, bytes], mode: str = "w", **more: Any) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode, **more) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def shard(k: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for n in range(k * SAMPLES, (k + 1) * SAMPLES):
        key = f"{'long/' * 40}{n:04}" if n % 7 == 0 else f"{n:04}"
        found |= {
            f"{key}.png": picture("PNG", 4, 4, seed=n),
            f"{key}.cls": b"%d" % (n % 2),
            f"{key}.json": json.dumps({"n": n}).encode(),
            f"{key}.txt": f"é{n}".encode(),
        }
        if n % 5 == 0:
            found[f".hidden{n}"] = b"passed over"
    return found


@pytest.fixture(params=["file", "s3"])
def lake(request: pytest.FixtureRequest, home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """An empty folder, or a bucket, with objects of somebody else."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    if request.param == "s3":
        return on_server("seaweed", request, monkeypatch)
    return open_storage((fast_path / "lake").as_uri())


def place(lake: Storage, rest: str) -> str:
    return f"{lake.url}/{rest}".removeprefix("file://")


def values(view: Any) -> list[str]:
    return [repr({name: np.asarray(value, object).tolist() for name, value in one.items()}) for one in view]


def see_equal(inside: Dataset, stored: Dataset) -> dict[str, Any]:
    """See that two datasets have the same samples, one by one and in shuffled batches; return the first."""
    one, other = prepare(inside), prepare(stored)
    assert {*one} == {*other}
    for split, view in one.items():
        assert values(view) == values(other[split])
        assert [type(value) for value in view[0].values()] == [type(value) for value in other[split][0].values()]
        first, second = (next(iter(Loader(each[split], 8, shuffle=True, seed=2))) for each in (one, other))
        assert repr(first) == repr(second)
    return dict(one)


@pytest.mark.parametrize("run_bytes", [1, 1 << 13, 1 << 20])
def test_archives_are_read_as_stored_streams(lake: Storage, run_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "RUN_BYTES", run_bytes)
    for k in range(SHARDS):
        lake.put(f"birds/{k}.tar", tar(shard(k)))
    given: dict[str, Any] = {"target": "cls", "splits": SHARES}
    source = place(lake, "birds/*.tar")
    found = see_equal(
        dataset_from(source, name=NAME, copy=False, **given), dataset_from(source, name="org.example.copied", **given)
    )
    index = index_of(found["all"])
    assert index.placed and not index.files and len(found["all"]) == SHARDS * SAMPLES
    parts = [part for one in index.placed.objects for part in one.parts]
    assert len(parts) == {1: SHARDS * SAMPLES, 1 << 20: SHARDS}.get(run_bytes, len(parts))


def test_files_of_a_folder_are_read_as_stored_streams(lake: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placed_parts, "TOGETHER_BYTES", 1500)
    for n in range(30):
        split, kind = ("train", "val")[n % 3 == 0], ("owl", "finch")[n % 2]
        side = 4 + n % 2 if n < 20 else 16
        lake.put(f"birds/{split}/{kind}/{n}.png", picture("PNG", side, side, seed=n))
    source = place(lake, "birds/")
    found = see_equal(dataset_from(source, name=NAME, copy=False), dataset_from(source, name="org.example.copied"))
    assert {split: len(view) for split, view in found.items()} == {"train": 20, "val": 10}
    assert not index_of(found["train"]).files and found["train"].classes["label"] == ("finch", "owl")


@pytest.mark.parametrize(("ending", "data"), [("txt", "é{}\n"), ("wav", None), ("bin", "bytes {}")])
def test_other_files_of_a_folder_are_too(
    home: Path, fast_path: Path, ending: str, data: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    import soundfile

    for n in range(6):
        path = fast_path / "files" / ("a é", "b?#%")[n % 2] / f"{n} ü.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            soundfile.write(path, np.linspace(-0.5, 0.5, 100 + n), 8000)
        else:
            path.write_text(data.format(n))
    one = prepare(dataset_from(fast_path / "files", name=NAME, copy=False))["all"]
    other = prepare(dataset_from(fast_path / "files", name="org.example.copied"))["all"]
    first, second = ([{**sample} for sample in view] for view in (one, other))
    for a, b in zip(first, second, strict=True):
        assert repr(a) == repr(b)


def test_labels_of_files_are_read_without_the_files(
    home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    folder = pictures(fast_path)
    prepare(dataset_from(folder, name=NAME, copy=False))
    view: Any = load(NAME, "all")
    for path in folder.rglob("*.png"):
        path.unlink()
    assert view.only("label").to_numpy()["label"].tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ObjectReplaced, match="0.png.* is gone"):
        view[0]


def pictures(fast_path: Path) -> Path:
    for n in range(6):
        path = fast_path / "pets" / ("cat", "dog")[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture("PNG", 4, 4, seed=n))
    return fast_path / "pets"


def test_a_damaged_picture_is_named_by_its_path(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    folder = pictures(fast_path)
    (folder / "cat" / "2.png").write_bytes(picture("PNG", 4, 4)[:-30])
    with pytest.raises(SchemaError, match="pets/cat/2.png"):
        prepare(dataset_from(folder, name=NAME, copy=False))


def test_a_copy_of_archives_and_files_has_all_values(
    home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    (fast_path / "a.tar").write_bytes(tar(shard(0)))
    for source in (fast_path / "a.tar", pictures(fast_path)):
        view, other = prepare(dataset_from(source, name=NAME, copy=False))["all"], MemoryStorage()
        copy(NAME, open_storage(settings().storage), other)
        copied: Any = load(NAME, "all", storage=other)
        assert values(copied) == values(view) and index_of(copied).placed is None


def test_the_definition_as_text_is_the_same(home: Path, fast_path: Path) -> None:
    dataset, space = dataset_from(pictures(fast_path), name=NAME, copy=False), dict[str, Any]()
    exec(source_of(dataset), space)
    assert space["dataset"].splits == dataset.splits and space["dataset"].streams == dataset.streams


def test_what_cannot_be_read_in_parts_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(tar(shard(0), "w:gz"))
    (tmp_path / "b.tar").write_bytes(tar(shard(0), "w:gz"))
    headed = tar(shard(0), format=tarfile.PAX_FORMAT, pax_headers={"mtime": "5"})
    (tmp_path / "c.tar").write_bytes(headed)
    with pytest.raises(DecodeError, match="b.tar is .* compressed"):
        prepare(dataset_from(tmp_path / "b.tar", name=NAME, copy=False))
    with pytest.raises(DecodeError, match="c.tar has headers"):
        prepare(dataset_from(tmp_path / "c.tar", name=NAME, copy=False))
    with pytest.raises(UsageError, match="a.tar.gz is compressed.* copy=True"):
        dataset_from(tmp_path / "a.tar.gz", name=NAME, copy=False)
    with pytest.raises(UsageError, match="copy=True"):
        import zipfile

        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
            archive.writestr("a/1.png", picture())
        dataset_from(tmp_path / "d.zip", name=NAME, copy=False)


def test_an_archive_that_changed_is_named(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    monkeypatch.setattr(reading, "HELD_BYTES", 1)
    monkeypatch.setattr(making, "RUN_BYTES", 1)
    (fast_path / "a.tar").write_bytes(tar(shard(0)))
    view = prepare(dataset_from(fast_path / "a.tar", name=NAME, copy=False))["all"]
    (fast_path / "a.tar").write_bytes(tar(shard(1)))
    with pytest.raises(ObjectReplaced, match="a.tar"):
        for batch in Loader(view, 4, shuffle=True):
            raise AssertionError(batch)


def test_rows_that_are_written_over_between_two_streams_are_looked_up_anew(
    home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    monkeypatch.setattr(making, "RUN_BYTES", 1)
    (fast_path / "a.tar").write_bytes(tar(shard(0)))
    view: Any = prepare(dataset_from(fast_path / "a.tar", name=NAME, copy=False))["all"]
    columns = reading.placed_columns(index_of(view), settings().storage)
    rows = np.array([0, 5, 9])
    assert columns["txt"].take(rows) == ["é0", "é5", "é9"]
    assert [one["n"] for one in columns["json"].take(rows)] == [0, 5, 9]
    rows[:] = [7, 7, 2]
    assert [one["n"] for one in columns["json"].take(rows)] == [7, 7, 2]
    assert columns["txt"].take(rows) == ["é7", "é7", "é2"]
