"""What a source is called, and a warning when two sources get the same name."""

import logging
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Iterable
from urllib.parse import urlsplit

from dataset_assets.core import files
from dataset_assets.core.noted_sources import note_of
from dataset_assets.core.redact import redacted
from dataset_assets.retrieval.local import path_of
from dataset_assets.sources.kinds import stem

_WILD = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[*?\[\]{}]")
_ENDING = re.compile(r"^[-_./]*(\.\w+)*$")
"""What is no name: an ending alone."""

log = logging.getLogger(__name__)


def note_source(name: str, source: str) -> None:
    """Log a warning if `name` was made for a different source before, and note this one below the home."""
    path = note_of(name)
    try:
        before = path.read_text("utf-8") if path.is_file() else source
        files.make_folder(path.parent)
        handle, written = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(source)
        os.replace(written, path)
    except OSError:  # of a home that cannot be written, such as one that is read only
        return
    if before != source:
        log.warning(
            "%s was made from %s before, and is made from %s now. To keep both, give one a different name=.",
            name, before, source,
        )  # fmt: skip


def place_of(source: Any, streams: Iterable[str]) -> str:
    """Return where a source is; of one in memory, which has no place, its streams."""
    if isinstance(source, (list, tuple)) and source:
        source = source[0]
    if isinstance(source, (str, os.PathLike)):
        text = os.fsdecode(source)
        text = str(path_of(text)) if text.startswith("file:") else text
        return redacted(text) if "://" in text else str(Path(text).expanduser().absolute())
    return f"a source with the streams {', '.join(sorted(streams))}"


def called(source: Any) -> str:
    """Return what a source is called: the name of its file or folder, or what it is."""
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        if path.startswith("sql:"):
            return urlsplit(path).netloc
        path = path.partition("@")[0] if path.startswith("hf:") and path.count("/") < 6 else path
        parts = Path(urlsplit(path).path if "://" in path else path).parts
        # Of a pattern such as birds/**/*.csv, the folder.
        words = (_ENDING.sub("", _WILD.sub("", part)) for part in reversed(parts))
        return stem(next(filter(None, words), "data")) or "data"
    if isinstance(source, (list, tuple)) and source and isinstance(source[0], (str, os.PathLike)):
        return called(source[0])
    return "data"
