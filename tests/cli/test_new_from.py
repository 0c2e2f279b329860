"""`new --from` writes what was inferred, and `prepare` takes the file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_assets import prepare
from dataset_assets.errors import UsageError
from dataset_assets.sources.scaffold import scaffold_from


def said(*arguments: str, cwd: Path, code: int = 0) -> tuple[str, str]:
    run = subprocess.run(
        [sys.executable, "-m", "dataset_assets", *arguments], capture_output=True, text=True, timeout=250, cwd=cwd
    )
    assert run.returncode == code, run.stderr
    return run.stdout, run.stderr.replace("\n", " ")


@pytest.fixture
def folder(home: Path) -> Path:
    (home.parent / "b.csv").write_text("id,kind\n1,a\n2,b\n3,a\n4,b\n")
    return home.parent


def test_a_file_becomes_a_definition_that_can_be_prepared(folder: Path) -> None:
    given = ("--from", "b.csv", "--target", "kind", "--split", "train=0.5", "--split", "test=0.5")
    out, err = said("new", "org.example.birds", *given, cwd=folder)
    assert out.split() == ["birds.py", "test_birds.py"] and "Run its test with" in err
    text = (folder / "birds.py").read_text()
    assert '"kind": Array(dtype="uint8", classes=("a", "b")),  # texts, as classes' in text
    done = json.loads(said("prepare", "./birds.py", "--direct", "--json", cwd=folder)[0])
    assert done["name"] == "org.example.birds" and {s: one["samples"] for s, one in done["splits"].items()} == {
        "all": 4, "train": 2, "test": 2,
    }  # fmt: skip
    assert "already exist" in said("new", "org.example.birds", *given, cwd=folder, code=7)[1]


def test_what_dataset_from_takes_is_taken(folder: Path) -> None:
    given = ("--from", "b.csv", "--split", "train=0.5", "--split", "test=0.5", "--group-by", "kind")
    said("new", "org.example.groups", *given, cwd=folder)
    assert (
        '.group_split({"train": 0.5, "test": 0.5}, by="kind", materialize=False)' in (folder / "groups.py").read_text()
    )
    assert "--from" in said("new", "org.example.birds", "--in-place", cwd=folder, code=2)[1]
    assert "copy=True" in said("new", "org.example.birds", "--from", "b.csv", "--in-place", cwd=folder, code=2)[1]


def test_what_does_not_fit_says_what_to_write(folder: Path) -> None:
    (folder / "none.py").write_text("x = 1\n")
    for arguments, words in [
        (("new", "a.b", "--target", "kind"), "--target and --split need --from"),
        (
            ("new", "a.b", "--from", "b.csv", "--split", "train"),
            "is not NAME=SHARE. Write for example: --split train=0.8",
        ),
        (("new", "a.b", "--from", "b.csv", "--yaml"), "--from writes Python"),
        (("new", "a.b", "--from", "c.csv"), "c.csv is not there. Did you mean 'b.csv'?"),
        (("prepare", "none.py", "--direct"), "none.py defines no dataset"),
    ]:
        assert words in said(*arguments, cwd=folder, code=2)[1]
    scaffold_from(str(folder / "b.csv"), "org.example.one", folder)
    one = (folder / "one.py").read_text()
    two = one.replace("one = Dataset", "two = Dataset").replace("org.example.one", "org.example.two")
    (folder / "several.py").write_text(one + two)
    assert (
        "defines org.example.one, org.example.two. Name the file in DATASET_ASSETS_DEFINITIONS"
        in said("prepare", "several.py", cwd=folder, code=2)[1]
    )
    with pytest.raises(UsageError, match="is a file or folder. Make a dataset of it: prepare\\(dataset_from\\("):
        prepare(str(folder / "b.csv"))
