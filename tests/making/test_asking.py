"""Which sources are asked: those on this machine in every run, those on servers in a refresh, and N10."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Iterator

import dagster as dg
import pytest
from conftest import looked_at
from orchestrated import files_in, run

from dataset_assets import Array, Dataset, RemoteFile, Split, load, prepare
from dataset_assets.errors import DigestMismatch, RetrievalError
from dataset_assets.making.asking import question
from dataset_assets.storage import open_storage
from dataset_assets.storage.raw_files import Source
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.server import ChangeEtag, FaultyServer

NAME = "org.example.here"


def lines(table: Any) -> Iterator[Any]:
    for line in table:
        yield {"n": int(line)}


def dataset(*urls: str, digest: str | None = None) -> Dataset:
    file = RemoteFile(urls[0], mirrors=urls if len(urls) > 1 else (), digest=digest, identifier="n_txt")
    return Dataset(NAME, "Numbers.", {"n": Array("int64")}, {"all": Split(lines, table=file)})


def numbers() -> list[int]:
    found: list[int] = load(NAME, "all").to_numpy()["n"].tolist()
    return found


@pytest.fixture(params=["file", "package"])
def source(request: pytest.FixtureRequest, home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = fast_path / "carrier_kit"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "n.txt").write_bytes(b"1\n2\n")
    installed = fast_path / "carrier_kit-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: carrier_kit\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(fast_path))
    monkeypatch.delitem(sys.modules, "carrier_kit", raising=False)
    monkeypatch.setenv("SCHEME", request.param)
    return folder / "n.txt"


def url_of(source: Path) -> str:
    return source.as_uri() if os.environ["SCHEME"] == "file" else "package://carrier_kit/n.txt"


def longer(path: Path) -> None:
    path.write_bytes(b"1\n2\n3\n")


def in_place(path: Path) -> None:
    """Write other bytes of the same number, and set the time back."""
    before = path.stat()
    path.write_bytes(b"1\n3\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def renamed(path: Path) -> None:
    before, other = path.stat(), path.with_name("other.txt")
    other.write_bytes(b"1\n4\n")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


def linked(path: Path) -> None:
    other = path.with_name("other.txt")
    other.write_bytes(b"1\n5\n")
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize("refresh", [False, True])
@pytest.mark.parametrize("rewrite", [longer, in_place, renamed, linked])
def test_every_rewrite_of_a_file_on_this_machine_is_seen(
    rewrite: Callable[[Path], None], refresh: bool, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        old = prepare(dataset(url_of(source)))["all"].version
    rewrite(source)
    prepare(dataset(url_of(source)), refresh=refresh)
    assert numbers() == [int(line) for line in source.read_bytes().splitlines()] != [1, 2]
    said = [record.getMessage() for record in caplog.records]
    assert said == ([] if refresh else [f"{NAME}: {url_of(source)} has changed; its new bytes are used."])
    assert load(f"{NAME}@{old}")["all"].to_numpy()["n"].tolist() == [1, 2]


def touched(path: Path) -> None:
    os.utime(path)


def copied(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


def absent(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [touched, copied, absent])
def test_the_same_bytes_write_nothing_and_an_absent_file_leaves_what_is_stored(
    change: Callable[[Path], None], source: Path, home: Path
) -> None:
    version = prepare(dataset(url_of(source)))["all"].version
    before = looked_at(home / "storage")
    change(source)
    assert prepare(dataset(url_of(source)))["all"].version == version
    assert looked_at(home / "storage") == before
    if change is absent:
        with pytest.raises(RetrievalError):
            prepare(dataset(url_of(source)), refresh=True)


def test_a_plain_run_of_dagster_sees_a_rewrite_too(source: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(dataset(url_of(source)), instance).success
        in_place(source)
        assert run(dataset(url_of(source)), instance).success
    assert numbers() == [1, 3]


def test_what_is_questioned(source: Path, home: Path) -> None:
    here, far = url_of(source), "https://example.org/n.txt"
    prepare(dataset(here))
    stored = StoredDataset(open_storage(home / "storage"), NAME)
    raw = stored.raw("n_txt")
    assert raw
    anew, server = Source(here), replace(raw, url=far, source=Source(far, '"a"', "Mon"))
    gone = replace(server, sha256="0" * 64)

    def asked(raw: Any, *urls: str, refresh: bool = False, digest: str | None = None) -> Source | None:
        file = dataset(*urls, digest=digest).remote_files["n_txt"]
        return question(stored, file, raw, refresh=refresh, offline=False)

    # A file here, whether or not its digest is declared; one that comes after a mirror.
    assert asked(raw, here) is None and asked(raw, here, refresh=True) is None
    assert asked(raw, far, here) is None and asked(raw, far, here, refresh=True) == anew
    # A server: what is released, what is gone, what is provisional, what is doubted.
    assert asked(server, far) is None and asked(server, far, refresh=True) == server.source
    assert asked(gone, far) is None and asked(gone, far, refresh=True) == Source(far)
    assert asked(replace(gone, state="provisional"), far) == Source(far)
    with source.open("ab") as file:
        file.write(b"9\n")
    assert asked(raw, here) == anew == asked(raw, far, here)
    declared = f"sha256:{raw.sha256}"
    assert asked(raw, here, digest=declared) is None and asked(raw, here, digest=declared, refresh=True) == anew


# --- N10: other bytes of the same number under the same URL, with an ETag that changed, and without one


@pytest.mark.parametrize("etag", [True, False])
@pytest.mark.parametrize("way", ["prepare", "dagster"])
def test_bytes_that_changed_are_a_new_version_of_a_refresh_and_never_replace_others(
    etag: bool, way: str, home: Path
) -> None:
    def refreshed() -> None:
        if way == "prepare":
            prepare(dataset(url), refresh=True)
            return
        with dg.DagsterInstance.ephemeral() as instance:
            assert run(dataset(url), instance, tags={"dataset_assets/refresh": "true"}).success

    with FaultyServer({"/n.txt": b"1\n2\n"}) as server:
        server.script("/n.txt", [] if etag else [ChangeEtag(None)] * 4)
        url = f"{server.url}/n.txt"
        old = prepare(dataset(url))["all"].version
        before = files_in(home / "storage")
        server.files["/n.txt"] = b"1\n7\n"
        # A plain run does not ask; when it has to, both digests are named, and nothing is replaced.
        prepare(dataset(url))
        stored = StoredDataset(open_storage(home / "storage"), NAME)
        raw = stored.raw("n_txt")
        assert raw
        [path] = (home / "storage").rglob(raw.sha256)
        path.rename(home / "aside")
        with pytest.raises(
            DigestMismatch, match=f"has sha256 [0-9a-f]{{64}}, not the {raw.sha256} .* --refresh {NAME}"
        ):
            prepare(replace(dataset(url), version="2"))
        (home / "aside").rename(path)
        assert files_in(home / "storage") == before
        refreshed()
    assert numbers() == [1, 7]
    after = files_in(home / "storage")
    assert load(f"{NAME}@{old}", verify="all")["all"].to_numpy()["n"].tolist() == [1, 2]
    moved = {path for path in before if before[path] != after.get(path)}
    assert {Path(path).name for path in moved} == {"current.json", "source.json"}
