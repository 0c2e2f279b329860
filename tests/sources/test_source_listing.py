"""Sources that a service lists: datasets of the Hugging Face Hub, and prefixes and patterns of buckets."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any, Iterator

import datasets
import obstore
import pandas
import pytest
from hub_server import Hub, Repository
from obstore.store import S3Store
from PIL import Image as Pictures

from dataset_assets import RemoteFile, dataset_from, prepare
from dataset_assets.errors import RetrievalError, UsageError
from dataset_assets.sources import source_of
from dataset_assets.storage import MemoryStorage


def parquet(table: Any) -> bytes:
    table.to_parquet(made := io.BytesIO())
    return made.getvalue()


def picture(side: int) -> bytes:
    Pictures.new("RGB", (side, side)).save(made := io.BytesIO(), "png")
    return made.getvalue()


LABELS = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
TRAIN = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, 1]}, features=LABELS)
TEST = datasets.Dataset.from_dict({"text": ["d"], "label": [0]}, features=LABELS)
CARD = b"""---
license: mit
configs:
- config_name: en
  default: true
  data_files:
  - split: train
    path: en/part*.jsonl
  - split: held-out
    path: [en/rest.jsonl]
- config_name: de
  data_files: "de.jsonl"
---
# Card
"""


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def put(hub: Hub, files: dict[str, bytes]) -> str:
    return hub.repositories.setdefault("owner/birds", Repository()).commit(files)


def views(source: Any, **options: Any) -> Any:
    return prepare(dataset_from(source, **options), storage=MemoryStorage())


def test_a_dataset_of_the_hub_has_its_splits_and_classes_and_is_pinned(hub: Hub) -> None:
    files = {
        "README.md": b"# Birds",
        ".gitattributes": b"x",
        "data/train-00000-of-00002.parquet": parquet(TRAIN.select([0, 1])),
        "data/train-00001-of-00002.parquet": parquet(TRAIN.select([2])),
        "data/test-00000-of-00001.parquet": parquet(TEST),
    }
    commit = put(hub, files)
    for source in ("hf://owner/birds", "hf://datasets/owner/birds@main/data", "hf://owner/birds/data/*.parquet"):
        definition = dataset_from(source)
        found = prepare(definition, storage=MemoryStorage())
        assert {split: [*view] for split, view in found.items()} == {"test": [*TEST], "train": [*TRAIN]}
        assert found["train"].classes == {"label": ("no", "yes")}
        assert all(f"@{commit}/" in file.name and file.digest for file in definition.files.values())
    assert dataset_from("hf://owner/birds").name == "local.birds"
    assert f"@{commit}/data/train-00000-of-00002.parquet" in source_of(definition)
    assert [*views("hf://owner/birds/data/test-00000-of-00001.parquet")] == ["all"]
    # What was published later is another commit.
    put(hub, {**files, "data/test-00000-of-00001.parquet": parquet(TRAIN)})
    assert len(prepare(definition, storage=MemoryStorage())["test"]) == 1


def test_the_card_names_the_splits(hub: Hub) -> None:
    def lines(*texts: str) -> bytes:
        return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()

    files = {"en/part1.jsonl": lines("a"), "en/part2.jsonl": lines("b"), "en/rest.jsonl": lines("c")}
    put(hub, {**files, "de.jsonl": lines("d"), "README.md": CARD})
    assert {split: [one["text"] for one in view] for split, view in views("hf://owner/birds").items()} == {
        "held_out": ["c"],
        "train": ["a", "b"],
    }
    assert [one["text"] for one in views("hf://owner/birds", config="de")["train"]] == ["d"]
    with pytest.raises(UsageError, match="no configuration 'dee'. Did you mean 'de'?"):
        dataset_from("hf://owner/birds", config="dee")
    put(hub, {**files, "README.md": CARD.replace(b"  default: true\n", b"")})
    with pytest.raises(UsageError, match="several configurations. Choose one: config='en' or 'de'"):
        dataset_from("hf://owner/birds")
    put(hub, {"README.md": CARD})
    with pytest.raises(UsageError, match="'en' names 'en/part\\*.jsonl', which is no file of the dataset"):
        dataset_from("hf://owner/birds")
    put(hub, {**files, "README.md": CARD.replace(b"license: mit", b"license: [mit")})
    with pytest.raises(UsageError, match="cannot be read: line .* Name its files by a pattern"):
        dataset_from("hf://owner/birds")


def test_pictures_of_the_hub_have_splits_and_classes_of_their_folders(hub: Hub) -> None:
    paths = [f"{split}/{kind}/{k}.png" for split in ("train", "test") for kind in ("cat", "dog") for k in (1, 2)]
    put(hub, {"README.md": b"", **{path: picture(k + 1) for k, path in enumerate(paths)}})
    found = views("hf://owner/birds")
    assert {split: len(view) for split, view in found.items()} == {"test": 4, "train": 4}
    assert found["train"].classes == {"label": ("cat", "dog")}
    assert [(one["image"].shape[0], one["label"]) for one in found["train"]] == [(1, 0), (2, 0), (3, 1), (4, 1)]


def test_an_archive_of_the_hub_is_read_as_its_files(hub: Hub) -> None:
    with zipfile.ZipFile(made := io.BytesIO(), "w") as archive:
        for kind in ("cat", "dog"):
            archive.writestr(f"train/{kind}/1.png", picture(2))
    put(hub, {"pets.zip": made.getvalue(), "README.md": b""})
    for source in ("hf://owner/birds/pets.zip", "hf://owner/birds@main"):
        assert [one["label"] for one in views(source)["train"]] == [0, 1]
    assert dataset_from("hf://owner/birds@main").name == "local.birds"


def test_offline_nothing_is_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    put(hub, {"a.csv": b"x\n1\n"})
    monkeypatch.setenv("DATASET_ASSETS_OFFLINE", "1")
    for source in ("hf://owner/birds", f"{hub.url}/a.csv"):
        with pytest.raises(RetrievalError, match="was not looked at, because the setting `offline` is on"):
            dataset_from(source)
    assert not hub.asked


def test_config_is_for_the_hub_alone(home: Path) -> None:
    for source in ("s3://bucket/a/", {"x": [1]}):
        with pytest.raises(UsageError, match="config= is that of a dataset of the Hugging Face Hub"):
            dataset_from(source, config="x")


@pytest.fixture
def bucket(seaweed: Any, monkeypatch: pytest.MonkeyPatch, home: Path) -> tuple[str, Any]:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    name = seaweed.url.partition("://")[2].strip("/")
    return f"s3://{name}", S3Store(name, client_options={"allow_http": True})


def test_objects_below_a_prefix_are_a_source(bucket: tuple[str, Any]) -> None:
    url, client = bucket
    frames = {"train": pandas.DataFrame({"x": [1, 2]}), "test": pandas.DataFrame({"x": [3]})}
    for split, frame in frames.items():
        obstore.put(client, f"tables/{split}-0.parquet", parquet(frame))
        obstore.put(client, f"pets/{split}/cat/1.png", picture(len(frame)))
    for source in (f"{url}/tables/", f"{url}/tables/*.parquet", f"{url}/**/*-0.parquet"):
        assert {split: [one["x"] for one in view] for split, view in views(source).items()} == {
            "test": [3],
            "train": [1, 2],
        }
    for source in (f"{url}/pets/", f"{url}/pets/**/*.png"):
        found = views(source)
        assert {split: view[0]["image"].shape for split, view in found.items()} == {
            "test": (1, 1, 3),
            "train": (2, 2, 3),
        }
        assert found["train"].classes == {"label": ("cat",)}
    with pytest.raises(RetrievalError, match="There is nothing below"):
        dataset_from(f"{url}/none/")


def test_a_prefix_is_a_file_of_a_split_and_a_refresh_sees_its_changes(bucket: tuple[str, Any]) -> None:
    url, client = bucket
    obstore.put(client, "texts/a/1.txt", b"one")
    definition, storage = dataset_from(f"{url}/texts/"), MemoryStorage()
    assert [*definition.files.values()] == [RemoteFile(f"{url}/texts/", identifier="folder", keep=False)]
    first = prepare(definition, storage=storage)["all"]
    assert prepare(definition, storage=storage, refresh=True)["all"].version == first.version  # type: ignore[attr-defined]
    obstore.put(client, "texts/a/2.txt", b"two")
    assert [one["text"] for one in prepare(definition, storage=storage, refresh=True)["all"]] == ["one", "two"]
