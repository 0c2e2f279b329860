"""Many objects are put together, or one after another, as a connector is faster: then all are stored."""

from pathlib import Path

import pytest

from dataset_assets.storage import Storage
from dataset_assets.storage.storage import put_all


def test_all_are_stored_with_their_bytes(every: Storage, tmp_path: Path) -> None:
    data = {f"some/{k % 3}/{k}": bytes([k]) * (k * 1000) for k in range(40)} | {"some/large": b"x" * (9 << 20)}
    for k, content in enumerate(data.values()):
        (tmp_path / str(k)).write_bytes(content)
    put_all(every, {key: tmp_path / str(k) for k, key in enumerate(data)})
    put_all(every, {"some/1/1": b"other", "some/bytes": b"bytes"})
    data |= {"some/1/1": b"other", "some/bytes": b"bytes"}
    assert {*every.list("some")} == data.keys()
    for key, content in data.items():
        with every.get(key) as file:
            assert file.read() == content


def test_a_file_that_is_missing_is_an_error_and_the_others_are_whole(every: Storage, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"there")
    with pytest.raises(FileNotFoundError):
        put_all(every, {**{f"a/{k}": tmp_path / "there" for k in range(5)}, "a/gone": tmp_path / "gone"})
    assert {*every.list("a")} <= {f"a/{k}" for k in range(5)}
