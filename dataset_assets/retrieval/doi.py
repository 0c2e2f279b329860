"""Reads files of publications by their DOI: `doi:10.5281/zenodo.3939050/file.csv`, of Zenodo, figshare and Dataverse.

The service of DOIs says where a publication is, and the interface of that repository says which files it has, with
their sizes and checksums. The bytes are compared with these.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

from dataset_assets.core.documents import UNFIT
from dataset_assets.core.files import Written, chunks_of, opened
from dataset_assets.core.redact import printable, redacted
from dataset_assets.errors import DigestMismatch, RetrievalError, UsageError, nearest
from dataset_assets.retrieval.answers import ask
from dataset_assets.retrieval.http import HttpRetriever
from dataset_assets.retrieval.retriever import ByteProgress, Look
from dataset_assets.storage.raw_files import Source

_URL = re.compile(r"doi:(?P<doi>10\.[0-9.]+/(?:[^/?#]*zenodo[^/?#]*|[^?#]+))/(?P<file>[^?#]+)", re.IGNORECASE)
_ALGORITHMS = {
    "md5": "md5",
    "sha-1": "sha1",
    "sha1": "sha1",
    "sha-256": "sha256",
    "sha256": "sha256",
    "sha-512": "sha512",
}


class Published(NamedTuple):
    """A file of a publication: its name, the URL of its bytes, its size, and its checksum, if they are stated."""

    name: str
    url: str
    size: int | None
    algorithm: str | None
    checksum: str | None


class DoiRetriever:
    """Reads the file of a `doi:DOI/name` URL."""

    continues = True

    def __init__(self, resolver: str = "https://doi.org", figshare: str = "https://api.figshare.com") -> None:
        self.resolver, self.figshare = resolver, figshare

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Write the file. Return None if its checksum is that of `known`."""
        one = self._published(url)
        source = Source(redacted(url), etag=f'"{one.checksum}"' if one.checksum else None)
        if known and known.etag and known.etag == source.etag:
            return None
        HttpRetriever(via=self.resolver).retrieve(one.url, into, None, report)
        _check(url, one, into.path)
        return source

    def look(self, url: str) -> Look:
        """Return the checksum and the size of the file."""
        one = self._published(url)
        return Look(f'"{one.checksum}"' if one.checksum else None, None, one.size)

    def _published(self, url: str) -> Published:
        """Return what the repository says of a file. Raises `UsageError` and `RetrievalError`."""
        if not (parts := _URL.fullmatch(url)):
            raise UsageError(f"{redacted(url)} names no file of a DOI. Write doi:10.5281/zenodo.3939050/file.csv.")
        doi, wanted = unquote(parts["doi"]), unquote(parts["file"])
        home = self._home(doi)
        try:
            found = [*self._files(doi, home)]
        except UNFIT:
            raise RetrievalError(
                f"The answer of {urlsplit(home).netloc} about {doi} is not as its documentation says."
            ) from None
        return _chosen(doi, wanted, found)

    def _home(self, doi: str) -> str:
        """Return the URL of a publication's page."""
        answer = ask(f"{self.resolver}/api/handles/{quote(doi)}")
        values = answer.value.get("values", []) if isinstance(answer.value, dict) else []
        found = [one["data"]["value"] for one in values if isinstance(one, dict) and one.get("type") == "URL"]
        if not found or not isinstance(found[0], str):
            raise RetrievalError(f"There is no DOI {doi}. Look it up at https://doi.org/{quote(doi)}")
        return found[0]

    def _files(self, doi: str, home: str) -> Iterator[Published]:
        parts = urlsplit(home)
        place = f"{parts.scheme}://{parts.netloc}"
        if "persistentId" in parse_qs(parts.query):
            return _of_dataverse(doi, place, self.resolver)
        if "/articles/" in parts.path:
            return _of_figshare(doi, parts.path, self.figshare, self.resolver)
        if number := re.search(r"/records?/(\d+)", parts.path) or re.search(r"zenodo\.(\d+)", doi):
            return _of_zenodo(number[1], place, self.resolver)
        raise RetrievalError(
            f"{doi} is at {parts.netloc}, which is no repository that is known: Zenodo, figshare or Dataverse. Write "
            "the URL of its file."
        )


def _chosen(doi: str, wanted: str, found: list[Published]) -> Published:
    """Return the file with this path, or else with this name in any folder. Raises `RetrievalError`."""
    fitting = [one for one in found if one.name == wanted]
    fitting = fitting or [one for one in found if one.name.rpartition("/")[2] == wanted]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise RetrievalError(f"{doi} has no file {wanted!r:.200}.{nearest(wanted, [one.name for one in found])}")
    paths = {one.name: f"doi:{quote(doi)}/{quote(one.name, safe='')}" for one in fitting}
    choices = [*paths.values()] if len(paths) == len(fitting) else [redacted(one.url) for one in fitting]
    raise RetrievalError(
        f"{doi} has {len(fitting)} files named {wanted!r:.200}. Choose one: {printable(' or '.join(choices[:10]))}"
    )


def _of_zenodo(number: str, place: str, via: str) -> Iterator[Published]:
    base = f"{place}/api/records/{number}"
    for one in ask(base, via=via).checked()["files"]:
        # The names of fields differ between its releases.
        name, size = one.get("key") or one["filename"], one.get("size", one.get("filesize"))
        checksum = one["checksum"].removeprefix("md5:")
        yield Published(name, f"{base}/files/{quote(name)}/content", size, "md5", checksum)


def _of_figshare(doi: str, path: str, place: str, via: str) -> Iterator[Published]:
    named = re.search(r"figshare\.(\d+)(?:\.v(\d+))?", doi) or re.search(r"/(\d+)(?:/(\d+))?/?$", path)
    if named is None:
        raise ValueError
    version = f"/versions/{named[2]}" if named[2] else ""
    for one in ask(f"{place}/v2/articles/{named[1]}{version}", via=via).checked()["files"]:
        checksum = one.get("computed_md5") or one.get("supplied_md5") or None
        yield Published(str(one["name"]), one["download_url"], one["size"], "md5", checksum)


def _of_dataverse(doi: str, place: str, via: str) -> Iterator[Published]:
    answer = ask(f"{place}/api/datasets/:persistentId/?persistentId=doi:{quote(doi)}", via=via)
    for one in answer.checked()["data"]["latestVersion"]["files"]:
        file, folder = one["dataFile"], one.get("directoryLabel")
        above = f"{folder}/" if folder else ""
        url = f"{place}/api/access/datafile/{int(file['id'])}"
        stated = file.get("checksum") or {"type": "MD5", "value": file.get("md5")}
        checksum = (file.get("filesize"), _ALGORITHMS.get(str(stated["type"]).lower()), stated["value"])
        if original := file.get("originalFileName"):
            # A table that was converted: what is stated is that of the file that was uploaded.
            yield Published(f"{above}{original}", f"{url}?format=original", None, *checksum[1:])
            yield Published(f"{above}{file['filename']}", url, None, None, None)
        else:
            yield Published(f"{above}{file['filename']}", url, *checksum)


def _check(url: str, one: Published, path: Path) -> None:
    """Raise `DigestMismatch` unless a file has the size and the checksum that its repository states."""
    size = path.stat().st_size
    if one.size is not None and size != one.size:
        raise DigestMismatch(
            f"{redacted(url)} came with {size} bytes, and its repository states {one.size}. Run it again."
        )
    if one.algorithm is None or one.checksum is None:
        return
    digest = hashlib.new(one.algorithm, usedforsecurity=False)
    with opened(path) as file:
        for chunk in chunks_of(file):
            digest.update(chunk)
    if digest.hexdigest() != one.checksum.lower():
        raise DigestMismatch(
            f"{redacted(url)} has {one.algorithm} {digest.hexdigest()}, and its repository states {one.checksum}. Run "
            "it again; if the error remains, tell its publisher."
        )
