"""What the tests of the Dagster room share: a history in memory, and a server of two files."""

from collections.abc import Iterator

import dagster as dg
import pytest
from orchestrated import FILES

from dataset_assets.testing import FaultyServer


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A history that is kept in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """A server of the files of `two_files`."""
    with FaultyServer(FILES) as server:
        yield server
