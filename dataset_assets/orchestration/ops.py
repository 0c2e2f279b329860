"""What Dagster is told about the steps of datasets: their resource, and the pool, tags and retries of a deployment."""

from dataclasses import dataclass, field
from typing import Any, Mapping

import dagster as dg


@dataclass(frozen=True)
class OpOptions:
    """The pool of which each step of a dataset takes a slot, its tags, and how often it is tried again.

    `pool` is one of Dagster's concurrency pools. `tags` are those that an executor or launcher reads, such as
    `dagster-k8s/config`. Only failures of a source or a storage are tried again: any other would come again.
    """

    pool: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    retry_policy: dg.RetryPolicy | None = None


@dataclass(frozen=True)
class Steps:
    """How the steps of some datasets are defined; `io` is the resource key of their storage.

    With `unmade`, the schedule of refreshes makes datasets, too, that were never made.
    """

    io: str
    op: OpOptions = OpOptions()
    unmade: bool = False

    def options(self, **tags: str) -> dict[str, Any]:
        """Return arguments of Dagster's decorators, with further tags."""
        return {
            "required_resource_keys": {self.io},
            "op_tags": {**self.op.tags, **tags},
            "pool": self.op.pool,
            "retry_policy": self.op.retry_policy,
        }
