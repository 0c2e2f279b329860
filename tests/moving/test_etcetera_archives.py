"""Archives of the package etcetera: what it pushed is pulled here, and what is pushed here it pulls."""

import gzip
import io
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any, Iterator

import pytest
from foldered import META, flower, held

from dataset_assets import checkout
from dataset_assets.core import registered
from dataset_assets.errors import Conflict, DatasetAssetsError, DecodeError, Refused
from dataset_assets.moving.etcetera import pack, unpack
from dataset_assets.moving.register import adopt, register
from dataset_assets.moving.remotes import listed_names
from dataset_assets.moving.share import pull, push
from dataset_assets.moving.shared_names import archive_key, archived
from dataset_assets.storage import LocalStorage, Storage, open_storage

etcetera = pytest.importorskip("etcetera")
Engine, Repo = etcetera.engine.Engine, etcetera.repo.Repo


class OurStorage(Repo):
    """A remote of etcetera that is a storage of ours."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def ls(self) -> Iterator[str]:
        return (key for key in self.storage.list("") if key.endswith(".tgz"))

    def exists(self, name: str) -> bool:
        return self.storage.exists(name)

    def upload(self, localfile: str, key: str) -> None:
        self.storage.put(key, Path(localfile).read_bytes())

    def download(self, key: str, localfile: str) -> None:
        Path(localfile).write_bytes(self.storage.get(key).read())


@pytest.fixture
def source(home: Path, fast_path: Path) -> Path:
    return flower(fast_path / "flower")


@pytest.fixture
def s3(seaweed: Any, monkeypatch: pytest.MonkeyPatch) -> Storage:
    for variable, value in seaweed.environment.items():
        monkeypatch.setenv(variable, value)
    return open_storage(f"{seaweed.url}etc{os.urandom(4).hex()}")


def test_what_etcetera_pushed_is_pulled_as_a_registered_folder(source: Path, s3: Storage, fast_path: Path):
    etc = Engine(str(fast_path / "etc"))
    etc.register(str(source), "flower")
    etc.push("flower", OurStorage(s3))
    assert listed_names(s3) == ["shared.flower"]
    pull("flower", s3)
    found = checkout("flower")
    assert held(found.root) == held(source) and found.meta == META
    assert not [*registered.names()]
    with pytest.raises(Conflict, match="pull --force shared.flower"):
        pull("flower", s3)
    assert pull("flower", s3, force=True).current == found.version


def test_what_is_pushed_as_an_archive_is_pulled_by_etcetera_and_is_the_same_bytes_each_time(
    source: Path, s3: Storage, fast_path: Path
):
    register(source)
    first = push("flower", s3, tgz=True)
    etc = Engine(str(fast_path / "etc"))
    etc.pull("flower", OurStorage(s3))
    assert held(fast_path / "etc/flower") == held(source)
    assert push("flower", s3, tgz=True).bytes == 0 < first.bytes
    data = s3.get("flower.tgz").read()
    shutil.copytree(source, fast_path / "other/flower")
    pack(fast_path / "other/flower", fast_path / "again.tgz")
    assert (fast_path / "again.tgz").read_bytes() == data
    (source / "README.md").write_bytes(b"new")
    register(source, force=True)
    with pytest.raises(Conflict, match="push --force --tgz shared.flower"):
        push("flower", s3, tgz=True)
    push("flower", s3, tgz=True, force=True)
    etc.pull("flower", OurStorage(s3), force=True)
    assert held(fast_path / "etc/flower") == held(source)


def test_what_lies_in_the_folder_of_etcetera_is_adopted(source: Path, fast_path: Path):
    etc = Engine(str(fast_path / "etc"))
    etc.register(str(source), "flower")
    etc.create("tree")
    (fast_path / "etc/Bad Name/data/train").mkdir(parents=True)
    with pytest.raises(DatasetAssetsError, match="'Bad Name' cannot be the name of a dataset.*as in bad_name"):
        adopt(fast_path / "etc")
    assert sorted(registered.names()) == ["shared.flower", "shared.tree"]
    assert registered.folder_of("shared.flower") == source and [*checkout("tree")] == ["test", "train"]


def archive(*members: tuple[str, bytes, str], link: str = "") -> bytes:
    """Return an archive with these members: name, type and content. That of a link is what it leads to, or `link`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, kind, content in members:
            info, data = tarfile.TarInfo(name), b"" if kind == tarfile.LNKTYPE else content.encode()
            info.type, info.size, info.linkname = kind, len(data), link or content
            info.mode = 0o755 if content == "#!" else 0o644
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


LINK, REGULAR = tarfile.LNKTYPE, tarfile.REGTYPE
HOSTILE = {
    "above": archive(("data/../../up", tarfile.REGTYPE, "up")),
    "absolute": archive(("/tmp/up", tarfile.REGTYPE, "up")),
    "folder above": archive(("../up", tarfile.DIRTYPE, "")),
    "link": archive(("data/train", tarfile.SYMTYPE, ""), ("data/train/up", tarfile.REGTYPE, "up"), link="../.."),
    "hard link": archive(("data/train/up", tarfile.LNKTYPE, "../up")),
    "hard link to a later file": archive(("data/train/up", LINK, "data/train/2"), ("data/train/2", REGULAR, "2")),
    "hard link to itself": archive(("data/train/up", LINK, "data/train/up")),
    "hard link to a folder": archive(("data/train", tarfile.DIRTYPE, ""), ("data/train/up", LINK, "data/train")),
    "hard link above": archive(("data/train/1", REGULAR, "1"), ("data/../../up", LINK, "data/train/1")),
    "hard link to a link": archive(("data/x", tarfile.SYMTYPE, "/etc"), ("data/train/up", LINK, "data/x")),
    "device": archive(("data/train/up", tarfile.CHRTYPE, "")),
    "pipe": archive(("data/train/up", tarfile.FIFOTYPE, "")),
}
WHOLE = archive(("data/train/1", tarfile.REGTYPE, "1" * 5000))
DAMAGED = {
    "empty": b"",
    "no archive": b"<html>" + bytes(600),
    "cut": WHOLE[:-20],
    "cut tar": gzip.compress(gzip.decompress(WHOLE)[:700]),
    "flipped": WHOLE[:60] + bytes([WHOLE[60] ^ 255]) + WHOLE[61:],
    "empty archive": archive(),
}


@pytest.mark.parametrize("what", [*HOSTILE, *DAMAGED])
def test_a_hostile_or_damaged_archive_leaves_the_old_copy_and_writes_nothing_outside(
    source: Path, fast_path: Path, what: str
):
    old, remote = register(source), LocalStorage(fast_path / "remote")
    remote.put("flower.tgz", {**HOSTILE, **DAMAGED}[what])
    with pytest.raises(Refused if what in HOSTILE else DecodeError, match="^flower.tgz in file:"):
        pull("flower", remote, force=True)
    found = checkout("flower")
    assert f"shared.flower@{found.version}" == old and held(found.root) == held(source)
    assert not [path for path in fast_path.rglob("up")] and not Path("/tmp/up").exists()


def test_hard_links_to_earlier_files_of_an_archive_become_copies(
    home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
):
    remote = LocalStorage(fast_path / "remote")
    links = [("data/train/b", LINK, "./data/train/a"), ("data/test/c", LINK, "data/train/b")]
    remote.put("flower.tgz", archive(("data/train/a", REGULAR, "#!"), *links, ("data/train/d", REGULAR, "d")))
    pull("flower", remote)
    found = held(checkout("flower").root)
    assert found["data/train/a"] == found["data/train/b"] == found["data/test/c"] != found["data/train/d"]
    assert found["data/test/c"][1] and not found["data/train/d"][1]
    monkeypatch.setenv("DATASET_ASSETS_MAX_DECODED_BYTES", str(2 << 20))
    more = [("data/test/e", LINK, "data/train/a"), ("data/test/f", LINK, "data/train/a")]
    remote.put("flower.tgz", archive(("data/train/a", REGULAR, "a" * 800_000), *links, *more))
    with pytest.raises(Refused, match="stand for too many bytes.*MAX_DECODED_BYTES"):
        pull("flower", remote, force=True)


def test_an_archive_that_is_no_dataset_is_refused(home: Path, fast_path: Path):
    remote = LocalStorage(fast_path / "remote")
    remote.put("flower.tgz", archive(("data/stray", tarfile.REGTYPE, "1")))
    with pytest.raises(DatasetAssetsError, match="stray is a file"):
        pull("flower", remote)
    assert listed_names(open_storage(home / "storage")) == []


def test_keys_of_archives_and_names_are_each_others_inverse(fast_path: Path):
    assert [archived(archive_key(name)) for name in ("shared.a", "org.b.c")] == ["shared.a", "org.b.c"]
    assert archived("a/b.tgz") is archived("A.tgz") is archived("a.tar") is None
    unpack(io.BytesIO(archive(("data/train", tarfile.DIRTYPE, ""))), fast_path / "only folders")
    assert held(fast_path / "only folders") == {"data": ("a folder", False), "data/train": ("a folder", False)}
