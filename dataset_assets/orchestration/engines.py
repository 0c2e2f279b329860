"""Who does the work of a split in a step: the engine and the number of processes that the config of the step names."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from dataset_assets.core.workers import using
from dataset_assets.definition.dataset import Split
from dataset_assets.definition.parallel_map import ParallelMap
from dataset_assets.making.engines import using_engine

CONFIG = {
    "engine": dg.Field(
        str, is_required=False, description="Who makes its parts: processes, here, ray or that of a plugin."
    ),
    "jobs": dg.Field(int, is_required=False, description="How many processes work; by default the setting says it."),
}
"""The config of the step of a split that several processes can make."""


def config_of(split: Split) -> dict[str, Any] | None:
    """Return the config of the step of a split; None for one that a single process makes."""
    return CONFIG if split.each or isinstance(split.function, ParallelMap) else None


@contextmanager
def as_configured(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Use in the block what the config of the step names. Raises `UsageError` if it is not known."""
    config = context.op_execution_context.op_config or {}
    with using(config.get("jobs")), using_engine(config.get("engine")):
        yield
