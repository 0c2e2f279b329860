"""The interface of retrievers: a `Retriever` downloads a URL into a file. The scheme of the URL selects it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, runtime_checkable
from urllib.parse import SplitResult, urlsplit

from dataset_assets.core import plugins
from dataset_assets.core.files import Written
from dataset_assets.core.redact import redacted
from dataset_assets.errors import UsageError, nearest
from dataset_assets.storage.raw_files import Source

ByteProgress = Callable[[int, int | None], None]
"""Called with the bytes received and the total, if known. The first number may fall when a transfer restarts."""

RETRIEVERS: dict[str, str] = {
    "http": "dataset_assets.retrieval.http:HttpRetriever",
    "https": "dataset_assets.retrieval.http:HttpRetriever",
    "file": "dataset_assets.retrieval.local:FileRetriever",
    "package": "dataset_assets.retrieval.package:PackageRetriever",
    "folder": "dataset_assets.retrieval.folder:FolderRetriever",
    **dict.fromkeys(("s3", "gs", "az"), "dataset_assets.retrieval.bucket:BucketRetriever"),
    "hf": "dataset_assets.retrieval.hub:HubRetriever",
    "doi": "dataset_assets.retrieval.doi:DoiRetriever",
    "manual": "dataset_assets.retrieval.manual:ManualRetriever",
    "sql": "dataset_assets.retrieval.query:QueryRetriever",
}
"""The retriever of each scheme, as `module:callable`. It is imported when a URL of the scheme is read. Plugins add
theirs with entry points of the group `dataset_assets.retrievers`."""


class Retriever(Protocol):
    """Downloads URLs of a scheme."""

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Write the bytes of the URL into `into`. Return None, and write nothing, if `known` is still current.

        `known` was recorded from this same URL. A broken transfer is resumed, or restarted with `into.restart()`.
        Raises `RetrievalError` or `Refused`, with `redacted` URLs in the message; errors of `into` pass through.
        """
        ...


@dataclass(frozen=True)
class Look:
    """What a source says of a file without sending it; None for what it does not say."""

    etag: str | None = None
    last_modified: str | None = None
    bytes: int | None = None


@runtime_checkable
class Looking(Protocol):
    """A retriever that can ask whether a file is there."""

    def look(self, url: str) -> Look:
        """Return what the source says of the file. Raises what `Retriever.retrieve` raises."""
        ...


def retriever_for(url: str) -> Retriever:
    """Return a retriever for the scheme of a URL. Raises `UsageError` for an unknown scheme."""
    scheme, colon, _ = url.partition(":")
    place = RETRIEVERS.get(scheme.lower()) if colon else None
    if place is not None:
        module, _, name = place.partition(":")
        make: Any = getattr(import_module(module), name)
    elif (make := plugins.provided("retrievers", scheme.lower()) if colon else None) is None:
        known = nearest(scheme, [*RETRIEVERS, *plugins.names("retrievers")])
        raise UsageError(
            f"{redacted(url)} has {'an unknown' if colon else 'no'} scheme."
            f"{known if colon else ' Write a local file as file:///folder/name.'}"
        )
    retriever: Retriever = make()
    return retriever


def split_url(url: str) -> SplitResult:
    """Split a URL into its parts. Raises `UsageError` if it is not valid."""
    try:
        return urlsplit(url)
    except ValueError:
        pass
    # Raised outside the handler: as a context, the caught error would show the URL with its secrets.
    raise UsageError(f"{redacted(url)} is not a valid URL. Correct its host.")
