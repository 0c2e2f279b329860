"""A path that a caller passed."""

import os
from pathlib import Path

from dataset_assets.errors import UsageError


def given_path(given: object) -> Path:
    """Return a str or a Path that a caller passed as a Path. Raises `UsageError` for anything else.

    >>> given_path("a/b").name
    'b'
    """
    text = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if not isinstance(text, str) or "\0" in text:
        raise UsageError(f"{given!r:.80} is not a path. Pass a str or a Path.")
    return Path(text)
