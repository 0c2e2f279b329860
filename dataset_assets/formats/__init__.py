"""Formats: write a stream to files, and read it back."""

from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Mapping

from dataset_assets.core import lazy, plugins
from dataset_assets.core.documents import UNFIT, read_as
from dataset_assets.errors import IntegrityError, nearest
from dataset_assets.formats.columns import Column, Columns, chained, check_rows, values_of
from dataset_assets.formats.format import FILE_BYTES, Format, Misfit, Part, Parts, Writer, mapped

if TYPE_CHECKING:
    from dataset_assets.formats.array import Array as Array
    from dataset_assets.formats.audio import Audio as Audio
    from dataset_assets.formats.image import Image as Image
    from dataset_assets.formats.json_values import Json as Json
    from dataset_assets.formats.members import Files as Files
    from dataset_assets.formats.members import Member as Member
    from dataset_assets.formats.ragged import Ragged as Ragged
    from dataset_assets.formats.table import Table as Table
    from dataset_assets.formats.text import Bytes as Bytes
    from dataset_assets.formats.text import Text as Text

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

_PLACES = {
    "array": "array:Array",
    "text": "text:Text",
    "bytes": "text:Bytes",
    "ragged": "ragged:Ragged",
    "table": "table:Table",
    "json_values": "json_values:Json",
    "files": "members:Files",
    "image": "image:Image",
    "audio": "audio:Audio",
}
FORMATS: lazy.Table[type[Any]] = lazy.Table({name: f"{__name__}.{place}" for name, place in _PLACES.items()})
"""The formats by their names, as they stand in an index. Each is imported when it is used first."""

_KINDS = {kind: module for module, _, kind in (place.partition(":") for place in _PLACES.values())}
__getattr__, __dir__ = lazy.lazily(globals(), {**_KINDS, "Member": "members"})


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
