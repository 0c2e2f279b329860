"""From a source to a definition: looks at files, folders, tables and what is in memory, and infers the streams."""

from dataset_assets.sources.dataset_from import dataset_from
from dataset_assets.sources.written import source_of

__all__ = ["dataset_from", "source_of"]
