"""Files of the Hugging Face Hub: of one revision, with the digest that it publishes, and with the user's token."""

from pathlib import Path
from typing import Any, Iterator

import pytest
from hub_server import Hub, Repository

from dataset_assets import dataset_from_yaml, prepare
from dataset_assets.decoding import archive_members
from dataset_assets.errors import DatasetAssetsError, DigestMismatch, Refused, RetrievalError, UsageError
from dataset_assets.retrieval import fetch_first, retriever_for
from dataset_assets.retrieval.hub_address import address_of, login
from dataset_assets.storage import MemoryStorage

TOKEN = "hf_thisIsSecret123"
FILES = {
    "README.md": b"# Birds",
    "data/train.csv": b"x,kind\n1,a\n2,b\n",
    "data/a file (1).csv": b"x,kind\n3,a\n",
    "notes/small.txt": "é\n".encode(),
    "notes/b.txt": b"b",
}


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(home.parent / "hf"))
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.repositories["owner/birds"] = Repository()
        hub.repositories["owner/birds"].commit(FILES)
        yield hub


def read(url: str, into: Path, known: Any = None, **given: Any) -> Any:
    into.unlink(missing_ok=True)
    return fetch_first([url], into, known, **given)


@pytest.mark.parametrize(
    "path", ["data/train.csv", "data/a file (1).csv", "data/a%20file%20(1).csv", "notes/small.txt"]
)
def test_a_file_is_read_whole_and_not_again(path: str, hub: Hub, home: Path) -> None:
    into, url = home.parent / "file", f"hf://datasets/owner/birds@main/{path}"
    source = read(url, into)
    assert into.read_bytes() == FILES[path.replace("%20", " ")] and source.url == url
    assert read(url, into, source) is None
    look = retriever_for(url).look(url)  # type: ignore[attr-defined]
    assert (look.bytes, look.etag) == (len(FILES[path.replace("%20", " ")]), source.etag)


def test_a_revision_is_a_commit_a_branch_or_a_pull_request(hub: Hub, home: Path) -> None:
    repository, into = hub.repositories["owner/birds"], home.parent / "file"
    first = repository.branches["main"]
    repository.commit({"data/train.csv": b"new"}, "refs/pr/1")
    repository.commit({"data/train.csv": b"newest"})
    for revision, data in [
        (f"@{first}", FILES["data/train.csv"]), ("@refs/pr/1", b"new"), ("@refs%2Fpr%2F1", b"new"), ("", b"newest")
    ]:  # fmt: skip
        read(f"hf://datasets/owner/birds{revision}/data/train.csv", into)
        assert into.read_bytes() == data


def test_bytes_that_are_not_those_of_the_published_digest_are_refused(hub: Hub, home: Path) -> None:
    for path in ("data/train.csv", "notes/b.txt"):
        hub.lie[path] = b"z" * len(FILES[path])
        with pytest.raises(DigestMismatch, match="do not have the digest that the Hub publishes"):
            read(f"hf://datasets/owner/birds/{path}", home.parent / "file")
        assert not (home.parent / "file").exists()
    with pytest.raises(DigestMismatch, match="as the Hub publishes it, and not the sha256:0000"):
        read("hf://datasets/owner/birds/data/train.csv", home.parent / "file", digest="sha256:" + "0" * 64)
    hub.lie.clear()
    hub.lie["notes/b.txt"] = b"c"
    with pytest.raises(DigestMismatch):
        read("hf://datasets/owner/birds/notes/", home.parent / "file")


def test_a_folder_and_a_pattern_are_one_tar_of_all_files(hub: Hub, home: Path) -> None:
    into = home.parent / "file"
    for url, paths in [
        ("hf://datasets/owner/birds/", sorted(FILES)),
        ("hf://datasets/owner/birds/notes/", ["b.txt", "small.txt"]),
        ("hf://datasets/owner/birds/**/*.csv", ["data/a file (1).csv", "data/train.csv"]),
        ("hf://datasets/owner/birds/data/t*", ["train.csv"]),
    ]:
        source = read(url, into)
        with into.open("rb") as file:
            found = {member.name: member.read() for member in archive_members(file)}
        assert [*found] == paths and {*found.values()} <= {*FILES.values()}
        assert read(url, into, source) is None
    hub.repositories["owner/birds"].commit({**FILES, "data/train.csv": b"x"})
    assert read("hf://datasets/owner/birds/data/t*", into, source) is not None


def test_a_token_opens_gated_files_and_goes_to_the_hub_alone(
    hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories["owner/birds"].token = TOKEN
    url = "hf://datasets/owner/birds/data/train.csv"
    with pytest.raises(RetrievalError, match="Accept its terms at http.*/datasets/owner/birds, and give your token"):
        read(url, home.parent / "file")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(RetrievalError, match="Accept its terms") as refused:
        read(url, home.parent / "file")
    assert "hf_wrong" not in str(refused.value)
    monkeypatch.delenv("HF_TOKEN")
    (home.parent / "hf").mkdir()
    (home.parent / "hf" / "token").write_text(f"{TOKEN}\n")
    hub.asked.clear()
    assert TOKEN not in repr(read(url, home.parent / "file"))
    assert {path == "store": headers.get("Authorization") for _, path, headers in hub.asked} == {
        False: f"Bearer {TOKEN}",
        True: None,
    }
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert login() == {}


def test_a_token_is_never_sent_unencrypted_nor_shown(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(Refused, match="unencrypted"):
        login()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "hf_é\n secret")
    with pytest.raises(Refused) as refused:
        login()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("hf://datasets/owner/nothing/a.csv", RetrievalError, "no dataset owner/nothing on http.*HF_TOKEN"),
        ("hf://datasets/owner/birds@old/a.csv", RetrievalError, "has no revision 'old'"),
        ("hf://datasets/owner/birds/a.csv", RetrievalError, "a.csv is not there. Look at http.*tree/main"),
        ("hf://datasets/owner/birds/data", RetrievalError, "is a folder. Write '/' at its end"),
        ("hf://datasets/owner/birds/none/", RetrievalError, "is not there"),
        ("hf://datasets/owner/birds/*.none", RetrievalError, "There is nothing below"),
        ("hf://datasets/birds", UsageError, "Write hf://datasets/OWNER/NAME@REVISION/path/file"),
        ("hf://owner/birds/a.csv", UsageError, "Write hf://datasets/OWNER/NAME"),
        ("hf://datasets/owner/birds/../a.csv", UsageError, "Write hf://datasets"),
        ("hf://datasets/../birds/a.csv", UsageError, "Write hf://datasets"),
        ("hf://datasets/owner/birds/a.csv?x=1", UsageError, "Write hf://datasets"),
    ],
)
def test_what_is_not_there_says_what_to_do(
    url: str, kind: type[DatasetAssetsError], words: str, hub: Hub, home: Path
) -> None:
    with pytest.raises(kind, match=words):
        read(url, home.parent / "file")


def test_an_endpoint_that_is_no_hub_is_named(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.store)
    hub.repositories["owner/birds"].commits["api"] = {"datasets/owner/birds/paths-info/main": b"[1]"}
    with pytest.raises(RetrievalError, match="is not as the Hub's. Check HF_ENDPOINT"):
        read("hf://datasets/owner/birds/a.csv", home.parent / "file")
    monkeypatch.setenv("HF_ENDPOINT", "huggingface.co")
    with pytest.raises(UsageError, match="HF_ENDPOINT is no http or https URL"):
        read("hf://datasets/owner/birds/a.csv", home.parent / "file")


def test_an_address_keeps_what_it_names() -> None:
    for url in ("hf://datasets/a/b@refs%2Fpr%2F1/c%20d/%C3%A9.csv", "hf://datasets/a/b@main/**/*.csv"):
        assert address_of(url).url == url and address_of(address_of(url).url) == address_of(url)


def test_a_definition_without_code_names_files_of_the_hub(hub: Hub, home: Path) -> None:
    text = """
name: org.example.birds
summary: Birds.
kind: {kind}
streams: {streams}
splits: {{all: {{url: "hf://datasets/owner/birds@main/{path}"}}}}
"""
    path, storage = home.parent / "birds.yaml", MemoryStorage()
    streams = "{x: {format: array, dtype: int64}, kind: text}"
    path.write_text(text.format(kind="table", streams=streams, path="data/train.csv"))
    assert [one["kind"] for one in prepare(dataset_from_yaml(path), storage=storage)["all"]] == ["a", "b"]
    path.write_text(text.format(kind="files", streams="{text: text}", path="notes/"))
    assert [one["text"] for one in prepare(dataset_from_yaml(path), storage=storage)["all"]] == ["b", "é\n"]


def test_the_server_of_these_tests_answers_the_client_of_the_hub(hub: Hub, home: Path) -> None:
    client = pytest.importorskip("huggingface_hub")
    hub.repositories["owner/birds"].token = TOKEN
    api = client.HfApi(endpoint=hub.url, token=TOKEN)
    commit = hub.repositories["owner/birds"].branches["main"]
    assert api.dataset_info("owner/birds").sha == commit
    listed = {one.path: one for one in api.list_repo_tree("owner/birds", repo_type="dataset", recursive=True)}
    assert {path for path, one in listed.items() if hasattr(one, "lfs")} == {*FILES}
    for path, data in FILES.items():
        known = api.get_paths_info("owner/birds", [path], repo_type="dataset")[0]
        assert known.size == len(data) and bool(known.lfs) == path.endswith(".csv")
        got = api.hf_hub_download(
            "owner/birds", path, repo_type="dataset", local_dir=str(home.parent / "theirs"), revision=commit
        )
        assert Path(got).read_bytes() == data
    with pytest.raises(client.errors.GatedRepoError):
        client.HfApi(endpoint=hub.url, token=False).hf_hub_download("owner/birds", "README.md", repo_type="dataset")


def test_files_are_listed_with_the_revision_that_was_asked_for(hub: Hub) -> None:
    hub.repositories["owner/birds"].commit({**FILES, "data/new.csv": b"x"})
    found = retriever_for("hf://").listed("hf://datasets/owner/birds@main/data/*.csv")  # type: ignore[attr-defined]
    assert [one.path for one in found] == ["a file (1).csv", "new.csv", "train.csv"]
    assert found[2].url == "hf://datasets/owner/birds@main/data/train.csv"
