"""Decides which ETag and Last-Modified of an answer are recorded: only those by which every later rewrite shows."""

import time
from datetime import UTC
from email.utils import parsedate_to_datetime

import requests

from dataset_assets.core.redact import redacted
from dataset_assets.retrieval.http_status import framing_of, length_of
from dataset_assets.storage.raw_files import Source

YOUNG_SECONDS = 3
"""Last-Modified has a step of one second, or two on some disks: a file as young may be rewritten within the step."""


def source_of(url: str, response: requests.Response) -> Source:
    """Return the source of an answer, with the validators by which a later request is conditional.

    The bytes may be cut if neither a length nor chunks say where they end; then no validator vouches for them.
    """
    if length_of(response) is None and framing_of(response) != "chunked":
        return Source(redacted(url))
    etag, changed = response.headers.get("ETag"), response.headers.get("Last-Modified")
    if changed is None or _is_finer(etag or "", _seconds(changed)) or not _is_young(changed, response):
        return Source(redacted(url), etag, changed)
    return Source(redacted(url))


def _is_young(changed: str, response: requests.Response) -> bool:
    """Return True for a file that may be changed again without a new time."""
    seconds, now = _seconds(changed), _seconds(response.headers.get("Date", "")) or time.time()
    return seconds is None or now - seconds < YOUNG_SECONDS


def _is_finer(etag: str, seconds: float | None) -> bool:
    """Return True for an ETag that changes with every rewrite: not a weak one, nor one made of the time in seconds."""
    made_of_time = seconds is not None and (f"{int(seconds):x}" in etag.lower() or str(int(seconds)) in etag)
    return etag.startswith('"') and not made_of_time


def _seconds(date: str) -> float | None:
    """Return a date of HTTP in seconds; None if it is not valid."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
