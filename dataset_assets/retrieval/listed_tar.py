"""Reads files that were listed as one tar."""

import hashlib
from collections.abc import Callable, Sequence

from dataset_assets.core.files import Written
from dataset_assets.core.folder_tree import Entry
from dataset_assets.core.redact import redacted
from dataset_assets.errors import RetrievalError
from dataset_assets.retrieval.folder import BLOCK, header
from dataset_assets.retrieval.listed import Listed
from dataset_assets.retrieval.retriever import ByteProgress
from dataset_assets.storage.raw_files import Source


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
