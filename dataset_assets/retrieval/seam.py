"""The seam to every source: a `Retriever` streams a URL's bytes into a file, and is chosen by the URL's scheme."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from dataset_assets import plugins
from dataset_assets.errors import UsageError, nearest
from dataset_assets.files import Written

Report = Callable[[int, int | None], None]
"""Told of the bytes that are there and of the total, if it is known; the first may fall when a transfer begins anew."""

RETRIEVERS: dict[str, str] = {
    "http": "dataset_assets.retrieval.http:HttpRetriever",
    "https": "dataset_assets.retrieval.http:HttpRetriever",
    "file": "dataset_assets.retrieval.local:FileRetriever",
    "package": "dataset_assets.retrieval.package:PackageRetriever",
}
"""Where the retriever of each scheme is, as `module:callable`; imported when a URL of the scheme is read. A plugin adds
its own by an entry point of the group `dataset_assets.retrievers`."""


@dataclass(frozen=True)
class Source:
    """What is known of a source that was read once; all fields are JSON values."""

    url: str
    """The URL that was asked, through `redacted`."""
    etag: str | None = None
    last_modified: str | None = None


class Retriever(Protocol):
    """Reads the URLs of a scheme."""

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: Report | None = None
    ) -> Source | None:
        """Write the URL's bytes into `into`; None, and nothing written, if the source says that `known` has them.

        `known` was recorded of this same URL: another's validators would say nothing about its bytes. A transfer that
        breaks is begun anew with `into.restart()`, or continued. Raises `RetrievalError` or `Refused`, in whose
        messages URLs are `redacted`; what `into` raises passes through.
        """
        ...


def retriever_for(url: str) -> Retriever:
    """Return a retriever of the URL's scheme."""
    scheme, colon, _ = url.partition(":")
    place = RETRIEVERS.get(scheme.lower()) if colon else None
    if place is not None:
        module, _, name = place.partition(":")
        found: Any = getattr(import_module(module), name)
    elif (found := plugins.provided("retrievers", scheme.lower()) if colon else None) is None:
        known = nearest(scheme, [*RETRIEVERS, *plugins.names("retrievers")])
        raise UsageError(
            f"{redacted(url)} has no scheme that can be retrieved."
            f"{known if colon else ' Write a local file as file:///folder/name.'}"
        )
    retriever: Retriever = found()
    return retriever


def split_url(url: str) -> SplitResult:
    """Take a URL apart; raise `UsageError` for one that cannot be."""
    try:
        return urlsplit(url)
    except ValueError:
        pass
    # Outside of the handler: the caught error quotes the URL, and would be shown as this one's context.
    raise UsageError(f"{redacted(url)} is not a URL. Correct its host.")


_SECRET_NAME = re.compile(
    r"(^|[-_.])(sig|key|pass|pwd|auth|jwt|sas)([-_.]|$)|token|signature|secret|passw|credential|session|authorization"
    r"|accesskey|apikey|api_key|^policy$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"eyJ[\w-]+\.[\w.-]+|[A-Za-z0-9+/_=-]{40,}")


def redacted(url: str) -> str:
    """Return the URL as it may be shown: without user, password, fragment and values that look like secrets.

    >>> redacted("https://ada:pw@example.org/train.gz?part=1&X-Amz-Signature=91bd#top")
    'https://example.org/train.gz?part=1&X-Amz-Signature=***'
    """
    try:
        parts = urlsplit(url)
        # A password with an unescaped '/' ends the host early; then the port is not a number and nothing is shown.
        _ = parts.port
    except ValueError:
        return f"{printable(url.partition(':')[0])[:20]}://***"
    query = re.sub(r"([^&;=]+)=([^&;]+)", _without_secret, parts.query)
    if not parts.netloc and parts.scheme not in ("", "file"):
        if url[len(parts.scheme) :].startswith(":///"):
            # Put together here, because urllib drops the slashes of a scheme that it does not know.
            return printable(f"{parts.scheme}://{parts.path}{'?' if query else ''}{query}")
        # `ada:pw@host/file`, where somebody forgot the scheme, is read as one of scheme `ada`.
        return f"{printable(parts.scheme)}:***"
    host = parts.netloc.rpartition("@")[2]
    return printable(parts._replace(netloc=host, query=query, fragment="").geturl())


def _without_secret(pair: re.Match[str]) -> str:
    name, value = unquote(pair[1]), unquote(pair[2])
    hidden = _SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value)
    return f"{pair[1]}=***" if hidden else pair[0]


def printable(text: str) -> str:
    """Return the text without what would steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
