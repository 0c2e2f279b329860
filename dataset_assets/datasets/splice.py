"""Splice junctions: 3,190 stretches of primate DNA, with or without a boundary between exon and intron."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Text
from dataset_assets.decoding import csv_rows

FOLDER = "https://archive.ics.uci.edu/ml/machine-learning-databases/molecular-biology/"


def stretches(table: BinaryIO, symbols: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a stretch per row: the symbol of its class, its name and its bases; spaces and tabs are layout."""
    for row in csv_rows(table, columns=["symbol", "name", "bases"], header=False):
        cells = {name: text.strip() for name, text in row.items()}
        yield {"bases": cells["bases"].upper(), "name": cells["name"], "label": symbols.index(cells["symbol"])}


# No digest of this file is published; the first retrieval records one.
splice = Dataset(
    name="edu.uci.ics.splice",
    summary="3,190 stretches of 60 bases of primate DNA whose middle is a splice junction, of two kinds, or is none.",
    streams={
        "bases": Text(),
        "name": Text(),
        "label": Array("uint8", classes=("exon to intron", "intron to exon", "neither")),
    },
    splits={
        "all": Split(
            stretches,
            table=RemoteFile(FOLDER + "splice-junction-gene-sequences/splice.data"),
            symbols=["EI", "IE", "N"],
        )
    },
    sample="bases",
    target="label",
    tag="name",
    license="CC-BY-4.0",
    citation=(
        "M. O. Noordewier, G. G. Towell, J. W. Shavlik. Training knowledge-based neural networks to recognize genes in "
        "DNA sequences. Advances in Neural Information Processing Systems 3, 1991."
    ),
    homepage="https://archive.ics.uci.edu/dataset/69/molecular+biology+splice+junction+gene+sequences",
    tags=("sequence", "dna", "biology"),
    tasks=("classification",),
)
