"""Forgetting: the samples are gone from every version, derived dataset and copy, and nothing brings them back."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
from released import STEPS, FailsOnce, check_names, everything

from dataset_assets import Array, Dataset, DerivedFile, Files, RemoteFile, Split, Text, load, prepare
from dataset_assets.core.canonical import canonical
from dataset_assets.errors import (
    CheckFailed,
    Conflict,
    DatasetAssetsError,
    DecodeError,
    NotPrepared,
    Refused,
    UnknownDataset,
    UsageError,
)
from dataset_assets.making.maker import Maker
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.copy import copy
from dataset_assets.moving.forget import forget
from dataset_assets.moving.gc import collect
from dataset_assets.moving.rm import rm
from dataset_assets.moving.share import pull, push
from dataset_assets.moving.unbundle import unbundle
from dataset_assets.moving.verify import verify
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.aliases import write_aliases
from dataset_assets.storage.exclusions import add, exclusions, rules_for
from dataset_assets.storage.keys import excluded_key
from dataset_assets.storage.pins import pin
from dataset_assets.storage.releases import release
from dataset_assets.storage.stored_dataset import StoredDataset

NAME, EVENS, COUNTS = "org.example.people", "org.example.evens", "org.example.counts"
GONE = {"person": ["ann"], "id": ["5"]}
LEFT = [0, 2, 4, 6, 8, 10, 11]
MODULE = """
from dataset_assets import Array, Dataset, FileOf, RemoteFile, Split, SplitOf, Text
from dataset_assets.decoding import csv_rows

def people(file):
    for row in csv_rows(file):
        yield {"id": int(row["id"]), "person": row["person"]}

def all_of(whole):
    yield from whole

def even(whole):
    for sample in whole:
        if sample["id"] % 2 == 0:
            yield {"half": sample["id"] // 2}

def count(whole):
    yield {"count": len(whole)}

people_ = Dataset(
    name="org.example.people", summary="People.", streams={"id": Array("int64"), "person": Text()},
    splits={"train": Split(people, file=RemoteFile(FILE)), "copied": Split(all_of, whole=SplitOf("train"))},
    checks={"leakage": "off"},
)
evens = Dataset(name="org.example.evens", summary="Halves.", streams={"half": Array("int64")},
                splits={"train": Split(even, whole=SplitOf("org.example.people", "train"))})
def first_line(file):
    yield {"line": file.readline().decode()}

reader = Dataset(name="org.example.reader", summary="Reads.", streams={"line": Text()},
                 splits={"train": Split(first_line, file=FileOf("org.example.people", "people_csv"))})
counts = Dataset(name="org.example.counts", summary="A count.", streams={"count": Array("int64")},
                 splits={"train": Split(count, whole=SplitOf("org.example.evens", "train"))})
"""


def lines(more: int = 0) -> str:
    people = {1: "ann", 3: "ann", 7: "ann", 9: "ann"}
    return "id,person\n" + "".join(f"{k},{people.get(k, 'bob')}\n" for k in range(12 + more))


@pytest.fixture
def defined(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source of definitions of three datasets, of which each is made of the one before."""
    source, module = home.parent / "people.csv", home.parent / f"people_{os.urandom(8).hex()}.py"
    source.write_text(lines())
    module.write_text(MODULE.replace("FILE", repr(source.as_uri())))
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(module))
    return source


def ids(storage: Storage, name: str = NAME) -> list[int]:
    return [int(sample["id"]) for sample in load(name, "train", storage=storage)]


def numbers(storage: Storage) -> tuple[list[int], list[int], int]:
    """Return the ids, the halves and the count that are stored."""
    halves = [int(sample["half"]) for sample in load(EVENS, "train", storage=storage)]
    return ids(storage), halves, int(load(COUNTS, "train", storage=storage)[0]["count"])


def all_bytes(storage: Storage, but: str = "raw/") -> bytes:
    return b"".join(data for key, data in everything(storage).items() if but not in key)


def test_what_is_forgotten_is_in_no_version_and_in_nothing_made_of_it(defined: Path) -> None:
    storage = MemoryStorage()
    first = prepare(COUNTS, storage=storage) and load(NAME, storage=storage)
    old = first["train"].version  # type: ignore[attr-defined]
    pin(f"{NAME}@{old}", storage)
    defined.write_text(lines(1))
    prepare(NAME, storage=storage, refresh=True)
    assert b"ann" in all_bytes(storage)

    planned = forget(NAME, GONE, storage, dry_run=True)
    assert planned.samples == {"copied": 5, "train": 5} and planned.derived == [EVENS, COUNTS]
    assert len(planned.versions) == 4 and not exclusions(StoredDataset(storage, NAME)).every

    found = forget(NAME, GONE, storage)
    assert found.samples == planned.samples and sorted(found.versions) == sorted(planned.versions)
    assert numbers(storage) == ([*LEFT, 12], [0, 1, 2, 3, 4, 5, 6], 7)
    assert b"ann" not in all_bytes(storage)
    for version in planned.versions:
        with pytest.raises(NotPrepared, match="samples were taken out of the dataset on request"):
            load(version, storage=storage)
    (remaining,) = found.remaining
    assert remaining.startswith(f"{NAME}/raw/people_csv stays. Remove it with: dataset-assets rm --force")
    check_names(storage)
    assert not verify(NAME, storage).damaged


def test_it_stays_forgotten(defined: Path) -> None:
    storage = MemoryStorage()
    prepare(COUNTS, storage=storage)
    forget(NAME, GONE, storage)
    before = everything(storage)
    # The same again, a plain run, and a collection change nothing.
    again = forget(NAME, GONE, storage)
    assert not again.removed and not again.versions and again.samples == {"copied": 0, "train": 0}
    prepare(COUNTS, storage=storage)
    collect(storage, grace_seconds=0)
    assert everything(storage) == before
    # New bytes of the source have them again, and more of the same person.
    defined.write_text(lines() + "99,ann\n100,bob\n5,eve\n")
    prepare(COUNTS, storage=storage, refresh=True)
    assert numbers(storage) == ([*LEFT, 100], [0, 1, 2, 3, 4, 5, 50], 7)
    # The dataset is removed and made again.
    rm(NAME, storage, force=True)
    assert [*storage.list("org/example/people")] == [excluded_key(NAME)]
    with pytest.raises(NotPrepared):
        rm(NAME, storage)
    assert [int(one["id"]) for one in prepare(NAME, storage=storage)["train"]] == [*LEFT, 100]


def test_retrieved_files_go_where_that_is_wanted(defined: Path) -> None:
    storage = MemoryStorage()
    prepare(NAME, storage=storage)
    found = forget(NAME, {"person": ["ann"]}, storage, raw=True)
    assert not found.remaining and b"ann" not in all_bytes(storage, but="nowhere")
    assert prepare(NAME, storage=storage)["train"][4]["id"] == 6
    # What needs the file retrieves it again, and still leaves the samples out.
    forget(NAME, {"id": ["6"]}, storage)
    assert ids(storage) == [0, 2, 4, 5, 8, 10, 11]


def test_who_reads_a_retrieved_file_itself_is_named(defined: Path) -> None:
    storage = MemoryStorage()
    prepare("org.example.reader", storage=storage)
    found = forget(NAME, GONE, storage)
    assert not found.derived
    assert found.remaining[0].startswith(f"org.example.reader reads a retrieved file of {NAME} itself; take")


def _upper(table: Any) -> Any:
    yield table.read().upper()


def _persons(table: Any) -> Any:
    for line in table.read().split()[1:]:
        yield {"person": line.split(b",")[1].decode()}


def test_a_file_that_was_only_read_to_derive_another_one_is_named_too(defined: Path) -> None:
    loud = DerivedFile("loud.csv", _upper, table=RemoteFile(defined.as_uri()))
    streams, splits = {"person": Text()}, {"all": Split(_persons, table=loud)}
    dataset, storage = Dataset("org.example.loud", "L.", streams, splits), MemoryStorage()
    prepare(dataset, storage=storage)
    (remaining,) = forget(dataset, {"person": ["ANN"]}, storage).remaining
    assert remaining.startswith("org.example.loud/raw/people_csv stays.")
    assert not forget(dataset, {"person": ["ANN"]}, storage, raw=True).remaining
    assert b"ann" not in all_bytes(storage, but="nowhere")


def test_a_request_that_finds_nothing_changes_nothing(defined: Path) -> None:
    storage = MemoryStorage()
    with pytest.raises(NotPrepared):
        forget(NAME, GONE, storage)
    prepare(COUNTS, storage=storage)
    before = everything(storage)
    for values, error, words in [
        ({"person": ["Ann", " ann"]}, UsageError, "No sample of org.example.people has such a value: ' ann', 'Ann'"),
        ({"id": ["ann"]}, UsageError, "Nothing was recorded"),
        ({"persn": ["ann"]}, UsageError, "has no stream 'persn'. Did you mean 'person'"),
        ({}, UsageError, "No samples of org.example.people are named"),
    ]:
        with pytest.raises(error, match=words):
            forget(NAME, values, storage)
    with pytest.raises(UsageError, match="values that are no text and no whole number"):
        forget(_floats(storage), {"x": ["1"]}, storage)
    assert everything(storage).items() >= before.items()


def _floats(storage: Storage) -> str:
    files = Dataset(name="org.example.f", summary="F.", streams={"x": Files()}, splits={"a": Split(_one_file)})
    prepare(files, storage=storage)
    return files.name


def _one_file() -> Any:
    yield {"x": ("a", b"a")}


def test_a_value_that_nothing_has_yet_is_kept_out_too(defined: Path) -> None:
    storage = MemoryStorage()
    prepare(NAME, storage=storage)
    assert forget(NAME, {"id": ["5", "13"]}, storage).unmatched == ["13"]
    defined.write_text(lines(3))
    prepare(NAME, storage=storage, refresh=True)
    assert ids(storage)[-2:] == [12, 14]


def test_what_nothing_here_defines_is_named_before_anything_is_recorded(
    defined: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = MemoryStorage()
    prepare(COUNTS, storage=storage)
    before = everything(storage)
    monkeypatch.delenv("DATASET_ASSETS_DEFINITIONS")
    with pytest.raises(UnknownDataset, match="DATASET_ASSETS_DEFINITIONS"):
        forget(NAME, GONE, storage)
    assert everything(storage) == before


def test_the_old_version_is_served_while_the_new_one_is_refused(defined: Path) -> None:
    storage = MemoryStorage()

    def dataset(least: int) -> Dataset:
        def many(views: Any) -> str | None:
            return None if len(views["train"]) >= least else "too few"

        return Dataset(
            name="org.example.checked",
            summary="Checked.",
            streams={"id": Array("int64")},
            splits={"train": Split(_ids, file=RemoteFile(defined.as_uri()))},
            checks={"many": many},
        )

    prepare(dataset(12), storage=storage)
    with pytest.raises(CheckFailed):
        forget(dataset(12), {"id": ["5"]}, storage)
    assert len(load("org.example.checked", "train", storage=storage)) == 12
    # Mend the definition, and go on.
    forget(dataset(11), {"id": ["5"]}, storage)
    assert ids(storage, "org.example.checked") == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]


def _ids(file: Any) -> Any:
    for line in [*file][1:]:
        yield {"id": int(line.split(b",")[0])}


def test_what_was_begun_before_is_not_released(defined: Path) -> None:
    storage = MemoryStorage()
    definition = Dataset(name="org.example.late", summary="L.", streams={"x": Files()}, splits={"a": Split(_one_file)})
    stored = StoredDataset(storage, definition.name)
    from dataset_assets.making.existing import publish_split

    with Maker(definition, stored) as maker:
        maker.add_split("a", publish_split(maker.stored, maker.split("a")))  # type: ignore[arg-type]
        version = maker.version(None)
        add(stored, rules_for(stored, {"x": ["a"]}))
        with pytest.raises(Conflict, match="Samples of org.example.late were taken out while"):
            release(maker.stored, version, None)
    assert stored.pointer().version is None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [23, *STEPS[1:]])
def test_it_can_fail_anywhere_and_the_same_command_goes_on(step: int, after: bool, defined: Path) -> None:
    start = MemoryStorage()
    prepare(EVENS, storage=start)
    n, done = 1, False
    while not done:
        storage = MemoryStorage()
        for key, data in everything(start).items():
            storage.put(key, data)
        failing = FailsOnce(storage, n, after)
        try:
            forget(NAME, GONE, failing)
            done = not failing.tripped
        except DatasetAssetsError:
            pass
        # A reader finds all samples, or those that are left, or is told why not.
        assert ids(storage) in ([*range(12)], LEFT)
        forget(NAME, GONE, storage)
        assert ids(storage) == LEFT and [int(one["half"]) for one in load(EVENS, "train", storage=storage)] == [
            0, 1, 2, 3, 4, 5,
        ]  # fmt: skip
        assert b"ann" not in all_bytes(storage)
        check_names(storage)
        n += step


def test_a_copy_has_the_record_and_nothing_comes_back(defined: Path, home: Path) -> None:
    here, there, third = MemoryStorage(), LocalStorage(home / "there"), LocalStorage(home / "third")
    prepare(NAME, storage=here)
    copy(NAME, here, there)
    copy(NAME, here, third)
    forget(NAME, GONE, here)
    # A dataset that is there already is left as it is, unless that is asked for.
    before = everything(there)
    with pytest.raises(Refused, match="which file:.*there still has. Nothing was copied. .*--apply-exclusions"):
        copy(NAME, here, there, make_current=True)
    with pytest.raises(Refused, match="copy the current version, not a digest"):
        copy(f"{NAME}@{StoredDataset(here, NAME).pointer().version}", here, there, apply_exclusions=True)
    assert everything(there) == before and len(ids(there)) == 12
    # What has the samples is not copied to where they were taken out.
    with pytest.raises(Refused, match="this copy may have them. Nothing was copied"):
        copy(NAME, there, here, make_current=True)
    (copied,) = copy(NAME, here, there, apply_exclusions=True)
    assert copied.current == StoredDataset(here, NAME).pointer().version
    assert ids(there) == LEFT and b"ann" not in all_bytes(there)
    assert [int(one["id"]) for one in prepare(NAME, storage=there)["train"]] == LEFT
    # A storage that has nothing of it gets the record too.
    new = MemoryStorage()
    copy(None, there, new)
    assert exclusions(StoredDataset(new, NAME)).digest == exclusions(StoredDataset(here, NAME)).digest
    assert ids(new) == LEFT
    copy(NAME, there, new)
    # Others were taken out there: the union is taken out of a third.
    forget(NAME, {"id": ["0"]}, new)
    copy(NAME, new, third, apply_exclusions=True)
    assert ids(third) == LEFT[1:] == ids(new)


def test_what_two_storages_forgot_can_be_joined(defined: Path, home: Path) -> None:
    here, there, alike = MemoryStorage(), LocalStorage(home / "there"), LocalStorage(home / "alike")
    for storage, values in ((here, {"id": ["0"]}), (there, {"id": ["5"]}), (alike, {"id": ["0"]})):
        prepare(NAME, storage=storage)
        forget(NAME, values, storage)
    # Equal requests make equal versions.
    pointers = [StoredDataset(storage, NAME).pointer().version for storage in (here, alike)]
    assert pointers[0] == pointers[1]
    with pytest.raises(Refused, match="Take them out of the source too, with the command forget"):
        copy(NAME, here, there, apply_exclusions=True)
    forget(NAME, {"id": ["5"]}, here)
    copy(NAME, here, there, apply_exclusions=True)
    assert ids(there) == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]


def test_a_bundle_and_a_push_have_the_record(defined: Path, home: Path) -> None:
    here, there, shared = MemoryStorage(), MemoryStorage(), LocalStorage(home / "shared")
    prepare(NAME, storage=here)
    push(NAME, shared, storage=here)
    forget(NAME, GONE, here)
    file = io.BytesIO()
    bundle([NAME], here, file)
    copy(NAME, shared, there)
    file.seek(0)
    with pytest.raises(Refused):
        unbundle(file, there)
    for target in (MemoryStorage(), there):
        file.seek(0)
        unbundle(file, target, apply_exclusions=target is there)
        assert ids(target) == LEFT and b"ann" not in all_bytes(target)
    with pytest.raises(Refused, match="this copy may have them"):
        pull(NAME, shared, storage=here, force=True)
    with pytest.raises(Refused, match="--apply-exclusions"):
        push(NAME, shared, storage=here, force=True)
    push(NAME, shared, storage=here, apply_exclusions=True)
    assert ids(shared) == LEFT
    assert pull(NAME, shared, storage=MemoryStorage()).current == StoredDataset(here, NAME).pointer().version


def test_views_and_stacks_of_what_was_made_before_are_refused(defined: Path) -> None:
    from dataset_assets import view_from_json

    storage = LocalStorage(defined.parent / "kept")
    view = prepare(NAME, storage=storage)["train"].shuffle(seed=1)
    stack = view.to_json()
    stored = StoredDataset(storage, NAME)
    add(stored, rules_for(stored, GONE))
    assert len(view_from_json(stack, storage=storage)) == 12
    forget(NAME, GONE, storage)
    # What is open stays open.
    assert len([*view]) == 12
    with pytest.raises(NotPrepared, match="samples were taken out of the dataset on request"):
        view_from_json(stack, storage=storage)


def test_an_older_release_neither_reads_nor_replaces_it(defined: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryStorage()
    prepare(NAME, storage=storage)
    forget(NAME, GONE, storage)
    stored = StoredDataset(storage, NAME)
    version = stored.current().version
    assert version and version.format == 2 and all(stored.index(*one).format == 2 for one in version.splits.items())
    from dataset_assets.errors import NewerFormat
    from dataset_assets.storage import manifest

    manifest._parsed.cache_clear()
    for newer in ("EXCLUDING", "SKIPPING", "DIVIDED", "IN_PLACE"):
        monkeypatch.setattr(manifest, newer, 1)
    for act in (load, prepare):
        with pytest.raises(NewerFormat, match="Upgrade dataset_assets"):
            act(NAME, storage=storage)  # type: ignore[operator]


def test_a_format_number_fits_what_is_held(defined: Path) -> None:
    storage = MemoryStorage()
    prepare(NAME, storage=storage)
    stored = StoredDataset(storage, NAME)
    from dataclasses import replace

    from dataset_assets.core.canonical import digest_of
    from dataset_assets.storage.keys import version_key

    version = stored.current().version
    assert version
    for wrong in (replace(version, format=2), replace(version, excluded="0" * 64)):
        storage.put(version_key(NAME, digest_of(wrong)), canonical(wrong))
        with pytest.raises(DecodeError, match="which does not fit what it holds"):
            stored.version(digest_of(wrong))


def test_an_alias_names_the_dataset(defined: Path) -> None:
    storage = MemoryStorage()
    prepare(NAME, storage=storage)
    write_aliases(StoredDataset(storage, NAME), ["org.example.alias"])
    assert forget("org.example.alias", GONE, storage).name == NAME
    assert len(load("org.example.alias", "train", storage=storage)) == 7
