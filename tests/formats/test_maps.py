"""A map of a file holds its bytes and no descriptor."""

import gc
import os
from pathlib import Path

import pytest

from dataset_assets.formats.maps import map_file


def test_a_map_holds_the_bytes_after_its_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"bytes" * 5000)
    # What other tests left is closed before descriptors are counted.
    gc.collect()
    before = os.listdir("/dev/fd")
    with path.open("rb") as file:
        data = map_file(file.fileno(), 25_000)
    path.unlink()
    assert len(os.listdir("/dev/fd")) == len(before)
    assert data == b"bytes" * 5000
    assert data.readonly


def test_what_cannot_be_mapped_is_an_error_of_the_system(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="cannot be mapped"):
        map_file(fd, 1)
    os.close(fd)
