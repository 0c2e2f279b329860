"""What lies below a prefix of a bucket, in a folder of a repository, or in one of this machine."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from dataset_assets.core.folder_tree import entries
from dataset_assets.core.patterns import matcher
from dataset_assets.core.redact import redacted
from dataset_assets.errors import Refused, RetrievalError


class Listed(NamedTuple):
    """A file: its path below the prefix, URL, size, what changes with its bytes, and their SHA-256 if stated."""

    path: str
    url: str
    size: int
    state: str | None
    sha256: str | None = None


@runtime_checkable
class Listing(Protocol):
    """A retriever that can list the files of a folder, or of a pattern with `*`."""

    def listed(self, url: str) -> list[Listed]:
        """Return the files sorted by path, with URLs that can be retrieved. Raises what `Retriever.retrieve` raises."""
        ...


def in_folder(root: Path, pattern: str, url: str, url_of: Callable[[str], str]) -> list[Listed]:
    """Return the files of a folder of this machine whose paths match; `url_of` returns the URL of a path in it."""
    found = [Listed(one.path, url_of(one.path), one.size, one.state) for one in entries(root) if not one.is_folder]
    return in_order(matching(found, pattern), url)


def matching(found: Sequence[Listed], pattern: str) -> list[Listed]:
    """Return the files whose paths match a pattern, or are in folders that match; all if it is empty."""
    known = matcher(f"{pattern}**" if pattern.endswith("/") else pattern) if pattern else None
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
