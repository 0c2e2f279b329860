"""Folders of the user's, by name: what is set is found, and what is not says how to set it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dataset_assets import Dataset, RemoteFile, Split, Text, load, prepare
from dataset_assets.core import user_folders
from dataset_assets.errors import DefinitionError, NameNotAllowed, NotFound, Refused, RetrievalError, UsageError
from dataset_assets.retrieval.folder import path_of


@pytest.fixture(autouse=True)
def configuration(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    return fast_path / "config/dataset_assets/folders"


@pytest.fixture
def corpora(fast_path: Path) -> Path:
    (fast_path / "corpora/wiki").mkdir(parents=True)
    (fast_path / "corpora/wiki/part 1.txt").write_bytes(b"one\ntwo\n")
    return fast_path / "corpora"


def lines(file):  # type: ignore[no-untyped-def]
    for line in file:
        yield {"text": line.decode().strip()}


def dataset(*urls: str) -> Dataset:
    file = RemoteFile("part_1.txt", mirrors=urls)
    return Dataset("org.example.lines", "Lines.", {"text": Text()}, {"all": Split(lines, file=file)})


def test_a_folder_has_its_name_until_it_is_unset(corpora: Path, configuration: Path):
    assert user_folders.folders() == {}
    user_folders.set_folder("corpora", corpora)
    user_folders.set_folder("archive", corpora / "wiki")
    assert user_folders.folders() == {"archive": corpora / "wiki", "corpora": corpora}
    assert (configuration / "corpora.txt").read_text() == str(corpora)
    user_folders.unset_folder("archive")
    assert [*user_folders.folders()] == ["corpora"]
    with pytest.raises(NotFound, match="No folder is set as archive"):
        user_folders.unset_folder("archive")


@pytest.mark.parametrize("name", ["", "a.b", "A", "a/b", "../x", "a b", "a__b", "x" * 101])
def test_a_name_is_one_word(name: str, corpora: Path):
    with pytest.raises(NameNotAllowed, match="cannot be the name of a folder"):
        user_folders.set_folder(name, corpora)


def test_only_a_folder_can_be_set(corpora: Path):
    with pytest.raises(NotFound, match="is not a folder"):
        user_folders.set_folder("corpora", corpora / "wiki/part 1.txt")


@pytest.mark.parametrize("text", ["", "x", "[]", "/a\0b"])
def test_a_file_without_a_path_is_named(text: str, configuration: Path):
    configuration.mkdir(parents=True)
    (configuration / "corpora.txt").write_text(text)
    with pytest.raises(UsageError, match=r"corpora.txt does not hold the path of a folder. Remove it"):
        user_folders.folders()
    (configuration / "corpora.txt").unlink()
    (configuration / "corpora.txt").mkdir()
    with pytest.raises(UsageError, match=r"corpora.txt cannot be read.*Remove it"):
        user_folders.folders()


def test_a_file_in_the_place_of_all_of_them_is_named(configuration: Path):
    configuration.parent.mkdir(parents=True)
    configuration.write_text("{}")
    with pytest.raises(UsageError, match=r"folders cannot be read.*Remove it"):
        user_folders.folders()


def test_folders_that_are_set_at_once_are_all_kept(corpora: Path):
    names = [f"corpus_{i}" for i in range(32)]
    with ThreadPoolExecutor(8) as pool:
        [*pool.map(lambda name: user_folders.set_folder(name, corpora), names)]
        assert {*user_folders.folders()} == {*names}
        [*pool.map(user_folders.unset_folder, names[1:])]
    assert [*user_folders.folders()] == names[:1]


@pytest.mark.parametrize("long", ["x" * 300, "x/" * 5000])
def test_a_path_that_is_too_long_is_not_there(long: str, corpora: Path):
    user_folders.set_folder("corpora", corpora)
    with pytest.raises(NotFound, match="is not a folder"):
        user_folders.set_folder("other", corpora / long)
    with pytest.raises(RetrievalError, match="is not in the folder corpora"):
        path_of(f"folder:corpora/{long}")
    with pytest.raises(RetrievalError):
        prepare(dataset((corpora / long).as_uri()))


def test_a_definition_reads_a_file_below_it_and_sees_a_change(corpora: Path, fast_path: Path):
    user_folders.set_folder("corpora", corpora)
    made = dataset("folder:corpora/wiki/part%201.txt")
    assert [sample["text"] for sample in prepare(made)["all"]] == ["one", "two"]
    before = load("org.example.lines", "all").origin.version
    assert prepare(made)["all"].origin.version == before
    (corpora / "wiki/part 1.txt").write_bytes(b"three\n")
    assert [sample["text"] for sample in prepare(made)["all"]] == ["three"]


def test_a_dangling_folder_says_the_fix_and_a_mirror_replaces_it(corpora: Path, fast_path: Path):
    url = "folder:corpora/wiki/part%201.txt"
    with pytest.raises(RetrievalError, match="No folder is set as corpora.*settings folders set corpora /PATH"):
        prepare(dataset(url))
    user_folders.set_folder("corpora", corpora)
    corpora.rename(fast_path / "moved")
    with pytest.raises(RetrievalError, match="is not a folder here.*settings folders set corpora /PATH"):
        prepare(dataset(url))
    other = (fast_path / "moved/wiki/part 1.txt").as_uri()
    assert len(prepare(dataset(url, other))["all"]) == 2
    user_folders.set_folder("corpora", fast_path / "moved")
    with pytest.raises(RetrievalError, match="gone.txt is not in the folder corpora.*settings folders set"):
        prepare(dataset("folder:corpora/gone.txt"))


@pytest.mark.parametrize("below", ["a@b.txt", "a:b.txt", "a?b", "a#b"])
def test_a_path_that_would_be_hidden_in_messages_is_written_encoded(below: str):
    with pytest.raises(DefinitionError, match="percent-encoded"):
        RemoteFile(f"folder:corpora/{below}")


@pytest.mark.parametrize("below", ["../x", "wiki/../../x", "/etc/passwd", "%2e%2e/x", "a%00b"])
def test_a_path_stays_below_the_folder(below: str, corpora: Path):
    user_folders.set_folder("corpora", corpora)
    with pytest.raises(Refused, match="is not below the folder corpora"):
        path_of(f"folder:corpora/{below}")


def test_a_whole_folder_is_one_tar(corpora: Path):
    user_folders.set_folder("corpora", corpora)
    assert path_of("folder:corpora") == corpora
    assert path_of("folder:corpora/wiki") == corpora / "wiki"
