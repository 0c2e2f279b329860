"""Datasets in a Dagster project by YAML: a component that adopts definitions, registered or of the project itself.

```yaml
type: dataset_assets.orchestration.DatasetComponent
attributes:
  datasets: ["com.lecun.*", "io.github.rasbt.mnist_5k", "birds.data:sparrows"]
  files: ["reviews.yaml"]           # optional: definitions without code, beside this file
  storage: file:///data/assets
  resource_key: birds_io            # optional: by default the key is made from the storage
  op:                               # optional: what each step is given
    name: birds
    pool: downloads
    tags: {dagster-k8s/config: {}}
    retry: {max_retries: 3, delay: 10}
  translation:                      # optional: what the project wants differently, of each asset
    group_name: birds
    owners: ["team:birds"]
    tags: {layer: raw}
    automation_condition: "{{ automation_condition.eager() }}"
    description: "{{ spec.description }} See the wiki."
    key_prefix: lake
  raw_assets: one                   # optional: one asset for all raw files of a dataset; or `each`
  refresh_unmade: true              # optional: the schedule makes datasets, too, that were never made
  observe_sources: true             # optional: an observable asset that asks whether the sources have changed
  push_to: s3://bucket/prefix       # optional: an asset that pushes each release
  pull: ["shared.flower"]           # optional: datasets of the remote `pull_from`
  pull_from: s3://bucket/prefix
```
"""

from functools import cache
from importlib import import_module
from typing import Annotated, Any, Callable

import dagster as dg
from pydantic import BaseModel, Field

from dataset_assets.definition import registry
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.yaml_file import dataset_from_yaml
from dataset_assets.errors import DatasetAssetsError, DefinitionError
from dataset_assets.making.at_once import PER_HOST
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.definitions import definitions
from dataset_assets.orchestration.ops import OpOptions, RawAssets
from dataset_assets.orchestration.strict_model import strict
from dataset_assets.orchestration.translation import Translation, of_attributes

EXAMPLE = "io.github.allisonhorst.penguins"
"""What is scaffolded if no dataset is named: a small one that is shipped."""


class RetryModel(dg.Model, dg.Resolvable):
    """How often a step is tried again after a failure of a source or a storage; `delay` is in seconds."""

    max_retries: int = 1
    delay: float | None = None

    @classmethod
    @cache
    def model(cls) -> type[BaseModel]:
        return strict(super().model(), max_retries=int, delay=float)


class OpModel(dg.Model, dg.Resolvable):
    """The name, the pool, the tags, the retries and the downloads of each step."""

    name: str = ""
    pool: str | None = None
    tags: dict[str, Any] = {}
    retry: RetryModel | None = None
    downloads_per_host: int = PER_HOST

    @classmethod
    @cache
    def model(cls) -> type[BaseModel]:
        return strict(super().model(), retry=RetryModel.model(), downloads_per_host=int)

    def options(self) -> OpOptions:
        """Return them as `definitions` takes them."""
        policy = dg.RetryPolicy(max_retries=self.retry.max_retries, delay=self.retry.delay) if self.retry else None
        return OpOptions(self.pool, self.tags, policy, self.downloads_per_host, self.name)


class TranslationModel(dg.Model):
    """Attributes of each asset; a template may use its `spec`, and the name of its `dataset`."""

    group_name: str | None = None
    owners: list[str] | str | None = None
    tags: dict[str, str] | str | None = None
    automation_condition: str | None = None
    description: str | None = None
    key_prefix: list[str] | str | None = None


def _translation(context: dg.ResolutionContext, model: TranslationModel | None) -> Translation | None:
    if model is None:
        return None
    given = {name: value for name, value in model if value is not None}

    def translate(spec: dg.AssetSpec) -> dg.AssetSpec:
        scope = context.with_scope(spec=spec, dataset=spec.metadata.get(keys.DATASET, ""))
        return of_attributes({name: scope.resolve_value(value) for name, value in given.items()})(spec)

    return translate


ResolvedTranslation = Annotated[Callable[..., Any], dg.Resolver(_translation, model_field_type=TranslationModel)]


class ScaffoldParams(BaseModel):
    """What `dg scaffold defs` takes."""

    datasets: str = Field(EXAMPLE, description="Names or patterns of datasets, separated by commas.")
    storage: str = Field("", description="The URL of the storage; without one the settings decide.")


class DatasetScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes the attributes of a component that loads as it is."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        names = [name.strip() for name in request.params.datasets.split(",") if name.strip()]
        storage = {"storage": request.params.storage} if request.params.storage else {}
        dg.scaffold_component(request, {"datasets": names, **storage})


@dg.scaffold_with(DatasetScaffolder)
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
    translation: ResolvedTranslation | None = None
    raw_assets: RawAssets = ""
    refresh_unmade: bool = False
    observe_sources: bool = False

    @classmethod
    @cache
    def model(cls) -> type[BaseModel]:
        nested = {"op": OpModel.model(), "translation": TranslationModel}
        return strict(super().model(), **nested, raw_assets=RawAssets, refresh_unmade=bool, observe_sources=bool)

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
            raw_assets=self.raw_assets,
            translation=self.translation,
            refresh_unmade=self.refresh_unmade,
            observe_sources=self.observe_sources,
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
