"""What Dagster is told about the steps of datasets: their resource, and the pool, tags and retries of a deployment."""

from dataclasses import dataclass, field
from typing import Any, Literal, Mapping, get_args

import dagster as dg

from dataset_assets.core.names import check_identifier
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.partitioned import partitioned_files
from dataset_assets.errors import UsageError
from dataset_assets.making.at_once import PER_HOST
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.translation import Translated

RawAssets = Literal["", "one", "each"]
MOST_RAW_ASSETS = 50
"""Up to so many raw files, each is an asset unless told otherwise."""

MOST_DATASETS = 200
"""Above so many datasets in one call, the log says that fewer assets are faster."""


@dataclass(frozen=True)
class OpOptions:
    """The name of each step of a dataset, the pool of which it takes a slot, its tags, its retries, and its downloads.

    `name` is put before the name of each step, as in `birds__org__example__sparrows__train`. `pool` is one of Dagster's
    concurrency pools. `tags` are those that an executor or launcher reads, such as `dagster-k8s/config`. Only failures
    of a source or a storage are tried again: any other would come again. A step downloads as many files at once from
    one host as `downloads_per_host` says.
    """

    pool: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    retry_policy: dg.RetryPolicy | None = None
    downloads_per_host: int = PER_HOST
    name: str = ""

    def __post_init__(self) -> None:
        if self.name:
            check_identifier(self.name, "step")
        if type(self.downloads_per_host) is not int or self.downloads_per_host < 1:
            raise UsageError(
                f"downloads_per_host={self.downloads_per_host!r} is not a number of files. Give at least 1."
            )


@dataclass(frozen=True)
class Steps:
    """How the steps of some datasets are defined; `io` is the resource key of their storage.

    With `unmade`, the schedule of refreshes makes datasets, too, that were never made. `raw` says whether a dataset has
    `one` asset for all raw files, or `each` file has its own; by default the number of files decides.
    """

    io: str
    op: OpOptions = OpOptions()
    unmade: bool = False
    raw: RawAssets = ""
    observe: bool = False
    """Whether the sources of each dataset are an asset too, which the raw files come after."""
    translation: Translated | None = None

    def __post_init__(self) -> None:
        if self.raw not in get_args(RawAssets):
            raise UsageError(f"raw_assets={self.raw!r} is not known. Use 'one' or 'each', or leave it out.")

    def step(self, dataset: str, *rest: str) -> str:
        """Return the name of a step of a dataset."""
        return "__".join([*([self.op.name] if self.op.name else []), keys.op_name(dataset, *rest)])

    def specs(self, *specs: dg.AssetSpec) -> list[dg.AssetSpec]:
        """Return the specs of a step, with the dependencies that the project adds."""
        return [*map(self.translation.with_deps, specs)] if self.translation else [*specs]

    def has_one(self, dataset: Dataset) -> bool:
        """Say whether the raw files of a dataset are one asset, and its streams none."""
        if dataset.has_patterns:  # their files are known only when they are listed
            return True
        files = len(dataset.remote_files)
        # How many partitions an asset has is known only when it runs.
        one = self.raw == "one" or not self.raw and files > MOST_RAW_ASSETS or bool(partitioned_files(dataset))
        return bool(files) and one

    def options(self, **tags: str) -> dict[str, Any]:
        """Return arguments of Dagster's decorators, with further tags."""
        return {
            "required_resource_keys": {self.io},
            "op_tags": {**self.op.tags, **tags},
            "pool": self.op.pool,
            "retry_policy": self.op.retry_policy,
        }
