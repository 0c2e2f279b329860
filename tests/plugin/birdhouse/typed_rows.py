"""A decoder: rows of CSV with numbers as numbers, and None for what is empty."""

from typing import Any, BinaryIO, Iterator

from dataset_assets.decoding import csv_rows


def typed_rows(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a mapping per row.

    >>> import io
    >>> list(typed_rows(io.BytesIO(b"name,grams,note\\nrobin,18.5,\\n")))
    [{'name': 'robin', 'grams': 18.5, 'note': None}]
    """
    for row in csv_rows(file):
        yield {name: _typed(text) for name, text in row.items()}


def _typed(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text or None
