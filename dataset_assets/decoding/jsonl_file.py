"""JSON lines: an object on each line."""

import json
from typing import Any, BinaryIO, Iterator

from dataset_assets.decoding.compressed import decompressed, name_of
from dataset_assets.errors import DecodeError


def json_lines(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Read a file of JSON lines, compressed or not, object by object. Blank lines are none.

    >>> import io
    >>> list(json_lines(io.BytesIO(b'{"text": "one"}\\n')))
    [{'text': 'one'}]
    """
    stream = decompressed(file)
    for number, line in enumerate(stream, 1):
        text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if not text:
            continue
        try:
            found = json.loads(text.decode())
        except (ValueError, RecursionError) as error:
            raise DecodeError(f"{name_of(file)} is not JSON on line {number}: {error}. Mend the line.") from error
        if not isinstance(found, dict):
            raise DecodeError(
                f"{name_of(file)} has a {type(found).__name__} on line {number}, not an object. Mend the line, or read "
                "the file with the module json."
            )
        yield found
