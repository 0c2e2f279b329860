"""Values as markdown in which what they hold is shown, never interpreted; none is longer than it may be."""

import re
from typing import Any, Mapping, Sequence

import numpy as np

LONGEST_CELL = 120
SHOWN_VALUES = 8
# What begins or ends something in markdown, and what begins an address that would be made a link.
_SPECIAL = re.compile(r"[\\`*_{}\[\]()<>#+!|~$&^=-]")
_ADDRESS = re.compile(r"(?i)(https?:|ftp:|www|@)")
_BREAK = "\N{ZERO WIDTH SPACE}"
# The same in prose, where most punctuation means nothing; and what means something at the beginning of a paragraph.
# A bracket means something only where it closes the text of a link, or the name of its definition.
_SPECIAL_IN_PROSE = re.compile(r"[\\`*<|~&]|\](?=\s?[(\[:])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BEGINNING = re.compile(r"^(\d{0,9})([#>+=.)-])")
_PLAIN_URL = re.compile(r"https?://[\w.~:/?#@!$&+,;=%-]+")


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table of plain values."""
    lines = [names, *rows]
    head, *body = ("| " + " | ".join(map(cell, line)) + " |" for line in lines)
    return "\n".join([head, "|" + "---|" * len(names), *body])


def cell(value: Any) -> str:
    """Return a value as the text of a cell."""
    return escaped(worded(value))


def escaped(text: str) -> str:
    """Return a text that is shown as it is: on one line, cut if it is long."""
    text = " ".join(text[: 4 * LONGEST_CELL].split())
    text = text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 3] + "..."
    return _ADDRESS.sub(rf"\1{_BREAK}", _SPECIAL.sub(_entity, _visible(text)))


def prose(text: str) -> str:
    """Return an author's text, of several paragraphs, that is shown as it is."""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return "\n\n".join(_paragraph(part) for part in paragraphs if part)


def address(url: str) -> str:
    """Return a URL that is a link if it holds nothing but what URLs are made of; else as text."""
    return url if _PLAIN_URL.fullmatch(url) else prose(url)


def _paragraph(text: str) -> str:
    text = _SPECIAL_IN_PROSE.sub(_entity, _visible(text))
    text = _BEGINNING.sub(lambda found: f"{found[1]}&#{ord(found[2])};", text)
    return _ADDRESS.sub(rf"\1{_BREAK}", text)


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"


def _visible(text: str) -> str:
    """Replace what cannot be written as UTF-8, and what does not show or turns the direction of writing."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def worded(value: Any) -> str:
    """Return a value in a few words; of a long one only the beginning is looked at."""
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = memoryview(value).cast("B")
        return f"{len(data):,} bytes {bytes(data[:16]).hex(' ')}{' ...' if len(data) > 16 else ''}"
    if isinstance(value, str):
        return value[: 4 * LONGEST_CELL]
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {worded(item)}" for name, item in [*value.items()][:SHOWN_VALUES])
    if isinstance(value, (list, tuple)):
        more = ", ..." if len(value) > SHOWN_VALUES else ""
        return f"[{', '.join(worded(item) for item in value[:SHOWN_VALUES])}{more}]"
    return str(value)


def _array(value: "np.ndarray[Any, Any]") -> str:
    if value.size <= SHOWN_VALUES:
        return str(value.tolist())
    text = f"{value.dtype} {'x'.join(map(str, value.shape))}"
    return f"{text}, {value.min()} to {value.max()}" if value.dtype.kind in "biufmM" else text
