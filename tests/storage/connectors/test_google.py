"""Google Cloud Storage: the shared suite, against its documented interface, not a server."""

import itertools
from pathlib import Path

import pytest
from google_interface import GoogleStorage, entered_google
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from dataset_assets.storage import Storage, open_storage
from dataset_assets.testing import StorageTests, storage_state_machine
from dataset_assets.testing.storage import content, some_bytes

numbers = itertools.count()


@pytest.fixture
def place(google: GoogleStorage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return entered_google(google, monkeypatch, tmp_path)


class TestGoogle(StorageTests):
    @pytest.fixture
    def storage(self, place: str) -> Storage:
        return open_storage(place)


def test_google_agrees_with_a_dict(place: str) -> None:
    machine = storage_state_machine(lambda: open_storage(f"{place}/{next(numbers)}"))
    run_state_machine_as_test(machine, settings=settings(max_examples=5, stateful_step_count=15, deadline=None))


def test_a_large_object_is_uploaded_in_parts(place: str, google: GoogleStorage) -> None:
    storage, data = open_storage(place), some_bytes(20_000_000)
    storage.put("a", data)
    assert content(storage, "a") == data and not google.uploads
