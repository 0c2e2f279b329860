"""What a user accepted is remembered by dataset and by the words of the text."""

import os
from pathlib import Path

import pytest

from dataset_assets.core.acceptance import accept, is_accepted


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "dataset_assets" / "terms"


def test_a_text_is_accepted_for_its_dataset_and_its_words_only(config: Path) -> None:
    accept("org.example.faces", "Only for\n  research.")
    assert is_accepted("org.example.faces", "Only for research. ")
    assert not is_accepted("org.example.faces", "Only for research!")
    assert not is_accepted("org.example.hands", "Only for research.")
    [kept] = config.iterdir()
    assert kept.read_text() == "org.example.faces\n\nOnly for\n  research.\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_a_file_of_another_user_accepts_nothing(config: Path) -> None:
    accept("org.example.faces", "Only for research.")
    [kept] = config.iterdir()
    os.chown(kept, 12345, 12345)
    assert not is_accepted("org.example.faces", "Only for research.")
