"""Validators: a rewrite in the same second or two as the retrieval is seen by the next conditional request."""

import time
from email.utils import formatdate
from pathlib import Path
from typing import Iterator

import pytest

from dataset_assets.core.files import Written
from dataset_assets.retrieval.http import HttpRetriever
from dataset_assets.retrieval.validators import YOUNG_SECONDS
from dataset_assets.storage.raw_files import Source
from dataset_assets.testing.server import Chunked, Fault, FaultyServer, NoLength, Reply

FINE, COARSE, DECIMAL = '"0cc175b9c0f1b6a8"', '"{0:x}-3"', '"3-{0}"'
OLD, YOUNG = YOUNG_SECONDS, YOUNG_SECONDS - 2


class Says(Fault):
    """An answer with this ETag, in which the file's time is some seconds before that of the answer."""

    def __init__(self, etag: str | None, age: int | None) -> None:
        self.etag, self.age = etag, age

    def change(self, reply: Reply) -> None:
        del reply.headers["ETag"], reply.headers["Last-Modified"]
        seconds = int(time.time()) - (self.age or 0)
        if self.etag:
            reply.headers["ETag"] = self.etag.format(seconds)
        if self.age is not None:
            reply.headers["Last-Modified"] = formatdate(seconds, usegmt=True)


ANSWERS: dict[str, tuple[str | None, int | None, bool, bool]] = {
    # ETag, age, and which of both are kept
    "an old file": (FINE, OLD, True, True),
    "an old file without an ETag": (None, OLD, False, True),
    # A server that has both judges by the ETag alone.
    "a young file with an ETag": (FINE, YOUNG, True, True),
    "a young file without an ETag": (None, YOUNG, False, False),
    "a young file with a weak ETag": (f"W/{FINE}", YOUNG, False, False),
    "a young file whose ETag is its time": (COARSE, 0, False, False),
    "a young file whose ETag is its time in decimals": (DECIMAL, 0, False, False),
    "a file of the future": (None, -3600, False, False),
    "only an ETag": (FINE, None, True, False),
}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/a.bin": b"abc"}) as server:
        yield server


def source_after(server: FaultyServer, folder: Path, *faults: Fault) -> Source:
    server.script("/a.bin", [faults])
    with Written(folder / "a.bin") as into:
        found = HttpRetriever().retrieve(f"{server.url}/a.bin", into)
    assert found
    return found


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_validator_is_kept_if_every_later_rewrite_changes_it(
    answer: str, server: FaultyServer, tmp_path: Path
) -> None:
    etag, age, keeps_etag, keeps_time = ANSWERS[answer]
    found = source_after(server, tmp_path, Says(etag, age))
    assert found.etag == (etag if keeps_etag else None)
    assert (found.last_modified is not None) == keeps_time


@pytest.mark.parametrize("said", ["yesterday", "", "Thu, 32 Jan 2026 00:00:00 GMT"])
def test_a_time_that_is_not_valid_is_not_kept(said: str, server: FaultyServer, tmp_path: Path) -> None:
    class Wrong(Fault):
        def change(self, reply: Reply) -> None:
            del reply.headers["ETag"]
            reply.headers["Last-Modified"] = said

    assert source_after(server, tmp_path, Wrong()).last_modified is None


@pytest.mark.parametrize("framing, kept", [(Chunked(), True), (NoLength(), False)])
def test_nothing_vouches_for_a_body_whose_end_nobody_stated(
    framing: Fault, kept: bool, server: FaultyServer, tmp_path: Path
) -> None:
    assert (source_after(server, tmp_path, framing, Says(FINE, OLD)).etag is not None) == kept
