"""Pushing and pulling: what is refused, what is kept, and many machines at once."""

import logging
import os
import re
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from children import ended, in_child
from foldered import flower, held

from dataset_assets import Array, Dataset, Family, Files, Split, checkout, load, prepare
from dataset_assets.cli import describe
from dataset_assets.core import files, registered
from dataset_assets.definition.registry import find
from dataset_assets.errors import Conflict, NameNotAllowed, NotPrepared, UsageError
from dataset_assets.moving.export import export
from dataset_assets.moving.register import adopt, check_folder, create, register
from dataset_assets.moving.remotes import listed_names, open_remote
from dataset_assets.moving.share import pull, purge, push
from dataset_assets.moving.shared_names import full_name
from dataset_assets.storage import LocalStorage, Storage, open_storage
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "shared.flower"


@pytest.fixture
def source(home: Path, fast_path: Path) -> Path:
    return flower(fast_path / "flower")


@pytest.fixture
def remote(fast_path: Path) -> Storage:
    return LocalStorage(fast_path / "remote")


def test_machines_that_pull_by_force_while_another_pushes_each_end_with_one_whole_version(
    source: Path, remote: Storage, home: Path, monkeypatch: pytest.MonkeyPatch
):
    readmes = {register(source).partition("@")[2]: (source / "README.md").read_bytes()}
    push("flower", remote)
    for i in range(4):
        (source / "README.md").write_bytes(b"version %d" % i)
        readmes[register(source, force=True).partition("@")[2]] = b"version %d" % i

    def pushing() -> None:
        for digest in [*readmes] * 2:
            push(f"{NAME}@{digest}", remote)
            push("flower", remote, force=True)

    def pulling(name: str) -> Callable[[], None]:
        def act() -> None:
            os.environ["DATASET_ASSETS_HOME"] = str(home.parent / name)
            for _ in range(6):
                done = pull("flower", remote, force=True)
                found = checkout("flower")
                assert (
                    found.version == done.current and (found.root / "README.md").read_bytes() == readmes[found.version]
                )

        return act

    machines = [in_child(act, wait=False) for act in (pushing, pulling("second"), pulling("third"))]
    assert [ended(process) for process in machines] == [0, 0, 0]
    for name in ("second", "third"):
        monkeypatch.setenv("DATASET_ASSETS_HOME", str(home.parent / name))
        assert load(NAME, verify="all")["layout"].version in readmes


def test_a_prepared_dataset_is_pushed_and_pulled_as_any_other(dataset: object, remote: Storage, fast_path: Path):
    prepare(dataset)  # type: ignore[arg-type]
    name = push("org.example.tiny", remote).dataset
    pull(name, remote, storage=fast_path / "second")
    assert load(name, storage=fast_path / "second").keys() == load(name).keys()
    assert listed_names(remote) == [name]


def test_a_version_is_pulled_by_its_digest_and_moves_no_pointer(source: Path, remote: Storage, fast_path: Path):
    old = register(source)
    push("flower", remote)
    (source / "README.md").write_bytes(b"new")
    register(source, force=True)
    push("flower", remote, force=True)
    assert pull(old, remote, storage=fast_path / "second").current is None
    assert checkout(old, storage=fast_path / "second").version == old.partition("@")[2]


def test_what_was_pulled_over_a_registered_folder_is_no_longer_that_folder(source: Path, remote: Storage):
    register(source)
    push("flower", remote)
    assert registered.registered(NAME)
    pull("flower", remote)
    assert registered.registered(NAME), "nothing changed"
    (source / "README.md").write_bytes(b"new")
    register(source, force=True)
    pull("flower", remote, force=True)
    assert registered.registered(NAME) is None
    assert push("flower", remote).files == 0


def test_a_name_in_use_is_a_conflict_and_a_folder_that_fails_leaves_what_was_registered(source: Path, home: Path):
    first = register(source)
    with pytest.raises(Conflict, match="add --force"):
        register(source)
    with pytest.raises(Conflict, match="is a dataset with a definition"):
        register(source, "com.lecun.mnist")
    with pytest.raises(Conflict, match="would lie in the folders of shared.flower"):
        register(source, "shared.flower.deep")
    other = create(home.parent / "other")
    (other / "data/train/link").symlink_to("/etc")
    with pytest.raises(Exception, match="link"):
        register(other, "flower", force=True)
    assert registered.folder_of(NAME) == source and f"{NAME}@{checkout('flower').version}" == first
    with pytest.raises(Conflict, match="is not empty"):
        create(source)
    assert held(create(source, ["valid"], force=True) / "data/valid") == {}
    for bad in ("a/b", "..", ""):
        with pytest.raises(NameNotAllowed):
            create(home.parent / "new", [bad])


def gam(lang: str = "fr", mail: str = "a@b", mirror: str = "eu") -> Dataset:
    return Dataset("org.example.gam", "x", {"file": Files()}, {"all": Split(readings, lang=lang)})


def readings(lang: str) -> Iterator[dict[str, Any]]:
    yield {"file": ("x", lang.encode())}


MEMBER = "org.example.gam[lang=fr,mail=a%40b]"
SPELLED = ["org.example.gam", "org.example.gam[lang=fr,mirror=z]", "org.example.gam[mail=a@b]", MEMBER]


@pytest.mark.parametrize("name", [*SPELLED, "org.example.known"])
def test_every_way_to_write_a_name_that_load_opens_is_pushed_and_pulled(
    home: Path, remote: Storage, fast_path: Path, name: str
):
    own = "org.example.own" if name == "org.example.known" else MEMBER
    family = Family("org.example.gam", "Gams.", gam, not_identity=("mirror",))
    made = Dataset(own, "x", {"n": Array()}, {"all": Split(numbers)}, aliases=(name,)) if own != MEMBER else family()
    digest = prepare(made)["all"].version
    far, near = fast_path / "far", fast_path / "near"
    assert push(name, remote).dataset == own and push(f"{name}@{digest}", far).dataset == own
    # The second knows what was pulled only, and of the first alone which dataset an alias is.
    assert pull(name, remote).dataset == own
    assert pull(f"{name}@{digest}", remote).versions == (digest,)
    if own == MEMBER:
        assert pull(name, remote, storage=near).dataset == own and load(name, "all", storage=near).version == digest
        assert checkout(name, storage=near).name == own and checkout(f"{name}@{digest}", storage=near).name == own
        assert (export(name, fast_path / "out", "files", storage=near) / "all/x").read_bytes() == b"fr"
        with pytest.raises(UsageError, match="Push without --tgz"):
            push(name, remote, tgz=True)
    with pytest.raises(NotPrepared, match=r"is not in file:.*/empty\. List what is there with: dataset-assets ls"):
        pull(name, fast_path / "empty")
    assert purge(own).removed and not StoredDataset(open_storage(home / "storage"), own).exists()


def numbers() -> Iterator[dict[str, Any]]:
    yield {"n": 1}


def test_no_dataset_is_put_into_the_folders_of_a_stored_one(source: Path, remote: Storage, fast_path: Path):
    digest = register(source, "shared.c").partition("@")[2]
    push("c", remote)
    other, deep = fast_path / "other", fast_path / "deep"
    pull("c", remote, storage=other)
    # As on another machine, where nothing is registered.
    registered.forget("shared.c")
    for name, words in (
        ("shared.c.train", "shared.c.train would lie in the folders of shared.c"),
        ("com.lecun.mnist.train", "would lie in the folders of com.lecun.mnist"),
        ("com.lecun", "com.lecun.* would lie in the folders of com.lecun"),
        ("org.x[a=1]", r"org.x\[a=1\] names a member of a family.* without brackets: org.x$"),
    ):
        with pytest.raises(NameNotAllowed if "[" in name else Conflict, match=words):
            register(source, name, storage=other, force=True)
    register(source, "shared.c.train", storage=deep)
    for act in (lambda: push("shared.c.train", remote, storage=deep), lambda: pull("c", remote, storage=deep)):
        with pytest.raises(Conflict, match="shared.c.train would lie in the folders of shared.c in"):
            act()
    assert load("shared.c", storage=other)["train"].version == digest
    registered.forget("shared.c.train")
    with pytest.raises(Conflict, match="shared.c.train would lie in the folders of shared.c"):
        register(source, "shared.c", storage=deep)


GENERATED = """
from dataset_assets import Array, Dataset, Split

def numbers():
    yield {"n": 1}

made = Dataset("shared.flower", "Made of nothing.", {"n": Array()}, {"all": Split(numbers)})
"""


def test_a_folder_is_not_registered_over_a_definition_without_remote_files(
    source: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (fast_path / "made.py").write_text(GENERATED)
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(fast_path / "made.py"))
    with pytest.raises(Conflict, match="is a dataset with a definition"):
        register(source, force=True)
    assert registered.registered(NAME) is None


def test_a_killed_pull_of_an_archive_leaves_the_registered_folder(source: Path, remote: Storage):
    register(source)
    push("flower", remote, tgz=True)
    (source / "README.md").write_bytes(b"new")
    register(source, force=True)

    def killed(operation: str, path: Path, size: int) -> None:
        if operation in ("replace", "link") and path.name == "current.json":
            os._exit(9)

    def act() -> None:
        files.hook = killed
        pull("flower", remote, force=True)

    assert in_child(act) == 9
    assert registered.folder_of(NAME) == source


def test_adopting_folders_names_each_that_failed_and_all_that_were_registered(
    source: Path, fast_path: Path, caplog: pytest.LogCaptureFixture
):
    root = fast_path / "etc"
    for name in ("Bad Name", "oak", "broken"):
        create(root / name)
    (root / "broken/meta.json").write_text("[]")
    with caplog.at_level(logging.ERROR), pytest.raises(NameNotAllowed) as error:
        adopt(root)
    said = str(error.value)
    assert said.startswith(f"2 of 3 folders of {root} were not registered: Bad Name, broken.")
    assert f"Registered: shared.oak@{checkout('oak').version}." in said
    assert [record.message.partition(": ")[0] for record in caplog.records] == [f"{root}/Bad Name", f"{root}/broken"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *(
            (word, rf"{word} is reserved and .* For example: {word}_data")
            for word in ("raw", "meta", "versions", "variants")
        ),
        ("x" * 300, r"longer than 200 characters.* For example: x+"),
        ("a." * 120 + "b", "longer than 200 characters"),
        ("a." * 120, "as in a_"),
        ("Ä!", "as in flower"),
        ("RAW", "as in raw_data"),
        ("org.x[a=1", "is not a qualified name"),
    ],
)
def test_a_name_that_is_refused_comes_with_one_that_is_allowed(name: str, words: str):
    with pytest.raises(NameNotAllowed, match=words) as error:
        full_name(name)
    for proposed in re.findall(r"(?:For example: |as in )([a-z_]+)(?:,|$)", str(error.value)):
        assert full_name(proposed) == f"shared.{proposed}"


def test_purging_what_is_not_there_and_pushing_to_nowhere_say_so(source: Path, remote: Storage):
    for act in (purge, lambda name: push(name, remote), lambda name: pull(name, remote)):
        with pytest.raises(NotPrepared):
            act("flower")
    with pytest.raises(UsageError, match="No remote is set"):
        open_remote()
    assert check_folder(source).partitions == ("2020", "empty", "train") and full_name("a.b") == "a.b"


def test_a_registered_folder_is_complete_without_the_bytes_of_its_tar_and_is_repaired_from_the_folder(
    source: Path, home: Path
):
    register(source)
    storage = LocalStorage(home / "storage")
    described = describe.describe(find(NAME, storage), storage)
    assert described["state"] == "complete" and described["files"]["folder"]["path"] is None
    assert [key for key in storage.list("shared") if "/raw/" in key] == ["shared/flower/raw/folder/source.json"]
    before = load(NAME)["train"].origin
    for key in [*storage.list("shared/flower/train/file")]:
        storage.delete(key)
    assert prepare(NAME)["train"].origin == before and load(NAME, verify="all")["train"].version == before.version
    assert [key for key in storage.list("shared") if "/raw/" in key] == ["shared/flower/raw/folder/source.json"]
