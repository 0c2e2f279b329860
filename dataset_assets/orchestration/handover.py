"""Values passed between asset functions and the IO manager."""

from dataclasses import dataclass, field
from typing import BinaryIO, Mapping, Sequence

from dataset_assets.definition.partitioned import Partitions
from dataset_assets.errors import DatasetAssetsError, NotPrepared
from dataset_assets.making.patterns import Named
from dataset_assets.making.steps import StagedRaw, StagedSplit
from dataset_assets.reading.views import Stored
from dataset_assets.storage.manifest import SplitIndex, Version
from dataset_assets.storage.raw_files import RawFile
from dataset_assets.storage.stored_dataset import StoredDataset


@dataclass(frozen=True)
class AlreadyStored:
    """A file or split of a dataset that is stored already, and is left as it is."""

    dataset: str
    what: RawFile | SplitIndex


@dataclass(frozen=True)
class StagedFile:
    """A raw file of a dataset, in the scratch folder."""

    dataset: str
    staged: StagedRaw


@dataclass(frozen=True)
class AllRaw:
    """All raw files of a dataset, stored as they arrived, and those that could not be retrieved."""

    stored: StoredDataset
    raws: Mapping[str, RawFile]
    failed: Mapping[str, DatasetAssetsError]
    needs: Mapping[str, str]
    """A digest of the files that each split needs."""
    arrived: int
    """How many were retrieved and stored just now."""
    partitions: Partitions = field(default_factory=dict)
    """The partitions whose files these are."""
    listed: Mapping[str, Sequence[Named]] = field(default_factory=dict)
    """The files that each pattern stands for, by split."""


@dataclass(frozen=True)
class WholeSplit:
    """A split whose streams are no assets: all of it is published at once."""

    staged: StagedSplit


@dataclass(frozen=True)
class StagedStream:
    """One stream of a split."""

    split: StagedSplit | AlreadyStored
    stream: str


@dataclass(frozen=True)
class Release:
    """A version that passed its checks; `expected` is the pointer that was read when its run began."""

    version: Version
    expected: str | None
    proven: Sequence[RawFile] = ()
    """The raw files that are proven when it is released."""
    aliases: Sequence[str] = ()


@dataclass(frozen=True)
class StepOutput:
    """What an asset function returns, and the dataset's pointer when its run began; empty: there was none."""

    what: StagedFile | StagedSplit | WholeSplit | AllRaw | AlreadyStored
    began: str
    after: Mapping[str, str] = field(default_factory=dict)
    """The data versions of the assets that write the files, when their sources were asked."""
    seconds: float | None = None
    """How long it took to make, or to find that it is made."""


@dataclass(frozen=True)
class OpenedRaw:
    """A raw file as an input: its record, and `open()`."""

    stored: StoredDataset
    raw: RawFile
    hashed: bool = False
    """Whether this run hashed its bytes and stored them."""
    began: str | None = None
    """The dataset's pointer when the run began that made it, if that is this run; empty: there was none."""

    def open(self) -> BinaryIO:
        """Open the file: seekable, read-only, read when asked."""
        return self.stored.open_raw(self.raw)


@dataclass(frozen=True)
class RawFiles:
    """All raw files of a dataset as one input: `raw["train_csv"].open()` opens one of them."""

    stored: StoredDataset
    needs: Mapping[str, str]
    failed: Mapping[str, str]
    """Why files were not retrieved, by file."""
    hashed: bool = False
    began: str | None = None
    partitions: Partitions = field(default_factory=dict)
    listed: Mapping[str, Sequence[Named]] = field(default_factory=dict)

    def __getitem__(self, file: str) -> OpenedRaw:
        raw = self.stored.raw(file)
        if raw is None:
            raise KeyError(f"{file!r} is not a raw file of {self.stored.name} in {self.stored.storage.url}.")
        return OpenedRaw(self.stored, raw)


@dataclass(frozen=True)
class Absent:
    """An input that is not stored. A step that only checks the release does without; any other raises the error."""

    error: NotPrepared
    began: None = None


@dataclass(frozen=True)
class Upstream:
    """A split as an input of our own assets; `began` is as that of `OpenedRaw`."""

    view: Stored
    began: str | None


Given = OpenedRaw | RawFiles | Upstream | Absent
"""An input of our own assets."""
