"""Links: splits and files of other datasets as arguments, by name."""

from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import pytest

from dataset_assets import Dataset, DerivedFile, FileOf, RemoteFile, Split, SplitOf, Text, View, load, prepare
from dataset_assets.cli.common import State
from dataset_assets.cli.main import commands
from dataset_assets.definition import registry
from dataset_assets.definition.linked import linked
from dataset_assets.definition.links import FileOf as SameFileOf
from dataset_assets.errors import (
    DefinitionError,
    DigestMismatch,
    NameNotAllowed,
    NotFound,
    NotPrepared,
    Refused,
    UnknownDataset,
    UnknownSplit,
)
from dataset_assets.making.links import Links
from dataset_assets.moving.rm import rm
from dataset_assets.reading.stored_files import index_of, opener_of
from dataset_assets.storage import LocalStorage, open_storage

ONE, TWO, THREE = "org.example.one", "org.example.two", "org.example.three"


def rows(lines: BinaryIO) -> Iterator[dict[str, str]]:
    for line in lines:
        yield {"text": line.decode().strip()}


def upper(lines: BinaryIO) -> Iterator[bytes]:
    for line in lines:
        yield line.upper()


def joined(whole: View, lines: BinaryIO, loud: BinaryIO) -> Iterator[dict[str, str]]:
    for sample, line, word in zip(whole, lines, loud, strict=True):
        yield {"text": f"{sample['text']} {line.decode().strip()} {word.decode().strip()}"}


def views(whole: View) -> View:
    return whole[:1]


def one(folder: Path, **more: Any) -> Dataset:
    file = RemoteFile((folder / "lines.txt").as_uri())
    loud = DerivedFile("loud.txt", upper, keep=True, lines=file)
    brief = DerivedFile("brief.txt", upper, lines=file)
    splits = {"train": Split(rows, lines=file), "loud": Split(rows, lines=loud), "brief": Split(rows, lines=brief)}
    return replace(Dataset(ONE, "Lines.", {"text": Text()}, splits, checks={"leakage": "off"}), **more)


TAKES = {"whole": SplitOf(ONE, "train"), "lines": FileOf(ONE, "lines_txt"), "loud": FileOf(ONE, "loud_txt")}


def two(**more: Any) -> Dataset:
    splits = {"all": Split(joined, **TAKES), **SplitOf(ONE, "train").random_split({"a": 0.5, "b": 0.5})}
    made = Dataset(TWO, "Joined.", {"text": Text()}, splits, checks={"leakage": "off"})
    return replace(made, **more)


def three(**more: Any) -> Dataset:
    return replace(Dataset(THREE, "First.", {"text": Text()}, {"all": Split(views, whole=SplitOf(TWO, "all"))}), **more)


@pytest.fixture
def known(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Dataset]:
    """What the registry finds besides the shipped definitions."""
    (fast_path / "lines.txt").write_bytes(b"x\ny\n")
    found = {ONE: one(fast_path), TWO: two(), THREE: three()}
    plain = registry.defined
    monkeypatch.setattr(registry, "defined", lambda name: found.get(name) or plain(name))
    return found


def texts(view: Any) -> list[str]:
    return [sample["text"] for sample in view]


def test_what_a_dataset_is_made_of_is_made_first(known: dict[str, Dataset]):
    found = prepare(THREE)
    assert texts(found["all"]) == ["x x X"]
    assert texts(load(TWO, "all")) == ["x x X", "y y Y"]
    assert sorted(texts(load(TWO, "a")) + texts(load(TWO, "b"))) == ["x", "y"]
    assert [each.name for each in linked(known[THREE])] == [ONE, TWO]


def test_the_index_records_what_was_linked(known: dict[str, Dataset]):
    index = index_of(prepare(TWO)["all"])
    source = load(ONE, "train").origin.index
    assert index.arguments == {
        "whole": {"dataset": ONE, "split": "train", "index": source},
        "lines": {"dataset": ONE, "file": "lines_txt"},
        "loud": {"dataset": ONE, "file": "loud_txt"},
    }
    assert {used.argument for used in index.sources} == {"whole.lines", "lines", "loud"}
    assert opener_of(load(TWO, "all")).raw("loud").read() == b"X\nY\n"


def test_only_what_changed_is_made_again(known: dict[str, Dataset], fast_path: Path):
    before = prepare(THREE)["all"].origin
    assert prepare(THREE)["all"].origin == before
    (fast_path / "lines.txt").write_bytes(b"x\nz\n")
    # The new bytes are in the second line, of which the last dataset has none.
    after = prepare(THREE)["all"].origin
    assert texts(load(TWO, "all")) == ["x x X", "z z Z"]
    assert after.version != before.version
    assert texts(load(THREE, "all")) == ["x x X"]
    old = load(f"{THREE}@{before.version}", "all")
    assert texts(old) == ["x x X"]


def test_a_stored_dataset_is_linked_without_its_definition(known: dict[str, Dataset]):
    prepare(ONE)
    del known[ONE]
    assert texts(prepare(known[TWO])["all"]) == ["x x X", "y y Y"]


def test_a_link_that_leads_nowhere_is_said(known: dict[str, Dataset], fast_path: Path):
    wrong = {
        SplitOf("org.example.nil", "x"): (UnknownDataset, "org.example.two is made of org.example.nil. No dataset is"),
        SplitOf(ONE, "trian"): (UnknownSplit, "which has no split 'trian'. Did you mean 'train'?"),
        FileOf(ONE, "lines"): (NotFound, "which has no file 'lines'. Did you mean 'lines_txt'?"),
        FileOf(ONE, "brief_txt"): (DefinitionError, "is not stored. Define it there with keep=True"),
    }
    for link, (kind, says) in wrong.items():
        known[TWO] = two(splits={"all": Split(views, whole=link)})
        with pytest.raises(kind) as raised:
            prepare(TWO)
        assert says in str(raised.value)


def test_a_circle_over_datasets_is_refused(known: dict[str, Dataset], fast_path: Path):
    known[ONE] = one(fast_path, splits={"train": Split(views, whole=SplitOf(THREE, "all"))})
    with pytest.raises(DefinitionError, match=f"{TWO} is made of itself: {TWO} -> {ONE} -> {THREE} -> {TWO}"):
        prepare(TWO)


def test_a_link_is_of_another_dataset_and_says_what(known: dict[str, Dataset]):
    with pytest.raises(DefinitionError, match="is of the same dataset"):
        two(splits={"all": Split(views, whole=SplitOf(TWO, "all"))})
    with pytest.raises(DefinitionError, match="write SplitOf"):
        SplitOf("a", "b", "c")
    with pytest.raises(NameNotAllowed):
        SplitOf("one", "train")
    with pytest.raises(NameNotAllowed):
        SameFileOf(ONE, "lines.txt")
    with pytest.raises(DefinitionError, match="has a split as an argument"):
        DerivedFile("x.txt", upper, lines=SplitOf(ONE, "train"))


def test_a_derived_file_takes_files_of_others(known: dict[str, Dataset]):
    louder = DerivedFile("louder.txt", upper, lines=FileOf(ONE, "lines_txt"))
    known[TWO] = two(splits={"all": Split(rows, lines=louder)})
    assert texts(prepare(TWO)["all"]) == ["X", "Y"]


def test_the_file_is_that_of_the_released_version(known: dict[str, Dataset], fast_path: Path, home: Path):
    prepare(ONE)
    storage = open_storage(home / "storage")
    (fast_path / "lines.txt").write_bytes(b"x\nz\n")
    known[ONE] = one(fast_path, checks={"leakage": "off", "refused": refused})
    with pytest.raises(Exception, match="refused"):
        prepare(ONE)
    raw = Links(storage).raw(FileOf(ONE, "lines_txt"))
    with Links(storage).open(FileOf(ONE, "lines_txt")) as file:
        assert file.read() == b"x\ny\n"
    path = next(path for path in home.rglob(raw.sha256))
    path.chmod(0o644)
    path.write_bytes(b"?\n?\n")
    with pytest.raises(DigestMismatch):
        Links(storage).open(FileOf(ONE, "lines_txt"))
    path.unlink()
    with pytest.raises(NotPrepared, match=f"prepare --refresh {ONE}"):
        Links(storage).open(FileOf(ONE, "lines_txt"))
    with pytest.raises(NotPrepared):
        Links(LocalStorage(fast_path / "empty")).view(SplitOf(ONE, "train"))


def test_a_file_is_its_dataset_s_own_though_another_s_has_the_same_name(known: dict[str, Dataset], fast_path: Path):
    (fast_path / "own").mkdir()
    own = fast_path / "own" / "lines.txt"
    own.write_bytes(b"x\ny\n")
    splits = {"all": Split(both, first=FileOf(ONE, "lines_txt"), second=RemoteFile(own.as_uri()))}
    known[TWO] = two(splits=splits)
    known[THREE] = three(splits={"all": Split(rows, lines=FileOf(TWO, "lines_txt"))})
    prepare(TWO)
    own.write_bytes(b"new\n")
    prepare(TWO, refresh=True)
    assert texts(load(TWO, "all")) == ["x", "y", "new"]
    assert texts(prepare(THREE)["all"]) == ["new"]
    assert [used.argument for used in index_of(load(TWO, "all")).own_sources] == ["second"]


@pytest.mark.parametrize("link", [SplitOf(ONE, "train"), FileOf(ONE, "lines_txt")])
@pytest.mark.parametrize("stored_only", [True, False])
def test_the_licence_of_what_is_linked_must_be_allowed(
    link: Any, stored_only: bool, known: dict[str, Dataset], fast_path: Path, monkeypatch: pytest.MonkeyPatch
):
    known[ONE] = one(fast_path, license="CC-BY-NC-4.0")
    prepare(ONE)
    split = Split(views, whole=link) if isinstance(link, SplitOf) else Split(rows, lines=link)
    known[TWO] = two(license="CC-BY-4.0", splits={"all": split})
    if stored_only:
        del known[ONE]
    monkeypatch.setenv("DATASET_ASSETS_ALLOW_LICENSES", "CC-BY-4.0")
    for make in (prepare, lambda name: commands.main(["prepare", name], standalone_mode=False, obj=State())):
        with pytest.raises(Refused, match=f"{ONE}.*'CC-BY-NC-4.0'.*allows only CC-BY-4.0"):
            make(TWO)
    monkeypatch.setenv("DATASET_ASSETS_ALLOW_LICENSES", "CC-BY-*")
    assert texts(prepare(TWO)["all"])[0] == "x"


def both(first: BinaryIO, second: BinaryIO) -> Iterator[dict[str, str]]:
    yield from rows(first)
    yield from rows(second)


def refused(views: Any) -> str:
    return "refused"


def test_removing_a_dataset_names_what_was_made_of_it(known: dict[str, Dataset], home: Path):
    prepare(TWO)
    assert any(line.startswith(f"{TWO}@") for line in rm(ONE, home / "storage", dry_run=True, force=True).depends)
