"""Each kind of data becomes a correct shuffled batch of torch, with a validation split, in five lines."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import h5py
import numpy as np
import pandas
import pytest
import torch
from conftest import on_server
from hub_server import Hub, Repository
from media import picture

ROWS, BATCH = 40, 8
SHARES = 'splits={"train": 0.75, "validation": 0.25}'
LINES = """
from dataset_assets import Loader, dataset_from, prepare

data = prepare(dataset_from({source}))
for batch in Loader(data["train"], batch_size=8, shuffle=True, output="torch"):
    keep(batch)
"""
NUMBERS = np.arange(ROWS)
KINDS = [("finch", "owl")[n % 2] for n in NUMBERS]
FRAME = pandas.DataFrame({"n": NUMBERS, "half": NUMBERS / 2, "kind": KINDS})

Batch = dict[str, Any]


def csv(folder: Path) -> str:
    FRAME.assign(
        half=[None if n % 5 == 0 else n / 2 for n in NUMBERS],
        seen=pandas.date_range("2020-01-01", periods=ROWS),
        note=[f'a "quoted",\nline {n}' for n in NUMBERS],
    ).to_csv(folder / "birds.csv", index=False)
    return f'"birds.csv", target="kind", {SHARES}'


def of_csv(batch: Batch) -> None:
    n = of_numbers(batch, half=False)
    missing = torch.isnan(batch["half"])
    assert missing.tolist() == [k % 5 == 0 for k in n]
    assert torch.equal(batch["half"][~missing], batch["n"][~missing] / 2)
    assert batch["note"] == [f'a "quoted",\nline {k}' for k in n]
    days = np.datetime64("2020-01-01") + np.array(n)
    assert [np.datetime64(day, "D") for day in batch["seen"]] == [*days]


def of_numbers(batch: Batch, half: bool = True) -> list[int]:
    """See that numbers, their halves and their classes belong together; return the numbers."""
    assert isinstance(batch["n"], torch.Tensor) and isinstance(batch["kind"], torch.Tensor)
    assert torch.equal(batch["kind"].long(), batch["n"].long() % 2)
    if half:
        assert torch.equal(batch["half"], batch["n"] / 2)
    found: list[int] = batch["n"].tolist()
    return found


def folder_of_pictures(folder: Path) -> str:
    for split, part in {"train": NUMBERS[:30], "validation": NUMBERS[30:]}.items():
        for n in part:
            path = folder / "birds" / split / KINDS[n] / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture("PNG", 4, 5, seed=int(n)))
    (folder / "birds" / ".DS_Store").write_bytes(b"left behind")
    return '"birds"'


PIXELS = {bytes(picture("PNG", 4, 5, seed=int(n))): int(n) for n in NUMBERS}


def of_pictures(batch: Batch) -> None:
    from PIL import Image

    shown = {np.asarray(Image.open(io.BytesIO(data))).tobytes(): n for data, n in PIXELS.items()}
    assert batch["image"].shape == (len(batch["label"]), 4, 5, 3)
    numbers = [shown[image.numpy().tobytes()] for image in batch["image"]]
    assert batch["label"].tolist() == [n % 2 for n in numbers]


def parquet(folder: Path) -> str:
    FRAME.to_parquet(folder / "birds.parquet")
    return f'"birds.parquet", target="kind", {SHARES}'


def nested(folder: Path) -> str:
    lines = ({"n": int(n), "kind": KINDS[n], "place": {"at": [int(n), {"deep": str(n)}]}} for n in NUMBERS)
    (folder / "birds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f'"birds.jsonl", target="kind", {SHARES}'


def of_nested(batch: Batch) -> None:
    n = of_numbers(batch, half=False)
    assert batch["place"] == [{"at": [k, {"deep": str(k)}]} for k in n]


def saved(folder: Path) -> str:
    datasets.Dataset.from_pandas(FRAME).save_to_disk(folder / "saved")
    return f'"saved", target="kind", {SHARES}'


def texts(folder: Path) -> str:
    with tarfile.open(folder / "reviews.tar.gz", "w:gz") as archive:
        for n in NUMBERS:
            split = "train" if n < 30 else "validation"
            info = tarfile.TarInfo(f"reviews/{split}/{KINDS[n]}/{n}.txt")
            info.size = len(data := f"text {n}".encode())
            archive.addfile(info, io.BytesIO(data))
    return '"reviews.tar.gz"'


def of_texts(batch: Batch) -> None:
    assert batch["label"].tolist() == [int(text.removeprefix("text ")) % 2 for text in batch["text"]]


def npz(folder: Path) -> str:
    np.savez(folder / "birds.npz", n=NUMBERS, half=NUMBERS / 2, kind=NUMBERS % 2)
    return f'"birds.npz", target="kind", {SHARES}'


def h5(folder: Path) -> str:
    with h5py.File(folder / "birds.h5", "w") as file:
        for name, values in {"n": NUMBERS, "half": NUMBERS / 2, "kind": NUMBERS % 2}.items():
            file[name] = values
    return f'"birds.h5", target="kind", {SHARES}'


def shards(folder: Path) -> str:
    for shard in range(2):
        with tarfile.open(folder / f"birds-{shard}.tar", "w") as archive:
            for n in NUMBERS[shard * 20 : shard * 20 + 20]:
                files = {"png": picture("PNG", 4, 5, seed=int(n)), "cls": b"%d" % (n % 2)}
                for ending, data in files.items():
                    info = tarfile.TarInfo(f"{n}.{ending}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    return f'"birds-*.tar", target="cls", {SHARES}'


def of_shards(batch: Batch) -> None:
    of_pictures({"image": batch["png"], "label": batch["cls"]})


LOCAL: dict[str, tuple[Callable[[Path], str], Callable[[Batch], Any]]] = {
    "CSV": (csv, of_csv),
    "a folder of pictures": (folder_of_pictures, of_pictures),
    "Parquet": (parquet, of_numbers),
    "JSON lines": (nested, of_nested),
    "Hugging Face on disk": (saved, of_numbers),
    "an archive of texts": (texts, of_texts),
    "npz": (npz, of_numbers),
    "HDF5": (h5, of_numbers),
    "WebDataset": (shards, of_shards),
}


def see(source: str, check: Callable[[Batch], Any]) -> None:
    """Run the lines that a reader of the docs writes; see that the batches are right, shuffled and complete."""
    code = LINES.format(source=source)
    assert len([line for line in code.splitlines() if line]) <= 6
    batches: list[Batch] = []
    space: dict[str, Any] = {"keep": batches.append}
    exec(code, space)
    data = space["data"]
    assert sum(len(data[split]) for split in ("train", "validation")) == ROWS and len(data["validation"]) == 10
    for batch in batches:
        check(batch)
    assert sum(len(next(iter(batch.values()))) for batch in batches) == 30
    if "n" in batches[0]:
        seen = [n for batch in batches for n in batch["n"].tolist()]
        assert seen != sorted(seen) and {*seen} == {one["n"] for one in data["train"]}


@pytest.mark.parametrize("kind", LOCAL)
def test_data_of_this_machine(kind: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, check = LOCAL[kind]
    see(make(tmp_path), check)


@pytest.mark.parametrize("copy", [True, False])
def test_parquet_on_s3(
    home: Path, fast_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, copy: bool
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    storage = on_server("seaweed", request, monkeypatch)
    for k in range(2):
        FRAME[k * 20 : k * 20 + 20].to_parquet(made := io.BytesIO())
        storage.put(f"birds/part_{k}.parquet", made.getvalue())
    see(f'"{storage.url}/birds/*.parquet", target="kind", {SHARES}, copy={copy}', of_numbers)


def test_a_dataset_of_the_hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    parts = {"train": io.BytesIO(), "validation": io.BytesIO()}
    FRAME[:30].to_parquet(parts["train"])
    FRAME[30:].to_parquet(parts["validation"])
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.repositories["owner/birds"] = Repository()
        hub.repositories["owner/birds"].commit(
            {f"data/{split}-00000-of-00001.parquet": made.getvalue() for split, made in parts.items()}
        )
        see('"hf://owner/birds", target="kind"', of_numbers)
