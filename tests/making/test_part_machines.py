"""Two machines that make the parts of one split at once, on one bucket: nothing is lost, and there is one version."""

import os
import subprocess
import sys
from pathlib import Path

import obstore
import part_machines
import pytest
from lending import Place
from obstore.store import S3Store

from dataset_assets import load, prepare
from dataset_assets.moving.verify import verify
from dataset_assets.storage import MemoryStorage, open_storage
from dataset_assets.storage.stored_dataset import StoredDataset

NAME, FILES = part_machines.NAME, part_machines.FILES


@pytest.fixture
def shared(seaweed: Place, home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a storage in a bucket, with the files beside it."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    url = f"{seaweed.url}k{os.urandom(4).hex()}"
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    client = S3Store(bucket, client_options={"allow_http": True})
    for k in range(FILES):
        obstore.put(client, f"{prefix}-files/{k:02}.txt", f"{k}\n{k + 100}\n".encode())
    (fast_path / "meeting").mkdir()
    monkeypatch.setenv("PATTERN", f"{url}-files/*.txt")
    monkeypatch.setenv("MEETING", str(fast_path / "meeting"))
    return url


def machine(name: str, storage: str, folder: Path, **more: str) -> "subprocess.Popen[str]":
    own = {"DATASET_ASSETS_HOME": str(folder / name), "DATASET_ASSETS_STORAGE": storage, "MACHINE": name}
    program = part_machines.__file__
    environment = {**os.environ, **own, **more, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    return subprocess.Popen([sys.executable, program], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("dies", ["", "b"])
def test_nothing_is_lost_and_one_version_is_made(
    shared: str, fast_path: Path, dies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [machine(name, shared, fast_path, **({"DIES": dies} if dies else {})) for name in "ab"]
    said = [one.communicate(timeout=120)[0].strip() for one in both]
    assert [one.returncode for one in both] == [0, -9 if dies else 0]
    assert len({one for one in said if one}) == 1
    storage = open_storage(shared)
    view = load(NAME, "all", storage=storage)
    assert view.to_numpy()["number"].tolist() == [number for k in range(FILES) for number in (k, k + 100)]
    listed = StoredDataset(storage, NAME).listed()
    assert len([*listed.of("version")]) == 1 and len([*listed.of("part")]) == FILES
    assert verify(NAME, storage).damaged == []
    monkeypatch.setenv("MACHINE", "c")
    alone = prepare(part_machines.many(os.environ["PATTERN"]), storage=MemoryStorage(), jobs=1)["all"]
    assert str(alone.version) == said[0] == str(view.version)
