"""Where sweeps are made."""

from pathlib import Path

import pytest


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the homes of a sweep, away from our own project file, which every call would read."""
    home.mkdir()
    monkeypatch.chdir(home)
    return home
