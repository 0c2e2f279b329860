"""Checks of a file in a definition: its identifier, digest and URL."""

import re
from pathlib import PurePath
from urllib.parse import SplitResult, urlsplit

from dataset_assets.core.names import file_identifier
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


def check_digest(digest: str) -> str:
    """Return a digest such as `sha256:...` in lower case. Raises `DefinitionError` if it is not one."""
    algorithm, _, value = digest.partition(":")
    value = value.lower()
    if algorithm not in DIGEST_LENGTHS or not re.fullmatch(f"[0-9a-f]{{{DIGEST_LENGTHS[algorithm]}}}", value):
        raise DefinitionError(
            f"{digest[:90]!r} is not a digest. Write the algorithm before the digest that the publisher states: "
            f"sha256:<64 hex digits> (or {', '.join(sorted(DIGEST_LENGTHS.keys() - {'sha256'}))})."
        )
    return f"{algorithm}:{value}"


def check_text(url: object) -> None:
    """Raise `DefinitionError` for a URL or a name that is not a text, such as a path."""
    if not isinstance(url, str):
        hint = "Write it as a URL: path.absolute().as_uri()" if isinstance(url, PurePath) else "Write it as a text"
        raise DefinitionError(f"{url!r} is not a URL or a name. {hint}.")


def check_url(url: str, digest: str | None) -> None:
    """Raise `DefinitionError` if this is not a URL, or is plain http without a digest."""
    try:
        parts = urlsplit(url)
        loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    except (ValueError, AttributeError, TypeError):
        raise DefinitionError("The URL of a file is not valid. Correct its host.") from None
    if not parts.scheme:
        raise DefinitionError(f"{url!r} is not a URL. Write https://..., or give mirrors= of the file.")
    if parts.scheme == "http" and not loopback and digest is None:
        raise DefinitionError(
            f"{without_secrets(parts)} is plain http, so others can change it. Use https, or state a digest."
        )


def without_secrets(url: SplitResult) -> str:
    """Return a URL without user, password, query and fragment."""
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()
