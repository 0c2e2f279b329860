"""Downloads `http:` and `https:` URLs: with retries, resumed after a break, and refused if the body is a web page.

The file is requested without a content coding. If a server gzips it anyway, the coding is removed, except for a `.gz`
file that a server wrongly labels as coded. A broken transfer is retried: from where it broke if the server sent a
strong ETag, otherwise from the start. What a server says about the length is compared: with the bytes that came, with
the range that it sent, and with what it said before.

All headers together must arrive within the idle timeout. Incomplete headers are an error, and so are bodies larger
than the file may be. `dataset_assets.retrieval.hops` decides which redirects are followed and what they are sent.

A body without Content-Length and without chunks ends with the connection, so a body cut short by a clean close looks
complete. Only a digest can tell.
"""

import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from types import MappingProxyType

import requests
from urllib3.exceptions import HTTPError

from dataset_assets.core.files import Written, chunks_of, opened, remove
from dataset_assets.core.redact import redact_logs_of_http, redacted
from dataset_assets.core.settings import Settings, settings
from dataset_assets.errors import DatasetAssetsError, RetrievalError
from dataset_assets.retrieval.bounds import Bounded
from dataset_assets.retrieval.hops import Hops
from dataset_assets.retrieval.http_body import Broken, body_of, page_title, ungzipped
from dataset_assets.retrieval.http_coding import coding_of, is_gzip, names_coded
from dataset_assets.retrieval.http_look import look
from dataset_assets.retrieval.http_status import (
    NO_CONDITIONS,
    RETRYABLE,
    conditions_of,
    error_of,
    framing_of,
    length_of,
    range_of,
    remedy,
    retry_after,
    status,
)
from dataset_assets.retrieval.kept import Kept
from dataset_assets.retrieval.retriever import ByteProgress, Look, split_url
from dataset_assets.retrieval.validators import source_of
from dataset_assets.retrieval.wire import Adapter
from dataset_assets.storage.raw_files import Source

redact_logs_of_http()

MOST_VAIN = 3
"""After so many attempts in a row to continue the file, none of which got a byte, the whole file is requested."""
LEAST_PART = 1 << 12
"""A range that is shorter than requested is no failure if it has this many bytes: the next one is requested at once."""


@dataclass(frozen=True)
class HttpLimits:
    """Timeouts, retries and the minimum speed of a download; times are in seconds."""

    attempts: int = 5
    """Attempts in a row. An attempt that gets the file `progress` bytes further than before resets the count."""
    progress: int = 1 << 20
    backoff: float = 0.5
    """The pause before the second attempt, minus a random part of up to half; doubled for each later attempt."""
    longest_backoff: float = 30.0
    max_retry_after: float = 120.0
    connect_timeout: float = 10.0
    idle_timeout: float = 30.0
    """The longest time without a byte; also the window over which `minimum_rate` is averaged."""
    minimum_rate: float = 100.0
    """In bytes per second."""
    redirects: int = 10
    intranet: bool = False
    """True if redirects may lead from the internet into private networks."""

    @classmethod
    def of(cls, chosen: Settings) -> "HttpLimits":
        """Return the limits that the settings allow: no wait is longer than `stall_seconds`."""
        patience = max(1.0, float(chosen.stall_seconds))
        idle, connect = min(cls.idle_timeout, patience), min(cls.connect_timeout, patience)
        return cls(idle_timeout=idle, connect_timeout=connect, intranet=chosen.intranet)


class HttpRetriever:
    """Downloads http and https URLs."""

    continues = True
    """It can continue a file of which an earlier process received the beginning."""

    def __init__(
        self,
        limits: HttpLimits | None = None,
        sleep: Callable[[float], None] = time.sleep,
        own: Mapping[str, str] = MappingProxyType({}),
        remedy: Callable[[int], str] = remedy,
        via: str = "",
    ) -> None:
        """Take `own` headers, such as a token, for the server of the URL alone, advice on a status, and `via`.

        `via` is the URL of the server that named the URL.
        """
        self.limits = limits or HttpLimits.of(settings())
        self.sleep, self.own, self.remedy, self.via = sleep, own, remedy, via

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Download the file. Return None if the server answers that it has not changed since `known`."""
        transfer = _Transfer(url, into, known, report, self.limits, self.own, self.remedy, self.via)
        outer = sys.exception()
        failed, furthest = 0, 0
        while True:
            before = into.bytes
            try:
                return transfer.attempt()
            except Broken as error:
                broken: Broken | DatasetAssetsError = error
            except (requests.RequestException, HTTPError) as error:
                broken = error_of(redacted(url), error, outer, self.limits.redirects)
            # Raised outside the handlers: as a context, the caught error would show the URL with its secrets.
            if not isinstance(broken, Broken):
                raise broken
            transfer.vain = transfer.vain + 1 if before and into.bytes == before else 0
            failed = 1 if into.bytes >= furthest + self.limits.progress else failed + 1
            furthest = max(furthest, into.bytes)
            self._pause(redacted(url), broken, failed)

    def look(self, url: str) -> Look:
        """Ask for the headers of the file, and if they are refused, for its first byte."""
        outer = sys.exception()
        try:
            return look(url, self.limits, partial(Adapter, self.limits))
        except Broken as error:
            failed: Broken | DatasetAssetsError = error
        except (requests.RequestException, HTTPError) as error:
            failed = error_of(redacted(url), error, outer, self.limits.redirects)
        # Raised outside the handlers: as a context, the caught error would show the URL with its secrets.
        if isinstance(failed, Broken):
            failed = RetrievalError(f"{redacted(url)} {failed.cause}. Ask again later, or add a mirror.")
        raise failed

    def _pause(self, shown: str, broken: Broken, failed: int) -> None:
        """Sleep before the next attempt. Raises `RetrievalError` if there are no attempts left."""
        limits = self.limits
        if broken.wait > limits.max_retry_after:
            raise RetrievalError(
                f"{shown} {broken.cause} and asks to wait {broken.asked} before the next request, longer than the "
                f"{limits.max_retry_after:g} s allowed. Run the same command again after that time."
            )
        if failed >= limits.attempts:
            tried = f", at the last of {failed} attempts" if failed > 1 else ""
            raise RetrievalError(f"{shown} {broken.cause}{tried}. Run the same command again later, or add a mirror.")
        backoff = min(limits.backoff * 2.0 ** (failed - 1), limits.longest_backoff) * random.uniform(0.5, 1)
        self.sleep(max(backoff, broken.wait))


class _Transfer:
    """The download of one file over several attempts."""

    def __init__(
        self,
        url: str,
        into: Written,
        known: Source | None,
        report: ByteProgress | None,
        limits: HttpLimits,
        own: Mapping[str, str],
        remedy: Callable[[int], str],
        via: str,
    ) -> None:
        self.url, self.own, self.remedy, self.via = url, own, remedy, via
        self.into = into
        self.known = known
        self.report = report
        self.limits = limits
        self.source = Source(redacted(url))
        self.said: tuple[str | None, str | None] = (None, None)
        """The ETag and Last-Modified of the answer that began the file."""
        self.strong_etag: str | None = None
        self.vain = 0
        """How many attempts in a row to continue the file got no byte."""
        self.size: int | None = None
        """Of the whole file, as the server announced it."""
        if isinstance(into, Kept) and (begun := into.begun):
            self.source = Source(redacted(url), begun.etag, begun.last_modified)
            self.said, self.strong_etag, self.size = (begun.etag, begun.last_modified), begun.etag, begun.size

    def attempt(self) -> Source | None:
        limits, timeouts = self.limits, (self.limits.connect_timeout, self.limits.idle_timeout)
        with Hops(self.url, partial(Adapter, limits), limits.redirects, limits.intranet, self.own, self.via) as hops:
            while True:
                before = self.into.bytes
                response = hops.get(self._headers(), timeouts)
                if not self._take(response):
                    return None
                if self._is_whole(self.into.bytes - before if response.status_code != HTTPStatus.OK else 0):
                    self._refuse_page(response)
                    return self.source

    def _headers(self) -> dict[str, str]:
        # With "close", the server ends the connection after the body, which shows a body longer than announced.
        headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "dataset-assets"}
        # Some servers fail at each request for a part.
        if self.into.bytes and self.strong_etag and self.vain < MOST_VAIN:
            return headers | {"Range": f"bytes={self.into.bytes}-", "If-Range": self.strong_etag}
        if self.known and self.known.etag:
            headers["If-None-Match"] = self.known.etag
            if self.known.last_modified:
                headers["If-Modified-Since"] = self.known.last_modified
        return headers

    def _take(self, response: requests.Response) -> bool:
        """Receive the file, or a part of it. Return False if the server answers that the file has not changed."""
        if response.status_code == HTTPStatus.NOT_MODIFIED and conditions_of(response):
            self._restart()
            return False
        if response.status_code == HTTPStatus.OK and self._has_known_time(response):
            self._restart()
            return False
        if response.status_code == HTTPStatus.OK:
            self._begin(response)
            length = length_of(response)
        elif (length := self._continued(response)) is None:
            raise self._unwanted(response)
        self._receive(response, length)
        return True

    def _has_known_time(self, response: requests.Response) -> bool:
        """Return True if the file has the time that is known of it, and neither has an ETag.

        Servers answer If-Modified-Since with 304 for a file whose time was set back, too. So the times are compared
        here, and the body is not read.
        """
        known, headers = self.known, response.headers
        timed = known and known.last_modified and not known.etag and "ETag" not in headers
        return bool(known and timed and headers.get("Last-Modified") == known.last_modified)

    def _restart(self) -> None:
        self.strong_etag = None
        if isinstance(self.into, Bounded):
            self.into.forget()
        if self.into.bytes:
            self.into.restart()

    def _begin(self, response: requests.Response) -> None:
        self._restart()
        headers, coding = response.headers, coding_of(response)
        if (part := range_of(response)) and (part[0], part[1] + 1) != (0, part[2]):
            raise Broken("sent a part of the file as the whole")
        etag, earlier = headers.get("ETag"), (self.said, self.size)
        self.source, self.said = source_of(self.url, response), (etag, headers.get("Last-Modified"))
        announced = None if coding else length_of(response)
        same = self.said == earlier[0] and not coding
        self.size = earlier[1] if same and announced is None else announced
        if same and earlier[1] not in (None, self.size):
            raise Broken(f"announced {earlier[1]} bytes and then {self.size}, though the file is said to be the same")
        # Resuming needs an uncoded body: only then is the length of the file also an offset into the body. And it needs
        # an ETag that a rewrite changes.
        if etag and etag.startswith('"') and etag == self.source.etag and not coding:
            self.strong_etag = etag
            if isinstance(self.into, Kept):
                self.into.begin(etag, self.source.last_modified, self.size)

    def _continued(self, response: requests.Response) -> int | None:
        """Return the length of the response if it is the file from where it broke, or a part of that; else None."""
        part = range_of(response)
        if response.status_code != HTTPStatus.PARTIAL_CONTENT or not self.strong_etag or coding_of(response):
            return None
        if not part or response.headers.get("ETag") != self.strong_etag:
            return None
        first, last, total = part
        # Without a total, the end of the file would not be known.
        size = self.size if total is None else total
        if first != self.into.bytes or size is None or self.size not in (None, size) or last >= size:
            return None
        self.size = size
        return last - first + 1

    def _unwanted(self, response: requests.Response) -> Broken | RetrievalError:
        phrase, shown = status(response.status_code), redacted(self.url)
        if response.status_code in RETRYABLE:
            return Broken(f"answered {phrase}", *retry_after(response.headers.get("Retry-After", "")))
        if conditions_of(response) and response.status_code in NO_CONDITIONS:
            self.known = None
            return Broken(f"answered {phrase} when asked whether the file changed")
        if self.into.bytes:
            # The server refused the range: request the whole file next time. What it said about the length is void.
            self._restart()
            self.size = None
            return Broken(f"answered {phrase} when asked for the rest of the file")
        return RetrievalError(f"{shown} answered {phrase}. {self.remedy(response.status_code)}")

    def _receive(self, response: requests.Response, length: int | None) -> None:
        if framing_of(response) not in ("", "chunked"):
            raise RetrievalError(f"{redacted(self.url)} was sent in an unknown Transfer-Encoding. Add a mirror.")
        into, coding = self.into, coding_of(response)
        total = (self.size or into.bytes + length) if length is not None and not coding else None
        if isinstance(into, Bounded):
            into.expect(total or 0)
        pieces = body_of(response.raw, length)
        try:
            if not coding:
                self._write(pieces, total)
            elif isinstance(into, Bounded) and into.digest:
                self._write_fitting(coding, pieces, into)
            elif is_gzip(coding):
                self._write(ungzipped(pieces, keep=self._names_coded(response)), None)
            elif self._names_coded(response):
                self._write(pieces, None)
            else:
                raise self._in_coding(coding)
        except Broken as broken:
            if broken.spoilt:
                self._restart()
            raise

    def _write(self, pieces: Iterable[bytes], total: int | None) -> None:
        for piece in pieces:
            self.into.write(piece)
            if self.report:
                self.report(self.into.bytes, total)

    def _write_fitting(self, coding: str, pieces: Iterable[bytes], into: Bounded) -> None:
        """Write the body as it came if it has the digest of the file; otherwise remove its coding."""
        coded = into.coded()
        try:
            for piece in pieces:
                coded.write(piece)
            kept = coded.is_the_file()
            if not kept and not is_gzip(coding):
                raise self._in_coding(coding)
            with opened(coded.path) as file:
                self._write(chunks_of(file) if kept else ungzipped(chunks_of(file), keep=False), None)
        finally:
            coded.discard()
            remove(coded.path)

    def _names_coded(self, response: requests.Response) -> bool:
        return names_coded(response, self.url, self.into.name if isinstance(self.into, Bounded) else "")

    def _in_coding(self, coding: str) -> RetrievalError:
        return RetrievalError(
            f"{redacted(self.url)} was sent in the coding {coding[:40]!r}, though none was requested. Add a mirror."
        )

    def _is_whole(self, part: int) -> bool:
        """Return True if the file is complete, and False if the last part was short, so that the next is requested.

        Raises `Broken` if it is too short for that, or too long.
        """
        size, came = self.size, self.into.bytes
        if size in (None, came):
            return True
        if came > size:
            self._restart()
        elif not part and isinstance(self.into, Bounded):
            # The length may be wrong: the next process does not hold the server to it.
            self.into.forget()
        if came > size or part < LEAST_PART:
            raise Broken(f"sent {came} bytes of a file that it said has {size}")
        return False

    def _refuse_page(self, response: requests.Response) -> None:
        """Raise `RetrievalError` if the file is a web page, such as a login, but its URL does not end in .html."""
        if split_url(self.url).path.lower().endswith((".html", ".htm")):
            return
        with opened(self.into.path) as file:
            head = file.read(1 << 16)
        title = page_title(head, response.headers.get("Content-Type", ""))
        if title is not None:
            raise RetrievalError(
                f"{redacted(self.url)}: got an HTML page (title {title!r}) instead of a file. Open it in a browser: "
                "it may ask for a login, or a quota may be used up."
            )
