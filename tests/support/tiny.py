"""A tiny dataset in every format: two splits, a retrieved file, a derived one that is kept and one that is not.

The golden store in `data/golden` was made of it, and its recipes hold the code of the functions up to `tiny`: a change
of these is a change of the golden digests.
"""

from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Array, Bytes, Dataset, DerivedFile, Files, Ragged, RemoteFile, Split, Table, Text

NAME = "org.example.tiny"
NUMBERS = b"".join(b"%d,%s\n" % (i, b"abcdefghij"[i : i + 1] * (i % 4)) for i in range(10))
CHANGED = NUMBERS.replace(b"7,", b"70,")
NOWHERE = "file:///nowhere/dataset_assets/"
CLASSES = ("even", "odd")
STREAMS = {
    "image": Array(),
    "label": Array("uint8", classes=CLASSES),
    "text": Text(),
    "blob": Bytes(),
    "tokens": Ragged("int32"),
    "row": Table({"number": "int64", "half": "double", "word": "string"}),
    "file": Files(),
}


def shouted(numbers: BinaryIO) -> Iterator[bytes]:
    for line in numbers:
        yield line.upper()


def reversed_lines(numbers: BinaryIO) -> Iterator[bytes]:
    yield b"".join(reversed(numbers.readlines()))


def samples(
    numbers: BinaryIO, loud: BinaryIO, backwards: BinaryIO, first: int, last: int, scale: float
) -> Iterator[Any]:
    lines = list(zip(numbers, loud, reversed(backwards.readlines())))
    for line, shout, same in lines[first:last]:
        assert line == same
        number, word = int(line.split(b",")[0]), line.split(b",")[1].strip()
        yield {
            "image": np.full((2, 3), number * scale, np.float32),
            "label": number % 2,
            "text": word.decode() + "é",
            "blob": shout,
            "tokens": np.arange(number % 5, dtype=np.int32),
            "row": {"number": number, "half": number / 2, "word": None if number == 3 else word.decode()},
            "file": (f"{number}.txt", line),
        }


def tiny(folder: str, name: str = NAME, **more: Any) -> Dataset:
    """Return the dataset of a file `numbers.csv` in a folder, by its URL; the first mirror never answers."""
    numbers = RemoteFile("numbers.csv", mirrors=(NOWHERE, folder))
    loud = DerivedFile("loud.csv", shouted, numbers=numbers)
    backwards = DerivedFile("backwards.csv", reversed_lines, keep=True, numbers=numbers)
    files = {"numbers": numbers, "loud": loud, "backwards": backwards}
    return Dataset(
        name=name,
        summary="Ten numbers.",
        streams=STREAMS,
        splits={
            "train": Split(samples, **files, first=0, last=6, scale=0.5),
            "test": Split(samples, **files, first=6, last=10, scale=0.5),
        },
        sample="image",
        target="label",
        license="CC0-1.0",
        **more,
    )


def few(numbers: BinaryIO, backwards: BinaryIO, first: int, last: int) -> Iterator[Any]:
    lines = list(zip(numbers, reversed(backwards.readlines())))
    for line, same in lines[first:last]:
        assert line == same
        number, word = int(line.split(b",")[0]), line.split(b",")[1].strip()
        yield {"label": number, "text": word.decode() + str(number), "tokens": np.arange(number % 5)}


def small(numbers: str) -> Dataset:
    """Return a dataset of that name in three formats, of one file at a URL and one that is derived of it and kept."""
    file = RemoteFile(numbers, identifier="numbers_csv")
    backwards = DerivedFile("backwards.csv", reversed_lines, keep=True, numbers=file)
    return Dataset(
        name=NAME,
        summary="Ten numbers.",
        streams={"label": Array("int64"), "text": Text(), "tokens": Ragged("int64")},
        splits={
            "train": Split(few, numbers=file, backwards=backwards, first=0, last=6),
            "test": Split(few, numbers=file, backwards=backwards, first=6, last=10),
        },
        sample="text",
    )


def plain(views: Any) -> dict[str, list[dict[str, Any]]]:
    """Return all samples of all splits as values that can be compared."""
    return {
        split: [{key: _plain(value) for key, value in sample.items()} for sample in view]
        for split, view in views.items()
    }


def expected(numbers: bytes = NUMBERS, scale: float = 0.5) -> dict[str, list[dict[str, Any]]]:
    """Return what `plain` must give."""
    found = []
    for line in numbers.splitlines(keepends=True):
        number, word = int(line.split(b",")[0]), line.split(b",")[1].strip().decode()
        found.append(
            {
                "image": ("float32", [[number * scale] * 3] * 2),
                "label": number % 2,
                "text": word + "é",
                "blob": line.upper(),
                "tokens": ("int32", list(range(number % 5))),
                "row": {"number": number, "half": number / 2, "word": None if number == 3 else word},
                "file": (f"{number}.txt", line),
            }
        )
    return {"train": found[:6], "test": found[6:]}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.tolist()
    return (value.name, bytes(value.data)) if hasattr(value, "data") and hasattr(value, "name") else value
