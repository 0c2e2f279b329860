"""Parts that Ray makes, on a cluster of this machine."""

import pytest

from dataset_assets.making.engines import Engine
from dataset_assets.making.engines.ray_tasks import RayTasks
from dataset_assets.testing import EngineTests


class TestRay(EngineTests):
    @classmethod
    def teardown_class(cls) -> None:
        import ray

        ray.shutdown()

    @pytest.fixture
    def engine(self) -> Engine:
        return RayTasks()
