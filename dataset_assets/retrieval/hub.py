"""Reads files of datasets on the Hugging Face Hub, and folders of them as one tar.

What the Hub publishes of a file is compared with its bytes: the SHA-256 of large files, and git's digest of small ones.
"""

import hashlib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dataset_assets.core.documents import UNFIT
from dataset_assets.core.files import Written, chunks_of, opened, remove, sha256_of
from dataset_assets.core.patterns import split_pattern
from dataset_assets.core.redact import redacted
from dataset_assets.errors import DigestMismatch, RetrievalError
from dataset_assets.retrieval.answers import Answer, ask
from dataset_assets.retrieval.bounds import Bounded
from dataset_assets.retrieval.http import HttpRetriever
from dataset_assets.retrieval.hub_address import HubAddress, address_of, endpoint, login
from dataset_assets.retrieval.listed import Listed, in_order, matching
from dataset_assets.retrieval.listed_tar import retrieve_all, state_of
from dataset_assets.retrieval.retriever import ByteProgress, Look
from dataset_assets.storage.raw_files import Source

MOST_PAGES = 10_000


class HubRetriever:
    """Reads the file of an `hf://datasets/OWNER/NAME@REVISION/path` URL.

    A folder, which ends in `/`, and files that match a pattern with `*`, are read as one tar.
    """

    continues = True

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Write the file. Return None if the Hub publishes the digest that it had when it was `known`."""
        address = address_of(url)
        if address.is_folder:
            at = pinned(address)
            return retrieve_all(url, files_below(at), lambda one, out: _append(at, one, out), into, known, report)
        one = file_at(address)
        source = Source(redacted(url), etag=f'"{one.state}"')
        if known and known.etag == source.etag:
            return None
        stated = into.digest if isinstance(into, Bounded) else None
        if one.sha256 and stated and stated.startswith("sha256:") and stated != f"sha256:{one.sha256}":
            raise DigestMismatch(
                f"{redacted(url)} has sha256 {one.sha256}, as the Hub publishes it, and not the {stated} that was "
                "expected. Name the commit that has the file, or state the new digest."
            )
        _retriever(address).retrieve(address.resolve(), into, None, report)
        _check(one, into.path)
        return source

    def look(self, url: str) -> Look:
        """Return what the Hub publishes of the file, or of all files of the folder."""
        address = address_of(url)
        if address.is_folder:
            state = state_of(files_below(pinned(address)))
            return Look(f'"{state}"' if state else None)
        one = file_at(address)
        return Look(f'"{one.state}"', None, one.size)

    def listed(self, url: str) -> list[Listed]:
        """Return the files of a folder, or those that match a pattern, at the revision of the URL."""
        address = address_of(url)
        folder = split_pattern(address.path)[0]
        found = files_below(pinned(address))
        return [one._replace(url=address._replace(path=f"{folder}{one.path}").url) for one in found]


def pinned(address: HubAddress) -> HubAddress:
    """Return an address with the commit to which its revision points now. Raises `RetrievalError`."""
    if address.is_pinned:
        return address
    value = _checked(address, ask(address.api("revision"), login()))
    commit = value.get("sha") if isinstance(value, dict) else None
    found = address._replace(revision=str(commit))
    if not found.is_pinned:
        raise _strange(address)
    return found


def files_below(address: HubAddress) -> list[Listed]:
    """Return the files of a folder of a dataset, or those that match its pattern, sorted by path."""
    folder, pattern = split_pattern(address.path)
    folder, found = folder.rstrip("/"), list[Listed]()
    below = f"/{quote(folder)}" if folder else ""
    url = f"{address.api('tree')}{below}?recursive=true&expand=false"
    for _ in range(MOST_PAGES):
        answer = ask(url, login())
        found += _listed(address, _checked(address, answer), f"{folder}/" if folder else "")
        if (further := answer.next_url) is None:
            return in_order(matching(found, pattern), address.url)
        url = further
        if not url.startswith(f"{endpoint()}/"):  # it would be sent the token
            raise _strange(address)
    raise _strange(address)


def file_at(address: HubAddress) -> Listed:
    """Return what the Hub says of one file. Raises `RetrievalError`."""
    value = _checked(address, ask(address.api("paths-info"), login(), {"paths": [address.path], "expand": "false"}))
    found = [one for one in _listed(address, value, "") if one.path == address.path]
    if not found and value:
        raise RetrievalError(f"{redacted(address.url)} is a folder. Write '/' at its end for all of its files.")
    if not found:
        raise RetrievalError(f"{redacted(address.url)} is not there. {_look_at(address)}")
    return found[0]


def _listed(address: HubAddress, value: Any, folder: str) -> Iterator[Listed]:
    """Yield the files of an answer, with their paths in the folder."""
    try:
        for one in value:
            if one["type"] != "file":
                continue
            large = one.get("lfs") or {}
            path, size, oid, sha256 = one["path"], one["size"], one["oid"], large.get("oid")
            own = isinstance(path, str) and path.startswith(folder) and type(size) is int and size >= 0
            if not own or not _is_hex(oid, 40) or not (sha256 is None or _is_hex(sha256, 64)):
                raise ValueError
            yield Listed(path.removeprefix(folder), address._replace(path=path).url, size, sha256 or oid, sha256)
    except UNFIT:
        raise _strange(address) from None


def _is_hex(text: Any, length: int) -> bool:
    return isinstance(text, str) and len(text) == length and not set(text) - set("0123456789abcdef")


def _append(address: HubAddress, one: Listed, into: Written) -> None:
    """Append the bytes of one file, after they are compared with what the Hub publishes."""
    path = into.path.with_name(f"{into.path.name}.one")
    part = Written(path)
    try:
        _retriever(address).retrieve(address_of(one.url).resolve(), part, None, None)
        _check(one, path)
        with opened(path) as file:
            for chunk in chunks_of(file):
                into.write(chunk)
    finally:
        part.discard()
        remove(path)


def _check(one: Listed, path: Path) -> None:
    """Raise `DigestMismatch` unless a file has the digest that the Hub publishes."""
    size = path.stat().st_size
    if size == one.size and (sha256_of(path) if one.sha256 else _git_digest(path, size)) == (one.sha256 or one.state):
        return
    raise DigestMismatch(
        f"{redacted(one.url)} came with {size} bytes that do not have the digest that the Hub publishes. If its "
        "revision is a branch, it may just have changed: run the same command again."
    )


def _git_digest(path: Path, size: int) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with opened(path) as file:
        for chunk in chunks_of(file):
            digest.update(chunk)
    return digest.hexdigest()


def _checked(address: HubAddress, answer: Answer) -> Any:
    """Return what the Hub answered. Raises `RetrievalError`, which says what to do."""
    if answer.code == HTTPStatus.OK:
        return answer.checked()
    what, code = answer.headers.get("X-Error-Code", ""), answer.code
    name = f"{address.repository} on {redacted(endpoint())}"
    if what == "GatedRepo" or code == HTTPStatus.FORBIDDEN:
        raise RetrievalError(f"{name} is not open to you. {_let_in(address)}")
    if what == "RevisionNotFound":
        raise RetrievalError(f"{name} has no revision {address.revision!r:.80}. {_look_at(address)}")
    if what == "EntryNotFound":
        raise RetrievalError(f"{redacted(address.url)} is not there. {_look_at(address)}")
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND):
        raise RetrievalError(
            f"There is no dataset {name}, or it is private. Check the name at {_page(address)}; for a private one, set "
            "HF_TOKEN, or run `hf auth login`."
        )
    answer.checked()
    raise _strange(address)


def _let_in(address: HubAddress) -> str:
    return f"Accept its terms at {_page(address)}, and give your token: set HF_TOKEN, or run `hf auth login`."


def _retriever(address: HubAddress) -> HttpRetriever:
    def advice(code: int) -> str:
        refused = code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        return _let_in(address) if refused else _look_at(address)

    return HttpRetriever(own=login(), remedy=advice)


def _page(address: HubAddress) -> str:
    return f"{endpoint()}/datasets/{address.repository}"


def _look_at(address: HubAddress) -> str:
    return f"Look at {_page(address)}/tree/main."


def _strange(address: HubAddress) -> RetrievalError:
    return RetrievalError(
        f"The answer of {redacted(endpoint())} about {address.repository} is not as the Hub's. Check HF_ENDPOINT."
    )
