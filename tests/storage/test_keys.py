"""The layout: every key that is written is read back as what it is, and no other key is taken for one."""

import pytest
import tiny
from released import Released

from dataset_assets.storage import LocalStorage
from dataset_assets.storage.keys import (
    collector_key,
    contents,
    index_key,
    pin_key,
    place_of,
    pointer_key,
    raw_key,
    source_key,
    stream_key,
    version_key,
)

NAME, DIGEST = "com.lecun.mnist", "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (pointer_key(NAME), ("pointer", "", "")),
        (version_key(NAME, DIGEST), ("version", "", DIGEST)),
        (pin_key(NAME, DIGEST), ("pin", "", DIGEST)),
        (collector_key(NAME), ("collector", "", "")),
        (source_key(NAME, "train_gz"), ("source", "train_gz", "")),
        (raw_key(NAME, "train_gz", DIGEST), ("raw", "train_gz", DIGEST)),
        (index_key(NAME, "train", DIGEST), ("index", "train", DIGEST)),
        (stream_key(NAME, "train", "image", DIGEST, ".npy"), ("stream", "train", DIGEST)),
        (stream_key(NAME, "train", "image", DIGEST, ""), ("stream", "train", DIGEST)),
    ],
)
def test_a_key_is_read_back_as_what_it_was_made_of(key, expected):
    place = place_of(key)
    assert place is not None and place.dataset == NAME
    assert (place.kind, place.name, place.digest) == expected


@pytest.mark.parametrize(
    "key",
    ["README.md", "current.json", "meta/probe_1", f"a/{DIGEST}", "Com/x/current.json", "mnist/current.json",
     f"com/lecun/mnist/train/image/{DIGEST[:-1]}.npy", f"com/lecun/mnist/versions/{DIGEST}.txt"],
)  # fmt: skip
def test_other_keys_are_nothing_of_ours(key):
    assert place_of(key) is None


def test_every_key_that_is_written_is_known(home, fast_path):
    Released(fast_path)
    found, strange = contents(LocalStorage(home / "storage").list(""))
    assert strange == [] and [*found] == [tiny.NAME]
    kinds = {place.kind for place in found[tiny.NAME].places}
    assert kinds == {"pointer", "version", "source", "raw", "recipe", "index", "stream"}
