"""Looking at a URL: HEAD, or one byte by GET; never a body."""

from pathlib import Path
from typing import Iterator

import pytest

from dataset_assets.errors import DatasetAssetsError, Refused, RetrievalError
from dataset_assets.retrieval.http import HttpLimits, HttpRetriever
from dataset_assets.retrieval.retriever import RETRIEVERS, Look, Looking, retriever_for
from dataset_assets.testing.http_faults import Fault, Reply
from dataset_assets.testing.server import (
    CutHeaders,
    FaultyServer,
    Gzip,
    Html,
    IgnoreRange,
    NoLength,
    Redirect,
    SlowHeaders,
    Status,
)

BODY = b"0123456789"


class HeadAnswers(Fault):
    """A server that announces no bytes."""

    def change(self, reply: Reply) -> None:
        reply.body = b""


@pytest.fixture
def server(home: Path) -> Iterator[FaultyServer]:
    with FaultyServer({"/a.bin": BODY}) as server:
        yield server


def looked(server: FaultyServer, *faults: object, path: str = "/a.bin", **limits: float) -> Look:
    server.script(path, [*faults])
    return HttpRetriever(HttpLimits(**limits)).look(server.url + path)


def test_all_schemes_of_ours_can_be_looked_at() -> None:
    assert all(isinstance(retriever_for(f"{scheme}://x/y"), Looking) for scheme in RETRIEVERS)


def test_a_head_says_it_all_and_no_body_is_asked_for(server: FaultyServer) -> None:
    found = looked(server)
    assert found.bytes == 10 and found.etag and found.last_modified
    assert [request.method for request in server.requests] == ["HEAD"]


@pytest.mark.parametrize("first", [Status(405), Status(403), Status(501), Status(404), CutHeaders(), HeadAnswers()])
def test_what_refuses_or_misanswers_head_is_asked_for_one_byte(first: object, server: FaultyServer) -> None:
    assert looked(server, first).bytes == 10
    assert [(request.method, request.headers["Range"]) for request in server.requests] == [
        ("HEAD", None),
        ("GET", "bytes=0-0"),
    ]


@pytest.mark.parametrize("second, size", [(IgnoreRange(), 10), ((IgnoreRange(), NoLength()), None), (Gzip(), None)])
def test_the_size_is_that_of_the_file_or_unknown(second: object, size: int | None, server: FaultyServer) -> None:
    assert looked(server, Status(405), second).bytes == size


@pytest.mark.parametrize("status", [404, 410, 403, 500, 503])
def test_an_error_status_is_a_retrieval_error_with_advice(status: int, server: FaultyServer) -> None:
    with pytest.raises(RetrievalError, match=f"answered {status}"):
        looked(server, Status(status), Status(status))


def test_a_login_page_is_no_file(server: FaultyServer) -> None:
    with pytest.raises(RetrievalError, match="HTML page"):
        looked(server, Html(), Html(), Html())


def test_an_empty_file_is_there(server: FaultyServer) -> None:
    server.files["/none.bin"] = b""
    assert looked(server, path="/none.bin").bytes == 0


def test_redirects_are_followed_by_the_rules_of_downloads(server: FaultyServer) -> None:
    server.files["/b.bin"] = b"12"
    assert looked(server, Redirect(f"{server.url}/b.bin")).bytes == 2
    with pytest.raises((Refused, RetrievalError)):
        looked(server, Redirect("file:///etc/passwd"), Redirect("file:///etc/passwd"))


def test_a_silent_or_closed_server_ends_in_time_and_shows_no_secret(server: FaultyServer) -> None:
    with pytest.raises(RetrievalError, match="no data"):
        looked(server, SlowHeaders(), SlowHeaders(), idle_timeout=0.3)
    with pytest.raises(RetrievalError) as caught:
        HttpRetriever().look("http://127.0.0.1:9/a?token=hush")
    assert "hush" not in str(caught.value) and caught.value.__context__ is None


def test_files_folders_and_packages_are_looked_at_without_reading(home: Path, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(BODY)
    assert retriever_for("file:///x").look((tmp_path / "x.bin").as_uri()).bytes == 10
    folder = retriever_for("file:///x").look(tmp_path.as_uri())
    assert folder.etag and folder.bytes is None
    assert retriever_for("package:x").look("package://numpy/__init__.py").bytes
    for url in (
        "file:///nowhere/at/all",
        "package://numpy/nothing.csv",
        "package://no_such_package/x.csv",
        "folder:no",
    ):
        with pytest.raises(DatasetAssetsError):
            retriever_for(url).look(url)
