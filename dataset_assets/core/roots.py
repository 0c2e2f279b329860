"""The roots below which a storage's datasets may read objects where they are: of each user, by storage.

Each has a file of its own in the user's configuration folder, so two processes that add some do not lose each other's.
The setting `roots` adds more, for machines that are made anew for each run.
"""

import json
import os
from pathlib import Path
from typing import Iterable, NoReturn
from urllib.parse import unquote, urlsplit

from dataset_assets.core import files, trust
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.commands import command
from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.errors import Refused, UsageError


def roots_of(storage: str) -> list[str]:
    """Return the URLs of the roots that are allowed for a storage, sorted."""
    given = [(line.split()[0], line.split()[1]) for line in settings().roots]
    return sorted({root for place, root in [*_kept(), *given] if place == storage})


def allow_root(storage: str, root: str) -> str:
    """Let the datasets of a storage read the objects below a root where they are; return its URL."""
    root = checked_root(root)
    place = _folder() / f"{sha256_hex(json.dumps([storage, root]).encode())}.json"
    files.make_folder(place.parent)
    with files.whole(place) as file:
        file.write(json.dumps([storage, root]).encode())
    return root


def refuse_root(storage: str, root: str) -> bool:
    """Take back what `allow_root` did; return whether it was allowed."""
    place = _folder() / f"{sha256_hex(json.dumps([storage, checked_root(root)]).encode())}.json"
    was_there = place.is_file()
    files.remove(place)
    return was_there


def checked_root(root: str) -> str:
    """Return the URL of a root, which ends in `/`. Raises `UsageError` for a URL that names no folder."""
    parts = urlsplit(root)
    if parts.scheme not in ("file", "s3", "gs", "az") or parts.fragment or not _is_plain(parts.path):
        raise UsageError(f"{redacted(root):.200} is not a root. Write the URL of a folder: s3://bucket/folder/.")
    return parts._replace(path=f"{parts.path.rstrip('/')}/").geturl()


def root_of(urls: Iterable[str]) -> str:
    """Return the deepest folder that all objects lie in. Raises `UsageError` if they lie in several buckets."""
    parts = [urlsplit(url) for url in urls]
    if len({(one.scheme, one.netloc, one.query) for one in parts}) != 1:
        raise UsageError("Objects that stay where they are must lie in one bucket. Make a dataset of each.")
    folder = os.path.commonpath([one.path.rpartition("/")[0] or "/" for one in parts])
    return parts[0]._replace(path=f"{folder.rstrip('/')}/").geturl()


def roots_of_all(urls: Iterable[str]) -> list[str]:
    """Return the deepest folder of all objects; of files that have only `/` in common, the folder of each."""
    urls = [*urls]
    common = root_of(urls)
    return [common] if common != "file:///" else sorted({root_of([url]) for url in urls})


def see_allowed(storage: str, urls: Iterable[str]) -> None:
    """Raise `Refused` for an object that does not lie below a root that is allowed for a storage."""
    allowed = roots_of(storage)
    for url in urls:
        if not any(_is_named_below(url, root) for root in allowed):
            _refuse(storage, url, "which this machine does not allow for that storage")
        if not any(_leads_below(url, root) for root in allowed):
            real = Path(_real(url)).as_uri()
            _refuse(storage, url, f"a link to {real}, whose folder this machine does not allow for that storage", real)


def real_roots(storage: str) -> list[str]:
    """Return the paths of the folders of this machine, without links, that are allowed for a storage."""
    return [_real(root) for root in roots_of(storage) if urlsplit(root).scheme == "file"]


def is_inside(path: str, folders: Iterable[str]) -> bool:
    """Say whether a path lies in one of some folders; none of them is a link."""
    return any(path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _refuse(storage: str, url: str, why: str, real: str = "") -> NoReturn:
    add = command(f"settings roots allow {root_of([real or url])}", storage)
    raise Refused(
        f"A dataset of {storage} reads {redacted(url)} where it is, {why}. If you trust whoever made the dataset to "
        f"choose what is read there, allow it with: {add}"
    )


def is_below(url: str, root: str) -> bool:
    """Say whether an object lies below a root; of files, after following links."""
    return _is_named_below(url, root) and _leads_below(url, root)


def _is_named_below(url: str, root: str) -> bool:
    one, other = urlsplit(url), urlsplit(root)
    if (one.scheme, one.netloc, one.query) != (other.scheme, other.netloc, other.query) or one.fragment:
        return False
    return _is_plain(one.path) and one.path.startswith(f"{other.path.rstrip('/')}/")


def _leads_below(url: str, root: str) -> bool:
    """Say whether a file, after following links, lies below a root; objects of buckets are no links."""
    if urlsplit(url).scheme != "file":
        return True
    return urlsplit(root).scheme == "file" and is_inside(_real(url), [_real(root)])


def _real(url: str) -> str:
    return os.path.realpath(unquote(urlsplit(url).path))


def _is_plain(path: str) -> bool:
    """Say whether no part of a path leads out of a folder, whoever decodes it."""
    return {".", ".."}.isdisjoint(unquote(path).split("/")) and "\\" not in unquote(path)


def _kept() -> list[tuple[str, str]]:
    found = []
    for place in sorted(_folder().glob("*.json")) if _folder().is_dir() else []:
        try:
            storage, root = json.loads(place.read_bytes())
            found.append((str(storage), str(root)))
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"{place} cannot be read: {error}. Remove it, and allow the root again.") from error
    return found


def _folder() -> Path:
    return trust.user_folder() / "roots"
