"""What holds for all tests of the Dagster room: our calls are of Dagster's stable API, in each version that serves."""

import dagster as dg
import pytest

# By its category a filter would import Dagster for the tests of all rooms, were it in pyproject.toml.
FILTERS = [
    f"error::{category.__module__}.{category.__qualname__}:{module}"
    for category in (dg.PreviewWarning, dg.SupersessionWarning, dg.BetaWarning, DeprecationWarning)
    for module in ("dataset_assets", "orchestrated", "test_")
]
# The one call that Dagster marks beta, and for which it has no other: the digest of an output.
BETA = "ignore:Parameter `data_version` of initializer"


def mark(items: list[pytest.Item]) -> None:
    """Let a warning of Dagster about a call of ours fail these tests."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings(*FILTERS, BETA))
