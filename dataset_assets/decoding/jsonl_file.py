"""Reads JSON lines: an object on each line."""

import functools
import json
import sys
from collections import Counter
from typing import Any, BinaryIO, Callable, Iterator

from dataset_assets.core.limits import limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.streams import name_of
from dataset_assets.errors import DecodeError

_PIECE = 1 << 16
SHALLOW = 50
"""The smallest value of the setting `max_json_depth`."""
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def json_lines(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Read a file of JSON lines, compressed or not, object by object. Blank lines are skipped.

    A key that an object has twice, at any depth, raises `DecodeError`: JSON does not say which value counts. So does a
    line of more than `max_line_bytes`, or one nested deeper than `max_json_depth`; both are settings.

    >>> import io
    >>> list(json_lines(io.BytesIO(b'{"text": "one"}\\n')))
    [{'text': 'one'}]
    """
    return read_lines(file, decompressed(file))


def read_lines(file: BinaryIO, stream: BinaryIO, first: int = 1) -> Iterator[dict[str, Any]]:
    """Read the lines of a stream, of which `first` is the number of the first one in the file that errors name."""
    flat, (nested, sizes), exact = json_reader(), counting_reader(), None
    for number, line in enumerate(bounded_lines(stream, first), first):
        data = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if not data:
            continue
        try:
            text = data.decode()
            # Python keeps the last value of a repeated key. Each key has a colon, so none is repeated if there are as
            # many keys as colons. Else a slower reader looks at each pair, from here on: other lines are like this one.
            if exact is not None:
                value, end = exact(text, 0)
            elif text.find("{", 1) < 0:
                value, end = flat(text, 0)
                keys = len(value) if isinstance(value, dict) else -1
            else:
                sizes.clear()
                value, end = nested(text, 0)
                keys = sum(sizes)
            if exact is None and text.count(":") != keys:
                exact = json_reader(object_pairs_hook=_once)
                value, end = exact(text, 0)
            if end < len(text):
                raise json.JSONDecodeError("Extra data", text, end)
        except RecursionError as error:
            raise _too_deep(file, f"nested too deep, or not JSON on line {number}") from error
        except StopIteration as error:
            wrong = json.JSONDecodeError("Expecting value", text, error.value)
            raise _not_json(file, number, data, wrong) from wrong
        except _Twice as error:
            what = f"{name_of(file)} has an object with the key {str(error)[:80]!r} twice on line {number}"
            raise DecodeError(f"{what}. Remove one of them.") from None
        except ValueError as error:
            raise _not_json(file, number, data, error) from error
        # Each level takes at least two bytes.
        if len(data) > 2 * SHALLOW and _opens_many(data) and _deeper(data, limits().max_json_depth):
            raise _too_deep(file, f"nested too deep on line {number}")
        if not isinstance(value, dict):
            raise DecodeError(
                f"{name_of(file)} has a {type(value).__name__} on line {number}, not an object. Correct the line, or "
                "read the file with the module json."
            )
        yield value


def _not_json(file: BinaryIO, number: int, data: bytes, error: Exception) -> DecodeError:
    what = f"{name_of(file)} is not JSON on line {number}: {error}."
    if data in (b"{", b"["):
        return DecodeError(f"{what} If the file is one value on several lines, read it with the module json.")
    return DecodeError(f"{what} Correct the line.")


class _Twice(Exception):
    """An object has this key twice."""


def json_reader(**hook: Any) -> Callable[[str, int], tuple[Any, int]]:
    """Return the function in C that reads JSON from a place in a text: the value, and where it ends."""
    read: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(**hook).scan_once  # type: ignore[attr-defined]
    return read


def counting_reader() -> tuple[Callable[[str, int], tuple[Any, int]], list[int]]:
    """Return a function that reads JSON, and the list to which it adds the number of keys of each object."""
    sizes: list[int] = []
    keep: Callable[[int], Any] = sizes.append
    return json_reader(object_hook=lambda value: keep(len(value)) or value), sizes


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _Twice(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))
    return value


def bounded_lines(stream: BinaryIO, first: int = 1) -> Iterator[bytes]:
    """Yield the lines of a file. Raises `DecodeError` for a line of more than `max_line_bytes`.

    `first` is the number of the first line in an error.

    >>> import io
    >>> list(bounded_lines(io.BytesIO(b"a\\nb")))
    [b'a\\n', b'b']
    """
    for number, line in enumerate(iter(functools.partial(stream.readline, _PIECE), b""), first):
        # Only a line as long as a piece may continue.
        yield line if len(line) < _PIECE or line.endswith(b"\n") else whole_line(stream, line, number)


def whole_line(stream: BinaryIO, begin: bytes, number: int) -> bytes:
    """Return a whole line, given its beginning."""
    most = limits().max_line_bytes
    line = begin + stream.readline(max(most + 1 - len(begin), 0))
    if len(line) > most:
        raise DecodeError(f"{name_of(stream)} has more than {most} bytes on line {number}. {remedy('max_line_bytes')}")
    return line


def _opens_many(text: bytes) -> bool:
    """Return whether a line has many brackets, also inside strings: a fast test before the exact one."""
    # `replace` is faster than `count`, which visits each byte.
    return 2 * len(text) - len(text.replace(b"[", b"", SHALLOW)) - len(text.replace(b"{", b"", SHALLOW)) > SHALLOW


def _deeper(text: bytes, most: int) -> bool:
    """Return whether a line of valid JSON is nested deeper than `most`."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(text.split(b'"')[::2]).translate(_ONE_KIND, _OTHERS)
    # Each round removes the innermost level.
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
