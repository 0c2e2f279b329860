"""Removes secrets from URLs and text, for messages, logs, metadata and manifests."""

import logging
import os
import re
from urllib.parse import parse_qsl, unquote, urlsplit

_SECRET_NAME = re.compile(
    r"(^|[-_.])(sig|key|pass|pwd|auth|jwt|sas)([-_.]|$)|token|signature|secret|passw|credential|session|authorization"
    r"|accesskey|apikey|api_key|^policy$",
    re.IGNORECASE,
)
_BEARER_NAME = re.compile(
    r"(^|[-_.])(sig|auth|jwt|sas|pwd)([-_.]|$)|token|signature|secret|passw|authorization|accesskey|apikey|api_key",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"KEY$|KEY_BASE64$|SECRET|TOKEN|SAS|PASSWORD")
_LOGIN = re.compile(r"(?<=://)[^/\s?#'\"]*@")
_LOGIN_IN_PATH = re.compile(r"^(/*)[^/]*:[^/]*@")
# The name of a folder, and a path below it, hold no secret, nor does a DOI.
_FOLDER = re.compile(r"folder:[a-z0-9_.]+(?:/[^@:?#]*)?|(?i:doi):10\.[0-9.]+/[^@?#\s]*")
_PAIR = re.compile(r"(?<=[?&;#])([^?&;#=\s'\"]+)=([^&;#\s'\"]+)")
_HEADER = re.compile(
    r"((?:proxy-)?authorization|(?:set-)?cookie|x-amz-security-token)(['\"]?\s*[:=,]\s*b?['\"]?)[^'\"\r\n]+",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"eyJ[\w-]+\.[\w.-]+|[A-Za-z0-9+/_=-]{40,}")


def redacted(url: str) -> str:
    """Return the URL without user, password, fragment and values that look like secrets.

    >>> redacted("https://ada:pw@example.org/train.gz?part=1&X-Amz-Signature=91bd#top")
    'https://example.org/train.gz?part=1&X-Amz-Signature=***'
    """
    try:
        parts = urlsplit(url)
        # An unescaped '/' in a password ends the host early; then the port is not a number, so nothing is shown.
        _ = parts.port
    except ValueError:
        return f"{printable(url.partition(':')[0])[:20]}://***"
    if parts.scheme in ("file", "sqlite") and has_login(parts.path):
        return f"{parts.scheme}://***"
    if parts.scheme == "sql":
        # A file of a database is identified by its query, which is shown whole: two queries are two files.
        query = re.sub(r"([^&=]+)=([^&]*)", lambda pair: pair[0] if _is_query(pair) else f"{pair[1]}=***", parts.query)
    else:
        query = re.sub(r"([^&;=]+)=([^&;]+)", _without_secret, parts.query)
    if not parts.netloc and parts.scheme not in ("", "file"):
        if url[len(parts.scheme) :].startswith(":///"):
            # Joined by hand, because urllib drops the slashes of a scheme that it does not know.
            return printable(f"{parts.scheme}://{parts.path}{'?' if query else ''}{query}")
        if _FOLDER.fullmatch(url):
            return printable(url)
        # `ada:pw@host/file`, a URL without its scheme, is parsed as one with the scheme `ada`.
        return f"{printable(parts.scheme)}:***"
    host = parts.netloc.rpartition("@")[2]
    return printable(parts._replace(netloc=host, query=query, fragment="").geturl())


def has_login(path: str) -> bool:
    """Return True if the path of a URL begins with `user:password@`, as it does where a slash is too many.

    >>> has_login("/ada:pw@example.org/data"), has_login("/data/at@home")
    (True, False)
    """
    return bool(_LOGIN_IN_PATH.match(path))


def has_secret(url: str) -> bool:
    """Return True if a URL has a password, token or signature that lets any reader act as its user.

    >>> has_secret("http://ada:pw@example.org/a"), has_secret("http://example.org/a?key=b")
    (True, False)
    """
    parts = urlsplit(url)
    return bool(parts.password) or any(_BEARER_NAME.search(name) for name, _ in parse_qsl(parts.query))


def redacted_text(text: str) -> str:
    """Return text, such as a log line, without logins, tokens and secret values of environment variables.

    >>> redacted_text('http://h:80 "GET /a?part=1&sig=c0ffee HTTP/1.1" 200')
    'http://h:80 "GET /a?part=1&sig=*** HTTP/1.1" 200'
    """
    text = _PAIR.sub(_without_secret, _LOGIN.sub("", text))
    text = _HEADER.sub(r"\1\2***", text)
    for name, value in os.environ.items():
        if len(value) > 5 and _VARIABLE.search(name):
            text = text.replace(value, "***")
    return text


class Redacting(logging.Filter):
    """Removes secrets from the records of a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted_text(record.getMessage()), None
        return True


class RedactingFormatter(logging.Formatter):
    """Removes secrets from every log line, including tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted_text(super().format(record))


_CHATTY = (
    "urllib3.connection", "urllib3.connectionpool", "urllib3.poolmanager", "urllib3.response", "urllib3.util.retry",
    "requests",
)  # fmt: skip
_FILTER = Redacting()


def redact_logs_of_http() -> None:
    """Remove secrets from the logs of urllib3 and requests, which contain whole URLs."""
    for name in _CHATTY:
        logging.getLogger(name).addFilter(_FILTER)


def _is_query(pair: re.Match[str]) -> bool:
    return unquote(pair[1]) in ("query", "parameters")


def _without_secret(pair: re.Match[str]) -> str:
    name, value = unquote(pair[1]), unquote(pair[2])
    hidden = _SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value)
    return f"{pair[1]}=***" if hidden else pair[0]


def printable(text: str) -> str:
    """Return the text with "?" for each unprintable character, so that it cannot control a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
