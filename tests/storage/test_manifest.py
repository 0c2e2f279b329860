"""The index: canonical, named by its digest, and the same today as when the golden store was made.

The golden store in `data/golden` was written by the first release and must stay readable for ever; its digests must be
those of a fresh preparation as long as `WRITING` and the formats' versions are the same.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import looked_at, url
from hypothesis import given
from hypothesis import strategies as st
from places import TESTS

from dataset_assets import Dataset, load, prepare
from dataset_assets.core.canonical import canonical, digest_of, sha256_hex
from dataset_assets.errors import DecodeError, NewerFormat, NotPrepared
from dataset_assets.storage import MemoryStorage
from dataset_assets.storage.keys import index_key, pointer_key, raw_key, source_key, stream_key, version_key
from dataset_assets.storage.manifest import (
    Finding,
    SplitIndex,
    StoredFile,
    StoredStream,
    UsedFile,
    Version,
    pointer_to,
    sealed,
    unsealed,
)
from dataset_assets.storage.stored_dataset import StoredDataset

GOLDEN = TESTS / "data" / "golden"
EXCLUDED = TESTS / "data" / "golden_excluded"
"""The same of format 2, from which two samples were taken out on request."""
EXCLUDED_VERSION = "127ddafdf0b8b2ca3d9271d5fc39edd57f5d0bbc5c27288e5f1365195771f7a0"
VERSION = "e945f98d70fcc344cbb8ed84a267b5f0eaedb3a3da9b17c889ac1d5783e7d8eb"
DIGESTS = {
    "train": "71798cfec4f61aa08f850e66530ee94b1898549fd9df7943ed05508033489aee",
    "test": "7a0c54c39774c95fbc608e2cf4b3908446230f51ae1e866df8bff76cea3485e9",
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

INDEX = SplitIndex(
    dataset="org.example.tiny", split="train", version="1", samples=2,
    streams={"x": StoredStream("array", {"dtype": "<f4", "scale": 0.5}, 1, ".npy", (StoredFile("a" * 64, 5, 2),))},
    sources=(UsedFile("numbers", "numbers_csv", "b" * 64, 7, "https://example.org/numbers.csv"),),
    arguments={"scale": 0.1, "sizes": [1, 2.5], "word": "é\ud800"}, roles={"sample": "x"}, license=None,
    findings=(Finding("counts", True, "2 samples."),), recipe="c" * 64,
)  # fmt: skip


def test_keys_are_asset_keys() -> None:
    assert raw_key("a.b", "x_csv", "0") == "a/b/raw/x_csv/0"
    assert source_key("a.b", "x_csv") == "a/b/raw/x_csv/source.json"
    assert stream_key("a.b", "train", "image", "0", ".npy") == "a/b/train/image/0.npy"
    assert index_key("a.b", "train", "0") == "a/b/train/index/0.json"
    assert version_key("a.b", "0") == "a/b/versions/0.json"
    assert pointer_key("a.b") == "a/b/current.json"


def test_canonical_json_is_fixed() -> None:
    document = {"b": [1, None, True], "a": {"é": "ü", "float": 0.1}, "c": (2**70, -1)}
    expected = '{"a":{"float":{"float":"0.1"},"é":"ü"},"b":[1,null,true],"c":[1180591620717411303424,-1]}'
    assert canonical(document) == expected.encode()


@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_canonical_json_is_utf8_without_floats_and_does_not_depend_on_order(document: dict[str, Any]) -> None:
    data = canonical(document)
    assert canonical(dict(reversed(document.items()))) == data
    assert canonical(json.loads(data)) == data

    def refuse(text: str) -> None:
        raise AssertionError(f"a float: {text}")

    json.loads(data.decode(), parse_float=refuse)


def test_an_index_comes_back_as_it_was_with_its_floats() -> None:
    storage = MemoryStorage()
    digest = digest_of(INDEX)
    storage.put(index_key(INDEX.dataset, "train", digest), canonical(INDEX))
    found = StoredDataset(storage, INDEX.dataset).index("train", digest)
    assert found == INDEX
    assert digest_of(found) == digest
    assert (found.bytes, found.streams["x"].bytes) == (5, 5)


@pytest.mark.parametrize("argument", [{"float": "0.5"}, {"float": "abc"}, {"float": 5}, {"float": "0.50"}])
def test_what_looks_like_a_written_float_keeps_its_digest(argument: Any) -> None:
    storage, index = MemoryStorage(), replace(INDEX, arguments={"a": argument})
    digest = digest_of(index)
    storage.put(index_key(INDEX.dataset, "train", digest), canonical(index))
    assert digest_of(StoredDataset(storage, INDEX.dataset).index("train", digest)) == digest


def test_a_version_comes_back_and_knows_whether_it_was_refused() -> None:
    storage = MemoryStorage()
    version = Version("org.example.tiny", {"train": "a" * 64}, (Finding("leakage", False, "x", "warn"),), "r")
    digest = digest_of(version)
    storage.put(version_key(version.dataset, digest), canonical(version))
    assert StoredDataset(storage, version.dataset).version(digest) == version
    assert not version.refused
    assert replace(version, findings=(Finding("leakage", False, "x", "error"),)).refused
    assert not replace(version, findings=(Finding("leakage", True, "x", "error"),)).refused


@pytest.mark.parametrize(
    "change",
    [{"splits": {"../x": "a" * 64}}, {"splits": {"train": "../x"}}, {"splits": []}, {"dataset": "a.b"}, {"x": 1}],
)
def test_a_version_that_is_none_is_refused(change: dict[str, Any]) -> None:
    storage = MemoryStorage()
    document = {**json.loads(canonical(Version("org.example.tiny", {"train": "a" * 64}))), **change}
    storage.put(version_key("org.example.tiny", digest_of(document)), canonical(document))
    with pytest.raises(ValueError, match="org.example.tiny|a.b|split"):
        StoredDataset(storage, "org.example.tiny").version(digest_of(document))


def test_a_pointer_is_read_with_its_own_digest() -> None:
    storage = MemoryStorage()
    assert StoredDataset(storage, "a.b").pointer() == (None, None)
    storage.put(pointer_key("a.b"), pointer_to("d" * 64))
    assert StoredDataset(storage, "a.b").pointer() == ("d" * 64, sha256_hex(pointer_to("d" * 64)))


def test_a_seal_covers_all_and_comes_before_the_format() -> None:
    data = sealed({"version": "d" * 64})
    assert unsealed(data, "key", "a.b") == {"version": "d" * 64}
    with pytest.raises(DecodeError, match="seal is broken.*dataset-assets prepare a.b") as caught:
        unsealed(data.replace(b'"format":1', b'"format":3'), "key", "a.b")
    assert not isinstance(caught.value, NewerFormat)
    newer = {"format": 3, "version": "d" * 64}
    with pytest.raises(NewerFormat, match="Upgrade"):
        unsealed(canonical({**newer, "seal": digest_of(newer)}), "key", "a.b")
    for broken in (b"[" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"[]", b"1", b"\xff\xfe", b""):
        with pytest.raises(DecodeError):
            unsealed(broken, "key", "a.b")


def test_what_is_gone_is_said() -> None:
    with pytest.raises(NotPrepared, match="no index 0000.* of split train of a.b in memory://"):
        StoredDataset(MemoryStorage(), "a.b").index("train", "0" * 64)


# --- golden


def test_the_golden_store_stays_readable() -> None:
    before = looked_at(GOLDEN)
    views = load(tiny.NAME, storage=str(GOLDEN), verify="all")
    assert tiny.plain(views) == tiny.expected()
    assert views["train"].version == VERSION
    assert views["train"].roles == {"sample": "image", "target": "label"}
    for view in views.values():
        with view.open_raw("numbers") as file:
            assert file.read() == tiny.NUMBERS
    assert looked_at(GOLDEN) == before


def test_a_fresh_preparation_has_the_golden_digests(home: Path, dataset: Dataset) -> None:
    views = prepare(dataset)
    assert {split: view.origin.index for split, view in views.items()} == DIGESTS
    assert views["train"].version == VERSION


def test_the_golden_store_is_taken_over_without_a_download(home: Path, fast_path: Path, dataset: Dataset) -> None:
    shutil.copytree(GOLDEN, home / "storage")
    before = looked_at(home / "storage")
    nowhere = tiny.tiny(url(fast_path / "nowhere"))
    assert prepare(nowhere)["train"].version == VERSION
    assert looked_at(home / "storage") == before


def test_the_golden_store_of_format_2_stays_readable_and_is_taken_over(
    home: Path, fast_path: Path, dataset: Dataset
) -> None:
    shutil.copytree(EXCLUDED, home / "storage")
    before = looked_at(home / "storage")
    views = load(tiny.NAME, verify="all")
    assert views["train"].version == EXCLUDED_VERSION
    left = {split: [one for one in some if one["text"] not in ("ccé", "hhhé")] for split, some in all_samples().items()}
    assert tiny.plain(views) == left and [len(some) for some in left.values()] == [3, 5]
    assert prepare(tiny.tiny(url(fast_path / "nowhere")))["train"].version == EXCLUDED_VERSION
    assert looked_at(home / "storage") == before


def all_samples() -> Any:
    return tiny.plain(load(tiny.NAME, storage=str(GOLDEN)))
