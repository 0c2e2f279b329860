"""Limits of decoding: how much memory and disk a single file may use, however small the file is."""

import functools
import os
import time
from typing import NamedTuple

from dataset_assets.core.settings import ENVIRONMENT, settings

SMALL = 1 << 20
"""The minimum of the setting `max_value_bytes`: smaller values are never refused."""
FEW = 100
"""The minimum of the setting `max_columns`: narrower tables are never refused."""


class Limits(NamedTuple):
    """The settings that limit decoding."""

    max_line_bytes: int
    max_columns: int
    max_json_depth: int
    max_value_bytes: int
    max_decoded_bytes: int


def limits() -> Limits:
    """Return the current limits. They are cached for a second, so a changed settings file is seen soon."""
    return _limits(tuple(map(os.environ.get, _VARIABLES)), os.getcwd(), int(time.monotonic()))


def too_large(size: int) -> str | None:
    """Return why a value of this many bytes is refused, or None if it is allowed; fast for small values."""
    if size <= SMALL or size <= limits().max_value_bytes:
        return None
    return f"{size} bytes when decoded. {remedy('max_value_bytes')}"


def remedy(setting: str) -> str:
    """Return the end of a message: the limit that was exceeded, and how to raise it.

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


# The limits themselves, and a variable that selects a different settings file.
_VARIABLES = (*map(_variable, Limits._fields), "XDG_CONFIG_HOME")


@functools.lru_cache(maxsize=4)
def _limits(environment: tuple[str | None, ...], folder: str, second: int) -> Limits:
    chosen = settings()
    return Limits(*(getattr(chosen, name) for name in Limits._fields))
