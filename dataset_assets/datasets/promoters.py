"""Promoters: 106 stretches of DNA of E. coli, half of them promoters."""

from dataset_assets import Array, Dataset, RemoteFile, Split, Text
from dataset_assets.datasets.splice import FOLDER, stretches

# No digest of this file is published; the first retrieval records one.
promoters = Dataset(
    name="edu.uci.ics.promoters",
    summary="106 stretches of 57 bases of E. coli, 53 of which begin the transcription of a gene.",
    streams={"bases": Text(), "name": Text(), "label": Array("uint8", classes=("other", "promoter"))},
    splits={
        "all": Split(stretches, table=RemoteFile(FOLDER + "promoter-gene-sequences/promoters.data"), symbols=["-", "+"])
    },
    sample="bases",
    target="label",
    tag="name",
    license="CC-BY-4.0",
    citation=(
        "G. G. Towell, J. W. Shavlik, M. O. Noordewier. Refinement of approximate domain theories by knowledge-based "
        "neural networks. Proceedings of the Eighth National Conference on Artificial Intelligence, 1990."
    ),
    homepage="https://archive.ics.uci.edu/dataset/67/molecular+biology+promoter+gene+sequences",
    tags=("sequence", "dna", "biology"),
    tasks=("classification",),
)
