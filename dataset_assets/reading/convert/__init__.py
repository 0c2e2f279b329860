"""Views as what other libraries take, and over what they hold."""

# Each adds what it converts to, to what a view can be asked for.
from dataset_assets.reading.convert import arrow, huggingface, numpy, pandas, sklearn, torch
from dataset_assets.reading.convert.view_of import view_of

__all__ = ["arrow", "huggingface", "numpy", "pandas", "sklearn", "torch", "view_of"]
