"""Asks the interface of a service for JSON: with retries, over the same connections and rules as downloads."""

import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin

import requests
from urllib3.exceptions import HTTPError

from dataset_assets.core.documents import parsed
from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.errors import DatasetAssetsError, RetrievalError
from dataset_assets.retrieval.hops import Hops
from dataset_assets.retrieval.http import HttpLimits
from dataset_assets.retrieval.http_body import Broken, body_of
from dataset_assets.retrieval.http_status import RETRYABLE, error_of, length_of, remedy, retry_after, status
from dataset_assets.retrieval.wire import Adapter

MOST_BYTES = 64 << 20
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "dataset-assets"}


@dataclass(frozen=True)
class Answer:
    """What a service answered; `value` is None if that was no JSON."""

    url: str
    code: int
    headers: Mapping[str, str]
    value: Any

    def checked(self) -> Any:
        """Return the value. Raises `RetrievalError` for an error, and for what is no JSON."""
        if self.code != HTTPStatus.OK:
            raise RetrievalError(f"{redacted(self.url)} answered {status(self.code)}. {remedy(self.code)}")
        if self.value is None:
            raise RetrievalError(f"{redacted(self.url)} did not answer with JSON. Open it in a browser to see why.")
        return self.value

    @property
    def next_url(self) -> str | None:
        """The URL of the next page, if the answer is a page of several."""
        links = requests.utils.parse_header_links(self.headers.get("Link", ""))
        return next((urljoin(self.url, link["url"]) for link in links if link.get("rel") == "next"), None)


def ask(
    url: str,
    own: Mapping[str, str] = MappingProxyType({}),
    form: Any = None,
    via: str = "",
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Ask a service, by POST if there is a `form`; `own` are headers for its server alone.

    `via` is the URL of the server that named this one. Raises `RetrievalError`, and `Refused` as for a redirect.
    """
    limits, outer = HttpLimits.of(settings()), sys.exception()
    for attempt in range(limits.attempts):
        try:
            return _asked(url, own, form, limits, via)
        except Broken as error:
            failed: Broken | DatasetAssetsError = error
        except (requests.RequestException, HTTPError) as error:
            failed = error_of(redacted(url), error, outer, limits.redirects)
        # Raised outside the handlers: as a context, the caught error would show the URL with its secrets.
        if not isinstance(failed, Broken):
            raise failed
        cause = failed.cause
        wait = failed.wait or limits.backoff * 2**attempt * random.uniform(0.5, 1)
        if attempt + 1 == limits.attempts or wait > limits.max_retry_after:
            break
        sleep(wait)
    raise RetrievalError(f"{redacted(url)} {cause}. Run the same command again later.")


def _asked(url: str, own: Mapping[str, str], form: Any, limits: HttpLimits, via: str) -> Answer:
    timeouts = (limits.connect_timeout, limits.idle_timeout)
    with Hops(url, partial(Adapter, limits), limits.redirects, limits.intranet, own, via) as hops:
        response = hops.get(_HEADERS, timeouts, "GET" if form is None else "POST", form)
        if response.status_code in RETRYABLE:
            raise Broken(
                f"answered {status(response.status_code)}", *retry_after(response.headers.get("Retry-After", ""))
            )
        body = bytearray()
        for piece in body_of(response.raw, length_of(response)):
            body += piece
            if len(body) > MOST_BYTES:
                raise RetrievalError(f"{redacted(url)} answered with more than {MOST_BYTES} bytes. Ask for less.")
        try:
            value = parsed(bytes(body), None)
        except ValueError:
            value = None
        return Answer(url, response.status_code, response.headers, value)
