"""Asks a server whether a file is there, and what it says of it, without downloading it."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

import requests
from urllib3.exceptions import HTTPError

from dataset_assets.core.redact import redacted
from dataset_assets.errors import RetrievalError
from dataset_assets.retrieval.hops import Hops
from dataset_assets.retrieval.http_body import Broken, body_of, page_title
from dataset_assets.retrieval.http_coding import coding_of
from dataset_assets.retrieval.http_status import length_of, range_of, remedy, status
from dataset_assets.retrieval.retriever import Look, split_url

HEADERS = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "dataset-assets"}
_FIRST_BYTE = {"Range": "bytes=0-0"}
_THERE = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
# A dead host would only be waited for twice.
_UNREACHED = (requests.ConnectTimeout, requests.exceptions.SSLError)
HEAD_OF_PAGE = 1 << 16


class Limits(Protocol):
    """The limits of `HttpLimits` that hold here."""

    @property
    def connect_timeout(self) -> float: ...

    @property
    def idle_timeout(self) -> float: ...

    @property
    def redirects(self) -> int: ...

    @property
    def intranet(self) -> bool: ...


def look(url: str, limits: Limits, adapter: Callable[[Any], Any]) -> Look:
    """Return what a server says of a file: by HEAD, or if that fails, by GET of its first byte.

    Many servers answer HEAD wrongly, so only the GET's failure counts. Raises `RetrievalError`, `Refused`, `Broken`,
    and the errors of `requests`.
    """
    timeouts = (limits.connect_timeout, limits.idle_timeout)
    with Hops(url, adapter, limits.redirects, limits.intranet) as hops:
        try:
            head = hops.get(HEADERS, timeouts, "HEAD")
            # Some servers announce no bytes, because they send none.
            if head.status_code == HTTPStatus.OK and not _is_page(head) and length_of(head) != 0:
                return _look_of(head)
        except _UNREACHED:
            raise
        except (Broken, requests.RequestException, HTTPError):
            pass
        return _by_get(url, hops, timeouts)


def _by_get(url: str, hops: Hops, timeouts: tuple[float, float]) -> Look:
    response = hops.get(HEADERS | _FIRST_BYTE, timeouts)
    code = response.status_code
    if code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and response.headers.get("Content-Range") == "bytes */0":
        return Look(response.headers.get("ETag"), response.headers.get("Last-Modified"), 0)
    if code not in _THERE:
        raise RetrievalError(f"{redacted(url)} answered {status(code)}. {remedy(code)}")
    if _is_page(response) and not split_url(url).path.lower().endswith((".html", ".htm")):
        _refuse_page(url, response if code == HTTPStatus.OK else hops.get(HEADERS, timeouts))
    return _look_of(response)


def _is_page(response: requests.Response) -> bool:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html"


def _refuse_page(url: str, response: requests.Response) -> None:
    """Raise `RetrievalError` if a file begins like a web page, such as a login."""
    head = b""
    for piece in body_of(response.raw, length_of(response)):
        head += piece
        if len(head) >= HEAD_OF_PAGE:
            break
    title = page_title(head[:HEAD_OF_PAGE], response.headers.get("Content-Type", ""))
    if title is not None:
        raise RetrievalError(f"{redacted(url)}: there is an HTML page (title {title!r}) instead of a file. Open it.")


def _look_of(response: requests.Response) -> Look:
    size = None if coding_of(response) else _size_of(response)
    return Look(response.headers.get("ETag"), response.headers.get("Last-Modified"), size)


def _size_of(response: requests.Response) -> int | None:
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return length_of(response)
    part = range_of(response)
    return part[2] if part else None
