"""Content codings: which labels count, and whether the coded bytes are the file itself.

Many servers label a stored `.gz` file as gzip-coded, and the published digest is that of the `.gz` file. A declared
digest decides; without one, the names and the media type of the file do.
"""

import re
from collections.abc import Iterator
from email.message import Message
from urllib.parse import parse_qsl, unquote

import requests

from dataset_assets.retrieval.retriever import split_url

_GZIP = ((".gz", ".tgz", ".taz", ".svgz"), ("gzip", "x-gzip", "x-tgz", "tar+gzip"))
_BZIP2 = ((".bz2", ".tbz2", ".tbz"), ("bzip2", "x-bzip2", "x-bzip"))
_COMPRESS = ((".z",), ("x-compress",))
_XZ = ((".xz", ".txz"), ("x-xz",))
_NONE: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
_CODINGS = {
    "gzip": _GZIP, "x-gzip": _GZIP, "br": ((".br",), ("x-br",)), "zstd": ((".zst", ".tzst"), ("zstd", "x-zstd")),
    "bzip2": _BZIP2, "x-bzip2": _BZIP2, "compress": _COMPRESS, "x-compress": _COMPRESS, "xz": _XZ, "x-xz": _XZ,
    "deflate": _NONE, "dcb": _NONE, "dcz": _NONE, "exi": _NONE, "aes128gcm": _NONE, "pack200-gzip": _NONE,
}  # fmt: skip
"""For each coding, the suffixes and media types of files that are stored so coded."""


def coding_of(response: requests.Response) -> str:
    """Return the Content-Encoding, or "" without one.

    Labels that name no coding, such as `utf-8`, `none` or `aws-chunked`, count as none: the bytes are as they are.
    """
    stated = (part.strip().lower() for part in response.headers.get("Content-Encoding", "").split(","))
    return ", ".join(part for part in stated if part in _CODINGS)


def is_gzip(coding: str) -> bool:
    """Return True for the coding that can be removed."""
    return coding in ("gzip", "x-gzip")


def names_coded(response: requests.Response, url: str, name: str) -> bool:
    """Return True if a name or the media type says that the file is stored in the coding of its response.

    The names are `name`, those in the URL as asked and as redirected, and that in Content-Disposition.
    """
    suffixes, types = _CODINGS.get(coding_of(response), _NONE)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type.removeprefix("application/") in types:
        return True
    names = [name, *_names_in(url), *_names_in(response.url), _attachment(response)]
    return any(one.lower().endswith(suffixes) for one in names)


def _names_in(url: str) -> Iterator[str]:
    parts = split_url(url)
    yield unquote(parts.path)
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        yield value or key


def _attachment(response: requests.Response) -> str:
    header = Message()
    header["Content-Disposition"] = re.sub(r"[\r\n]", "", response.headers.get("Content-Disposition", ""))
    return header.get_filename() or ""
