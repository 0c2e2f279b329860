"""Which kind a file is: the decoder that reads it, by its name and its first bytes."""

import json
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Mapping, NamedTuple, Sequence

from dataset_assets.core.names import identifier_from
from dataset_assets.decoding import decoder, decompressed
from dataset_assets.decoding.column_samples import ROWS, in_batches
from dataset_assets.decoding.csv_arrow import csv_blocks_once
from dataset_assets.decoding.json_blocks import FLAT, columns_of, json_blocks
from dataset_assets.errors import UsageError, nearest

TARS = (".tgz", ".tbz2", ".txz")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
OTHER_PICTURES = (".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".psd", ".ico", ".ppm", ".dng")
"""The endings of pictures that `Image` does not read."""
CONVERT = (
    'Write it as PNG or JPEG, with Pillow for example: Image.open("1.tif").save("1.png"); HEIC needs the package '
    "pillow-heif."
)
SPLIT_FUNCTION = "write a split function: `dataset-assets new org.example.birds` writes one to change."
"""What to do about data that no decoder reads."""
TEXTS = (".txt", ".md", ".text")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
_READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".csv": ("csv_blocks", {}),
    ".tsv": ("csv_blocks", {"delimiter": "\t"}),
    ".tab": ("csv_blocks", {"delimiter": "\t"}),
    ".jsonl": ("json_lines", {}),
    ".ndjson": ("json_lines", {}),
    ".json": ("json_array", {}),
    ".parquet": ("parquet", {}),
    ".pq": ("parquet", {}),
    ".arrow": ("arrow", {}),
    ".feather": ("arrow", {}),
    ".npz": ("npz", {}),
    ".npy": ("npy", {}),
    ".safetensors": ("safetensors", {}),
    **dict.fromkeys((".h5", ".hdf5"), ("hdf5", {})),
    ".xlsx": ("excel", {}),
    **dict.fromkeys((".sqlite", ".sqlite3", ".db"), ("sqlite", {})),
    **dict.fromkeys((".tfrecord", ".tfrecords"), ("tfrecord", {})),
    ".tar": ("webdataset", {}),
}
_BLOCK = 4096
ARRAYS = ("npy", "npz", "safetensors", "hdf5")
"""The decoders that yield arrays of numpy."""

BLOCKS = (*ARRAYS, "text")
"""The decoders that yield `Columns`."""

TABLES = tuple(_READERS)
"""The endings of files that hold samples as rows."""


class Reader(NamedTuple):
    """How files of rows are read: the name of a decoder, and its options."""

    name: str
    options: dict[str, Any]

    def blocks(self, path: Path, once: bool = False) -> Iterator[Any]:
        """Yield the blocks of a file: mappings of column to an array of Arrow or numpy, or None for mixed values.

        With `once`, CSV is not read twice for its types; raises `TypesChanged` if it has to be.
        """
        with path.open("rb") as file:
            if self.name == "json_lines":
                yield from _of_json(file)
                return
            read = csv_blocks_once if once and self.name == "csv_blocks" else decoder(self.name)
            found = read(file, **self.options)
            if self.name in ROWS:
                yield from (
                    {name: _arrow(values) for name, values in columns_of(rows).items()}
                    for rows in in_batches(found, _BLOCK)
                )
            elif self.name == "text":
                yield from ({name: _arrow(texts) for name, texts in block.items()} for block in found)
            elif self.name in ARRAYS:
                yield from found
            else:
                yield from (dict(zip(block.schema.names, block.columns)) for block in found)

    def classes(self, path: Path) -> dict[str, list[str]]:
        """Return the classes of columns that a Parquet file of Hugging Face names in its metadata."""
        if self.name != "parquet":
            return {}
        import pyarrow
        import pyarrow.parquet

        try:
            with path.open("rb") as file:
                said = (pyarrow.parquet.read_schema(file).metadata or {}).get(b"huggingface", b"{}")
            features = json.loads(said)["info"]["features"]
            return {name: [*map(str, one["names"])] for name, one in features.items() if one["_type"] == "ClassLabel"}
        except (pyarrow.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}


def _of_json(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield blocks, in which the type of each column is that of its values; the next ones are read in these types."""
    types: dict[str, Any] = {}
    for block in json_blocks(file, types):
        if not isinstance(block, list):
            yield dict(zip(block.schema.names, block.columns))
            continue
        found = {name: _arrow(values) for name, values in columns_of(block).items()}
        types.clear()
        if all(column is not None and str(column.type) in FLAT for column in found.values()):
            types.update({name: column.type for name, column in found.items()})
        yield found


def _arrow(values: list[Any]) -> Any:
    import pyarrow

    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowException, OverflowError, ValueError, TypeError):
        return None


def ending(name: str) -> str:
    """Return the ending of a file's name without that of its compression.

    >>> ending("reviews.CSV.gz")
    '.csv'
    """
    path = Path(name.lower())
    if path.suffix in TARS:
        return ".tar"
    return Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix


def kind_of(name: str) -> str:
    """Return what a file of a folder is, by its name: "image", "text", "audio", or "file" for any other."""
    kinds = {"image": PICTURES, "text": TEXTS, "audio": SOUNDS}
    return next((kind for kind, endings in kinds.items() if ending(name) in endings), "file")


def stem(name: str) -> str:
    """Return the name of a file without its endings."""
    path = Path(name)
    return Path(path.stem).stem if path.suffix.lower() in COMPRESSED else path.stem


def reader_of(name: str, options: Mapping[str, Any], path: Path | None = None) -> Reader:
    """Return how a file of rows is read: by its name, else by its first bytes if its `path` is on this machine.

    `options` are those of its decoder. Raises `UsageError`.
    """
    known = _READERS.get(ending(name)) or (("text", {}) if ending(name) in TEXTS else _by_content(path))
    if known is None:
        raise _a_picture(name) or UsageError(
            f"{name:.200} is of no kind that can be looked at: {', '.join(TABLES)}, or one of them compressed; or give "
            f"a folder of pictures, texts or sounds. For any other, {SPLIT_FUNCTION}"
        )
    return Reader(known[0], {**known[1], **_checked(name, known[0], options)})


def _a_picture(name: str) -> UsageError | None:
    """Return the error for one picture; None for other files."""
    if ending(name) in OTHER_PICTURES:
        return UsageError(f"{name:.200} is a picture of a kind that is not read. {CONVERT}")
    if ending(name) in (*PICTURES, *SOUNDS):
        return UsageError(f"{name:.200} is a single sample. Give the folder that the files are in.")
    return None


def options_of(read: str) -> list[str]:
    """Return the names of the options of a decoder."""
    return [one.name for one in _arguments(read) if one.kind is not Parameter.VAR_KEYWORD]


def _arguments(read: str) -> list[Parameter]:
    return [*signature(decoder(read)).parameters.values()][1:]


def _checked(name: str, read: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raise `UsageError` for an option that a decoder does not have."""
    taken = options_of(read)
    if len(taken) == len(_arguments(read)):
        check_options(options, taken, f"{name:.200} is read by {read}, which")
    return options


def check_options(options: Mapping[str, Any], taken: Sequence[str], reader: str) -> None:
    """Raise `UsageError` for an option that is not taken by what `reader` says."""
    if wrong := next((str(one) for one in options if one not in taken), None):
        takes = f"It takes {', '.join(taken)}." if taken else "It takes none: leave it out."
        raise UsageError(f"{reader} has no option {wrong!r:.80}.{nearest(wrong, taken, listed=False)} {takes}")


_MAGIC = {
    b"PAR1": "parquet", b"ARROW1\0\0": "arrow", b"\x93NUMPY": "npy", b"\x89HDF\r\n\x1a\n": "hdf5",
    b"SQLite format 3\0": "sqlite",
}  # fmt: skip


def _by_content(path: Path | None) -> tuple[str, dict[str, Any]] | None:
    """Return the decoder of a file with the first bytes of a kind that has some."""
    if path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        head = decompressed(file).read(16)
    return next(((name, {}) for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def settled(reader: Reader, paths: Sequence[Path]) -> Reader:
    """Add the options that files need: the delimiter of CSV, and the features of TFRecord that have one value each."""
    if reader.name == "csv_blocks" and "delimiter" not in reader.options:
        mark = _delimiter(paths[0])
        return reader if mark is None else Reader(reader.name, {**reader.options, "delimiter": mark})
    if reader.name == "tfrecord" and "single" not in reader.options:
        return Reader(reader.name, {**reader.options, "single": _single(paths)})
    return reader


def _delimiter(path: Path) -> str | None:
    """Return the delimiter of a CSV file whose header has no comma, but semicolons, tabs or bars."""
    with path.open("rb") as file:
        header = decompressed(file).readline(1 << 16)
    return next((mark.decode() for mark in (b";", b"\t", b"|") if mark in header and b"," not in header), None)


def _single(paths: Sequence[Path]) -> list[str]:
    """Return the features that have one value in each record."""
    single: dict[str, bool] = {}
    for path in paths:
        with path.open("rb") as file:
            for record in decoder("tfrecord")(file):
                for name, values in record.items():
                    single[name] = single.get(name, True) and len(values) == 1
    return sorted(name for name, is_single in single.items() if is_single)


def name_for(text: str) -> str:
    """Return the name of a dataset for a file, a folder or a table.

    >>> name_for("My birds (2020)")
    'local.my_birds_2020'
    """
    return f"local.{identifier_from(text, 'data').lower()}"
