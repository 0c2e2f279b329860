"""What a server sends, bounded: its headers as a whole, its body, and what stands between the two."""

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from memory import peak_of

from dataset_assets.core.settings import settings
from dataset_assets.errors import DatasetAssetsError, DigestMismatch, RetrievalError
from dataset_assets.retrieval import fetch_first
from dataset_assets.retrieval.http import HttpLimits, HttpRetriever
from dataset_assets.testing import (
    Chunked,
    CutHeaders,
    EndlessBody,
    EndlessHeaders,
    EndlessTrailers,
    Fault,
    FaultyServer,
    Gzip,
    Line,
    NoLength,
    Redirect,
    Reply,
    SlowHeaders,
    Stall,
    Status,
)
from dataset_assets.testing.http_faults import Ending

BODY = b"0123456789" * 2000
ONCE = HttpLimits(attempts=1, idle_timeout=60, connect_timeout=60, backoff=0.001)
HASTY = replace(ONCE, idle_timeout=0.4, connect_timeout=10)

MIB = 1 << 20


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/train.bin": BODY}) as server:
        yield server


def download(server: FaultyServer, into: Path, limits: HttpLimits = ONCE, size: int | None = None) -> bytes:
    into.unlink(missing_ok=True)
    fetch_first([server.url + "/train.bin"], into, retrievers=lambda _: HttpRetriever(limits), size=size)
    return into.read_bytes()


class Only(Fault):
    """Sends these very bytes, instead of headers and body, and closes the connection."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def change(self, reply: Reply) -> None:
        reply.heading = reply.sending = self

    def send_head(self, line: Line, head: bytes) -> None:
        line.handler.wfile.write(self.data)
        line.close()

    def send(self, line: Line, body: bytes) -> None:
        """Send nothing more."""
        raise Ending


# --- headers


def test_headers_cut_at_any_byte_are_an_error_and_never_a_file(server: FaultyServer, tmp_path: Path) -> None:
    head = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
    for count in range(len(head)):
        server.script("/train.bin", [Only(head[:count])])
        with pytest.raises(RetrievalError, match=r"middle of its headers|without an answer|failed"):
            download(server, tmp_path / "file")
        assert not (tmp_path / "file").exists()


def test_after_cut_headers_the_file_is_asked_for_again(server: FaultyServer, tmp_path: Path) -> None:
    server.script("/train.bin", [CutHeaders(0.3), CutHeaders(0.99)])
    assert download(server, tmp_path / "file", HttpLimits(attempts=3, backoff=0.001)) == BODY


@pytest.mark.parametrize(
    "fault, limits, said",
    [
        # On a busy machine the server may pause for longer than that.
        (SlowHeaders(20), HASTY, "did not finish its headers within 0.4 s|no data arrived"),
        (EndlessHeaders(per_s=20), HASTY, "did not finish its headers within 0.4 s|no data arrived"),
        (EndlessHeaders(), ONCE, "bytes of headers"),
        (EndlessHeaders(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200), ONCE, "HTTPException|bytes of headers"),
        (EndlessHeaders(b"x" * 5000), ONCE, "LineTooLong|bytes of headers"),
    ],
)
def test_headers_without_end_are_broken_off(
    server: FaultyServer, tmp_path: Path, fault: Fault, limits: HttpLimits, said: str
) -> None:
    server.script("/train.bin", [fault])
    with pytest.raises(RetrievalError, match=said):
        download(server, tmp_path / "file", limits)


def test_a_server_that_thinks_before_it_answers_is_waited_for(server: FaultyServer, tmp_path: Path) -> None:
    server.script("/train.bin", [SlowHeaders(2000)])
    assert download(server, tmp_path / "file", ONCE) == BODY


def test_a_line_that_is_no_header_does_not_hide_those_after_it(server: FaultyServer, tmp_path: Path) -> None:
    server.script("/train.bin", [Only(b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 10\r\n\r\n12345")])
    with pytest.raises(RetrievalError, match="cannot be read"):
        download(server, tmp_path / "file")


@pytest.mark.parametrize(
    "header, said",
    [
        ("Content-Length: ten", "is not a number"),
        ("Content-Length: -5", "is not a number"),
        ("Content-Length: 0x10", "is not a number"),
        ("Content-Length: 99999999999999999999", "is not a number"),
        ("Content-Length: 10, 10", "ended after 5 of 10"),
        ("Content-Length: 10, 11", "contradict each other"),
        ("Transfer-Encoding: gzip, chunked", "unknown Transfer-Encoding"),
        ("Transfer-Encoding: xchunked", "unknown Transfer-Encoding"),
    ],
)
def test_a_body_whose_end_cannot_be_known_is_no_file(
    server: FaultyServer, tmp_path: Path, header: str, said: str
) -> None:
    server.script("/train.bin", [Only(f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n12345".encode())])
    with pytest.raises(RetrievalError, match=said):
        download(server, tmp_path / "file")


# --- bodies


@pytest.mark.parametrize("said", ["chunked\t", "chunked ", "Chunked \t"])
def test_a_framing_that_the_library_does_not_see_is_no_file(server: FaultyServer, tmp_path: Path, said: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {said}\r\n\r\n"
    server.script("/train.bin", [Only(head.encode() + b"5\r\nhello\r\n0\r\n\r\n")])
    with pytest.raises(RetrievalError, match="Transfer-Encoding"):
        download(server, tmp_path / "x")


def answered(*ranges: tuple[str, bytes]) -> list[Fault]:
    """Answer half of a file of ten bytes, and then these parts of it."""
    first = b'HTTP/1.1 200 OK\r\nETag: "a"\r\nContent-Length: 10\r\n\r\nhello'
    head = 'HTTP/1.1 206 Partial Content\r\nETag: "a"\r\nContent-Range: {}\r\nContent-Length: {}\r\n\r\n'
    return [Only(first), *(Only(head.format(said, len(body)).encode() + body) for said, body in ranges)]


TWICE = replace(ONCE, attempts=2)


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ("bytes 5-6/10", b"wo"),
        ("bytes 5-6/7", b"wo"),
        ("bytes 5-14/15", b"worldworld"),
        ("bytes 5-14/10", b"worldworld"),
        ("bytes 5-14/*", b"worldworld"),
        (f"bytes {'5' * 5000}-9/10", b"world"),
    ],
)
def test_a_rest_that_does_not_make_up_the_file_is_no_file(
    server: FaultyServer, tmp_path: Path, said: str, body: bytes
) -> None:
    server.script("/train.bin", answered((said, body)))
    with pytest.raises(RetrievalError):
        download(server, tmp_path / "x", TWICE)


def test_a_rest_that_comes_in_two_parts_makes_up_the_file(server: FaultyServer, tmp_path: Path) -> None:
    server.script("/train.bin", answered(("bytes 5-6/10", b"wo"), ("bytes 7-9/*", b"rld")))
    assert download(server, tmp_path / "x", replace(ONCE, attempts=3)) == b"helloworld"


@pytest.mark.parametrize("framing", ["chunked", "none"])
@pytest.mark.parametrize("piece", [bytes(1 << 16), b"x"])
def test_a_body_without_end_ends_at_max_bytes(
    server: FaultyServer, tmp_path: Path, framing: str, piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_MAX_BYTES", "30000")
    server.script("/train.bin", [EndlessBody(framing, piece)])
    with pytest.raises(RetrievalError, match="more than 30000 bytes.*DATASET_ASSETS_MAX_BYTES"):
        download(server, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_body_without_end_ends_at_the_size_of_the_definition(server: FaultyServer, tmp_path: Path) -> None:
    server.script("/train.bin", [EndlessBody()])
    with pytest.raises(DigestMismatch, match="more than the 20000 bytes it was defined with"):
        download(server, tmp_path / "file", size=len(BODY))
    assert download(server, tmp_path / "file", size=len(BODY)) == BODY


def test_a_body_that_is_announced_too_large_is_not_begun(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_MAX_BYTES", "10000")
    server.script("/train.bin", [Stall(after=0.0)])
    with pytest.raises(RetrievalError, match="more than 10000 bytes"):
        download(server, tmp_path / "file", HttpLimits(attempts=1, idle_timeout=60))


def test_a_bomb_of_gzip_ends_at_max_bytes_in_little_memory(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_MAX_BYTES", str(8 * MIB))
    server.files["/train.bin"] = gzip.compress(bytes(200 * MIB), 1)
    server.script("/train.bin", [Gzip(stored=True)])

    def downloaded() -> None:
        with pytest.raises(RetrievalError, match="more than 8388608 bytes"):
            download(server, tmp_path / "file", HttpLimits(attempts=1))

    assert peak_of(downloaded) < 16 * MIB


@pytest.mark.parametrize(
    "coded", [gzip.compress(b"") * 100_000, gzip.compress(b"")[:10] + b"\x00\x00\x00\xff\xff" * 300_000]
)
def test_a_coding_of_nothing_without_end_is_broken_off(server: FaultyServer, tmp_path: Path, coded: bytes) -> None:
    server.files["/train.bin"] = coded
    server.script("/train.bin", [Gzip(stored=True)])
    with pytest.raises(RetrievalError, match="decompresses to nothing"):
        download(server, tmp_path / "file", HttpLimits(attempts=1))


def test_trailers_without_end_are_broken_off(server: FaultyServer, tmp_path: Path) -> None:
    server.script("/train.bin", [EndlessTrailers()])
    with pytest.raises(RetrievalError, match="more than 100 lines after its body"):
        download(server, tmp_path / "file", HttpLimits(attempts=1))


@pytest.mark.parametrize(
    "end", [b"5\r\n12345\r\n0", b"5\r\n12345\r\n000", b"5\r\n12345\r\n", b"5\r\n12345", b"5\r\n123", b"5"]
)
def test_chunks_cut_at_any_byte_are_an_error(server: FaultyServer, tmp_path: Path, end: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    server.script("/train.bin", [Only(head + end)])
    with pytest.raises(RetrievalError, match="middle of its chunks|ended early"):
        download(server, tmp_path / "file")


def test_the_end_of_chunks_is_enough_without_the_line_after_it(server: FaultyServer, tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    server.script("/train.bin", [Only(head + b"5\r\n12345\r\n0\r\n")])
    assert download(server, tmp_path / "file") == b"12345"


def test_a_redirect_is_followed_though_its_own_body_has_no_end(server: FaultyServer, tmp_path: Path) -> None:
    server.script("/train.bin", [(Redirect("/train.bin"), EndlessBody())])
    assert download(server, tmp_path / "file", HttpLimits(attempts=1)) == BODY


@pytest.mark.parametrize("fault", [Status(404), Status(503)])
def test_the_body_of_an_error_is_not_read(server: FaultyServer, tmp_path: Path, fault: Fault) -> None:
    server.script("/train.bin", [(fault, EndlessBody())])
    with pytest.raises(RetrievalError, match="answered"):
        download(server, tmp_path / "file", HttpLimits(attempts=1))


def test_bodies_within_the_bounds_arrive_to_the_byte(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_MAX_BYTES", str(len(BODY)))
    server.script("/train.bin", [Chunked(), NoLength(), Gzip()])
    assert all(download(server, tmp_path / "file", size=len(BODY)) == BODY for _ in range(4))


# --- the handshake, and the settings


def test_a_handshake_without_end_is_broken_off(tmp_path: Path) -> None:
    limits = replace(HASTY, connect_timeout=0.4)
    # The server waits for the end of a request, which the hello of TLS is not.
    with FaultyServer() as plain, pytest.raises(DatasetAssetsError):
        url = plain.url.replace("http:", "https:") + "/train.bin"
        fetch_first([url], tmp_path / "file", retrievers=lambda _: HttpRetriever(limits))


def test_no_wait_is_longer_than_the_setting_says() -> None:
    limits = HttpLimits.of(settings(stall_seconds=2))
    assert (limits.idle_timeout, limits.connect_timeout) == (2, 2)
    assert HttpLimits.of(settings(stall_seconds=0)).idle_timeout == 1
    assert HttpLimits.of(settings()) == HttpLimits()
