"""Protein secondary structure: chains of amino acids, and the fold of each acid."""

from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Dataset, Ragged, RemoteFile, Split, Text
from dataset_assets.datasets.splice import FOLDER

FOLDER_HERE = FOLDER + "protein-secondary-structure/"
FOLDS = "_eh"
"""Coil, strand and helix: 0, 1 and 2 in the stream `folds`."""


def chains(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a chain of the pairs between two marks; `<end>`, `end` or the next `<>` ends one."""
    acids, folds = "", list[int]()
    for line in table:
        text = line.decode().strip()
        if text in ("<>", "end", "<end>"):
            if acids:
                yield _chain(acids, folds)
            acids, folds = "", []
        elif text and not text.startswith("#"):
            acid, fold = text.split()
            acids += acid
            folds.append(FOLDS.index(fold))
    if acids:
        yield _chain(acids, folds)


def _chain(acids: str, folds: list[int]) -> dict[str, Any]:
    return {"acids": acids, "folds": np.array(folds, np.uint8)}


# No digest of these files is published; the first retrieval records them.
protein_structure = Dataset(
    name="edu.uci.ics.protein_structure",
    summary="Chains of amino acids of 128 proteins, each acid part of a coil (0), a strand (1) or a helix (2).",
    streams={"acids": Text(), "folds": Ragged("uint8")},
    splits={
        "train": Split(chains, table=RemoteFile(FOLDER_HERE + "protein-secondary-structure.train")),
        "test": Split(chains, table=RemoteFile(FOLDER_HERE + "protein-secondary-structure.test")),
    },
    sample="acids",
    target="folds",
    license="CC-BY-4.0",
    citation=(
        "N. Qian, T. J. Sejnowski. Predicting the secondary structure of globular proteins using neural network "
        "models. Journal of Molecular Biology 202, 1988."
    ),
    homepage="https://archive.ics.uci.edu/dataset/68/molecular+biology+protein+secondary+structure",
    tags=("sequence", "protein", "biology"),
    tasks=("sequence labelling",),
)
