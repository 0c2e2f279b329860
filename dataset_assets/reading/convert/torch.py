"""Views as torch's datasets; torch is imported when one is asked for."""

from typing import Any

from dataset_assets.core.extras import needed
from dataset_assets.reading.views.operations import verb
from dataset_assets.reading.views.view import View


@verb
def to_torch(view: View, iterable: bool = False) -> Any:
    """Return a dataset for torch's DataLoader, which pickles as the view does."""
    needed("torch", "torch")
    from dataset_assets.reading.convert.torch_datasets import IterableSamples, Samples

    return IterableSamples(view) if iterable else Samples(view)
