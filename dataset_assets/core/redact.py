"""URLs as they may be shown: in messages, logs, metadata and indexes."""

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
_PAIR = re.compile(r"(?<=[?&;#])([^?&;#=\s'\"]+)=([^&;#\s'\"]+)")
_HEADER = re.compile(
    r"((?:proxy-)?authorization|(?:set-)?cookie|x-amz-security-token)(['\"]?\s*[:=,]\s*b?['\"]?)[^'\"\r\n]+",
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


def has_secret(url: str) -> bool:
    """Say whether whoever reads a URL could act for its user: it has a password, a token or a signature.

    >>> has_secret("http://ada:pw@example.org/a"), has_secret("http://example.org/a?key=b")
    (True, False)
    """
    parts = urlsplit(url)
    return bool(parts.password) or any(_BEARER_NAME.search(name) for name, _ in parse_qsl(parts.query))


def redacted_text(text: str) -> str:
    """Return a text, such as a line of a log, without logins, tokens and the secrets of the environment.

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
    """Takes secrets out of the records of a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted_text(record.getMessage()), None
        return True


class RedactingFormatter(logging.Formatter):
    """Takes secrets out of each line of a log, those of tracebacks too."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted_text(super().format(record))


_CHATTY = (
    "urllib3.connection", "urllib3.connectionpool", "urllib3.poolmanager", "urllib3.response", "urllib3.util.retry",
    "requests",
)  # fmt: skip
_FILTER = Redacting()


def redact_logs_of_http() -> None:
    """Have what urllib3 logs of a request, which is all of its URL, written without secrets."""
    for name in _CHATTY:
        logging.getLogger(name).addFilter(_FILTER)


def _without_secret(pair: re.Match[str]) -> str:
    name, value = unquote(pair[1]), unquote(pair[2])
    hidden = _SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value)
    return f"{pair[1]}=***" if hidden else pair[0]


def printable(text: str) -> str:
    """Return the text without what would steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
