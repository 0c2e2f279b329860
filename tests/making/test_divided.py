"""A divided split that stores row numbers is the one that stores values, in less than a hundredth of the bytes."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from media import picture
from orchestrated import run

from dataset_assets import Array, Columns, Dataset, Image, Split, SplitOf, Table, Text, load, prepare
from dataset_assets.definition import registry
from dataset_assets.definition.divided import rows_of
from dataset_assets.errors import DefinitionError, NewerFormat, StoredFileDamaged
from dataset_assets.making.divided import stores_rows
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.rm import rm
from dataset_assets.moving.unbundle import unbundle
from dataset_assets.moving.usage import usage
from dataset_assets.moving.verify import repair, verify
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.views.undecoded import encoded
from dataset_assets.sources import dataset_from
from dataset_assets.storage import MemoryStorage, Storage, manifest, open_storage
from dataset_assets.storage.releases import publish_version
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.rows"
SHARES = {"train": 0.75, "test": 0.25}
WAYS: list[tuple[str, dict[str, str]]] = [
    ("random_split", {}),
    ("stratified_split", {"by": "kind"}),
    ("group_split", {"by": "group"}),
    ("hash_split", {"by": "text"}),
]


def samples(count: int, first: int) -> Iterator[Columns]:
    numbers = np.arange(first, first + count)
    yield Columns(
        n=np.repeat(numbers, 64).reshape(count, 64),
        kind=(numbers % 4).astype("uint8"),
        group=numbers // 5,
        text=[f"é{n}" for n in numbers],
        row=[{"a": int(n), "b": None if n % 3 else "x"} for n in numbers],
        image=[picture("PNG", 8, 8, seed=int(n)) for n in numbers],
    )


def divided(way: str = "random_split", first: int = 0, materialize: bool = False, **given: Any) -> Dataset:
    whole = SplitOf("all")
    parts = getattr(whole, way)(SHARES, seed=4, materialize=materialize, **given)
    again = SplitOf("train").random_split({"fit": 0.5, "tune": 0.5}, materialize=materialize)
    return Dataset(
        name=NAME,
        summary="Numbers.",
        streams={"n": Array(), "kind": Array("uint8"), "group": Array(), "text": Text(),
                 "row": Table({"a": "int64", "b": "string"}), "image": Image("RGB", (8, 8))},
        splits={**again, **parts, "all": Split(samples, count=60, first=first)},
        target="kind",
        checks={"leakage": "off"},
    )  # fmt: skip


def values(view: Any) -> list[Any]:
    return [{name: np.asarray(value).tolist() for name, value in sample.items()} for sample in view]


def index_at(name: str, storage: Any = None) -> manifest.SplitIndex:
    found: Any = load(NAME, name, storage=storage)
    return index_of(found)


@pytest.mark.parametrize(("way", "given"), WAYS)
def test_its_samples_are_those_of_the_split_that_stores_values(home: Path, way: str, given: dict[str, str]) -> None:
    copied = prepare(divided(way, materialize=True, **given), storage=MemoryStorage())
    found = prepare(divided(way, **given))
    for split in ("all", "train", "test", "fit", "tune"):
        assert values(found[split]) == values(copied[split])
        assert found[split].origin.split == split
        assert values(encoded(found[split])) == values(encoded(copied[split]))
    stored = index_at("train"), index_at("fit")
    assert {index.rows.split for index in stored if index.rows} == {"all"} and stored[0].format == 4
    added = sum(index_at(split).bytes for split in ("train", "test"))
    assert added < 0.01 * index_at("all").bytes
    assert not any(path.parent.name in ("n", "image") for path in (home / "storage/org/example/rows/train").rglob("*"))


def test_a_second_prepare_makes_nothing_and_another_whole_makes_it_again(home: Path) -> None:
    first = prepare(divided())["train"]
    assert prepare(divided())["train"].version == first.version
    assert values(prepare(divided(first=7))["train"]) != values(first)
    assert values(load(f"{NAME}@{first.version}", "train")) == values(first)


def test_it_is_copied_bundled_verified_and_counted_with_the_files_of_the_other(home: Path, another: Storage) -> None:
    expected = values(prepare(divided())["fit"])
    copy(NAME, home_storage(home), another)
    assert values(load(NAME, "fit", storage=another)) == expected
    tar, there = BytesIO(), MemoryStorage()
    bundle([NAME], another, tar)
    tar.seek(0)
    unbundle(tar, there)
    assert values(load(NAME, "fit", storage=there)) == expected
    assert not verify(NAME, there).damaged
    (used,) = usage(there, keep_versions=3, grace_seconds=0)
    assert used.free == 0 and used.versions[0].bytes == used.streams


def test_damaged_row_numbers_are_found_and_made_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = divided()
    expected = values(prepare(dataset)["train"])
    storage, index = home_storage(home), index_at("train")
    key = index.rows_key
    path = home / "storage" / key
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(StoredFileDamaged, match="prepare"):
        load(NAME, "train")
    path.unlink()
    with pytest.raises(StoredFileDamaged, match="is gone"):
        load(NAME, "train")
    with pytest.raises(StoredFileDamaged, match="is gone"):
        StoredDataset(storage, NAME).check_sizes(index)
    found = verify(NAME, storage)
    assert [damage.key for damage in found.damaged] == [key]
    monkeypatch.setattr(registry, "find", lambda name: dataset)
    assert not repair(found, storage).left
    assert path.read_bytes() == good and values(load(NAME, "train")) == expected


def test_gc_and_rm_keep_the_files_and_the_index_of_the_other_split(home: Path) -> None:
    old = prepare(divided())["train"]
    new = prepare(divided(first=7))["train"]
    storage, stored = home_storage(home), StoredDataset(home_storage(home), NAME)
    # A version that has only the part, as an interrupted release would leave it.
    index = index_at("train")
    alone = replace(stored.current().version, splits={"train": new.origin.index})  # type: ignore[type-var]
    digest = publish_version(stored, alone)
    rm(f"{NAME}@{old.version}", storage, force=True)
    rm(f"{NAME}@{new.version}", storage, force=True)
    collect(storage, keep_versions=1, grace_seconds=0)
    assert values(load(f"{NAME}@{digest}", "train")) == values(new)
    assert index.rows and stored.index("all", index.rows.index).samples == 60
    copy(f"{NAME}@{digest}", storage, other := MemoryStorage())
    assert StoredDataset(other, NAME).index("all", index.rows.index).samples == 60


def test_an_older_release_refuses_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(divided())
    data = StoredDataset(home_storage(home), NAME).index_bytes("train", str(load(NAME, "train").origin.index))  # type: ignore[attr-defined]
    for newer in ("DIVIDED", "IN_PLACE"):
        monkeypatch.setattr(manifest, newer, manifest.SKIPPING)
    manifest._parsed.cache_clear()
    with pytest.raises(NewerFormat):
        manifest.parse_index(data, "key", NAME, "train", "digest")


def test_dagster_makes_the_same(home: Path) -> None:
    by_prepare = prepare(divided())["train"].origin.index
    shutil.rmtree(home / "storage")
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(divided(), instance).success
    assert load(NAME, "train").origin.index == by_prepare  # type: ignore[attr-defined]


def test_a_part_of_another_dataset_is_copied() -> None:
    with pytest.raises(DefinitionError, match="materialize=True"):
        SplitOf("org.example.other", "train").random_split(SHARES, materialize=False)


def test_what_is_divided_when_it_is_looked_at_stores_row_numbers(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{k},{k % 2}\n" for k in range(40)))
    plain = dataset_from(tmp_path / "a.csv", target="y", splits=SHARES)
    assert stores_rows(plain.splits["train"]) and plain.splits["train"].function is rows_of
    copied = dataset_from(tmp_path / "a.csv", target="y", splits=SHARES, materialize=True)
    found = prepare(plain)
    assert values(found["train"]) == values(prepare(copied, storage=MemoryStorage())["train"])


def home_storage(home: Path) -> Storage:
    return open_storage((home / "storage").as_uri())
