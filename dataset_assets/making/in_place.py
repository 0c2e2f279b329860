"""Makes the splits whose values stay where they are: an index of the objects, and nothing else."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable, Mapping

from dataset_assets.core.progress import report, split_label
from dataset_assets.core.roots import allow_root, roots_of_all
from dataset_assets.decoding.arrow_file import refused
from dataset_assets.decoding.webdataset_file import sample_runs
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import Refused, at
from dataset_assets.formats.columns import Column
from dataset_assets.making.excluding import Excluder
from dataset_assets.making.steps import Progress, StagedSplit, with_findings
from dataset_assets.reading.in_place import placed_columns
from dataset_assets.reading.remote_columns import RemoteColumn
from dataset_assets.storage.format_numbers import format_of
from dataset_assets.storage.manifest import SplitIndex, StoredStream
from dataset_assets.storage.outside import State, opened
from dataset_assets.storage.placed import FILES, Placed, PlacedObject, PlacedPart
from dataset_assets.storage.stored_dataset import StoredDataset

AT_ONCE = 16
"""The most objects whose parts are found at a time."""
RUN_BYTES = 1 << 20
"""So many bytes of an archive are read at once; an index says of each run where it lies, in some 50 bytes."""


def make_in_place(
    dataset: Dataset,
    split: str,
    recipe: str,
    stored: StoredDataset,
    excluder: Excluder,
    progress: Progress | None = None,
) -> StagedSplit:
    """Return the index of a split whose values stay where they are, after reading all of them once.

    The folder of the objects becomes a root that the storage's datasets may read. Raises `ObjectReplaced` for an object
    that is not as the definition names it, and `SchemaError` for values that do not fit.
    """
    plain = dataset.splits[split].plain
    if excluder.rules:
        raise Refused(
            f"Samples were taken out of {dataset.name} on request, and none can be left out of objects that stay where "
            "they are. Define the dataset with copy=True."
        )
    with at(f"{dataset.name}, split {split}"):
        for root in roots_of_all(one["url"] for one in plain["objects"]):
            allow_root(stored.storage.url, root)
        placed = Placed(plain["read"], plain["columns"], tuple(_objects(plain["read"], plain["objects"])))
        streams = {n: StoredStream(k.name, k.parameters(), k.version, k.suffix, ()) for n, k in dataset.streams.items()}
        index = SplitIndex(
            dataset=dataset.name,
            split=split,
            version=dataset.version,
            samples=sum(part.samples for one in placed.objects for part in one.parts),
            streams=streams,
            sources=(),
            arguments={"read": plain["read"]},
            roles=dict(dataset.roles),
            license=dataset.license,
            findings=(),
            recipe=recipe,
            format=format_of(excluder.digest, placed=True),
            excluded=excluder.digest,
            placed=placed,
        )
        columns: Any = placed_columns(index, stored.storage.url, checks=True)
        _read_all(columns, partial(progress or report, split_label(dataset.name, split)))
        return StagedSplit(with_findings(index, columns), {name: () for name in streams})


def _objects(read: str, said: list[Mapping[str, Any]]) -> list[PlacedObject]:
    """Return objects with their parts, which are found side by side."""
    states = [State(one["bytes"], one["etag"], one["version"]) for one in said]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        parts = [*pool.map(_PARTS[read], [one["url"] for one in said], states)]
    return [
        PlacedObject(one["url"], *state, one.get("sha256", ""), tuple(found), one.get("path", ""))
        for one, state, found in zip(said, states, parts)
    ]


def _row_groups(url: str, state: State) -> list[PlacedPart]:
    """Return the row groups of a Parquet file."""
    from pyarrow.parquet import ParquetFile

    with opened(url, state) as file, refused(file, "Parquet"):
        footer = ParquetFile(file).metadata
        return [_row_group(footer.row_group(k)) for k in range(footer.num_row_groups)]


def _runs(url: str, state: State) -> list[PlacedPart]:
    """Return runs of samples of a WebDataset archive."""
    with opened(url, state) as file:
        return [PlacedPart(*run) for run in sample_runs(file, RUN_BYTES)]


def _whole(url: str, state: State) -> list[PlacedPart]:
    return [PlacedPart(0, state.bytes, 1)]


_PARTS: dict[str, Callable[[str, State], list[PlacedPart]]] = {
    "parquet": _row_groups,
    "webdataset": _runs,
    FILES: _whole,
}


def _row_group(group: Any) -> PlacedPart:
    chunks = [group.column(k) for k in range(group.num_columns)]
    # A group without rows may have no pages.
    starts = [start for one in chunks for start in (one.dictionary_page_offset, one.data_page_offset) if start]
    return PlacedPart(min(starts, default=0), sum(one.total_compressed_size for one in chunks), group.num_rows)


def _read_all(columns: Mapping[str, Column], tell: Any) -> None:
    """Read each part once: what does not fit is found before anything is stored."""
    remote = [column for column in columns.values() if isinstance(column, RemoteColumn)]
    done, total = 0, sum(len(column.parts) for column in remote)
    for k in range(max((len(column.parts) for column in remote), default=0)):
        for column in remote:
            column.open(k)
            done += 1
            tell(done, total)
