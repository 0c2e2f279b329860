"""Croissant files as sources: the tables that one describes, with their digests, in its own splits.

The format: https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

import os
import posixpath
import re
from pathlib import Path
from typing import Any, Mapping
from urllib.parse import unquote, urljoin, urlsplit

from dataset_assets.core.documents import UNFIT, parsed
from dataset_assets.core.names import identifier_from
from dataset_assets.core.patterns import matcher
from dataset_assets.core.redact import redacted
from dataset_assets.core.scratch import scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.decoding.members import leads_out, normalised
from dataset_assets.definition.plain_splits import is_junk
from dataset_assets.errors import Refused, UsageError, nearest
from dataset_assets.retrieval import fetch_first
from dataset_assets.retrieval.listed import Listed
from dataset_assets.retrieval.zones import zone_of_host
from dataset_assets.sources.archives import is_archive
from dataset_assets.sources.folders import by_split
from dataset_assets.sources.inside_archives import members, place_inside

_REMOTE = ("http", "https", "s3", "gs", "az", "hf")
_HUB = re.compile(r"https?://[^/]+/datasets/(?P<name>[^/]+/[^/]+)(/tree/(?P<revision>[^/]+))?/?")


def croissant_of(source: Any) -> tuple[dict[str, Any], str] | None:
    """Return the document of a Croissant file and its URL; None if a source is something else."""
    text = os.fsdecode(source) if isinstance(source, (str, os.PathLike)) else ""
    if urlsplit(text).scheme in _REMOTE:
        if "croissant" not in urlsplit(text).path.rpartition("/")[2]:
            return None
        with scratch_folder(settings().scratch) as folder:
            fetch_first([text], path := folder / "croissant.json")
            return _document(path, text), text
    path = Path(text).expanduser().absolute()
    if path.suffix.lower() not in (".json", ".jsonld") or not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(1 << 16)
    return (_document(path, text), path.as_uri()) if b"recordSet" in head and b"croissant" in head else None


def tables_of(document: Mapping[str, Any], url: str, config: str | None) -> dict[str, list[Listed]]:
    """Return the files of each split of a Croissant file: those of its record sets.

    Record sets with the same fields are splits; of others, `config` names one. Raises `UsageError`.
    """
    try:
        distribution = {one["@id"]: one for one in document["distribution"]}
        known = {}
        for one in document.get("recordSet", []):
            used = {_file(field["source"]) for field in one.get("field", []) if "source" in field}
            if used and "data" not in one:
                names = [field["name"].rpartition("/")[2] for field in one["field"]]
                known[str(one.get("name") or one["@id"])] = (names, sorted(used - {None}))
        chosen = _chosen(known, config)
        found = {name: [f for one in known[name][1] for f in _files(distribution, one, url)] for name in chosen}
    except UNFIT as error:
        if isinstance(error, (UsageError, Refused)):
            raise
        raise UsageError(f"{redacted(url)} is not as the format Croissant says: {error!r:.200}.") from error
    if len(found) > 1:
        return {identifier_from(name, "split"): files for name, files in found.items()}
    (files,) = found.values()
    by_path: dict[str, list[Listed]] = {}  # several archives may have files of one path
    for one in files:
        by_path.setdefault(one.path, []).append(one)
    return {split: [one for path in paths for one in by_path[path]] for split, paths in by_split([*by_path]).items()}


def _document(path: Path, shown: str) -> dict[str, Any]:
    try:
        value = parsed(path.read_bytes(), None)
    except ValueError as error:
        raise UsageError(f"{redacted(shown)} is not JSON: {error}.") from error
    if not isinstance(value, dict) or "distribution" not in value:
        raise UsageError(f"{redacted(shown)} has no distribution, so it is no Croissant file.")
    return value


def _file(source: Mapping[str, Any]) -> Any:
    found = source.get("fileObject") or source.get("fileSet") or source.get("distribution") or {}
    return found.get("@id") if isinstance(found, Mapping) else found


def _chosen(known: Mapping[str, Any], config: str | None) -> list[str]:
    if config is not None and config not in known:
        raise UsageError(f"The Croissant file has no record set {config!r}.{nearest(config, known)}")
    if not known:
        raise UsageError("The Croissant file has no record set with fields of files. Name the files themselves.")
    if config is None and any(names != next(iter(known.values()))[0] for names, _ in known.values()):
        raise UsageError(
            f"The Croissant file has several record sets. Choose one: config={' or '.join(map(repr, known))}."
        )
    return [*known] if config is None else [config]


def _files(distribution: Mapping[str, Any], identifier: str, url: str) -> list[Listed]:
    """Return the file of a FileObject, or the files of a FileSet."""
    one = distribution[identifier]
    if "includes" in one:
        return _of_archive(distribution, one, url) or _of_hub(distribution, one)
    if "containedIn" in one:
        archive, path = _archive(distribution, one, url), normalised(str(one["contentUrl"]))
        if archive is None or leads_out(path):
            raise UsageError(
                f"{identifier!r:.200} is inside of something that is no archive. Name the files themselves."
            )
        return [_inside(archive, path)]
    place, digest = _place(str(one["contentUrl"]), url), one.get("sha256")
    if digest is not None and not re.fullmatch("[0-9a-fA-F]{64}", str(digest)):
        raise UsageError(f"{identifier!r:.200} has a sha256 that is none: {digest!r:.80}.")
    size = re.match(r"\d+(?= ?B?$)", str(one.get("contentSize", "")))
    path = unquote(urlsplit(place).path).rpartition("/")[2]
    return [
        Listed(str(identifier) if "/" in str(identifier) else path, place, int(size[0]) if size else -1, None, digest)
    ]


def _place(content: str, url: str) -> str:
    """Return the URL of a file that a Croissant file names, by a URL or by a path from its own folder."""
    scheme, document = urlsplit(content).scheme, urlsplit(url)
    if not scheme:
        joined = (
            urljoin(url, content)
            if document.scheme in ("http", "https", "file")
            else f"{url.rpartition('/')[0]}/{content}"
        )
        if document.scheme not in (*_REMOTE, "file") or _leaves(content) or not _is_below(joined, url):
            raise Refused(f"{redacted(url)} names the file {content!r:.200}, which does not lie below its folder.")
        return joined
    if scheme not in _REMOTE:
        raise Refused(f"{redacted(url)} names {redacted(content)}. Only {', '.join(_REMOTE)} are read from there.")
    if scheme in ("http", "https") and document.scheme in ("http", "https"):
        near, here = zone_of_host(urlsplit(content).hostname or ""), zone_of_host(document.hostname or "")
        if near > here and not settings().intranet:
            raise Refused(f"{redacted(url)} names {redacted(content)}, which is nearer to this machine than itself.")
    return content


def _leaves(content: str) -> bool:
    """Return True if a relative URL may lead out of its folder, as it is or after its characters are unquoted."""
    path = unquote(content)
    return path.startswith("/") or ".." in path.split("/") or bool(re.search(r"[\\\x00-\x1f\x7f]", path))


def _is_below(place: str, url: str) -> bool:
    inside, document = urlsplit(place), urlsplit(url)
    folder = posixpath.dirname(unquote(document.path)).rstrip("/")
    path = posixpath.normpath(unquote(inside.path))
    if inside[:2] != document[:2] or not path.startswith(f"{folder}/"):
        return False
    # A link may lead out of the folder, which somebody else may have made.
    return document.scheme != "file" or os.path.realpath(path).startswith(f"{os.path.realpath(folder)}/")


def _archive(distribution: Mapping[str, Any], one: Mapping[str, Any], url: str) -> Listed | None:
    """Return the archive that a file or a set of files is contained in; None if it is something else."""
    inside = _first(one.get("containedIn") or {})
    container = distribution[inside if isinstance(inside, str) else inside["@id"]]
    if not is_archive(urlsplit(str(container.get("contentUrl", ""))).path):
        return None
    return _files(distribution, container["@id"], url)[0]


def _inside(archive: Listed, path: str) -> Listed:
    """Return a file of an archive; what is stated is of the archive."""
    return archive._replace(path=path, url=place_inside(archive.url, path))


def _of_archive(distribution: Mapping[str, Any], one: Mapping[str, Any], url: str) -> list[Listed] | None:
    """Return the files of a FileSet in an archive, which is retrieved to list them; None for one that is not in one."""
    if (archive := _archive(distribution, one, url)) is None:
        return None
    with scratch_folder(settings().scratch) as folder:
        fetch_first([archive.url], path := folder / "archive")
        found = [name for name in members(path) if not is_junk(name)]
    chosen = [_inside(archive, name) for name in found if any(each.fullmatch(name) for each in _patterns(one))]
    if not chosen:
        raise UsageError(f"{one['@id']!r:.200} includes no file of {redacted(archive.url)}.")
    return chosen


def _patterns(one: Mapping[str, Any]) -> list[Any]:
    includes = one["includes"] if isinstance(one["includes"], list) else [one["includes"]]
    return [matcher(str(pattern)) for pattern in includes]


def _of_hub(distribution: Mapping[str, Any], one: Mapping[str, Any]) -> list[Listed]:
    """Return the files of a FileSet in a repository of the Hugging Face Hub."""
    inside = one.get("containedIn") or {}
    container = distribution[_first(inside)["@id"] if not isinstance(inside, str) else inside]
    found = _HUB.fullmatch(str(container.get("contentUrl", "")))
    if found is None:
        raise UsageError(
            f"{one['@id']!r:.200} is a set of files that is not in a repository of the Hugging Face Hub. Name the "
            "files or the archive themselves."
        )
    from dataset_assets.retrieval.hub import files_below, pinned
    from dataset_assets.retrieval.hub_address import HubAddress

    address = pinned(HubAddress(found["name"], unquote(found["revision"] or "main"), ""))
    known = _patterns(one)
    chosen = [file for file in files_below(address) if any(pattern.fullmatch(file.path) for pattern in known)]
    if not chosen:
        raise UsageError(f"{one['@id']!r:.200} includes no file of {address.repository}.")
    return chosen


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value
