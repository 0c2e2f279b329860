"""The limits of decoding: what one file may take of the memory and the disk, however few bytes it has."""

import functools
import os
import time
from typing import NamedTuple

from dataset_assets.core.settings import ENVIRONMENT, settings

SMALL = 1 << 20
"""No value of so few bytes is too large: the setting `max_value_bytes` cannot be lower."""
FEW = 100
"""No table of so few columns is too wide: the setting `max_columns` cannot be lower."""


class Limits(NamedTuple):
    """The settings that bound what is decoded, under their names."""

    max_line_bytes: int
    max_columns: int
    max_json_depth: int
    max_value_bytes: int
    max_decoded_bytes: int


def limits() -> Limits:
    """Return the limits that hold now. They are cheap to ask: a settings file that changes is seen within a second."""
    return _limits(tuple(map(os.environ.get, _VARIABLES)), os.getcwd(), int(time.monotonic()))


def too_large(size: int) -> str | None:
    """Return why a value of so many bytes is not decoded, or None if it may be; quick for small ones."""
    if size <= SMALL or size <= limits().max_value_bytes:
        return None
    return f"{size} bytes when decoded. {remedy('max_value_bytes')}"


def remedy(setting: str) -> str:
    """Say which setting refused something and how to raise it, as the end of a message.

    >>> remedy("max_json_depth").partition(". ")[2]
    'If the file is right, raise the limit: export DATASET_ASSETS_MAX_JSON_DEPTH=400'
    """
    allowed = getattr(limits(), setting)
    return (
        f"The setting {setting} allows {allowed}. If the file is right, raise the limit: "
        f"export {_variable(setting)}={2 * allowed}"
    )


def _variable(setting: str) -> str:
    return f"{ENVIRONMENT}{setting.upper()}"


# Beside what is decided by, a folder or variable may lead to other files of settings.
_VARIABLES = (*map(_variable, Limits._fields), "XDG_CONFIG_HOME")


@functools.lru_cache(maxsize=4)
def _limits(environment: tuple[str | None, ...], folder: str, second: int) -> Limits:
    chosen = settings()
    return Limits(*(getattr(chosen, name) for name in Limits._fields))
