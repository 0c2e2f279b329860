"""What bodies hand to the IO manager: staged work, or the word that it is already there."""

from dataclasses import dataclass

from dataset_assets.definition import Dataset
from dataset_assets.index import SplitIndex, Version
from dataset_assets.making import RawFile, StagedRaw, StagedSplit


@dataclass(frozen=True)
class Made:
    """Something of a dataset that is stored already, and is left as it is."""

    dataset: str
    what: RawFile | SplitIndex


@dataclass(frozen=True)
class StagedFile:
    """A raw file of a dataset, in scratch."""

    dataset: Dataset
    staged: StagedRaw


@dataclass(frozen=True)
class StagedStream:
    """One stream of a staged split."""

    staged: StagedSplit | Made
    stream: str


@dataclass(frozen=True)
class Release:
    """A version that passed its checks; `expected` is the pointer that was read before."""

    version: Version
    expected: str | None
