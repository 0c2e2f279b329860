"""URLs as they may be shown: in messages, logs, metadata and indexes."""

import re
from urllib.parse import unquote, urlsplit

_SECRET_NAME = re.compile(
    r"(^|[-_.])(sig|key|pass|pwd|auth|jwt|sas)([-_.]|$)|token|signature|secret|passw|credential|session|authorization"
    r"|accesskey|apikey|api_key|^policy$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"eyJ[\w-]+\.[\w.-]+|[A-Za-z0-9+/_=-]{40,}")


def redacted(url: str) -> str:
    """Return the URL as it may be shown: without user, password, fragment and values that look like secrets.

    >>> redacted("https://ada:pw@example.org/train.gz?part=1&X-Amz-Signature=91bd#top")
    'https://example.org/train.gz?part=1&X-Amz-Signature=***'
    """
    try:
        parts = urlsplit(url)
        # A password with an unescaped '/' ends the host early; then the port is not a number and nothing is shown.
        _ = parts.port
    except ValueError:
        return f"{printable(url.partition(':')[0])[:20]}://***"
    query = re.sub(r"([^&;=]+)=([^&;]+)", _without_secret, parts.query)
    if not parts.netloc and parts.scheme not in ("", "file"):
        if url[len(parts.scheme) :].startswith(":///"):
            # Put together here, because urllib drops the slashes of a scheme that it does not know.
            return printable(f"{parts.scheme}://{parts.path}{'?' if query else ''}{query}")
        # `ada:pw@host/file`, where somebody forgot the scheme, is read as one of scheme `ada`.
        return f"{printable(parts.scheme)}:***"
    host = parts.netloc.rpartition("@")[2]
    return printable(parts._replace(netloc=host, query=query, fragment="").geturl())


def _without_secret(pair: re.Match[str]) -> str:
    name, value = unquote(pair[1]), unquote(pair[2])
    hidden = _SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value)
    return f"{pair[1]}=***" if hidden else pair[0]


def printable(text: str) -> str:
    """Return the text without what would steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
