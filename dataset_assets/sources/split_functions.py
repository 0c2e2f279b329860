"""The split functions of definitions that `dataset_from` makes, as their text imports them."""

from dataset_assets.decoding.column_samples import column_samples
from dataset_assets.definition.in_place import objects_in_place
from dataset_assets.definition.plain_splits import file_samples, named_file_samples

__all__ = ["column_samples", "file_samples", "named_file_samples", "objects_in_place"]
