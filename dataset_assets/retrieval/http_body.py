"""The body of an HTTP answer: read as it comes, counted, timed, ungzipped, and told from a web page."""

import html
import re
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from urllib3.exceptions import HTTPError

from dataset_assets.core.files import CHUNK
from dataset_assets.core.limits import limits, remedy
from dataset_assets.core.redact import printable
from dataset_assets.errors import DecodeError

_PAGE = re.compile(rb"<(!doctype\s+html|html[\s>])", re.IGNORECASE)
_PAGE_IF_SAID = re.compile(rb"<(\?xml\b|head|body|title|script|meta)", re.IGNORECASE)
# Each of the empty members that a piece may be full of has the rest of it copied.
_PART = 1 << 14
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)


class Broken(Exception):
    """An attempt that failed, and may succeed when it is made again."""

    def __init__(self, cause: str, wait: float = 0.0, asked: str = "", spoilt: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.wait = wait
        self.asked = asked
        self.spoilt = spoilt
        """The bytes that came are not to be continued."""


class Pace:
    """Break off what is slower than a rate, averaged over a window."""

    def __init__(self, window: float, minimum_rate: float) -> None:
        self.window = window
        self.minimum_rate = minimum_rate
        self.since = time.monotonic()
        self.bytes = 0

    def count(self, arrived: int) -> None:
        """Count bytes; raise `Broken` at the end of a window that had too few."""
        self.bytes += arrived
        elapsed = time.monotonic() - self.since
        if elapsed < self.window:
            return
        if self.bytes < self.minimum_rate * elapsed:
            rate = self.bytes / elapsed
            raise Broken(f"sent {rate:.1f} bytes/s, less than the {self.minimum_rate:g} bytes/s that are waited for")
        self.since, self.bytes = time.monotonic(), 0


def body_of(raw: Any, length: int | None) -> Iterator[bytes]:
    """Yield the body as it was sent; raise `Broken` if it is shorter or longer than the announced length."""
    arrived = 0
    _read_on_until_closed(raw)
    while piece := _next(raw, whole=arrived == length):
        arrived += len(piece)
        if length is not None and arrived > length:
            raise Broken(f"sent more than the {length} bytes that it announced", spoilt=True)
        yield piece
    if length is not None and arrived < length:
        raise Broken(f"ended after {arrived} of {length} bytes")


def _read_on_until_closed(raw: Any) -> None:
    """Have what a server sends beyond its Content-Length read too, if it said that it closes the connection."""
    original = raw._original_response
    if original is not None and original.will_close and not original.chunked:
        original.length = None
        raw.length_remaining = None


def _next(raw: Any, whole: bool) -> bytes:
    try:
        # Not `read`, which waits for all of a chunk: an hour of one byte a second would look like a stall of none.
        piece: bytes = raw.read1(CHUNK, decode_content=False)
    except HTTPError:
        if not whole:
            raise
        # Everything came; how the connection ended does not matter.
        return b""
    return piece


def ungzipped(pieces: Iterable[bytes], keep: bool) -> Iterator[bytes]:
    """Undo a gzip coding; with `keep`, only if what comes out is itself a gzip file.

    Servers that take a stored `.gz` file for a coded one are common, and its published digest is that of the `.gz`.
    """
    pieces = iter(pieces)
    if keep:
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= 64:
                break
        pieces = _chained(head, pieces)
        if not _holds_gzip(head):
            yield from pieces
            return
    yield from _bounded(_ungzip(part for piece in pieces for part in _parts(piece)))


def _parts(piece: bytes) -> Iterator[bytes]:
    return (piece[lo : lo + _PART] for lo in range(0, len(piece), _PART))


def _bounded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    given, most = 0, limits().max_decoded_bytes
    for piece in pieces:
        given += len(piece)
        if given > most:
            raise DecodeError(f"A gzip coding holds more than {most} bytes. {remedy('max_decoded_bytes')}")
        yield piece


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _holds_gzip(head: bytes) -> bool:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 2) == b"\x1f\x8b"
    except zlib.error:
        return False


def _ungzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    idle = 0
    for piece in pieces:
        while piece:
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            try:
                # Bounded: a piece of a megabyte may hold a gigabyte of zeros.
                out = member.decompress(piece, CHUNK)
            except zlib.error:
                raise Broken("sent a damaged gzip coding", spoilt=True) from None
            rest = member.unused_data if member.eof else member.unconsumed_tail
            # Empty blocks and members could follow each other for ever, and no bound on what comes out would see it.
            idle = 0 if out else idle + len(piece) - len(rest)
            if idle > CHUNK:
                raise Broken("sent a gzip coding of nothing", spoilt=True)
            yield out
            piece = rest
    if not member.eof:
        raise Broken("ended within its gzip coding", spoilt=True)


def page_title(head: bytes, content_type: str) -> str | None:
    """Return the title of a web page from its beginning ("" if it has none), or None if it is no page.

    >>> page_title(b"<!DOCTYPE html><html><title>Sign in</title>", "text/html")
    'Sign in'
    """
    said = content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")
    start = _uncommented(head)
    if not _PAGE.match(start) and not (said and _PAGE_IF_SAID.match(start)):
        return None
    found = _TITLE.search(head.decode("utf-8", "replace"))
    return printable(" ".join(html.unescape(found[1]).split()))[:80] if found else ""


def _uncommented(head: bytes) -> bytes:
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    while head.startswith(b"<!--"):
        head = head.partition(b"-->")[2].lstrip()
    return head
