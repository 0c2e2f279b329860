"""The body of an HTTP response: counts and times its bytes, removes a gzip coding, and detects web pages."""

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
_PAGE_IF_DECLARED = re.compile(rb"<(\?xml\b|head|body|title|script|meta)", re.IGNORECASE)
# A piece may be full of empty gzip members, and decompressing each copies the rest of the piece; so pieces are small.
_PART = 1 << 14
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)


class Broken(Exception):
    """An attempt failed; a new attempt may succeed."""

    def __init__(self, cause: str, wait: float = 0.0, asked: str = "", spoilt: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.wait = wait
        self.asked = asked
        self.spoilt = spoilt
        """True if the received bytes are unusable, so that the transfer cannot be resumed."""


class Pace:
    """Stops transfers slower than a minimum rate, averaged over a time window."""

    def __init__(self, window: float, minimum_rate: float) -> None:
        self.window = window
        self.minimum_rate = minimum_rate
        self.since = time.monotonic()
        self.bytes = 0

    def count(self, arrived: int) -> None:
        """Count bytes. Raises `Broken` at the end of a window with too few bytes."""
        self.bytes += arrived
        elapsed = time.monotonic() - self.since
        if elapsed < self.window:
            return
        if self.bytes < self.minimum_rate * elapsed:
            rate = self.bytes / elapsed
            raise Broken(f"sent {rate:.1f} bytes/s, less than the minimum of {self.minimum_rate:g} bytes/s")
        self.since, self.bytes = time.monotonic(), 0


def body_of(raw: Any, length: int | None) -> Iterator[bytes]:
    """Yield the body as sent. Raises `Broken` if it is shorter or longer than the announced length."""
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
    """Also read bytes beyond the Content-Length, if the server announced that it closes the connection."""
    original = raw._original_response
    if original is not None and original.will_close and not original.chunked:
        original.length = None
        raw.length_remaining = None


def _next(raw: Any, whole: bool) -> bytes:
    try:
        # `read` would wait for a whole chunk, so a server could send one byte a second for an hour unnoticed.
        piece: bytes = raw.read1(CHUNK, decode_content=False)
    except HTTPError:
        if not whole:
            raise
        # The body is complete, so it does not matter how the connection ended.
        return b""
    return piece


def ungzipped(pieces: Iterable[bytes], keep: bool) -> Iterator[bytes]:
    """Remove a gzip coding; with `keep`, only if the result is itself a gzip file.

    Many servers label a stored `.gz` file as gzip-coded, and the published digest is that of the `.gz` file.
    """
    pieces = iter(pieces)
    if keep:
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= 1 << 12:
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
                # With a limit: a megabyte may decompress to a gigabyte of zeros.
                out = member.decompress(piece, CHUNK)
            except zlib.error:
                raise Broken("sent a damaged gzip coding", spoilt=True) from None
            rest = member.unused_data if member.eof else member.unconsumed_tail
            # Empty blocks and members could go on forever, and the limit on decompressed bytes would never be reached.
            idle = 0 if out else idle + len(piece) - len(rest)
            if idle > CHUNK:
                raise Broken("sent gzip data that decompresses to nothing", spoilt=True)
            yield out
            piece = rest
    if not member.eof:
        raise Broken("ended in the middle of its gzip coding", spoilt=True)


def page_title(head: bytes, content_type: str) -> str | None:
    """Return the title of a web page from its first bytes ("" without a title), or None if this is not a web page.

    >>> page_title(b"<!DOCTYPE html><html><title>Sign in</title>", "text/html")
    'Sign in'
    """
    declared = content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")
    start = _uncommented(head)
    if not _PAGE.match(start) and not (declared and _PAGE_IF_DECLARED.match(start)):
        return None
    title = _TITLE.search(head.decode("utf-8", "replace"))
    return printable(" ".join(html.unescape(title[1]).split()))[:80] if title else ""


def _uncommented(head: bytes) -> bytes:
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    while head.startswith(b"<!--"):
        head = head.partition(b"-->")[2].lstrip()
    return head
