"""One byte of a stored file of each format is changed: readers get values, or one error of ours, and nothing else.

`verify` sees each such change. Readers are child processes that may take 1 GB; when one ends, the change is named.
"""

import random
from pathlib import Path
from typing import Any, Iterator

import pytest
from every_format import MADE
from reading_child import Child

from dataset_assets import Columns, Dataset, Split, prepare
from dataset_assets.storage import LocalStorage

NAMES = {kind: f"org.example.{kind.replace(' ', '_')}" for kind in MADE}


def values(kind: str) -> Iterator[Any]:
    from every_format import MADE

    yield Columns(value=MADE[kind][1])


@pytest.fixture
def stored(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A dataset of each kind; return the file of its only stream."""
    monkeypatch.chdir(home.parent)
    for kind, name in NAMES.items():
        splits = {"all": Split(values, kind=kind)}
        prepare(Dataset(name, "Values.", {"value": MADE[kind][0]}, splits), storage=home / "storage")
    storage = LocalStorage(home / "storage")
    keys = [key for key in storage.list("") if "/all/value/" in key]
    assert len(keys) == len(NAMES)
    return {kind: storage.root / key for kind, name in NAMES.items() for key in keys if f"/{name[12:]}/" in key}


@pytest.fixture
def child(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    # The pools of others reserve gigabytes of addresses.
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "system")
    found = Child("flipped_child.py", home)
    yield found
    found.end()


def flip(chance: random.Random, data: bytes) -> tuple[int, int]:
    """Return where a byte is changed, and to what; half of the changes are near an end, where metadata lies."""
    near = min(len(data), 1000)
    at = chance.choice([chance.randrange(len(data)), chance.randrange(near) - near * chance.randrange(2)]) % len(data)
    new = chance.choice([data[at] ^ 1 << chance.randrange(8), 0, 255, chance.randrange(256)])
    return at, new if new != data[at] else new ^ 1


def read_flipped(stored: dict[str, Path], child: Child, count: int, seed: int) -> dict[str, int]:
    """Change a byte again and again; return how often each answer came."""
    print(f"seed {seed}")
    chance, said = random.Random(seed), dict.fromkeys(("fine", "refused"), 0)
    originals = {kind: path.read_bytes() for kind, path in stored.items()}
    storage = str(Path(*stored["text"].parts[: stored["text"].parts.index("storage") + 1]))
    for k in range(count):
        kind = chance.choice([*stored])
        path, data = stored[kind], originals[kind]
        at, new = flip(chance, data)
        path.unlink()
        path.write_bytes(data[:at] + bytes([new]) + data[at + 1 :])
        answer = child.read(storage, NAMES[kind], k % 20 == 0)
        path.write_bytes(data)
        if answer not in said:
            print(f"{kind}: byte {at} of {len(data)} is {new}: {answer}")
        said[answer] = said.get(answer, 0) + 1
    return said


def test_no_changed_byte_of_a_stored_file_ends_a_reader(stored: dict[str, Path], child: Child) -> None:
    said = read_flipped(stored, child, 250, random.randrange(10**9))
    assert {*said} == {"fine", "refused"} and min(said.values()) > 10


@pytest.mark.sweep
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(4))
def test_none_of_ten_thousand_changed_bytes_ends_a_reader(stored: dict[str, Path], child: Child, seed: int) -> None:
    assert {*read_flipped(stored, child, 2500, seed)} == {"fine", "refused"}
