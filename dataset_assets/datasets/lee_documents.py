"""The Lee documents: short news texts, whose similarity people rated."""

from typing import BinaryIO, Iterator

from dataset_assets import Dataset, RemoteFile, Split, Text


def documents(corpus: BinaryIO) -> Iterator[dict[str, str]]:
    """Yield a document per line; the files are in Latin-1."""
    for line in corpus:
        yield {"text": line.decode("iso-8859-1").strip()}


def file(name: str) -> RemoteFile:
    """Return a corpus that the Python package gensim carries."""
    return RemoteFile(f"package://gensim/test/test_data/{name}")


lee_documents = Dataset(
    name="au.edu.adelaide.lee_documents",
    summary="350 short news texts: 50 whose likeness people judged, and 300 as background.",
    streams={"text": Text()},
    splits={
        "background": Split(documents, corpus=file("lee_background.cor")),
        "judged": Split(documents, corpus=file("lee.cor")),
    },
    sample="text",
    license="LGPL-2.1-only",  # the license of the package that has the files; the corpus itself states none
    citation=(
        "M. D. Lee, B. Pincombe, M. Welsh. An empirical evaluation of models of text document similarity. "
        "Proceedings of the 27th Annual Conference of the Cognitive Science Society, 2005."
    ),
    homepage="https://radimrehurek.com/gensim/auto_examples/tutorials/run_doc2vec_lee.html",
    tags=("text", "news"),
    tasks=("similarity",),
)
