"""Reads the status and headers of HTTP responses, and turns errors of the HTTP libraries into ours."""

import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead, RemoteDisconnected

import requests
from urllib3.exceptions import LocationValueError

from dataset_assets.core.redact import printable
from dataset_assets.errors import RetrievalError
from dataset_assets.retrieval.http_body import Broken

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)

RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which another attempt may succeed."""
NO_CONDITIONS = frozenset({400, 412, 431})
"""Statuses of servers that refuse a condition, instead of evaluating or ignoring it."""


def conditions_of(response: requests.Response) -> set[str]:
    """Return which conditions the request had that are met by 304."""
    return {"If-None-Match", "If-Modified-Since"}.intersection(response.request.headers)


def length_of(response: requests.Response) -> int | None:
    """Return the announced length of the body, or None. A chunked body has none, whatever Content-Length says.

    Raises `Broken` if the length is not a number: without it, a lost connection would look like the end of the body.
    """
    if framing_of(response) == "chunked" or not (stated := response.headers.get("Content-Length", "").strip()):
        return None
    length, *others = {part.strip() for part in stated.split(",")}
    if others or not re.fullmatch(r"[0-9]{1,18}", length):
        raise Broken(f"announced {printable(stated)[:40]!r} bytes, which is not a number")
    return int(length)


def framing_of(response: requests.Response) -> str:
    """Return the Transfer-Encoding, or "" without one."""
    # Not stripped: http.client takes "chunked" with a blank after it for no chunks, and gives their frames as the body.
    framing = response.headers.get("Transfer-Encoding", "").lower()
    return "" if framing == "identity" else framing


def range_of(response: requests.Response) -> tuple[int, int, int | None] | None:
    """Return first, last and total of the Content-Range, the total None for "*".

    Returns None if it is missing, not valid, or not as long as the Content-Length.
    """
    stated = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if not stated:
        return None
    first, last, total = int(stated[1]), int(stated[2]), None if stated[3] == "*" else int(stated[3])
    holds = first <= last and (total is None or last < total) and length_of(response) in (None, last - first + 1)
    return (first, last, total) if holds else None


def status(code: int) -> str:
    """Return a status with its standard phrase, not the server's."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def remedy(code: int) -> str:
    """Return advice on what to do about a status."""
    if code in (401, 403, 407):
        return "Accept the terms of the source if it has any, and put user and password for its host in ~/.netrc."
    if code in (404, 410):
        return "The file may have moved: check the homepage of the dataset, then correct the URL or add a mirror."
    return "Open the URL in a browser to see why, or add a mirror."


def retry_after(value: str) -> tuple[float, str]:
    """Return the seconds that a Retry-After header asks for, and the time in words; (0, "") if it is not valid."""
    value = value.strip()
    if re.fullmatch(r"[0-9]+", value):
        return float(value), f"{value[:40]} s"
    try:
        date = parsedate_to_datetime(value)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - time.time()), f"until {printable(value)[:40]}"
    except (ValueError, OverflowError):
        return 0.0, ""


def error_of(shown: str, error: Exception, outer: BaseException | None, redirects: int) -> Broken | RetrievalError:
    """Return our error for an error of the HTTP libraries, without its text, which holds the URL and its secrets.

    `outer` is the error that the caller was already handling.
    """
    if isinstance(error, requests.TooManyRedirects):
        return RetrievalError(f"{shown} was redirected more than {redirects} times. Correct the URL, or add a mirror.")
    if isinstance(error, requests.exceptions.InvalidHeader):
        return Broken("sent headers that contradict each other")
    if isinstance(error, (ValueError, LocationValueError)):
        return RetrievalError(f"{shown}, or the URL that it redirects to, is not a valid http URL. Correct the URL.")
    cause = _deepest(error, outer)
    if failed := getattr(cause, "verify_message", None):
        return RetrievalError(
            f"{shown} failed the TLS check: {failed}. Use a different mirror, or set REQUESTS_CA_BUNDLE to the "
            "certificates of your own authority. The check cannot be switched off."
        )
    return Broken(f"failed: {_words(cause)}")


def _deepest(error: BaseException, outer: BaseException | None) -> BaseException:
    """Return the innermost system or HTTP error; errors below it come from parsing missing data."""
    deepest = error
    while (below := error.__cause__ or error.__context__) is not None and below is not outer:
        error = below
        deepest = error if isinstance(error, (OSError, HTTPException)) else deepest
    return deepest


def _words(cause: BaseException) -> str:
    if isinstance(cause, TimeoutError):
        return "no data arrived within the time limit"
    if isinstance(cause, RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(cause, IncompleteRead):
        return "the body ended early"
    if type(cause) is OSError and not cause.strerror:
        return printable(str(cause))[:80]
    return getattr(cause, "strerror", None) or type(cause).__name__
