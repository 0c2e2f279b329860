"""Free Spoken Digit Dataset: twenty recordings, two of each digit by one speaker."""

import wave
from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Array, Dataset, Ragged, RemoteFile, Split
from dataset_assets.errors import DecodeError

FOLDER = "https://raw.githubusercontent.com/Jakobovski/free-spoken-digit-dataset/v1.0.9/recordings/"
FORM = (1, 2, 8000)
"""Channels, bytes per value, and values per second."""


def files(recording: int) -> dict[str, RemoteFile]:
    """Return a recording of each digit, by names that end in the digit."""
    return {f"digit_{digit}": RemoteFile(f"{FOLDER}{digit}_jackson_{recording}.wav") for digit in range(10)}


def recordings(**digits: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield the values of each recording, and the digit that is spoken in it."""
    for name, file in digits.items():
        yield {"sound": _sound(name, file), "digit": int(name.rsplit("_", 1)[1])}


def _sound(name: str, file: BinaryIO) -> Any:
    try:
        with wave.open(file) as sound:
            form, count = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()), sound.getnframes()
            data = sound.readframes(count)
    except (wave.Error, EOFError) as error:
        raise DecodeError(f"{name} is not a whole WAV file ({error}). Retrieve it again.") from error
    if form != FORM or len(data) != 2 * count:
        raise DecodeError(f"{name} has {len(data)} bytes of {count} values, in the form {form}; expected {FORM}.")
    return np.frombuffer(data, "<i2")


# No digest of these files is published; the first retrieval records them.
spoken_digits = Dataset(
    name="io.github.jakobovski.spoken_digits",
    summary="Twenty recordings of spoken English digits, two of each by one speaker, 8,000 values a second.",
    streams={"sound": Ragged("int16"), "digit": Array("uint8", classes=tuple("0123456789"))},
    # According to the publisher, recordings 0 to 4 of a digit are for testing and 5 to 49 for training.
    splits={"train": Split(recordings, **files(5)), "test": Split(recordings, **files(0))},
    sample="sound",
    target="digit",
    license="CC-BY-SA-4.0",
    citation="Z. Jackson, C. Souza, J. Flaks, Y. Pan, H. Nicolas, A. Thite. Free Spoken Digit Dataset, 2018.",
    homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
    tags=("audio", "speech", "digits"),
    tasks=("classification",),
)
