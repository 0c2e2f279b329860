"""Exports datasets and views for other tools: a folder of Parquet, of files, of tars, or as Hugging Face reads it.

A folder gets its name when it is whole. `README.md` in it says where the data comes from, with licences and citations.
"""

import os
import shutil
from pathlib import Path
from typing import Any, Callable, Mapping

from dataset_assets.core import files
from dataset_assets.core.given_path import given_path
from dataset_assets.core.names import check_identifier, identifier_from, split_pin
from dataset_assets.core.settings import settings
from dataset_assets.errors import Conflict, UsageError, nearest
from dataset_assets.moving.croissant import write_croissant
from dataset_assets.moving.export_files import write_files, write_tars
from dataset_assets.moving.export_parquet import write_huggingface, write_parquet
from dataset_assets.moving.export_readme import sources_of, write_readme
from dataset_assets.moving.folder_files import is_layout
from dataset_assets.moving.shared_names import full_name
from dataset_assets.moving.view_file import is_view_file, view_file
from dataset_assets.reading.load import load, view_from_json
from dataset_assets.reading.views import View
from dataset_assets.storage import Storage, open_storage

Writer = Callable[[Mapping[str, View], Path], None]

KINDS: dict[str, Writer] = {
    "parquet": write_parquet,
    "huggingface": write_huggingface,
    "files": write_files,
    "webdataset": write_tars,
    "croissant": write_parquet,
}


def export(
    what: "str | Path | View | Mapping[str, View]",
    to: "Path | str",
    kind: str,
    *,
    croissant: bool = False,
    storage: "str | Storage | None" = None,
) -> Path:
    """Export a dataset by its name, a view, or the file `VIEW.json` of one, into a new folder; return the folder.

    * `parquet`: a file for each split.
    * `huggingface`: a folder that `datasets.load_dataset` reads, with pictures and classes as its own types.
    * `files`: pictures, sounds and files by split and class, as they are stored; other streams in `metadata.jsonl`.
    * `webdataset`: tars, with a file for each stream of a sample.
    * `croissant`: `parquet`, with the description `croissant.json`; `croissant=True` adds it to the other kinds.

    Raises `Conflict` if the folder is not empty, `UsageError` for another kind and for values that are not views,
    `NameNotAllowed` for a key that cannot be the name of a split, and what reading raises.
    """
    if kind not in [*KINDS]:
        raise UsageError(f"Nothing is exported as {kind!r}.{nearest(str(kind), KINDS)}")
    views, root = _views(what, storage), given_path(to).absolute()
    _see_new(root)
    part = root.with_name(f".{root.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    files.make_folder(part)
    try:
        KINDS[kind](views, part)
        sources = sources_of(views.values())
        write_readme(part, views, sources, huggingface=kind == "huggingface")
        if croissant or kind == "croissant":
            # Other Parquet files are those of the data.
            tables = kind not in ("files", "webdataset")
            write_croissant(part, root.name, views, sources, tables=tables)
        files.replace(part, root)
    finally:
        if part.exists():
            shutil.rmtree(part)
    return root


def checked_views(views: Mapping[Any, Any]) -> dict[str, View]:
    """Return views by split, whose names become those of files. Raises `UsageError` and `NameNotAllowed`."""
    if not views:
        raise UsageError(
            "There is nothing to export: the mapping is empty. Pass views by split, as load(NAME) returns."
        )
    for split, view in views.items():
        check_identifier(split, "split")
        if not isinstance(view, View):
            raise UsageError(
                f"{split} is a {type(view).__name__}, not a view. Pass views by split, as load(NAME) returns."
            )
    return dict(views)


def _see_new(root: Path) -> None:
    if os.path.lexists(root) and (root.is_symlink() or not root.is_dir() or any(root.iterdir())):
        raise Conflict(f"{root} exists already and is not an empty folder. Name a new folder.")


def _views(what: Any, storage: "str | Storage | None") -> dict[str, View]:
    """Return the views by split; a single view is that of its split."""
    store = open_storage(settings().storage if storage is None else storage)
    if isinstance(what, View):
        # Hugging Face has splits such as train+test.
        return {identifier_from(what.split, "split"): what}
    if isinstance(what, Mapping):
        return checked_views(what)
    if is_view_file(what, store):
        view = view_from_json(view_file(what), storage=store)
        return {view.split: view}
    full = full_name(str(what))
    split_pin(full)
    # What a registered folder holds beside its partitions is no data.
    return {split: view for split, view in load(full, storage=store).items() if not is_layout(split, view)}
