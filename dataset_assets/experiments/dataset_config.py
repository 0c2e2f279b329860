"""A dataset as a configuration of experimaestro, whose version is part of the identity of the tasks that use it.

Experimaestro prepares it before a task begins: https://experimaestro-python.readthedocs.io.
"""

from collections.abc import Mapping
from typing import Any

from dataset_assets.core.names import split_pin
from dataset_assets.core.settings import settings
from dataset_assets.errors import Conflict, NotFound, NotInstalled, NotPrepared
from dataset_assets.making.prepare import prepare
from dataset_assets.reading.load import load
from dataset_assets.reading.views import View
from dataset_assets.storage import open_storage

try:
    from experimaestro import Meta, Param, Prepare
except ModuleNotFoundError as error:
    raise NotInstalled("DatasetConfig needs experimaestro. Install it: pip install experimaestro") from error


class DatasetConfig(Prepare):  # type: ignore[misc]  # experimaestro has no types
    """A version of a dataset as the parameter of a task. `DatasetConfig.of(name)` makes one.

    >>> class Train(Task):
    ...     data: Param[DatasetConfig]
    ...
    ...     def execute(self):
    ...         train = self.data.load()["train"]
    >>> Train.C(data=DatasetConfig.of("io.github.rasbt.mnist_5k")).submit()
    """

    __xpmid__ = "dataset_assets.dataset"

    name: Param[str]
    version: Param[str]
    # Where it lies changes no result.
    storage: Meta[str | None] = None

    @classmethod
    def of(cls, name: str, storage: str | None = None) -> Any:
        """Return the configuration of `NAME@VERSION`, or of the released version of `NAME`.

        Without a version, a dataset that is not stored is prepared at once: the identity of the tasks needs its digest.
        """
        plain, version = split_pin(name)
        # A task has an environment of its own, so it is told where the data lies; without a password.
        place = open_storage(settings().storage if storage is None else storage).url
        return cls.C(name=plain, version=version or _released(plain, place), storage=place)

    def is_prepared(self) -> bool:
        """Say whether this version is stored."""
        try:
            self.load()
        except (NotPrepared, NotFound):
            return False
        return True

    def prepare(self, *args: Any, **kwargs: Any) -> None:
        """Prepare the dataset. Raises `Conflict` if its sources give another version now."""
        found = _version(prepare(self.name, storage=self.storage))
        if not self.is_prepared():
            raise Conflict(
                f"{self.name} was prepared as version {found}, and the task needs {self.version}. Copy that version "
                "from a storage that has it, or submit the task with the new one."
            )

    def load(self) -> Mapping[str, View]:
        """Return the splits, as `load` does."""
        found: Mapping[str, View] = load(f"{self.name}@{self.version}", storage=self.storage)
        return found


def _released(name: str, storage: str) -> str:
    try:
        return _version(load(name, storage=storage))
    except NotPrepared:
        return _version(prepare(name, storage=storage))


def _version(splits: Mapping[str, View]) -> str:
    return next(str(view.version) for view in splits.values())
