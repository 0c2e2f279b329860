"""Keeps removals out of folders behind symbolic links."""

from typing import Iterable

from dataset_assets.errors import Refused
from dataset_assets.storage.connectors.local import LocalStorage
from dataset_assets.storage.storage import Storage


def see_no_link(store: Storage, keys: Iterable[str]) -> None:
    """Raise `Refused` for a key of a folder behind a symbolic link."""
    if not isinstance(store, LocalStorage):
        return
    for key in keys:
        if link := store.link_in(key):
            raise Refused(
                f"{link} is a symbolic link, and nothing is removed through a link. Put what it leads to in its place, "
                "or remove the link itself. Nothing more was removed."
            )
