"""Croissant files as sources: the tables that they describe, with their digests."""

import io
import json
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas
import pytest
from hub_server import Hub, Repository

from dataset_assets import dataset_from, prepare
from dataset_assets.errors import DigestMismatch, Refused, UsageError
from dataset_assets.moving.export import export
from dataset_assets.sources import source_of
from dataset_assets.storage import MemoryStorage
from dataset_assets.testing.server import FaultyServer

FRAME = pandas.DataFrame({"x": [1, 2, 3, 4], "kind": list("abab")})


def views(source: Any, **options: Any) -> Any:
    return prepare(dataset_from(source, **options), storage=MemoryStorage())


def document(files: list[Any], sets: list[Any]) -> bytes:
    said = {"conformsTo": "http://mlcommons.org/croissant/1.0", "distribution": files, "recordSet": sets}
    return json.dumps({"@context": {}, "@type": "sc:Dataset", "name": "birds", **said}).encode()


def records(name: str, file: str, *fields: str, what: str = "fileObject") -> dict[str, Any]:
    made = [{"name": f, "source": {what: {"@id": file}, "extract": {"column": f}}} for f in fields]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": made}


def test_what_is_exported_is_a_source(home: Path) -> None:
    folder = home.parent
    prepare(dataset_from({"train": FRAME[:3], "test": FRAME[3:]}, name="local.birds"))
    root = export("local.birds", folder / "out", "parquet", croissant=True)
    found = views(root / "croissant.json", target="kind")
    assert {split: [one["x"] for one in view] for split, view in found.items()} == {"train": [1, 2, 3], "test": [4]}
    assert found["train"].classes == {"kind": ("a", "b")}
    definition = dataset_from(root / "croissant.json")
    assert all(file.digest and file.size for file in definition.files.values())
    path = next(root.rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DigestMismatch):
        prepare(definition, storage=MemoryStorage())


def test_a_document_on_a_server_names_files_beside_it(home: Path) -> None:
    with FaultyServer({"/d/a.csv": b"x\n1\n"}) as server:
        files = [{"@id": "a", "contentUrl": "a.csv", "contentSize": "4 B"}]
        server.files["/d/croissant.json"] = document(files, [records("all", "a", "x")])
        assert [one["x"] for one in views(f"{server.url}/d/croissant.json")["all"]] == [1]


@pytest.mark.parametrize("as_set", [False, True])
def test_tables_in_an_archive_are_read(home: Path, as_set: bool) -> None:
    parts = {"birds/train.csv": b"x\n1\n2\n", "birds/a b/test.csv": b"x\n3\n", "birds/README.md": b"text"}
    with zipfile.ZipFile(made := io.BytesIO(), "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    inside = {"containedIn": {"@id": "zip"}, "encodingFormat": "text/csv"}
    files = [
        {"@id": "zip", "contentUrl": "birds.zip", "sha256": sha256(made.getvalue()).hexdigest()},
        *({"@id": name, "contentUrl": name, **inside} for name in parts),
        {"@id": "tables", "@type": "cr:FileSet", "includes": "birds/**/*.csv", **inside},
    ]
    sets = (
        [records("rows", "tables", "x", what="fileSet")]
        if as_set
        else [records("train", "birds/train.csv", "x"), records("test", "birds/a b/test.csv", "x")]
    )
    with FaultyServer({"/d/birds.zip": made.getvalue(), "/d/croissant.json": document(files, sets)}) as server:
        dataset = dataset_from(f"{server.url}/d/croissant.json", name="org.example.birds")
        found = prepare(dataset, storage=MemoryStorage())
        assert {split: [one["x"] for one in view] for split, view in found.items()} == {"train": [1, 2], "test": [3]}
        (file,) = dataset.remote_files.values()
        assert file.digest
        space: dict[str, Any] = {}
        exec(source_of(dataset), space)
        assert space["dataset"].splits == dataset.splits
        server.files["/d/birds.zip"] += b"x"
        with pytest.raises(DigestMismatch):
            prepare(dataset, storage=MemoryStorage())


@pytest.mark.parametrize("as_set", [False, True])
def test_archives_may_have_files_of_one_path(home: Path, as_set: bool) -> None:
    folder = home.parent
    files: list[Any] = []
    for k, split in enumerate(("train", "test")):
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            archive.writestr("data/rows.csv", f"x\n{k}\n")
        files.append({"@id": split, "contentUrl": f"{split}.zip"})
        inside = {"containedIn": {"@id": split}, "contentUrl": "data/rows.csv"}
        files.append({"@id": f"{split}/rows", **inside})
    sets = [records(split, f"{split}/rows", "x") for split in ("train", "test")]
    if as_set:
        both = [field for one in sets for field in one["field"]]
        sets = [{"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": both}]
    (folder / "croissant.json").write_bytes(document(files, sets))
    dataset = dataset_from(folder / "croissant.json", name="org.example.birds")
    found = {split: [one["x"] for one in view] for split, view in views(folder / "croissant.json").items()}
    assert found == ({"all": [1, 0]} if as_set else {"train": [0], "test": [1]})
    space: dict[str, Any] = {}
    exec(source_of(dataset), space)
    assert space["dataset"].splits == dataset.splits


def test_files_of_the_hub_are_found_by_their_patterns(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    parts = {"train": io.BytesIO(), "test": io.BytesIO()}
    FRAME[:3].to_parquet(parts["train"])
    FRAME[3:].to_parquet(parts["test"])
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.repositories["owner/birds"] = Repository()
        hub.repositories["owner/birds"].commit(
            {f"default/{split}/0000.parquet": made.getvalue() for split, made in parts.items()}, "refs/convert/parquet"
        )
        repository = "https://huggingface.co/datasets/owner/birds/tree/refs%2Fconvert%2Fparquet"
        files = [
            {"@id": "repo", "contentUrl": repository, "encodingFormat": "git+https", "sha256": "https://github.com/x"},
            {"@id": "set", "containedIn": {"@id": "repo"}, "includes": "default/*/*.parquet"},
        ]
        splits = {"@id": "splits", "name": "splits", "field": [{"name": "split"}], "data": [{"split": "train"}]}
        sets = [splits, records("default", "set", "x", "kind", what="fileSet")]
        (home.parent / "croissant.json").write_bytes(document(files, sets))
        found = views(home.parent / "croissant.json")
        assert {split: [one["x"] for one in view] for split, view in found.items()} == {
            "test": [4],
            "train": [1, 2, 3],
        }


ONE = [records("r", "a", "x")]
OUTSIDE = [
    "%2e%2e/secret.csv", "..%2Fsecret.csv", "b/%2E./../secret.csv", "%2fsecret.csv", " /secret.csv", "\t/secret.csv",
    ".\t./secret.csv", "..\\secret.csv", "..%5Csecret.csv", "a%00.csv", "//127.0.0.1/secret.csv",
    "b/..%2f../secret.csv",
]  # fmt: skip


@pytest.mark.parametrize("place", OUTSIDE)
def test_a_file_outside_of_the_folder_is_refused_however_it_is_written(place: str, home: Path) -> None:
    (home.parent / "b" / "b").mkdir(parents=True)
    (home.parent / "secret.csv").write_text("x\n1\n")
    (home.parent / "b" / "birds.json").write_bytes(document([{"@id": "a", "contentUrl": place}], ONE))
    with pytest.raises(Refused, match="does not lie below its folder"):
        dataset_from(home.parent / "b" / "birds.json")


def test_a_link_out_of_the_folder_is_refused(home: Path) -> None:
    (home.parent / "b").mkdir(parents=True)
    (home.parent / "secret.csv").write_text("x\n1\n")
    (home.parent / "b" / "linked.csv").symlink_to(home.parent / "secret.csv")
    (home.parent / "b" / "folder").symlink_to(home.parent)
    for place in ("linked.csv", "folder/secret.csv"):
        (home.parent / "b" / "birds.json").write_bytes(document([{"@id": "a", "contentUrl": place}], ONE))
        with pytest.raises(Refused, match="does not lie below its folder"):
            dataset_from(home.parent / "b" / "birds.json")


def test_a_file_in_a_folder_below_may_have_any_name(home: Path) -> None:
    (home.parent / "a b" / "c").mkdir(parents=True)
    (home.parent / "a b" / "c" / "..é 1.csv").write_text("x\n1\n")
    for place in ("c/..%C3%A9%201.csv", "./c/..é%201.csv"):
        (home.parent / "a b" / "birds.json").write_bytes(document([{"@id": "a", "contentUrl": place}], ONE))
        assert [one["x"] for one in views(home.parent / "a b" / "birds.json")["all"]] == [1]


@pytest.mark.parametrize(
    ("files", "sets", "kind", "words"),
    [
        ([{"@id": "a", "contentUrl": "file:///etc/passwd"}], ONE, Refused, "Only http"),
        ([{"@id": "a", "contentUrl": "../a.csv"}], ONE, Refused, "does not lie below its folder"),
        ([{"@id": "a", "contentUrl": "/a.csv"}], ONE, Refused, "does not lie below its folder"),
        ([], ONE, UsageError, "is not as the format Croissant says"),
        ([], [], UsageError, "no record set with fields of files"),
        ([{"@id": "a", "contentUrl": "a", "containedIn": {"@id": "z"}}], ONE, UsageError, "not as the format"),
        (
            [{"@id": "a", "contentUrl": "a", "containedIn": {"@id": "a"}}],
            ONE,
            UsageError,
            "something that is no archive",
        ),
        ([{"@id": "a", "contentUrl": "a.csv", "sha256": "00"}], ONE, UsageError, "a sha256 that is none"),
        ([], [*ONE, records("s", "a", "y")], UsageError, "several record sets. Choose one: config='r' or 's'"),
        (
            [{"@id": "z"}, {"@id": "a", "includes": "*", "containedIn": {"@id": "z"}}],
            ONE,
            UsageError,
            "is not in a repos",
        ),
    ],
)
def test_what_is_not_read_is_said(files: Any, sets: Any, kind: type[Exception], words: str, home: Path) -> None:
    (home.parent / "birds.json").write_bytes(document(files, sets))
    with pytest.raises(kind, match=words):
        dataset_from(home.parent / "birds.json")
    with pytest.raises(UsageError, match="has no record set 'q'"):
        dataset_from(home.parent / "birds.json", config="q")
