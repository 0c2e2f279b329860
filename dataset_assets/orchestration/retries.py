"""Which failures Dagster may try again: those of a source or a storage. The others would fail again."""

from contextlib import contextmanager
from typing import Iterator

import dagster as dg

from dataset_assets.errors import DatasetAssetsError, RetrievalError, StorageError


@contextmanager
def no_vain_retries() -> Iterator[None]:
    """Make a `Failure` that is not retried of each error of ours that would come again."""
    try:
        yield
    except (RetrievalError, StorageError):
        raise
    except DatasetAssetsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
