"""Infers a dataset from pictures or sounds that a list or a pattern names one by one."""

import os
from dataclasses import replace
from pathlib import PurePath
from typing import Any, Mapping, Sequence

from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import DerivedFile, RemoteFile, Split
from dataset_assets.definition.for_each import ForEach
from dataset_assets.definition.plain_splits import named_file_samples
from dataset_assets.sources.dividing import WHOLE
from dataset_assets.sources.folders import Inferred, of_paths
from dataset_assets.sources.kinds import kind_of
from dataset_assets.sources.parts import Part

KINDS = {"image", "audio"}
"""What is a sample each; a file of text named by itself is read by lines."""


def of_named_files(
    parts: Mapping[str, Part],
    files: Mapping[str, Sequence[RemoteFile | DerivedFile]],
    options: Mapping[str, Any],
) -> Inferred | None:
    """Infer a dataset as of the folder that all files are in; None if they are no pictures and no sounds.

    The splits are those of `parts`, or if these name none, those that the folders of the files have.
    """
    paths = [path for part in parts.values() for path in part.paths]
    if len(paths) < 2 or not {kind_of(path.name) for path in paths} <= KINDS:
        return None
    root = PurePath(os.path.commonpath([path.parent for path in paths]))
    named = {path: path.relative_to(root).as_posix() for path in paths}
    found = of_paths(redacted(str(root)), [*named.values()], RemoteFile(root.as_uri()), options)
    pairs = {split: [*zip(map(named.__getitem__, part.paths), files[split])] for split, part in parts.items()}
    if [*parts] == [WHOLE]:
        folders = {split: str(made.plain["below"]) for split, made in found.splits.items()}
        pairs = {split: [pair for pair in pairs[WHOLE] if _is_in(pair[0], below)] for split, below in folders.items()}
    streams = next(iter(found.splits.values())).plain["streams"]
    return found._replace(splits={split: _split(streams, [file for _, file in some]) for split, some in pairs.items()})


def _split(streams: Mapping[str, Any], files: Sequence[RemoteFile | DerivedFile]) -> Split:
    near = [replace(file, keep=False) if isinstance(file, RemoteFile) else file for file in files]
    return Split(named_file_samples, streams=streams, file=ForEach(near))


def _is_in(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")
