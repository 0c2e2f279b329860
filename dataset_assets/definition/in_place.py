"""The function of splits whose values stay where they are, as `dataset_from(..., copy=False)` writes it."""

from typing import Any, Mapping, NoReturn, Sequence

from dataset_assets.definition.dataset import Split


def objects_in_place(
    read: str, columns: Mapping[str, Mapping[str, Any]], objects: Sequence[Mapping[str, Any]]
) -> NoReturn:
    """Name the objects of a split, each as it was when it was looked at: its `url`, `bytes`, `etag` and `version`.

    `read` is their decoder, and `columns` says for each stream the column that it is read from. It is not called: a
    maker records the objects in the index of the split.
    """
    raise AssertionError("it is not called")


def is_in_place(defined: Split) -> bool:
    """Say whether the values of a split stay where they are."""
    return defined.function is objects_in_place
