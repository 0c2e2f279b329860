"""Objects of buckets as sources, on real servers: whole, of one ETag, asked again only for what changed."""

from pathlib import Path
from typing import Iterator

import obstore
import pytest
from obstore.store import AzureStore, S3Store

from dataset_assets import Array, Dataset, RemoteFile, Split, dataset_from, prepare
from dataset_assets.decoding import csv_blocks
from dataset_assets.errors import RetrievalError, UsageError
from dataset_assets.retrieval import fetch_first, retriever_for
from dataset_assets.storage import MemoryStorage

KEY = "some folder/tables (1)/año.csv"


@pytest.fixture(params=["seaweed", "azurite"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[tuple[str, object]]:
    """The URL of a bucket, and a client of it."""
    place = request.getfixturevalue(request.param)
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    scheme, _, rest = place.url.partition("://")
    name = rest.strip("/")
    kind = S3Store if scheme == "s3" else AzureStore
    yield f"{scheme}://{name}", kind(name, client_options={"allow_http": True})


def read(url: str, into: Path, known: object = None) -> object:
    return fetch_first([url], into, known, lambda path: None)  # type: ignore[arg-type]


def test_an_object_of_any_name_is_read_whole_and_not_again(bucket: tuple[str, object], home: Path) -> None:
    url, client = bucket
    data = bytes(range(256)) * 20_000
    obstore.put(client, KEY, data)
    source = read(f"{url}/{KEY}", home.parent / "file")
    assert (home.parent / "file").read_bytes() == data and source is not None
    assert read(f"{url}/{KEY}", home.parent / "again", source) is None
    assert not (home.parent / "again").exists()
    look = retriever_for(url).look(f"{url}/{KEY}")  # type: ignore[attr-defined]
    assert look.bytes == len(data) and look.etag == source.etag  # type: ignore[attr-defined]
    obstore.put(client, KEY, b"new")
    assert read(f"{url}/{KEY}", home.parent / "again", source) is not None
    assert (home.parent / "again").read_bytes() == b"new"
    obstore.put(client, "empty", b"")
    read(f"{url}/empty", home.parent / "empty")
    assert (home.parent / "empty").read_bytes() == b""


def test_a_dataset_is_made_of_objects_and_refreshed(bucket: tuple[str, object]) -> None:
    url, client = bucket
    obstore.put(client, "t/a.csv", b"x\n1\n2\n")
    streams, splits = {"x": Array("int64")}, {"all": Split(csv_blocks, file=RemoteFile(f"{url}/t/a.csv"))}
    dataset, storage = Dataset("org.example.object", "O.", streams, splits), MemoryStorage()
    first = prepare(dataset, storage=storage)["all"]
    assert [one["x"] for one in first] == [1, 2]
    assert prepare(dataset, storage=storage, refresh=True)["all"].version == first.version  # type: ignore[attr-defined]
    obstore.put(client, "t/a.csv", b"x\n3\n")
    assert [one["x"] for one in prepare(dataset, storage=storage, refresh=True)["all"]] == [3]
    made = prepare(dataset_from(f"{url}/t/a.csv"), storage=storage)
    assert [one["x"] for one in made["all"]] == [3]


def test_what_is_not_there_is_said_without_secrets(bucket: tuple[str, object], home: Path) -> None:
    url, _ = bucket
    with pytest.raises(RetrievalError, match="nothing.csv is not there") as refused:
        read(f"{url}/nothing.csv", home.parent / "file")
    assert "secret" not in str(refused.value).lower()
    scheme = url.partition(":")[0]
    with pytest.raises(RetrievalError):
        read(f"{scheme}://no-such-bucket-here/a.csv", home.parent / "file")
    for wrong, words in ((url, "names no object"), (f"{url}/a.csv#x", "names no object"), (f"{url}/a/#x", "no prefix")):
        with pytest.raises(UsageError, match=words):
            read(wrong, home.parent / "file")
