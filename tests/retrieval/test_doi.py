"""Files of publications by their DOI: found at their repository, and compared with what it states."""

import json
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import quote

import pytest
from doi_repositories import answers, md5

from dataset_assets import RemoteFile
from dataset_assets.core.redact import redacted
from dataset_assets.errors import (
    DatasetAssetsError,
    DefinitionError,
    DigestMismatch,
    Refused,
    RetrievalError,
    UsageError,
)
from dataset_assets.retrieval import fetch_first, retriever_for
from dataset_assets.retrieval.answers import ask
from dataset_assets.retrieval.doi import DoiRetriever
from dataset_assets.retrieval.http import HttpRetriever
from dataset_assets.testing.server import FaultyServer

FILES = {"birds.csv": b"x\n1\n", "a file.txt": b"text"}
DOIS = ["10.5281/zenodo.77", "10.5281/zenodo.78", "10.6084/m9.figshare.55.v2", "10.7910/DVN/ABC"]


@pytest.fixture
def server(home: Path) -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        server.files |= answers(server.url, FILES)
        yield server


class _Named:
    """A retriever of a URL that a server with a public address named."""

    def __init__(self, place: str) -> None:
        self.place = place

    def retrieve(self, url: str, into: Any, known: Any = None, report: Any = None) -> Any:
        return HttpRetriever(via="http://93.184.215.14").retrieve(f"{self.place}/files/0", into)


def read(server: FaultyServer, url: str, into: Path, known: Any = None) -> Any:
    into.unlink(missing_ok=True)
    return fetch_first([url], into, known, retrievers=lambda url: DoiRetriever(server.url, server.url))


@pytest.mark.parametrize("doi", DOIS)
def test_a_file_of_a_repository_is_read_whole_and_not_again(doi: str, server: FaultyServer, home: Path) -> None:
    for name, data in FILES.items():
        url, into = f"doi:{doi}/{name.replace(' ', '%20')}", home.parent / "file"
        source = read(server, url, into)
        assert into.read_bytes() == data and source.url == url == RemoteFile(url).name
        assert read(server, url, into, source) is None
        look = DoiRetriever(server.url, server.url).look(url)
        assert look.etag == source.etag and look.bytes in (len(data), None)


@pytest.mark.parametrize("doi", DOIS)
def test_bytes_that_are_not_those_of_the_checksum_are_refused(doi: str, server: FaultyServer, home: Path) -> None:
    for path, data in server.files.items():
        if data == FILES["birds.csv"]:
            server.files[path] = b"y\n1\n"
    with pytest.raises(DigestMismatch, match="has md5 .*, and its repository states"):
        read(server, f"doi:{doi}/birds.csv", home.parent / "file")
    assert not (home.parent / "file").exists()


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("doi:10.5281/zenodo.77/bird.csv", RetrievalError, "has no file 'bird.csv'. Did you mean 'birds.csv'?"),
        ("doi:10.5281/zenodo.99/a.csv", RetrievalError, "There is no DOI 10.5281/zenodo.99. Look it up"),
        ("doi:10.1234/else/a.csv", RetrievalError, "is no repository that is known: Zenodo, figshare or Dataverse"),
        ("doi:10.5281/zenodo.77", UsageError, "names no file of a DOI. Write doi:10.5281/zenodo.3939050/file.csv"),
        ("doi:zenodo.77/a.csv", UsageError, "names no file of a DOI"),
    ],
)
def test_what_is_not_there_says_what_to_do(
    url: str, kind: type[DatasetAssetsError], words: str, server: FaultyServer, home: Path
) -> None:
    with pytest.raises(kind, match=words):
        read(server, url, home.parent / "file")


@pytest.mark.parametrize("file", ["a@b.csv", "a b.csv", "a?b.csv", "a#b.csv"])
def test_a_file_whose_name_cannot_be_shown_is_refused_with_the_way_to_write_it(file: str) -> None:
    with pytest.raises(DefinitionError, match="Write it as in doi:10.5281/zenodo.3939050/file.csv"):
        RemoteFile(f"doi:10.5281/zenodo.77/{file}", identifier="f")
    url = f"DOI:10.5281/zenodo.77/{quote(file)}"
    assert RemoteFile(url, identifier="f").urls == (url,) == (redacted(url),)


def test_files_of_one_name_are_told_apart_by_their_folder(server: FaultyServer, home: Path) -> None:
    path, doi, into = "/api/datasets/:persistentId/", "doi:10.7910/DVN/ABC", home.parent / "file"
    said = json.loads(server.files[path])
    files = said["data"]["latestVersion"]["files"]
    for number, folder in ((8, "data/train"), (9, "data/test")):
        stated = {
            "id": number,
            "filename": "x.bin",
            "filesize": 1,
            "checksum": {"type": "MD5", "value": md5(b"%d" % number)},
        }
        files.append({"label": "x.bin", "directoryLabel": folder, "dataFile": stated})
        server.files[f"/api/access/datafile/{number}"] = b"%d" % number
    files[0]["directoryLabel"] = "tables"
    server.files[path] = json.dumps(said).encode()
    for name, data in {
        "data%2Ftrain%2Fx.bin": b"8",
        "data%2Ftest%2Fx.bin": b"9",
        "birds.csv": FILES["birds.csv"],
    }.items():
        read(server, f"{doi}/{name}", into)
        assert into.read_bytes() == data and redacted(f"{doi}/{name}") == f"{doi}/{name}"
    with pytest.raises(
        RetrievalError, match=f"2 files named 'x.bin'. Choose one: {doi}/data%2Ftrain%2Fx.bin or {doi}/"
    ):
        read(server, f"{doi}/x.bin", into)
    # A repository that states one path twice has the URLs of the files themselves.
    del files[-1]["directoryLabel"], files[-2]["directoryLabel"]
    server.files[path] = json.dumps(said).encode()
    with pytest.raises(RetrievalError, match=r"Choose one: http://127.0.0.1:\d+/api/access/datafile/8 or http:"):
        read(server, f"{doi}/x.bin", into)


def test_a_publication_leads_no_nearer_than_a_redirect(server: FaultyServer, home: Path) -> None:
    # The server of DOIs has a public address, and what it names has one of this machine.
    with pytest.raises(Refused, match="must not make this machine send requests into its own network"):
        ask(f"{server.url}/api/records/77", via="http://93.184.215.14")
    with pytest.raises(Refused, match="must not make this machine"):
        fetch_first(["x"], home.parent / "f", retrievers=lambda url: _Named(server.url))
    assert not server.requests


def test_an_answer_of_another_form_is_named(server: FaultyServer, home: Path) -> None:
    for answer in (b'{"files": [3]}', b"[]", b'{"files": 3}'):
        server.files["/api/records/77"] = answer
        with pytest.raises(RetrievalError, match="about 10.5281/zenodo.77 is not as its documentation says"):
            read(server, "doi:10.5281/zenodo.77/birds.csv", home.parent / "file")
    server.files["/api/records/77"] = b"<html>"
    with pytest.raises(RetrievalError, match="did not answer with JSON"):
        read(server, "doi:10.5281/zenodo.77/birds.csv", home.parent / "file")
    assert isinstance(retriever_for("doi:10.5281/zenodo.77/birds.csv"), DoiRetriever)
