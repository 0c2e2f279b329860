"""Sense and Sensibility: five sentences, read aloud, with their words."""

from pathlib import PurePosixPath
from typing import Any, BinaryIO, Iterator

from dataset_assets import Audio, Dataset, Split, Text
from dataset_assets.datasets.published import published
from dataset_assets.decoding import tar_members
from dataset_assets.errors import DecodeError


def sentences(archive: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield each recording as the WAV file that it is, with the words of the text file beside it."""
    files = {
        PurePosixPath(member.name): member.read()
        for member in tar_members(archive, "*/test/data/librivox/sense_and_sensibility_*")
        if member.name.endswith((".wav", ".txt"))
    }
    for path in sorted(path for path in files if path.suffix == ".wav"):
        if path.with_suffix(".txt") not in files:
            raise DecodeError(f"{path} has no text beside it. Check what its source is.")
        words = files[path.with_suffix(".txt")].decode().split()
        yield {"sound": files[path], "text": " ".join(words), "name": path.stem}


sense_and_sensibility = Dataset(
    name="org.librivox.sense_and_sensibility",
    summary="Five sentences of a novel by Jane Austen, read aloud: mono, 16,000 values a second, and the words.",
    streams={"sound": Audio(16_000, 1), "text": Text(), "name": Text()},
    splits={
        "all": Split(
            sentences,
            # PyPI states the digest: https://pypi.org/project/pocketsphinx/5.1.1/#files
            archive=published(
                "61/e7/13e0e787ff467218de880310d79cba14424f13b87171ac44af0bde1e428c/pocketsphinx-5.1.1.tar.gz",
                "675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355",
            ),
        )
    },
    sample="sound",
    target="text",
    tag="name",
    license="public domain",  # as LibriVox says of its recordings; the words are those of the package (BSD-2-Clause)
    citation="J. Austen. Sense and Sensibility. 1811. Read for LibriVox. Carried by pocketsphinx 5.1.1.",
    homepage="https://librivox.org/sense-and-sensibility-by-jane-austen/",
    tags=("audio", "speech"),
    tasks=("speech recognition",),
)
