"""Copies files of `package:` URLs from installed Python packages, without importing the packages."""

import os
import re
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, unquote

from dataset_assets.core.files import Written
from dataset_assets.core.redact import redacted
from dataset_assets.errors import Refused, RetrievalError, UsageError
from dataset_assets.retrieval.local_file import copy_into, regular_file, validator
from dataset_assets.retrieval.retriever import ByteProgress, Look, split_url
from dataset_assets.storage.raw_files import Source

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class PackageRetriever:
    """Copies the file of `package://<package>/<path in its folder>[?pip=<distribution>]`.

    `pip` names the distribution if it differs from the package: `package://sklearn/...?pip=scikit-learn`.
    """

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Copy the file. Return None if its size, its modification time and the version are those of `known`."""
        shown, path = redacted(url), path_of(url)
        source = Source(shown, etag=_etag(url, regular_file(path, shown)))
        if known and known.etag == source.etag:
            return None
        copy_into(path, shown, into, report)
        return source

    def look(self, url: str) -> Look:
        """Return the size of the file, and a validator of it and of the version of its package."""
        info = regular_file(path_of(url), redacted(url))
        return Look(_etag(url, info), bytes=info.st_size)


def _etag(url: str, info: os.stat_result) -> str:
    package, _, distribution = _parse(url)
    return f'"{distribution}-{_version(distribution, package)}-{validator(info)}"'


def path_of(url: str) -> Path:
    """Return the path of the file of a `package:` URL. Raises `RetrievalError`, `Refused` and `UsageError`."""
    return _find_file(redacted(url), *_parse(url))


def _parse(url: str) -> tuple[str, list[str], str]:
    """Return the package, the parts of the path in its folder, and the distribution that installs it."""
    url_parts = split_url(url)
    package = url_parts.netloc
    distribution = parse_qs(url_parts.query).get("pip", [package])[0]
    if not package.isidentifier() or not _DISTRIBUTION.fullmatch(distribution):
        raise UsageError(f"{redacted(url)} does not name a package. Write it as package://<package>/<folder>/<file>.")
    parts = unquote(url_parts.path).removeprefix("/").split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise Refused(f"{redacted(url)} does not name a file inside its package. Write the path without '.' and '..'.")
    return package, parts, distribution


def _find_file(shown: str, package: str, parts: list[str], distribution: str) -> Path:
    for folder in _folders(package, distribution):
        path = folder.joinpath(*parts)
        if os.path.exists(path):
            return _inside(shown, folder, path)
    raise RetrievalError(
        f"{shown} does not exist: {distribution} {_version(distribution, package)} has no such file. "
        f"Install a version that has it: pip install '{distribution}==...'"
    )


def _folders(package: str, distribution: str) -> list[Path]:
    """Return the folders of a package; a namespace package has several."""
    try:
        # The name has no dot; with one, find_spec would import the parent package.
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise RetrievalError(f"Package {package} is not installed. Install it with: pip install {distribution}")
    if not spec.submodule_search_locations:
        raise RetrievalError(f"{package} is a single module without files. Name the package that has the file.")
    return [Path(folder) for folder in spec.submodule_search_locations]


def _inside(shown: str, folder: Path, path: Path) -> Path:
    real = path.resolve()
    if not real.is_relative_to(folder.resolve()):
        raise Refused(f"{shown} is a link to a file outside its package and is not followed. Name that file itself.")
    return real


def _version(distribution: str, package: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        carriers = metadata.packages_distributions().get(package, [])
        return metadata.version(carriers[0]) if carriers else "unknown"
