"""A command in a message works as printed: it is taken from an error, run as it stands, and the trouble is gone."""

import ast
import re
import shlex
import shutil
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import dataset_assets
from dataset_assets import load, prepare
from dataset_assets.cli.common import State
from dataset_assets.cli.main import commands
from dataset_assets.errors import Conflict, DatasetAssetsError, Refused
from dataset_assets.moving.copy import copy
from dataset_assets.moving.forget import forget
from dataset_assets.moving.gc import collect
from dataset_assets.moving.rm import rm
from dataset_assets.moving.share import pull, push
from dataset_assets.moving.verify import repair, verify
from dataset_assets.storage import open_storage
from dataset_assets.storage.aliases import own_name
from dataset_assets.storage.pins import pin
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.numbers"
DEFINED = """
from dataset_assets import Array, Columns, Dataset, RemoteFile, Split

def rows(file):
    yield Columns(number=[int(word) for word in file.read().split()])

numbers = Dataset("org.example.numbers", "Numbers.", {{"number": Array("int64")}},
                  {{"train": Split(rows, file=RemoteFile({url!r}))}})
"""
COMMAND = re.compile(r"(?:^|[ (`])dataset-assets ([a-z]+(?: (?:--[a-z-]+|[^ ;`)]+))*)")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a storage, beside the definition of what is in it, and the file that it is made of."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "numbers.txt").write_text("1 2 3")
    (folder / "defined.py").write_text(DEFINED.format(url=(folder / "numbers.txt").as_uri()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATASET_ASSETS_HOME", str(folder / "home"))
        patch.setenv("DATASET_ASSETS_DEFINITIONS", str(folder / "defined.py"))
        prepare(NAME, storage=folder / "store")
    return folder


def remove(pattern: str) -> Callable[[Path], object]:
    return lambda store: next(path for path in store.rglob(pattern) if path.is_file()).unlink()


def damage(pattern: str) -> Callable[[Path], object]:
    def act(store: Path) -> None:
        path = next(path for path in store.rglob(pattern) if path.is_file())
        path.write_bytes(b"x" * path.stat().st_size)

    return act


def opens(store: Path) -> Any:
    return load(NAME, "train", storage=store, verify="all")[0]


def copies(store: Path) -> Any:
    return copy(None, open_storage(store), open_storage(store.with_name("target")), raw=True)


TROUBLE: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "nothing is stored": (shutil.rmtree, opens),
    "the pointer is damaged": (damage("current.json"), opens),
    "a version is gone": (remove("versions/*.json"), opens),
    "an index is gone": (remove(f"train/index/{'?' * 64}.json"), opens),
    "an index is damaged": (damage(f"train/index/{'?' * 64}.json"), opens),
    "a stream is gone": (remove("*.npy"), opens),
    "a stream is damaged": (damage("*.npy"), opens),
    "a stream that is copied is damaged": (damage("*.npy"), copies),
    "a raw file that is read is gone": (
        remove("raw/numbers_txt/[0-9a-f]*"),
        lambda store: load(NAME, "train", storage=store).open_raw("file").read(),
    ),
    "what is pinned is gone": (remove("versions/*.json"), lambda store: pin(NAME, open_storage(store))),
}  # fmt: skip


def run(words: list[str]) -> None:
    """Run a command in this process, and see that it ends well."""
    try:
        commands.main(words, standalone_mode=False, obj=State())
    except SystemExit as ended:
        assert not ended.code, words


@pytest.mark.parametrize("trouble", TROUBLE)
def test_the_command_in_an_error_ends_the_trouble(
    made: Path, trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(made / "defined.py"))
    store = tmp_path / "my store"
    shutil.copytree(made / "store", store)
    break_it, act = TROUBLE[trouble]
    break_it(store)
    with pytest.raises(DatasetAssetsError) as caught:
        act(store)
    found = COMMAND.search(str(caught.value))
    assert found, f"no command in: {caught.value}"
    words = shlex.split(found[1].removesuffix("."))
    assert ["--storage", store.as_uri()] == words[-2:]
    run([*words, *(["--direct"] if words[0] == "prepare" else [])])
    act(store)


@pytest.fixture
def far(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a remote; beside it are two storages with the same version."""
    monkeypatch.setenv("DATASET_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(made / "defined.py"))
    for name in ("far", "here", "second"):
        shutil.copytree(made / "store", tmp_path / name)
    return tmp_path / "far"


def command_in(error: BaseException) -> list[str]:
    found = COMMAND.search(str(error))
    assert found, f"no command in: {error}"
    return shlex.split(found[1].removesuffix("."))


def test_damage_of_a_remote_is_repaired_by_the_command_that_a_machine_without_the_definition_shows(
    far: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage("*.npy")(far)
    monkeypatch.delenv("DATASET_ASSETS_DEFINITIONS")
    with pytest.raises(DatasetAssetsError, match="Nothing here defines it") as caught:
        pull(NAME, far, storage=far.with_name("new"))
    damaged = repair(verify(NAME, open_storage(far)), open_storage(far)).left
    assert [damage.reason for damage in damaged] == [
        f"Nothing here defines {NAME}. Fetch it from another storage that has it whole: --from URL."
    ]
    run([far.with_name("here").as_uri() if word == "URL" else word for word in command_in(caught.value)])
    assert pull(NAME, far, storage=far.with_name("new")).files == 1


def test_a_conflict_with_what_was_forgotten_names_the_command_that_works_first(far: Path) -> None:
    here, second = far.with_name("here"), far.with_name("second")
    forget(NAME, {"number": ["2"]}, here)
    for act in (lambda: push(NAME, far, storage=here), lambda: pull(NAME, far, storage=second)):
        with pytest.raises(Conflict, match="as another version") as caught:
            act()
        assert "--apply-exclusions" in command_in(caught.value)
        run(command_in(caught.value))
    assert [int(sample["number"]) for sample in load(NAME, "train", storage=second)] == [1, 3]
    prepare(NAME, storage=far.with_name("again"))
    with pytest.raises(Refused, match="this copy may have them"):
        push(NAME, far, storage=far.with_name("again"))


def test_gc_names_commands_that_work_beside_a_broken_version(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(made / "defined.py"))
    store = tmp_path / "store"
    shutil.copytree(made / "store", store)
    remove("*.npy")(store)
    [done] = collect(open_storage(store), grace_seconds=0)
    found = COMMAND.search(str(done.problem))
    assert found
    run(shlex.split(found[1]))
    assert collect(open_storage(store), grace_seconds=0)[0].problem is None


def test_a_pin_that_is_no_digest_names_a_command_that_lists_the_digests(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_HOME", str(tmp_path / "home"))
    store = open_storage(made / "store")
    digest = StoredDataset(store, NAME).pointer().version
    acts: list[Callable[[str], object]] = [
        lambda name: load(name, storage=store),
        lambda name: pin(name, store),
        lambda name: rm(name, store),
        lambda name: own_name(store, name),
    ]
    for act in acts:
        with pytest.raises(DatasetAssetsError) as caught:
            act(f"{NAME}@latest")
        found = COMMAND.search(str(caught.value))
        assert found, f"no command in: {caught.value}"
        run(shlex.split(found[1]))
        assert str(digest) in capsys.readouterr().out


def test_each_command_of_a_message_that_takes_a_storage_names_it() -> None:
    """Such a command is written by `command`, which adds the storage."""
    takes = {name for name, verb in commands.commands.items() if any(one.name == "storage" for one in verb.params)}
    assert {"prepare", "rm", "versions"} <= takes
    found = []
    for path in sorted(Path(dataset_assets.__file__).parent.rglob("*.py")):
        for text in messages(ast.parse(path.read_text())):
            named = re.findall(r"\bdataset-assets ([a-z-]+)", text)
            found += [(path.name, verb) for verb in named if verb in takes]
    # A folder is registered and a family described whatever the storage; a stranger's page names none, and Dagster's
    # history says which verb wrote it.
    said = {("registered.py", "register"), ("family.py", "info"), ("guard.py", "ui"), ("reconcile.py", "reconcile")}
    assert {*found} == said


def messages(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of a module that are no docstrings."""
    documented = [node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    docstrings = {id(node.body[0].value) for node in documented if node.body and isinstance(node.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
