"""Converts views to the data of other libraries, and makes views over it."""

from typing import TYPE_CHECKING

from dataset_assets.core.lazy import lazily

if TYPE_CHECKING:
    from dataset_assets.reading.convert.sources import view_of as view_of

__all__ = ["view_of"]

# Each converter is imported when it is used first.
__getattr__, __dir__ = lazily(globals(), {"view_of": "sources"})
