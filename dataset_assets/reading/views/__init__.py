"""Views: stackable, lazy sequences of samples."""

from dataset_assets.reading.views.arranged import Filtered, Interleaved, Mixed, Repeated, Sharded, Shuffled, Sorted
from dataset_assets.reading.views.batched import Batched
from dataset_assets.reading.views.cached import Cached
from dataset_assets.reading.views.columns_whole import target_of
from dataset_assets.reading.views.document import OPERATIONS, operation, restored
from dataset_assets.reading.views.encoded import Encoded, fit
from dataset_assets.reading.views.epochs import at_epoch
from dataset_assets.reading.views.in_memory import Sourced
from dataset_assets.reading.views.joined import Concatenated, Zipped
from dataset_assets.reading.views.mapped import Mapped, MappedBlocks, Tupled
from dataset_assets.reading.views.memory import ListColumn, view_of
from dataset_assets.reading.views.parts import (
    Fold,
    FoldPart,
    GroupPart,
    HashPart,
    NestedFold,
    Part,
    RandomPart,
    StratifiedPart,
    folds,
    nested_folds,
)
from dataset_assets.reading.views.report import Report, report_of
from dataset_assets.reading.views.selected import Selected
from dataset_assets.reading.views.stored import Lineage, Opener, Stored
from dataset_assets.reading.views.streams import Narrowed, Renamed
from dataset_assets.reading.views.targets import chosen_by_target, mapped_targets, one_hot_targets
from dataset_assets.reading.views.view import Origin, View

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
    "Tupled",
    "View",
    "Zipped",
    "at_epoch",
    "chosen_by_target",
    "fit",
    "folds",
    "mapped_targets",
    "nested_folds",
    "one_hot_targets",
    "operation",
    "report_of",
    "restored",
    "target_of",
    "view_of",
]
