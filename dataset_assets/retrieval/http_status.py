"""What an HTTP answer says, and what an error instead of one does."""

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

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that are worth another attempt."""


def coding_of(response: requests.Response) -> str:
    """Return the Content-Encoding; "" for none."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    return "" if coding == "identity" else coding


def length_of(response: requests.Response) -> int | None:
    """Return how many bytes are announced; chunks announce themselves, whatever Content-Length says.

    Raises `Broken` for a length that is no number: the end of the connection would then pass for that of the body.
    """
    if framing_of(response) == "chunked" or not (said := response.headers.get("Content-Length", "").strip()):
        return None
    length, *others = {part.strip() for part in said.split(",")}
    if others or not re.fullmatch(r"[0-9]{1,18}", length):
        raise Broken(f"announced {printable(said)[:40]!r} bytes, which is no number")
    return int(length)


def framing_of(response: requests.Response) -> str:
    """Return the Transfer-Encoding; "" for none."""
    # Not stripped: http.client takes "chunked" with a blank after it for no chunks, and gives their frames as the body.
    framing = response.headers.get("Transfer-Encoding", "").lower()
    return "" if framing == "identity" else framing


def status(code: int) -> str:
    """Return a status in words of ours, not the server's."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def remedy(code: int) -> str:
    """Return what to do about a status."""
    if code in (401, 403, 407):
        return "Accept the source's terms if it has any, and put user and password for its host in ~/.netrc."
    if code in (404, 410):
        return "It may have moved: look at the dataset's homepage, and correct the URL or add a mirror."
    return "Open it in a browser to see why, or add a mirror."


def retry_after(value: str) -> tuple[float, str]:
    """Return the seconds a server asks to wait, from a number or a date, and its own words; 0 for anything else."""
    value = value.strip()
    if re.fullmatch(r"[0-9]+", value):
        return float(value), f"{value[:40]} s"
    try:
        date = parsedate_to_datetime(value)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - time.time()), f"until {printable(value)[:40]}"
    except (ValueError, OverflowError):
        return 0.0, ""


def judged(shown: str, error: Exception, outer: BaseException | None, redirects: int) -> Broken | RetrievalError:
    """Return what to raise for an error of the libraries, without its text: that holds the URL and its secrets.

    `outer` is what the caller was handling before.
    """
    if isinstance(error, requests.TooManyRedirects):
        return RetrievalError(f"{shown} was redirected more than {redirects} times. Correct the URL, or add a mirror.")
    if isinstance(error, requests.exceptions.InvalidHeader):
        return Broken("sent headers that contradict each other")
    if isinstance(error, (ValueError, LocationValueError)):
        return RetrievalError(f"{shown} cannot be asked: it, or what it redirects to, is no http URL. Correct the URL.")
    cause = _deepest(error, outer)
    if failed := getattr(cause, "verify_message", None):
        return RetrievalError(
            f"{shown} failed the TLS check: {failed}. Use another mirror, or name your own authority's certificates in "
            "REQUESTS_CA_BUNDLE; the check is never left out."
        )
    return Broken(f"failed: {_words(cause)}")


def _deepest(error: BaseException, outer: BaseException | None) -> BaseException:
    """Return the innermost error of the system or of HTTP; below it are those of parsing what did not come."""
    found = error
    while (below := error.__cause__ or error.__context__) is not None and below is not outer:
        error = below
        found = error if isinstance(error, (OSError, HTTPException)) else found
    return found


def _words(cause: BaseException) -> str:
    if isinstance(cause, TimeoutError):
        return "no answer, or a stall, until the time limit"
    if isinstance(cause, RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(cause, IncompleteRead):
        return "the body ended early"
    if type(cause) is OSError and not cause.strerror:
        return printable(str(cause))[:80]
    return getattr(cause, "strerror", None) or type(cause).__name__
