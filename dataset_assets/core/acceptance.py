"""The terms that the user accepted: a file for each text, in the user's configuration folder.

A file holds the text as it was shown. Its name is a digest of the dataset's name and of the words, so a changed text is
not accepted yet, and two processes that accept at once do not lose each other's answer.
"""

import os
from pathlib import Path

from dataset_assets.core import files, trust
from dataset_assets.core.canonical import sha256_hex


def is_accepted(dataset: str, terms: str) -> bool:
    """Say whether the user accepted these terms of a dataset."""
    try:
        return _place(dataset, terms).stat().st_uid == os.geteuid()
    except OSError:
        return False


def accept(dataset: str, terms: str) -> None:
    """Remember that the user accepted these terms of a dataset. Raises `StorageError` if that cannot be written."""
    path = _place(dataset, terms)
    files.make_folder(path.parent)
    with files.whole(path) as file:
        file.write(f"{dataset}\n\n{terms}\n".encode("utf-8", "backslashreplace"))


def _place(dataset: str, terms: str) -> Path:
    # White space is not counted: a definition may be indented anew.
    words = " ".join(terms.split()).encode("utf-8", "backslashreplace")
    return trust.user_folder() / "terms" / f"{sha256_hex(dataset.encode() + b' ' + words)}.txt"
