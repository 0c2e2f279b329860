"""Checks of a file in a definition: its identifier, digest and URL."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from dataset_assets.core.names import file_identifier
from dataset_assets.core.redact import redacted
from dataset_assets.errors import DefinitionError, NameNotAllowed

DIGEST_LENGTHS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


def check_file_identifier(identifier: str) -> str:
    """Return the identifier of a file. Raises `NameNotAllowed` if it is not allowed."""
    if file_identifier(identifier) != identifier:
        raise NameNotAllowed(
            f"{identifier!r} cannot be the identifier of a file. Use {file_identifier(identifier)!r} instead."
        )
    # The folder of a raw file holds only digests and source.json, so no word is reserved.
    return identifier


def url_from(given: Any) -> str:
    """Return a name or URL as given, and an absolute `Path` as a `file:` URL. Raises `DefinitionError` for the rest."""
    if isinstance(given, str):
        return given
    if not isinstance(given, os.PathLike) or not isinstance(path := os.fspath(given), str):
        raise DefinitionError(
            f"{given!r} is neither a URL nor a path. Write https://..., file:///folder/name or pathlib.Path(...)."
        )
    if not os.path.isabs(path):
        raise DefinitionError(
            f"{path!r} is a relative path, so it would depend on the working folder. {_local_file(path)}"
        )
    return Path(path).as_uri()


def urls_from(mirrors: Any) -> tuple[str, ...]:
    """Return the mirrors, or the only one, as URLs. Raises `DefinitionError`."""
    several = isinstance(mirrors, Iterable) and not isinstance(mirrors, (str, bytes))
    return tuple(map(url_from, mirrors if several else (mirrors,)))


def _local_file(path: str) -> str:
    return f"Write file:///folder/{os.path.basename(path)}, or Path({path!r}).absolute() for a file of this machine."


def check_size(identifier: str, size: Any) -> None:
    """Raise `DefinitionError` if the size of a file is not a number of bytes."""
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise DefinitionError(f"The size of {identifier} is {size!r}. Give it in bytes, 0 or more.")


def check_keep(keep: Any) -> bool:
    """Return whether a file is kept. Raises `DefinitionError` if this is not True or False."""
    if not isinstance(keep, bool):
        raise DefinitionError(f"keep={keep!r} is not allowed. Write keep=True or keep=False.")
    return keep


def key_from(after: Any) -> tuple[str, ...]:
    """Return the parts of the key of an asset, given as such or joined by `/`. Raises `DefinitionError`."""
    parts = tuple(after.split("/")) if isinstance(after, str) and after else after
    if not isinstance(parts, (tuple, list)) or not all(isinstance(part, str) and part for part in parts):
        raise DefinitionError(f"after={after!r} is not the key of an asset. Write its parts, as in ('dbt', 'orders').")
    return tuple(parts)


def check_partitioned(urls: Iterable[str], word: str, digest: Any, size: Any) -> None:
    """Raise `DefinitionError` if a file that stands for many has a URL for one, or a digest or size of one."""
    if lacking := [url for url in urls if word not in url]:
        raise DefinitionError(f"{redacted(lacking[0])} has no {word}, and other URLs of the file have it. Add it.")
    if digest is not None or size is not None:
        raise DefinitionError(f"A file with {word} in its URL stands for many, so it has no digest and no size.")


def check_digest(digest: Any) -> str:
    """Return a digest such as `sha256:...` in lower case. Raises `DefinitionError` if it is not one."""
    algorithm, _, value = str(digest).partition(":")
    value = value.lower()
    if (
        not isinstance(digest, str)
        or algorithm not in DIGEST_LENGTHS
        or not re.fullmatch(f"[0-9a-f]{{{DIGEST_LENGTHS[algorithm]}}}", value)
    ):
        raise DefinitionError(
            f"{str(digest)[:90]!r} is not a digest. Write the algorithm before the digest that the publisher states: "
            f"sha256:<64 hex digits> (or {', '.join(sorted(DIGEST_LENGTHS.keys() - {'sha256'}))})."
        )
    return f"{algorithm}:{value}"


def check_url(url: str, digest: str | None) -> None:
    """Raise `DefinitionError` if this is not a URL, or is plain http without a digest."""
    try:
        parts = urlsplit(url)
        loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    except (ValueError, AttributeError, TypeError):
        raise DefinitionError("The URL of a file is not valid. Correct its host.") from None
    if not parts.scheme:
        raise DefinitionError(
            f"{url!r} is not a URL. Write https://..., or give mirrors= of the file. {_local_file(url)}"
        )
    if parts.scheme == "folder" and redacted(url) == "folder:***":
        raise DefinitionError(
            "The path below a folder: has one of @ : ? #. Write it percent-encoded, as in folder:corpora/a%40b.txt."
        )
    if parts.scheme == "doi" and redacted(url) == "doi:***":
        raise DefinitionError(
            "The doi: URL does not begin with a DOI, or has one of @ ? # or a space. Write it as in "
            "doi:10.5281/zenodo.3939050/file.csv, with these characters percent-encoded, as in a%40b.csv."
        )
    if parts.scheme == "http" and not loopback and digest is None:
        raise DefinitionError(
            f"{without_secrets(parts)} is plain http, so others can change it. Use https, or state a digest."
        )


def without_secrets(url: SplitResult) -> str:
    """Return a URL without user, password, query and fragment."""
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()
