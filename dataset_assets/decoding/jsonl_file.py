"""JSON lines: an object on each line."""

import functools
import json
import sys
from typing import Any, BinaryIO, Iterator

from dataset_assets.core.limits import limits, remedy
from dataset_assets.decoding.compressed import decompressed, name_of
from dataset_assets.errors import DecodeError

_PIECE = 1 << 16
_SHALLOW = 50
"""The setting `max_json_depth` cannot be lower."""
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def json_lines(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Read a file of JSON lines, compressed or not, object by object. Blank lines are none.

    A line of more than `max_line_bytes`, or one nested deeper than `max_json_depth`, is a `DecodeError`; both are
    settings.

    >>> import io
    >>> list(json_lines(io.BytesIO(b'{"text": "one"}\\n')))
    [{'text': 'one'}]
    """
    # What json.loads calls in the end; there is no space around a line that is stripped.
    read = json.JSONDecoder().raw_decode
    for number, line in enumerate(bounded_lines(decompressed(file)), 1):
        data = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if not data:
            continue
        try:
            text = data.decode()
            found, end = read(text)
            if end < len(text):
                raise json.JSONDecodeError("Extra data", text, end)
        except RecursionError as error:
            raise _too_deep(file, f"nested too deep, or not JSON on line {number}") from error
        except ValueError as error:
            raise DecodeError(f"{name_of(file)} is not JSON on line {number}: {error}. Mend the line.") from error
        # Two bytes a level at least.
        if len(data) > 2 * _SHALLOW and _opens_many(data) and _deeper(data, limits().max_json_depth):
            raise _too_deep(file, f"nested too deep on line {number}")
        if not isinstance(found, dict):
            raise DecodeError(
                f"{name_of(file)} has a {type(found).__name__} on line {number}, not an object. Mend the line, or read "
                "the file with the module json."
            )
        yield found


def bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, none of which may have more than `max_line_bytes`.

    >>> import io
    >>> list(bounded_lines(io.BytesIO(b"a\\nb")))
    [b'a\\n', b'b']
    """
    for number, line in enumerate(iter(functools.partial(stream.readline, _PIECE), b""), 1):
        # Only lines as long as a piece are looked at.
        yield line if len(line) < _PIECE or line.endswith(b"\n") else _whole(stream, line, number)


def _whole(stream: BinaryIO, begin: bytes, number: int) -> bytes:
    """Return a line that goes on after its beginning."""
    most = limits().max_line_bytes
    line = begin + stream.readline(most + 1 - len(begin))
    if len(line) > most:
        raise DecodeError(f"{name_of(stream)} has more than {most} bytes on line {number}. {remedy('max_line_bytes')}")
    return line


def _opens_many(text: bytes) -> bool:
    """Say quickly whether a line has enough brackets to be nested deep; those in its strings count as well."""
    # `count` looks at each byte, `replace` is quick about those between.
    return 2 * len(text) - len(text.replace(b"[", b"", _SHALLOW)) - len(text.replace(b"{", b"", _SHALLOW)) > _SHALLOW


def _deeper(text: bytes, most: int) -> bool:
    """Say whether lists and objects are nested deeper in a line that is JSON."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(text.split(b'"')[::2]).translate(_ONE_KIND, _OTHERS)
    # Each turn takes away the innermost level.
    for left in range(most, 0, -1):
        if len(brackets) <= 2 * left:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _too_deep(file: BinaryIO, what: str) -> DecodeError:
    return DecodeError(
        f"{name_of(file)} is {what}. Python reads no deeper than its own limit, {sys.getrecursionlimit()}. "
        f"{remedy('max_json_depth')}"
    )
