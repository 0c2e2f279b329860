"""Four processes or threads that read one shuffled stack at once: each record is that of its index, in every stream."""

import multiprocessing
import os
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
from media import picture, pixels, sound, waves

from dataset_assets import (
    Array,
    Audio,
    Bytes,
    Dataset,
    Files,
    Image,
    Json,
    Ragged,
    Split,
    Table,
    Text,
    View,
    prepare,
)
from dataset_assets.core.permutation import Permutation
from dataset_assets.formats import FORMATS

ROWS = 30
STREAMS = {
    "array": Array(),
    "text": Text(),
    "blob": Bytes(),
    "tokens": Ragged("int32"),
    "row": Table({"number": "int64", "word": "string"}),
    "file": Files(),
    "image": Image(),
    "sound": Audio(),
    "answers": Json(),
}
STORAGES = ("local", "seaweed", "secantus", "postgres")
PIXELS = [pixels(seed=i) for i in range(ROWS)]
SOUNDS = [waves(20 + i, seed=i).astype(np.float32) / 2**15 for i in range(ROWS)]


def records() -> Iterator[dict[str, Any]]:
    for i in range(ROWS):
        yield {
            "array": np.full((3, 50), i, np.int16),
            "text": "é" * i + str(i),
            "blob": b"%d" % i * 9,
            "tokens": np.arange(i),
            "row": {"number": i, "word": None if i % 7 == 0 else str(i)},
            "file": (f"{i}.txt", b"%d" % i),
            "image": picture("PNG", seed=i),
            "sound": sound(frames=20 + i, seed=i),
            "answers": {"row": i, f"key {i}": [2**70 + i]},
        }


def index_of(record: Any) -> int:
    """Return which row a record is, after every stream was seen to be of that row."""
    i = int(record["row"]["number"])
    assert record["row"]["word"] == (None if i % 7 == 0 else str(i))
    assert record["array"].shape == (3, 50) and (record["array"] == i).all()
    assert record["text"] == "é" * i + str(i) and record["blob"] == b"%d" % i * 9
    assert record["tokens"].tolist() == list(range(i))
    assert (record["file"].name, bytes(record["file"].data)) == (f"{i}.txt", b"%d" % i)
    assert (record["image"] == PIXELS[i]).all()
    assert (record["sound"] == SOUNDS[i]).all()
    assert record["answers"] == {"row": i, f"key {i}": [2**70 + i]}
    return i


def read_at(view: View, places: list[int]) -> list[int]:
    return [index_of(view[i]) for i in places]


def read_in_blocks(view: View, places: list[int]) -> list[int]:
    return [index_of(record) for record in view[places]]


@pytest.fixture
def storage(request: pytest.FixtureRequest, home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty storage, on this disk or on a server."""
    # So that each stream but the smallest has several files.
    monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", "2000")
    if request.param == "local":
        return str(fast_path / "store")
    place = request.getfixturevalue(request.param)
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    unique = f"r{os.urandom(4).hex()}"
    return str(place.url) + {"postgres": f"?schema={unique}", "secantus": f"readers?bucket={unique}"}.get(
        request.param, unique
    )


def test_every_format_is_read() -> None:
    assert {kind.name for kind in STREAMS.values()} == set(FORMATS)


# What a process that is started anew opens is the same on each server; forked ones have what their parent opened.
READERS = [*((s, m) for m in ("fork", "threads") for s in STORAGES), ("local", "spawn"), ("seaweed", "spawn")]


@pytest.mark.parametrize(("storage", "method"), READERS, indirect=["storage"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_each_record_of_every_format_is_that_of_its_index(method: str, storage: str) -> None:
    dataset = Dataset("org.example.readers", "Records that say which they are.", STREAMS, {"all": Split(records)})
    stored = prepare(dataset, storage=storage)["all"]
    view = stored.shuffle(1).repeat(2).shuffle(2)
    first, last = (Permutation(n, seed) for n, seed in ((ROWS, 1), (2 * ROWS, 2)))
    expected = [first[last[i] % ROWS] for i in range(len(view))]
    # The parent reads first: what it has open must not matter to whoever it forks.
    assert index_of(view[0]) == expected[0]
    with ThreadPool(4) if method == "threads" else multiprocessing.get_context(method).Pool(4) as pool:
        for turn in range(2):
            order = np.random.default_rng(turn).permutation(len(view))
            parts = [order[k::4].tolist() for k in range(4)]
            for read in (read_at, read_in_blocks):
                found = pool.starmap(read, [(view, part) for part in parts], chunksize=1)
                assert found == [[expected[i] for i in part] for part in parts]
