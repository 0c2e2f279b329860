"""Writes views as Parquet: plain, or with the types of Hugging Face for pictures, sounds and classes."""

from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping

from dataset_assets.core.extras import needed
from dataset_assets.core.files import Written, make_folder
from dataset_assets.core.progress import report
from dataset_assets.moving.export_values import Encoded, encoded_view
from dataset_assets.reading.convert.arrow import arrow_reader
from dataset_assets.reading.views import View

GROUP_ROWS, GROUP_BYTES = 1 << 20, 64 << 20


def write_parquet(views: Mapping[str, View], root: Path) -> None:
    """Write `SPLIT.parquet` for each split; pictures and sounds are their bytes."""
    for split, view in views.items():
        reader = arrow_reader(encoded_view(view).view)
        _write(reader, reader.schema, lambda batch: batch, root / f"{split}.parquet", split, len(view))


def write_huggingface(views: Mapping[str, View], root: Path) -> None:
    """Write `data/SPLIT-00000-of-00001.parquet` for each split, with the features that Hugging Face reads."""
    make_folder(root / "data")
    for split, view in views.items():
        found = encoded_view(view)
        reader = arrow_reader(found.view)
        schema = _features(reader.schema, found, view).arrow_schema
        path = root / "data" / f"{split}-00000-of-00001.parquet"
        _write(reader, schema, _typed(schema), path, split, len(view))


def _features(schema: Any, found: Encoded, view: View) -> Any:
    datasets = needed("datasets", "hf")
    features = datasets.Features.from_arrow_schema(schema)
    own = {"image": datasets.Image, "audio": datasets.Audio}
    for stream in schema.names:
        if (kind := found.kinds.get(stream)) in own:
            features[stream] = own[kind]()
        elif stream in view.classes:
            features[stream] = datasets.ClassLabel(names=list(view.classes[stream]))
    return features


def _typed(schema: Any) -> Callable[[Any], Any]:
    import pyarrow

    def array_of(field: Any, values: Any) -> Any:
        if pyarrow.types.is_struct(field.type) and not pyarrow.types.is_struct(values.type):
            # The type of a picture: its bytes, and a path, of which there is none.
            data = values.cast(pyarrow.binary())
            return pyarrow.StructArray.from_arrays(
                [data, pyarrow.nulls(len(data), pyarrow.string())], ["bytes", "path"]
            )
        return values if values.type == field.type else values.cast(field.type)

    def typed(batch: Any) -> Any:
        arrays = [array_of(field, batch.column(field.name)) for field in schema]
        return pyarrow.record_batch(arrays, schema=schema)

    return typed


def _write(reader: Any, schema: Any, change: Callable[[Any], Any], path: Path, what: str, total: int) -> None:
    from pyarrow import parquet

    done = 0
    with Written(path) as file, parquet.ParquetWriter(file, schema) as writer:
        for table in _row_groups(map(change, reader), schema):
            writer.write_table(table)
            done += table.num_rows
            report(what, done, total)


def _row_groups(batches: Iterable[Any], schema: Any) -> Iterator[Any]:
    """Yield batches joined: in small row groups, numbers that differ would be written as a dictionary first."""
    import pyarrow

    held: list[Any] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= GROUP_ROWS or sum(one.nbytes for one in held) >= GROUP_BYTES:
            yield pyarrow.Table.from_batches(held, schema)
            held = []
    if held:
        yield pyarrow.Table.from_batches(held, schema)
