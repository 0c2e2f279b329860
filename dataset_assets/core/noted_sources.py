"""Where a dataset was made from whose name `dataset_from` chose: a note below the home, for messages."""

from pathlib import Path

from dataset_assets.core.settings import settings


def note_of(name: str) -> Path:
    """Return the file that says what the dataset of this name was made from."""
    return settings().home / "source_names" / name


def how_to_make_again(name: str) -> str:
    """Return how to make a dataset that has no definition but this note; "" without one."""
    try:
        source = note_of(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    if source.startswith("a source "):
        return f" It was made from {source}: call prepare(dataset_from(...)) as before."
    return f" It was made in Python: prepare(dataset_from({source!r})), with the arguments that you gave."
