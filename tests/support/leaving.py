"""A run launcher of another package than Dagster's own, as those of containers and clusters are."""

from typing import Any, Mapping, Self

from dagster._core.launcher.base import RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData


class FarLauncher(RunLauncher, ConfigurableClass):
    """Would start runs on another machine."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data)

    def launch_run(self, context: Any) -> None:
        raise NotImplementedError

    def terminate(self, run_id: str) -> bool:
        raise NotImplementedError


class Closed(FarLauncher):
    """One that only opens on the machine that starts runs."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        raise ConnectionError("no cluster is here")
