"""Datasets in a Dagster project by YAML: a component that adopts registered definitions.

```yaml
type: dataset_assets.orchestration.DatasetComponent
attributes:
  datasets: ["com.lecun.*", "io.github.rasbt.mnist_5k"]
  files: ["reviews.yaml"]           # optional: definitions without code, beside this file
  storage: file:///data/assets
  push_to: s3://bucket/prefix       # optional: an asset that pushes each release
  pull: ["shared.flower"]           # optional: datasets of the remote `pull_from`
  pull_from: s3://bucket/prefix
```
"""

from typing import Any

import dagster as dg

from dataset_assets.definition import registry
from dataset_assets.definition.yaml_file import dataset_from_yaml
from dataset_assets.errors import DatasetAssetsError
from dataset_assets.orchestration.definitions import definitions


class DatasetComponent(dg.Component, dg.Model, dg.Resolvable):
    """Registered datasets and members of families, by name or pattern, and datasets of YAML files, in a storage.

    Without a `storage` the settings decide.
    """

    datasets: list[str] = []
    files: list[str] = []
    storage: str = ""
    push_to: str = ""
    pull: list[str] = []
    pull_from: str = ""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions.

        Raises `NotFound` for a name or pattern that matches none, and `DefinitionError` for a file, with the line and
        the key of what is wrong.
        """
        for pattern in self.datasets:
            try:
                registry.matching(pattern)
            except DatasetAssetsError as error:
                error.args = (f"{context.path}: {error.args[0]}",)
                raise
        remote: dict[str, Any] = {"push_to": self.push_to, "pull": self.pull, "pull_from": self.pull_from}
        own = [dataset_from_yaml(context.path / file) for file in self.files]
        return definitions(*self.datasets, datasets=own, storage=self.storage, **remote)
