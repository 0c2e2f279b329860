"""Tiny Shakespeare: a million characters of his plays, in pieces of the same length."""

from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Dataset, Ragged, RemoteFile, Split

# The digest is the one that TensorFlow Datasets publishes for this URL (url_checksums/tiny_shakespeare.txt).
PLAYS = RemoteFile(
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    digest="sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)


def pieces(plays: BinaryIO, part: str, length: int) -> Iterator[dict[str, Any]]:
    """Yield the first nine tenths of the characters, or the last tenth, in pieces; only the last piece is shorter."""
    characters = np.frombuffer(plays.read(), np.uint8)
    border = len(characters) * 9 // 10
    chosen = characters[:border] if part == "train" else characters[border:]
    for start in range(0, len(chosen), length):
        yield {"characters": chosen[start : start + length]}


tiny_shakespeare = Dataset(
    name="io.github.karpathy.tiny_shakespeare",
    summary="1,115,394 characters of plays by Shakespeare, in ASCII; the last tenth is for validation.",
    streams={"characters": Ragged("uint8")},
    splits={
        "train": Split(pieces, plays=PLAYS, part="train", length=256),
        "validation": Split(pieces, plays=PLAYS, part="validation", length=256),
    },
    sample="characters",
    license="public domain",
    citation="A. Karpathy. The unreasonable effectiveness of recurrent neural networks, 2015.",
    homepage="https://github.com/karpathy/char-rnn",
    tags=("text", "sequence"),
    tasks=("language modelling",),
)
