"""The verb forget: samples are named as a person would, and all that was done, or would be, is said."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dataset_assets import load
from dataset_assets.experiments import create_experiment

NAME = "org.example.people"
MODULE = """
from dataset_assets import Array, Dataset, RemoteFile, Split, Text
from dataset_assets.decoding import csv_rows

def people(file):
    for row in csv_rows(file):
        yield {"id": int(row["id"]), "person": row["person"]}

people_ = Dataset(name="org.example.people", summary="People.", streams={"id": Array("int64"), "person": Text()},
                  splits={"train": Split(people, file=RemoteFile(FILE))})
"""


@pytest.fixture
def defined(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, module = home.parent / "people.csv", home.parent / f"people_{os.urandom(8).hex()}.py"
    source.write_text("id,person\n" + "".join(f"{k},person {k % 4}\n" for k in range(12)))
    module.write_text(MODULE.replace("FILE", repr(source.as_uri())))
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(module))
    said("prepare", NAME, "--direct")


def said(*arguments: str, code: int = 0, stdin: str = "") -> tuple[str, str]:
    run = subprocess.run(
        [sys.executable, "-m", "dataset_assets", *arguments], input=stdin, capture_output=True, text=True, timeout=250
    )
    assert run.returncode == code, run.stderr
    return run.stdout, run.stderr


def ids() -> list[int]:
    return [int(sample["id"]) for sample in load(NAME, "train")]


def test_samples_are_taken_out_by_ids_from_anywhere_and_by_a_value(defined: None, home: Path) -> None:
    out, err = said("forget", NAME, "--ids", "3", "--where", "person=person 0", "--dry-run")
    assert "4 samples would be taken out" in out and "Nothing was changed." in err and len(ids()) == 12
    out, err = said("forget", NAME, "--ids", "3", "--where", "person=person 0")
    assert "train                4 samples taken out" in out and f"{NAME}: a version without them made" in out
    assert "removed" in out and f"{NAME}/raw/people_csv stays. Remove it with: dataset-assets rm --force" in err
    assert ids() == [1, 2, 5, 6, 7, 9, 10, 11]
    said("forget", NAME, "--ids-from", "-", stdin="1\n2\n\n")
    found = json.loads(said("forget", NAME, "--stream", "person", "--ids", "person 3", "--json")[0])
    assert found["samples"] == {"train": 2} and found["dry_run"] is False and len(found["versions"]) == 1
    assert ids() == [5, 6, 9, 10]


def test_the_runs_that_saw_them_are_named(defined: None) -> None:
    view: Any = load(NAME, "train")
    experiment = create_experiment("birds")
    with experiment.run(seed=1) as run:
        run.uses(view)
    experiment.persist()
    (seen,) = json.loads(said("forget", NAME, "--ids", "3", "--json")[0])["runs"]
    assert seen["experiment"] == "birds" and seen["used"] == f"{NAME}@{view.version}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name the samples to take out: --ids ID, --ids-from FILE or --where STREAM=VALUE."),
        (("--where", "person"), "--where 'person' is not STREAM=VALUE. Write for example: --where person=ann"),
        (("--ids", "x", "--stream", "perso"), "has no stream 'perso'. Did you mean 'person'?"),
        (("--ids", "77"), "No sample of org.example.people has such a value: '77'. Nothing was recorded."),
    ],
)
def test_a_request_that_cannot_be_done_says_what_to_write(
    arguments: tuple[str, ...], words: str, defined: None
) -> None:
    assert words in said("forget", NAME, *arguments, code=2)[1].replace("\n", " ")
