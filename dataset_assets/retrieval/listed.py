"""What lies below a prefix of a bucket or in a folder of a repository: its files, which are also read as one tar."""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dataset_assets.core.files import Written
from dataset_assets.core.folder_tree import Entry
from dataset_assets.core.patterns import matcher
from dataset_assets.core.redact import redacted
from dataset_assets.errors import Refused, RetrievalError
from dataset_assets.retrieval.folder import BLOCK, header
from dataset_assets.retrieval.retriever import ByteProgress
from dataset_assets.storage.raw_files import Source


class Listed(NamedTuple):
    """A file: its path below the prefix, URL, size, what changes with its bytes, and their SHA-256 if stated."""

    path: str
    url: str
    size: int
    state: str | None
    sha256: str | None = None


def matching(found: Sequence[Listed], pattern: str) -> list[Listed]:
    """Return the files whose paths match a pattern; all if it is empty."""
    known = matcher(pattern) if pattern else None
    return [one for one in found if known is None or known.fullmatch(one.path)]


def in_order(found: Sequence[Listed], url: str) -> list[Listed]:
    """Return files sorted by path. Raises `RetrievalError` if there are none, `Refused` for a path that leads out."""
    if not found:
        raise RetrievalError(f"There is nothing below {redacted(url)}. Check its name.")
    for one in found:
        parts = one.path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or "\\" in one.path or not one.path.isprintable():
            raise Refused(f"{redacted(url)} has a file named {one.path!r:.200}, which is no path of a file. Rename it.")
    return sorted(found, key=lambda one: one.path)


def retrieve_all(
    url: str,
    found: Sequence[Listed],
    write: Callable[[Listed, Written], None],
    into: Written,
    known: Source | None,
    report: ByteProgress | None,
) -> Source | None:
    """Write the files as one tar, unless none changed since `known`; `write` appends the bytes of one."""
    state = state_of(found)
    source = Source(redacted(url), etag=f'"{state}"' if state else None)
    if known and known.etag and known.etag == source.etag:
        return None
    if into.bytes:
        into.restart()
    total = sum(BLOCK + one.size + -one.size % BLOCK for one in found) + 2 * BLOCK
    for one in found:
        into.write(header(Entry(one.path, False, one.size, False, "")))
        before = into.bytes
        write(one, into)
        if into.bytes - before != one.size:
            raise RetrievalError(f"{redacted(one.url)} changed while it was read. Run the same command again.")
        into.write(bytes(-one.size % BLOCK))
        if report:
            report(into.bytes, total)
    into.write(bytes(2 * BLOCK))
    return source


def state_of(found: Sequence[Listed]) -> str | None:
    """Return a digest that changes with any of the files; None if not all of them say when they change."""
    if not all(one.state for one in found):
        return None
    lines = "".join(f"{one.path}\0{one.size}\0{one.state}\n" for one in found)
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()
