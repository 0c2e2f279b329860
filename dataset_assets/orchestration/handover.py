"""What bodies and the IO manager hand each other: staged work, the word that it is there already, opened inputs."""

from dataclasses import dataclass
from typing import BinaryIO

from dataset_assets.definition.dataset import Dataset
from dataset_assets.making.steps import RawFile, StagedRaw, StagedSplit
from dataset_assets.reading.views import Stored
from dataset_assets.storage import Storage
from dataset_assets.storage.manifest import SplitIndex, Version, raw_key


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
    """A version that passed its checks; `expected` is the pointer that was read when its run began."""

    version: Version
    expected: str | None


@dataclass(frozen=True)
class Handed:
    """What a body hands the IO manager, and the dataset's pointer when its run began; empty: there was none."""

    what: "StagedFile | StagedSplit | Made"
    began: str


@dataclass(frozen=True)
class OpenedRaw:
    """A raw file as an input: what is known of it, and `open()`."""

    storage: Storage
    dataset: str
    raw: RawFile
    hashed: bool = False
    """Whether this run hashed its bytes and stored them."""
    began: str | None = None
    """The dataset's pointer when the run began that made it, if that is this run; empty: there was none."""

    def open(self) -> BinaryIO:
        """Open the file: seekable, read-only, read when asked."""
        return self.storage.get(raw_key(self.dataset, self.raw.name, self.raw.sha256))


@dataclass(frozen=True)
class Upstream:
    """A split as our own steps take it; `began` is as that of `OpenedRaw`."""

    view: Stored
    began: str | None
