"""Split functions that worker processes import by name. They count the files that they read."""

import io
import os
import signal
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import numpy as np
from PIL import Image as Picture

from dataset_assets import View
from dataset_assets.errors import DecodeError


def lines(table: BinaryIO) -> Iterator[Any]:
    read(table)
    for line in table:
        text = line.decode().strip()
        yield {"number": number(text), "text": text} if text.isdigit() else bad(text)


def bad(text: str) -> Any:
    from dataset_assets import BadSample

    return BadSample("no number", error=DecodeError(f"{text} is no number."))


def number(text: str) -> int:
    return int(text)


def read(table: BinaryIO) -> None:
    """Count a file, and die of the one that the environment names, always or once."""
    if path := os.environ.get("COUNTED"):
        with open(path, "ab") as counted:
            counted.write(b".")
    name = str(getattr(table, "url", "")).rpartition("/")[2].replace("-", "_").replace(".", "_")
    if name == os.environ.get("KILLED_AT"):
        once = os.environ.get("KILLED_ONCE")
        if once is None or not Path(once).exists():
            if once is not None:
                Path(once).touch()
            os.kill(os.getpid(), signal.SIGKILL)


def leaving(table: BinaryIO) -> Iterator[Any]:
    yield {"number": 1, "text": "1"}
    os._exit(7)


def doubled(numbers: View) -> Iterator[Any]:
    for sample in numbers:
        yield {**sample, "number": 2 * sample["number"]}


def texts(table: BinaryIO) -> Iterator[Any]:
    yield {"text": table.read().decode().strip()}


def rows(table: BinaryIO) -> Iterator[Any]:
    yield {"row": {"value": _value(table)}}


def values(table: BinaryIO) -> Iterator[Any]:
    yield {"value": _value(table)}


def _value(table: BinaryIO) -> int | float | None:
    text = table.read().decode().strip()
    if text == "None":
        return None
    return float(text) if "." in text else int(text)


def pictures(table: BinaryIO) -> Iterator[Any]:
    side, out = int(table.read()), io.BytesIO()
    Picture.fromarray(np.zeros((side, side, 3), np.uint8)).save(out, "PNG")
    yield {"picture": out.getvalue()}


def named(table: BinaryIO, names: BinaryIO, prefix: str) -> Iterator[Any]:
    text = prefix + ",".join(name.decode().strip() for name in names)
    for line in table:
        yield {"number": int(line), "text": text}
