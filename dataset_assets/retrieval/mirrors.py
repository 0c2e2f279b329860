"""Mirrors: tries several URLs of one file in order, until one gives the right bytes."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from dataset_assets.core.files import move, remove
from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.errors import DatasetAssetsError, DecodeError, DigestMismatch, Refused, RetrievalError, UsageError
from dataset_assets.retrieval.bounds import Bounded
from dataset_assets.retrieval.kept import Kept, clear
from dataset_assets.retrieval.retriever import ByteProgress, Retriever, retriever_for
from dataset_assets.storage.raw_files import Source

log = logging.getLogger(__name__)

_FAILURES = (RetrievalError, DigestMismatch, DecodeError, Refused, UsageError)


def fetch_first(
    urls: Sequence[str],
    into_path: Path,
    known: Source | None = None,
    verify: Callable[[Path], None] | None = None,
    report: ByteProgress | None = None,
    retrievers: Callable[[str], Retriever] = retriever_for,
    size: int | None = None,
    digest: str | None = None,
    kept: Path | None = None,
) -> Source | None:
    """Download the file from the first URL that has it. Return None, and write no file, if `known` is still current.

    A download stops when it exceeds `size` or the setting `max_bytes`. `digest`, such as `sha256:...`, is that of the
    file if it is known: it decides whether a server's content coding belongs to the file. `kept` is a folder in which
    the beginning of a large file stays for the next process, if this one is killed.

    `verify` raises `DigestMismatch` for a complete file with the wrong bytes. After this or any other failure of a
    source, the file is removed and the next URL is tried. Each failure is logged as a warning. Disk errors are raised
    at once: a different mirror would not help.
    """
    if not urls:
        raise UsageError(f"No URL was given for {into_path.name}. Give at least one URL.")
    failures: list[tuple[str, DatasetAssetsError]] = []
    for url in urls:
        try:
            source = _fetch(url, into_path, known, verify, report, retrievers, size, digest, kept)
            if kept is not None:
                clear(kept)
            return source
        except _FAILURES as error:
            failures.append((redacted(url), error))
            log.warning("%s", _line(redacted(url), error))
    raise _combined(failures)


def _fetch(
    url: str,
    path: Path,
    known: Source | None,
    verify: Callable[[Path], None] | None,
    report: ByteProgress | None,
    retrievers: Callable[[str], Retriever],
    size: int | None,
    digest: str | None,
    kept: Path | None,
) -> Source | None:
    retriever = retrievers(url)
    # The ETag or time of one mirror means nothing at another: an older copy could look unchanged.
    own = known if known and known.url == redacted(url) else None
    most, name = settings().max_bytes, path.name.replace("_", ".")
    into: Bounded
    if kept is not None and getattr(retriever, "continues", False):
        into = Kept(kept, url, redacted(url), size, most, digest, name)
    else:
        into = Bounded(path, redacted(url), size, most, digest, name)
    try:
        source = retriever.retrieve(url, into, own, report)
        if source is None:
            into.discard()
            into.forget()
            remove(into.path)
            return None
        # What stores the file syncs it.
        (into.discard if kept is None else into.close)()
        if verify:
            verify(into.path)
        into.forget()
        if into.path != path:
            move(into.path, path)
        return source
    except BaseException as error:
        into.discard()
        if not into.may_continue(error):
            into.forget()
            remove(into.path)
        if not isinstance(error, DigestMismatch) or not into.resumed:
            raise
    # The bytes that an earlier process left may be wrong, so the file is downloaded from the start.
    return _fetch(url, path, known, verify, report, retrievers, size, digest, kept)


def _combined(failures: list[tuple[str, DatasetAssetsError]]) -> DatasetAssetsError:
    """Return one error for all failures, of their common class if they have one."""
    last = failures[-1][1]
    if len(failures) == 1:
        return last
    kind: type[DatasetAssetsError] = RetrievalError
    remedy = "Run the same command again when the network or one of the sources is back, or add a mirror."
    if isinstance(last, DigestMismatch):
        kind = DigestMismatch
        remedy = (
            "Add a mirror that has the old bytes. If the publisher has replaced the file, state its new digest in the "
            "definition; if the definition states none, refresh the dataset to accept the new file."
        )
    elif len({type(error) for _, error in failures}) == 1:
        kind = type(last)
    lines = "".join(f"\n  {_line(url, error)}" for url, error in failures)
    return kind(f"None of {len(failures)} URLs gave the file:{lines}\n{remedy}")


def _line(url: str, error: DatasetAssetsError) -> str:
    """Return the first sentence of a message, without its advice."""
    text = " ".join(str(error).split())
    first = re.split(r"(?<=[^.])\. (?=[A-Z])", text, maxsplit=1)[0].rstrip(".")
    return first if url in first else f"{url}: {first}"
