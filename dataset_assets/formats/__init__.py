"""Formats: write a stream to files, and read it back."""

from dataclasses import is_dataclass
from typing import Any, Mapping

from dataset_assets.core import plugins
from dataset_assets.core.documents import UNFIT, read_as
from dataset_assets.errors import IntegrityError, nearest
from dataset_assets.formats.array import Array
from dataset_assets.formats.audio import Audio
from dataset_assets.formats.columns import Column, Columns, chained, check_rows, values_of
from dataset_assets.formats.format import FILE_BYTES, Format, Misfit, Part, Parts, Writer, mapped
from dataset_assets.formats.image import Image
from dataset_assets.formats.json_values import Json
from dataset_assets.formats.members import Files, Member
from dataset_assets.formats.ragged import Ragged
from dataset_assets.formats.table import Table
from dataset_assets.formats.text import Bytes, Text

__all__ = [
    "FILE_BYTES",
    "Array",
    "Audio",
    "Bytes",
    "Column",
    "Columns",
    "Files",
    "Format",
    "Image",
    "Json",
    "Member",
    "Misfit",
    "Part",
    "Parts",
    "Ragged",
    "Table",
    "Text",
    "Writer",
    "chained",
    "check_rows",
    "format_named",
    "mapped",
    "values_of",
]

KINDS = (Array, Text, Bytes, Ragged, Table, Json, Files, Image, Audio)
FORMATS: dict[str, type[Any]] = {kind.name: kind for kind in KINDS}


def format_named(name: str, parameters: Mapping[str, Any]) -> Format:
    """Return the format that an index names, ours or a plugin's. Raises `IntegrityError` if it is not available."""
    kind = FORMATS.get(name) or plugins.provided("formats", name) if isinstance(name, str) else None
    if kind is None:
        raise IntegrityError(
            f"No format {name!r} is installed.{nearest(str(name), FORMATS)} Install the package that provides it, or "
            "upgrade dataset_assets."
        )
    try:
        stream_format: Format = read_as(kind, parameters) if is_dataclass(kind) else kind(**parameters)
    except UNFIT as error:
        raise IntegrityError(
            f"The format {name!r} does not accept the parameters {parameters!r:.200} ({error}). Upgrade the package "
            "that provides it."
        ) from error
    return stream_format
