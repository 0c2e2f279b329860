"""The names of shared datasets: `flower` is short for `shared.flower`, and `flower.tgz` is its archive of etcetera."""

import re

from dataset_assets.core.names import RESERVED, SHARED, check_dataset_name, cut_pin, is_qualified, split_pin
from dataset_assets.errors import NameNotAllowed


def full_name(name: str) -> str:
    """Return the qualified name of a dataset, with its `@digest` if it has one. Raises `NameNotAllowed`.

    >>> full_name("flower"), full_name("org.example.flower")
    ('shared.flower', 'org.example.flower')
    """
    plain, at, digest = cut_pin(name) if isinstance(name, str) else ("", "", "")
    qualified = plain if "." in plain.partition("[")[0] else f"{SHARED}.{plain}"
    try:
        whole = check_dataset_name(qualified)
    except NameNotAllowed as error:
        if "[" in qualified:
            raise
        if is_qualified(qualified):
            raise NameNotAllowed(f"{error.args[0]} For example: {_proposed(plain)}") from None
        raise NameNotAllowed(
            f"{str(name)[:80]!r} cannot be the name of a dataset. Write a word of a-z, 0-9 and single underscores, as "
            f"in {_proposed(name)}, or several joined by dots."
        ) from None
    if at:
        split_pin(f"{whole}@{digest}")
    return whole + at + digest


def _proposed(name: object) -> str:
    """Return a name that is allowed, of the words of another one."""
    words = "_".join(re.findall("[a-z0-9]+", str(name).lower()))[:100].strip("_") or "flower"
    return f"{words}_data" if words in RESERVED["last part of a dataset's name"] else words


def archive_key(name: str) -> str:
    """Return the key of a dataset's archive in a remote.

    >>> archive_key("shared.flower"), archive_key("org.example.flower")
    ('flower.tgz', 'org.example.flower.tgz')
    """
    return f"{name.removeprefix(f'{SHARED}.')}.tgz"


def archived(key: str) -> str | None:
    """Return the name of the dataset whose archive is at a key; None for any other key.

    >>> archived("flower.tgz")
    'shared.flower'
    """
    name = key.removesuffix(".tgz")
    try:
        return None if "/" in key or name == key else check_dataset_name(name if "." in name else f"{SHARED}.{name}")
    except NameNotAllowed:
        return None
