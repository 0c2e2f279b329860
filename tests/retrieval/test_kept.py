"""A download that was killed is continued by the next process, and never joined to bytes of something else."""

import gzip
import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from children import ended, in_child

from dataset_assets.core import files
from dataset_assets.core.scratch import NOTE, kept_folder
from dataset_assets.errors import DigestMismatch, NoSpace, RetrievalError
from dataset_assets.retrieval import fetch_first
from dataset_assets.retrieval.http import HttpLimits, HttpRetriever
from dataset_assets.retrieval.kept import STEP, Kept
from dataset_assets.testing import (
    ChangeEtag,
    Chunked,
    Drop,
    Fault,
    FaultyServer,
    Gzip,
    IgnoreRange,
    LengthTooBig,
    Stall,
    Status,
)

BODY = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(3 * STEP // 32)) + b"the end"
OTHER = BODY[::-1]
ETAG = f'"{hashlib.sha256(BODY).hexdigest()}"'
ONCE = HttpLimits(attempts=1, idle_timeout=60)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FaultyServer({"/x.bin": BODY, "/other.bin": OTHER}) as server:
        yield server


@pytest.fixture
def root(fast_path: Path) -> Path:
    return fast_path / "scratch"


def fetch(
    url: str, root: Path, verify: Callable[[Path], None] | None = None, report: Callable[..., None] | None = None
) -> bytes:
    """Download a file by way of its kept folder, with one attempt."""
    into = root.parent / "x"
    into.unlink(missing_ok=True)
    with kept_folder(root, url, 1) as kept:
        fetch_first([url], into, verify=verify, report=report, retrievers=lambda _: HttpRetriever(ONCE), kept=kept)
    return into.read_bytes()


def break_off(server: FaultyServer, root: Path, *faults: Fault, after: float = 0.8) -> Path:
    """Download until the connection is lost; return the folder where the beginning is kept, if it is."""
    server.script("/x.bin", [(*faults, Drop(after, reset=False))])
    with pytest.raises(RetrievalError, match="ended|damaged"):
        fetch(server.url + "/x.bin", root)
    folders = [path for path in root.iterdir() if path.is_dir()]
    return folders[0] if folders else root / "none"


def part_in(kept: Path) -> Path:
    """Return the file of the bytes in a kept folder."""
    (part,) = kept.glob("part-*")
    return part


def asked(server: FaultyServer) -> list[tuple[str | None, str | None]]:
    return [(request.headers["Range"], request.headers["If-Range"]) for request in server.requests]


def is_body(path: Path) -> None:
    if path.read_bytes() != BODY:
        raise DigestMismatch("These are other bytes.")


# --- what is continued


def test_a_killed_download_goes_on_where_it_was(server: FaultyServer, root: Path) -> None:
    server.script("/x.bin", [Stall(after=0.8)])
    process = in_child(lambda: fetch(server.url + "/x.bin", root), wait=False)
    # Until a length is noted: the first line of the note says of what file.
    while not any(note.read_bytes().count(b"\n") > 1 for note in root.glob(f"*/{NOTE}")):
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    assert ended(process) == -signal.SIGKILL
    assert fetch(server.url + "/x.bin", root) == BODY
    (_, (begin, condition)) = asked(server)
    assert begin and STEP <= int(begin[6:-1]) <= len(BODY) * 0.8
    assert condition == ETAG
    assert [*root.iterdir()] == []


def test_so_does_one_that_was_interrupted_or_lost_its_server(server: FaultyServer, root: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done > 2 * STEP:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server.url + "/x.bin", root, report=interrupt)
    break_off(server, root, after=0.5)
    assert fetch(server.url + "/x.bin", root, is_body) == BODY
    begins = [int((begin or "bytes=0-")[6:-1]) for begin, _ in asked(server)]
    assert begins[0] == 0 < STEP <= begins[1] <= begins[2]
    assert [*root.iterdir()] == []


def test_a_whole_file_that_was_not_moved_asks_for_its_last_byte(server: FaultyServer, root: Path) -> None:
    kept = break_off(server, root)
    (part_in(kept)).write_bytes(BODY)
    with open(kept / NOTE, "ab") as note:
        note.write(b"%d\n" % len(BODY))
    server.forget()
    assert fetch(server.url + "/x.bin", root) == BODY
    assert asked(server) == [(f"bytes={len(BODY) - 1}-", ETAG)]


def test_a_server_that_is_away_costs_nothing_of_it(server: FaultyServer, root: Path) -> None:
    break_off(server, root)
    server.script("/x.bin", [Status(503)] * 5)
    limits = HttpLimits(attempts=5, backoff=0)
    with kept_folder(root, server.url + "/x.bin", 1) as kept, pytest.raises(RetrievalError, match="503"):
        fetch_first([server.url + "/x.bin"], root / "x", retrievers=lambda _: HttpRetriever(limits), kept=kept)
    server.forget()
    assert fetch(server.url + "/x.bin", root) == BODY
    assert [bool(begin) for begin, _ in asked(server)] == [True]


def test_a_mirror_without_the_file_leaves_what_came_from_another(server: FaultyServer, root: Path) -> None:
    urls, into = [server.url + "/gone.bin", server.url + "/x.bin"], root.parent / "x"
    server.script("/x.bin", [Drop(0.8, reset=False)])
    for expected in (pytest.raises(RetrievalError), nullcontext()):
        with expected, kept_folder(root, "mirrors", 1) as kept:
            fetch_first(urls, into, retrievers=lambda _: HttpRetriever(ONCE), kept=kept)
    assert into.read_bytes() == BODY
    assert [request.headers["Range"] is None for request in server.requests] == [True, True, True, False]
    assert [*root.iterdir()] == []


def test_a_mirror_that_has_the_file_removes_what_came_from_another(server: FaultyServer, root: Path) -> None:
    first, second, into = server.url + "/first.bin", server.url + "/x.bin", root.parent / "x"
    server.script("/x.bin", [Drop(0.8, reset=False)])
    for expected in (pytest.raises(RetrievalError), nullcontext()):
        with expected, kept_folder(root, "mirrors", 1) as kept:
            fetch_first([first, second], into, retrievers=lambda _: HttpRetriever(ONCE), kept=kept)
        server.files["/first.bin"] = b"short"
    assert into.read_bytes() == b"short"
    assert [*root.iterdir()] == []


# --- what is not


def test_a_length_that_was_wrong_is_not_believed_for_ever(server: FaultyServer, root: Path) -> None:
    server.script("/x.bin", [LengthTooBig(), *[(Chunked(), IgnoreRange())] * 2])
    for _ in range(2):
        with pytest.raises(RetrievalError, match="ended|said has"):
            fetch(server.url + "/x.bin", root)
    assert fetch(server.url + "/x.bin", root) == BODY


@pytest.mark.parametrize(
    "faults", [[ChangeEtag(None)], [ChangeEtag('W/"weak"')], [Gzip()]], ids=["no etag", "weak etag", "coded"]
)
def test_without_a_strong_etag_of_these_bytes_nothing_is_kept(
    server: FaultyServer, root: Path, faults: list[Fault]
) -> None:
    assert not break_off(server, root, *faults).exists()
    assert [*root.iterdir()] == []
    assert fetch(server.url + "/x.bin", root) == BODY
    assert asked(server) == [(None, None), (None, None)]


def test_less_than_a_step_is_not_kept(server: FaultyServer, root: Path) -> None:
    assert not break_off(server, root, after=0.2).exists()
    assert [*root.iterdir()] == []


def _edited(**changes: object) -> Callable[[Path], None]:
    def edit(kept: Path) -> None:
        first, _, rest = (kept / NOTE).read_bytes().partition(b"\n")
        (kept / NOTE).write_bytes(json.dumps(json.loads(first) | changes).encode() + b"\n" + rest)

    return edit


def _lengthened(kept: Path) -> None:
    with open(part_in(kept), "ab") as part:
        part.write(b"not of this file" * 1000)


def _noted(line: bytes) -> Callable[[Path], None]:
    def write(kept: Path) -> None:
        with open(kept / NOTE, "ab") as note:
            note.write(line)

    return write


@pytest.mark.parametrize(
    "spoil, continues",
    [
        (_edited(url="0" * 64), False),
        (_edited(boot="another start of the machine"), False),
        (_edited(size="5"), False),
        (_edited(etag='"another"'), True),
        (_edited(size=len(BODY) + 1), True),
        (lambda kept: os.truncate(part_in(kept), STEP // 2), False),
        (lambda kept: (part_in(kept)).unlink(), False),
        (_lengthened, True),
        (_noted(b"99999999"), True),
        (_noted(b"99999999\n"), False),
        (_noted(b"-5\n"), False),
        (_noted(b"\n"), False),
        (lambda kept: os.truncate(kept / NOTE, 20), False),
        (lambda kept: (kept / NOTE).write_bytes(b""), False),
        (lambda kept: (kept / "left").write_bytes(b"by somebody"), True),
    ],
)
def test_kept_bytes_are_not_believed_beyond_their_note(
    server: FaultyServer, root: Path, spoil: Callable[[Path], None], continues: bool
) -> None:
    kept = break_off(server, root)
    spoil(kept)
    server.forget()
    limits = HttpLimits(attempts=3, backoff=0.001)
    with kept_folder(root, server.url + "/x.bin", 1) as again:
        assert again == kept
        fetch_first([server.url + "/x.bin"], root.parent / "x", retrievers=lambda _: HttpRetriever(limits), kept=again)
    assert (root.parent / "x").read_bytes() == BODY
    assert (asked(server)[0][0] is not None) == continues
    assert [*root.iterdir()] == []


def test_a_file_that_changed_meanwhile_is_downloaded_from_the_start(server: FaultyServer, root: Path) -> None:
    break_off(server, root)
    server.files["/x.bin"] = OTHER
    assert fetch(server.url + "/x.bin", root) == OTHER


def test_a_server_without_ranges_sends_it_from_the_start(server: FaultyServer, root: Path) -> None:
    break_off(server, root)
    server.script("/x.bin", [IgnoreRange()])
    assert fetch(server.url + "/x.bin", root) == BODY


def test_damage_that_a_digest_shows_is_mended_at_once(server: FaultyServer, root: Path) -> None:
    kept = break_off(server, root)
    with open(part_in(kept), "r+b") as part:
        part.write(b"damaged")
    server.forget()
    assert fetch(server.url + "/x.bin", root, is_body) == BODY
    assert [begin is None for begin, _ in asked(server)] == [False, True]


def test_wrong_bytes_and_a_full_disk_leave_nothing(
    server: FaultyServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/x.bin"] = OTHER
    with pytest.raises(DigestMismatch):
        fetch(server.url + "/x.bin", root, is_body)
    assert [*root.iterdir()] == []
    break_off(server, root)

    def full(operation: str, path: Path, count: int) -> None:
        if operation == "write" and path.name.startswith("part-"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "hook", full)
    with pytest.raises(NoSpace):
        fetch(server.url + "/x.bin", root)
    assert [*root.iterdir()] == []


def test_a_mirror_does_not_continue_the_bytes_of_another(server: FaultyServer, root: Path) -> None:
    key = server.url + "/x.bin"
    break_off(server, root)
    server.forget()
    with kept_folder(root, key, 1) as kept:
        fetch_first([server.url + "/other.bin"], root.parent / "x", kept=kept)
    assert (root.parent / "x").read_bytes() == OTHER
    assert asked(server) == [(None, None)]


def test_a_gz_file_that_is_labelled_as_coded_leaves_nothing_beside_it(server: FaultyServer, root: Path) -> None:
    server.files["/x.gz"] = packed = gzip.compress(b"a")
    server.script("/x.gz", [Gzip(stored=True)])
    digest = f"sha256:{hashlib.sha256(packed).hexdigest()}"
    with kept_folder(root, "x", 1) as kept:
        fetch_first([server.url + "/x.gz"], root.parent / "x", digest=digest, kept=kept)
    assert (root.parent / "x").read_bytes() == packed
    assert [*root.iterdir()] == []


def test_what_was_kept_is_within_the_limits_of_the_file(server: FaultyServer, root: Path) -> None:
    kept = break_off(server, root)
    into = Kept(kept, server.url + "/x.bin", "x", STEP, 1 << 40, None, "x")
    assert into.resumed and into.bytes > STEP
    with pytest.raises(DigestMismatch, match=f"more than the {STEP} bytes"):
        into.write(b"a")
    into.discard()
