"""Bundles: the same content gives the same bytes, tar and sha256sum read them, and nothing but a bundle is taken."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Callable

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from released import Released, everything

from dataset_assets import load
from dataset_assets.core.canonical import canonical, sha256_hex
from dataset_assets.errors import DatasetAssetsError, DigestMismatch, IntegrityError, NoSpace, NotPrepared
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.bundle_format import MANIFEST, SUMS
from dataset_assets.moving.copy import copy
from dataset_assets.moving.unbundle import unbundle
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage


@pytest.fixture
def released(home: Path, fast_path: Path) -> Released:
    return Released(fast_path)


@pytest.fixture
def source(home: Path, released: Released) -> Storage:
    return LocalStorage(home / "storage")


def bundled(storage: Storage, **more: Any) -> bytes:
    into = io.BytesIO()
    bundle([], storage, into, **more)
    return into.getvalue()


class Pipe(io.RawIOBase):
    """What can only be read on, a little at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.data.readinto(memoryview(buffer)[:777])


def test_what_was_bundled_is_stored_elsewhere_as_it_was(source: Storage, another: Storage, released: Released):
    [done] = unbundle(Pipe(bundled(source, versions="all", raw=True)), another)  # type: ignore[arg-type]
    assert done.current == released.new
    assert everything(another) == everything(source)
    assert tiny.plain(load(tiny.NAME, storage=another, verify="all")) == released.samples[released.new]


def test_the_same_content_gives_the_same_bytes_from_any_storage(source: Storage, another: Storage):
    copy(None, source, another, versions="all", raw=True)
    assert bundled(source, versions="all", raw=True) == bundled(another, versions="all", raw=True)
    assert bundled(source) != bundled(source, raw=True)


def test_tar_opens_it_and_sha256sum_checks_it(source: Storage, fast_path: Path):
    (fast_path / "b.tar").write_bytes(bundled(source, raw=True))
    out = fast_path / "out"
    out.mkdir()
    subprocess.run(["tar", "xf", fast_path / "b.tar", "-C", out], check=True)
    checked = subprocess.run(["sha256sum", "-c", "--strict", SUMS], cwd=out, capture_output=True, text=True, check=True)
    assert f"{MANIFEST}: OK" in checked.stdout
    assert json.loads((out / MANIFEST).read_bytes())["datasets"][0]["dataset"] == tiny.NAME


def test_a_damaged_file_is_said_and_the_tar_is_of_no_use(source: Storage, another: Storage):
    key = next(key for key in source.list("") if "/text/" in key)
    source.put(key, b"x" * source.stat(key).bytes)
    into = io.BytesIO()
    with pytest.raises(DigestMismatch, match="bundle cannot be used"):
        bundle([], source, into, versions="all")
    refused(into.getvalue(), another)


def test_nothing_is_no_bundle(another: Storage):
    with pytest.raises(NotPrepared):
        bundle([], another, io.BytesIO())


def refused(data: bytes, target: Storage) -> IntegrityError:
    with pytest.raises(IntegrityError) as error:
        unbundle(io.BytesIO(data), target)
    assert [*target.list("")] == []
    return error.value


def test_one_that_ends_early_is_refused_wherever_it_ends(source: Storage, fast_path: Path):
    data, target = bundled(source), LocalStorage(fast_path / "target")
    for end in [*range(0, len(data), 997), len(data) - 1]:
        assert "ends early, at byte" in str(refused(data[:end], target))
    assert "continues after its end" in str(refused(data + b"\0", target))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_one_with_any_byte_changed_is_refused(data):
    whole = _WHOLE[0]
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    target = MemoryStorage()
    with pytest.raises(DatasetAssetsError):
        unbundle(io.BytesIO(changed), target)
    assert [*target.list("")] == []


_WHOLE: list[bytes] = []


@pytest.fixture(autouse=True)
def whole(source: Storage) -> None:
    _WHOLE[:] = [bundled(source)]


def tar_of(change: Callable[[tarfile.TarInfo, bytes], list[tuple[tarfile.TarInfo, bytes]]]) -> bytes:
    """Return the bundle as another tar, each member changed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(_WHOLE[0])) as old, tarfile.open(fileobj=out, mode="w") as new:
        for info in old:
            file = old.extractfile(info)
            assert file is not None
            for other, data in change(info, file.read()):
                other.size = len(data)
                new.addfile(other, io.BytesIO(data))
    return out.getvalue()


def linked(info: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    if "/text/" not in info.name:
        return [(info, data)]
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [(info, b"")]


def outside(info: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    if "/text/" in info.name:
        info.name = "../../canary"
    return [(info, data)]


def twice(info: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(info, data)] * (2 if "/text/" in info.name else 1)


def added(info: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    more = [(tarfile.TarInfo("org/example/tiny/current.json"), b"{}")] if info.name == MANIFEST else []
    return [(info, data), *more]


def sparse(info: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    if "/text/" in info.name:
        info.type = tarfile.GNUTYPE_SPARSE
    return [(info, data)]


@pytest.mark.parametrize("change", [linked, outside, twice, added, sparse])
def test_a_hostile_tar_is_refused_and_writes_nowhere(change: Any, another: Storage, fast_path: Path):
    refused(tar_of(change), another)
    assert not [*fast_path.rglob("canary")] and not Path("/canary").exists()


def forged(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a bundle whose lists were changed, and agree."""
    with tarfile.open(fileobj=io.BytesIO(_WHOLE[0])) as old:
        manifest = json.loads(old.extractfile(MANIFEST).read())  # type: ignore[union-attr]
    change(manifest)
    data = canonical(manifest)
    lines = [(sha256_hex(data), MANIFEST), *((one["sha256"], one["key"]) for one in manifest.get("objects", ()))]
    sums = "".join(f"{digest}  {key}\n" for digest, key in lines).encode()
    begin = io.BytesIO()
    for name, content in ((SUMS, sums), (MANIFEST, data)):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        begin.write(info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
    return begin.getvalue() + _WHOLE[0][_first_object() :]


def _first_object() -> int:
    with tarfile.open(fileobj=io.BytesIO(_WHOLE[0])) as old:
        return old.getmembers()[2].offset


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["objects"][0].update(key="../../canary"),
        lambda m: m["objects"][0].update(key="/etc/canary"),
        lambda m: m["objects"][0].update(key="org/example/tiny/current.json"),
        lambda m: m["objects"][0].update(sha256="0" * 64),
        lambda m: m["objects"][0].update(bytes=-1),
        lambda m: m["objects"][0].update(bytes=True),
        lambda m: m["objects"].append(m["objects"][0]),
        lambda m: m["objects"].pop(),
        lambda m: m["datasets"].clear(),
        lambda m: m["datasets"][0].update(dataset="../x"),
        lambda m: m["datasets"][0].update(current="0" * 64),
        lambda m: m["datasets"][0].update(versions=["0" * 64]),
        lambda m: m["datasets"][0].update(extra=1),
        lambda m: m.update(bundle=2),
        lambda m: m.update(raw="yes"),
        lambda m: m.clear(),
    ],
)
def test_forged_lists_are_refused(change: Any, fast_path: Path):
    target = LocalStorage(fast_path / "target")
    with pytest.raises(DatasetAssetsError) as error:
        unbundle(io.BytesIO(forged(change)), target)
    assert error.value.exit_code in (2, 3, 4)
    assert [*target.list("")] == [] and not [*fast_path.rglob("canary")]


def test_one_that_says_it_is_larger_than_the_disk_is_refused_at_once(fast_path: Path):
    data = forged(lambda m: m["objects"][-1].update(bytes=1 << 60))
    with pytest.raises(NoSpace, match="The bundle needs"):
        unbundle(io.BytesIO(data), LocalStorage(fast_path / "target"))


def test_memory_does_not_grow_with_what_is_in_it(fast_path: Path):
    """100 MB are bundled and stored by a process that may not have so much more."""
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from dataset_assets import Array, Columns, Dataset, Split, prepare
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.unbundle import unbundle
base = Path(sys.argv[1])
def zeros():
    for i in range(100):
        yield Columns(x=np.full((1 << 20,), i, np.uint8))
prepare(Dataset("org.example.large", "Large.", {"x": Array()}, {"all": Split(zeros)}), storage=base / "a")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open(base / "b.tar", "wb") as file:
    bundle([], base / "a", file)
with open(base / "b.tar", "rb") as file:
    unbundle(file, base / "b")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    (fast_path / "large.py").write_text(code)
    done = subprocess.run([sys.executable, fast_path / "large.py", fast_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 30_000
