"""Which failures Dagster may retry: those of a source or a storage. Any other would come again."""

from contextlib import contextmanager
from typing import Iterator

import dagster as dg

from dataset_assets.errors import DatasetAssetsError, RetrievalError, StorageError


@contextmanager
def no_vain_retries() -> Iterator[None]:
    """Turn an error of ours that would come again into a `Failure` that is not retried."""
    try:
        yield
    except (RetrievalError, StorageError):
        raise
    except DatasetAssetsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
