"""Recordings: five of the example sounds of librosa."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Dataset, Files, RemoteFile, Split, Text

FOLDER = "https://librosa.org/data/audio/"

# The titles are from librosa's index; the licences are from the text beside each recording in librosa/data.
ABOUT = {
    "humpback": ("Whale song, Glacier Bay, November 2020", "public domain"),
    "libri1": ("Ashiel Mystery, chapter 2, read by Garth Comira", "CC-BY-4.0"),
    "libri2": ("The Age of Chivalry, chapter 18, read by Anders Lankford", "CC-BY-4.0"),
    "libri3": ("Sense and Sensibility, chapter 18, read by Heather Barnett", "CC-BY-4.0"),
    "robin": ("Bird whistling, robin, by InspectorJ", "CC-BY-3.0"),
}
# The digests are those of librosa's registry (librosa/util/example_data/registry.txt).
FILES = {
    "humpback": ("glacier-bay-humpback", "64395c617b28b5e31a03032b99b4617bc96b926f3bc5c141862cd13fb79ccd8e"),
    "libri1": ("5703-47212-0000", "a284612b46af0535f7e1873758c4387bb8369f6dbbe192ffdec1f171108f98dd"),
    "libri2": ("3436-172162-0000", "780e482b52f2c8a500356babf60178ce005449cc171a8537eb3ef2961eb3e855"),
    "libri3": ("198-209-0000", "0473ba9613befa1026db5e254546f105aeffba8366b5468fc5e8d474d844ca1d"),
    "robin": (
        "456440__inspectorj__bird-whistling-robin-single-13",
        "57c2b861d028e25d7c086b48853f20eda1ae9a7a33e1125a1f3bec91539b4208",
    ),
}


def sounds(about: dict[str, list[str]], **files: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield each recording as the Ogg file that it is, with its title and its own licence."""
    for name, file in files.items():
        title, license = about[name]
        yield {"sound": (f"{name}.ogg", file.read()), "title": title, "license": license}


recordings = Dataset(
    name="org.librosa.recordings",
    summary="Five mono recordings of 22 kHz as Ogg Vorbis files: three readers, a whale and a robin.",
    streams={"sound": Files(), "title": Text(), "license": Text()},
    splits={
        "all": Split(
            sounds,
            about={name: list(texts) for name, texts in ABOUT.items()},
            **{name: RemoteFile(f"{FOLDER}{file}.ogg", digest=f"sha256:{sha}") for name, (file, sha) in FILES.items()},
        )
    },
    sample="sound",
    tag="title",
    license="public domain, CC-BY-3.0 or CC-BY-4.0, as said of each recording",
    citation=(
        "B. McFee et al. librosa: audio and music signal analysis in Python. Proceedings of the 14th Python in Science "
        "Conference, 2015."
    ),
    homepage="https://librosa.org/doc/latest/recordings.html",
    tags=("audio", "speech", "animals"),
    tasks=("signal processing",),
)
