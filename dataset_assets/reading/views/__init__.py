"""Views: stackable, lazy sequences of samples."""

from dataset_assets.reading.views import targets as targets  # its verbs
from dataset_assets.reading.views.arranged import Filtered, Interleaved, Mixed, Repeated, Sharded, Shuffled, Sorted
from dataset_assets.reading.views.batched import Batched
from dataset_assets.reading.views.cached import Cached
from dataset_assets.reading.views.document import restored
from dataset_assets.reading.views.encoded import Encoded
from dataset_assets.reading.views.epochs import at_epoch
from dataset_assets.reading.views.in_memory import ListColumn, Sourced
from dataset_assets.reading.views.joined import Concatenated, Zipped
from dataset_assets.reading.views.mapped import Mapped, MappedBlocks, Tupled
from dataset_assets.reading.views.node import Lineage, Origin
from dataset_assets.reading.views.operations import OPERATIONS, operation
from dataset_assets.reading.views.parts import (
    FoldPart,
    GroupPart,
    HashPart,
    Part,
    RandomPart,
    StratifiedPart,
)
from dataset_assets.reading.views.report import Report
from dataset_assets.reading.views.selected import Selected
from dataset_assets.reading.views.stored import Opener, Stored
from dataset_assets.reading.views.streams import Narrowed, Renamed
from dataset_assets.reading.views.view import Fold, NestedFold, Subset, View

__all__ = [
    "OPERATIONS",
    "Batched",
    "Cached",
    "Concatenated",
    "Encoded",
    "Filtered",
    "Fold",
    "FoldPart",
    "GroupPart",
    "HashPart",
    "Interleaved",
    "Lineage",
    "ListColumn",
    "Mapped",
    "MappedBlocks",
    "Mixed",
    "Narrowed",
    "NestedFold",
    "Opener",
    "Origin",
    "Part",
    "RandomPart",
    "Renamed",
    "Repeated",
    "Report",
    "Selected",
    "Sharded",
    "Shuffled",
    "Sorted",
    "Sourced",
    "Stored",
    "StratifiedPart",
    "Subset",
    "Tupled",
    "View",
    "Zipped",
    "at_epoch",
    "operation",
    "restored",
]
