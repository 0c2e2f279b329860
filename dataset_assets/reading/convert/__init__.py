"""Converts views to the data of other libraries, and makes views over it."""

# Importing each module registers its conversions.
from dataset_assets.reading.convert import arrow, huggingface, numpy, pandas, sklearn, torch
from dataset_assets.reading.convert.view_of import view_of

__all__ = ["arrow", "huggingface", "numpy", "pandas", "sklearn", "torch", "view_of"]
