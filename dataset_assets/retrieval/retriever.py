"""The seam to every source: a `Retriever` streams a URL's bytes into a file, and is chosen by the URL's scheme."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from dataset_assets.core import plugins
from dataset_assets.core.files import Written
from dataset_assets.core.redact import redacted
from dataset_assets.errors import UsageError, nearest
from dataset_assets.storage.raw_files import Source

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
