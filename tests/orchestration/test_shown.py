"""Which datasets the web UI shows."""

from pathlib import Path

import pytest

from dataset_assets import load, prepare
from dataset_assets.definition import registry
from dataset_assets.errors import UnknownDataset
from dataset_assets.orchestration.shown import VARIABLE, chosen, in_words, shown
from dataset_assets.storage import Storage, open_storage

PENGUINS, DIGITS = "io.github.allisonhorst.penguins", "io.github.rasbt.mnist_5k"
OWN = """\
from typing import Literal

from dataset_assets import Array, Dataset, Family, Split

def numbers(of):
    yield {"n": of}

def member(of: Literal[1, 2]):
    return Dataset("org.example.few", "A few.", {"n": Array()}, {"all": Split(numbers, of=of)})
"""


@pytest.fixture
def storage(home: Path) -> Storage:
    return open_storage((home / "storage").as_uri())


def test_it_shows_all_until_something_is_prepared(storage: Storage) -> None:
    every = shown(storage)
    assert PENGUINS in every and len(every) > 20 and in_words(every, storage.url) == f"all {len(every)}"
    prepare(PENGUINS, storage=storage)
    assert load(PENGUINS, storage=storage) and shown(storage) == [PENGUINS]
    assert in_words([PENGUINS], storage.url).startswith(
        f"1, your own and those that are prepared; {len(every) - 1} more"
    )
    assert shown(storage, every=True) == every


def test_it_shows_what_is_asked_for_and_ones_own(
    storage: Storage, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(storage, [DIGITS]) == [DIGITS]
    with pytest.raises(UnknownDataset):
        shown(storage, ["io.github.nobody.*"])
    (fast_path / "own.py").write_text(OWN + "\nfew = member(1)\n")
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(fast_path / "own.py"))
    assert shown(storage) == ["org.example.few"]
    assert shown(storage, ["io.github.rasbt.*"]) == [DIGITS, "org.example.few"]


def test_it_shows_the_members_of_a_family_that_are_prepared(
    storage: Storage, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fast_path / "family.py").write_text(OWN + '\nfew = Family("org.example.few", "A few.", member)\n')
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(fast_path / "family.py"))
    prepare("org.example.few[of=2]", storage=storage)
    assert shown(storage) == ["org.example.few[of=2]"]


def test_the_processes_of_the_ui_define_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen() == ["*"]
    monkeypatch.setenv(VARIABLE, f"{DIGITS}\norg.example.few[of=2]")
    assert chosen() == [DIGITS, "org.example.few[of=2]"] and registry.matching(chosen()[0])
