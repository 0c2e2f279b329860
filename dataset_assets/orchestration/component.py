"""Datasets in a Dagster project by YAML: a component that adopts definitions, registered or of the project itself.

```yaml
type: dataset_assets.orchestration.DatasetComponent
attributes:
  datasets: ["com.lecun.*", "io.github.rasbt.mnist_5k", "birds.data:sparrows"]
  files: ["reviews.yaml"]           # optional: definitions without code, beside this file
  storage: file:///data/assets
  resource_key: birds_io            # optional: by default the key is made from the storage
  op:                               # optional: what each step is given
    pool: downloads
    tags: {dagster-k8s/config: {}}
    retry: {max_retries: 3, delay: 10}
  refresh_unmade: true              # optional: the schedule makes datasets, too, that were never made
  push_to: s3://bucket/prefix       # optional: an asset that pushes each release
  pull: ["shared.flower"]           # optional: datasets of the remote `pull_from`
  pull_from: s3://bucket/prefix
```
"""

from importlib import import_module
from typing import Any

import dagster as dg

from dataset_assets.definition import registry
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.yaml_file import dataset_from_yaml
from dataset_assets.errors import DatasetAssetsError, DefinitionError
from dataset_assets.orchestration.definitions import definitions
from dataset_assets.orchestration.ops import OpOptions


class RetryModel(dg.Model, dg.Resolvable):
    """How often a step is tried again after a failure of a source or a storage; `delay` is in seconds."""

    max_retries: int = 1
    delay: float | None = None


class OpModel(dg.Model, dg.Resolvable):
    """The pool, the tags and the retries of each step."""

    pool: str | None = None
    tags: dict[str, Any] = {}
    retry: RetryModel | None = None

    def options(self) -> OpOptions:
        """Return them as `definitions` takes them."""
        policy = dg.RetryPolicy(max_retries=self.retry.max_retries, delay=self.retry.delay) if self.retry else None
        return OpOptions(self.pool, self.tags, policy)


class DatasetComponent(dg.Component, dg.Model, dg.Resolvable):
    """Registered datasets and members of families, by name or pattern, and datasets of YAML files, in a storage.

    `module:attribute` names a `Dataset` of the project, registered or not. Without a `storage` the settings decide.
    """

    datasets: list[str] = []
    files: list[str] = []
    storage: str = ""
    push_to: str = ""
    pull: list[str] = []
    pull_from: str = ""
    resource_key: str = ""
    op: OpModel = OpModel()
    refresh_unmade: bool = False

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions.

        Raises `NotFound` for a name or pattern that matches none, and `DefinitionError` for a `module:attribute` that
        is not a dataset, and for a file, with the line and the key of what is wrong.
        """
        # An axis of a member may have a colon in its value.
        references = [name for name in self.datasets if ":" in name.partition("[")[0]]
        patterns = [name for name in self.datasets if name not in references]
        try:
            own = [*map(_imported, references)]
            for pattern in patterns:
                registry.matching(pattern)
        except DatasetAssetsError as error:
            error.args = (f"{context.path}: {error.args[0]}",)
            raise
        own += [dataset_from_yaml(context.path / file) for file in self.files]
        return definitions(
            *patterns,
            datasets=own,
            storage=self.storage,
            push_to=self.push_to,
            pull=self.pull,
            pull_from=self.pull_from,
            resource_key=self.resource_key,
            op=self.op.options(),
            refresh_unmade=self.refresh_unmade,
        )


def _imported(reference: str) -> Dataset:
    """Return the dataset that `module:attribute` names. Raises `DefinitionError`."""
    module, _, attribute = reference.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, ValueError, TypeError, AttributeError) as error:
        raise DefinitionError(f"{reference!r} cannot be imported: {error}. Write it as module:attribute.") from error
    if not isinstance(found, Dataset):
        raise DefinitionError(f"{reference} is a {type(found).__name__}, not a Dataset. Name a Dataset.")
    return found
