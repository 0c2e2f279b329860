"""Converts views to torch datasets; torch is imported on use."""

from typing import Any

from dataset_assets.core.extras import needed
from dataset_assets.reading.views.view import View


def to_torch(view: View, iterable: bool = False) -> Any:
    """Return a dataset for torch's DataLoader. It can be pickled if the view can."""
    needed("torch", "torch")
    from dataset_assets.reading.convert.torch_datasets import IterableSamples, Samples

    return IterableSamples(view) if iterable else Samples(view)
