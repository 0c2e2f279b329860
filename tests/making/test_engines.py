"""Engines: all keep what `EngineTests` says. tests/clients tries that of Ray."""

import os
import sys
from typing import Any

import pytest

from dataset_assets.errors import NotInstalled, UsageError
from dataset_assets.making.engines import ENGINES, Engine, engine, using_engine
from dataset_assets.making.engines.here import Here
from dataset_assets.making.engines.processes import Processes
from dataset_assets.making.engines.ray_tasks import RayTasks
from dataset_assets.testing import EngineTests


class TestHere(EngineTests):
    other_processes = False

    @pytest.fixture
    def engine(self) -> Engine:
        return Here()


class TestProcesses(EngineTests):
    @pytest.fixture
    def engine(self) -> Engine:
        return Processes()


def test_the_setting_or_the_argument_says_who_works(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(engine(), Processes)
    monkeypatch.setenv("DATASET_ASSETS_ENGINE", "here")
    assert isinstance(engine(), Here)
    with using_engine("ray"):
        assert isinstance(engine(), RayTasks)
    for wrong in ("hear", "", 3):
        with pytest.raises(UsageError, match="is not known.*Use one of here, processes, ray"), using_engine(wrong):  # type: ignore[arg-type]
            pass
    assert [*ENGINES][:3] == ["here", "processes", "ray"]


def test_ray_is_asked_for_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(NotInstalled, match=r"pip install 'dataset_assets\[ray\]'"):
        [*RayTasks().each(os.path.exists, [("one", "/")], 1)]


def test_a_program_that_has_no_output_starts_processes(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert {*Processes().each(abs, iter([("one", -1), ("two", -2)]), 2)} == {1, 2}
