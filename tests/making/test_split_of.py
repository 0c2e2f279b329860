"""Splits that are made of another split: declared, and then stored, versioned and checked like any other."""

import pickle
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Iterator

import dagster as dg
import numpy as np
import pytest
from media import picture
from orchestrated import assets_in, failures, files_in, made, run, versions

from dataset_assets import (
    Array,
    Columns,
    Dataset,
    DerivedFile,
    Image,
    Ragged,
    RemoteFile,
    Split,
    SplitOf,
    Table,
    Text,
    View,
    load,
    prepare,
)
from dataset_assets.cli.describe import describe
from dataset_assets.cli.text import info
from dataset_assets.core import files
from dataset_assets.definition import registry
from dataset_assets.errors import CheckFailed, DefinitionError, DigestMismatch, SplitFailed, UsageError
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.verify import repair, verify
from dataset_assets.orchestration import definitions
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.streaming import open_for_streaming
from dataset_assets.reading.views import Stored
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.manifest import Version
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.datasets import DatasetTests
from dataset_assets.testing.server import FaultyServer

NAME = "org.example.divided"
SHARES = {"train": 0.75, "validation": 0.25}


def lines(table: Any) -> Iterator[Any]:
    for line in table:
        number = int(line)
        yield {"number": number, "kind": number % 4, "text": "é" * (number % 3)}


def high(whole: View, least: int) -> View:
    return whole.filter((">=", least), column="number")


def doubled(whole: View, others: View) -> Iterator[Any]:
    for sample in whole.concat(others):
        yield {**sample, "number": sample["number"] * 2}


def divided(folder: str, seed: int = 0, **more: Any) -> Dataset:
    """Return a dataset of two files; one is divided."""
    whole = Split(lines, table=RemoteFile(f"{folder}/whole.txt"))
    return Dataset(
        name=NAME,
        summary="Numbers.",
        streams={"number": Array(), "kind": Array("uint8"), "text": Text()},
        splits={
            **SplitOf("whole").stratified_split(SHARES, seed=seed),
            "whole": whole,
            "test": Split(lines, table=RemoteFile(f"{folder}/test.txt")),
        },
        sample="number",
        target="kind",
        **more,
    )


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    files = {"/whole.txt": range(40), "/test.txt": range(40, 50)}
    with FaultyServer({name: b"".join(b"%d\n" % n for n in numbers) for name, numbers in files.items()}) as server:
        yield server


def numbers(view: View) -> list[int]:
    found: list[int] = view.to_numpy()["number"].tolist()
    return found


def released(storage: Storage) -> Version:
    digest, _ = StoredDataset(storage, NAME).pointer()
    assert digest is not None
    return StoredDataset(storage, NAME).version(digest)


# --- what is made


def test_the_parts_are_those_of_the_view(home: Path, server: FaultyServer) -> None:
    found = prepare(divided(server.url, seed=3))
    parts = found["whole"].stratified_split((0.75, 0.25), seed=3)
    for name, part in zip(SHARES, parts, strict=True):
        assert numbers(found[name]) == numbers(part)
        assert np.bincount(found[name].to_numpy()["kind"]).tolist() == [len(part) // 4] * 4
    assert sorted(numbers(found["train"]) + numbers(found["validation"])) == numbers(found["whole"])
    assert found["train"].roles == found["whole"].roles


@pytest.mark.parametrize(
    ("named", "given"),
    [
        ("random_split", {}),
        ("stratified_split", {"by": "kind"}),
        ("group_split", {"by": "kind"}),
        ("hash_split", {"by": "number"}),
    ],
)
def test_each_split_of_a_view_can_be_declared(
    home: Path, server: FaultyServer, named: str, given: dict[str, str]
) -> None:
    parts = getattr(SplitOf("whole"), named)(SHARES, seed=5, **given)
    plain = divided(server.url)
    found = prepare(replace(plain, splits={"whole": plain.splits["whole"], **parts}))
    views = getattr(found["whole"], named)((0.75, 0.25), seed=5, **given)
    assert [numbers(found[name]) for name in SHARES] == [numbers(view) for view in views]


def test_a_function_of_ones_own_is_given_views_and_returns_a_view_or_yields(home: Path, server: FaultyServer) -> None:
    plain = divided(server.url)
    whole, test = SplitOf("whole"), SplitOf("test")
    more = {"high": Split(high, whole=whole, least=30), "doubled": Split(doubled, whole=SplitOf("high"), others=test)}
    files = {name: plain.splits[name] for name in ("whole", "test")}
    found = prepare(replace(plain, splits={**more, **files}))
    assert numbers(found["high"]) == list(range(30, 40))
    assert numbers(found["doubled"]) == list(range(60, 100, 2))


@pytest.mark.parametrize("place", ["disk", "sqlite"])
def test_every_stream_has_the_bytes_and_the_type_that_it_had(place: str, home: Path, fast_path: Path) -> None:
    splits = {"all": Split(of_all), **SplitOf("all").random_split(SHARES)}
    storage = str(fast_path / "store") if place == "disk" else f"sqlite:///{fast_path}/store.db"
    found = prepare(Dataset("org.example.all", "All.", KINDS, splits), storage=storage)
    for name, part in zip(SHARES, found["all"].random_split((0.75, 0.25)), strict=True):
        kinds, wholes = (
            {n: s.parameters for n, s in index_of(stored(found[of])).streams.items()} for of in (name, "all")
        )
        assert kinds == wholes
        assert pictures(found[name]) == [pictures(found["all"])[row] for row in part.indices]
        for sample, same in zip(found[name], part, strict=True):
            assert (sample["text"], sample["row"]) == (same["text"], same["row"])
            assert sample["array"].dtype == np.float16 and (sample["array"] == same["array"]).all()
            assert sample["tokens"].tolist() == same["tokens"].tolist()


def pictures(view: View) -> list[bytes]:
    """Return the pictures as the files that they came in."""
    columns = open_for_streaming(stored(view)).columns
    return [bytes(columns["picture"][i]) for i in range(len(view))]


KINDS = {"picture": Image(), "array": Array(), "text": Text(), "tokens": Ragged("int16"), "row": Table({"a": "int64"})}


def of_all() -> Iterator[Any]:
    for i in range(12):
        yield {
            "picture": picture("JPEG", seed=i),
            "array": np.full((2,), i / 2, np.float16),
            "text": "ä" * i,
            "tokens": np.arange(i % 5),
            "row": {"a": i if i % 3 else None},
        }


def stored(view: View) -> Stored:
    assert isinstance(view, Stored)
    return view


# --- how it is read


class Counting(LocalStorage):
    """A folder that knows how often each stream's files were opened."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.opened: Counter[str] = Counter()

    def get(self, key: str) -> Any:
        self.opened["/".join(key.split("/")[-3:-1])] += 1
        return super().get(key)


def by_number(whole: View) -> Iterator[Any]:
    for i in range(len(whole)):
        yield whole[i]


def many() -> Iterator[Any]:
    for i in range(500):
        yield {"number": i, "kind": i % 4, "text": f"text {i}"}


def counted(folder: Path, **splits: Split) -> Counter[str]:
    storage = Counting(folder)
    streams = {"number": Array(), "kind": Array("uint8"), "text": Text()}
    checks = {"leakage": "off"}
    prepare(
        Dataset(NAME, "Many.", streams, {"whole": Split(many), **splits}, target="kind", checks=checks), storage=storage
    )
    return storage.opened


def test_a_file_is_opened_once_however_many_values_are_read_by_their_numbers(home: Path, fast_path: Path) -> None:
    opened = counted(fast_path, part=Split(by_number, whole=SplitOf("whole")))
    # To be hashed, to be read once, and for the view that `prepare` returns.
    assert opened["whole/number"] <= 3 and opened["whole/text"] <= 3


def test_what_was_read_of_a_file_is_given_back_after_some_bytes(
    home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataset_assets.reading.streaming.HELD_BYTES", 1000)
    opened = counted(fast_path, part=Split(by_number, whole=SplitOf("whole")))
    assert 4 <= opened["whole/number"] - 3 <= 12  # 500 numbers of 8 bytes


def test_a_split_is_hashed_once_for_all_its_parts(home: Path, fast_path: Path) -> None:
    def hashed(parts: int) -> int:
        shares = {f"part{k}": 1 / parts for k in range(parts)}
        return counted(fast_path / str(parts), **SplitOf("whole").stratified_split(shares))["whole/text"]

    assert hashed(2) == hashed(8)


def test_a_split_is_hashed_once_in_a_run_of_dagster_for_all_its_parts(
    home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    sha256_in = files.sha256_in
    monkeypatch.setattr(files, "sha256_in", lambda file: hashed.append(str(file.name)) or sha256_in(file))  # type: ignore[func-returns-value]
    streams = {"number": Array(), "kind": Array("uint8"), "text": Text()}
    parts = SplitOf("whole").random_split({"train": 0.5, "validation": 0.3, "test": 0.2})
    dataset = Dataset(NAME, "Many.", streams, {"whole": Split(many), **parts}, checks={"leakage": "off"})
    storage = fast_path / "storage"
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(dataset, instance, storage=storage.as_uri()).success
        whole = [Path(name).parent.name for name in hashed if str(storage / "org/example/divided/whole") in name]
        assert sorted(whole) == ["kind", "number", "text"]
        # Another run hashes it anew, and sees what changed since.
        [text] = (storage / "org/example/divided/whole/text").iterdir()
        data = text.read_bytes()
        text.chmod(0o644)
        text.write_bytes(data.replace(b"text 7", b"text 8"))
        for part in parts:
            shutil.rmtree(storage / "org/example/divided" / part)
        result = run(dataset, instance, storage=storage.as_uri())
    assert "DigestMismatch" in "".join(failures(result).values())


def test_a_view_that_is_read_once_goes_to_another_process(home: Path, server: FaultyServer) -> None:
    view = open_for_streaming(stored(prepare(divided(server.url))["whole"]))
    first = view[3]
    assert pickle.loads(pickle.dumps(view))[3] == first == view[3]


# --- versions


def test_another_seed_is_a_new_version_of_exactly_the_parts(home: Path, server: FaultyServer) -> None:
    storage = LocalStorage(home / "storage")
    prepare(divided(server.url))
    first, files, asked = released(storage), files_in(home / "storage"), len(server.requests)
    prepare(divided(server.url, seed=1))
    second, now = released(storage), files_in(home / "storage")
    changed = {split for split in first.splits if first.splits[split] != second.splits[split]}
    assert changed == set(SHARES) and len(server.requests) == asked
    assert all(now[name] == files[name] for name in files if "current" not in name)
    prepare(divided(server.url))
    assert released(storage) == first
    written = {name for name in files_in(home / "storage").keys() - now.keys() if "current" not in name}
    assert not written


def test_other_bytes_of_the_source_make_the_parts_again_and_leave_the_others(home: Path, server: FaultyServer) -> None:
    storage = LocalStorage(home / "storage")
    prepare(divided(server.url))
    first = released(storage)
    server.files["/whole.txt"] += b"100\n104\n108\n112\n"
    found = prepare(divided(server.url), refresh=True)
    changed = {split for split, digest in released(storage).splits.items() if first.splits[split] != digest}
    assert changed == {"whole", *SHARES}
    assert sorted(numbers(found["train"]) + numbers(found["validation"])) == [*range(40), 100, 104, 108, 112]


def test_the_index_says_what_a_part_is_made_of(home: Path, server: FaultyServer) -> None:
    prepare(divided(server.url, seed=2))
    storage = LocalStorage(home / "storage")
    splits = released(storage).splits
    index = StoredDataset(storage, NAME).index("validation", splits["validation"])
    whole = StoredDataset(storage, NAME).index("whole", splits["whole"])
    assert index.arguments == {
        "whole": {"split": "whole", "index": splits["whole"]},
        "operation": "stratified_split",
        "ratios": [0.75, 0.25],
        "part": 1,
        "by": None,
        "seed": 2,
    }
    assert [replace(used, argument="table") for used in index.sources] == list(whole.sources)
    assert [used.argument for used in index.sources] == ["whole.table"]


AGAIN = """
import sys
from io import BytesIO
from dataset_assets.definition.divided import part_of
from dataset_assets import view_of
from test_split_of import lines
whole = [*lines(BytesIO(sys.stdin.buffer.read()))]
view = view_of(number=[s["number"] for s in whole], kind=[s["kind"] for s in whole])
print(*part_of(view, "stratified_split", [0.75, 0.25], int(sys.argv[1]), by="kind", seed=9).to_numpy()["number"])
"""


def test_lineage_names_the_raw_files_and_they_give_the_samples_again(home: Path, server: FaultyServer) -> None:
    found = prepare(divided(server.url, seed=9))
    for part, name in enumerate(SHARES):
        view = found[name].shuffle(1)
        raw = view.open_raw("whole.table").read()
        assert raw == server.files["/whole.txt"]
        run = subprocess.run(
            [sys.executable, "-c", AGAIN, str(part)], input=raw, capture_output=True, cwd=Path(__file__).parent
        )
        again = [int(number) for number in run.stdout.split()]
        assert len(again) == len(view), run.stderr
        for i, sample in enumerate(view):
            [entry] = view.lineage(i)
            assert (entry.dataset, entry.split, entry.version) == (NAME, name, view.version)
            [used] = entry.files
            assert (used.url, used.sha256) == (f"{server.url}/whole.txt", sha256(raw).hexdigest())
            assert again[entry.row] == sample["number"]


# --- in Dagster


def test_with_and_without_dagster_the_digests_are_equal_and_each_part_is_an_asset(
    home: Path, server: FaultyServer, fast_path: Path
) -> None:
    dataset = divided(server.url)
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(dataset, instance)
        assert result.success
        prepare(dataset, storage=f"{fast_path}/other")
        assert released(LocalStorage(home / "storage")) == released(LocalStorage(fast_path / "other"))
        folder = NAME.replace(".", "/")
        assert {f"{folder}/{split}" for split in dataset.splits} <= made(result).keys()
        assert versions(result)[f"{folder}/train"] == released(LocalStorage(home / "storage")).splits["train"]
        before = versions(result)
        changed = versions(run(divided(server.url, seed=1), instance))
        moved = {name.removeprefix(f"{folder}/") for name in before if before[name] != changed[name]}
        assert moved == {folder, *SHARES, *(f"{split}/{stream}" for split in SHARES for stream in dataset.streams)}


def test_its_streams_stand_after_the_split_they_are_made_of() -> None:
    graph = definitions(datasets=[divided("https://example.org")]).resolve_asset_graph()
    key = dg.AssetKey([*NAME.split("."), "validation", "number"])
    assert graph.get(key).parent_keys == {dg.AssetKey([*NAME.split("."), "whole"])}


def test_in_dagster_a_part_is_made_again_alone(home: Path, server: FaultyServer) -> None:
    folder = NAME.replace(".", "/")
    with dg.DagsterInstance.ephemeral() as instance:
        first = run(divided(server.url), instance)
        defined = definitions(datasets=[divided(server.url, seed=4)])
        part = dg.AssetSelection.key_prefixes([*NAME.split("."), "train"])
        result = dg.materialize(assets_in(defined), instance=instance, selection=part, resources=defined.resources)
    assert {name.split("/")[3] for name in made(result)} == {"train"}
    assert versions(result)[f"{folder}/train"] != versions(first)[f"{folder}/train"]


# --- checks


def test_a_split_is_no_leak_into_those_made_of_it_but_one_part_into_another_is(
    home: Path, server: FaultyServer
) -> None:
    prepare(divided(server.url))
    [finding] = [f for f in released(LocalStorage(home / "storage")).findings if f.check == "leakage"]
    assert finding.passed and "train is made of whole" in finding.message
    plain = divided(server.url)
    twice = {**plain.splits, "again": Split(high, whole=SplitOf("whole"), least=0)}
    with pytest.raises(CheckFailed, match="samples of again are also in train"):
        prepare(replace(plain, splits=twice))


def test_a_leak_into_a_file_beside_is_still_found(home: Path, server: FaultyServer) -> None:
    server.files["/test.txt"] += b"7\n"
    with pytest.raises(CheckFailed, match="1 samples of test are also in (train|validation)"):
        prepare(divided(server.url))


# --- kept like any other


def test_verify_copy_and_collect_take_a_part_for_a_split(home: Path, server: FaultyServer) -> None:
    storage, other = LocalStorage(home / "storage"), MemoryStorage()
    prepare(divided(server.url))
    first = released(storage)
    prepare(divided(server.url, seed=1))
    assert len(verify(NAME, storage).versions) == 2 and not verify(NAME, storage).damaged
    copy(NAME, storage, other)
    assert released(other) == released(storage)
    assert numbers(load(NAME, "train", storage=other)) == numbers(load(NAME, "train", verify="all"))
    collect(storage, keep_versions=1, grace_seconds=0)
    listed = [key.rpartition("/")[2] for key in storage.list(NAME.replace(".", "/")) if "/train/index/" in key]
    kept = {name.partition(".")[0] for name in listed}
    assert kept == {released(storage).splits["train"]} and first.splits["train"] not in str(kept)
    assert len(load(NAME, "train", verify="all")) == 32


def test_info_says_what_a_part_is_of(home: Path, server: FaultyServer) -> None:
    dataset = divided(server.url)
    prepare(dataset)
    found = describe(dataset, LocalStorage(home / "storage"))
    assert found["made_of"] == {"train": ["whole"], "validation": ["whole"]}
    shown = [line.split() for line in info(found).splitlines()]
    assert [line[0] for line in shown if line[-2:] == ["of", "whole"]] == ["train", "validation"]


def test_a_part_that_is_gone_is_made_again_of_what_is_stored(home: Path, server: FaultyServer) -> None:
    first = prepare(divided(server.url))
    for path in (home / "storage").rglob("train/number/*.npy"):
        path.unlink()
    server.files.clear()
    again = prepare(divided(server.url))
    assert numbers(again["train"]) == numbers(first["whole"].stratified_split((0.75, 0.25))[0])


def test_a_source_that_was_damaged_is_not_divided(home: Path, server: FaultyServer) -> None:
    prepare(divided(server.url))
    [path] = (home / "storage").rglob("whole/number/*.npy")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DigestMismatch, match="split whole"):
        prepare(divided(server.url, seed=7))


def test_a_damaged_part_is_repaired(home: Path, server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, dataset = LocalStorage(home / "storage"), divided(server.url)
    whole = numbers(prepare(dataset)["train"])
    monkeypatch.setattr(registry, "find", lambda name: dataset)
    [path] = (home / "storage").rglob("train/number/*.npy")
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    found = verify(NAME, storage)
    assert [damage.key for damage in found.damaged] == [str(path.relative_to(home / "storage"))]
    assert [damage.repaired for damage in repair(found, storage).damaged] == ["made again"]
    assert numbers(load(NAME, "train", verify="all")) == whole


class TestDivided(DatasetTests):
    """The shipped suite takes a part for a split."""

    ends_are_seen = False

    @pytest.fixture
    def dataset(self) -> Dataset:
        more = {"license": "CC0-1.0", "citation": "Nobody.", "homepage": "https://example.org"}
        return divided("https://example.org", **more)

    @pytest.fixture
    def raw_files(self) -> dict[str, bytes]:
        ranges = {"whole_txt": range(40), "test_txt": range(40, 50)}
        return {name: b"".join(b"%d\n" % n for n in found) for name, found in ranges.items()}


# --- what cannot be


def test_a_split_of_what_is_not_there_or_of_itself_is_refused() -> None:
    plain = divided("https://example.org")
    for source, said in (
        ("wole", "the unknown split 'wole'. Did you mean 'whole'"),
        ("one", "made from itself"),
        ("two", "made from itself"),
    ):
        splits = {
            **plain.splits,
            "one": Split(high, whole=SplitOf(source), least=0),
            "two": Split(high, whole=SplitOf("one"), least=0),
        }
        with pytest.raises(DefinitionError, match=said):
            replace(plain, splits=splits)


def test_ratios_that_do_not_sum_and_files_of_splits_are_refused_when_defined() -> None:
    with pytest.raises(UsageError, match="Give positive ratios that sum to 1"):
        SplitOf("whole").random_split({"a": 0.5, "b": 0.6})
    with pytest.raises(DefinitionError, match="has a split as an argument"):
        DerivedFile("x.csv", high, whole=SplitOf("whole"), least=0)


def test_a_class_with_too_few_samples_is_an_error_that_names_the_split(home: Path, server: FaultyServer) -> None:
    server.files["/whole.txt"] = b"1\n2\n5\n"
    with pytest.raises(UsageError, match=f"{NAME}, split train.*too few for 2 stratified parts"):
        prepare(divided(server.url))


def test_a_function_that_fails_on_a_view_is_named(home: Path, server: FaultyServer) -> None:
    plain = divided(server.url)
    with pytest.raises(SplitFailed, match="split bad: the function broken raised ZeroDivisionError"):
        prepare(replace(plain, splits={**plain.splits, "bad": Split(broken, whole=SplitOf("whole"))}))


def broken(whole: View) -> View:
    return whole.map(lambda sample: 1 / 0)


def test_a_split_without_samples_is_divided_into_such(home: Path) -> None:
    kinds = {"x": Array("int64")}
    splits = {"all": Split(nothing), **SplitOf("all").random_split(SHARES)}
    found = prepare(Dataset("org.example.none", "None.", kinds, splits, checks={"counts": "off"}))
    assert {name: len(view) for name, view in found.items()} == {"all": 0, "train": 0, "validation": 0}


def nothing() -> Iterator[Any]:
    yield Columns(x=np.empty(0, np.int64))
