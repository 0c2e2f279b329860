"""Reads plain text: by lines, by paragraphs, or as a whole."""

import io
from typing import BinaryIO, Callable, Iterator, Literal

from dataset_assets.core.limits import limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.streams import check_encoding, check_file, name_of
from dataset_assets.errors import DecodeError, UsageError
from dataset_assets.formats.columns import Columns

BLOCK = 1024
"""The most texts of a block."""
_WAYS = ("line", "paragraph", "file")


def text(
    file: BinaryIO,
    *,
    by: Literal["line", "paragraph", "file"] = "line",
    name: str = "text",
    encoding: str = "utf-8-sig",
) -> Iterator[Columns]:
    r"""Read a text, compressed or not, in blocks with its lines, its paragraphs, or all of it as the column `name`.

    A line ends in `\n` or `\r\n`, which is left out; empty lines count. Paragraphs have one or more empty lines between
    them. Raises `DecodeError` for what is not text in this encoding, and for a text of more than `max_line_bytes`
    characters, or of a whole file of more than `max_value_bytes`; both are settings.

    >>> [list(block["text"]) for block in text(io.BytesIO(b"one\ntwo\n"))]
    [['one', 'two']]
    """
    check_file(file)
    check_encoding(encoding)
    if by not in _WAYS:
        raise UsageError(f"by={by!r} is not known. Use 'line', 'paragraph' or 'file'.")
    file.seek(0)
    read = {"line": _lines, "paragraph": _paragraphs, "file": _whole}[by]
    block: list[str] = []
    held = 0
    for one in read(_Characters(file, encoding), name_of(file)):
        block.append(one)
        held += len(one)
        if len(block) == BLOCK or held > io.DEFAULT_BUFFER_SIZE << 8:
            yield Columns({name: block})
            block, held = [], 0
    if block:
        yield Columns({name: block})


class _Characters(io.TextIOWrapper):
    """The characters of a file, which stays open when this is closed or collected."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        super().__init__(decompressed(file), encoding, newline="\n")

    def close(self) -> None:
        """Close nothing: the file is the caller's."""


def _lines(stream: io.TextIOBase, name: str) -> Iterator[str]:
    most, number = limits().max_line_bytes, 0
    while line := _decoded(lambda: stream.readline(most + 1), name, number + 1):
        number += 1
        if len(line) > most:
            raise DecodeError(f"{name} has more than {most} characters on line {number}. {remedy('max_line_bytes')}")
        yield line[:-1].removesuffix("\r") if line[-1] == "\n" else line


def _paragraphs(stream: io.TextIOBase, name: str) -> Iterator[str]:
    most, held, size = limits().max_line_bytes, list[str](), 0
    for line in _lines(stream, name):
        if line.strip():
            held.append(line)
            size += len(line)
            if size > most:
                raise DecodeError(f"{name} has a paragraph of more than {most} characters. {remedy('max_line_bytes')}")
        elif held:
            yield "\n".join(held)
            held, size = [], 0
    if held:
        yield "\n".join(held)


def _whole(stream: io.TextIOBase, name: str) -> Iterator[str]:
    most = limits().max_value_bytes
    found = _decoded(lambda: stream.read(most + 1), name, 0)
    if len(found) > most:
        raise DecodeError(f"{name} has more than {most} characters. {remedy('max_value_bytes')}")
    yield found


def _decoded(read: Callable[[], str], name: str, line: int) -> str:
    try:
        return read()
    except UnicodeError as error:
        where = f" on line {line} or soon after" if line else ""
        raise DecodeError(
            f"{name} is not text in this encoding{where}: {error}. Pass encoding=, or read it as bytes."
        ) from error
